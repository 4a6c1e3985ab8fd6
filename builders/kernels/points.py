"""The point list: cropping and interleaving columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .record import floats, value

__all__ = ["crop", "interleave", "interleave_chosen"]


@kernel
def crop(columns: Any, n: int, box: Any, out: Any) -> int:
    """Writes the numbers of the points in the half-open box to `out` (>= n + 1,) int32; returns how many.

    columns: (3, 2) int64, where x, y and z are in memory. box: (6,) float32 xmin ymin zmin xmax ymax zmax.
    """
    x_at, x_step, y_at, y_step = columns[0, 0], columns[0, 1], columns[1, 0], columns[1, 1]
    z_at, z_step = columns[2, 0], columns[2, 1]
    kept = 0
    for i in range(n):
        x, y, z = value(x_at, x_step, i), value(y_at, y_step, i), value(z_at, z_step, i)
        out[kept] = i
        inside = (x >= box[0]) & (y >= box[1]) & (z >= box[2])
        kept += inside & (x < box[3]) & (y < box[4]) & (z < box[5])
    return kept


@kernel
def interleave(columns: Any, start: int, out: Any) -> None:
    """Writes the columns of the points from number `start` on row by row.

    Four and five columns without gaps are written out, with which the compiler shuffles whole registers: 0.49 ms for
    320 000 rows of five, against 0.65 column by column and 1.2 row by row.

    columns: (C, 2) int64, where they are in memory. out: (rows, C) float32.
    """
    n, flat = len(out), out.reshape(-1)
    gaps = False
    for column in range(len(columns)):
        gaps |= columns[column, 1] != 4
    if len(columns) == 4 and not gaps:
        a, b = floats(columns[0, 0], start, n), floats(columns[1, 0], start, n)
        c, d = floats(columns[2, 0], start, n), floats(columns[3, 0], start, n)
        for i in range(n):
            at = np.uint64(i) * np.uint64(4)
            flat[at] = a[i]
            flat[at + np.uint64(1)] = b[i]
            flat[at + np.uint64(2)] = c[i]
            flat[at + np.uint64(3)] = d[i]
    elif len(columns) == 5 and not gaps:
        a, b = floats(columns[0, 0], start, n), floats(columns[1, 0], start, n)
        c, d = floats(columns[2, 0], start, n), floats(columns[3, 0], start, n)
        e = floats(columns[4, 0], start, n)
        for i in range(n):
            at = np.uint64(i) * np.uint64(5)
            flat[at] = a[i]
            flat[at + np.uint64(1)] = b[i]
            flat[at + np.uint64(2)] = c[i]
            flat[at + np.uint64(3)] = d[i]
            flat[at + np.uint64(4)] = e[i]
    else:
        # a few rows at a time, which stay in the first-level cache
        for first in range(0, n, 512):
            rows = out[first : first + 512]
            for column in range(len(columns)):
                address, stride = columns[column, 0], columns[column, 1]
                for i in range(len(rows)):
                    rows[i, column] = value(address, stride, start + first + i)


@kernel
def interleave_chosen(columns: Any, chosen: Any, out: Any) -> None:
    """Does the same for the points that are listed. out: (len(chosen), C) float32."""
    for first in range(0, len(chosen), 512):
        rows, numbers = out[first : first + 512], chosen[first : first + 512]
        for column in range(len(columns)):
            address, stride = columns[column, 0], columns[column, 1]
            for i in range(len(rows)):
                rows[i, column] = value(address, stride, numbers[i])
