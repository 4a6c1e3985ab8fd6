"""gt_trajectory, gt_trajectory_mask, gt_ego_trajectory and gt_ego_trajectory_mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import TrajectoryParams

from ..agent.agents import Agents
from ..agent.history import by_agent
from ..agent.states import States
from ..agent.tracks import EGO, Tracks
from ..stage import Clearing, Filler, Stages
from ..written import Written

__all__ = ["Trajectory"]


class Trajectory(Filler):
    def __init__(self, params: TrajectoryParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"trajectories of agents ({params.num_future} steps)"
        self.agents = stages.share(Agents, params.agents, params.place_key(), params.required)
        self.future = stages.share(Tracks, params.agents.tracks(), params.num_future, params.dt_s)

    def want(self, feature: str, dtype: str) -> None:
        if feature.startswith("gt_ego") or self.params.agents.include_ego != "no":
            self.future.want_ego()
        if feature.startswith("gt_ego"):
            self.agents.tracks.want_ego()

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature.startswith("gt_ego"):
            past, future = (_rows_of_ego(tracks) for tracks in (self.agents.tracks, self.future))
            self._write(past, future, out[None], feature)
            return
        agents = self.agents
        rows = by_agent(out, self.params.layout)
        rows[agents.n :] = 0
        self._write(agents.table, agents.rows_in(self.future), rows[: agents.n], feature)

    def _write(self, past: NDArray[np.int64], future: NDArray[np.int64], out: NDArray[Any], feature: str) -> None:
        if feature.endswith("mask"):
            out[...] = future >= 0
            return
        parts = [(self.agents.tracks, past), (self.future, future)]
        states = States(self.agents.reference, parts, self.params.agents.velocity)
        states.write(self.params.columns, slice(past.shape[1], None), out)


def _rows_of_ego(tracks: Tracks) -> NDArray[np.int64]:
    """Returns (1, steps): the rows of the vehicle; -1 where its pose is not known."""
    table = np.full((1, tracks.steps), -1, np.int64)
    rows = np.flatnonzero(tracks.key == EGO)
    table[0, tracks.step[rows]] = rows
    return table
