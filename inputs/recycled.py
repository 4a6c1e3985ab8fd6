"""Memory for files that are read whole: reused once nobody looks at what was read.

The system clears fresh memory page by page when it is first written to, and takes it back page by page: of ten sweeps
of 694 KB that took as long as reading them.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .once import Guard

__all__ = ["Recycled"]

_PAGE = 4096
_LENT = 4
"""Times as much as is kept unused may be lent: a log's cache keeps arrays for long."""


class _Lent(weakref.ref[NDArray[Any]]):
    """Looks after an array, and knows its memory."""

    memory: memoryview


class Recycled:
    """Gives memory out and takes it again when the last array over it dies; keeps at most `keep_bytes` unused.

    Any number of threads may ask.
    """

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._guard = Guard()
        self._lent: dict[int, _Lent] = {}
        self._returned: deque[_Lent] = deque()
        self._free: dict[int, list[memoryview]] = {}
        self._free_bytes = 0
        self._lent_bytes = 0

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Returns (nbytes,) uint8 that hold anything, aligned to 16 bytes."""
        # few sizes, so that what one file leaves fits the next: an eighth too large at most
        step = max(1 << max(nbytes.bit_length() - 4, 0), _PAGE)
        room = max(-(-nbytes // step), 1) * step
        with self._guard:
            self._sort_in()
            # what is lent is freed in the next call only: of more than this the array is the owner
            if self._lent_bytes + room > _LENT * self._keep_bytes:
                return np.empty(nbytes, np.uint8)
            self._lent_bytes += room
            free = self._free.get(room)
            memory = free.pop() if free else None
            if memory is not None:
                self._free_bytes -= room
        if memory is None:
            fresh: Any = np.empty(room, np.uint8)
            memory = memoryview(fresh)
        # over a memoryview: numpy skips arrays in a chain of views, and would not keep this one alive under them
        array: NDArray[np.uint8] = np.frombuffer(memory, np.uint8, nbytes)
        # the callback is written in C: lines of Python would run at any line of others
        lent = _Lent(array, self._returned.append)
        lent.memory = memory
        self._lent[id(lent)] = lent
        return array

    @property
    def kept_bytes(self) -> int:
        """Memory that is kept and that nobody uses at the moment."""
        with self._guard:
            self._sort_in()
            return self._free_bytes

    def _sort_in(self) -> None:
        while self._returned:
            lent = self._returned.popleft()
            self._lent.pop(id(lent), None)
            room = lent.memory.nbytes
            self._lent_bytes -= room
            if self._free_bytes + room <= self._keep_bytes:
                self._free.setdefault(room, []).append(lent.memory)
                self._free_bytes += room
