"""Which cell of a grid each point of a cloud lies in. Shared by voxels and bird's-eye views on the same grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid
from perceptum.features.lidar import CloudParams

from ..kernels.bev import overflow_ids
from ..kernels.cells import cell_ids
from ..sample import Sample
from ..scratch import Scratch
from ..split import split
from ..stage import Stage, Stages
from .cloud import Cloud

__all__ = ["Cells"]


class Cells(Stage):
    """Per point the linear id (z * Y + y) * X + x of its cell, -1 outside."""

    def __init__(self, params: CloudParams, grid: Grid, overflow: bool, stages: Stages) -> None:
        super().__init__()
        x, y, z = grid.size
        self.title = f"cells ({x} x {y} x {z})"
        self.cloud = stages.share(Cloud, params)
        self.cloud.want()
        self.needs = (self.cloud,)
        self._size = np.array(grid.size, dtype=np.int64)
        self._stages = stages
        self._overflow = overflow
        self._low = np.array(grid.range[:3], dtype=np.float32)
        self._voxel = np.array(grid.voxel, dtype=np.float32)
        cells = grid.cells + (2 * x * y if overflow else 0)
        self.dtype = np.dtype(np.int32 if cells < 2**31 else np.int64)
        self._ids = Scratch(self.dtype)
        # the usual kind is found while the points are loaded
        usual = self.dtype == np.int32 and not overflow
        self._number = self.cloud.points.want_cells(grid) if usual else None

    @property
    def nbytes(self) -> int:
        return self._ids.array.nbytes

    @property
    def ids(self) -> NDArray[np.integer]:
        """(n,) int32, or int64 for a grid too large for that."""
        if self._number is not None:
            return self.cloud.points.cells(self._number)
        return self._ids.array[: self.cloud.points.n]

    def run(self, sample: Sample) -> None:
        if self._number is None:
            self._ids.reserve(self.cloud.points.n)
            self._stages.each(self._run_part, split(self.cloud.points.n, self._stages.threads))

    def _run_part(self, part: slice) -> None:
        x, y, z = self.cloud.points.values[:3, part]
        ids = self.ids[part]
        cell_ids(x, y, z, self._low, self._voxel, self._size, ids)
        if self._overflow:
            overflow_ids(x, y, z, self._low, self._voxel, self._size, ids)
