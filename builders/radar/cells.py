"""Which cell of a grid each detection lies in."""

from __future__ import annotations

from perceptum.features import Grid
from perceptum.features.radar import RadarCloudParams

from ..cells import GridCells
from ..sample import Sample
from ..stage import Stages
from .cloud import RadarCloud

__all__ = ["FirstRadarCells", "RadarCells"]


class RadarCells(GridCells):
    """The cells of the detections of `RadarCloud(params)`."""

    def __init__(self, params: RadarCloudParams, grid: Grid, stages: Stages) -> None:
        self.cloud = stages.share(RadarCloud, params)
        super().__init__(self.cloud, grid, False, stages)


class FirstRadarCells(RadarCells):
    """The same for the first detections; those from `most` on lie in no cell."""

    def __init__(self, params: RadarCloudParams, grid: Grid, most: int, stages: Stages) -> None:
        super().__init__(params, grid, stages)
        self._most = most

    def run(self, sample: Sample) -> None:
        super().run(sample)
        self.ids[self._most :] = -1
        self.dropped = {"detections over max_points": max(self.cloud.points.n - self._most, 0)}
