"""Resizing along one axis: which of the picture's rows, or columns, make one of the result, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.picture import PIXELS
from .picture import bench

__all__ = ["Across", "Quads", "Two", "quads", "two_across", "two_down", "two_floats"]

_NO_ROWS = np.zeros((0, 2), np.int32), np.zeros(0, np.int32)
_NO_COLUMNS = np.zeros(0, np.int32), np.zeros(0, np.int16)


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
class Across:
    """OpenCV's way with bytes, along rows: whole blocks of pixels."""

    begin: int
    end: int
    offsets: NDArray[np.int32]
    """(w,) where the first of a result's two pixels begins, in bytes; w: a multiple of 16."""
    shares: NDArray[np.int16]
    """(16 w,) as `by_two` wants them."""


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


def quads(source: int, result: int, wanted: NDArray[np.int64], *, cubic: bool) -> Quads:
    """Returns Pillow's way for the results `wanted`, in their order."""
    from ..kernels.picture.tables import by_quads, taps

    # one type for the compiler: flipped, they run backwards
    n, wanted = len(wanted), np.ascontiguousarray(wanted)
    most = ceil((2.0 if cubic else 1.0) * max(source / result, 1.0)) * 2 + 1
    first, used = bench.take("first taps", n, np.int64), bench.take("used taps", n, np.int64)
    weights, shares = bench.take("weights", n * most, np.int64), bench.take("shares", most, np.float64)[:most]
    begin, end, many = taps(source, result, wanted, cubic, shares, first, used, weights)
    places, words = np.empty(n, np.int32), np.empty((n, many, 4), np.int32)
    by_quads(first, used, weights, most, begin, places, words)
    return Quads(begin, end, places, words)


def two_across(source: int, result: int, wanted: NDArray[np.int64]) -> Across:
    """Returns OpenCV's way with bytes along rows for the results `wanted`, in their order."""
    from ..kernels.picture.tables import pairs

    n = -(-len(wanted) // PIXELS) * PIXELS
    offsets, shares = np.empty(n, np.int32), np.empty(16 * n, np.int16)
    begin, end = pairs(source, result, np.ascontiguousarray(wanted), True, offsets, shares, *_NO_ROWS)
    return Across(begin, end, offsets, shares)


def two_down(source: int, result: int, wanted: NDArray[np.int64]) -> Two:
    """The same down columns."""
    from ..kernels.picture.tables import pairs

    n = len(wanted)
    places, weights = np.empty((n, 2), np.int32), np.empty(n, np.int32)
    begin, end = pairs(source, result, np.ascontiguousarray(wanted), False, *_NO_COLUMNS, places, weights)
    return Two(begin, end, places, weights)


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
