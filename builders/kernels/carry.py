"""Columns that few ask for, fetched after `load` has taken the usual ones: the same points, in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .load import OFFSET, RING, take
from .record import ABSENT, BLOCK

__all__ = ["carry", "carry_pieces"]


@kernel
def carry(
    columns: Any,
    start: int,
    n: int,
    key: int,
    below: int,
    word: int,
    close: float,
    drop_intensity: bool,
    by_rank: bool,
    ranks: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    rows: Any,
    at: int,
    first_out: Any,
    second_out: Any,
) -> int:
    """Writes two columns of the points [start, start + n) that `load` kept, from number `at` on, as float32.

    Returns where the next points go.

    columns: as `load` takes them, the two in the places of ring and offset; what is absent or not finite is 0.
    by_rank: the first is a ring, and is written as ranks[ring], or -1 where that is not known. ranks: (rings,) int32.
    xyz, values, times, rows: for the work.
    """
    zero = np.float32(0)
    has_first, has_second = columns[RING, 2] != ABSENT, columns[OFFSET, 2] != ABSENT
    for first in range(0, n, BLOCK):
        rules = (key, below, word, close, drop_intensity)
        found = take(columns, start + first, min(BLOCK, n - first), *rules, halves, xyz, values, times, rows)
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
    return at


@kernel
def carry_pieces(
    pieces: Any,
    words: Any,
    columns: Any,
    chances: Any,
    closes: Any,
    drop_intensity: bool,
    by_rank: bool,
    ranks: Any,
    ends: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    rows: Any,
    at: int,
    first_out: Any,
    second_out: Any,
) -> None:
    """Does what `carry` does for the pieces of `load_pieces`. ranks: those of all records, one after the other; ends:
    (S + 1,) int64: those of record s are [ends[s], ends[s + 1])."""
    place: Any = np.int64(at)
    for p in range(len(pieces)):
        s = pieces[p, 0]
        own = (columns[s], pieces[p, 1], pieces[p, 2], chances[s, 0], chances[s, 1], words[p], closes[s])
        table = ranks[ends[s] : ends[s + 1]]
        work = (halves, xyz, values, times, rows)
        place = carry(*own, drop_intensity, by_rank, table, *work, place, first_out, second_out)
