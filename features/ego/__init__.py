"""The ego family: what each tensor is. How they are made is in builders/ego, file by file the same."""

from . import motion, pose, reference, state
from .motion import EgoMotionParams
from .pose import EgoParams
from .reference import EgoReferenceParams
from .state import EgoStateParams, StateColumn

__all__ = ["GROUPS", "EgoMotionParams", "EgoParams", "EgoReferenceParams", "EgoStateParams", "StateColumn"]

GROUPS = (*pose.GROUPS, *motion.GROUPS, *state.GROUPS, *reference.GROUPS)
