"""Which agents a frame has, in which order, and which rows of the tracks are theirs."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.agent import AgentsParams
from perceptum.inputs import Frame

from ..reference import Reference
from ..sample import Sample
from ..stage import Stage, Stages
from .tracks import EGO, Tracks

__all__ = ["Agents"]


class Agents(Stage):
    """Yields the agents of a frame: shared by what is said of their past, and by their trajectories to learn."""

    def __init__(self, params: AgentsParams, reference: ReferenceParams, required: bool, stages: Stages) -> None:
        super().__init__()
        self.title = f"up to {params.max_agents} agents"
        self.params, self._required = params, required
        self.reference = stages.share(Reference, reference)
        self.tracks = stages.share(Tracks, params.tracks(), 0, params.dt)
        if params.include_ego != "no":
            self.tracks.want_ego()
        # weak: a lane that waits for its next frame must not keep the last one's records
        self._frame: weakref.ref[Frame] | None = None
        self.n = 0
        self.key: NDArray[np.int64] = np.zeros(0, np.int64)
        """(n,) of the tracks' keys."""
        self.kind: NDArray[np.int32] = np.zeros(0, np.int32)
        """(n,) classes."""
        self.label: NDArray[np.int32] = np.zeros(0, np.int32)
        """(n,) which box of the frame's labels; -1 for none."""
        self.table: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        """(n, steps) rows of the tracks, -1 where an agent is not seen."""

    def run(self, sample: Sample) -> None:
        tracks, params = self.tracks, self.params
        tracks.report_no_labels(sample.frame, self._required)
        chosen = self._chosen()
        self.dropped = {"agents over max_agents": max(len(chosen) - params.max_agents, 0)}
        chosen = chosen[: params.max_agents]
        self.n, self.key, self.kind = len(chosen), tracks.key[chosen], tracks.kind[chosen]
        # where labels are a little older, or an agent is not seen now, the box is one of an earlier frame
        own = (tracks.step[chosen] == tracks.steps - 1) & (tracks.times_s[-1] == 0)
        self.label = np.where(own, tracks.label[chosen], np.int32(-1))
        self.table = self.rows_in(tracks)
        if params.select == "trailing":
            seen = np.logical_and.accumulate((self.table >= 0)[:, ::-1], axis=1)[:, ::-1]
            self.table[~seen] = -1

    def rows_in(self, tracks: Tracks) -> NDArray[np.int64]:
        """Returns (n, steps) int64: which rows of these or other tracks are the agents' at each step; -1 for none."""
        table = np.full((self.n, tracks.steps), -1, np.int64)
        if self.n and tracks.n:
            order = np.argsort(self.key)
            place = np.minimum(np.searchsorted(self.key[order], tracks.key), self.n - 1)
            agent = order[place]
            rows = np.flatnonzero(self.key[agent] == tracks.key)[::-1]
            # backwards: of two rows of one agent and step the first stays
            table[agent[rows], tracks.step[rows]] = rows
        return table

    def _chosen(self) -> NDArray[np.int64]:
        """Returns the rows of the tracks at which each agent was seen last, in the agents' order."""
        tracks, params = self.tracks, self.params
        rows = self._last_seen() if params.select == "ever" else self._now()
        is_ego = tracks.key[rows] == EGO
        if params.include_ego == "no":
            rows, is_ego = rows[~is_ego], is_ego[~is_ego]
        places = self.reference.places(tracks.vectors[rows, 0])
        x, y = places[:, 0], places[:, 1]
        distance = np.hypot(x, y)
        kept = tracks.kind[rows] >= 0
        if params.radius is not None:
            kept &= distance <= params.radius
        if params.range is not None:
            x_min, y_min, x_max, y_max = params.range
            kept &= (x >= x_min) & (x < x_max) & (y >= y_min) & (y < y_max)
        if params.include_ego == "first":
            kept |= is_ego
            distance[is_ego] = -1.0
        rows, distance = rows[kept], distance[kept]
        return rows[np.argsort(distance, kind="stable")]

    def _now(self) -> NDArray[np.int64]:
        """Returns the rows of the last step, by track id, the vehicle first."""
        tracks = self.tracks
        rows = np.arange(tracks.starts[-2], tracks.starts[-1])
        # the vehicle's rows come last, the newest at the end
        if tracks.n > tracks.starts[-1] and tracks.step[-1] == tracks.steps - 1:
            rows = np.append(tracks.n - 1, rows)
        return _first_of_each(rows, tracks.key[rows])

    def _last_seen(self) -> NDArray[np.int64]:
        """Returns the last row of each agent, by track id, the vehicle first."""
        tracks = self.tracks
        # the last step first; within a step the first row of an agent is its row
        rows = np.lexsort((np.arange(tracks.n), -tracks.step))
        rows = _first_of_each(rows, tracks.key[rows])
        names = np.array([tracks.name(int(row)) for row in rows], dtype=np.str_)
        return rows[np.argsort(names, kind="stable")]


def _first_of_each(rows: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the rows whose key no row before has."""
    _, first = np.unique(key, return_index=True)
    return rows if len(first) == len(rows) else rows[np.sort(first)]
