"""lidar_pillar_features, and their coords and counts: points as OpenPCDet and mmdetection3d decorate them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid
from perceptum.features.lidar import PillarsParams

from ..columns import Column
from ..kernels import pillars as kernels
from ..kernels.voxels import clear_slots
from ..sample import Sample
from ..scratch import Scratch, address
from ..stage import Clearing, Filler, Stages
from ..voxel_rows import Placed
from ..voxelization import Voxelization, gather_of
from ..written import Written
from .cells import Cells

__all__ = ["Pillars"]

_PAST_CACHES_BYTES = 2**21
_ALONG = {"none": 0, "xy": 2, "xyz": 3}


class Pillars(Filler):
    strided = frozenset({"lidar_pillar_coords"})

    def __init__(self, params: PillarsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"pillars ({params.max_points_per_voxel} per pillar)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.rows = stages.share(
            Voxelization, self.cells, params.grid, params.max_voxels, params.overflow, params.order
        )
        self.needs = (self.rows,)
        self.params: PillarsParams = params
        self._picks = Column.picks(params.columns)
        self._grid = _edges_and_first_center(params.grid)
        flags = (params.absolute_xyz, params.cluster_offset, _ALONG[params.center_offset])
        self._decoration = np.array([*flags, params.with_distance, params.legacy], dtype=np.int64)
        self._packed = Scratch(np.float32)
        self._starts = Scratch(np.int32)
        self._features_wanted = False

    def want(self, feature: str, dtype: str) -> None:
        if feature == "lidar_pillar_features":
            self._features_wanted = True
            self.rows.want_places(self.params.max_points_per_voxel)
            self.cells.cloud.want(self.params.columns)
        elif feature == "lidar_pillar_num_points":
            self.rows.want_counts()

    @property
    def nbytes(self) -> int:
        return self._packed.array.nbytes + self._starts.array.nbytes

    def run(self, sample: Sample) -> None:
        self.rows.report("lidar_pillars")
        if self._features_wanted:
            self._pack()

    def _pack(self) -> None:
        """Puts the kept points of each pillar side by side, pillar behind pillar."""
        rows, per_voxel, width = self.rows, self.params.max_points_per_voxel, len(self._picks)
        starts = self._starts.reserve(rows.n + 1)[: rows.n + 1]
        kernels.pack_rows(rows.counts, per_voxel, rows.n, starts)
        n = int(starts[-1])
        # four numbers are read of each point
        packed = self._packed.reserve(n * width + 1)[: n * width].reshape(n, width)
        columns = self.cells.cloud.points.lying[self._picks]
        of_one_stride = len(columns) in (4, 5) and (columns[:, 1] == columns[0, 1]).all()
        gather = gather_of(columns)

        def pack(part: Placed) -> None:
            if of_one_stride:
                kernels.pack(columns, *part, per_voxel, starts, address(packed))
            else:
                gather(columns, *part, per_voxel, rows.n, starts, packed, address(packed))

        rows.each_part(pack)

    def sizes(self) -> Mapping[str, int]:
        return {"num_pillars": max(self.rows.n, self.params.min_rows)}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "lidar_pillar_features":
            self._decorate(out, written)
        elif feature == "lidar_pillar_coords":
            self.rows.write_coords(self.params.coord_order == "xyz", out, written)
        else:
            self.rows.write_counts(self.params.max_points_per_voxel, out, written)

    def _decorate(self, out: NDArray[np.float32], written: Written) -> None:
        rows, per_voxel = min(self.rows.n, len(out)), self.params.max_points_per_voxel
        packed_at, starts, keys, size = address(self._packed.array), self._starts.array, self.rows.keys, self.rows.size
        given: list[Any] = [packed_at, len(self._picks), starts, keys, size[0], size[1]]
        given += [self._grid, self._decoration, per_voxel]
        counts, flat, before = self.rows.counts[:rows], out.reshape(-1, out.shape[-1]), written.per_row(len(out))

        # a tensor larger than any second-level cache: 1.3 ms for 7 MB of a larger one, and 1.0 past the caches
        past_caches = out.nbytes > _PAST_CACHES_BYTES

        def write(own: slice) -> None:
            work = [*given, own.start, min(own.stop, rows), out.shape[-1], past_caches, address(flat)]
            kernels.decorate(*work)
            clear_slots(counts, per_voxel, own.start, own.stop, before, flat)

        self.rows.each_share(len(out), write)


def _edges_and_first_center(grid: Grid) -> NDArray[np.float32]:
    """(6,) the cells' edges along x, y, z, and the centre of the first cell, each rounded to float32 once."""
    centers = [edge / 2 + low for edge, low in zip(grid.voxel, grid.range[:3], strict=True)]
    return np.array([*grid.voxel, *centers], dtype=np.float32)
