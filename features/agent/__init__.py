"""The agent family: what each tensor is. How they are made is in builders/agent, file by file the same."""

from ..group import Group
from . import history, raster
from .agents import AgentGroupParams, AgentsParams, LabelledParams, TracksParams
from .history import AgentColumn, AgentHistoryParams
from .raster import AgentRasterParams

__all__ = [
    "GROUPS",
    "AgentColumn",
    "AgentGroupParams",
    "AgentHistoryParams",
    "AgentRasterParams",
    "AgentsParams",
    "LabelledParams",
    "TracksParams",
]

GROUPS: tuple[Group, ...] = (*history.GROUPS, *raster.GROUPS)
