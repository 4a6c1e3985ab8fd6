"""radar_points, radar_num_points and radar_valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.radar import RadarPointsParams

from ..kernels.points import crop, interleave, interleave_chosen
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cloud import RadarCloud

__all__ = ["RadarPoints"]


class RadarPoints(Filler):
    def __init__(self, params: RadarPointsParams, stages: Stages) -> None:
        super().__init__()
        self.title = "radar points"
        self.params = params
        self.cloud = stages.share(RadarCloud, params.cloud())
        self.needs = (self.cloud,)
        self._picks = self.cloud.points.picks(params.columns)
        self._box = None if params.range is None else np.array(params.range, dtype=np.float32)
        self._chosen = Scratch(np.int32)
        self._n = 0

    @property
    def nbytes(self) -> int:
        return self._chosen.array.nbytes

    def want(self, feature: str, dtype: str) -> None:
        # which radars there are is known without their detections
        if feature != "radar_valid":
            self.cloud.want(self.params.columns if feature == "radar_points" else ())

    def run(self, sample: Sample) -> None:
        points, most = self.cloud.points, self.params.max_points
        inside = points.n
        if self._box is not None:
            # one element more: the kernel writes ahead of its count
            inside = crop(points.lying[:3], points.n, self._box, self._chosen.reserve(points.n + 1))
        self._n = inside if most is None else min(inside, most)
        self.dropped = {"detections over max_points": inside - self._n}

    def sizes(self) -> Mapping[str, int]:
        return {"num_radar": self._n, "num_radars": len(self.cloud.valid)}

    def clearing(self, feature: str) -> Clearing:
        return "whole" if feature == "radar_num_points" else "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "radar_num_points":
            out[0] = self._n
            return
        if feature == "radar_valid":
            valid = self.cloud.valid[: len(out)]
            out[: len(valid)] = valid
            written.clear_rows(len(valid), out)
            return
        rows = min(self._n, len(out))
        columns = self.cloud.points.lying[self._picks]
        if self._box is None:
            interleave(columns, 0, out[:rows])
        else:
            interleave_chosen(columns, self._chosen.array[:rows], out[:rows])
        written.clear_rows(rows, out)
