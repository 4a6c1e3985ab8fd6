"""The point cloud of a frame: sweeps in one frame of reference. Shared by every feature with the same cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import CloudParams
from perceptum.inputs import Frame, LidarSweep, MissingRecord
from perceptum.inputs.poses import inverse

from ..columns import INTENSITY_MODES, Column, Columns
from ..kernels import cloud as kernels
from ..motion import ref_from_ego
from ..stage import Stage, Stages

__all__ = ["Cloud"]

_KNOT_NS = 1_000_000


class Cloud(Stage):
    """Columns of all points, newest sweep first, in the order of the record."""

    def __init__(self, params: CloudParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"cloud ({params.num_sweeps} sweep{'s' if params.num_sweeps > 1 else ''}, {params.frame} frame)"
        self.params = params
        self.points = Columns()
        self._blend = np.empty((3, 4))

    @property
    def nbytes(self) -> int:
        return self.points.nbytes

    def run(self, frame: Frame) -> None:
        sweeps = self._sweeps(frame)
        self.points.start(sum(len(sweep) for sweep in sweeps))
        for sweep in sweeps:
            self._add(frame, sweep)
        self.dropped = {"non-finite points": self.points.nonfinite}

    def _sweeps(self, frame: Frame) -> list[LidarSweep]:
        p = self.params
        names = p.sensors if p.sensors is not None else tuple(frame.log.source.lidars)
        sweeps = [sweep for name in names for sweep in frame.sweeps(p.num_sweeps, name)]
        if not sweeps and p.required:
            raise MissingRecord(
                f"{frame.log.source.location}: frame {frame.index} has no sweep of {', '.join(names) or 'any lidar'}, "
                "and the spec requires one"
            )
        return sorted(sweeps, key=lambda sweep: -sweep.time_ns)

    def _add(self, frame: Frame, sweep: LidarSweep) -> None:
        p = self.params
        start, n = self.points.append(sweep, p.remove_close, p.nonfinite_features == "drop")
        kernels.scale_intensity(start, n, INTENSITY_MODES[p.intensity_mode], sweep.intensity_scale, self.points.block)
        lag_ns = frame.time_ns - sweep.time_ns
        if self._per_point(sweep):
            kernels.lag_per_point(start, n, lag_ns, self.points.offsets_ns, self.points.block)
            self._move_per_point(frame, sweep, start, n)
        else:
            self.points.block[Column.TIME_LAG, start : start + n] = lag_ns * 1e-9
            self._move(frame, sweep, start, n)

    def _per_point(self, sweep: LidarSweep) -> bool:
        timed = sweep.offset_ns is not None and sweep.compensated_to_ns is None
        return self.params.compensate == "per_point" and timed

    def _move(self, frame: Frame, sweep: LidarSweep, start: int, n: int) -> None:
        time_ns = sweep.time_ns if sweep.compensated_to_ns is None else sweep.compensated_to_ns
        moved = time_ns != frame.time_ns
        if not moved and self._in_place(frame, sweep):
            return
        ego = sweep.ego_from_sensor
        if moved:
            ego = ref_from_ego(frame.poses, frame.time_ns, [time_ns])[0] @ ego
        kernels.move(start, n, self._into_frame(frame, ego)[:3], self.points.block)

    def _in_place(self, frame: Frame, sweep: LidarSweep) -> bool:
        """Whether the points already stand in the frame of reference: then no arithmetic touches them."""
        if self.params.frame == "lidar":
            return sweep is frame.lidar
        return np.array_equal(sweep.ego_from_sensor, np.eye(4))

    def _move_per_point(self, frame: Frame, sweep: LidarSweep, start: int, n: int) -> None:
        if n == 0:
            return
        offsets = self.points.offsets_ns[start : start + n]
        first, last = int(offsets.min()), int(offsets.max())
        times = np.arange(first, last + 2 * _KNOT_NS, _KNOT_NS) + sweep.time_ns
        knots = self._into_frame(frame, ref_from_ego(frame.poses, frame.time_ns, times) @ sweep.ego_from_sensor)
        kernels.move_per_point(
            start, n, self.points.offsets_ns, first, _KNOT_NS, knots[:, :3].copy(), self._blend, self.points.block
        )

    def _into_frame(self, frame: Frame, ego: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns `ego` (..., 4, 4), which leads into the ego frame, leading into the frame of reference."""
        if self.params.frame == "ego" or frame.lidar is None:
            return ego
        return inverse(frame.lidar.ego_from_sensor) @ ego
