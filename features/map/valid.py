"""map_valid."""

from __future__ import annotations

from ..feature import Feature
from ..group import Group
from ..params import Params

__all__ = ["GROUPS", "MapValidParams"]


class MapValidParams(Params, frozen=True, kw_only=True):
    """No parameters."""


GROUPS = (
    Group(
        name="map_valid",
        params=MapValidParams(),
        drawing="[map_valid]",
        features=(
            Feature(
                name="map_valid",
                dtypes=("uint8",),
                shape=(1,),
                units="flag",
                frame="none",
                prose="Whether the log has a map.",
            ),
        ),
    ),
)
