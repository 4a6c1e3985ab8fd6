"""Moving a sweep's points from where they were measured into the frame of reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..columns import STAY, Move, Recorded, Rules, Work
from ..kernels import load as kernels
from ..motion import ref_from_sensors
from ..reference import Reference

__all__ = ["Placing", "check_times"]

_KNOT_NS = 250_000
_FARTHEST_NS = 10_000_000_000
_NEVER_FAR = (np.dtype(np.int32), np.dtype(np.uint16), np.dtype(np.int16), np.dtype(np.uint8), np.dtype(np.int8))
_EYE = np.eye(4)


class Placing:
    """Into a frame of reference at the reference time; per point, or per sweep."""

    def __init__(self, reference: Reference, per_point: bool) -> None:
        self._reference = reference
        self._per_point = per_point

    def per_point(self, sweep: LidarSweep) -> bool:
        """Whether this sweep's points are moved each by its own time: the log has it, and nobody did it before."""
        return self._per_point and sweep.offset_ns is not None and sweep.compensated_to_ns is None

    def move(self, frame: Frame, recorded: Recorded, rules: Rules, work: Work) -> Move:
        """Returns how the points of a sweep move, of those that the rules keep."""
        return self.moves(frame, [recorded], rules, work)[0]

    def moves(self, frame: Frame, several: Sequence[Recorded], rules: Rules, work: Work) -> list[Move]:
        """The same for several sweeps, whose poses are looked up together."""
        found = [self._move(frame, recorded, rules, work) for recorded in several]
        asked = [(move.times_ns, move.ego_from_sensor) for move in found if isinstance(move, _ByPoses)]
        paths = iter(ref_from_sensors(frame.poses, frame.time_ns, asked, self._reference.ref_from_ego) if asked else ())
        return [move.along(next(paths)) if isinstance(move, _ByPoses) else move for move in found]

    def _move(self, frame: Frame, recorded: Recorded, rules: Rules, work: Work) -> Move | _ByPoses:
        sweep = recorded.sweep
        if len(sweep) == 0:
            return STAY
        if not self.per_point(sweep):
            check_times(recorded, rules, work)
            return self._all(frame, sweep)
        span_ns = recorded.span_ns(rules, work)
        return STAY if span_ns is None else _each(sweep, *span_ns)

    def _all(self, frame: Frame, sweep: LidarSweep) -> Move | _ByPoses:
        time_ns = sweep.time_ns if sweep.compensated_to_ns is None else sweep.compensated_to_ns
        if time_ns != frame.time_ns:
            return _ByPoses(kernels.MOVE, [time_ns], sweep.ego_from_sensor)
        if self._in_place(frame, sweep):
            return STAY
        # the mount as it is, where no product is needed
        mount = sweep.ego_from_sensor
        whole = mount if self._reference.is_ego else self._reference.ref_from_ego @ mount
        return Move(kernels.MOVE, whole[None, :3])

    def _in_place(self, frame: Frame, sweep: LidarSweep) -> bool:
        """Whether the points already stand in the frame of reference: then no arithmetic touches them."""
        if self._reference.change is not None:
            return False
        if not self._reference.is_ego:
            return self._reference.params.frame == "lidar" and sweep is frame.lidar
        return np.array_equal(sweep.ego_from_sensor, _EYE)


@dataclass(frozen=True, eq=False)
class _ByPoses:
    """A move of which only the times are known yet, one for each knot."""

    how: int
    times_ns: Sequence[int]
    ego_from_sensor: NDArray[np.float64]
    first_ns: int = 0
    step_ns: float = 1.0

    def along(self, knots: NDArray[np.float64]) -> Move:
        return Move(self.how, knots, self.first_ns, self.step_ns)


def _each(sweep: LidarSweep, first_ns: int, last_ns: int) -> _ByPoses:
    _check_offsets(sweep, first_ns, last_ns)
    steps = max(-((first_ns - last_ns) // _KNOT_NS), 1)
    # none beyond the last point, where a pose may not be known
    times_ns = (np.linspace(first_ns, last_ns, steps + 1).astype(np.int64) + sweep.time_ns).tolist()
    step_ns = max((last_ns - first_ns) / steps, 1.0)
    return _ByPoses(kernels.EACH, times_ns, sweep.ego_from_sensor, first_ns, step_ns)


def check_times(recorded: Recorded, rules: Rules, work: Work) -> None:
    """Raises BrokenRecord where the points' ages, which are worked out from their offsets, would be nonsense."""
    sweep = recorded.sweep
    # those in 32 bits cannot be far
    if not recorded.with_times or sweep.offset_ns is None or sweep.offset_ns.dtype in _NEVER_FAR:
        return
    span_ns = recorded.span_ns(rules, work)
    if span_ns is not None:
        _check_offsets(sweep, *span_ns)


def _check_offsets(sweep: LidarSweep, first_ns: int, last_ns: int) -> None:
    if first_ns < -_FARTHEST_NS or last_ns > _FARTHEST_NS:
        raise BrokenRecord(
            f"{sweep.source or sweep.sensor}: the points' offset_ns go from {first_ns} to {last_ns}, wanted at most "
            f'{_FARTHEST_NS // 10**9} s from the sweep\'s stamp; take compensate "per_sweep" to do without them'
        )
