"""lidar_bev_occupancy and lidar_bev_stats."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from .. import drawings
from ..birds_eye import BevLayout, FlipX, FlipY, birds_eye_axes
from ..checks import distinct
from ..errors import SpecError
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .cloud import SURROUND, CloudParams
from .presets import BEV_OCCUPANCY, BEV_STATS

__all__ = ["GROUPS", "BevOccupancyParams", "BevParams", "BevStatsParams"]

StatsChannel = Literal[
    "count",
    "density",
    "max_z",
    "min_z",
    "mean_z",
    "var_z",
    "height_ratio",
    "slice_height",
    "max_i",
    "mean_i",
    "top_i",
]


_MOST_COUNTED = 2**20
"""A density is looked up by the count: a longer table would only take memory."""


class BevParams(CloudParams, frozen=True, kw_only=True):
    """A bird's-eye view: its cells, and which way its rows and columns run."""

    grid: Annotated[Grid, About("The cells, half-open.")] = SURROUND
    bev_layout: BevLayout = "CYX"
    flip_x: FlipX = False
    flip_y: FlipY = False

    channels_from: ClassVar[tuple[str, ...]] = ()
    """The fields that decide how many channels there are."""

    def channels_count(self) -> int:
        raise NotImplementedError

    def order(self) -> tuple[str, ...]:
        """Returns the axes as they lie in memory, the slowest first; all of them are among `dims`."""
        return tuple(self.bev_layout)

    def dims(self) -> dict[str, int]:
        x, y, _ = self.grid.size
        return {"C": self.channels_count(), "Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return self.channels_from if dim == "C" else ("grid",)


class BevOccupancyParams(BevParams, frozen=True, kw_only=True):
    takes_only_columns: ClassVar[bool] = True
    overflow_slices: Annotated[
        bool, About("true: two more slices at the end, for points below and for points above the grid's z range.")
    ] = False
    binary: Annotated[
        bool, About("true: 1 where there is a point; false: the number of points, saturating at 255 in uint8.")
    ] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overflow_slices and self.grid.outside == "clamp":
            raise SpecError(
                "overflow_slices are for points above and below the grid, which a grid that clamps does not have; take "
                "one or the other"
            )

    channels_from: ClassVar[tuple[str, ...]] = ("grid", "overflow_slices")

    def channels_count(self) -> int:
        return self.grid.size[2] + (2 if self.overflow_slices else 0)


class BevStatsParams(BevParams, frozen=True, kw_only=True):
    takes_only_columns: ClassVar[bool] = True
    channels: Annotated[
        tuple[StatsChannel, ...],
        About(
            "Which of them, in order. count: points; density: as density_cap says; max_z, min_z, mean_z, var_z: z in "
            "the frame of reference, and its variance; height_ratio: (max_z - zmin) / (zmax - zmin) of the grid's "
            "range; slice_height: a channel for each height slice of the grid, lowest first, how far its highest point "
            "is above zmin; max_i, mean_i: intensities; top_i: the intensity of the highest point, of equally high "
            "ones the first."
        ),
    ] = ("count", "density", "max_z", "min_z", "mean_z", "max_i", "mean_i", "top_i")
    density_cap: Annotated[int, About("density = min(1, ln(count + 1) / ln(density_cap + 1)).", "count", least=1)] = 63

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("channels", self.channels)
        if self.density_cap > _MOST_COUNTED:
            raise SpecError(f"density_cap must be at most {_MOST_COUNTED}, got {self.density_cap}")

    channels_from: ClassVar[tuple[str, ...]] = ("channels", "grid")

    def channels_count(self) -> int:
        return sum(self.channels_of(channel) for channel in self.channels)

    def channels_of(self, channel: StatsChannel) -> int:
        """Returns how many channels of the tensor one word of `channels` stands for."""
        return self.grid.size[2] if channel == "slice_height" else 1


GROUPS = (
    Group(
        name="lidar_bev_occupancy",
        params=BevOccupancyParams(),
        drawing=drawings.birds_eye,
        presets=BEV_OCCUPANCY,
        features=(
            Feature(
                name="lidar_bev_occupancy",
                dtypes=("uint8", "float32"),
                shape=birds_eye_axes,
                units="count",
                frame="reference",
                prose="The bird's-eye view in height slices, lowest first: 1 where there are points, or how many, by "
                "`binary`. After PIXOR (Yang et al. 2018).",
            ),
        ),
    ),
    Group(
        name="lidar_bev_stats",
        params=BevStatsParams(),
        drawing=drawings.birds_eye,
        presets=BEV_STATS,
        features=(
            Feature(
                name="lidar_bev_stats",
                dtypes=("float32",),
                shape=birds_eye_axes,
                units="mixed",
                frame="reference",
                prose="Per column of the grid: counts, heights and intensities of the points between zmin and zmax; 0 "
                "where there is none. After MV3D (Chen et al. 2017) and Complex-YOLO (Simon et al. 2018).",
            ),
        ),
    ),
)
