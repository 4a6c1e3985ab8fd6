"""The boxes of a whole log in one table, handed out by time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Labels, Matrix, Times

__all__ = ["LabelTable"]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """All boxes of a log; the columns are those of `Labels`."""

    times_ns: Times
    """(N,) ascending."""
    boxes: Matrix
    """(N, 7)"""
    velocity: Matrix
    """(N, 2) along the ego frame's axes, or the world's."""
    category: NDArray[np.str_]
    track_id: NDArray[np.str_]
    num_points: NDArray[np.int64]

    def by_time(self) -> Self:
        """Returns the same boxes in the order of their times; those of one time stay as they were."""
        order = np.argsort(self.times_ns, kind="stable")
        return type(self)(**{column.name: getattr(self, column.name)[order] for column in fields(self)})

    def spans(self, time_ns: int) -> bool:
        """Whether the time is between the first box and the last, both included."""
        return len(self.times_ns) > 0 and bool(self.times_ns[0] <= time_ns <= self.times_ns[-1])

    def at(self, time_ns: int, world_from_ego: Matrix | None = None) -> Labels:
        """Returns the boxes at exactly this time, an empty set where there are none.

        `world_from_ego` turns velocities that are stored along the world's axes.
        """
        first, end = (int(np.searchsorted(self.times_ns, time_ns, side=side)) for side in ("left", "right"))
        rows = slice(first, end)
        velocity = self.velocity[rows]
        if world_from_ego is not None:
            in_world = np.column_stack([velocity, np.zeros(end - first)])
            velocity = (in_world @ world_from_ego[:3, :3])[:, :2]
        return Labels(
            time_ns=time_ns,
            boxes=self.boxes[rows],
            category=self.category[rows],
            track_id=self.track_id[rows],
            velocity=velocity,
            num_points=self.num_points[rows],
        )
