"""The points of a sweep, one after the other: where they are wanted, and which of them are finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from ..chosen import choose
from ..load import FAR, INTENSITY, OFFSET, X, Y, Z, place
from ..record import ABSENT, BLOCK, read, read_chosen

__all__ = ["bring", "count_finite"]


@kernel
def bring(
    columns: Any,
    n: int,
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    halves: Any,
    xyz: Any,
    times: Any,
    out: Any,
) -> None:
    """Writes the x, y, z of all points of a record, placed by `how` and what follows, as in `load`, and intensity.

    out: (4, >= n) float32. What is not finite goes anywhere. xyz: (3, BLOCK), times: (BLOCK,) int64: for the work.
    """
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        read(columns[X], start, m, halves, xyz[0])
        read(columns[Y], start, m, halves, xyz[1])
        read(columns[Z], start, m, halves, xyz[2])
        if columns[OFFSET, 2] != ABSENT:
            read(columns[OFFSET], start, m, halves, times)
            for i in range(m):
                # such a point may say any time
                far = not ((abs(xyz[0, i]) < FAR) & (abs(xyz[1, i]) < FAR) & (abs(xyz[2, i]) < FAR))
                times[i] = first_ns if far else times[i]
        x, y, z = out[0, start : start + m], out[1, start : start + m], out[2, start : start + m]
        place(how, knots, first_ns, step_ns, m, xyz, times, x, y, z)
        if columns[INTENSITY, 2] != ABSENT:
            read(columns[INTENSITY], start, m, halves, out[3, start : start + m])


@kernel
def count_finite(
    columns: Any, pieces: Any, words: Any, key: int, below: int, halves: Any, xyz: Any, rows: Any, out: Any
) -> int:
    """Writes per point how many finite ones come before it; returns how many are not finite.

    pieces, words, key, below: of the one record, as `load_pieces` takes them, which points come and in which order; of
    the others nothing is written. rows: (BLOCK,) int32, for the work. out: (>= n,) int32.
    """
    count: Any = np.int32(0)
    every: Any = np.int64(0)
    for p in range(len(pieces)):
        m = choose(pieces[p, 1], pieces[p, 2], key, below, words[p], rows)
        own = rows[:m]
        read_chosen(columns[X], own, halves, xyz[0])
        read_chosen(columns[Y], own, halves, xyz[1])
        read_chosen(columns[Z], own, halves, xyz[2])
        for i in range(m):
            out[own[i]] = count
            count += (abs(xyz[0, i]) < FAR) & (abs(xyz[1, i]) < FAR) & (abs(xyz[2, i]) < FAR)
        every += m
    return int(every - count)
