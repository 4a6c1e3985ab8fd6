"""Layers of a log's map, as kernels take them: worked out once per log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map.layers import LAYERS, hint_for
from perceptum.inputs import HDMap, MissingRecord, Shapes

from ..kernels.map.raster import AREA, WINDOW
from .around import MapAround
from .shapes import known_shapes

__all__ = ["Sheet", "layers_there", "report_missing", "sheet_of", "with_heights", "without_any"]

_HOLES = "_holes"
_FEW = 20_000


@dataclass(frozen=True, eq=False)
class Sheet:
    """Shapes of several layers one after the other, and in which plane each is drawn."""

    points: NDArray[np.float64]
    """(P, 3), z from the map's ground where the shape does not know it; NaN where neither does."""
    parts: NDArray[np.int64]
    """(R + 1,) where each ring or line begins."""
    first_part: NDArray[np.int64]
    """(n + 1,) of shape i: its outline, then its holes."""
    bounds: NDArray[np.float64]
    """(n, 4) xmin ymin xmax ymax."""
    longest: int
    """Points of the longest part."""
    all: NDArray[np.int64]
    """(n,) every shape's number."""
    runs: NDArray[np.int64]
    """(R, 4) begin and end of a layer in `all`, AREA or 0, and its plane."""
    shapes: tuple[Shapes, ...]
    """Of each run, with their index."""
    missing: frozenset[str]
    """The layers that the map does not have."""

    @property
    def nbytes(self) -> int:
        kept = (self.points, self.parts, self.first_part, self.bounds, self.all, self.runs)
        return sum(own.nbytes for own in kept)

    def near(self, place: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the shapes among which those are that touch the window of a `place`, and their runs; of few, all:
        kernels look at their bounds faster than numpy does."""
        if len(self.all) <= _FEW:
            return self.all, self.runs
        window = place[WINDOW:].tolist()
        found = [begin + own.near(*window) for begin, own in zip(self.runs[:, 0], self.shapes, strict=True)]
        ends = np.cumsum([0, *map(len, found)])
        return np.concatenate(found), np.column_stack([ends[:-1], ends[1:], self.runs[:, 2:]])


def sheet_of(around: MapAround, planes: tuple[tuple[str, ...], ...], outlines: bool = False) -> Sheet:
    """Returns the layers of the frame's map, which there must be, plane by plane, made once per log.

    outlines: of areas the lines around them and their holes. Raises MissingRecord for a name that no map has.
    """
    hdmap, log = around.map, around.frame.log
    assert hdmap is not None, "asked of a log without a map"
    return log.cache.get(("map sheet", planes, outlines), lambda: _made(log.source.location, hdmap, planes, outlines))


def _made(location: str, hdmap: HDMap, planes: tuple[tuple[str, ...], ...], outlines: bool) -> Sheet:
    there = layers_there(hdmap)
    names = [name for own in planes for name in own]
    for name in names:
        if name not in there and name not in LAYERS:
            hint = hint_for(name, {*there, *LAYERS})
            raise MissingRecord(f"{location}: no map has a layer '{name}'; {hint}this one has {_names(there)}")
    rings: list[NDArray[np.float64]] = []
    parts, runs, shapes = [0], [], []
    for plane, own in enumerate(planes):
        for name in own:
            if name not in there:
                continue
            begin = len(parts) - 1
            layer = known_shapes(there[name])
            cut = hdmap.layers.get(name + _HOLES) if layer.kind == "polygon" else None
            holes = None if cut is None else known_shapes(cut)
            outline = outlines and layer.kind == "polygon"
            made = _rings(layer, holes)
            if outline:
                layer = Shapes.of("line", {str(k): _closed(ring) for k, ring in enumerate(chain.from_iterable(made))})
                made = [[layer[k]] for k in range(len(layer))]
            shapes.append(layer)
            rings += chain.from_iterable(made)
            parts += (np.cumsum([len(one) for one in made], dtype=np.int64) + parts[-1]).tolist()
            runs.append((begin, len(parts) - 1, AREA if layer.kind == "polygon" else 0, plane))
    points = with_heights(np.concatenate(rings) if rings else np.zeros((0, 3)), hdmap)
    starts = np.cumsum([0, *map(len, rings)], dtype=np.int64)
    bounds = np.concatenate([own.bounds for own in shapes]) if shapes else np.zeros((0, 4))
    longest = int(np.diff(starts).max(initial=0))
    table = np.array(runs, dtype=np.int64).reshape(-1, 4)
    first = np.array(parts, dtype=np.int64)
    missing = frozenset(names).difference(there)
    return Sheet(points, starts, first, bounds, longest, np.arange(len(first) - 1), table, tuple(shapes), missing)


def _closed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([ring, ring[:1]])


def _rings(shapes: Shapes, holes: Shapes | None) -> list[list[NDArray[np.float64]]]:
    """Returns each shape's points, behind an outline its holes: by their ids, ID/0, ID/1; a hole whose id says nothing
    belongs to all areas around it."""
    rings = [[shapes[k]] for k in range(len(shapes))]
    if holes is None:
        return rings
    at = {str(id): k for k, id in enumerate(shapes.ids)}
    low, high = shapes.bounds[:, :2], shapes.bounds[:, 2:]
    for h, id in enumerate(holes.ids):
        owner = at.get(str(id).rpartition("/")[0])
        if owner is not None:
            rings[owner].append(holes[h])
            continue
        around = (low <= holes.bounds[h, :2]).all(axis=1) & (high >= holes.bounds[h, 2:]).all(axis=1)
        for k in np.flatnonzero(around):
            rings[int(k)].append(holes[h])
    return rings


def without_any(unions: Iterable[tuple[str, ...]], missing: frozenset[str]) -> set[str]:
    """Returns the names of those unions of layers of which the map has none."""
    return {name for names in unions if missing.issuperset(names) for name in names}


def report_missing(around: MapAround, names: Iterable[str], required: bool) -> None:
    """Reports once which layers the frame's map does not have; raises MissingRecord where they are required."""
    missing = sorted(set(names))
    if missing:
        assert around.map is not None, "asked of a log without a map"
        what = f"layer{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        around.report_none(f"a map without the {what}; it has {_names(layers_there(around.map))}", required)


def _names(there: Iterable[str]) -> str:
    return ", ".join(sorted(there)) or "no layers"


def layers_there(hdmap: HDMap) -> Mapping[str, Shapes]:
    """Returns a map's layers by name, the lines of its lane graph among them; the holes of areas are not layers."""
    graph: dict[str, Shapes] = {}
    if (lanes := hdmap.lanes) is not None:
        graph["lane_centerline"] = lanes.centerlines
        graph["lane_boundary"] = _both(lanes.left_boundaries, lanes.right_boundaries)
    own = {
        name: shapes
        for name, shapes in hdmap.layers.items()
        if not (name.endswith(_HOLES) and name.removesuffix(_HOLES) in hdmap.layers)
    }
    return {**graph, **own}


def _both(one: Shapes, other: Shapes) -> Shapes:
    starts = np.concatenate([one.starts, other.starts[1:] + one.starts[-1]])
    return Shapes(one.kind, np.concatenate([one.points, other.points]), starts, np.concatenate([one.ids, other.ids]))


def with_heights(points: NDArray[np.float64], hdmap: HDMap) -> NDArray[np.float64]:
    """Returns a copy of points (P, 3) of the world with the ground's z where they have none."""
    points = np.array(points)
    unknown = ~np.isfinite(points[:, 2])
    if unknown.any():
        points[unknown, 2] = hdmap.ground_height(points[unknown, :2])
    return points
