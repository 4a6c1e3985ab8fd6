"""What a piece of tensor memory holds besides its fill value, so that only that needs clearing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Written"]

_HEADROOM = 1.25


class Written:
    """Kept beside a buffer from one frame to the next. A filler that clears for itself uses one of three forms.

    `rows`: rows [0, rows) may hold something, the rest holds the fill value.
    `per_row(n)`: how much of each row may hold something, in a measure of the filler's own.
    `elements(n)` with `count`: the flat elements that hold something, each listed once.

    A fresh one says that nothing is held. Other fillers need not look at it.
    """

    # defaults of the class, since a block of a hundred small tensors makes a hundred of these per frame
    rows = 0
    count = 0
    fresh = True
    """Nothing was ever written here."""
    known = True
    """False from when the memory is taken until all of a frame's tensors are filled: what a build that fails half way
    has written, nobody knows."""
    used = 0
    """Bytes from the start of the memory beyond which nobody ever wrote."""
    places: tuple[Written, ...] = ()
    """The same for each place of a block in which every frame of a batch has its own."""
    _per_row: NDArray[np.int32] | None = None
    _elements: NDArray[np.int64] | None = None

    def settle(self) -> None:
        """Called when the memory is written as it should be: what is said here can be relied on."""
        self.known, self.fresh = True, False

    def per_row(self, rows: int) -> NDArray[np.int32]:
        """Returns (rows,) int32 to read and to bring up to date; 0 where nothing was written."""
        have = self._per_row
        if have is None or len(have) < rows:
            # rows beyond the tensor belong to the same buffer, and keep what an earlier, longer tensor wrote
            grown = np.zeros(rows if have is None else int(rows * _HEADROOM), np.int32)
            if have is not None:
                grown[: len(have)] = have
            self._per_row = have = grown
        return have[:rows]

    def elements(self, most: int) -> NDArray[np.int64]:
        """Returns int64 with room for `most`; the first `count` are those written before."""
        have = self._elements
        if have is None or len(have) < most:
            grown = np.empty(int(most * _HEADROOM), np.int64)
            if have is not None:
                grown[: self.count] = have[: self.count]
            self._elements = have = grown
        return have

    def clear_rows(self, rows: int, out: NDArray[Any], fill: float = 0) -> None:
        """Clears out[rows:] as far as it was written before; `out`'s first `rows` rows are written now."""
        before = self.rows
        out[rows:before] = fill
        self.rows = rows if before <= len(out) else before


class WrittenPart(Written):
    """Of rows [start, start + n) of a block that is divided otherwise every time."""

    def __init__(self, region: NDArray[Any], rows: int, per_row: NDArray[np.int32]) -> None:
        super().__init__()
        self.rows = rows
        self.fresh = rows == 0
        self._per_row = per_row
        self._region = region

    def elements(self, most: int) -> NDArray[np.int64]:
        """As Written's; element numbers say nothing in a block divided otherwise, so what is held goes first."""
        if self.rows:
            self._region[: self.rows] = 0
            self.rows = 0
        return super().elements(most)
