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
        self.params = params
        self._stages = stages
        self._picks = Column.picks(params.columns)
        # asked once: a grid works it out each time
        self._size = params.grid.size[:2]
        self.cells.cloud.want(params.columns)
        self._parts = [VoxelRows(params.grid, self.cells.dtype)]
        """The first has all rows after `run`; others belong to threads."""
        self._split: list[slice] = []
        by = "id table" if self._rows.is_dense else "hash"
        self.title = f"voxels ({by}, {params.max_points_per_voxel} per voxel)"

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self._parts)

    @property
    def _rows(self) -> VoxelRows:
        return self._parts[0]

    def run(self, sample: Sample) -> None:
        p, ids = self.params, self.cells.ids
        most = min(p.max_voxels, len(ids))
        self._split = split(len(ids), self._stages.threads)
        if len(self._split) == 1 or not self._assign_parts(most, ids):
            self._split = [slice(0, len(ids))]
            self._rows.assign(p, most, ids)
        self._rows.forget()
        self._report(self._rows.lost)

    def _assign_parts(self, most: int, ids: NDArray[np.integer]) -> bool:
        """Assigns parts of the points side by side; returns False where max_voxels cuts: that has an order."""
        while len(self._parts) < len(self._split):
            self._parts.append(VoxelRows(self.params.grid, self.cells.dtype))
        parts = self._parts[: len(self._split)]

        def assign(number: int) -> None:
            parts[number].assign(self.params, most, ids[self._split[number]])

        self._stages.each(assign, range(len(parts)))
        first, *others = parts
        fits = not any(part.lost for part in parts) and all(first.add(part, most) for part in others)
        for part in others if fits else parts:
            part.forget()
        return fits

    def _report(self, lost: int) -> None:
        self.dropped = {"points over max_voxels": lost}
        if lost and self._stages.first_time((Voxels, self.params)):
            _log.warning(
                "lidar_voxels: %d points lie in voxels beyond max_voxels=%d and are dropped; points come in the order "
                "of the scan, so that they are missing on one side (said once; see Tensors.dropped)",
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
        flat = out.reshape(-1, out.shape[-1])
        before = written.per_row(len(out))
        clearing = shares(len(out), len(self._split))

        def write(number: int) -> None:
            own, part, rest = self._split[number], self._parts[number], clearing[number]
            gather = kernels.gather if len(self._picks) in (4, 5) else kernels.gather_any
            gather(columns, own.start, *part.placed, *part.renumbered, per_voxel, rows, flat)
            kernels.clear_slots(self._rows.counts[:rows], per_voxel, rest.start, rest.stop, before, flat)

        self._stages.each(write, range(len(self._split)))
