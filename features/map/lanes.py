"""What features of lanes share: which way a lane turns where the map does not say it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from ..checks import finite
from ..parameter import About
from .around import MapParams

__all__ = ["LaneParams"]


class LaneParams(MapParams, frozen=True, kw_only=True):
    """Which lanes turn left or right."""

    turn: Annotated[
        Literal["map", "heading", "map_or_heading"],
        About(
            "Which way a lane turns. map: as the map says it, else not at all; heading: by its centreline, of lanes in "
            "intersections only; map_or_heading: as the map says it of this lane, else by its centreline."
        ),
    ] = "map_or_heading"
    turn_angle: Annotated[
        float,
        About(
            "By its centreline a lane turns left where its heading changes by more than this from its first step to "
            "its last, all changes between added up, and by less than 135 degrees, which is a U-turn; to the right "
            "likewise.",
            "rad",
            least=0,
        ),
    ] = math.pi / 6

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("turn_angle", (self.turn_angle,))
