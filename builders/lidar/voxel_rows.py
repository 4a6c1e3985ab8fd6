"""Which voxels there are, and which point goes where: one after the other, or in parts side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid
from perceptum.features.lidar import VoxelsParams

from ..kernels import voxels as kernels
from ..scratch import Scratch

__all__ = ["VoxelRows"]

_DENSE_CELLS = 2**21
"""Up to here a table of all cells is quicker than hashing: 8 MB, of which a frame touches a small part."""


class VoxelRows:
    """The rows of the voxels among some points, in the order in which they are first seen."""

    def __init__(self, grid: Grid, ids: np.dtype[Any]) -> None:
        self._cells = grid.cells
        self.is_dense = grid.cells <= _DENSE_CELLS
        self._table = Scratch(np.int32, fill=-1)
        self._used: NDArray[np.int32] = self._table.array
        self._is_clean = True
        self._places = Scratch(np.int32)
        self._keys = Scratch(ids)
        self._counts = Scratch(np.int32)
        self._rows_here = Scratch(np.int32)
        self._before = Scratch(np.int32)
        self._chosen = Scratch(np.int32)
        self._slots = Scratch(np.int64)
        self._kept = 0
        self.n = 0
        self.lost = 0
        """Points left out, since their voxels got no row."""
        self.is_renumbered = False

    @property
    def nbytes(self) -> int:
        parts = (self._table, self._places, self._keys, self._counts, self._rows_here, self._before)
        return sum(part.array.nbytes for part in (*parts, self._chosen, self._slots))

    @property
    def keys(self) -> NDArray[np.integer]:
        """(n,) the cell of each row."""
        return self._keys.array[: self.n]

    @property
    def counts(self) -> NDArray[np.int32]:
        """(n,) points seen per row, also beyond those that a voxel holds."""
        return self._counts.array[: self.n]

    @property
    def renumbered(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Where `add` put each row, and how many points were there before; empty if it was not asked to."""
        n = self.n if self.is_renumbered else 0
        return self._rows_here.array[:n], self._before.array[:n]

    @property
    def placed(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The points that have a place, counted from the first of those that were given, and their slots."""
        return self._chosen.array[: self._kept], self._slots.array[: self._kept]

    def assign(self, params: VoxelsParams, most: int, ids: NDArray[np.integer]) -> None:
        """Gives the points' voxels rows, at most `most`, and the points places in them."""
        self._prepare(most)
        points = (self._chosen.reserve(len(ids)), self._slots.reserve(len(ids)))
        limits = (params.max_points_per_voxel, most, params.overflow == "break")
        own = (self._places.reserve(most), self._keys.reserve(most), self._counts.reserve(most))
        self.is_renumbered = False
        address: int = self._used.__array_interface__["data"][0]
        found = kernels.assign(ids, *limits, self._shift, self._used, address, *own, *points)
        self.n, self._kept, self.lost = found

    def add(self, later: VoxelRows, most: int) -> bool:
        """Takes in the rows of later points; returns False where that makes more than `most`."""
        own = (self._used, self._places.array, self._keys.array, self._counts.array)
        here = (later._rows_here.reserve(later.n), later._before.reserve(later.n))
        self.n, fits = kernels.merge(later.keys, later.counts, most, self.n, self._shift, *own, *here)
        later.is_renumbered = True
        return fits

    def forget(self) -> None:
        """Makes the table ready for other points; without, that takes longer when they come."""
        kernels.forget(self._places.array[: self.n], self._used)
        self._is_clean = True

    def _prepare(self, most: int) -> None:
        if not self._is_clean:
            self._table.array.fill(-1)
        # what is interrupted from here on leaves rows in the table
        self._is_clean = False
        # a hash table is of a power of two, and at most half full
        size = self._cells if self.is_dense else 1 << max(10, (2 * most - 1).bit_length())
        self._used = self._table.reserve(size)[:size]

    @property
    def _shift(self) -> np.uint64 | None:
        return None if self.is_dense else np.uint64(65 - len(self._used).bit_length())
