"""The point cloud of a frame: sweeps in one frame of reference. Shared by every feature with the same cloud."""

from __future__ import annotations

from collections.abc import Iterable

from perceptum.features.lidar import CloudParams, PointColumn
from perceptum.inputs import Frame, LidarSweep

from ..columns import Column, Columns
from ..kernels.cloud import lag_per_point
from ..reference import Reference
from ..sample import Sample
from ..stage import Stage, Stages
from .absence import Absence
from .placing import Placing

__all__ = ["Cloud"]


class Cloud(Stage):
    """Columns of all points, newest sweep first, in the order of the record."""

    def __init__(self, params: CloudParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"cloud ({params.num_sweeps} sweep{'s' if params.num_sweeps > 1 else ''}, {params.frame} frame)"
        self.params = params
        self.points = Columns()
        self._absence = Absence(params.required)
        reference = stages.share(Reference, params.frame)
        self.needs = (reference,)
        self._placing = Placing(reference, params.compensate == "per_point")

    @property
    def nbytes(self) -> int:
        return self.points.nbytes

    def want(self, columns: Iterable[PointColumn]) -> None:
        """Tells at planning time which columns are needed; the others are left alone."""
        self.points.wanted.update(Column[name.upper()] for name in columns)

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        sweeps = self._sweeps(frame)
        self.points.start(sum(len(sweep) for sweep in sweeps))
        for sweep in sweeps:
            self._add(frame, sweep)
        self.dropped = {"non-finite points": self.points.nonfinite}

    def _sweeps(self, frame: Frame) -> list[LidarSweep]:
        p = self.params
        names = p.sensors if p.sensors is not None else tuple(frame.log.source.lidars)
        sweeps = [sweep for name in names for sweep in frame.sweeps(p.num_sweeps, name)]
        if not sweeps:
            self._absence.tell(frame, ", ".join(names) or "any lidar")
        return sorted(sweeps, key=lambda sweep: -sweep.time_ns)

    def _add(self, frame: Frame, sweep: LidarSweep) -> None:
        p, points = self.params, self.points
        start, n = points.append(sweep, p.remove_close, p.nonfinite_features == "drop")
        if Column.INTENSITY in points.wanted:
            points.scale_intensity(sweep, p.intensity_mode, start, n)
        if Column.TIME_LAG in points.wanted:
            self._write_lag(frame.time_ns - sweep.time_ns, sweep, start, n)
        self._placing.place(frame, sweep, points, start, n)

    def _write_lag(self, lag_ns: int, sweep: LidarSweep, start: int, n: int) -> None:
        """Per point where its time is known, whoever compensated the motion; else the sweep's."""
        points = self.points
        if self.params.compensate == "per_point" and sweep.offset_ns is not None:
            lag_per_point(start, n, lag_ns, points.offsets_ns, points.block)
        else:
            points.block[Column.TIME_LAG, start : start + n] = lag_ns * 1e-9
