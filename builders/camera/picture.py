"""A picture in memory, on its way to a tensor, and the memory that it is worked on in."""

from __future__ import annotations

from dataclasses import dataclass
from threading import local
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..kernels.picture import BLOCK
from ..scratch import Scratch

__all__ = ["Canvas", "Picture", "bench"]

_BEYOND = 64
"""Kernels may read and write so many bytes beyond the last row."""


class _Bench(local):
    """Memory to work in, one for each thread, whichever picture it works on: it stays in the thread's caches."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, np.dtype[Any]], Scratch] = {}

    def take(self, name: str, n: int, dtype: Any = np.uint8) -> NDArray[Any]:
        """Returns at least n elements, which hold anything."""
        key = (name, np.dtype(dtype))
        if key not in self._kept:
            self._kept[key] = Scratch(dtype)
        return self._kept[key].reserve(n)


bench = _Bench()


@dataclass(frozen=True)
class Picture:
    """Red, green and blue of one pixel after the other: uint8 or float32."""

    values: NDArray[Any]
    """(n,) some memory, C-contiguous."""
    begin: int
    """Where in it the first pixel lies; below 0 if only pixels further right are there."""
    stride: int
    """From one row to the next."""
    rows: int
    columns: int

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Picture:
        """Returns the picture that an array (H, W, 3), C-contiguous, holds."""
        rows, columns, _ = pixels.shape
        # another type for the compiler, which would compile everything a second time
        writable = pixels if pixels.flags.writeable else pixels.copy()
        return cls(writable.reshape(-1), 0, 3 * columns, rows, columns)

    def part(self, row: int, column: int, rows: int, columns: int) -> Picture:
        """Returns a part of it, in place."""
        return Picture(self.values, self.begin + row * self.stride + 3 * column, self.stride, rows, columns)

    def array(self) -> NDArray[Any]:
        """Returns it as (rows, columns, 3), in place."""
        size = self.values.itemsize
        strides = (size * self.stride, size * 3, size)
        return as_strided(self.values[self.begin :], (self.rows, self.columns, 3), strides)

    def padded(self) -> Picture:
        """Returns it with rows so long that what is read at a time, from within one, reaches into the next at most."""
        if self.stride >= _BEYOND:
            return self
        stride = 3 * self.columns + _BEYOND
        copy = Picture(bench.take("padded", self.rows * stride + _BEYOND), 0, stride, self.rows, self.columns)
        copy.array()[...] = self.array()
        return copy

    def last_row(self) -> NDArray[np.uint8]:
        """Returns (3 columns + 16,) uint8, the last row with 16 bytes more, of anything: kernels read 16 at a time."""
        n = 3 * self.columns
        row = bench.take("last row", n + 16)[: n + 16]
        begin = self.begin + (self.rows - 1) * self.stride
        row[:n] = self.values[begin : begin + n]
        return row


@dataclass(frozen=True)
class Canvas:
    """What a step draws on: a part of a picture that is otherwise black."""

    height: int
    width: int
    top: int
    left: int
    rows: int
    """Of the part."""
    columns: int

    @property
    def stride(self) -> int:
        """In values; steps draw blocks, of which the last may reach beyond the part."""
        blocks = -(-3 * self.columns // BLOCK) * BLOCK
        return -(-max(3 * self.width + 1, 3 * self.left + blocks) // BLOCK) * BLOCK

    @property
    def size(self) -> int:
        return self.height * self.stride + _BEYOND

    def take(self, name: str, dtype: Any = np.uint8) -> tuple[Picture, Picture]:
        """Returns the picture and the part of it."""
        whole = Picture(bench.take(name, self.size, dtype), 0, self.stride, self.height, self.width)
        return whole, whole.part(self.top, self.left, self.rows, self.columns)

    def blacken(self, whole: Picture) -> None:
        """After the part is drawn, of whose blocks the last may have reached beyond it."""
        if (self.rows, self.columns) == (self.height, self.width):
            return
        # rows of values, not of pixels: numpy would go over three at a time
        size = whole.values.itemsize
        values = as_strided(whole.values[whole.begin :], (whole.rows, 3 * whole.columns), (size * whole.stride, size))
        values[: self.top] = 0
        values[self.top + self.rows :] = 0
        values[:, : 3 * self.left] = 0
        values[:, 3 * (self.left + self.columns) :] = 0
