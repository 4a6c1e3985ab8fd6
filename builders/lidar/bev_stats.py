"""lidar_bev_stats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevStatsParams
from perceptum.inputs import Frame

from ..columns import Column
from ..kernels import bev as kernels
from ..scratch import Scratch
from ..split import shares
from ..stage import Dirty, Filler, Stages
from .bev import Placement
from .cells import Cells

__all__ = ["BevStats"]

_CHANNELS = {
    "count": (kernels.COUNT, kernels.PLAIN),
    "density": (kernels.COUNT, kernels.DENSITY),
    "max_z": (kernels.MAX_Z, kernels.PLAIN),
    "min_z": (kernels.MIN_Z, kernels.PLAIN),
    "mean_z": (kernels.SUM_Z, kernels.MEAN),
    "max_i": (kernels.MAX_I, kernels.PLAIN),
    "mean_i": (kernels.SUM_I, kernels.MEAN),
    "top_i": (kernels.TOP_I, kernels.PLAIN),
}
"""Channel -> its accumulator, and how that is written."""


class _Part:
    """The columns of cells [begin, end): what one thread sums up."""

    def __init__(self, begin: int, end: int, ids: np.dtype[Any]) -> None:
        self.begin, self.end = begin, end
        self._keys = Scratch(ids)
        self._sums = Scratch(np.float64)
        self.rows = 0

    @property
    def nbytes(self) -> int:
        return self._keys.array.nbytes + self._sums.array.nbytes

    @property
    def keys(self) -> NDArray[np.integer]:
        return self._keys.array[: self.rows]

    @property
    def sums(self) -> NDArray[np.float64]:
        width = kernels.ACCUMULATORS
        return self._sums.array[: len(self._sums.array) // width * width].reshape(-1, width)

    def reserve(self, rows: int) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
        rows = min(rows, self.end - self.begin)
        keys = self._keys.reserve(rows)
        self._sums.reserve(rows * kernels.ACCUMULATORS)
        return keys, self.sums


class BevStats(Filler):
    group = "lidar_bev_stats"

    def __init__(self, params: BevStatsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"column statistics ({len(params.channels)} channels)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)
        self.cells.cloud.want(("intensity",))
        self.params = params
        self._stages = stages
        placement = Placement(params)
        self._place = np.array([placement.base, *placement.strides])
        accumulators, kinds = zip(*(_CHANNELS[name] for name in params.channels), strict=True)
        self._accumulators, self._kinds = np.array(accumulators), np.array(kinds)
        counts = np.arange(params.density_cap + 1)
        self._density = np.minimum(1.0, np.log(counts + 1) / np.log(params.density_cap + 1))
        x, y, _ = params.grid.size
        self._table = np.full(x * y, -1, np.int32)
        self._is_clean = True
        self._parts = [_Part(own.start, own.stop, self.cells.dtype) for own in shares(x * y, stages.threads)]

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + sum(part.nbytes for part in self._parts)

    def run(self, frame: Frame) -> None:
        self._clean()
        # what is interrupted from here on leaves rows in the table
        self._is_clean = False
        self._stages.each(self._accumulate, self._parts)
        self._is_clean = True

    def _clean(self) -> None:
        if not self._is_clean:
            self._table.fill(-1)
        for part in self._parts:
            kernels.forget(part.keys, self._table)
            part.rows = 0

    def _accumulate(self, part: _Part) -> None:
        ids, points = self.cells.ids, self.cells.cloud.points.values
        rows = part.reserve(len(ids))
        values = (points[Column.Z], points[Column.INTENSITY])
        part.rows = kernels.accumulate(ids, len(self._table), part.begin, part.end, *values, self._table, *rows)

    def fill(self, feature: str, out: NDArray[Any], dirty: Dirty) -> None:
        flat, x = out.reshape(-1), self.params.grid.size[0]
        before, rows = dirty.get("keys", np.zeros(0, self.cells.dtype)), dirty.get("n", 0)
        kernels.clear_columns(before[:rows], self._table, x, self._place, len(self._kinds), flat)

        def write(part: _Part) -> None:
            how = (self._accumulators, self._kinds, self._density)
            kernels.write_columns(part.sums, part.keys, x, self._place, *how, flat)

        self._stages.each(write, self._parts)
        now = np.concatenate([part.keys for part in self._parts])
        if len(before) < len(now):
            dirty["keys"] = before = np.empty(int(len(now) * 1.25), self.cells.dtype)
        before[: len(now)] = now
        dirty["n"] = len(now)
