"""lidar_points, lidar_num_points, lidar_ring and lidar_height_above_ground."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import PointsParams

from ..columns import Column
from ..kernels.points import crop, interleave, interleave_chosen
from ..rows import Rows
from ..sample import Sample
from ..scratch import Scratch
from ..split import split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cloud import Cloud

__all__ = ["Points"]


class Points(Filler):
    def __init__(self, params: PointsParams, stages: Stages) -> None:
        super().__init__()
        self.title = "points"
        self.params: PointsParams = params
        self.cloud = stages.share(Cloud, params.cloud())
        self.needs = (self.cloud,)
        self._picks = Column.picks(params.columns)
        self._stages = stages
        self._box = None if params.range is None else np.array(params.range, dtype=np.float32)
        self._most = params.max_points
        self._chosen = Scratch(np.int32)
        self._n = 0
        self._rows: Rows | None = None
        self._count_wanted = False
        if self._box is not None:
            self.cloud.want()

    def want(self, feature: str, dtype: str) -> None:
        if feature == "lidar_num_points":
            self._count_wanted = True
            return
        if feature == "lidar_ring":
            self.cloud.want_ranks()
            return
        if feature == "lidar_height_above_ground":
            self.cloud.want(("height_above_ground",))
            return
        want = self.cloud.want_rows if self._box is None else self.cloud.want
        want(self.params.columns)

    @property
    def nbytes(self) -> int:
        return self._chosen.array.nbytes

    def run(self, sample: Sample) -> None:
        rows = self._rows = self.cloud.rows
        if rows is not None:
            if self._count_wanted or self._most is not None:
                rows.count()
                self._say_nonfinite(rows)
            self._keep(rows.n)
            return
        points = self.cloud.points
        if self._box is None:
            self._keep(points.n)
        else:
            # one element more: the kernel writes ahead of its count
            self._keep(crop(points.lying[:3], points.n, self._box, self._chosen.reserve(points.n + 1)))

    def _keep(self, inside: int) -> None:
        self._n = inside if self._most is None else min(inside, self._most)
        self.dropped = {"points over max_points": inside - self._n}

    def _say_nonfinite(self, rows: Rows) -> None:
        self.cloud.say_dropped(rows.nonfinite, rows.dropped)

    def sizes(self) -> Mapping[str, int]:
        return {"num_points": self._n}

    def clearing(self, feature: str) -> Clearing:
        return "whole" if feature in ("lidar_num_points", "lidar_ring") else "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "lidar_num_points":
            out[0] = self._n
            return
        rows = min(self._n, len(out))
        if feature == "lidar_ring":
            self._write_column(Column.RANK, out[:rows])
            out[rows:] = -1
            return
        if feature == "lidar_height_above_ground":
            self._write_column(Column.HEIGHT_ABOVE_GROUND, out[:rows])
        elif self._rows is None:
            self._interleave(out[:rows])
        else:
            touched = self._rows.write(self._picks, out[:rows])
            self._keep(self._rows.n)
            self._say_nonfinite(self._rows)
            rows, written.rows = min(self._n, rows), max(written.rows, touched)
        written.clear_rows(rows, out)

    def _write_column(self, column: Column, out: NDArray[Any]) -> None:
        values = self.cloud.points.own(column)
        out[:] = values[: len(out)] if self._box is None else values[self._chosen.array[: len(out)]]

    def _interleave(self, out: NDArray[Any]) -> None:
        columns = self.cloud.points.lying[self._picks]

        def write(part: slice) -> None:
            if self._box is None:
                interleave(columns, part.start, out[part])
            else:
                interleave_chosen(columns, self._chosen.array[part], out[part])

        self._stages.each(write, split(len(out), self._stages.threads))
