"""What a piece of tensor memory holds besides zeros, so that only that needs clearing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Written", "WrittenPart"]

_HEADROOM = 1.25


class Written:
    """Kept beside a buffer from one frame to the next. A filler that clears for itself uses one of three forms.

    `rows`: rows [0, rows) may hold something, the rest holds the fill value.
    `per_row(n)`: how much of each row may hold something, in a measure of the filler's own.
    `elements(n)` with `count`: the flat elements that hold something, each listed once.

    A new one says that nothing is held. Other fillers need not look at it, nor need whoever owns memory: it is made
    with the memory, and given with it.
    """

    # defaults of the class, since a block of a hundred small tensors makes a hundred of these per frame
    rows = 0
    count = 0
    used = 0
    """Bytes from the start beyond which nobody ever wrote."""
    copied = False
    """Whether whole rows were copied here of which nothing else is noted: who clears for itself cannot rely on it."""
    places: tuple[Written, ...] = ()
    """The same for each place of a block in which every frame of a batch has its own."""
    _per_row: NDArray[np.int32] | None = None
    _elements: NDArray[np.int64] | None = None
    # what is said here holds for what this says: for whom, and how the memory was laid out
    _layout: object = None
    # False from when the memory is taken until all is written: what a build that fails half way wrote, nobody knows
    _settled = True
    # bytes from the start that are known; beyond, up to `used`, lies what somebody else wrote
    _known = 2**63

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.rows} rows, {self.count} elements, {self.used} bytes>"

    def begin(self, memory: NDArray[Any], layout: object, doubtful: bool = False) -> bool:
        """Called when memory is taken; returns whether it holds nothing but zeros.

        memory: C-contiguous; of a longer tensor that was here before, the end may lie beyond. layout: equal ones read
        what is said here in the same way. doubtful: others may have written too.
        """
        nbytes, used = memory.nbytes, self.used
        new = used == 0
        doubtful = not new and (doubtful or not self._settled or self._layout != layout)
        if doubtful:
            _in_bytes(memory)[:used] = 0
            self.rows = self.count = 0
            self.places = ()
            self._per_row = None
            self._known = nbytes
        elif nbytes > self._known:
            _in_bytes(memory)[self._known :] = 0
            self._known = nbytes
        if used > nbytes:
            self.used = used
        else:
            self.used, self._known = nbytes, 2**63
        self._layout, self._settled = layout, False
        return new or doubtful

    def settle(self) -> None:
        """Called when the memory is written as it should be: what is said here can be relied on."""
        self._settled = True

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
    """What is written of rows [start, start + n) of a block that is divided otherwise every time."""

    def __init__(self, region: NDArray[Any], rows: int, per_row: NDArray[np.int32]) -> None:
        self.rows = rows
        self._per_row = per_row
        self._region = region

    def begin(self, memory: NDArray[Any], layout: object, doubtful: bool = False) -> bool:
        """Whoever divides the block has looked after it."""
        return self.rows == 0

    def elements(self, most: int) -> NDArray[np.int64]:
        """As Written's; element numbers say nothing in a block divided otherwise, so what is held goes first."""
        if self.rows:
            self._region[: self.rows] = 0
            self.rows = 0
        return super().elements(most)


def _in_bytes(memory: NDArray[Any]) -> NDArray[np.uint8]:
    return memory.reshape(-1).view(np.uint8)
