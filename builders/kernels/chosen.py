"""Which points of a record a training sample takes, and in which order: found block by block, with no memory of it.

Three whole numbers say it. key: of a draw and a record. below: of all 2**32 values of a hash so many drop their point;
0: none is dropped. word: how a block of points is shuffled; 0: not at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .record import BLOCK

__all__ = ["choose", "mark_dropped"]

_LAST = np.uint32(BLOCK - 1)


@inner
def _hash(row: Any, low: Any, high: Any) -> Any:
    """A uint32 of which each bit depends on all bits of a row's number and of a key's halves: two multiplications and
    shifts, as in the finalizers of hashes (lowbias32, C. Wellons), which the compiler does for eight rows at a time."""
    x = np.uint32(np.uint32(row * np.uint32(0x9E3779B1)) ^ low)
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(np.uint32(x * np.uint32(0x7FEB352D)) ^ high)
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@inner
def _place(number: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Where in its block the point stands that comes at a place: each step takes the numbers of a block to each other,
    for a, c and e are odd."""
    x = np.uint32(np.uint32(number * a + b) & _LAST)
    x = np.uint32(x ^ (x >> np.uint32(5)))
    x = np.uint32(np.uint32(x * c + d) & _LAST)
    x = np.uint32(x ^ (x >> np.uint32(4)))
    x = np.uint32(np.uint32(x * e + f) & _LAST)
    return np.uint32(x ^ (x >> np.uint32(5)))


@inner
def choose(start: int, n: int, key: int, below: int, word: int, rows: Any) -> Any:
    """Writes the numbers of the points [start, start + n) that are taken, in their order; returns how many. n <= BLOCK.

    word: not 0 only of a whole block, or of a record's last. rows: (BLOCK,) int32.
    """
    begin = np.int32(start)
    if word != 0:
        digits = np.uint64(word)
        a, b = np.uint32(digits) & _LAST | np.uint32(1), np.uint32(digits >> np.uint64(9)) & _LAST
        c = np.uint32(digits >> np.uint64(18)) & _LAST | np.uint32(1)
        d = np.uint32(digits >> np.uint64(27)) & _LAST
        e = np.uint32(digits >> np.uint64(36)) & _LAST | np.uint32(1)
        f = np.uint32(digits >> np.uint64(45)) & _LAST
        if n == BLOCK:
            for i in range(BLOCK):
                rows[i] = begin + np.int32(_place(np.uint32(i), a, b, c, d, e, f))
        else:
            found: Any = np.int64(0)
            for i in range(BLOCK):
                place = np.int32(_place(np.uint32(i), a, b, c, d, e, f))
                rows[found] = begin + place
                found += place < n
    else:
        for i in range(n):
            rows[i] = begin + np.int32(i)
    if below == 0:
        return np.int64(n)
    low, high, limit = np.uint32(key), np.uint32(np.uint64(key) >> np.uint64(32)), np.uint32(below - 1)
    # two loops: eight hashes at a time, then what is kept moves up, which is one after the other
    for i in range(n):
        rows[i] = rows[i] if _hash(np.uint32(rows[i]), low, high) > limit else np.int32(-1)
    kept: Any = np.int64(0)
    for i in range(n):
        row = rows[i]
        rows[kept] = row
        kept += row >= 0
    return np.int64(kept)


@kernel
def mark_dropped(n: int, key: int, below: int, marks: Any) -> int:
    """Sets the marks of the points of a record that are dropped to 1, and leaves the others; returns how many are
    dropped. below > 0. marks: (n,) uint8."""
    low, high, limit = np.uint32(key), np.uint32(np.uint64(key) >> np.uint64(32)), np.uint32(below - 1)
    dropped = 0
    for i in range(n):
        goes = _hash(np.uint32(i), low, high) <= limit
        marks[i] |= np.uint8(goes)
        dropped += goes
    return dropped
