"""Working memory of stages: kept from frame to frame, grown when a frame needs more, never handed out."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .pages import allocate_pages

__all__ = ["Scratch", "address"]

_HEADROOM = 1.25
_LINE = 64


class Scratch:
    """An array that only grows; what it held is lost when it does. Rows begin at cache lines."""

    def __init__(self, dtype: DTypeLike, rows: int | None = None, fill: int | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._rows = rows
        self._fill = fill
        self.array: NDArray[Any] = self._make(0)

    def reserve(self, n: int) -> NDArray[Any]:
        """Returns the array, with at least `n` elements along its last axis."""
        if self.array.shape[-1] < n:
            self.array = self._make(int(n * _HEADROOM) + 1)
        return self.array

    def _make(self, n: int) -> NDArray[Any]:
        per_line = _LINE // self._dtype.itemsize
        # an odd number of lines: rows a multiple of 4096 bytes apart would share the same places in the cache
        n = (-(-n // per_line) | 1) * per_line if n else 0
        array = _memory((n,) if self._rows is None else (self._rows, n), self._dtype)
        if self._fill is not None:
            array.fill(self._fill)
        return array


def address(array: NDArray[Any]) -> int:
    """Returns where in memory an array's first element lies, for kernels that take addresses."""
    found: int = array.__array_interface__["data"][0]
    return found


def _memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    nbytes = prod(shape) * dtype.itemsize
    # a memoryview: numpy would keep it and the pages alive under every view
    whole = np.frombuffer(allocate_pages("a stage's scratch", nbytes), np.uint8, nbytes)
    return whole.view(dtype).reshape(shape)
