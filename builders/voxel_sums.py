"""The sums of voxels' points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import PointStage
from .kernels import voxel_means as kernels
from .scratch import Scratch, address

__all__ = ["VoxelSums"]

_NO_CHUNKS = np.empty(0, np.int64)


class VoxelSums:
    """Of the points that voxels keep: float32 sums, as MeanVFE's. Of all points, of which there may be thousands in a
    voxel: float64 sums.

    picks: the columns, as in `Column`. points_per_voxel: how many are kept; None: all.
    """

    ALL = 2**31 - 1
    """More points than a voxel can have."""

    def __init__(self, cloud: PointStage, picks: NDArray[np.int64], points_per_voxel: int | None) -> None:
        self._cloud = cloud
        self._picks = picks
        self.of_all = points_per_voxel is None
        self.points_per_voxel = self.ALL if points_per_voxel is None else points_per_voxel
        self.is_usual = len(picks) in (4, 5) and not self.of_all
        """Whether `usual_work` can be done."""
        self._counts = Scratch(np.int32)
        self._sums = Scratch(np.float64 if self.of_all else np.float32)

    @property
    def nbytes(self) -> int:
        return self._counts.array.nbytes + self._sums.array.nbytes

    @property
    def counts(self) -> NDArray[np.int32]:
        """(>= rows,) the points of each row, also those beyond `points_per_voxel`."""
        return self._counts.array

    @property
    def values(self) -> NDArray[np.floating]:
        """(>= rows, C) float32, of all points float64."""
        width = len(self._picks)
        return self._sums.array[: len(self._sums.array) // width * width].reshape(-1, width)

    def usual_work(self, most: int) -> list[Any]:
        """Returns what `kernels.add_up` takes of a frame with at most so many rows, from the columns to the sums."""
        columns = self._cloud.points.lying[self._picks]
        counts, sums = self._counts.reserve(most), self._sums.reserve(most * len(columns))
        return [columns, self.points_per_voxel, counts, address(sums)]

    def add_up(self, rows_of_points: NDArray[np.int32], rows: int) -> None:
        """Adds up a frame's points. rows_of_points: (N,), -1 for none."""
        columns, points_per_voxel, counts, sums_at = self.usual_work(rows)
        counts[:rows], self.values[:rows] = 0, 0
        if self.is_usual:
            kernels.add_up(rows_of_points, columns, points_per_voxel, counts, sums_at, _NO_CHUNKS, _NO_CHUNKS, 0)
        else:
            kernels.add_up_any(rows_of_points, columns, points_per_voxel, counts, self.values)
