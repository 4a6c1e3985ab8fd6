"""lidar_bev_occupancy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevOccupancyParams

from ..kernels.bev import clear, occupy
from ..stage import Dirty, Filler, Stages
from .bev import Placement
from .cells import Cells

__all__ = ["BevOccupancy"]

_MOST = {np.dtype(np.uint8): 255.0, np.dtype(np.float32): 2.0**24}
"""Counts stop where the dtype stops counting exactly."""


class BevOccupancy(Filler):
    group = "lidar_bev_occupancy"

    def __init__(self, params: BevOccupancyParams, stages: Stages) -> None:
        super().__init__()
        self.title = "occupancy"
        self.cells = stages.share(Cells, params.cloud(), params.grid, params.overflow_slices)
        self.needs = (self.cells,)
        self._place = Placement(params)
        self._binary = params.binary

    def fill(self, feature: str, out: NDArray[Any], dirty: Dirty) -> None:
        flat, ids, place = out.reshape(-1), self.cells.ids, self._place
        touched = dirty.get("touched", np.zeros(0, np.int64))
        clear(touched[: dirty.get("n", 0)], flat)
        if len(touched) < len(ids):
            dirty["touched"] = touched = np.empty(int(len(ids) * 1.25), np.int64)
        most = _MOST[out.dtype]
        dirty["n"] = occupy(ids, place.size_xy, place.base, place.strides, self._binary, most, touched, flat)
