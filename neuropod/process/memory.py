"""The parent's side of the memory that a model shares with its workers: what is built here, they read where it lies."""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import NeuropodError
from ..frameworks.handoff import address
from .worker.shared import Arena

__all__ = ["SharedMemory", "addresses_of"]


_BEHIND_HEAD = object.__basicsize__
_word = ctypes.c_size_t.from_address


def _addresses_read(arrays: Sequence[NDArray[Any]]) -> list[int]:
    return [_word(id(array) + _BEHIND_HEAD).value for array in arrays]


def _addresses_asked(arrays: Sequence[NDArray[Any]]) -> list[int]:
    return [address(array) for array in arrays]


_SAMPLES = (np.arange(3), np.zeros((2, 2), np.float32)[1:], np.zeros(()))

addresses_of = (
    _addresses_read
    if sys.implementation.name == "cpython" and _addresses_read(_SAMPLES) == _addresses_asked(_SAMPLES)
    else _addresses_asked
)
"""Arrays -> the addresses of their first elements: read out of numpy's own record of an array, which takes a tenth of
the time that asking for it does, wherever that record looks as expected."""


class _Lent(weakref.ref[NDArray[Any]]):
    """Looks after a block's array."""

    place: tuple[int, int]


class SharedMemory:
    """Memory for a model's inputs, or for batches: `memory(name, nbytes)` is what a builder asks. It may be called by
    several threads.

    A block comes back when the last array over it dies, here and, as long as a worker holds something of it, there.
    """

    owner = "model, shared with its worker"
    """What a builder's `explain` calls it."""

    def __init__(self, name: str = "perceptum inputs", *, sparse: bool = False) -> None:
        """name: of the anonymous files. sparse: whether who asks may ask for more than it will touch."""
        self.sparse = sparse
        self.arena = Arena(name)
        self._owner = os.getpid()
        self._lent: dict[int, _Lent] = {}
        self._gone: deque[_Lent] = deque()
        # so that an array without elements has a place too
        self._first = self.take(0)

    def __call__(self, name: str, nbytes: int) -> NDArray[np.uint8]:
        """Returns zeroed, writable memory that starts at a multiple of 64 bytes. Raises MemoryError that names it."""
        try:
            return self.take(nbytes, zeroed=True)
        except MemoryError as error:
            raise MemoryError(f"no memory for '{name}': {error}") from None

    def require_own(self) -> None:
        """Raises NeuropodError in a forked child: what it took would be its parent's memory, and given out there."""
        if os.getpid() != self._owner:
            raise NeuropodError(
                f"its worker belongs to process {self._owner}, from which this one was forked; load it again here"
            )

    def take(self, nbytes: int, zeroed: bool = False) -> NDArray[np.uint8]:
        self.require_own()
        self._take_back()
        place, is_new = self.arena.allocate(nbytes)
        chunk, offset = place
        root = np.frombuffer(self.arena.chunks[chunk].memory, np.uint8, nbytes, offset)
        # the callback is written in C: it may run at any line of others
        lent = _Lent(root, self._gone.append)
        lent.place = place
        self._lent[id(lent)] = lent
        # of a block of which little was ever touched, little takes memory afterwards too
        if zeroed and not is_new and not (self.sparse and self.arena.chunks[chunk].discard(offset, nbytes)):
            root[...] = 0
        return root

    def _take_back(self) -> None:
        while True:
            try:
                lent = self._gone.popleft()
            except IndexError:
                return
            # Ctrl-C may have come before it was put there
            if self._lent.pop(id(lent), None) is not None:
                self.arena.returned.append(lent.place)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Returns an array over shared memory; what is in it is left over from before."""
        dtype = np.dtype(dtype)
        # over a memoryview: numpy would skip an array in a chain of views, and not keep it alive
        root = self.take(prod(shape) * dtype.itemsize).data
        array: NDArray[Any] = np.ndarray(shape, dtype, root)
        return array

    def find(self, start: int, nbytes: int) -> tuple[int, int] | None:
        """Returns (chunk's number, offset) of memory at an address, or None where it is not shared."""
        for number, chunk in enumerate(self.arena.chunks):
            if chunk.address <= start and start + nbytes <= chunk.address + chunk.nbytes:
                return number, start - chunk.address
        return None

    def holds(self, array: NDArray[Any]) -> bool:
        return self.find(address(array), array.nbytes) is not None

    @property
    def used_bytes(self) -> int:
        """Bytes in blocks that somebody holds."""
        self._take_back()
        return self.arena.used_bytes

    def free_pages(self) -> None:
        """Lets the pages of blocks that nobody holds go; the next who takes one gets new ones, which takes longer."""
        self._take_back()
        self.arena.free_pages()
