"""map_ground_height and map_ground_mask."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .presets import GROUND
from .square import SquareParams, one_channel

__all__ = ["GROUPS", "GroundHeightParams"]


class GroundHeightParams(SquareParams, frozen=True, kw_only=True):
    interpolation: Annotated[
        Literal["nearest", "bilinear"],
        About(
            "How the map's ground is read at a cell's centre. nearest: the ground cell that it is in; bilinear: "
            "between the four nearest middles of ground cells, of which unknown ones are left out. By both, what lies "
            "in an unknown ground cell is unknown."
        ),
    ] = "nearest"
    relative_to: Annotated[
        Literal["ego_ground", "reference"],
        About(
            "ego_ground: how much higher than the ground below the vehicle's origin, or, where that is not known, than "
            "level ground by `ground_z`; reference: its z in the axes of `frame`."
        ),
    ] = "ego_ground"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relative_to == "reference" and self.frame == "ego_ground":
            raise SpecError(
                'relative_to "reference" is 0 everywhere in the frame "ego_ground"; take relative_to "ego_ground", or '
                'frame "ego"'
            )


GROUPS = (
    Group(
        name="map_ground",
        params=GroundHeightParams(),
        drawing=drawings.birds_eye,
        presets=GROUND,
        features=(
            Feature(
                name="map_ground_height",
                dtypes=("float32",),
                shape=one_channel,
                units="m",
                frame="reference",
                prose="The height of the map's ground at the centre of each cell, counted from where `relative_to` "
                "says; 0 where it is not known.",
            ),
            Feature(
                name="map_ground_mask",
                dtypes=("uint8",),
                shape=one_channel,
                units="flag",
                frame="reference",
                prose="Whether the ground's height is known there.",
            ),
        ),
    ),
)
