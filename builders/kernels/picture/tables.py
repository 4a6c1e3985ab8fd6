"""What resizing needs to know of an axis, quick enough for every draw: the numbers that Pillow and OpenCV have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

__all__ = ["by_quads", "pairs", "taps"]

BITS = 22
"""Pillow's weights are whole numbers of so many bits."""
LOW = 11
"""Of them in the lower of two digits."""

Longs = NDArray[np.int64]


@kernel
def taps(
    source: int,
    result: int,
    wanted: Longs,
    cubic: bool,
    shares: NDArray[np.float64],
    first: Longs,
    used: Longs,
    weights: Longs,
) -> tuple[int, int, int]:
    """What makes some results of an axis, as Pillow's resize has it: where it becomes smaller, the filter becomes as
    much wider. Returns the first of the source's that is needed, the one after the last, and how many quads a result
    needs at most, counted from the first.

    source, result: how many there are; wanted (n,): some of the results. shares (taps,): scratch. first (n,): the first
    of the source's that goes into each; used (n,): up to which one after it weights are not 0, at least 1; weights (n
    taps,).
    """
    scale = source / result
    stretch = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * stretch
    # Pillow multiplies by the inverse
    narrow = 1.0 / stretch
    least: Any = np.int64(source)
    most: Any = np.int64(0)
    for k in range(len(wanted)):
        at = k * len(shares)
        if source == result:
            first[k], used[k], weights[at] = wanted[k], 1, 1 << BITS
        else:
            center = (wanted[k] + 0.5) * scale
            begin: Any = max(np.int64(center - support + 0.5), 0)
            end: Any = min(np.int64(center + support + 0.5), source)
            n = end - begin
            # all of them, and without a branch: several at a time
            for tap in range(len(shares)):
                x = abs((tap + begin - center + 0.5) * narrow)
                if cubic:
                    near = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
                    far = (((x - 5) * x + 8) * x - 4) * -0.5
                    share = near if x < 1.0 else (far if x < 2.0 else 0.0)
                else:
                    share = max(1.0 - x, 0.0)
                shares[tap] = share if tap < n else 0.0
            total = 0.0
            # one after the other, as Pillow adds them
            for tap in range(n):
                total += shares[tap]
            total = total if total != 0 else 1.0
            for tap in range(len(shares)):
                share = shares[tap] / total
                weights[at + tap] = np.int64(share * (1 << BITS) + (-0.5 if share < 0 else 0.5))
            while n > 1 and weights[at + n - 1] == 0:
                n -= 1
            first[k], used[k] = begin, n
        least, most = min(least, first[k]), max(most, first[k] + used[k])
    quads: Any = np.int64(0)
    for k in range(len(wanted)):
        quads = max(quads, (((first[k] - least) & 3) + used[k] + 3) >> 2)
    return least, most, quads


@kernel
def by_quads(
    first: Longs,
    used: Longs,
    weights: Longs,
    most: int,
    begin: int,
    quads: NDArray[np.int32],
    words: NDArray[np.int32],
) -> None:
    """The same, four by four, counted from `begin`.

    most: how many taps there are room for. quads (n,): the first of each result; words (n, quads, 4): two shorts each,
    upper digits of weights 0 and 2, of 1 and 3, lower ones of 0 and 2, of 1 and 3.
    """
    shorts = words.view(np.uint16)
    for k in range(len(quads)):
        quad = (first[k] - begin) >> 2
        quads[k] = quad
        within = first[k] - begin - 4 * quad
        for number in range(shorts.shape[1]):
            for place in range(8):
                shorts[k, number, place] = 0
        for tap in range(used[k]):
            place = within + tap
            # 0, 1, 2, 3 of a quad: the first short of two words, then the second
            at = 2 * (place & 1) + ((place >> 1) & 1)
            weight = weights[k * most + tap]
            shorts[k, place >> 2, at] = (weight >> LOW) & 0xFFFF
            shorts[k, place >> 2, 4 + at] = weight & ((1 << LOW) - 1)


@kernel
def pairs(
    source: int,
    result: int,
    wanted: Longs,
    across: bool,
    offsets: NDArray[np.int32],
    shares: NDArray[np.int16],
    rows: NDArray[np.int32],
    weights: NDArray[np.int32],
) -> tuple[int, int]:
    """What makes some results of an axis, as OpenCV's INTER_LINEAR of bytes has it. Returns the first of the source's
    that is needed, from which places are counted, and the one after the last.

    across: along rows, where a result beyond the first and the last is that one; offsets (n or more,): where the first
    of two pixels begins, in bytes; shares (16 for each of offsets,), as `two_taps` wants them; else down columns, where
    it is both, that one twice, with the weights that they have, and is rounded so: rows (n, 2), weights (n,): both
    weights, the second in the upper 16 bits.
    """
    n = len(wanted)
    # OpenCV works the scale out from the other one
    scale = 1.0 / (result / source)
    begin: Any = np.int64(source)
    end: Any = np.int64(0)
    for way in range(2):
        for k in range(n):
            # to float32 before the whole part is taken away
            place = np.float32((wanted[k] + 0.5) * scale - 0.5)
            first = np.int64(np.floor(place))
            share = place - np.float32(np.floor(place))
            if across and (first < 0 or first >= source - 1):
                share = np.float32(0)
            left: Any = min(max(first, 0), source - 1)
            right: Any = min(max(first + 1, 0), source - 1)
            if way == 0:
                begin, end = min(begin, left), max(end, right + 1)
                continue
            one = np.int32(np.rint((np.float32(1) - share) * np.float32(2048)))
            other = np.int32(np.rint(share * np.float32(2048)))
            if across:
                offsets[k] = 3 * (left - begin)
                _spread(k, one, other, shares)
            else:
                rows[k, 0], rows[k, 1], weights[k] = left - begin, right - begin, one | other << 16
    if across:
        # whole blocks: what is beyond the last is made of the first, times 0
        for k in range(n, len(offsets)):
            offsets[k] = 0
            _spread(k, 0, 0, shares)
    return begin, end


@inner
def _spread(k: Any, one: Any, other: Any, shares: NDArray[np.int16]) -> None:
    """Writes a pixel's two weights: of eight pixels after the other, two digits of two weights, for red, green, blue
    and nothing."""
    at = 128 * (k // 8) + 4 * (k % 8)
    for colour in range(4):
        shares[at + colour], shares[at + 32 + colour] = one >> 5, other >> 5
        shares[at + 64 + colour], shares[at + 96 + colour] = one & 31, other & 31
