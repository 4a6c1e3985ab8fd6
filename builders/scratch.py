"""Working memory of stages: kept from frame to frame, grown when a frame needs more, never handed out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Scratch"]

_HEADROOM = 1.25


class Scratch:
    """An array that only grows; what it held is lost when it does."""

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
        shape = (n,) if self._rows is None else (self._rows, n)
        return np.empty(shape, self._dtype) if self._fill is None else np.full(shape, self._fill, self._dtype)
