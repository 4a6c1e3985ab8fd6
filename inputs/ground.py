"""The ground under a frame: by the log's map, by a plane, or by the lowest points of its lidar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Matrix
from .errors import MissingRecord
from .source import ground_z_of

if TYPE_CHECKING:
    from .frame import Frame
    from .records import LidarSweep

__all__ = ["Ground", "ground_of", "without_ground"]

Source = Literal["map", "map_or_plane", "map_or_lidar", "plane", "lidar"]

_CELL_M = 2.0
_REACH_M = 100.0
_BAND_M = 1.5
"""A point further from the plane than this is taken for no ground: a roof, or an echo from below the road."""
_NEAR_M = 30.0


@dataclass(frozen=True, eq=False)
class Ground:
    """Heights on a grid, and how a place comes to its cell."""

    up_from_ego: Matrix
    """(4, 4) float64: from the ego frame to axes along whose z heights are counted: the world's, or the ego's own."""
    cell_from_up: Matrix
    """(2, 3) float64: column and row of x and y in those axes, before rounding down."""
    height: Matrix
    """(H, W) float64 metres, all finite; beyond the edge the cell at the edge counts."""
    by: Literal["map", "plane", "lidar"]
    """What it was made of."""
    plane_z: float = 0.0
    """The ego frame's z of the plane that was taken, or near which the lidar's points were looked for, metres."""
    share: float = 1.0
    """Of the cells within 30 m in which the lidar saw anything, those whose lowest point was near the plane: 0.83 and
    more on roads; less says that the plane is not where the road is. 1 where no lidar was asked."""

    def __repr__(self) -> str:
        rows, columns = self.height.shape
        return f"<Ground by {self.by}: {rows} x {columns} cells, {self.height.min():.2f} to {self.height.max():.2f} m>"

    def above(self, xyz: ArrayLike) -> Matrix:
        """Returns the height (...) in metres of points (..., 3) of the ego frame above the ground below them."""
        p = np.asarray(xyz, dtype=np.float64)
        up = p @ self.up_from_ego[:3, :3].T + self.up_from_ego[:3, 3]
        return np.asarray(up[..., 2] - self._under(up))

    def ego_z(self, xy: ArrayLike, above: ArrayLike = 0.0) -> Matrix:
        """Returns the ego frame's z (...) of what stands `above` metres over the ground at (..., 2); the inverse of
        `above`."""
        xy = np.asarray(xy, dtype=np.float64)
        z = np.zeros(xy.shape[:-1])
        # a tilted vehicle's z changes the place below a little: at 3 degrees a twentieth each time
        for _ in range(4):
            z = z + (np.asarray(above) - self.above(np.concatenate([xy, z[..., None]], axis=-1)))
        return z

    def _under(self, up: Matrix) -> Matrix:
        at = up[..., :2] @ self.cell_from_up[:, :2].T + self.cell_from_up[:, 2]
        rows, columns = self.height.shape
        # what is not finite is under nothing
        known = np.asarray(np.isfinite(at).all(axis=-1))
        at = np.floor(np.where(known[..., None], at, 0))
        row, column = np.clip(at[..., 1], 0, rows - 1), np.clip(at[..., 0], 0, columns - 1)
        return np.where(known, self.height[row.astype(np.intp), column.astype(np.intp)], np.nan)

    def write_above(
        self, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any], ego_from_points: Matrix, out: NDArray[Any]
    ) -> None:
        """Writes the heights of points to `out`, (N,) float32, which may be `z`; x, y, z: (N,) float32 side by side."""
        from .ground_kernel import heights_above

        heights_above(x, y, z, (self.up_from_ego @ ego_from_points)[:3], self.cell_from_up, self.height, out)


def without_ground(frame: Frame) -> str:
    """Returns in words what the log has in place of a map that says where the ground is."""
    if frame.map is None:
        return "no map"
    unknown = frame.map.ground is not None
    return "a map whose ground heights are all unknown" if unknown else "a map without ground heights"


def ground_of(frame: Frame, source: Source = "map", plane_z: float | None = None) -> Ground:
    """Returns the ground under a frame; see `features.ReferenceParams.ground`.

    plane_z: metres, ego frame; None: what the log says, see `ground_z_of`.
    Raises MissingRecord where the log has no such source, and says what there is.
    """
    if source.startswith("map"):
        grid = None if frame.map is None else frame.map.ground
        if grid is not None and (filled := grid.filled) is not None:
            place = grid.scale * np.column_stack([grid.rotation, grid.translation])
            return Ground(frame.world_from_ego, place, filled, "map")
        if source == "map":
            raise MissingRecord(
                f"{frame.log.source.location}: the log has {without_ground(frame)}, which ground 'map' needs; take "
                "'plane', 'lidar', 'map_or_plane' or 'map_or_lidar'"
            )
    plane_z = ground_z_of(frame.log.source) if plane_z is None else plane_z
    if source.endswith("lidar"):
        sweep = frame.lidar
        if sweep is None:
            raise MissingRecord(
                f"{frame.log.source.location}: {frame} has no sweep of the primary lidar, which ground '{source}' "
                "needs; take 'plane' or 'map_or_plane'"
            )
        return _of_sweep(sweep, plane_z)
    return Ground(np.eye(4), np.zeros((2, 3)), np.full((1, 1), plane_z), "plane", plane_z)


def _of_sweep(sweep: LidarSweep, plane_z: float) -> Ground:
    from .ground_kernel import lowest

    xyz = np.array([sweep.x, sweep.y, sweep.z], dtype=np.float64)
    size = int(2 * _REACH_M / _CELL_M)
    found, seen = np.full((size, size), np.nan), np.zeros((size, size), np.uint8)
    mount = np.array(sweep.ego_from_sensor, dtype=np.float64)
    lowest(xyz, mount, -_REACH_M, _CELL_M, plane_z - _BAND_M, plane_z + _BAND_M, seen, found)
    filled = fill_holes(found)
    # 100 m of cells on each side, column and row = (x + 100) / 2 and (y + 100) / 2
    place = np.array([[1.0, 0.0, _REACH_M], [0.0, 1.0, _REACH_M]]) / _CELL_M
    height = np.full((1, 1), plane_z) if filled is None else filled
    return Ground(np.eye(4), place, height, "lidar", plane_z, _share(found, seen))


def _share(found: Matrix, seen: NDArray[np.uint8]) -> float:
    reach = int(_NEAR_M / _CELL_M)
    near = slice(len(seen) // 2 - reach, len(seen) // 2 + reach)
    found, seen = found[near, near], seen[near, near]
    lowest = np.isfinite(found) & (seen == 1)
    return float(lowest.sum() / np.count_nonzero(seen)) if seen.any() else 1.0


def fill_holes(height: NDArray[Any]) -> Matrix | None:
    """Returns (H, W) float64 with the nearest known height where there was NaN or infinity; None where all are."""
    from .ground_kernel import nearest_known

    known = np.isfinite(height)
    if not known.any():
        return None
    filled = np.array(height, dtype=np.float64)
    if not known.all():
        rows, columns = height.shape
        row_of, column_of = np.empty((2, rows, columns), np.int32)
        nearest_known(known, row_of, column_of, np.empty(columns, np.int32), np.empty(columns + 1))
        filled = filled[np.take_along_axis(row_of, column_of.astype(np.intp), axis=1), column_of]
    return filled
