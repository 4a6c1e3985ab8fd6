"""Which cell of a grid each point lies in. Shared by voxels and bird's-eye views on the same grid, of any sensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid

from .kernels.bev import overflow_ids
from .kernels.cells import cell_ids, cells_outside, cylinder
from .sample import Sample
from .scratch import Scratch
from .split import split
from .stage import Stage, Stages

__all__ = ["GridCells", "LookAlong", "Looking", "PointStage", "Points"]


Looking = tuple[NDArray[np.int64], bool, NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""A record's columns, whether its intensities are looked at, and a grid's lower edges, cells' edges and size: (1, 3)
each; as the kernel `look` takes them."""

LookAlong = Callable[[Looking, NDArray[np.int32], int], bool | None]
"""Does the work of the kernel `look`, and more, with (1, n) int32, where the points' cells go, and the number of the
load; returns what that returns, or None if nothing was done."""


class Points(Protocol):
    """Points as columns, as a stage of points has them."""

    n: int

    @property
    def values(self) -> NDArray[np.float32]:
        """(C, n) float32, of which x, y, z are the first three rows."""

    @property
    def lying(self) -> NDArray[np.int64]:
        """(C, 2) int64: address and stride in bytes of each column, float32."""


class PointsInCells(Points, Protocol):
    """Points that bring the cells of plain grids along."""

    def want_cells(self, grid: Grid) -> int:
        """Says at planning time that the points' cells of a grid are needed; returns the grid's number."""

    def cells(self, number: int) -> NDArray[np.int32]:
        """(n,) int32: the cells of the grid of that number."""

    load_number: int
    """Of the frame's points: the next ones have another."""

    def look_along(self, work: LookAlong) -> None:
        """Says at planning time who wants to look at the points where only one grid's cells are wanted."""


class PointStage(Stage):
    """A stage whose points can lie in cells: the lidar's cloud, the radar's, or a plug-in's."""

    finds_cells = False
    """Whether its points are PointsInCells."""

    @property
    def is_shuffled(self) -> bool:
        """Whether a draw has ordered this frame's points."""
        return False

    @property
    def points(self) -> Points:
        """The points of the frame, as columns."""
        raise NotImplementedError

    def want(self) -> None:
        """Says at planning time that the columns x, y, z are needed."""


class GridCells(Stage):
    """Per point the linear id (z * Y + y) * X + x of its cell, -1 outside; each sensor's own class says whose points.

    overflow: points above and below a column of cells get two more slices.
    """

    def __init__(self, cloud: PointStage, grid: Grid, overflow: bool, stages: Stages) -> None:
        super().__init__()
        x, y, z = grid.size
        self.title = f"cells ({x} x {y} x {z})"
        self._cloud = cloud
        cloud.want()
        self.needs = (cloud,)
        self._grid = grid
        self._size = np.array(grid.size, dtype=np.int64)
        self._stages = stages
        self._overflow = overflow
        self._low = np.array(grid.range[:3], dtype=np.float32)
        self._voxel = np.array(grid.voxel, dtype=np.float32)
        cells = grid.cells + (2 * x * y if overflow else 0)
        self.dtype = np.dtype(np.int32 if cells < 2**31 else np.int64)
        self._ids = Scratch(self.dtype)
        self._turned = Scratch(np.float32, rows=2)
        # the usual kind is found while the points are loaded
        usual = self.dtype == np.int32 and not overflow and grid.is_plain and self._cloud.finds_cells
        self._number = cast(PointsInCells, cloud.points).want_cells(grid) if usual else None

    @property
    def nbytes(self) -> int:
        return self._ids.array.nbytes + self._turned.array.nbytes

    @property
    def ids(self) -> NDArray[np.integer]:
        """(n,) int32, or int64 for a grid too large for that."""
        if self._number is not None:
            return cast(PointsInCells, self._cloud.points).cells(self._number)
        return self._ids.array[: self._cloud.points.n]

    @property
    def is_shuffled(self) -> bool:
        """Whether a draw has ordered this frame's points."""
        return self._cloud.is_shuffled

    @property
    def load_number(self) -> int:
        """Of the frame's points, for whoever was asked to `look_along`; -1 where nobody is."""
        return -1 if self._number is None else cast(PointsInCells, self._cloud.points).load_number

    def look_along(self, work: LookAlong) -> None:
        """Says at planning time who wants to look at the points, where their cells are found as they are loaded."""
        if self._number is not None:
            cast(PointsInCells, self._cloud.points).look_along(work)

    def run(self, sample: Sample) -> None:
        if self._number is None:
            self._ids.reserve(self._cloud.points.n)
            if self._grid.coordinates == "cylinder":
                self._turned.reserve(self._cloud.points.n)
            self._stages.each(self._run_part, split(self._cloud.points.n, self._stages.threads))

    def _run_part(self, part: slice) -> None:
        x, y, z = self._cloud.points.values[:3, part]
        if self._grid.coordinates == "cylinder":
            distance, azimuth = self._turned.array[:, part]
            cylinder(x, y, distance, azimuth)
            x, y = distance, azimuth
        ids, grid = self.ids[part], (self._low, self._voxel, self._size)
        cell_ids(x, y, z, *grid, ids)
        if self._overflow:
            overflow_ids(x, y, z, *grid, ids)
        if not self._grid.is_plain:
            cells_outside(x, y, z, *grid, self._grid.outside == "clamp", self._is_round, ids)

    @property
    def _is_round(self) -> bool:
        """Whether the grid goes all round, so that its last cell along the azimuth touches its first."""
        _, low, _, _, high, _ = self._grid.range
        return self._grid.coordinates == "cylinder" and abs(high - low - 2 * np.pi) < 1e-3
