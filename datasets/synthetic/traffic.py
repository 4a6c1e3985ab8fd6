"""What moves: streams of cars, trucks, cyclists and people, each stream endless in both directions.

A stream is a row of places, `gap_m` apart, that all move at one speed, so nobody ever runs into another; each
place sways slowly about its own. Place n of a stream is the same thing at every moment: that is its track.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix

from . import chance
from .course import Course, Motion
from .layout import BIKE_EDGE_M, LANE_M, PARKING_EDGE_M
from .solids import Things
from .trig import cosine, sine

__all__ = ["ego_motion", "look", "moving_things"]


_BIKE_M = 0.5 * (BIKE_EDGE_M + PARKING_EDGE_M)
_TURN_RAD = 6.283185307179586


class _Stream(NamedTuple):
    name: str
    across_m: float
    speed_mps: float
    """Against the street where negative."""
    gap_m: float
    share: float
    """Share of places that are taken."""
    trucks: float
    sway_m: float
    category: int = 0


_STREAMS = (
    _Stream("right_outer", -1.5 * LANE_M, 10.0, 32.0, 0.8, 0.12, 1.5),
    _Stream("right_inner", -0.5 * LANE_M, 12.5, 38.0, 0.75, 0.15, 1.5),
    _Stream("left_inner", 0.5 * LANE_M, -11.5, 38.0, 0.75, 0.15, 1.5),
    _Stream("left_outer", 1.5 * LANE_M, -9.0, 34.0, 0.75, 0.12, 1.5),
    _Stream("right_bike", -_BIKE_M, 4.6, 27.0, 0.55, 0.0, 0.8, 3),
    _Stream("left_bike", _BIKE_M, -4.2, 27.0, 0.55, 0.0, 0.8, 3),
    _Stream("right_walk", -12.4, 1.3, 9.0, 0.45, 0.0, 0.4, 2),
    _Stream("right_stroll", -13.4, -1.1, 11.0, 0.4, 0.0, 0.3, 2),
    _Stream("left_walk", 12.4, -1.35, 9.0, 0.45, 0.0, 0.4, 2),
    _Stream("left_stroll", 13.4, 1.05, 11.0, 0.4, 0.0, 0.3, 2),
)


class _Columns(NamedTuple):
    """The numbers of the streams, (streams,) each."""

    across_m: Matrix
    speed_mps: Matrix
    gap_m: Matrix
    share: Matrix
    trucks: Matrix
    sway_m: Matrix
    category: NDArray[np.int64]


_COLUMNS = _Columns(*(np.array(column) for column in zip(*(stream[1:] for stream in _STREAMS), strict=True)))
_SWAY_RADPS = 0.4
_JITTER = 0.36
"""Share of the gap; the ego's own place, number 0 of the first stream, has none."""

_SIZE_LOW = np.array([[4.1, 1.72, 1.42], [7.2, 2.3, 2.9], [0.52, 0.52, 1.55], [1.65, 0.56, 1.62]])
_SIZE_HIGH = np.array([[4.9, 1.92, 1.68], [9.8, 2.5, 3.6], [0.68, 0.68, 1.9], [1.85, 0.68, 1.82]])
_COLOURS = np.array(
    [
        [[190, 30, 35], [30, 70, 160], [235, 235, 235], [40, 42, 46], [150, 152, 156], [30, 110, 70], [225, 160, 30]],
        [
            [225, 225, 220],
            [200, 120, 40],
            [60, 90, 150],
            [235, 235, 235],
            [120, 40, 40],
            [190, 190, 195],
            [70, 110, 80],
        ],
        [[180, 40, 60], [60, 80, 140], [200, 190, 160], [50, 50, 60], [90, 130, 80], [220, 140, 60], [130, 80, 140]],
        [[230, 90, 40], [40, 120, 200], [220, 220, 60], [190, 40, 80], [60, 160, 90], [90, 90, 100], [200, 200, 200]],
    ],
    dtype=np.float64,
)


def look(category: NDArray[np.int8], start: int, counters: tuple[NDArray[np.int64], ...]) -> tuple[Matrix, Matrix]:
    """Returns the size (n, 3) and colour (n, 3) of things: chance, the same for the same counters."""
    grow = np.stack([chance.uniform(start, *counters, 10 + i) for i in range(3)], axis=-1)
    grow[category == 2, 1] = grow[category == 2, 0]  # people are round
    size = _SIZE_LOW[category] + (_SIZE_HIGH - _SIZE_LOW)[category] * grow
    pick = (chance.uniform(start, *counters, 13) * _COLOURS.shape[1]).astype(np.intp)
    return size, _COLOURS[category, pick]


def moving_things(course: Course, seed: int, time_s: float, low_m: float, high_m: float) -> Things:
    """Returns everything that moves between two places along the street, `time_s` after the drive's start."""
    start = chance.key(seed, 2)
    stream, place = _places(time_s, low_m, high_m)
    taken = chance.uniform(start, stream, place, 0) < _COLUMNS.share[stream]
    taken &= (stream != 0) | (place != 0)  # the ego's
    stream, place = stream[taken], place[taken]
    along, rate = _where(start, stream, place, np.full(len(place), time_s))
    inside = (along >= low_m) & (along <= high_m)
    stream, place, along, rate = stream[inside], place[inside], along[inside], rate[inside]
    truck = chance.uniform(start, stream, place, 1) < _COLUMNS.trucks[stream]
    category = np.where(truck, 1, _COLUMNS.category[stream]).astype(np.int8)
    size, colour = look(category, start, (stream, place))
    direction = np.where(_COLUMNS.speed_mps[stream] > 0, 1.0, -1.0)
    motion = course.travel(along, rate, _COLUMNS.across_m[stream], direction)
    names = np.array([f"{_STREAMS[s].name}:{n}" for s, n in zip(stream, place, strict=True)], dtype=np.str_)
    return Things(category, motion, size, colour, names)


def _places(time_s: float, low_m: float, high_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the stream and the number of every place that may be between two points along the street."""
    first = np.floor((low_m - _COLUMNS.speed_mps * time_s) / _COLUMNS.gap_m).astype(np.int64) - 1
    last = np.ceil((high_m - _COLUMNS.speed_mps * time_s) / _COLUMNS.gap_m).astype(np.int64) + 1
    streams = np.arange(len(_STREAMS), dtype=np.int64)
    place = np.concatenate([np.arange(a, b + 1, dtype=np.int64) for a, b in zip(first, last, strict=True)])
    return np.repeat(streams, last - first + 1), place


def _where(start: int, stream: NDArray[np.int64], place: NDArray[np.int64], time_s: Matrix) -> tuple[Matrix, Matrix]:
    """Returns how far along the street each place is, and how fast that grows."""
    jitter = np.where(place == 0, 0.0, (chance.uniform(start, stream, place, 2) - 0.5) * _JITTER)
    phase = _SWAY_RADPS * time_s + _TURN_RAD * chance.uniform(start, stream, place, 3)
    speed, sway = _COLUMNS.speed_mps[stream], _COLUMNS.sway_m[stream]
    along = _COLUMNS.gap_m[stream] * (place + jitter) + speed * time_s + sway * sine(phase)
    return along, speed + sway * _SWAY_RADPS * cosine(phase)


def ego_motion(course: Course, seed: int, time_s: Matrix) -> tuple[Motion, Matrix]:
    """Returns the ego's motion at times (n,), and how far along the street it is (n,)."""
    own = np.zeros(len(time_s), dtype=np.int64)
    along, rate = _where(chance.key(seed, 2), own, own, time_s)
    return course.travel(along, rate, _STREAMS[0].across_m), along
