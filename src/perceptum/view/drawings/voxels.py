"""lidar_voxels, lidar_pillars, radar_voxels: the cells that are there."""

from __future__ import annotations

import numpy as np

from .birds_eye import reach_of_grid
from .drawing import OnGround
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["LIDAR_PILLARS", "LIDAR_VOXELS", "RADAR_VOXELS"]


def _draw(ground: Ground, kind: Kind) -> str:
    reach = reach_of_grid(kind.params)
    if reach is None:
        raise NotDrawn("its grid is a cylinder")
    (coords,) = (tensor for name, tensor in kind.tensors.items() if name.endswith("_coords"))
    (counts,) = (tensor for name, tensor in kind.tensors.items() if name.endswith("_num_points"))
    real = counts > 0
    x, y, _ = kind.params.grid.size
    zyx = getattr(kind.params, "coord_order", "zyx") == "zyx"
    columns, rows = (coords[real][:, -1 if zyx else 0], coords[real][:, -2 if zyx else 1])
    above = np.zeros((y, x), np.int32)
    np.add.at(above, (rows, columns), counts[real])
    shown = np.where(above > 0, np.log10(above, where=above > 0, out=np.zeros(above.shape)), np.nan)
    if real.any():
        ground.scale(ground.cells(shown, reach, cmap="viridis_r"), "log10 of the points above each other")
    return f"{np.count_nonzero(real)} of {len(real)} rows are real"


LIDAR_VOXELS = OnGround(
    draw=_draw, cells=True, reach=reach_of_grid, needs=("lidar_voxel_coords", "lidar_voxel_num_points")
)
LIDAR_PILLARS = OnGround(
    draw=_draw, cells=True, reach=reach_of_grid, needs=("lidar_pillar_coords", "lidar_pillar_num_points")
)
RADAR_VOXELS = OnGround(
    draw=_draw, cells=True, reach=reach_of_grid, needs=("radar_voxel_coords", "radar_voxel_num_points")
)
