"""Parquet's run-length and bit-packed hybrid, to what its indexes mean. Imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["unpack"]


@kernel
def unpack(data: Any, bits: int, meanings: Any, out: Any) -> bool:
    """Writes meanings[index] of the indexes in `data`, bytes, `bits` (0 to 24) for each, until `out` is full.

    Returns False, with `out` half written, where the bytes end before that or an index has no meaning.
    """
    at, end, filled = 0, len(data), 0
    while filled < len(out):
        header: Any = 0
        shift = 0
        while True:
            if at >= end or shift > 28:
                return False
            byte = np.int64(data[at])
            header |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        packed = header & 1 == 1
        size = (header >> 1) * bits if packed else (bits + 7) // 8
        count = min((header >> 1) * (8 if packed else 1), len(out) - filled)
        if at + size > end:
            return False
        if packed:
            if not _packed(data[at : at + size], bits, meanings, out[filled : filled + count]):
                return False
        else:
            index: Any = 0
            for j in range(size):
                index |= np.int64(data[at + j]) << 8 * j
            if index >= len(meanings):
                return False
            out[filled : filled + count] = meanings[index]
        at, filled = at + size, filled + count
    return True


@kernel
def _packed(data: Any, bits: int, meanings: Any, out: Any) -> bool:
    # unsigned throughout: a signed index is first asked whether it is negative; 1.3 ns a number, not 3
    one, two, three, seven = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(7)
    width, most = np.uint64(bits), np.uint64(len(meanings))
    mask = (one << width) - one
    # so many lie in four bytes that are there; the rest is read byte by byte
    quick = ((len(data) - 3) * 8 + bits - 1) // bits if bits > 0 else 0
    bit = np.uint64(0)
    for k in range(len(out)):
        p = bit >> three
        word = np.uint64(0)
        if k < quick:
            low = np.uint64(data[p]) | np.uint64(data[p + one]) << np.uint64(8)
            word = low | np.uint64(data[p + two]) << np.uint64(16) | np.uint64(data[p + three]) << np.uint64(24)
        else:
            for j in range(len(data) - np.int64(p)):
                word |= np.uint64(data[np.int64(p) + j]) << np.uint64(8 * j)
        index = word >> (bit & seven) & mask
        if index >= most:
            return False
        out[k] = meanings[index]
        bit += width
    return True
