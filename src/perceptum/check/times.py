"""What the times and the poses of a log say: order, gaps, sensors that fall silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from perceptum.inputs import LogError, Source, Times
from perceptum.inputs.source import sensor_streams
from perceptum.plural import counted

__all__ = ["Gaps", "gap_lines", "gaps_of", "pose_problems", "time_problems"]


_GAP = 1.75
"""In usual steps: from here on a record is missing between two."""
_EARLY_S = 1.0


class Gaps(NamedTuple):
    """Where a sensor's records are further apart than usual."""

    wide: int
    missing: int
    """Records that would fill them."""
    longest_s: float
    after_ns: int
    """The record before the longest."""


def gaps_of(times: Times) -> Gaps | None:
    """Returns the steps above 1.75 times the median step; None where there are none or too few records."""
    if len(times) < 3:
        return None
    steps = np.diff(times)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > _GAP * usual) if usual > 0 else np.zeros(0, np.intp)
    if len(wide) == 0:
        return None
    missing = int(np.maximum(np.rint(steps[wide] / usual) - 1, 1).sum())
    at = wide[int(np.argmax(steps[wide]))]
    return Gaps(len(wide), missing, float(steps[at]) * 1e-9, int(times[at]))


def _streams(source: Source) -> dict[str, Times]:
    return {f"{kind} {sensor}": times for kind, sensor, times in sensor_streams(source)}


def time_problems(source: Source) -> Iterator[tuple[str, str]]:
    """Yields kind and line: times that do not increase, gaps, sensors without records or with a part only."""
    if len(source.times_ns) == 0:
        yield "times", "no frames"
    for name, times in {"frames": source.times_ns, **_streams(source)}.items():
        if times.dtype != np.int64:
            yield "times", f"{name}: times are {times.dtype}, wanted int64 nanoseconds"
            continue
        falls = np.flatnonzero(times[1:] <= times[:-1])
        if len(falls):
            a, b = int(times[falls[0]]), int(times[falls[0] + 1])
            first = f"first record {falls[0]} at {a} ns, then record {falls[0] + 1} at {b} ns"
            yield "times", f"{name}: {len(falls)} of {len(times)} times do not increase, {first}"
        elif source.sequential:
            yield from (("times", f"{name}: {line}") for line in gap_lines(times))
    if source.sequential and len(source.times_ns):
        yield from (("sensors", line) for line in _silent(source))


def gap_lines(times: Times) -> Iterator[str]:
    gaps = gaps_of(times)
    if gaps is not None:
        yield (
            f"{counted(gaps.wide, 'gap')}, with about {counted(gaps.missing, 'record')} missing, "
            f"the longest {gaps.longest_s:.3f} s after {gaps.after_ns} ns"
        )


def _silent(source: Source) -> Iterator[str]:
    first, last = int(source.times_ns[0]), int(source.times_ns[-1])
    for name, times in _streams(source).items():
        if len(times) == 0:
            yield f"{name}: has no records"
            continue
        late, early = (int(times[0]) - first) * 1e-9, (last - int(times[-1])) * 1e-9
        if late > _EARLY_S:
            yield f"{name}: begins {late:.3f} s after the log's first frame"
        if early > _EARLY_S:
            yield f"{name}: ends {early:.3f} s before the log's last frame"


def pose_problems(source: Source) -> Iterator[str]:
    """Yields a line where poses cannot be read, have gaps, or do not cover the records."""
    try:
        poses = source.poses
    except LogError as error:
        yield str(error)
        return
    yield from (broken.why for broken in poses.broken)
    if not source.sequential:
        return
    steps = np.diff(poses.times_ns)
    gaps = np.flatnonzero(steps > poses.max_gap_ns)
    if len(gaps):
        at = gaps[int(np.argmax(steps[gaps]))]
        yield (
            f"{counted(len(gaps), 'gap')} longer than the {poses.max_gap_ns * 1e-9:.3f} s that are interpolated, "
            f"the longest {float(steps[at]) * 1e-9:.3f} s after {int(poses.times_ns[at])} ns"
        )
    first, last = poses.span_ns
    for name, times in {"frames": source.times_ns, **_streams(source)}.items():
        outside = int(((times < first) | (times > last)).sum())
        if outside:
            yield f"{name}: {outside} of {len(times)} records are outside the poses' span, {first} to {last} ns"
