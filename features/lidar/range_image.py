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

__all__ = ["GROUPS", "Normalization", "RangeChannel", "RangeImageParams"]

RangeChannel = Literal[
    "range",
    "x",
    "y",
    "z",
    "intensity",
    "elongation",
    "azimuth",
    "inclination",
    "height",
    "time_lag",
    "occupancy",
]

_BEHIND_CLOCKWISE = (180.0, -180.0)
_MOST_CELLS = 2**31 - 1
"""Cells have numbers in int32."""
_LEAST_STD = 1e-20
"""What is divided by less may not be a float32 any more."""


class Normalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(value - mean) / std per channel, in float32."""

    mean: Annotated[tuple[float, ...], About("One for each channel, in the channel's unit.")]
    std: Annotated[tuple[float, ...], About("One for each channel, in the channel's unit, not 0.")]
    clip: Annotated[
        tuple[tuple[float, float] | None, ...] | None,
        About("The least and the greatest value of each channel, before the rest; null: as it is."),
    ] = None
    empty: Annotated[
        Literal["zero", "fill"],
        About("Empty cells become 0, as RangeNet++ masks them; or hold `fill`, clipped and normalised like the rest."),
    ] = "zero"


class RangeImageParams(Params, frozen=True, kw_only=True):
    sensor: Annotated[str | None, About("The lidar to take; null: the log's primary one.")] = None
    rows: Annotated[
        Literal["spherical", "ring"],
        About("spherical: by elevation within `fov`; ring: by the beam's rank, the highest first."),
    ] = "spherical"
    height: Annotated[int, About("Rows of the image.", "px", least=1)] = 64
    width: Annotated[int, About("Columns of the image, over the whole of `azimuth_fov`.", "px", least=1)] = 2048
    width_multiple: Annotated[
        int,
        About(
            "The tensor's width is the next multiple of this. The columns added on the right show nothing: 0 in the "
            "image, whatever `fill` says.",
            "px",
            least=1,
        ),
    ] = 1
    fov: Annotated[
        tuple[float, float], About("The elevations of the image's upper and lower edge, within -90 to 90.", "deg")
    ] = (3.0, -25.0)
    outside_fov: Annotated[
        Literal["clamp", "drop"],
        About("What happens to a point above or below: the edge row, as published, or nothing."),
    ] = "clamp"
    column_of: Annotated[
        Literal["azimuth", "record"],
        About(
            "azimuth: a point's column is by its azimuth within `azimuth_fov`; record: it is that of the lidar's own "
            "image, as Waymo v2 has it, and by azimuth where a log does not say it. `width` is then that image's, "
            "and `azimuth_fov` its default: a column beyond the width is an error."
        ),
    ] = "azimuth"
    azimuth_fov: Annotated[
        tuple[float, float],
        About(
            "The azimuths of the image's left and right edge, counterclockwise from +x. Columns run clockwise where "
            "the first is greater, else counterclockwise; beside the image nothing is shown. At most a whole turn.",
            "deg",
        ),
    ] = _BEHIND_CLOCKWISE
    azimuth_seam: Annotated[
        Literal["wrap", "clamp"],
        About(
            "Where an azimuth goes that is exactly a whole turn from the left edge: to the first column, for azimuth "
            "is periodic; or, as published, to the last, where behind the sensor a y of -0 counts as less than +0."
        ),
    ] = "wrap"
    returns: Annotated[
        Literal["first", "all"],
        About("first: only each ray's first return, where the log says which that is; all: the others too."),
    ] = "first"
    gaps: Annotated[
        Literal["fill", "next_column", "windows"],
        About(
            "What a cell shows that no point fell into. fill: nothing, it is empty. next_column: what the next column "
            "of its row shows, where a point fell into that; mask and index say so too. windows: so too, and what is "
            "still empty but has a shown cell two rows or two columns away holds 0 instead of `fill`, as in RangeDet. "
            "The first column follows the last only where `azimuth_fov` is a whole turn."
        ),
    ] = "fill"
    channels: Annotated[
        tuple[RangeChannel, ...],
        About(
            "Which of them, in order. range, azimuth, inclination (upwards) and height (z in the sensor's axes) are "
            "of the ray, as measured; time_lag is the age at the reference time; occupancy is 1."
        ),
    ] = (*("range", "x", "y", "z", "intensity"),)
    xyz_frame: Annotated[
        Literal["lidar", "ego"],
        About(
            "The axes of x, y, z: the lidar's own as measured, or the ego frame at the reference time with "
            "the ego motion taken out. What the image shows, and range, are as measured either way."
        ),
    ] = "lidar"
    azimuth_of: Annotated[
        Literal["ray", "point"],
        About("The channel azimuth is that of the ray, as measured; or of the point, by the channels x and y."),
    ] = "ray"
    inclination_of: Annotated[
        Literal["ray", "row"],
        About(
            "The channel inclination is that of the ray, as measured; or that of the row, in empty cells too: the "
            "middle of the row, by ring the mean of the rays shown in it, and `fill` where it shows none."
        ),
    ] = "ray"
    intensity_mode: Annotated[IntensityMode, INTENSITY_MODE] = "unit"
    min_range: Annotated[float, About("Points nearer than this to the sensor are dropped.", "m", least=0.001)] = 0.1
    fill: Annotated[
        float | tuple[float, ...], About("What an empty cell holds before `norm`: one number, or one for each channel.")
    ] = -1.0
    norm: Annotated[Normalization | None, About("(value - mean) / std per channel; null: unchanged.")] = None
    missing_columns: Annotated[
        Literal["fill", "error"],
        About(
            "A column that a sweep lacks: intensity and elongation are 0, time_lag is the sweep's and `column_of` is "
            "azimuth; or an error that says what there is."
        ),
    ] = "fill"
    required: Annotated[bool, REQUIRED] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fill = self.fill if isinstance(self.fill, tuple) else (self.fill,)
        finite("fill and min_range", (*fill, self.min_range))
        distinct("channels", self.channels)
        if isinstance(self.fill, tuple) and len(fill) != len(self.channels):
            raise SpecError(f"fill needs one number, or one for each of {list(self.channels)}, got {list(fill)}")
        if not -90 <= self.fov[1] < self.fov[0] <= 90:
            raise SpecError(f"fov must be the upper edge, then the lower, in degrees within -90..90, got {self.fov}")
        left, right = self.azimuth_fov
        if not (max(abs(left), abs(right)) <= 360 and 0 < abs(left - right) <= 360):
            raise SpecError(
                "azimuth_fov must be the left edge, then the right, in degrees within -360..360 and at most 360 apart, "
                f"got {self.azimuth_fov}"
            )
        if self.column_of == "record" and self.azimuth_fov != _BEHIND_CLOCKWISE:
            raise SpecError(
                f'azimuth_fov must be {_BEHIND_CLOCKWISE} where column_of is "record", for the columns are those of '
                f"the lidar's own image, got {self.azimuth_fov}"
            )
        if self.height * self.padded_width() > _MOST_CELLS:
            raise SpecError(
                f"an image of {self.height} x {self.padded_width()} has more than {_MOST_CELLS} cells; take a smaller "
                "height or width"
            )
        if self.norm is not None:
            self._check_norm(self.norm)

    def _check_norm(self, norm: Normalization) -> None:
        if not len(norm.mean) == len(norm.std) == len(self.channels):
            raise SpecError(f"norm needs a mean and a std for each of {list(self.channels)}")
        finite("norm's mean and std", norm.mean + norm.std)
        if min(map(abs, norm.std)) < _LEAST_STD:
            raise SpecError(f"norm: a std must not be 0, got {list(norm.std)}")
        if norm.clip is None:
            return
        if len(norm.clip) != len(self.channels):
            raise SpecError(f"norm needs a clip, or null, for each of {list(self.channels)}")
        edges = [clip for clip in norm.clip if clip is not None]
        finite("norm's clip", tuple(edge for clip in edges for edge in clip))
        if any(low > high for low, high in edges):
            raise SpecError(f"norm: a clip must be the least value, then the greatest, got {list(norm.clip)}")

    def padded_width(self) -> int:
        """Returns the tensor's columns."""
        return -(-self.width // self.width_multiple) * self.width_multiple

    def goes_all_round(self) -> bool:
        """Returns whether the column behind the last is the first."""
        return abs(self.azimuth_fov[0] - self.azimuth_fov[1]) == 360

    def fill_of(self, channel: int) -> float:
        """Returns what an empty cell of a channel, by its number, holds before `norm`."""
        return self.fill[channel] if isinstance(self.fill, tuple) else self.fill

    def dims(self) -> dict[str, int]:
        return {"C": len(self.channels), "H": self.height, "W": self.padded_width()}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"C": ("channels",), "H": ("height",), "W": ("width", "width_multiple")}.get(dim, ())


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
                "Column W/2 looks along +x and columns run clockwise, unless `azimuth_fov` says otherwise; x, y, z are "
                "in the axes that `xyz_frame` names. After RangeNet++ (Milioto et al. 2019), in float64.",
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
