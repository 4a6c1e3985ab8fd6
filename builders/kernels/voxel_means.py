"""Means of voxels, summed point by point in their order, so that no byte depends on how the work is split."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .processor import add_four, divide_four
from .record import fetch, floats, value
from .voxels import PLACE, PLACE_BITS

__all__ = ["add_up", "add_up_any", "divide", "divide_doubles"]

_AHEAD = 32
"""Points between the one that is added and the one whose sums are asked for: a tenth less time."""


@kernel
def add_up_any(
    columns: Any, chosen: Any, slots: Any, rows_of: Any, points_per_voxel: int, rows: int, sums: Any
) -> None:
    """Adds the columns of the chosen points to the sums of their rows, in the order in which they are chosen.

    columns, chosen, slots, rows_of, points_per_voxel, rows: as for `gather` of voxels.py. sums: (>= rows, C) float32 or
    float64.
    """
    for k in range(len(slots)):
        # written out, here and below, since numba counts the users of an array that is handed to a function, atomically
        row = slots[k] >> PLACE_BITS
        if len(rows_of) > 0:
            row = np.int64(rows_of[row])
        if (slots[k] & PLACE) < points_per_voxel and row < rows:
            i: Any = np.int64(chosen[k])
            for column in range(len(columns)):
                sums[row, column] += value(columns[column, 0], columns[column, 1], i)


@kernel
def add_up(columns: Any, chosen: Any, slots: Any, rows_of: Any, points_per_voxel: int, rows: int, sums_at: int) -> None:
    """As add_up_any, for four columns or five, taken apart. sums_at: the address of (>= rows, C) float32."""
    last = len(columns) - 1
    a_at, a_step, b_at, b_step = columns[0, 0], columns[0, 1], columns[1, 0], columns[1, 1]
    c_at, c_step, d_at, d_step = columns[2, 0], columns[2, 1], columns[3, 0], columns[3, 1]
    e_at, e_step, five = columns[last, 0], columns[last, 1], last == 4
    nbytes, end = 4 * len(columns), len(slots) - 1
    for k in range(len(slots)):
        # of a row among all: where several threads share them, this asks for others, which costs nothing
        fetch(sums_at + nbytes * (slots[min(k + _AHEAD, end)] >> PLACE_BITS))
        row = slots[k] >> PLACE_BITS
        if len(rows_of) > 0:
            row = np.int64(rows_of[row])
        if (slots[k] & PLACE) < points_per_voxel and row < rows:
            i: Any = np.int64(chosen[k])
            at: Any = np.int64(sums_at + nbytes * row)
            a, b = value(a_at, a_step, i), value(b_at, b_step, i)
            add_four(a, b, value(c_at, c_step, i), value(d_at, d_step, i), at)
            if five:
                floats(at, 4, 1)[0] += value(e_at, e_step, i)


@kernel
def divide(counts: Any, points_per_voxel: int, begin: int, end: int, width: int, sums_at: int) -> None:
    """Divides the sums of the rows [begin, end), where they are, by their numbers of points.

    counts: (>= end,) int32, of which at most `points_per_voxel` count. sums_at: the address of (>= end, width) float32.
    Four at once: 0.1 ms for 95 000 rows of four, against 0.4.
    """
    for row in range(begin, end):
        points = np.float32(min(counts[row], points_per_voxel))
        at: Any = np.int64(sums_at + 4 * width * row)
        for column in range(0, width - 3, 4):
            divide_four(points, at + 4 * column)
        for column in range(width - width % 4, width):
            floats(at, column, 1)[0] /= points


@kernel
def divide_doubles(sums: Any, counts: Any, begin: int, end: int, out: Any) -> None:
    """Writes the sums of the rows [begin, end) over their numbers of points, in float64, cast once.

    sums: (>= end, C) float64; counts: (>= end,) int32; out: (>= end, C) float32.
    """
    for row in range(begin, end):
        for column in range(sums.shape[1]):
            out[row, column] = sums[row, column] / np.float64(counts[row])
