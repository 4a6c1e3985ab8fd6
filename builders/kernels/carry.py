"""Columns that few ask for, fetched after `load` has taken the usual ones: the same points, in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .load import OFFSET, RING, take
from .record import ABSENT, BLOCK

__all__ = ["carry"]


@kernel
def carry(
    columns: Any,
    start: int,
    n: int,
    close: float,
    drop_intensity: bool,
    by_rank: bool,
    ranks: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    at: int,
    first_out: Any,
    second_out: Any,
) -> None:
    """Writes two columns of the points [start, start + n) that `load` kept, from number `at` on, as float32.

    columns: as `load` takes them, the two in the places of ring and offset; what is absent or not finite is 0.
    by_rank: the first is a ring, and is written as ranks[ring], or -1 where that is not known. ranks: (rings,) int32.
    xyz, values, times: for the work.
    """
    zero = np.float32(0)
    has_first, has_second = columns[RING, 2] != ABSENT, columns[OFFSET, 2] != ABSENT
    for first in range(0, n, BLOCK):
        found = take(columns, start + first, min(BLOCK, n - first), close, drop_intensity, halves, xyz, values, times)
        kept = found[0]
        own, other = first_out[at : at + kept], second_out[at : at + kept]
        for i in range(kept):
            value = values[1, i] if has_first else zero
            if by_rank:
                known = has_first and value >= 0 and value < len(ranks)
                own[i] = np.float32(ranks[np.int64(value)]) if known else np.float32(-1)
            else:
                own[i] = value if value - value == zero else zero
        for i in range(kept):
            other[i] = np.float32(times[i]) if has_second else zero
        at += kept
