"""lidar_bev_stats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevStatsParams

from ..columns import Column
from ..kernels import bev as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .bev import Placement
from .cells import Cells

__all__ = ["BevStats"]

# channel -> accumulator, whether divided by the count
_CHANNELS = {
    "count": (kernels.COUNT, False),
    "density": (kernels.COUNT, False),
    "max_z": (kernels.MAX_Z, False),
    "min_z": (kernels.MIN_Z, False),
    "mean_z": (kernels.SUM_Z, True),
    "max_i": (kernels.MAX_I, False),
    "mean_i": (kernels.SUM_I, True),
    "top_i": (kernels.TOP_I, False),
}
_NO_DENSITY = np.zeros(0)


class BevStats(Filler):
    group = "lidar_bev_stats"

    def __init__(self, params: BevStatsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"column statistics ({len(params.channels)} channels)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)
        self.cells.cloud.want(("intensity",))
        self.params = params
        self._place = Placement(params)
        counts = np.arange(params.density_cap + 1)
        self._density = np.minimum(1.0, np.log(counts + 1) / np.log(params.density_cap + 1))
        self._table = Scratch(np.int32, fill=-1)
        self._keys = Scratch(np.int64)
        self._sums = Scratch(np.float64)
        self._rows = 0

    @property
    def nbytes(self) -> int:
        return self._table.array.nbytes + self._keys.array.nbytes + self._sums.array.nbytes

    def run(self, sample: Sample) -> None:
        x, y, _ = self.params.grid.size
        ids, values = self.cells.ids, self.cells.cloud.points.values
        table, keys = self._table.reserve(x * y), self._keys.reserve(len(ids))
        z, intensity = values[Column.Z], values[Column.INTENSITY]
        sums = self._sums.reserve(len(ids) * kernels.ACCUMULATORS)
        self._rows = kernels.accumulate(ids, x * y, z, intensity, table, keys, _by_row(sums))

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the columns of the grid, each of which has an element in every channel."""
        flat = out.reshape(-1)
        before, rows = written.elements(self._rows), written.count
        x, place = self.params.grid.size[0], self._place
        sums, keys = _by_row(self._sums.array), self._keys.array[: self._rows]
        for index, name in enumerate(self.params.channels):
            where = place.channel(index)
            kernels.clear_columns(before[:rows], x, where, flat)
            accumulator, mean = _CHANNELS[name]
            density = self._density if name == "density" else _NO_DENSITY
            kernels.write_channel(sums, accumulator, mean, density, keys, self._rows, x, where, flat)
        before[: self._rows] = keys
        written.count = self._rows


def _by_row(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = len(sums) // kernels.ACCUMULATORS
    return sums[: rows * kernels.ACCUMULATORS].reshape(rows, kernels.ACCUMULATORS)
