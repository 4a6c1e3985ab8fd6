"""Which cell of a grid each detection lies in."""

from __future__ import annotations

from perceptum.features import Grid
from perceptum.features.radar import RadarCloudParams

from ..cells import GridCells
from ..stage import Stages
from .cloud import RadarCloud

__all__ = ["RadarCells"]


class RadarCells(GridCells):
    """The cells of the detections of `RadarCloud(params)`."""

    def __init__(self, params: RadarCloudParams, grid: Grid, stages: Stages) -> None:
        self.cloud = stages.share(RadarCloud, params)
        super().__init__(self.cloud, grid, False, stages)
