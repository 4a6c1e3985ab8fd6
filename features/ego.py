"""The ego vehicle: what each tensor is. How they are made is in builders/ego.py."""

from __future__ import annotations

from .feature import Feature
from .params import Params

__all__ = ["FEATURES", "EgoParams"]


class EgoParams(Params, frozen=True, kw_only=True):
    """No parameters."""


FEATURES = (
    Feature(
        name="ego_pose",
        group="ego",
        dtypes=("float64",),
        shape=(4, 4),
        units="m",
        frame="world",
        params=EgoParams(),
        prose="world_from_ego at the reference time.",
    ),
    Feature(
        name="reference_stamp",
        group="ego",
        dtypes=("int64",),
        shape=(1,),
        units="ns",
        frame="none",
        params=EgoParams(),
        prose="The frame's reference time.",
    ),
)
