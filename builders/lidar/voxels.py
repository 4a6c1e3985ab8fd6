"""lidar_voxels, lidar_voxel_coords and lidar_voxel_num_points: hard voxels, as spconv's Point2VoxelCPU makes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import VoxelsParams

from ..columns import Column
from ..kernels import voxels as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cells import Cells

__all__ = ["Voxels"]

_log = logging.getLogger(__name__)

_DENSE_CELLS = 2**21
"""Up to here a table of all cells is quicker than hashing: 8 MB, of which a frame touches a small part."""


class Voxels(Filler):
    group = "lidar_voxels"

    def __init__(self, params: VoxelsParams, stages: Stages) -> None:
        super().__init__()
        self._dense = params.grid.cells <= _DENSE_CELLS
        self.title = f"voxels ({'id table' if self._dense else 'hash'}, {params.max_points_per_voxel} per voxel)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)
        self.params = params
        self._picks = Column.picks(params.columns)
        self.cells.cloud.want(params.columns)
        self._table = Scratch(np.int32, fill=-1)
        self._places = Scratch(np.int32)
        self._keys = Scratch(self.cells.dtype)
        self._counts = Scratch(np.int32)
        self._slots = Scratch(np.int64)
        self._rows = 0
        self._warned = False

    @property
    def nbytes(self) -> int:
        parts = (self._table, self._places, self._keys, self._counts, self._slots)
        return sum(part.array.nbytes for part in parts)

    def run(self, sample: Sample) -> None:
        p, ids = self.params, self.cells.ids
        most = min(p.max_voxels, len(ids))
        keys, counts = self._keys.reserve(most), self._counts.reserve(most)
        slots = self._slots.reserve(len(ids))[: len(ids)]
        limits = (p.max_points_per_voxel, most, p.overflow == "break")
        if self._dense:
            table = self._table.reserve(p.grid.cells)
            self._rows = kernels.assign_dense(ids, *limits, table, keys, counts, slots)
        else:
            table = self._hash_table(most)
            places = self._places.reserve(most)
            self._rows = kernels.assign_hash(ids, *limits, table, places, keys, counts, slots)
        self._count_dropped(ids, slots)

    def _hash_table(self, rows: int) -> NDArray[np.int32]:
        """Returns a table of a power of two, at most half full."""
        size = 1 << max(10, (2 * rows - 1).bit_length())
        return self._table.reserve(size)[:size]

    def _count_dropped(self, ids: NDArray[np.integer], slots: NDArray[np.int64]) -> None:
        full = self._rows == self.params.max_voxels
        lost = int(np.count_nonzero(ids >= 0) - self._counts.array[: self._rows].sum()) if full else 0
        self.dropped = {"points over max_voxels": lost}
        if lost and not self._warned:
            self._warned = True
            _log.warning(
                "lidar_voxels: %d points lie in voxels beyond max_voxels=%d and are dropped; points come in the order "
                "of the scan, so that they are missing on one side (said once; see Tensors.dropped)",
                lost,
                self.params.max_voxels,
            )

    def sizes(self) -> Mapping[str, int]:
        return {"num_voxels": max(self._rows, self.params.min_rows)}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        rows = min(self._rows, len(out))
        if feature == "lidar_voxels":
            self._fill_voxels(rows, out, written)
        elif feature == "lidar_voxel_coords":
            x, y, _ = self.params.grid.size
            kernels.write_coords(self._keys.array, rows, x, y, self.params.coord_order == "xyz", out)
            written.clear_rows(rows, out)
        else:
            kernels.write_counts(self._counts.array, rows, self.params.max_points_per_voxel, out)
            written.clear_rows(rows, out)

    def _fill_voxels(self, rows: int, out: NDArray[np.float32], written: Written) -> None:
        per_voxel = self.params.max_points_per_voxel
        slots, flat = self._slots.array[: len(self.cells.ids)], out.reshape(-1, out.shape[-1])
        kernels.gather(self.cells.cloud.points.block, self._picks, slots, rows * per_voxel, flat)
        kernels.clear_slots(self._counts.array, rows, per_voxel, written.per_row(len(out)), flat)
