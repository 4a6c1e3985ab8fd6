"""Boxes in the way of each other, and points in boxes."""

from __future__ import annotations

from math import cos, sin, sqrt
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel
from perceptum.inputs.outline_kernel import apart

from .load import EACH, OFFSET, X, Y, Z, place
from .record import BLOCK, floats, read

__all__ = ["SQUARES", "choose_free", "find_inside", "leave_out", "list_squares"]

SQUARES = 128
"""Along each axis, as many as boxes reach over together: a point looks only at the boxes of its own square."""

_MASK = 63
"""Boxes whose numbers are equal in these bits share one of the 64 bits of a square."""


@kernel
def choose_free(candidates: Any, wanted: int, standing: int, boxes: Any, chosen: Any) -> int:
    """Chooses boxes that overlap none that stands, seen from above, in their order, until there are as many as wanted;
    returns how many. Two convex shapes overlap unless a side of one of them separates them, exactly.

    candidates: (C, 7) float64, x y z length width height yaw. standing: how many of `boxes` stand already; those that
    are chosen are put behind them. boxes: (standing + C, 7) float64. chosen: (C,) int64, the candidates' numbers.
    """
    found = 0
    for k in range(len(candidates)):
        if found == wanted:
            break
        free = True
        for other in range(standing + found):
            if not (apart(candidates[k], boxes[other]) or apart(boxes[other], candidates[k])):
                free = False
                break
        if free:
            boxes[standing + found] = candidates[k]
            chosen[found] = k
            found += 1
    return found


@inner
def _square(from_low_m: float, square_m: float) -> int:
    return int(min(max(from_low_m / square_m, 0), SQUARES - 1))


@kernel
def list_squares(boxes: Any, low: Any, square_m: float, out: Any) -> None:
    """Notes which squares each box may reach into, seen from above: bit k % 64 of a square is box k's.

    boxes: (K, 7) float64. low: (2,) float64, the corner of the first. out: (SQUARES, SQUARES) uint64, by y and x.
    """
    out[:] = 0
    # from a square's middle to its corners, and what float32 rounds
    beside = square_m * sqrt(0.5) + 1e-3
    for k in range(len(boxes)):
        x, y, half_length, half_width = boxes[k, 0], boxes[k, 1], boxes[k, 3] / 2 + beside, boxes[k, 4] / 2 + beside
        c, s = cos(boxes[k, 6]), sin(boxes[k, 6])
        reach_x, reach_y = abs(c) * half_length + abs(s) * half_width, abs(s) * half_length + abs(c) * half_width
        left, right = _square(x - reach_x - low[0], square_m), _square(x + reach_x - low[0], square_m)
        bottom, top = _square(y - reach_y - low[1], square_m), _square(y + reach_y - low[1], square_m)
        bit = np.uint64(1) << np.uint64(k & _MASK)
        for row in range(bottom, top + 1):
            for column in range(left, right + 1):
                dx, dy = low[0] + (column + 0.5) * square_m - x, low[1] + (row + 0.5) * square_m - y
                if abs(c * dx + s * dy) <= half_length and abs(c * dy - s * dx) <= half_width:
                    out[row, column] |= bit


@kernel
def find_inside(
    columns: Any,
    n: int,
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    boxes: Any,
    low: Any,
    square_m: float,
    squares: Any,
    halves: Any,
    xyz: Any,
    times: Any,
    placed: Any,
    squared: Any,
    out: Any,
) -> int:
    """Writes the numbers of the points of a record that lie in a box or on its faces, and returns how many.

    columns: (6, 3) int64, as `read` takes them; how, knots, first_ns, step_ns: how points come to the boxes' frame, as
    `place` takes it. boxes: (K, 7) float64; low, square_m, squares: as `list_squares` wrote them. xyz: (3, BLOCK) of a
    dtype that holds what is recorded; times: (BLOCK,) int64, placed: (3, BLOCK) float32, squared: (2, BLOCK)
    int32, for the work. No box reaches the squares at the border. out: (n,) int32.
    """
    x, y, z = placed[0], placed[1], placed[2]
    own, numbers = squared[0], squared[1]
    turns = np.empty((len(boxes), 2))
    for k in range(len(boxes)):
        turns[k, 0], turns[k, 1] = cos(boxes[k, 6]), sin(boxes[k, 6])
    per_m = np.float32(1.0 / square_m)
    low_x, low_y, most = np.float32(low[0]), np.float32(low[1]), np.float32(SQUARES - 1)
    zero, found = np.float32(0), 0
    flat = squares.reshape(SQUARES * SQUARES)
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        read(columns[X], start, m, halves, xyz[0])
        read(columns[Y], start, m, halves, xyz[1])
        read(columns[Z], start, m, halves, xyz[2])
        if how == EACH:
            read(columns[OFFSET], start, m, halves, times)
        place(how, knots, first_ns, step_ns, m, xyz, times, x, y, z)
        # three loops: the numbers of squares, eight points at a time; without a branch those that are near a box; and
        # only these. What is beyond all squares is put into one at the border, where no box is; so is NaN
        for i in range(m):
            column, row = (x[i] - low_x) * per_m, (y[i] - low_y) * per_m
            column = column if column > zero else zero
            row = row if row > zero else zero
            column = column if column < most else most
            row = row if row < most else most
            own[i] = np.int32(row) * np.int32(SQUARES) + np.int32(column)
        candidates = 0
        for i in range(m):
            near = flat[own[i]] != 0
            own[candidates] = own[i]
            numbers[candidates] = i
            candidates += near
        for j in range(candidates):
            i, near = numbers[j], flat[own[j]]
            for k in range(len(boxes)):
                if (near >> np.uint64(k & _MASK)) & np.uint64(1) == 0:
                    continue
                dx, dy = np.float64(x[i]) - boxes[k, 0], np.float64(y[i]) - boxes[k, 1]
                dz = np.float64(z[i]) - boxes[k, 2]
                c, s = turns[k, 0], turns[k, 1]
                by_sides = (abs(c * dx + s * dy) <= boxes[k, 3] / 2) & (abs(c * dy - s * dx) <= boxes[k, 4] / 2)
                if by_sides and abs(dz) <= boxes[k, 5] / 2:
                    out[found] = start + i
                    found += 1
                    break
    return found


@kernel
def leave_out(source: int, words: int, n: int, last: int, gone: Any, out: Any) -> None:
    """Copies rows of memory but those whose numbers, in order, are in `gone` (int32), in their order: what lies between
    two of these at once.

    source: the address of n rows of so many words, of four bytes each; of the last one only `last` may be read. out:
    float32, with room for the rows that stay.
    """
    at = begin = 0
    for k in range(len(gone) + 1):
        end = gone[k] if k < len(gone) else n
        m = (end - begin) * words - (words - last if end == n else 0)
        if end > begin:
            rows, place = floats(source, begin * words, m), out[at : at + m]
            for i in range(m):
                place[i] = rows[i]
            at += (end - begin) * words
        begin = end + 1
