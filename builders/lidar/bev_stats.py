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

_STATISTICS = {
    "count": kernels.OF_COUNT,
    "density": kernels.OF_DENSITY,
    "max_z": kernels.OF_MAX_Z,
    "min_z": kernels.OF_MIN_Z,
    "mean_z": kernels.OF_MEAN_Z,
    "max_i": kernels.OF_MAX_I,
    "mean_i": kernels.OF_MEAN_I,
    "top_i": kernels.OF_TOP_I,
}


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
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
        """One memory, as the kernels see it: (rows, ROW) of 8 bytes."""
        whole = len(self._sums.array) // kernels.ROW * kernels.ROW
        rows = self._sums.array[:whole].reshape(-1, kernels.ROW)
        return rows, rows.view(np.float32), rows.view(np.int64)

    def reserve(self, rows: int) -> NDArray[np.integer]:
        """Makes room for that many columns; returns where their ids go."""
        rows = min(rows, self.end - self.begin)
        self._sums.reserve(rows * kernels.ROW)
        return self._keys.reserve(rows)


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
        self._statistics = np.array([_STATISTICS[name] for name in params.channels])
        counts = np.arange(params.density_cap + 1)
        self._density = np.minimum(1.0, np.log(counts + 1) / np.log(params.density_cap + 1))
        x, y, _ = params.grid.size
        self._size_x = x
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
        ids, lying = self.cells.ids, self.cells.cloud.points.lying
        keys = part.reserve(len(ids))
        cells = (ids, len(self._table), part.begin, part.end, lying[Column.Z], lying[Column.INTENSITY])
        part.rows = kernels.accumulate(*cells, self._table, keys, *part.sums)

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the columns of the grid, each of which has an element in every channel."""
        flat, x, lying = out.reshape(-1), self._size_x, self.cells.cloud.points.lying
        rows = sum(part.rows for part in self._parts)
        listed = written.elements(rows)
        kernels.clear_columns(listed[: written.count], self._table, x, self._place, len(self._statistics), flat)

        def write(part: _Part) -> None:
            # made anew: tensors of two models are filled side by side
            work = np.empty(kernels.STATISTICS)
            how = (part.keys, x, self._place, self._statistics, self._density, work)
            kernels.write_columns(*part.sums, lying[Column.Z], lying[Column.INTENSITY], *how, flat)

        self._each_part(write)
        np.concatenate([part.keys for part in self._parts], out=listed[:rows])
        written.count = rows
