"""lidar_bev_stats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevStatsParams

from ..columns import Column
from ..kernels import bev as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..split import is_much, shares
from ..stage import Clearing, Filler, Stages
from ..written import Written
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

    def run(self, sample: Sample) -> None:
        self._clean()
        # what is interrupted from here on leaves rows in the table
        self._is_clean = False
        self._each_part(self._accumulate)
        self._is_clean = True

    def _clean(self) -> None:
        if not self._is_clean:
            self._table.fill(-1)
        for part in self._parts:
            kernels.forget(part.keys, self._table)
            part.rows = 0

    def _each_part(self, work: Callable[[_Part], None]) -> None:
        if is_much(len(self.cells.ids), self._stages.threads):
            self._stages.each(work, self._parts)
        else:
            for part in self._parts:
                work(part)

    def _accumulate(self, part: _Part) -> None:
        ids, points = self.cells.ids, self.cells.cloud.points.values
        rows = part.reserve(len(ids))
        values = (points[Column.Z], points[Column.INTENSITY])
        part.rows = kernels.accumulate(ids, len(self._table), part.begin, part.end, *values, self._table, *rows)

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the columns of the grid, each of which has an element in every channel."""
        flat, x = out.reshape(-1), self.params.grid.size[0]
        rows = sum(part.rows for part in self._parts)
        listed = written.elements(rows)
        kernels.clear_columns(listed[: written.count], self._table, x, self._place, len(self._kinds), flat)

        def write(part: _Part) -> None:
            how = (self._accumulators, self._kinds, self._density)
            kernels.write_columns(part.sums, part.keys, x, self._place, *how, flat)

        self._each_part(write)
        np.concatenate([part.keys for part in self._parts], out=listed[:rows])
        written.count = rows
