"""The boxes of a whole log in one table, handed out by time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Labels, Matrix, Times

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
    broken: Mapping[int, str] = field(default_factory=dict)
    """Time -> what is wrong with a box of that time, which is not among these: the others of that time are not all."""

    def by_time(self) -> Self:
        """Returns the same boxes in the order of their times; those of one time stay as they were."""
        order = np.argsort(self.times_ns, kind="stable")
        columns = [column.name for column in fields(self) if column.name != "broken"]
        return replace(self, **{name: getattr(self, name)[order] for name in columns})

    def spans(self, time_ns: int) -> bool:
        """Whether the time is between the first box and the last, both included, also of those that are broken."""
        ends = [*self.times_ns[[0, -1]].tolist()] if len(self.times_ns) else []
        ends += self.broken
        return bool(ends) and min(ends) <= time_ns <= max(ends)

    def at(self, time_ns: int, world_from_ego: Matrix | None = None) -> Labels:
        """Returns the boxes at exactly this time, an empty set where there are none.

        `world_from_ego` turns velocities that are stored along the world's axes. Raises BrokenRecord where one of them
        is broken.
        """
        if time_ns in self.broken:
            raise BrokenRecord(self.broken[time_ns])
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
