"""Which cell of a grid each point of a lidar cloud lies in."""

from __future__ import annotations

from perceptum.features import Grid
from perceptum.features.lidar import CloudParams

from ..cells import GridCells
from ..stage import Stages
from .cloud import Cloud

__all__ = ["Cells"]


class Cells(GridCells):
    """The cells of the points of `Cloud(params)`."""

    def __init__(self, params: CloudParams, grid: Grid, overflow: bool, stages: Stages) -> None:
        self.cloud = stages.share(Cloud, params)
        super().__init__(self.cloud, grid, overflow, stages)
