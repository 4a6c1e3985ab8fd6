"""agent_history, agent_mask, agent_type, agent_num and agent_label_index."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..checks import distinct
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .agents import AgentGroupParams, agent_axes, agent_mask_axes
from .presets import HISTORY

__all__ = ["GROUPS", "AgentColumn", "AgentHistoryParams"]

AgentColumn = Literal[
    "x",
    "y",
    "z",
    "cos_yaw",
    "sin_yaw",
    "yaw",
    "vx",
    "vy",
    "ax",
    "ay",
    "yaw_rate",
    "length",
    "width",
    "height",
    "dx",
    "dy",
    "observed",
    "time_lag",
]


class AgentHistoryParams(AgentGroupParams, frozen=True, kw_only=True):
    columns: Annotated[tuple[AgentColumn, ...], About("What is said of an agent at each step, in order.")] = (
        *("x", "y", "z", "cos_yaw", "sin_yaw"),
        *("vx", "vy", "length", "width", "height"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)

    def dims(self) -> dict[str, int]:
        return {"A": self.agents.max_agents, "T": self.agents.num_steps, "F": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("columns",) if dim == "F" else ("agents",)


GROUPS = (
    Group(
        name="agent_history",
        params=AgentHistoryParams(),
        drawing=drawings.agent_history,
        presets=HISTORY,
        features=(
            Feature(
                name="agent_history",
                dtypes=("float32",),
                shape=agent_axes,
                units="mixed",
                frame="reference",
                prose="Where the labelled agents were at each step of the past, all in the axes at the reference time: "
                "the oldest step first, the last one now. Agents are ordered by their distance from the origin, seen "
                "from above, equal ones by their track ids; an agent is a track id in one class. 0 where it is not "
                "seen, and in the rows behind the last agent.",
            ),
            Feature(
                name="agent_mask",
                dtypes=("uint8",),
                shape=agent_mask_axes,
                units="flag",
                frame="none",
                rows_of="agent_history",
                prose="At which steps each agent of agent_history is seen.",
            ),
            Feature(
                name="agent_type",
                dtypes=("int32",),
                shape=("A",),
                units="index",
                frame="none",
                fill=-1,
                rows_of="agent_history",
                prose="The class of each agent: its number in `agents.classes`; that of the vehicle itself is the one "
                "after the last; -1 behind the last agent.",
            ),
            Feature(
                name="agent_num",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                prose="How many rows of agent_history are agents.",
            ),
            Feature(
                name="agent_label_index",
                dtypes=("int32",),
                shape=("A",),
                units="index",
                frame="none",
                fill=-1,
                rows_of="agent_history",
                prose="Which box of the frame's labels each agent of agent_history is; -1 of one that is not seen now, "
                "of the vehicle itself, and behind the last agent. So a model's answer finds its track id.",
            ),
        ),
    ),
)
