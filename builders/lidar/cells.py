"""Which cell of a grid each point of a lidar cloud lies in."""

from __future__ import annotations

from typing import ClassVar

from perceptum.features import Grid
from perceptum.features.lidar import CloudParams

from ..cells import GridCells
from ..stage import Stages
from .cloud import Cloud, CloudInOrder

__all__ = ["Cells", "CellsInOrder"]


class Cells(GridCells):
    """The cells of the points of `Cloud(params)`."""

    of: ClassVar[type[Cloud]] = Cloud

    def __init__(self, params: CloudParams, grid: Grid, overflow: bool, stages: Stages) -> None:
        self.cloud = stages.share(self.of, params)
        super().__init__(self.cloud, grid, overflow, stages)


class CellsInOrder(Cells):
    """The cells of the points in the order of the record, whatever a draw shuffles."""

    of = CloudInOrder
