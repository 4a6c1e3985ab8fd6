"""radar_voxels, radar_voxel_coords and radar_voxel_num_points: hard voxels, by the same stage as lidar's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from perceptum.features.radar import RadarVoxelsParams

from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..voxelization import Voxelization
from ..written import Written
from .cells import FirstRadarCells, RadarCells

__all__ = ["RadarVoxels"]


class RadarVoxels(Filler):
    strided = frozenset({"radar_voxel_coords"})

    def __init__(self, params: RadarVoxelsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"radar voxels ({params.max_points_per_voxel} per voxel)"
        if params.max_points is None:
            self.cells = stages.share(RadarCells, params.cloud(), params.grid)
        else:
            self.cells = stages.share(FirstRadarCells, params.cloud(), params.grid, params.max_points)
        rows = (params.grid, params.max_voxels, params.overflow, params.order)
        self.rows = stages.share(Voxelization, self.cells, *rows)
        self.needs = (self.rows,)
        self.params = params
        self._picks = self.cells.cloud.points.picks(params.columns)

    def want(self, feature: str, dtype: str) -> None:
        if feature == "radar_voxels":
            self.rows.want_places(self.params.max_points_per_voxel)
            self.cells.cloud.want(self.params.columns)
        elif feature == "radar_voxel_num_points":
            self.rows.want_counts()

    def run(self, sample: Sample) -> None:
        self.rows.report("radar_voxels")

    def sizes(self) -> Mapping[str, int]:
        return {"num_radar_voxels": max(self.rows.n, self.params.min_rows)}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        per_voxel = self.params.max_points_per_voxel
        if feature == "radar_voxels":
            self.rows.write_points(self.cells.cloud.points.lying[self._picks], per_voxel, out, written)
        elif feature == "radar_voxel_coords":
            self.rows.write_coords(self.params.coord_order == "xyz", out, written)
        else:
            self.rows.write_counts(per_voxel, out, written)
