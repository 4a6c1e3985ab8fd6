"""map_rgb: the map as a coloured picture."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .. import drawings
from ..checks import finite
from ..errors import SpecError
from ..feature import Axes, Feature
from ..group import Group
from ..parameter import About
from .layers import check_names, terms_of
from .presets import RGB
from .square import SquareParams

__all__ = ["GROUPS", "Paint", "RgbParams"]

_MOST_SAMPLES = 8


class Paint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is painted over what is there: a layer, in one colour."""

    layer: Annotated[str, About("A layer of the map, as in map_raster's `layers`, or several with + between.")]
    color: Annotated[
        tuple[int, int, int] | Literal["heading"],
        About(
            "Red, green and blue, from 0 to 255; heading, of lines: each piece by its direction, the hue 180 degrees "
            "less its angle from the x axis to the y axis, as nuScenes' prediction colours lanes. A line of one point "
            "has none, and is not painted."
        ),
    ]
    draw: Annotated[
        Literal["shape", "outline"], About("shape: areas are filled; outline: only the line around them.")
    ] = "shape"
    line_width: Annotated[float, About("How wide lines and outlines are.", "m")] = 0.5

    def __post_init__(self) -> None:
        terms = terms_of(self.layer)
        check_names("paints", (term.layer for term in terms))
        if any(term.value != 1 for term in terms):
            raise SpecError(f"paints: {self.layer!r} cannot have values of its own, its color says them")
        if not isinstance(self.color, str) and not all(0 <= part <= 255 for part in self.color):
            raise SpecError(f"paints: a color has numbers from 0 to 255, got {list(self.color)}")
        finite("paints: line_width", (self.line_width,))
        if self.line_width <= 0:
            raise SpecError(f"paints: line_width must be above 0, got {self.line_width:g}")


_WHITE, _GREY, _BLUE = (255, 255, 255), (119, 136, 153), (0, 0, 255)


class RgbParams(SquareParams, frozen=True, kw_only=True):
    background: Annotated[tuple[int, int, int], About("The colour where nothing is painted.")] = (0, 0, 0)
    paints: Annotated[tuple[Paint, ...], About("What is painted, one over the other.")] = (
        Paint("drivable_area", _WHITE),
        Paint("crossing", _GREY),
        Paint("walkway", _BLUE),
        Paint("lane_centerline", "heading"),
    )
    samples: Annotated[
        int,
        About(
            "How many places along each edge of a cell are looked at. 1: its centre alone; 4: sixteen, whose colours "
            "are averaged, so that edges are smooth. At most 8.",
            "count",
            least=1,
        ),
    ] = 1
    values: Annotated[Literal["0-255", "0-1"], About("How bright white is; uint8 is always from 0 to 255.")] = "0-255"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.paints:
            raise SpecError("paints must be one or more, got none")
        if not all(0 <= part <= 255 for part in self.background):
            raise SpecError(f"background has numbers from 0 to 255, got {list(self.background)}")
        if self.samples > _MOST_SAMPLES:
            raise SpecError(f"samples must be at most {_MOST_SAMPLES}, got {self.samples}")

    def channels_count(self) -> int:
        return 3


def rgb_axes(params: RgbParams) -> Axes:
    """Returns the axes of a picture."""
    return tuple(3 if axis == "C" else axis for axis in params.bev_layout)


GROUPS = (
    Group(
        name="map_rgb",
        params=RgbParams(),
        drawing=drawings.birds_eye,
        presets=RGB,
        features=(
            Feature(
                name="map_rgb",
                dtypes=("uint8", "float32"),
                shape=rgb_axes,
                units="none",
                frame="reference",
                prose="The map as a picture: `paints` one over the other, red, green and blue. Which cells a shape "
                "covers is map_raster's rule center; the background where the log has no map.",
            ),
        ),
    ),
)
