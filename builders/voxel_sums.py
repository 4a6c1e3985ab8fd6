"""The sums of voxels' points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import PointStage
from .kernels import voxel_means as kernels
from .scratch import Scratch, address

__all__ = ["VoxelSums"]

_ALL = 2**31 - 1
"""More points than a voxel can have."""


class VoxelSums:
    """Of the points that voxels keep: float32 sums, as MeanVFE's. Of all points, of which there may be thousands in a
    voxel: float64 sums.

    picks: the columns, as in `Column`. points_per_voxel: how many are kept; None: all.
    """

    def __init__(self, cloud: PointStage, picks: NDArray[np.int64], points_per_voxel: int | None) -> None:
        self._cloud = cloud
        self._picks = picks
        self.of_all = points_per_voxel is None
        self.points_per_voxel = _ALL if points_per_voxel is None else points_per_voxel
        self._counts = Scratch(np.int32)
        self._sums = Scratch(np.float64 if self.of_all else np.float32)
        self.are_there = False
        """Whether a frame's were added up as its rows were found: then they are in the order in which those were."""

    @property
    def nbytes(self) -> int:
        return self._counts.array.nbytes + self._sums.array.nbytes

    @property
    def counts(self) -> NDArray[np.int32]:
        """(>= rows,) the points of each row, also those beyond `points_per_voxel`."""
        return self._counts.array

    def values(self, rows: int) -> NDArray[np.floating]:
        """(rows, C) float32, of all points float64."""
        n = rows * len(self._picks)
        return self._sums.reserve(n)[:n].reshape(rows, len(self._picks))

    def usual_work(self, most: int) -> list[Any] | None:
        """Returns what `kernels.add_up` takes of a frame with at most so many rows, from the columns to the sums; None
        where it takes others."""
        columns = self._cloud.points.lying[self._picks]
        if self.of_all or len(columns) not in (4, 5) or (columns[:, 1] != columns[0, 1]).any():
            return None
        return [columns, self.points_per_voxel, self._counts.reserve(most), address(self.values(most))]

    def add_up(self, rows_of_points: NDArray[np.int32], rows: int, sums: NDArray[np.floating]) -> None:
        """Adds up a frame's points. rows_of_points: (N,), -1 for none. sums: (>= rows, C) in the dtype of `values`."""
        counts, work = self._counts.reserve(rows), self.usual_work(rows)
        counts[:rows], sums[:rows] = 0, 0
        if work is not None:
            work = [rows_of_points, 0, *work[:-1], address(sums)]
            kernels.add_up(*work)
        else:
            columns = self._cloud.points.lying[self._picks]
            kernels.add_up_any(rows_of_points, columns, self.points_per_voxel, counts, sums)
