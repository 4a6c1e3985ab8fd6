"""Which of many rectangles touch a window: a grid of cells, each with the rectangles that reach into it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .arrays import Matrix

__all__ = ["BoundsIndex", "bounds_of"]

Indices = NDArray[np.intp]

_MOST_CELLS_EACH = 64
"""A rectangle over more cells stands in a list of its own, which every question looks through."""
_FEW = 2048
"""As many are looked through faster than a grid is."""


def bounds_of(points: Matrix, starts: NDArray[np.int64]) -> Matrix:
    """Returns (n, 4) xmin ymin xmax ymax of shapes, of which i is points[starts[i]:starts[i + 1]]; none is empty."""
    if len(starts) == 1:
        return np.zeros((0, 4))
    low, high = (least.reduceat(points[:, :2], starts[:-1]) for least in (np.minimum, np.maximum))
    return np.concatenate([low, high], axis=1)


class BoundsIndex:
    """An index of bounds (n, 4) xmin ymin xmax ymax; those that are not finite touch nothing."""

    def __init__(self, bounds: Matrix) -> None:
        self._bounds = bounds
        self._columns = self._rows = 0
        usable = np.flatnonzero(np.isfinite(bounds).all(axis=1))
        if len(usable) > _FEW:
            self._build(usable)

    def _build(self, usable: Indices) -> None:
        low, high = self._bounds[usable, :2], self._bounds[usable, 2:]
        self._origin = low.min(axis=0)
        span = np.maximum(high.max(axis=0) - self._origin, 1e-9)
        # about one rectangle a cell; no side longer than there are rectangles, be they all on one line
        self._cell = max(math.sqrt(span[0] * span[1] / len(usable)), float(span.max()) / len(usable))
        self._columns, self._rows = (int(side) for side in np.floor(span / self._cell) + 1)
        first, last = self._cells(low), self._cells(high)
        width, height = (last - first + 1).T
        narrow = width * height <= _MOST_CELLS_EACH
        self._wide: Indices = usable[~narrow]
        which, at = _each_cell(first[narrow], width[narrow], height[narrow], self._columns)
        order = np.argsort(at, kind="stable")
        self._members: Indices = usable[narrow][which[order]]
        counts = np.bincount(at, minlength=self._columns * self._rows)
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def _cells(self, xy: Matrix) -> NDArray[np.int64]:
        """Returns (..., 2) column and row; of points outside those of the nearest cell."""
        most = np.array([self._columns - 1, self._rows - 1])
        cells: NDArray[np.int64] = np.clip(np.floor((xy - self._origin) / self._cell), 0, most).astype(np.int64)
        return cells

    def touching(self, xmin: float, ymin: float, xmax: float, ymax: float) -> Indices:
        """Returns the indices of the rectangles that touch the window, its edges included, in order."""
        window = np.sort([[xmin, ymin], [xmax, ymax]], axis=0)
        among = None if not self._columns or np.isnan(window).any() else self._among(*self._cells(window).tolist())
        b = self._bounds if among is None else self._bounds[among]
        found = np.flatnonzero((b[:, 0] <= xmax) & (b[:, 2] >= xmin) & (b[:, 1] <= ymax) & (b[:, 3] >= ymin))
        return found if among is None else among[found]

    def _among(self, first: list[int], last: list[int]) -> Indices | None:
        """Returns candidates; None where nearly all are."""
        rows = range(first[1], last[1] + 1)
        spans = [(row * self._columns + first[0], row * self._columns + last[0] + 1) for row in rows]
        if sum(int(self._starts[b] - self._starts[a]) for a, b in spans) > len(self._bounds) // 2:
            return None
        parts = [self._members[self._starts[a] : self._starts[b]] for a, b in spans]
        return np.unique(np.concatenate([self._wide, *parts]))


def _each_cell(
    first: NDArray[np.int64], width: NDArray[np.int64], height: NDArray[np.int64], columns: int
) -> tuple[Indices, NDArray[np.int64]]:
    """Returns the rectangle and the cell of every pair of the two that meet."""
    counts = width * height
    which = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(nth, width[which])
    return which, (first[which, 1] + row) * columns + first[which, 0] + column
