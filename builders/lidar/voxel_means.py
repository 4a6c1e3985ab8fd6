"""The means of voxels' points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import PointStage
from ..kernels import voxel_means as kernels
from ..scratch import Scratch, address
from ..voxelization import Voxelization
from ..written import Written

__all__ = ["VoxelMeans"]


class VoxelMeans:
    """Of the points that voxels keep: float32 sums, as MeanVFE's. Of all points, of which there may be thousands in a
    voxel: float64 sums, which are cast once.

    points_per_voxel: how many are kept; None: all. picks: the columns, as in `Column`.
    """

    def __init__(
        self, rows: Voxelization, cloud: PointStage, points_per_voxel: int | None, picks: NDArray[np.int64]
    ) -> None:
        self._rows = rows
        self._cloud = cloud
        self._picks = picks
        self._of_all = points_per_voxel is None
        self._points_per_voxel = rows.ALL if points_per_voxel is None else points_per_voxel
        self._counts = Scratch(np.int32)
        self._scratch = Scratch(np.float64)
        self._sums = self._scratch.array.reshape(0, len(picks))

    def want(self) -> None:
        """Says at planning time that means will be written."""
        self._rows.want_of_points()

    @property
    def nbytes(self) -> int:
        return self._scratch.array.nbytes + self._counts.array.nbytes

    def run(self) -> None:
        """Sums up a frame's points, where that is not done in the tensor itself."""
        if self._of_all:
            shape = self._rows.n, len(self._picks)
            self._sums = self._scratch.reserve(shape[0] * shape[1])[: shape[0] * shape[1]].reshape(shape)
            self._add_up(self._rows.n, self._sums)

    def write(self, out: NDArray[np.float32], written: Written) -> None:
        """Writes the means. out: (rows, C)."""
        rows, width = min(self._rows.n, len(out)), len(self._picks)
        if not self._of_all:
            self._add_up(rows, out)
        counts = self._counts.array

        def divide(own: slice) -> None:
            if self._of_all:
                kernels.divide_doubles(self._sums, counts, own.start, own.stop, out)
            else:
                kernels.divide(counts, self._points_per_voxel, own.start, own.stop, width, address(out))

        self._rows.each_share(rows, divide)
        written.clear_rows(rows, out)

    def _add_up(self, rows: int, sums: NDArray[np.floating]) -> None:
        columns, counts = self._cloud.points.lying[self._picks], self._counts.reserve(rows)
        sums[:rows], counts[:rows] = 0, 0
        given: list[Any] = [columns, self._rows.of_points, self._points_per_voxel, rows, counts]
        if len(columns) in (4, 5) and not self._of_all:
            kernels.add_up(*given, address(sums))
        else:
            kernels.add_up_any(*given, sums)
