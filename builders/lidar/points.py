"""lidar_points and lidar_num_points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import PointsParams

from ..columns import Column
from ..kernels.points import crop, interleave, interleave_chosen
from ..sample import Sample
from ..scratch import Scratch
from ..split import split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cloud import Cloud

__all__ = ["Points"]


class Points(Filler):
    group = "lidar_points"

    def __init__(self, params: PointsParams, stages: Stages) -> None:
        super().__init__()
        self.title = "points"
        self.cloud = stages.share(Cloud, params.cloud())
        self.needs = (self.cloud,)
        self.cloud.want(params.columns)
        self._picks = Column.picks(params.columns)
        self._stages = stages
        self._box = None if params.range is None else np.array(params.range, dtype=np.float32)
        self._most = params.max_points
        self._chosen = Scratch(np.int32)
        self._n = 0

    @property
    def nbytes(self) -> int:
        return self._chosen.array.nbytes

    def run(self, sample: Sample) -> None:
        points = self.cloud.points
        inside = points.n
        if self._box is not None:
            # one element more: the kernel writes ahead of its count
            inside = crop(points.lying[:3], points.n, self._box, self._chosen.reserve(points.n + 1))
        self._n = inside if self._most is None else min(inside, self._most)
        self.dropped = {"points over max_points": inside - self._n}

    def sizes(self) -> Mapping[str, int]:
        return {"num_points": self._n}

    def clearing(self, feature: str) -> Clearing:
        return "own" if feature == "lidar_points" else "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "lidar_num_points":
            out[0] = self._n
            return
        rows = min(self._n, len(out))
        columns = self.cloud.points.lying[self._picks]

        def write(part: slice) -> None:
            if self._box is None:
                interleave(columns, part.start, out[part])
            else:
                interleave_chosen(columns, self._chosen.array[part], out[part])

        self._stages.each(write, split(rows, self._stages.threads))
        written.clear_rows(rows, out)
