"""Tensor memory: 64-byte aligned buffers, lent by reference. A buffer comes back when the last view of it dies."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from collections.abc import Callable
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.features.layout import ALIGNMENT

from .memory import Lease
from .pages import allocate_pages
from .written import Written

__all__ = ["Allocate", "Pool"]

_HEADROOM = 1.25
_PAGE = mmap.PAGESIZE
_KEEP_BYTES = 2**31

Row = tuple[tuple[int, ...], np.dtype]
"""The shape of a row, and its dtype."""

Allocate = Callable[[str, int], Any]
"""(tensor's name, bytes) -> zeroed, writable memory with the buffer protocol, aligned to 64 bytes."""


class _Buffer:
    """One piece of tensor memory, and what was written there."""

    def __init__(self, key: tuple[str, str], memory: Any) -> None:
        # a memoryview, not the memory: numpy skips arrays in a chain of views, and would not keep the root alive
        self.memory = memoryview(memory).cast("B")
        view = np.frombuffer(self.memory, np.uint8)
        if view.ctypes.data % ALIGNMENT or self.memory.readonly:
            raise ValueError(f"the memory for '{key[0]}' must be writable and aligned to {ALIGNMENT} bytes")
        self.key = key
        self.capacity = len(view)
        self.written = Written()
        self.row: Row | None = None
        """What `written` says holds for rows of this shape and dtype only. None: never lent."""
        self._lent: weakref.ref[NDArray[Any]] | None = None

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike, give_back: Callable[[_Buffer], None]) -> Lease:
        """Returns an array over this memory; `give_back` is called once nothing refers to it any more.

        numpy keeps the root alive under every view of it, since the root's own base is no array.
        """
        root: NDArray[Any] = np.frombuffer(self.memory, dtype, prod(shape))
        self._lent = weakref.ref(root, lambda _: give_back(self))
        self.row = (shape[1:], np.dtype(dtype))
        self.written.known = False
        return Lease(root.reshape(shape), self.written)

    def clear(self) -> None:
        """Forgets everything that was written."""
        np.frombuffer(self.memory, np.uint8, self.written.used)[:] = 0
        self.written = Written()


class Pool:
    """Buffers by tensor. Each holds zeros and what its `written` says.

    Args:
        allocate: makes memory.
        writable: tensors may be changed by whoever holds them, so that reused memory is cleared as a whole.
        keep_bytes: how much memory that nobody uses is kept for later frames; what came back first goes first.
    """

    def __init__(
        self, allocate: Allocate = allocate_pages, *, writable: bool = False, keep_bytes: int = _KEEP_BYTES
    ) -> None:
        self._allocate = allocate
        self._writable = writable
        self._keep_bytes = keep_bytes
        self._owner: object = None
        # weak: a pool goes with its builder, and not when the collector comes by; tensors keep their own memory alive
        pool = weakref.ref(self)
        self._returns = lambda buffer: _give_back(pool(), buffer)
        self._lock = Lock()
        self._returned: deque[_Buffer] = deque()
        # in the order in which they came back
        self._free: dict[_Buffer, None] = {}
        self._by_key: dict[tuple[str, str], list[_Buffer]] = {}
        self._largest: dict[tuple[str, str], int] = {}
        # held while lent: a buffer that only its own callback knows is garbage to the collector, and never comes back
        self._lent: set[_Buffer] = set()
        self.allocated = 0
        """Buffers made so far; after warm-up this stands still."""
        self.kept_bytes = 0
        """Memory that is kept and that nobody uses at the moment."""

    def claim(self, owner: object) -> None:
        """Raises ValueError where somebody else has claimed the pool; owners are compared by value.

        What `written` says of a buffer only who wrote it can read: two plans may lay the same shape out differently.
        """
        if self._owner is not None and self._owner != owner:
            raise ValueError("this pool holds the tensors of another builder or model; give each a pool of its own")
        self._owner = owner

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        """Returns a writable array for the tensor `name`: over memory that came back, or new."""
        need = prod(shape) * np.dtype(dtype).itemsize
        buffer = self._buffer((name, ""), need, need, (shape[1:], np.dtype(dtype)))
        lease = buffer.lend(shape, dtype, self._returns)
        lease.written.used = max(lease.written.used, need)
        return lease

    def take_block(self, name: str, use: str, shape: tuple[int, ...], dtype: DTypeLike, room: int = 0) -> Lease:
        """As take, for a block of several frames: with as many rows as the memory has, at least shape[0].

        use: memory for one use is not given to another. room: bytes that new memory has at least, if they are to be
        had; pages that are never touched cost nothing. Whoever takes it keeps `written.used` up to date.
        """
        row = prod(shape[1:]) * np.dtype(dtype).itemsize
        buffer = self._buffer((name, use), shape[0] * row, room, (shape[1:], np.dtype(dtype)))
        rows = buffer.capacity // row if row else shape[0]
        return buffer.lend((rows, *shape[1:]), dtype, self._returns)

    def _buffer(self, key: tuple[str, str], need: int, room: int, row: Row) -> _Buffer:
        with self._lock:
            self._sort_in()
            # as large as the largest so far: with frames of varying size every buffer soon fits every frame
            need = self._largest[key] = max(need, self._largest.get(key, 0))
            buffer = self._reuse(key, need)
        if buffer is None:
            buffer = self._make(key, need, room)
        elif self._writable or not buffer.written.known or buffer.row != row:
            buffer.clear()
        self._lent.add(buffer)
        return buffer

    def _reuse(self, key: tuple[str, str], need: int) -> _Buffer | None:
        free = self._by_key.get(key, [])
        while free:
            buffer = free.pop()
            self._let_go(buffer)
            if buffer.capacity >= need:
                return buffer
        return None

    def _make(self, key: tuple[str, str], need: int, room: int) -> _Buffer:
        self.allocated += 1
        nbytes = int(need * _HEADROOM + 1)
        if room > nbytes and self._allocate is allocate_pages:
            try:
                return _Buffer(key, self._allocate(key[0], _whole_pages(room)))
            except MemoryError:
                pass
        return _Buffer(key, self._allocate(key[0], _whole_pages(nbytes)))

    def give_back(self, buffer: _Buffer) -> None:
        """Called when the last view dies: in any thread, at any line, also while this very thread holds the lock."""
        self._returned.append(buffer)
        if self._lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._returned:
            buffer = self._returned.popleft()
            self._lent.discard(buffer)
            self._free[buffer] = None
            self._by_key.setdefault(buffer.key, []).append(buffer)
            self.kept_bytes += buffer.written.used
            while self.kept_bytes > self._keep_bytes:
                oldest = next(iter(self._free))
                self._by_key[oldest.key].remove(oldest)
                self._let_go(oldest)

    def _let_go(self, buffer: _Buffer) -> None:
        del self._free[buffer]
        self.kept_bytes -= buffer.written.used


def _give_back(pool: Pool | None, buffer: _Buffer) -> None:
    if pool is not None:
        pool.give_back(buffer)


def _whole_pages(nbytes: int) -> int:
    return -(-nbytes // _PAGE) * _PAGE
