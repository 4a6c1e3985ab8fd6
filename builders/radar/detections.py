"""The columns of the detections that are kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from perceptum.features.radar import BLOCKS, RadarColumn

from ..kernels.radar import OUT
from ..scratch import Scratch, address

__all__ = ["Detections"]


def _rows() -> dict[str, range]:
    found = {name: range(k, k + 1) for k, name in enumerate(OUT)}
    first = len(found)
    for name, width in BLOCKS.items():
        found[name] = range(first, first + width)
        first += width
    return found


_ROWS = _rows()


class Detections:
    """Float32, in the order of kernels.radar.OUT and of BLOCKS; only wanted ones are filled."""

    def __init__(self) -> None:
        self._block = Scratch(np.float32, rows=len(OUT) + sum(BLOCKS.values()))
        self.n = 0

    def __repr__(self) -> str:
        return f"<Detections: {self.n}>"

    @property
    def nbytes(self) -> int:
        return self._block.array.nbytes

    def reserve(self, n: int) -> NDArray[np.float32]:
        """Returns the memory of the columns, (63, at least n)."""
        return self._block.reserve(n)

    @property
    def values(self) -> NDArray[np.float32]:
        """(63, n) float32."""
        return self._block.array[:, : self.n]

    @property
    def lying(self) -> NDArray[np.int64]:
        """(63, 2) int64: address and stride in bytes of each column."""
        block = self._block.array
        at = address(block) + block.strides[0] * np.arange(len(block))
        return np.stack([at, np.full(len(block), 4)], axis=1)

    @staticmethod
    def picks(columns: Iterable[RadarColumn]) -> NDArray[np.int64]:
        """Returns the rows of columns by their names in a spec; a block is several."""
        return np.array([row for column in columns for row in _ROWS[column]], dtype=np.int64)
