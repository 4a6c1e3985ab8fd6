"""ego_pose and reference_stamp."""

from __future__ import annotations

from .. import drawings
from ..feature import Feature
from ..group import Group
from ..params import Params

__all__ = ["GROUPS", "EgoParams"]


class EgoParams(Params, frozen=True, kw_only=True):
    """No parameters."""


GROUPS = (
    Group(
        name="ego",
        params=EgoParams(),
        drawing=drawings.ego_axes,
        features=(
            Feature(
                name="ego_pose",
                dtypes=("float64",),
                shape=(4, 4),
                units="m",
                frame="world",
                prose="world_from_ego at the reference time.",
            ),
            Feature(
                name="reference_stamp",
                dtypes=("int64",),
                shape=(1,),
                units="ns",
                frame="none",
                prose="The frame's reference time.",
            ),
        ),
    ),
)
