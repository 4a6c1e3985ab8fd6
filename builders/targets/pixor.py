"""gt_pixor_cls, gt_pixor_mask and gt_pixor_reg."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import PixorParams

from ..kernels.targets.pixor import IGNORED, own_cells
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .labels import LabelBoxes

__all__ = ["TargetPixor"]


class TargetPixor(Filler):
    def __init__(self, params: PixorParams, stages: Stages) -> None:
        super().__init__()
        self.title = "targets of PIXOR"
        self.params: PixorParams = params
        self.labels = stages.share(LabelBoxes, params.labels())
        self.needs = (self.labels,)
        width, height = params.map_size()
        self._low = np.array(params.grid.range[:2], np.float64)
        self._cell = np.array(params.grid.voxel[:2], np.float64) * params.stride
        self._owner = np.zeros((height, width), np.int32)
        self._scale = np.array([params.mean, params.std], np.float64)[..., None]

    @property
    def nbytes(self) -> int:
        return self._owner.nbytes

    def run(self, sample: Sample) -> None:
        p = self.params
        given: list[Any] = [self.labels.found.boxes, self._low, self._cell]
        given += [float(p.positive_scale), float(p.ignore_scale), self._owner]
        own_cells(*given)
        # by the circle around each: what is outside owns no cell for certain
        boxes, scale = self.labels.found.boxes, max(1.0, float(p.positive_scale))
        reach = scale * np.hypot(boxes[:, 3], boxes[:, 4])[:, None] / 2
        high = self._low + self._cell * self._owner.shape[::-1]
        outside = (boxes[:, :2] + reach < self._low) | (boxes[:, :2] - reach > high)
        self.dropped = {"boxes outside the grid": int(np.count_nonzero(outside.any(axis=1)))}

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "gt_pixor_cls":
            np.greater_equal(self._owner, 0, out=out[0], casting="unsafe")
        elif feature == "gt_pixor_mask":
            np.not_equal(self._owner, IGNORED, out=out[0], casting="unsafe")
        else:
            out[...] = 0
            rows, columns = np.nonzero(self._owner >= 0)
            boxes = self.labels.found.boxes[self._owner[rows, columns]]
            centres = self._low[:, None] + (np.stack([columns, rows]) + 0.5) * self._cell[:, None]
            values = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), *(boxes[:, :2].T - centres)])
            values = np.concatenate([values, np.log(boxes[:, [4, 3]]).T])
            out[:, rows, columns] = (values - self._scale[0]) / self._scale[1]
