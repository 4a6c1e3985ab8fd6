"""lidar_range_image, its mask and its index."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .. import drawings
from ..checks import distinct, finite
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from ..params import Params
from .cloud import INTENSITY_MODE, REQUIRED, IntensityMode
from .presets import RANGE_IMAGE

__all__ = ["GROUPS", "Normalization", "RangeImageParams"]

RangeChannel = Literal["range", "x", "y", "z", "intensity"]


_LEAST_STD = 1e-20
"""What is divided by less may not be a float32 any more."""


class Normalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(value - mean) / std per channel, in float32; empty cells become 0."""

    mean: Annotated[tuple[float, ...], About("One for each channel, in the channel's unit.")]
    std: Annotated[tuple[float, ...], About("One for each channel, in the channel's unit, not 0.")]


class RangeImageParams(Params, frozen=True, kw_only=True):
    sensor: Annotated[str | None, About("The lidar to take; null: the log's primary one.")] = None
    rows: Annotated[
        Literal["spherical", "ring"],
        About("spherical: by elevation within `fov`; ring: by the beam's rank, the highest first."),
    ] = "spherical"
    height: Annotated[int, About("Rows of the image.", "px", least=1)] = 64
    width: Annotated[int, About("Columns of the image, all round.", "px", least=1)] = 2048
    fov: Annotated[
        tuple[float, float], About("The elevations of the image's upper and lower edge, within -90 to 90.", "deg")
    ] = (3.0, -25.0)
    outside_fov: Annotated[
        Literal["clamp", "drop"],
        About("What happens to a point above or below: the edge row, as published, or nothing."),
    ] = "clamp"
    channels: Annotated[tuple[RangeChannel, ...], About("Which of them, in order.")] = (
        *("range", "x", "y", "z", "intensity"),
    )
    xyz_frame: Annotated[
        Literal["lidar", "ego"],
        About(
            "The axes of x, y, z: the lidar's own as measured, or the ego frame at the reference time with "
            "the ego motion taken out. What the image shows, and range, are as measured either way."
        ),
    ] = "lidar"
    intensity_mode: Annotated[IntensityMode, INTENSITY_MODE] = "unit"
    min_range: Annotated[float, About("Points nearer than this to the sensor are dropped.", "m", least=0.001)] = 0.1
    fill: Annotated[float, About("What an empty cell holds before `norm`.")] = -1.0
    norm: Annotated[
        Normalization | None, About("(value - mean) / std per channel; empty cells become 0; null: unchanged.")
    ] = None
    required: Annotated[bool, REQUIRED] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("fill and min_range", (self.fill, self.min_range))
        distinct("channels", self.channels)
        if not -90 <= self.fov[1] < self.fov[0] <= 90:
            raise SpecError(f"fov must be the upper edge, then the lower, in degrees within -90..90, got {self.fov}")
        if self.norm is not None and not len(self.norm.mean) == len(self.norm.std) == len(self.channels):
            raise SpecError(f"norm needs a mean and a std for each of {list(self.channels)}")
        if self.norm is not None:
            finite("norm's mean and std", self.norm.mean + self.norm.std)
        if self.norm is not None and min(map(abs, self.norm.std)) < _LEAST_STD:
            raise SpecError(f"norm: a std must not be 0, got {list(self.norm.std)}")

    def dims(self) -> dict[str, int]:
        return {"C": len(self.channels), "H": self.height, "W": self.width}


GROUPS = (
    Group(
        name="lidar_range_image",
        params=RangeImageParams(),
        drawing=drawings.range_image,
        presets=RANGE_IMAGE,
        features=(
            Feature(
                name="lidar_range_image",
                dtypes=("float32",),
                shape=("C", "H", "W"),
                units="mixed",
                frame="sensor",
                fill=-1,
                prose="The newest sweep as its sensor sees it; the nearest return wins, the first of equals. "
                "Column W/2 looks along +x, columns run clockwise; x, y, z are in the axes that `xyz_frame` "
                "names. After RangeNet++ (Milioto et al. 2019), in float64.",
            ),
            Feature(
                name="lidar_range_image_mask",
                dtypes=("uint8",),
                shape=("H", "W"),
                units="flag",
                frame="sensor",
                prose="Which cells of lidar_range_image are real.",
            ),
            Feature(
                name="lidar_range_image_index",
                dtypes=("int32",),
                shape=("H", "W"),
                units="index",
                frame="none",
                fill=-1,
                prose="Which point a cell shows, counted over the sweep's finite points; -1 where none.",
            ),
        ),
    ),
)
