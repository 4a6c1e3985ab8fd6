"""agent_history, agent_mask, agent_type, agent_num and agent_label_index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.agent import AgentHistoryParams

from ..stage import Clearing, Filler, Stages
from ..written import Written
from .agents import Agents
from .states import States

__all__ = ["AgentHistory", "by_agent"]


class AgentHistory(Filler):
    def __init__(self, params: AgentHistoryParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"history of agents ({params.agents.num_steps} steps)"
        self.agents = stages.share(Agents, params.agents, params.place_key(), params.required)

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        agents, params = self.agents, self.params
        if feature == "agent_num":
            out[...] = agents.n
            return
        if feature in ("agent_history", "agent_mask"):
            rows = by_agent(out, params.layout)
            rows[agents.n :] = 0
            if feature == "agent_mask":
                rows[: agents.n] = agents.table >= 0
            else:
                states = States(agents.reference, [(agents.tracks, agents.table)], params.agents.velocity)
                states.write(params.columns, slice(None), rows[: agents.n])
            return
        out[: agents.n] = agents.kind if feature == "agent_type" else agents.label
        out[agents.n :] = -1


def by_agent(out: NDArray[Any], layout: str) -> NDArray[Any]:
    """Returns a view whose first axis is the agents', the second the steps'."""
    return out if layout.startswith("A") else np.swapaxes(out, 0, 1)
