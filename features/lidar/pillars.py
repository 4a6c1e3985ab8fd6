"""lidar_pillar_features, lidar_pillar_coords and lidar_pillar_num_points: points decorated as a pillar's are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar, Literal

from .. import drawings
from ..collate import Concat
from ..errors import SpecError
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from ..voxel_rows import MaxVoxels, cap_of_rows, coords_and_counts, key_of_rows
from .cloud import PointColumn
from .presets import PILLARS
from .voxels import VoxelRowsParams

__all__ = ["GROUPS", "PillarsParams"]

_XYZ = ("x", "y", "z")
_WIDTH = ("columns", "absolute_xyz", "cluster_offset", "center_offset", "with_distance")
"""What decides how many columns a decorated point has."""


class PillarsParams(VoxelRowsParams, frozen=True, kw_only=True):
    takes_only_columns: ClassVar[bool] = True
    grid: Annotated[Grid, About("The cells, half-open; a pillar is as high as the range, or a part of it.")] = Grid(
        range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.2, 0.2, 8.0)
    )
    columns: Annotated[
        tuple[PointColumn, ...], About("What a point holds before it is decorated: x, y, z, and what else.")
    ] = (*("x", "y", "z", "intensity", "time_lag"),)
    max_points_per_voxel: Annotated[
        int, About("At most this many points of a pillar, the first ones.", "count", least=1)
    ] = 20
    max_voxels: MaxVoxels = 60_000
    absolute_xyz: Annotated[
        bool, About("false: x, y, z themselves are left out (OpenPCDet's USE_ABSLOTE_XYZ), the other columns stay.")
    ] = True
    cluster_offset: Annotated[
        bool, About("true: three columns, x, y, z from the mean of the pillar's kept points (with_cluster_center).")
    ] = True
    center_offset: Annotated[
        Literal["xyz", "xy", "none"],
        About(
            "Columns for the place from the pillar's centre. xyz: OpenPCDet, and mmdetection3d since its 1.0; xy: the "
            "paper, CenterPoint's own code and earlier mmdetection3d; none: without."
        ),
    ] = "xyz"
    with_distance: Annotated[
        bool, About("true: a last column, the distance from the origin of the frame of reference.")
    ] = False
    legacy: Annotated[
        bool,
        About(
            "true: the columns x, y, z hold the place from the pillar's centre too, as far as center_offset goes, and "
            "the distance is of that: what mmdetection3d's legacy=True, its default, does by writing into its input."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns[:3] != _XYZ:
            raise SpecError(f"columns must begin with x, y, z, which are decorated, got {', '.join(self.columns)}")
        if self.legacy and (self.center_offset == "none" or not self.absolute_xyz):
            raise SpecError(
                "legacy writes the offset from the centre over x, y, z: it wants absolute_xyz true and a center_offset"
            )
        if self.center_offset != "none" and self.grid.coordinates != "xyz":
            raise SpecError(
                f"a cell of a {self.grid.coordinates} has no centre along x, y, z; take a center_offset of none"
            )
        if self.width == 0:
            raise SpecError("these params leave a point without any column; take absolute_xyz, or an offset")

    def column_names(self) -> tuple[str, ...]:
        own = self.columns if self.absolute_xyz else self.columns[3:]
        mean = [f"{axis}_from_mean" for axis in _XYZ if self.cluster_offset]
        centre = [f"{axis}_from_centre" for axis in _XYZ if axis in self.center_offset.replace("none", "")]
        return (*own, *mean, *centre, *(["distance"] if self.with_distance else []))

    @property
    def width(self) -> int:
        """The columns of a decorated point."""
        own = len(self.columns) if self.absolute_xyz else len(self.columns) - 3
        along = {"xyz": 3, "xy": 2, "none": 0}[self.center_offset]
        return own + 3 * self.cluster_offset + along + self.with_distance

    def dims(self) -> dict[str, int]:
        return {"P": self.max_points_per_voxel, "D": self.width}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"P": ("max_points_per_voxel",), "D": _WIDTH}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return cap_of_rows(self) if dim == "num_pillars" else None

    def size_key(self, dim: str) -> Hashable:
        return key_of_rows(self) if dim == "num_pillars" else super().size_key(dim)


GROUPS = (
    Group(
        name="lidar_pillars",
        params=PillarsParams(),
        drawing=drawings.pillars,
        presets=PILLARS,
        features=(
            Feature(
                name="lidar_pillar_features",
                dtypes=("float32",),
                shape=("num_pillars", "P", "D"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="What PointPillars' first layer takes: the first P points of each pillar, each with its columns, "
                "then x, y, z from the mean of the pillar's points, then x, y (and z) from the pillar's centre, then "
                "the distance, as OpenPCDet's PillarVFE and mmdetection3d's PillarFeatureNet order them. All in "
                "float32: the mean is the sum from 0 in the order of the slots, divided by the number of points; the "
                "centre is cell * edge + (edge / 2 + lowest corner). Empty slots are 0 in every column.",
            ),
            *coords_and_counts("lidar_pillar", "num_pillars", "pillar"),
        ),
    ),
)
