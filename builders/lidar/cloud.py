"""The point cloud of a frame: sweeps in one frame of reference. Shared by every feature with the same cloud."""

from __future__ import annotations

from collections.abc import Iterable

from perceptum.features.lidar import CloudParams, PointColumn
from perceptum.inputs import Frame, LidarSweep

from ..columns import Column, Columns, Move, Recorded, Rules
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
        self.points = Columns(stages)
        # several records are read side by side
        self._each = stages.each if stages.threads > 1 and params.num_sweeps > 1 else None
        self._absence = Absence(params.required, self.title, stages)
        reference = stages.share(Reference, params.frame)
        self.needs = (reference,)
        self._placing = Placing(reference, params.compensate == "per_point")
        drop_intensity = params.nonfinite_features == "drop"
        self._rules = Rules(params.remove_close, drop_intensity, params.intensity_mode)

    @property
    def nbytes(self) -> int:
        return self.points.nbytes

    def want(self, columns: Iterable[PointColumn]) -> None:
        """Says at planning time which columns are needed; the others are left alone."""
        self.points.want(columns)

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        self.points.load([self._load(frame, sweep) for sweep in self._sweeps(frame)], self._rules)
        self.dropped = {"non-finite points": self.points.nonfinite}

    def _sweeps(self, frame: Frame) -> list[LidarSweep]:
        p = self.params
        names = p.sensors if p.sensors is not None else tuple(frame.log.source.lidars)
        sweeps = [sweep for name in names for sweep in frame.sweeps(p.num_sweeps, name, self._each)]
        if not sweeps:
            self._absence.report(frame, ", ".join(names) or "any lidar")
        return sorted(sweeps, key=lambda sweep: -sweep.time_ns)

    def _load(self, frame: Frame, sweep: LidarSweep) -> tuple[Recorded, Move, int]:
        # the lag is per point where its time is known, whoever compensated the motion; else the sweep's
        lag_per_point = self.params.compensate == "per_point" and Column.TIME_LAG in self.points.wanted
        recorded = Recorded(sweep, with_times=lag_per_point or self._placing.per_point(sweep))
        move = self._placing.move(frame, recorded, self._rules, self.points.work())
        return recorded, move, frame.time_ns - sweep.time_ns
