"""lidar_voxels and what belongs to them: hard voxels, as spconv's Point2VoxelCPU makes them, their means, and which
voxel each point is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from perceptum.features.lidar import VoxelsParams

from ..columns import Column
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..voxelization import Voxelization
from ..written import Written
from .cells import Cells
from .voxel_means import VoxelMeans

__all__ = ["Voxels"]


class Voxels(Filler):
    strided = frozenset({"lidar_voxel_coords"})

    def __init__(self, params: VoxelsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"voxels ({params.max_points_per_voxel} per voxel)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.rows = stages.share(
            Voxelization, self.cells, params.grid, params.max_voxels, params.overflow, params.order
        )
        self.needs = (self.rows,)
        self.params: VoxelsParams = params
        self._picks = Column.picks(params.columns)
        self._means = VoxelMeans(
            self.rows, self.cells.cloud, params.max_points_per_voxel if params.mean_of == "kept" else None, self._picks
        )

    def want(self, feature: str, dtype: str) -> None:
        if feature == "lidar_voxels":
            self.rows.want_places(self.params.max_points_per_voxel)
        elif feature == "lidar_voxel_mean":
            self._means.want()
        elif feature == "lidar_voxel_num_points":
            self.rows.want_counts()
        elif feature == "lidar_point_voxel_id":
            self.rows.want_of_points()
        if feature in ("lidar_voxels", "lidar_voxel_mean"):
            self.cells.cloud.want(self.params.columns)

    @property
    def nbytes(self) -> int:
        return self._means.nbytes

    def run(self, sample: Sample) -> None:
        self.rows.report("lidar_voxels")
        self._means.run()

    def sizes(self) -> Mapping[str, int]:
        return {"num_voxels": max(self.rows.n, self.params.min_rows), "num_points": len(self.cells.ids)}

    def clearing(self, feature: str) -> Clearing:
        return "whole" if feature == "lidar_point_voxel_id" else "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        per_voxel = self.params.max_points_per_voxel
        if feature == "lidar_voxels":
            self.rows.write_points(self.cells.cloud.points.lying[self._picks], per_voxel, out, written)
        elif feature == "lidar_voxel_coords":
            self.rows.write_coords(self.params.coord_order == "xyz", out, written)
        elif feature == "lidar_voxel_num_points":
            self.rows.write_counts(per_voxel, out, written)
        elif feature == "lidar_voxel_mean":
            self._means.write(out, written)
        else:
            n = min(len(self.rows.of_points), len(out))
            out[:n], out[n:] = self.rows.of_points[:n], -1
