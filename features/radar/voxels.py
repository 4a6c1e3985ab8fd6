"""radar_voxels, radar_voxel_coords and radar_voxel_num_points."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from ..voxel_rows import CoordOrder, MaxVoxels, MinRows, Overflow, RowOrder, cap_of_rows, coords_and_counts, key_of_rows
from .cloud import AROUND, RADAR_COLUMNS, RadarCloudParams, RadarColumn, width_of
from .presets import VOXELS

__all__ = ["GROUPS", "RadarVoxelsParams"]


class RadarVoxelsParams(RadarCloudParams, frozen=True, kw_only=True):
    grid: Annotated[Grid, About("The cells, half-open.")] = AROUND
    columns: Annotated[tuple[RadarColumn, ...], RADAR_COLUMNS] = (
        *("x", "y", "z", "rcs", "vx_comp", "vy_comp", "time_lag"),
    )
    max_points: Annotated[
        int | None,
        About("Only this many detections, the first ones, in the grid or not; null: all.", "count", least=1),
    ] = None
    max_points_per_voxel: Annotated[
        int, About("At most this many detections of a voxel, the first ones.", "count", least=1)
    ] = 20
    max_voxels: MaxVoxels = 60_000
    overflow: Overflow = "continue"
    order: RowOrder = "first_seen"
    coord_order: CoordOrder = "zyx"
    min_rows: MinRows = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)

    def dims(self) -> dict[str, int]:
        return {"P": self.max_points_per_voxel, "C": width_of(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"P": ("max_points_per_voxel",), "C": ("columns",)}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return cap_of_rows(self) if dim == "num_radar_voxels" else None

    def size_key(self, dim: str) -> Hashable:
        return (key_of_rows(self), self.max_points) if dim == "num_radar_voxels" else super().size_key(dim)


GROUPS = (
    Group(
        name="radar_voxels",
        params=RadarVoxelsParams(),
        presets=VOXELS,
        drawing=drawings.voxels,
        features=(
            Feature(
                name="radar_voxels",
                dtypes=("float32",),
                shape=("num_radar_voxels", "P", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="Hard voxels of the detections, as lidar_voxels: the first P of each voxel, voxels in the order "
                "in which they were first seen. The columns are those of radar_points.",
            ),
            *coords_and_counts("radar_voxel", "num_radar_voxels"),
        ),
    ),
)
