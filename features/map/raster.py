"""map_raster: the map's layers on a grid."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..birds_eye import birds_eye_axes
from ..checks import finite
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .layers import check_layers, terms_of
from .presets import RASTER
from .square import SquareParams

__all__ = ["GROUPS", "RasterParams"]

_DEFAULT = (
    "drivable_area",
    "lane",
    "crossing",
    "walkway",
    "stop_line",
    "carpark_area",
    "lane_divider",
    "road_divider",
    "intersection",
)


class RasterParams(SquareParams, frozen=True, kw_only=True):
    layers: Annotated[
        tuple[str, ...],
        About(
            "The channels, each a layer of the map, or several in one: lane_divider+road_divider; where layers overlap "
            "the last counts, and each may have a value of its own instead of 1: lane+stop_line*0.5. docs/maps.md "
            "lists the names. Of a layer that the log's map does not have the cells are empty; where it has none of "
            "a channel's layers, `required` makes that an error. A name that no map has is an error."
        ),
    ] = _DEFAULT
    rule: Annotated[
        Literal["center", "cv2"],
        About(
            "Which cells belong to a shape. center: those whose centre is inside (even-odd, the lower edges belong to "
            "it and the upper ones do not, what lies in a hole does not), and those whose centre is within line_width "
            "/ 2 of a line. cv2: as nuscenes-devkit draws with OpenCV: corners rounded to whole cells, and the outline "
            "belongs to the shape; lines two cells thick between corners that are cut to whole cells; a hole "
            "takes away what was drawn before, with its outline."
        ),
    ] = "center"
    line_width: Annotated[float, About("How wide lines are, by the rule center.", "m")] = 0.3
    values: Annotated[
        Literal["0/1", "-1/+1"], About("Outside and inside; -1/+1 as float32: a value v of a layer becomes 2 v - 1.")
    ] = "0/1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)
        finite("line_width", (self.line_width,))
        if self.line_width <= 0:
            raise SpecError(f"line_width must be above 0, got {self.line_width:g}")

    def channels_count(self) -> int:
        return len(self.layers)

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("layers",) if dim in ("C", "L") else super().decided_by(dim)

    def dims(self) -> dict[str, int]:
        return {**super().dims(), "L": len(self.layers)}

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers from 0 on, which uint8 can hold."""
        return self.values == "0/1" and all(term.value == 1 for own in self.layers for term in terms_of(own))


GROUPS = (
    Group(
        name="map_raster",
        params=RasterParams(),
        drawing=drawings.birds_eye,
        presets=RASTER,
        features=(
            Feature(
                name="map_raster",
                dtypes=("uint8", "float32"),
                shape=birds_eye_axes,
                units="ratio",
                frame="reference",
                prose="The map's layers, one channel for each of `layers`: by default 1 in the cells of its areas and "
                "lines, 0 elsewhere, and where the log has no map.",
            ),
            Feature(
                name="map_raster_valid",
                dtypes=("uint8",),
                shape=("L",),
                units="flag",
                frame="none",
                prose="Per channel, whether the log's map has its layer, of several any; a layer with nothing in it "
                "here counts too.",
            ),
        ),
    ),
)
