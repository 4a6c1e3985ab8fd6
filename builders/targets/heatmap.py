"""gt_heatmap, gt_reg, gt_index, gt_reg_mask, gt_reg_velocity_mask and gt_reg_label."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import HeatmapParams

from ..kernels.targets import heatmap as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .labels import LabelBoxes

__all__ = ["TargetCentres"]

_RULES = {"floor": kernels.FLOOR, "truncate": kernels.TRUNCATE, "clamp": kernels.CLAMP}

_CODES = {
    "offset_x": kernels.OFFSET_X,
    "offset_y": kernels.OFFSET_Y,
    "z": kernels.Z,
    "length": kernels.LENGTH,
    "width": kernels.WIDTH,
    "height": kernels.HEIGHT,
    "log_length": kernels.LOG_LENGTH,
    "log_width": kernels.LOG_WIDTH,
    "log_height": kernels.LOG_HEIGHT,
    "yaw": kernels.YAW,
    "sin_yaw": kernels.SIN,
    "cos_yaw": kernels.COS,
    "vx": kernels.VX,
    "vy": kernels.VY,
}

_LARGEST = 32
"""The Gaussians of radii up to this are worked out once for all: 50 kB."""


class TargetCentres(Filler):
    def __init__(self, params: HeatmapParams, stages: Stages) -> None:
        super().__init__()
        self.title = "target centres"
        self.params: HeatmapParams = params
        self.labels = stages.share(LabelBoxes, params.labels())
        self.needs = (self.labels,)
        low, voxel = np.array([params.grid.range[:2], params.grid.voxel[:2]], np.float32)
        self._size = np.array(params.map_size(), np.int64)
        width, height = params.map_size()
        self._widest, self._elements = max(width, height), len(params.whole_classes()) * width * height
        by_y = params.bev_layout == "CYX"
        self._strides = np.array([width * height, width if by_y else 1, 1 if by_y else height], np.int64)
        self._geometry: list[Any] = [low, voxel, np.float32(params.stride), self._size, self._strides]
        self._geometry += [_RULES[params.cell], float(params.min_overlap), params.min_radius]
        self._columns = np.array([_CODES[name] for name in params.columns], np.int64)
        self._tables, self._begins = _tables()
        self._cells = np.empty((0, 4), np.int64)
        self._offsets = np.empty((0, 2), np.float32)
        self._orders = self._order = np.empty(0, np.int64)
        self._by_class = params.object_order == "class"
        self._quarter = Scratch(np.float32)
        self._drawn = 0

    @property
    def nbytes(self) -> int:
        return self._cells.nbytes + self._offsets.nbytes + self._quarter.array.nbytes

    def run(self, sample: Sample) -> None:
        found, most = self.labels.found, self.params.max_objects
        there, n = len(found), min(len(found), most)
        self.dropped = {"boxes over max_objects": there - n, "boxes outside the grid": 0}
        if len(self._orders) < n:
            self._orders = np.empty(most, np.int64)
            self._cells, self._offsets = np.empty((most, 4), np.int64), np.empty((most, 2), np.float32)
        self._order = order = self._orders[:n]
        self._drawn = 0
        if not n:
            return
        given: list[Any] = [
            found.boxes,
            found.label,
            self._by_class,
            order,
            *self._geometry,
            self._offsets,
            self._cells,
        ]
        greatest = kernels.place(*given)
        self.dropped["boxes outside the grid"] = int(np.count_nonzero(self._cells[:n, 0] < 0))
        # of each box at most the whole map, of all together too
        widest = min(2 * greatest + 1, self._widest)
        self._drawn = min(n * widest * widest, self._elements)
        if greatest > _LARGEST:
            self._quarter.reserve((min(greatest, self._widest) + 1) ** 2)

    def clearing(self, feature: str) -> Clearing:
        return "own" if feature in ("gt_heatmap", "gt_reg") else "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "gt_heatmap":
            self._draw(out.reshape(-1), written)
        elif feature == "gt_reg":
            self._regress(out, written)
        else:
            self._tell(feature, out)

    def _draw(self, out: NDArray[np.float32], written: Written) -> None:
        # one more: the kernel writes ahead of its count
        listed = written.elements(self._drawn + 1)
        given: list[Any] = [self._cells, self.labels.found.label, self._order, self._strides, self._size]
        given += [self._tables, self._begins, self._quarter.array, written.count, listed, out]
        written.count = kernels.draw(*given)

    def _regress(self, out: NDArray[np.float32], written: Written) -> None:
        found, n = self.labels.found, len(self._order)
        if n:
            turned = self.params.heading == "mmdet3d_0"
            given: list[Any] = [found.boxes, found.velocity, self._cells, self._offsets, self._order]
            given += [self._columns, turned, out[:n]]
            kernels.regress(*given)
        written.clear_rows(n, out)

    def _tell(self, feature: str, out: NDArray[Any]) -> None:
        order = self._order
        n, label, velocity = len(order), self.labels.found.label, self.labels.found.velocity
        cells, own = self._cells[:n], out[:n]
        out[n:] = -1 if feature == "gt_reg_label" else 0
        if feature == "gt_index":
            own[:] = cells[:, 3]
        elif feature == "gt_reg_label":
            own[:] = np.where(cells[:, 0] >= 0, label[order], -1)
        else:
            np.greater_equal(cells[:, 0], 0, out=own.view(np.bool_))
            if feature == "gt_reg_velocity_mask":
                own[np.isnan(velocity[order, 0])] = 0


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns a quarter of the Gaussian of each radius up to _LARGEST, one after the other, and where each begins: row
    i, column j of a radius is its value i and j cells from the centre. The published rule that values below eps times
    the greatest are 0 changes none of them: within the radius the least is exp(-9)."""
    parts, begins, at = [], [], 0
    for radius in range(_LARGEST + 1):
        i, j = np.ogrid[: radius + 1, : radius + 1]
        sigma = (2 * radius + 1) / 6
        parts.append(np.exp(-(i * i + j * j) / (2 * sigma * sigma)).astype(np.float32).reshape(-1))
        begins.append(at)
        at += (radius + 1) ** 2
    return np.concatenate(parts), np.array(begins, np.int64)
