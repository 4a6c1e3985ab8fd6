"""lidar_voxels, lidar_voxel_coords and lidar_voxel_num_points."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .cloud import SURROUND, CloudParams, PointColumn
from .presets import VOXELS

__all__ = ["GROUPS", "VoxelsParams"]


class VoxelsParams(CloudParams, frozen=True, kw_only=True):
    grid: Annotated[Grid, About("The cells, half-open.")] = SURROUND
    columns: Annotated[tuple[PointColumn, ...], About("What a point of a voxel holds, in order.")] = (
        *("x", "y", "z", "intensity", "time_lag"),
    )
    max_points_per_voxel: Annotated[
        int, About("At most this many points of a voxel, the first ones.", "count", least=1)
    ] = 10
    max_voxels: Annotated[int, About("At most this many voxels, the first ones.", "count", least=1)] = 120_000
    overflow: Annotated[
        Literal["continue", "break"],
        About("When max_voxels are taken and a point needs another: skip that point, or stop at it."),
    ] = "continue"
    coord_order: Annotated[Literal["zyx", "xyz"], About("The columns of lidar_voxel_coords.")] = "zyx"
    min_rows: Annotated[
        int,
        About(
            "Fewer voxels than this are followed by zero rows up to it, for runtimes that fail on none.",
            "count",
            least=0,
        ),
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)

    def dims(self) -> dict[str, int]:
        return {"P": self.max_points_per_voxel, "C": len(self.columns)}

    def cap(self, dim: str) -> int | None:
        return max(self.max_voxels, self.min_rows) if dim == "num_voxels" else None

    def size_key(self, dim: str) -> Hashable:
        if dim != "num_voxels":
            return super().size_key(dim)
        return (dim, self.count_key(), self.grid, self.max_voxels, self.overflow, self.min_rows)


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
                "seen. The columns are those of lidar_points.",
            ),
            Feature(
                name="lidar_voxel_coords",
                dtypes=("int32",),
                shape=("num_voxels", 3),
                units="cell",
                frame="reference",
                cut="first_rows",
                collate=Concat(index="column"),
                prose="Each voxel's cell, z y x by default.",
            ),
            Feature(
                name="lidar_voxel_num_points",
                dtypes=("int32",),
                shape=("num_voxels",),
                units="count",
                frame="none",
                cut="first_rows",
                collate=Concat(),
                prose="How many of a voxel's P slots are real; 0 in padding rows.",
            ),
        ),
    ),
)
