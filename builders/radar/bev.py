"""radar_bev."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.radar import RadarBevParams, RadarColumn

from ..kernels.bev import clear
from ..kernels.radar import show
from ..lidar.bev import Placement
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cells import RadarCells

__all__ = ["RadarBev"]


class RadarBev(Filler):
    def __init__(self, params: RadarBevParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"radar from above ({params.channels_count()} channels)"
        self.cells = stages.share(RadarCells, params.cloud(), params.grid)
        self.needs = (self.cells,)
        self.params = params
        columns: tuple[RadarColumn, ...] = ("x", "y", "sweep", "rcs", "vx_comp", "vy_comp")
        if params.velocity == "relative":
            columns = (*columns[:4], "vx", "vy")
        self.cells.cloud.want(columns)
        self._picks = self.cells.cloud.points.picks(columns)
        placement = Placement(params)
        self._size_xy = placement.size_xy
        self._place = np.array([placement.base, *placement.strides], np.int64)
        # by column of cells, the number of the detection that is shown; -1 again after each
        self._table = np.full(int(self._size_xy.prod()), -1, np.int32)
        self._columns = Scratch(np.int64)
        # rows of equal params, __b or another model's, are filled side by side, and there is one table
        self._showing = Lock()

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + self._columns.array.nbytes

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        flat, ids, p = out.reshape(-1), self.cells.ids, self.params
        touched = written.elements(4 * len(ids))
        clear(touched[: written.count], flat)
        how = (p.num_sweeps, p.oldest_first, self._size_xy, self._place)
        # the whole block: of a part of it numba would compile another kernel
        cloud = self.cells.cloud.points.reserve(len(ids))
        with self._showing:
            work = (self._table, self._columns.reserve(len(ids)), touched)
            written.count = show(ids, cloud, self._picks, *how, *work, flat)
