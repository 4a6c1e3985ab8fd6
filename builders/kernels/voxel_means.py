"""Means of voxels, summed point by point in their order, so that no byte depends on how the work is split."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .record import value
from .voxels import PLACE, PLACE_BITS

__all__ = ["add_up", "add_up_any", "divide"]

_BLOCK = 64
"""Rows whose numbers of points are written out together, for wide instructions to divide by."""


@kernel
def add_up_any(
    columns: Any, chosen: Any, slots: Any, rows_of: Any, points_per_voxel: int, rows: int, sums: Any
) -> None:
    """Adds the columns of the chosen points to the sums of their rows, in the order in which they are chosen.

    columns, chosen, slots, rows_of, points_per_voxel, rows: as for `gather` of voxels.py. sums: (>= rows, C) float32 or
    float64.
    """
    for k in range(len(slots)):
        # written out, here and below: numba counts the users of an array that is handed to a function, atomically
        row = slots[k] >> PLACE_BITS
        if len(rows_of) > 0:
            row = np.int64(rows_of[row])
        if (slots[k] & PLACE) < points_per_voxel and row < rows:
            i: Any = np.int64(chosen[k])
            for column in range(len(columns)):
                sums[row, column] += value(columns[column, 0], columns[column, 1], i)


@kernel
def add_up(columns: Any, chosen: Any, slots: Any, rows_of: Any, points_per_voxel: int, rows: int, sums: Any) -> None:
    """As add_up_any, for four columns or five, taken apart."""
    last = len(columns) - 1
    a_at, a_step, b_at, b_step = columns[0, 0], columns[0, 1], columns[1, 0], columns[1, 1]
    c_at, c_step, d_at, d_step = columns[2, 0], columns[2, 1], columns[3, 0], columns[3, 1]
    e_at, e_step, five = columns[last, 0], columns[last, 1], last == 4
    for k in range(len(slots)):
        found = slots[k] >> PLACE_BITS
        if len(rows_of) > 0:
            found = np.int64(rows_of[found])
        if (slots[k] & PLACE) < points_per_voxel and found < rows:
            row: Any = np.uint64(found)
            i: Any = np.int64(chosen[k])
            sums[row, 0] += value(a_at, a_step, i)
            sums[row, 1] += value(b_at, b_step, i)
            sums[row, 2] += value(c_at, c_step, i)
            sums[row, 3] += value(d_at, d_step, i)
            if five:
                sums[row, 4] += value(e_at, e_step, i)


@kernel
def divide(sums: Any, counts: Any, points_per_voxel: int, begin: int, end: int, out: Any) -> None:
    """Writes the sums of the rows [begin, end) over their numbers of points, in the sums' dtype.

    sums, out: (>= end, C), which may be the same; counts: (>= end,) int32, of which at most `points_per_voxel` count.
    """
    width = sums.shape[1]
    by = np.empty(_BLOCK * width, sums.dtype)
    for first in range(begin, end, _BLOCK):
        n = min(_BLOCK, end - first)
        for k in range(n):
            points = sums.dtype.type(min(counts[first + k], points_per_voxel))
            for column in range(width):
                by[np.uint64(k * width + column)] = points
        own, to = sums[first : first + n].reshape(-1), out[first : first + n].reshape(-1)
        for k in range(n * width):
            to[k] = own[k] / by[k]
