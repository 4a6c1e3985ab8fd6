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


class VoxelMeans:
    """Of the points that voxels keep, from float32 sums, or of all points, from float64 sums, which are cast once.

    points_per_voxel: how many are kept; None: all. picks: the columns, as in `Column`.
    """

    def __init__(
        self, rows: Voxelization, cloud: PointStage, points_per_voxel: int | None, picks: NDArray[np.int64]
    ) -> None:
        self._rows = rows
        self._sums = VoxelSums(cloud, picks, points_per_voxel)

    def want(self) -> None:
        """Says at planning time that means will be written."""
        self._rows.want_sums(self._sums)

    @property
    def nbytes(self) -> int:
        return self._sums.nbytes

    def write(self, out: NDArray[np.float32], written: Written) -> None:
        """Writes the means. out: (rows, C)."""
        n, width = self._rows.n, out.shape[1]
        rows, ranks = min(n, len(out)), self._rows.ranks
        if self._sums.are_there:
            sums = self._sums.values(n)
        else:
            # float32 sums of all rows need no memory of their own
            sums = self._sums.values(n) if self._sums.of_all or rows < n else out
            self._sums.add_up(self._rows.of_points, n, sums)
            ranks = ranks[:0]
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
