"""Moving a sweep's points from where they were measured into the frame of reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..columns import Columns
from ..kernels import cloud as kernels
from ..motion import ref_from_ego
from ..reference import Reference

__all__ = ["Placing"]

_KNOT_NS = 250_000
_FARTHEST_NS = 10_000_000_000


class Placing:
    """Into a frame of reference at the reference time; per point, or per sweep."""

    def __init__(self, reference: Reference, per_point: bool) -> None:
        self._reference = reference
        self._per_point = per_point
        self._blend = np.empty((3, 4))

    def per_point(self, sweep: LidarSweep) -> bool:
        """Whether this sweep's points are moved each by its own time: the log tells it, and nobody did it before."""
        return self._per_point and sweep.offset_ns is not None and sweep.compensated_to_ns is None

    def place(self, frame: Frame, sweep: LidarSweep, points: Columns, start: int, n: int) -> None:
        """Moves the points [start, start + n) of `points`, which are those of `sweep` as recorded."""
        if n == 0:
            return
        if self.per_point(sweep):
            self._move_each(frame, sweep, points, start, n)
        else:
            self._move_all(frame, sweep, points, start, n)

    def _move_all(self, frame: Frame, sweep: LidarSweep, points: Columns, start: int, n: int) -> None:
        time_ns = sweep.time_ns if sweep.compensated_to_ns is None else sweep.compensated_to_ns
        ego = sweep.ego_from_sensor
        if time_ns != frame.time_ns:
            ego = ref_from_ego(frame.poses, frame.time_ns, [time_ns])[0] @ ego
        elif self._in_place(frame, sweep):
            return
        kernels.move(self._into_frame(ego)[:3], *points.block[:3, start : start + n])

    def _in_place(self, frame: Frame, sweep: LidarSweep) -> bool:
        """Whether the points already stand in the frame of reference: then no arithmetic touches them."""
        if not self._reference.is_ego:
            return sweep is frame.lidar
        return np.array_equal(sweep.ego_from_sensor, np.eye(4))

    def _move_each(self, frame: Frame, sweep: LidarSweep, points: Columns, start: int, n: int) -> None:
        offsets = points.offsets_ns[start : start + n]
        first, last = int(offsets.min()), int(offsets.max())
        _check_offsets(sweep, first, last)
        steps = max(-((first - last) // _KNOT_NS), 1)
        # none beyond the last point, where a pose may not be known
        times = np.linspace(first, last, steps + 1).astype(np.int64) + sweep.time_ns
        knots = self._into_frame(ref_from_ego(frame.poses, frame.time_ns, times) @ sweep.ego_from_sensor)
        knots = np.ascontiguousarray(knots[:, :3])
        step_ns = max((last - first) / steps, 1.0)
        kernels.move_per_point(start, n, points.offsets_ns, first, step_ns, knots, self._blend, points.block)

    def _into_frame(self, ego: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns `ego` (..., 4, 4), which leads into the ego frame, leading into the frame of reference."""
        return ego if self._reference.is_ego else self._reference.ref_from_ego @ ego


def _check_offsets(sweep: LidarSweep, first_ns: int, last_ns: int) -> None:
    if first_ns < -_FARTHEST_NS or last_ns > _FARTHEST_NS:
        raise BrokenRecord(
            f"{sweep.source or sweep.sensor}: the points' offset_ns go from {first_ns} to {last_ns}, wanted at most "
            f'{_FARTHEST_NS // 10**9} s from the sweep\'s stamp; take compensate "per_sweep" to do without them'
        )
