"""lidar_voxels, lidar_voxel_coords, lidar_voxel_num_points, lidar_voxel_mean and lidar_point_voxel_id."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar, Literal

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from ..voxel_rows import CoordOrder, MaxVoxels, MinRows, Overflow, RowOrder, cap_of_rows, coords_and_counts, key_of_rows
from .cloud import SURROUND, CloudParams, PointColumn
from .presets import VOXELS

__all__ = ["GROUPS", "VoxelRowsParams", "VoxelsParams"]


class VoxelRowsParams(CloudParams, frozen=True, kw_only=True):
    """Which voxels there are, in which order, and what is kept of their points: of voxels and of pillars."""

    grid: Annotated[Grid, About("The cells, half-open.")] = SURROUND
    columns: Annotated[tuple[PointColumn, ...], About("What a point of a voxel holds, in order.")] = (
        *("x", "y", "z", "intensity", "time_lag"),
    )
    max_points_per_voxel: Annotated[
        int, About("At most this many points of a voxel, the first ones.", "count", least=1)
    ] = 10
    max_voxels: MaxVoxels = 120_000
    overflow: Overflow = "continue"
    order: RowOrder = "first_seen"
    coord_order: CoordOrder = "zyx"
    min_rows: MinRows = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)


class VoxelsParams(VoxelRowsParams, frozen=True, kw_only=True):
    takes_only_columns: ClassVar[bool] = True
    mean_of: Annotated[
        Literal["kept", "all"],
        About(
            "Which points lidar_voxel_mean is of. kept: those that lidar_voxels holds (OpenPCDet's MeanVFE); all: also "
            "those beyond max_points_per_voxel (its dynamic VFEs)."
        ),
    ] = "kept"

    def dims(self) -> dict[str, int]:
        return {"P": self.max_points_per_voxel, "C": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"P": ("max_points_per_voxel",), "C": ("columns",)}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return cap_of_rows(self) if dim == "num_voxels" else None

    def size_key(self, dim: str) -> Hashable:
        if dim == "num_voxels":
            return key_of_rows(self)
        # of lidar_points without a range and without a limit
        return (dim, self.count_key(), None, None) if dim == "num_points" else super().size_key(dim)


GROUPS = (
    Group(
        name="lidar_voxels",
        params=VoxelsParams(),
        drawing=drawings.voxels,
        presets=VOXELS,
        features=(
            Feature(
                name="lidar_voxels",
                dtypes=("float32",),
                shape=("num_voxels", "P", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="Hard voxels: the first P points of each voxel, voxels in the order in which they were first "
                "seen, or as `order` says. The columns are those of lidar_points.",
            ),
            *coords_and_counts("lidar_voxel", "num_voxels"),
            Feature(
                name="lidar_voxel_mean",
                dtypes=("float32",),
                shape=("num_voxels", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="Each voxel's mean of every column: of the kept points the float32 sum from 0 in the order of "
                "the slots, divided in float32 by their number; of all points the float64 sum in the order of the "
                "points, divided in float64 and cast once. 0 in padding rows.",
            ),
            Feature(
                name="lidar_point_voxel_id",
                dtypes=("int32",),
                shape=("num_points",),
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(index="offset", offset_of="lidar_voxel_coords"),
                prose="For each point of the cloud, those of lidar_points without a range and a limit, the row of its "
                "voxel, whether or not the voxel holds that point; -1 outside the grid, and in voxels beyond "
                "max_voxels.",
            ),
        ),
    ),
)
