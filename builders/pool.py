"""Tensor memory: 64-byte aligned buffers, lent by reference. A buffer comes back when the last view of it dies."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .stage import Dirty

__all__ = ["ALIGNMENT", "Allocate", "Buffer", "Pool", "allocate_pages"]

ALIGNMENT = 64
"""TensorFlow aborts the process on less."""

_HEADROOM = 1.25
_PAGE = mmap.PAGESIZE

Allocate = Callable[[str, int], Any]
"""(tensor's name, bytes) -> zeroed, writable memory with the buffer protocol, aligned to 64 bytes."""


def allocate_pages(name: str, nbytes: int) -> mmap.mmap:
    """Returns zeroed anonymous memory, aligned to pages, that goes back to the system when nothing uses it."""
    try:
        return mmap.mmap(-1, max(nbytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no memory for '{name}', which wants {nbytes} bytes ({error})") from None


class Buffer:
    """One piece of tensor memory, and what its filler remembers of it."""

    def __init__(self, name: str, memory: Any) -> None:
        # a memoryview, not the memory: numpy skips arrays in a chain of views, and would not keep the root alive
        self.memory = memoryview(memory).cast("B")
        view = np.frombuffer(self.memory, np.uint8)
        if view.ctypes.data % ALIGNMENT or self.memory.readonly:
            raise ValueError(f"the memory for '{name}' must be writable and aligned to {ALIGNMENT} bytes")
        self.capacity = len(view)
        self.dirty: Dirty = {}
        self._lent: weakref.ref[NDArray[Any]] | None = None

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike, give_back: Callable[[Buffer], None]) -> NDArray[Any]:
        """Returns an array over this memory; `give_back` is called once nothing refers to it any more.

        numpy keeps the root alive under every view of it, since the root's own base is no array.
        """
        root: NDArray[Any] = np.frombuffer(self.memory, dtype, prod(shape))
        self._lent = weakref.ref(root, lambda _: give_back(self))
        return root.reshape(shape)

    def came_back(self) -> None:
        self._lent = None

    @contextmanager
    def filling(self) -> Iterator[None]:
        """While the memory is written: what is interrupted half way leaves zeros, not a wrong `dirty`."""
        try:
            yield
        except BaseException:
            self.zero()
            raise

    def zero(self) -> None:
        """Forgets everything that was written."""
        np.frombuffer(self.memory, np.uint8)[:] = 0
        self.dirty = {}


class Pool:
    """Buffers by key. Each holds zeros and what its `dirty` tells."""

    def __init__(self, allocate: Allocate = allocate_pages, keep: int = 64) -> None:
        self._allocate = allocate
        self._keep = keep
        self._free: dict[Hashable, deque[Buffer]] = {}
        # held while lent: a buffer that only its own callback knows is garbage to the collector, and never comes back
        self._lent: set[Buffer] = set()
        self.allocated = 0
        """Buffers made so far; after warm-up this stands still."""

    def take(self, key: Hashable, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[NDArray[Any], Buffer]:
        """Returns a writable array and its buffer: one that came back under `key`, or a new one."""
        need = prod(shape) * np.dtype(dtype).itemsize
        free = self._free.setdefault(key, deque())
        buffer = self._reuse(free, need) or self._make(name, need)
        self._lent.add(buffer)
        return buffer.lend(shape, dtype, lambda back: self._take_back(free, back)), buffer

    @staticmethod
    def _reuse(free: deque[Buffer], need: int) -> Buffer | None:
        while free:
            # pop and append are atomic: arrays may die in any thread
            buffer = free.pop()
            if buffer.capacity >= need:
                return buffer
        return None

    def _make(self, name: str, need: int) -> Buffer:
        self.allocated += 1
        return Buffer(name, self._allocate(name, -(-int(need * _HEADROOM + 1) // _PAGE) * _PAGE))

    def _take_back(self, free: deque[Buffer], buffer: Buffer) -> None:
        buffer.came_back()
        self._lent.discard(buffer)
        if len(free) < self._keep:
            free.append(buffer)
