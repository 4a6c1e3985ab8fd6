"""The means of voxels' points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cells import PointStage
from ..kernels import voxel_means as kernels
from ..scratch import address
from ..voxel_sums import VoxelSums
from ..voxelization import Voxelization
from ..written import Written

__all__ = ["VoxelMeans"]

_IN_ORDER = np.empty(0, np.int32)
"""Sums that are added up later are where their rows are."""


class VoxelMeans:
    """Of the points that voxels keep, from float32 sums, or of all points, from float64 sums, which are cast once.

    points_per_voxel: how many are kept; None: all. picks: the columns, as in `Column`.
    """

    def __init__(
        self, rows: Voxelization, cloud: PointStage, points_per_voxel: int | None, picks: NDArray[np.int64]
    ) -> None:
        self._rows = rows
        self._sums = VoxelSums(cloud, picks, points_per_voxel)
        self._tensors = 0

    def want(self) -> None:
        """Says at planning time that a tensor of means will be written."""
        if not self._tensors:
            self._rows.want_sums(self._sums)
        self._tensors += 1

    @property
    def nbytes(self) -> int:
        return self._sums.nbytes

    def run(self) -> None:
        """Adds up what several tensors take, __b or another model's: they are written side by side, and there is one
        memory for sums and counts."""
        if self._tensors > 1 and not self._sums.are_there:
            self._sums.add_up(self._rows.of_points, self._rows.n, self._sums.values(self._rows.n))

    def write(self, out: NDArray[np.float32], written: Written) -> None:
        """Writes the means. out: (rows, C)."""
        n, width = self._rows.n, out.shape[1]
        rows, ranks = min(n, len(out)), self._rows.ranks if self._sums.are_there else _IN_ORDER
        if self._sums.are_there or self._tensors > 1:
            sums = self._sums.values(n)
        else:
            # float32 sums of all rows need no memory of their own
            sums = self._sums.values(n) if self._sums.of_all or rows < n else out
            self._sums.add_up(self._rows.of_points, n, sums)
        counts = self._sums.counts

        def divide(own: slice) -> None:
            which = (ranks, rows, own.start, own.stop)
            if self._sums.of_all:
                kernels.divide_doubles(sums, counts, *which, out)
            else:
                most = self._sums.points_per_voxel
                kernels.divide(address(sums), counts, most, *which, width, address(out))

        self._rows.each_share(n if len(ranks) else rows, divide)
        written.clear_rows(rows, out)
