"""Resizing along one axis: which of the picture's rows, or columns, make one of the result, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quads", "Two", "pillow_weights", "quads", "two", "two_floats"]

_BITS = 22
"""Pillow's weights are whole numbers of so many bits."""


@dataclass(frozen=True)
class Quads:
    """Pillow's way, for some results of an axis: each is the sum of some of the picture's, four by four."""

    begin: int
    """The first of the picture's that is needed; quads are counted from it."""
    end: int
    first: NDArray[np.int32]
    """(n,) the first quad of each result."""
    weights: NDArray[np.int32]
    """(n, quads, 4) two shorts each: upper digits of weights 0 and 2, of 1 and 3, lower ones of 0 and 2, of 1 and 3."""


@dataclass(frozen=True)
class Two:
    """OpenCV's way: each result lies between two of the picture's."""

    begin: int
    """The first of the picture's that is needed; places are counted from it."""
    end: int
    places: NDArray[np.int32]
    """(n, 2)"""
    weights: NDArray[Any]
    """(n,) for bytes int32, both, of 11 bits each, the second one's in the upper 16; for float32, the second one's."""


def pillow_weights(source: int, result: int, *, cubic: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the first of the source's that make each of the result, (result,), and the weights, (result, taps) int64.

    As Pillow's resize has them: where it becomes smaller, the filter becomes as much wider.
    """
    scale = source / result
    stretch = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * stretch
    centers = (np.arange(result) + 0.5) * scale
    first = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centers + support + 0.5).astype(np.int64), source)
    taps = np.arange(ceil(support) * 2 + 1)
    away = (taps + first[:, None] - centers[:, None] + 0.5) * (1.0 / stretch)
    shares = _cubic(np.abs(away)) if cubic else np.maximum(1.0 - np.abs(away), 0.0)
    shares[taps >= (end - first)[:, None]] = 0.0
    total = np.zeros(result)
    # one after the other, as Pillow adds them
    for tap in range(len(taps)):
        total += shares[:, tap]
    shares = np.divide(shares, total[:, None], out=shares, where=total[:, None] != 0)
    return first, (shares * (1 << _BITS) + np.where(shares < 0, -0.5, 0.5)).astype(np.int64)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a = -0.5
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    found: NDArray[np.float64] = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    return found


def quads(source: int, result: int, wanted: NDArray[np.int64], *, cubic: bool) -> Quads:
    """Returns Pillow's way for the results `wanted`, in their order."""
    if source == result:
        first, weights = np.arange(result), np.full((result, 1), 1 << _BITS)
    else:
        first, weights = pillow_weights(source, result, cubic=cubic)
    first, weights = first[wanted], weights[wanted]
    used = np.maximum((weights != 0).cumsum(1).argmax(1) + 1, 1)
    weights = weights[:, : used.max()]
    begin, end = int(first.min()), int((first + used).max())
    quad, within = np.divmod(first - begin, 4)
    whole = np.zeros((len(wanted), -(-int((within + used).max()) // 4) * 4), np.int64)
    row, tap = np.nonzero(weights)
    whole[row, within[row] + tap] = weights[row, tap]
    four = whole.reshape(len(wanted), -1, 4)
    words = [
        (digit[..., k] & 0xFFFF) | (digit[..., k + 2] << 16) for digit in (four >> 11, four & 2047) for k in (0, 1)
    ]
    return Quads(begin, end, quad.astype(np.int32), np.ascontiguousarray(np.stack(words, -1).astype(np.int32)))


def two(source: int, result: int, wanted: NDArray[np.int64], *, across: bool) -> Two:
    """Returns OpenCV's way with bytes for the results `wanted`, in their order.

    across: along rows, where a result beyond the first and the last is that one; down columns it is both, that one
    twice, with the weights that they have, and is rounded so.
    """
    # to float32 before the whole part is taken away
    place = ((wanted.astype(np.float64) + 0.5) * (1.0 / (result / source)) - 0.5).astype(np.float32)
    first = np.floor(place)
    share = place - first
    first = first.astype(np.int64)
    if across:
        share = np.where((first < 0) | (first >= source - 1), np.float32(0), share)
    upper, lower = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (np.float32(1) - share, share))
    return _two(source, first, upper | lower << 16)


def two_floats(source: int, result: int, wanted: NDArray[np.int64]) -> Two:
    """The same with float32."""
    # unlike those of bytes, by the ratio itself: a share that is 0 by the one is 4e-15 by the other
    place = (wanted.astype(np.float64) + 0.5) * (source / result) - 0.5
    first = np.floor(place).astype(np.int64)
    share = np.where((first < 0) | (first >= source - 1), 0.0, place - first)
    return _two(source, first, share.astype(np.float32))


def _two(source: int, first: NDArray[np.int64], weights: NDArray[Any]) -> Two:
    pair = np.clip(np.stack([first, first + 1], -1), 0, source - 1)
    begin = int(pair.min())
    return Two(begin, int(pair.max()) + 1, (pair - begin).astype(np.int32), weights)
