"""The square of the ground that a raster of the map shows, and how it lies in the tensor."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

from ..birds_eye import BevLayout, FlipX, FlipY
from ..errors import SpecError
from ..feature import Axes
from ..grid import Grid
from ..parameter import About
from .around import MapParams

__all__ = ["SquareParams", "one_channel", "two_channels"]


class SquareParams(MapParams, frozen=True, kw_only=True):
    """Which cells of the ground, and which way rows and columns run."""

    range: Annotated[
        tuple[float, float, float, float],
        About("xmin ymin xmax ymax, in the axes of `frame`; z does not matter.", "m"),
    ] = (-50.0, -50.0, 50.0, 50.0)
    cell: Annotated[float, About("The edge of a cell.", "m")] = 0.5
    bev_layout: BevLayout = "CYX"
    flip_x: FlipX = False
    flip_y: FlipY = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isfinite(self.cell) and self.cell > 0):
            raise SpecError(f"cell must be positive and finite, got {self.cell:g}")
        # the grid checks the range
        _ = self.grid

    @property
    def grid(self) -> Grid:
        """The same as a grid of one cell's height, as drawings and views from above have it."""
        xmin, ymin, xmax, ymax = self.range
        return Grid((xmin, ymin, -1.0, xmax, ymax, 1.0), (self.cell, self.cell, 2.0))

    def channels_count(self) -> int:
        """How many channels the tensors with channels of their own kind have."""
        return 1

    def order(self) -> tuple[str, ...]:
        """Returns the axes as they lie in memory, the slowest first; all of them are among `dims`."""
        return tuple(self.bev_layout)

    def dims(self) -> dict[str, int]:
        x, y, _ = self.grid.size
        return {"C": self.channels_count(), "Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("range", "cell") if dim in ("X", "Y") else ()

    def square(self) -> dict[str, Any]:
        """Returns the fields that say where the cells lie, whatever the tensor's layout."""
        return {"range": self.range, "cell": self.cell}


def one_channel(params: SquareParams) -> Axes:
    """Returns the axes of a tensor with one channel."""
    return tuple(1 if axis == "C" else axis for axis in params.bev_layout)


def two_channels(params: SquareParams) -> Axes:
    """Returns the axes of a tensor with two channels."""
    return tuple(2 if axis == "C" else axis for axis in params.bev_layout)
