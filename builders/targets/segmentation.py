"""gt_segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import SegmentationParams, class_of
from perceptum.inputs import Frame

from ..columns import Column
from ..kernels.points import crop
from ..kernels.targets import segmentation as kernels
from ..lidar.cloud import Cloud
from ..sample import Sample
from ..scratch import Scratch
from ..split import split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .labels import LabelBoxes

__all__ = ["TargetSegmentation"]

_ALL = np.zeros(0, np.int32)
_SQUARES = 64
"""Along each axis, as many as boxes reach over together: a point looks only at the boxes of its own square."""
_SLACK_M = 1e-6
"""By how much a box's square reaches farther than the box, for what float64 rounds."""
_LEAST_M = 1.0
"""Squares are as if boxes reached over no less: where float64 rounds off a box's size and the slack, so far away is the
box, it reaches over nothing."""


class TargetSegmentation(Filler):
    def __init__(self, params: SegmentationParams, stages: Stages) -> None:
        super().__init__()
        self.title = "target classes of points"
        self.params: SegmentationParams = params
        self._stages = stages
        self.cloud = stages.share(Cloud, params.cloud())
        self.cloud.want()
        self.labels = stages.share(LabelBoxes, params.labels()) if params.source == "boxes" else None
        if self.labels is None:
            self.cloud.want_semantic()
        self.needs = (self.cloud,) if self.labels is None else (self.cloud, self.labels)
        self._classes = params.whole_classes()
        self._box = None if params.range is None else np.array(params.range, dtype=np.float32)
        self._chosen = Scratch(np.int32)
        self._numbers = _ALL
        self._n = 0
        self._squares: list[Any] = []
        self._listed = Scratch(np.int64)
        self._begins = np.zeros(_SQUARES**2 + 1, np.int64)
        self._of_code = _ALL
        self._codes: Mapping[int, str] | None = None

    @property
    def nbytes(self) -> int:
        return self._chosen.array.nbytes + self._listed.array.nbytes + self._begins.nbytes

    def run(self, sample: Sample) -> None:
        points, most = self.cloud.points, self.params.max_points
        inside, self._numbers = points.n, _ALL
        if self._box is not None:
            # one element more: the kernel writes ahead of its count
            chosen = self._chosen.reserve(points.n + 1)
            inside = crop(points.lying[:3], points.n, self._box, chosen)
            self._numbers = chosen[:inside]
        self._n = inside if most is None else min(inside, most)
        self.dropped = {"points over max_points": inside - self._n}
        if self.labels is None:
            self._know(sample.frame)
        else:
            self._squares = self._spread(self.labels.found.boxes)

    def sizes(self) -> Mapping[str, int]:
        return {"num_points": self._n}

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        rows = min(self._n, len(out))
        write = self._by_points if self.labels is None else self._by_boxes
        self._stages.each(lambda own: write(own, out[own]), split(rows, self._stages.threads) if rows else [])
        out[rows:] = -1

    def _by_boxes(self, own: slice, out: NDArray[np.int32]) -> None:
        assert self.labels is not None
        found, p = self.labels.found, self.params
        if not len(found):
            out[:] = p.no_class
            return
        x, y, z = self.cloud.points.values[:3]
        numbers = self._numbers[own] if self._box is not None else _ALL
        if self._box is None:
            x, y, z = x[own], y[own], z[own]
        given: list[Any] = [x, y, z, numbers, found.boxes, found.label + np.int32(p.label_base), *self._squares]
        given += [p.overlap == "nearest", p.no_class, out]
        kernels.label_points(*given)

    def _spread(self, boxes: NDArray[np.float64]) -> list[Any]:
        """Returns what the kernel takes to find the boxes around a point."""
        if not len(boxes):
            return []
        c, s = np.abs(np.cos(boxes[:, 6])), np.abs(np.sin(boxes[:, 6]))
        half = np.stack([c * boxes[:, 3] + s * boxes[:, 4], s * boxes[:, 3] + c * boxes[:, 4]], axis=1) / 2 + _SLACK_M
        first, last = boxes[:, :2] - half, boxes[:, :2] + half
        low = first.min(axis=0)
        square_m = max(float((last.max(axis=0) - low).max()), _LEAST_M) / _SQUARES
        size = np.array([_SQUARES, _SQUARES], np.int64)
        at = [np.clip((ends - low) / square_m, 0, _SQUARES - 1).astype(np.int64) for ends in (first, last)]
        reach = np.stack([at[0][:, 0], at[1][:, 0], at[0][:, 1], at[1][:, 1]], axis=1)
        total = int(((reach[:, 1] - reach[:, 0] + 1) * (reach[:, 3] - reach[:, 2] + 1)).sum())
        listed = self._listed.reserve(total)
        kernels.list_boxes(reach, size, self._begins, listed)
        return [low, square_m, size, self._begins, listed]

    def _by_points(self, own: slice, out: NDArray[np.int32]) -> None:
        codes = self.cloud.points.own(Column.SEMANTIC)
        codes = codes[own] if self._box is None else codes[self._numbers[own]]
        # -1, where the sweep is not labelled, is the last
        whole = np.minimum(codes.astype(np.int64), len(self._of_code) - 2)
        np.take(self._of_code, whole, out=out, mode="wrap")

    def _know(self, frame: Frame) -> None:
        """Works out what each code of the log's labels of points becomes; none, where the log does not name it."""
        codes = frame.log.point_classes or {}
        if codes is self._codes:
            return
        p, most = self.params, max(codes, default=-1)
        # two more: codes beyond, and points without one
        table = np.full(most + 3, p.no_class, np.int32)
        for code, name in codes.items():
            number = class_of(name, self._classes)
            if code >= 0 and number >= 0:
                table[code] = number + p.label_base
        self._codes, self._of_code = codes, table
