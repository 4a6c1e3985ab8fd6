"""What is around the ego at one moment: everything rays can hit, and the labelled things among it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .course import Course, Motion, Table
from .solids import Solids, Things, join, join_things, solids_of
from .standing import parked_things, segments_between, standing_solids
from .traffic import ego_motion, moving_things

__all__ = ["Scene", "World"]

_BESIDE_M = 30.0
"""Things this far from the centre line can be as near as something further along the street."""


@dataclass(frozen=True)
class Scene:
    ego: Motion
    """(1,) of the ego frame's origin, on the ground below the rear axle."""
    things: Things
    solids: Solids
    """Their `owner` is an index into `things`."""
    table: Table


@dataclass(frozen=True, eq=False)
class World:
    """The whole street with its traffic. None of it is stored: every moment is worked out when asked for."""

    course: Course
    seed: int
    start_ns: int
    """Seconds are counted from here; the street was there before."""

    @classmethod
    def of(cls, seed: int, ground_wave_m: float, start_ns: int) -> World:
        return cls(Course.of(seed, ground_wave_m), seed, start_ns)

    def seconds(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns seconds (n,) since the start; the subtraction is of whole nanoseconds."""
        return np.asarray((times_ns - self.start_ns) * 1e-9, dtype=np.float64)

    def ego(self, times_ns: NDArray[np.int64]) -> Motion:
        """Returns the ego's motion at times (n,), local frame."""
        return ego_motion(self.course, self.seed, self.seconds(times_ns))[0]

    def along(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns how far along the street the ego is at times (n,)."""
        return ego_motion(self.course, self.seed, self.seconds(times_ns))[1]

    def scene(self, time_ns: int, reach_m: float) -> Scene:
        """Returns what is within `reach_m` of the ego, and more; things move on from `time_ns` with their velocity."""
        time_s = self.seconds(np.array([time_ns]))
        ego, along = ego_motion(self.course, self.seed, time_s)
        low, high = float(along[0]) - reach_m - _BESIDE_M, float(along[0]) + reach_m + _BESIDE_M
        parked, standing = _standing(self.course, self.seed, *segments_between(low, high))
        things = join_things([parked, moving_things(self.course, self.seed, float(time_s[0]), low, high)])
        solids = join([standing, solids_of(things)])
        return Scene(ego, things, solids, self.course.table(low - 200.0, high + 200.0))


@lru_cache(maxsize=8)
def _standing(course: Course, seed: int, first: int, last: int) -> tuple[Things, Solids]:
    """Things beside the street do not move: consecutive moments share them."""
    segments = np.arange(first, last + 1, dtype=np.int64)
    return parked_things(course, seed, segments), standing_solids(course, seed, segments)
