"""The point cloud of a frame: sweeps in one frame of reference. Shared by every feature with the same cloud."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from threading import Lock
from typing import ClassVar

from perceptum.features.lidar import CloudParams, PointColumn
from perceptum.inputs import Frame, LidarSweep
from perceptum.plural import counted

from ..augment import Drawn
from ..augment.chances import NONE
from ..cells import PointStage
from ..columns import LATER, Column, Columns, Move, Recorded, Rules
from ..reference import Reference
from ..rows import Rows
from ..sample import Sample
from ..sensors import known_sensors, report_no_record, report_one_record
from ..stage import Stages
from .missing_columns import check_columns
from .placing import Placing

__all__ = ["DROPPED", "Cloud", "CloudInOrder"]

_RECORDED = {
    Column.INTENSITY: ("intensity",),
    Column.RING: ("ring",),
    Column.RANK: ("ring", "row_of_ring"),
    Column.ELONGATION: ("elongation",),
    Column.RETURN_INDEX: ("return_index",),
    Column.OFFSET_NS: ("offset_ns",),
    Column.SEMANTIC: ("point_labels",),
}
"""Column -> what it is made of, which a sweep may lack."""


DROPPED = "points dropped by augmentation"


class Cloud(PointStage):
    """Columns of all points, newest sweep first, in the order of the record; or rows, where one tensor takes all."""

    def __init__(self, params: CloudParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"cloud ({counted(params.num_sweeps, 'sweep')}, {params.frame} frame)"
        self.params = params
        self._stages = stages
        self._columns = Columns(stages)
        self._rows = Rows(stages)
        self._loading = Lock()
        # several records are read side by side
        self._each = stages.each if stages.threads > 1 and params.num_sweeps > 1 else None
        self._reference = stages.share(Reference, params.reference())
        self.needs = (self._reference,)
        self._placing = Placing(self._reference, params.compensate == "per_point")
        # what is counted from the ground moves between cells after it was loaded
        self.finds_cells = not self._reference.on_ground
        self.ranks: Sequence[int] = ()
        """For each sweep that was loaded, in the points' order, its place in its sensor's past: 0 for the newest."""
        self._drawn = stages.share(Drawn) if stages.augment is not None and stages.augment.picks_points else None
        drop_intensity = params.nonfinite_features == "drop"
        self._rules = Rules(params.remove_close, drop_intensity, params.intensity_mode, NONE)
        self._columns_wanted = False
        self._tensors_of_rows = 0
        self._as_rows = False
        # the frame whose columns are not loaded; weak: a lane that waits for its next frame keeps no record alive
        self._unloaded: weakref.ref[Frame] | None = None

    keeps_order: ClassVar[bool] = False
    """Whether the points come in their order, also where a draw shuffles those of other clouds."""

    @property
    def nbytes(self) -> int:
        return self._columns.nbytes

    @property
    def points(self) -> Columns:
        """The columns, which are loaded now where nobody said at planning time that they are needed."""
        if self._unloaded is not None:
            with self._loading:
                frame = None if self._unloaded is None else self._unloaded()
                if frame is not None:
                    self._load(self._loads(frame))
                self._unloaded = None
        return self._columns

    @property
    def rows(self) -> Rows | None:
        """The rows of the frame that is being built, to be written once; None where there are columns instead."""
        return self._rows if self._as_rows else None

    def want(self, columns: Iterable[PointColumn] = ()) -> None:
        """Says at planning time which columns are needed beside x, y, z; the others are left alone."""
        self._columns.want(columns)
        self._columns_wanted = True

    def want_rows(self, columns: Iterable[PointColumn]) -> None:
        """Says at planning time that a tensor wants all points, row by row. If it is the only one that wants any, it
        gets them as `rows`."""
        self._columns.want(columns)
        self._tensors_of_rows += 1

    def want_ranks(self) -> None:
        """Says at planning time that each point's ring is needed by its rank in elevation, as Column.RANK."""
        self._columns.wanted.add(Column.RANK)
        self._columns_wanted = True

    def want_semantic(self) -> None:
        """Says at planning time that the class of each point is needed, by the log's own code, as Column.SEMANTIC."""
        self._columns.wanted.add(Column.SEMANTIC)
        self._columns_wanted = True

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        self._draw()
        sweeps = self._loads(frame)
        usual = not self._reference.on_ground and self._columns.wanted.isdisjoint(LATER)
        only_rows = self._tensors_of_rows == 1 and not self._columns_wanted and usual
        self._as_rows = only_rows and not any(recorded.is_fine for recorded, _, _ in sweeps)
        self._unloaded = weakref.ref(frame) if self._as_rows else None
        if self._as_rows:
            self._rows.take(sweeps, self._rules)
        else:
            self._load(sweeps)
        self.say_dropped(0 if self._as_rows else self._columns.nonfinite, 0 if self._as_rows else self._columns.dropped)

    @property
    def is_shuffled(self) -> bool:
        return self._rules.chances.shuffled_by is not None

    def say_dropped(self, nonfinite: int, by_draw: int) -> None:
        """Says how many points are left out; who writes `rows` knows it later."""
        self.dropped = {"non-finite points": nonfinite}
        if self._rules.chances.below:
            self.dropped[DROPPED] = by_draw

    def _draw(self) -> None:
        """Takes what the draw says of points."""
        chances = None if self._drawn is None else self._drawn.chances
        if chances is not None and self.keeps_order:
            chances = replace(chances, shuffled_by=None)
        if chances is not None or self._rules.chances is not NONE:
            self._rules = replace(self._rules, chances=chances or NONE)

    def _load(self, sweeps: Sequence[tuple[Recorded, Move, int]]) -> None:
        columns, on_ground = self._columns, self._reference.on_ground
        columns.load(sweeps, self._rules, to_change=on_ground)
        if columns.n == 0 or not (on_ground or Column.HEIGHT_ABOVE_GROUND in columns.wanted):
            return
        x, y, z = columns.values[:3]
        heights = z if on_ground else columns.own(Column.HEIGHT_ABOVE_GROUND)
        self._reference.write_above(x, y, z, heights)
        if on_ground and Column.HEIGHT_ABOVE_GROUND in columns.wanted:
            columns.own(Column.HEIGHT_ABOVE_GROUND)[:] = z

    def _loads(self, frame: Frame) -> list[tuple[Recorded, Move, int]]:
        """Returns each sweep, newest first, with how it is moved and its age in ns."""
        # the lag is per point where its time is known, whoever compensated the motion; else the sweep's
        wanted = self._columns.wanted
        lag_per_point = self.params.compensate == "per_point" and Column.TIME_LAG in wanted
        with_ring, per_point = Column.RING in wanted, self._placing.per_point
        recorded = [Recorded(sweep, lag_per_point or per_point(sweep), with_ring) for sweep in self._sweeps(frame)]
        if self.params.remove_close_of == "past":
            for own, rank in zip(recorded, self.ranks, strict=True):
                own.keeps_close = rank == 0
        names = {name: None for column, made_of in _RECORDED.items() if column in wanted for name in made_of}
        for own in recorded:
            check_columns(own.sweep, names, self.params.missing_columns, self._stages)
        moves = self._placing.moves(frame, recorded, self._rules, self._columns.work())
        return [(own, move, frame.time_ns - own.sweep.time_ns) for own, move in zip(recorded, moves, strict=True)]

    def _sweeps(self, frame: Frame) -> list[LidarSweep]:
        p = self.params
        names = known_sensors(frame, "lidar", p.sensors, p.required, self._stages)
        report_one_record(frame, "lidar", p.num_sweeps, self._stages)
        keyframes = p.sweeps == "keyframes"
        ranked = [
            one
            for name in names
            for one in frame.ranked_sweeps(p.num_sweeps, name, self._each, step=p.sweep_step, keyframes=keyframes)
        ]
        if not ranked:
            report_no_record(frame, "lidar", names, p.required, self.title, self._stages)
        ranked.sort(key=lambda one: -one[1].time_ns)
        self.ranks = [rank for rank, _ in ranked]
        return [sweep for _, sweep in ranked]


class CloudInOrder(Cloud):
    """The same points in the order of the record, sweep by sweep, whatever a draw shuffles."""

    keeps_order = True
