"""map_lane_direction and its mask."""

from __future__ import annotations

from typing import Annotated

from .. import drawings
from ..checks import finite
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .presets import LANE_DIRECTION
from .square import SquareParams, one_channel, two_channels

__all__ = ["GROUPS", "LaneDirectionParams"]


class LaneDirectionParams(SquareParams, frozen=True, kw_only=True):
    lane_width: Annotated[
        float,
        About(
            "How wide a lane is whose boundaries the map does not give, or which end more than 10 m from its ends, "
            "about its centreline.",
            "m",
        ),
    ] = 3.5

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("lane_width", (self.lane_width,))
        if self.lane_width <= 0:
            raise SpecError(f"lane_width must be above 0, got {self.lane_width:g}")


GROUPS = (
    Group(
        name="map_lane_direction",
        params=LaneDirectionParams(),
        drawing=drawings.birds_eye,
        presets=LANE_DIRECTION,
        features=(
            Feature(
                name="map_lane_direction",
                dtypes=("float32",),
                shape=two_channels,
                units="none",
                frame="reference",
                prose="Which way traffic runs at the centre of each cell: the cosine and the sine of the angle from "
                "the x axis to the y axis, of the nearest piece of the lane's centreline. A cell belongs to the lane "
                "between whose boundaries its centre is, of several to the first in the map's order; 0 and 0 where "
                "there is no lane.",
            ),
            Feature(
                name="map_lane_direction_mask",
                dtypes=("uint8",),
                shape=one_channel,
                units="flag",
                frame="reference",
                prose="Whether the cell's centre is in a lane.",
            ),
        ),
    ),
)
