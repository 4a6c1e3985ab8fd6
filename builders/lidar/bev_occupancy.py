"""lidar_bev_occupancy."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from perceptum.features.lidar import BevOccupancyParams

from ..kernels.bev import clear, occupy
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .bev import MOST, Placement
from .cells import Cells

__all__ = ["BevOccupancy"]


class BevOccupancy(Filler):
    def __init__(self, params: BevOccupancyParams, stages: Stages) -> None:
        super().__init__()
        self.title = "occupancy"
        self.cells = stages.share(Cells, params.cloud(), params.grid, params.overflow_slices)
        self.needs = (self.cells,)
        self._place = Placement(params)
        self._binary = params.binary

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        flat, ids, place = out.reshape(-1), self.cells.ids, self._place
        touched = written.elements(len(ids))
        clear(touched[: written.count], flat)
        most = MOST[out.dtype]
        written.count = occupy(ids, place.size_xy, place.base, place.strides, self._binary, most, touched, flat)
