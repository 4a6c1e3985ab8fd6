"""The HD map of a log: shapes in columns, a lane graph, ground height; world frame, float64 metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.plural import counted

from .arrays import Matrix
from .errors import BrokenRecord
from .ground import fill_holes
from .once import once
from .shape_index import BoundsIndex, bounds_of

__all__ = ["LANE_EXTRAS", "TURNS", "GroundGrid", "HDMap", "LaneGraph", "Shapes"]

TURNS = ("", "left", "right", "straight", "uturn")
"""What a lane's `turn` may be; "" is not known."""

LANE_EXTRAS: Mapping[str, str] = {"turn": "U", "has_traffic_control": "b", "speed_limit_mps": "f"}
"""What only some maps say of their lanes, with the kind of its dtype; None in others."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Many polygons, or many lines, as one array of points and where each begins."""

    kind: Literal["polygon", "line"]
    points: Matrix
    """(P, 3) x y z; a polygon's last point is not its first again. z is NaN where it is not known."""
    starts: NDArray[np.int64]
    """(n + 1,) shape i is points[starts[i]:starts[i + 1]]."""
    ids: NDArray[np.str_]
    """(n,)"""

    def __repr__(self) -> str:
        return f"<Shapes: {counted(len(self), self.kind)} of {counted(len(self.points), 'point')}>"

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.starts.shape != (n + 1,) or self.starts[0] != 0 or self.starts[-1] != len(self.points):
            raise BrokenRecord(f"{n} shapes need {n + 1} starts from 0 to {len(self.points)}, got {self.starts.shape}")
        empty = np.diff(self.starts) <= 0
        if empty.any():
            raise BrokenRecord(f"shape {self.ids[int(np.argmax(empty))]} has no points, wanted at least one")

    @classmethod
    def of(cls, kind: Literal["polygon", "line"], shapes: Mapping[str, ArrayLike]) -> Shapes:
        """Builds from id -> (k, 2) or (k, 3) points."""
        parts = [np.asarray(points, dtype=np.float64) for points in shapes.values()]
        parts = [_with_z(id, part) for id, part in zip(shapes, parts, strict=True)]
        starts = np.cumsum([0, *(len(p) for p in parts)], dtype=np.int64)
        points = np.concatenate(parts) if parts else np.zeros((0, 3))
        return cls(kind, points, starts, np.array(list(shapes), dtype=np.str_))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Matrix:
        """Returns the (k, 3) points of one shape, a view."""
        return self.points[self.starts[index] : self.starts[index + 1]]

    @once
    def bounds(self) -> Matrix:
        """(n, 4) xmin ymin xmax ymax."""
        return bounds_of(self.points, self.starts)

    @once
    def _index(self) -> BoundsIndex:
        return BoundsIndex(self.bounds)

    def near(self, xmin: float, ymin: float, xmax: float, ymax: float) -> NDArray[np.intp]:
        """Returns the indices of the shapes whose bounds touch the rectangle, in order; by a grid made once."""
        return self._index.touching(xmin, ymin, xmax, ymax)


def _with_z(id: str, points: Matrix) -> Matrix:
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise BrokenRecord(f"shape {id} has points of shape {points.shape}, wanted (k, 2) or (k, 3)")
    return points if points.shape[1] == 3 else np.column_stack([points, np.full(len(points), np.nan)])


@dataclass(frozen=True, eq=False)
class LaneGraph:
    """Lanes and how they follow each other; row i of everything is lane i."""

    centerlines: Shapes
    left_boundaries: Shapes
    right_boundaries: Shapes
    successors: NDArray[np.int64]
    """(k, 2) lane, the lane after it."""
    neighbors: NDArray[np.int64]
    """(n, 2) the lane to the left and to the right, -1 where there is none."""
    is_intersection: NDArray[np.bool_]
    lane_type: NDArray[np.str_]
    turn: NDArray[np.str_] | None = None
    """(n,) left, right, straight, uturn, or "" for a lane of which the map does not say; None: it says it of none.
    `turns.turns_of` finds them from the centrelines."""
    has_traffic_control: NDArray[np.bool_] | None = None
    """(n,) whether lights or signs decide who drives on from this lane, or on it; None: the map does not say."""
    speed_limit_mps: Matrix | None = None
    """(n,) metres per second, NaN for a lane of which the map does not say; None: it says it of none."""

    def __post_init__(self) -> None:
        n = len(self.centerlines)
        counts = (len(self.left_boundaries), len(self.right_boundaries), len(self.is_intersection), len(self.lane_type))
        if set(counts) != {n} or self.neighbors.shape != (n, 2):
            found = f"{counts} boundaries, flags and types, and neighbors {self.neighbors.shape}"
            raise BrokenRecord(f"{n} lanes have {found}")
        if self.successors.ndim != 2 or self.successors.shape[1] != 2:
            raise BrokenRecord(f"successors of lanes are {self.successors.shape}, wanted (k, 2)")
        for name, table, least in (("successors", self.successors, 0), ("neighbors", self.neighbors, -1)):
            if table.size and not least <= int(table.min()) <= int(table.max()) < n:
                raise BrokenRecord(f"{name} of lanes go from {table.min()} to {table.max()}, wanted lanes 0 to {n - 1}")
        for name, kind in LANE_EXTRAS.items():
            extra = getattr(self, name)
            if extra is not None and (extra.shape != (n,) or extra.dtype.kind != kind):
                raise BrokenRecord(f"{name} of {n} lanes is {extra.dtype} {extra.shape}, wanted ({n},) of kind {kind}")
        unknown = [] if self.turn is None else sorted({*self.turn.tolist()} - {*TURNS})
        if unknown:
            raise BrokenRecord(f"turn of a lane is {unknown[0][:20]!r}, wanted one of {', '.join(TURNS[1:])} or ''")

    def __repr__(self) -> str:
        return f"<LaneGraph: {len(self)} lanes, {len(self.successors)} successors>"

    @property
    def ids(self) -> NDArray[np.str_]:
        return self.centerlines.ids

    def __len__(self) -> int:
        return len(self.centerlines)


@dataclass(frozen=True, eq=False)
class GroundGrid:
    """Ground height on a regular grid: cell (row, col) = floor(scale * (rotation @ xy + translation)) as (y, x)."""

    height: NDArray[np.floating]
    """(H, W) metres, NaN where unknown."""
    rotation: Matrix
    translation: Matrix
    scale: float

    def __repr__(self) -> str:
        rows, columns = self.height.shape
        return f"<GroundGrid: {rows} x {columns} cells of {1 / self.scale:.3g} m>"

    @once
    def filled(self) -> Matrix | None:
        """(H, W) float64 metres: where `height` is unknown, that of the nearest cell that is known; None where none
        is."""
        return fill_holes(self.height)

    def at(self, xy: ArrayLike) -> Matrix:
        """Returns the height (...) in metres of the cell under world points (..., 2); NaN off the grid."""
        # a point at infinity times a 0 of the rotation is NaN, which is off the grid as it should be
        with np.errstate(invalid="ignore", over="ignore"):
            p = self.scale * (np.asarray(xy, dtype=np.float64) @ self.rotation.T + self.translation)
        col, row = np.floor(p[..., 0]), np.floor(p[..., 1])
        inside = (row >= 0) & (row < self.height.shape[0]) & (col >= 0) & (col < self.height.shape[1])
        out = np.full(inside.shape, np.nan)
        out[inside] = self.height[row[inside].astype(np.intp), col[inside].astype(np.intp)]
        return out


@dataclass(frozen=True, eq=False)
class HDMap:
    """The map as a log's frames hand it out; one object per log."""

    layers: Mapping[str, Shapes] = field(default_factory=dict)
    """drivable_area, crossing, lane, ... by name."""
    lanes: LaneGraph | None = None
    ground: GroundGrid | None = None
    unread: tuple[str, ...] = ()
    """What the map's file holds and this does not, a line for each kind: `signals/signal (19)`."""

    def __repr__(self) -> str:
        layers = ", ".join(f"{len(shapes)} {name}" for name, shapes in self.layers.items()) or "no layers"
        lanes = "no lane graph" if self.lanes is None else counted(len(self.lanes), "lane")
        unread = f"; not read: {', '.join(self.unread)}" if self.unread else ""
        return f"<HDMap: {layers}; {lanes}; {'no ' if self.ground is None else ''}ground height{unread}>"

    def ground_height(self, xy: ArrayLike) -> Matrix:
        """Returns the ground height (...) under world points (..., 2); NaN where the map does not know it."""
        if self.ground is None:
            return np.full(np.asarray(xy).shape[:-1], np.nan)
        return self.ground.at(xy)
