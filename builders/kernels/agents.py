"""Boxes of agents from above."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["fill_boxes", "move_rows"]


@kernel
def fill_boxes(boxes: Any, first: Any, values: Any, grid: Any, size_xy: Any, place: Any, out: Any) -> None:
    """Writes values to the cells of a flat `out` whose centres are in a box, edges included, one box after the other;
    a box without a size covers none.

    boxes: (N, 6) float64: x and y of the middle, cosine and sine of the heading, half the length and half the width, m.
    first: (N,) int64, the channel that a box's first value is for; the others follow. values: (N, V) float64.
    grid: (3,) float64, xmin, ymin and a cell's edge, m. size_xy: (2,) int64. place: (4,) int64, base and the strides of
    x, y and channels.
    """
    x_min, y_min, cell = grid[0], grid[1], grid[2]
    for k in range(len(boxes)):
        x, y, c, s = boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3]
        along, across = boxes[k, 4], boxes[k, 5]
        # else one would be seen where its middle is that of a cell
        if not (along > 0 and across > 0):
            continue
        reach_x, reach_y = abs(c) * along + abs(s) * across, abs(s) * along + abs(c) * across
        # a cell more on each side: whether its centre is inside is asked of each
        left = max(math.floor((x - reach_x - x_min) / cell) - 1.0, 0.0)
        right = min(math.floor((x + reach_x - x_min) / cell) + 1.0, size_xy[0] - 1.0)
        low = max(math.floor((y - reach_y - y_min) / cell) - 1.0, 0.0)
        high = min(math.floor((y + reach_y - y_min) / cell) + 1.0, size_xy[1] - 1.0)
        if not (left <= right and low <= high):
            continue
        for j in range(np.int64(low), np.int64(high) + 1):
            dy = y_min + (j + 0.5) * cell - y
            for i in range(np.int64(left), np.int64(right) + 1):
                dx = x_min + (i + 0.5) * cell - x
                if abs(c * dx + s * dy) <= along and abs(c * dy - s * dx) <= across:
                    at = place[0] + i * place[1] + j * place[2] + first[k] * place[3]
                    for v in range(values.shape[1]):
                        out[at + v * place[3]] = values[k, v]


@kernel
def move_rows(which: Any, turns: Any, shifts: Any, out: Any) -> None:
    """Moves rows in place: each of its vectors is turned, and its first is shifted too.

    which: (N,) int64, by which turn and shift. turns: (S, 3, 3) float64. shifts: (S, 3). out: (N, 3, 3) float64.

    0.03 ms for 2000 rows of 110 steps, against 0.6 with a product of numpy for each step.
    """
    for k in range(len(which)):
        at = which[k]
        for row in range(3):
            x, y, z = out[k, row, 0], out[k, row, 1], out[k, row, 2]
            for axis in range(3):
                out[k, row, axis] = turns[at, axis, 0] * x + turns[at, axis, 1] * y + turns[at, axis, 2] * z
        for axis in range(3):
            out[k, 0, axis] += shifts[at, axis]
