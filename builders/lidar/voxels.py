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
from ..scratch import address
from ..split import shares, split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cells import Cells
from .voxel_rows import VoxelRows

__all__ = ["Voxels"]

_log = logging.getLogger(__name__)


class Voxels(Filler):
    group = "lidar_voxels"
    strided = frozenset({"lidar_voxel_coords"})

    def __init__(self, params: VoxelsParams, stages: Stages) -> None:
        super().__init__()
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)
        self.params: VoxelsParams = params
        self._stages = stages
        self._picks = Column.picks(params.columns)
        # asked once: a grid works it out each time
        self._size = params.grid.size[:2]
        self.cells.cloud.want(params.columns)
        self._rows = VoxelRows(params.grid, self.cells.dtype, stages.threads)
        self._overflows = False
        by = "id table" if self._rows.is_dense else "hash"
        self.title = f"voxels ({by}, {params.max_points_per_voxel} per voxel)"

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes

    def run(self, sample: Sample) -> None:
        p, ids = self.params, self.cells.ids
        most = min(p.max_voxels, len(ids))
        owners = len(split(len(ids), self._stages.threads))
        # where max_voxels cuts, the points' order counts; a frame like the last one is likely to be cut too
        shared = owners > 1 and not self._rows.is_dense and not self._overflows
        if not (shared and self._rows.assign_shared(p, most, ids, owners, self._stages.each)):
            self._rows.assign(p, most, ids, owners)
        self._overflows = self._rows.lost > 0
        self._report(self._rows.lost)

    def _report(self, lost: int) -> None:
        self.dropped = {"points over max_voxels": lost}
        if lost and self._stages.first_time((Voxels, self.params)):
            _log.warning(
                "lidar_voxels: %d points are in voxels beyond max_voxels=%d and are dropped; points come in the order "
                "of the scan, so they are missing on one side (reported once; see Tensors.dropped)",
                lost,
                self.params.max_voxels,
            )

    def sizes(self) -> Mapping[str, int]:
        return {"num_voxels": max(self._rows.n, self.params.min_rows)}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        rows = min(self._rows.n, len(out))
        if feature == "lidar_voxels":
            self._fill_voxels(rows, out, written)
        elif feature == "lidar_voxel_coords":
            kernels.write_coords(self._rows.keys, rows, *self._size, self.params.coord_order == "xyz", out)
            written.clear_rows(rows, out)
        else:
            kernels.write_counts(self._rows.counts, rows, self.params.max_points_per_voxel, out)
            written.clear_rows(rows, out)

    def _fill_voxels(self, rows: int, out: NDArray[np.float32], written: Written) -> None:
        columns, per_voxel = self.cells.cloud.points.lying[self._picks], self.params.max_points_per_voxel
        counts, flat = self._rows.counts[:rows], out.reshape(-1, out.shape[-1])
        before = written.per_row(len(out))
        gather = kernels.gather if len(self._picks) in (4, 5) else kernels.gather_any
        placed = self._rows.placed
        clearing = shares(len(out), len(placed))

        def write(owner: int) -> None:
            rest = clearing[owner]
            gather(columns, *placed[owner], per_voxel, rows, flat, address(flat))
            kernels.clear_slots(counts, per_voxel, rest.start, rest.stop, before, flat)

        self._stages.each(write, range(len(placed)))
