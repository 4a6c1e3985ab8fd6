"""The map of cells that a detector answers on: coarser than the grid that it is given."""

from __future__ import annotations

from typing import Annotated

from ..errors import SpecError
from ..grid import Grid
from ..parameter import About
from .labels import LabelsParams

__all__ = ["CellsParams", "GivenGrid", "Stride"]

GivenGrid = Annotated[Grid, About("The cells that the model is given; of their height nothing depends.")]

Stride = Annotated[
    int, About("So many cells of the grid along x and y are one of the map; what is left over is cut off.", least=1)
]


class CellsParams(LabelsParams, frozen=True, kw_only=True):
    """The labelled boxes, and the cells of the map."""

    grid: GivenGrid
    stride: Stride

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.grid.is_plain:
            raise SpecError('a map of boxes wants a grid with coordinates "xyz" and outside "drop"')
        if min(self.map_size()) < 1:
            raise SpecError(
                f"stride is {self.stride}, and the grid has {self.grid.size[0]} x {self.grid.size[1]} cells"
            )

    def map_size(self) -> tuple[int, int]:
        """Returns the cells of the map along x and y."""
        x, y, _ = self.grid.size
        return x // self.stride, y // self.stride
