"""Tensor memory: 64-byte aligned buffers, lent by reference. A buffer comes back when the last view of it dies."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
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

Allocate = Callable[[str, int], Any]
"""(tensor's name, bytes) -> zeroed, writable memory with the buffer protocol, aligned to 64 bytes.

The memory may have `in_use`, a function without arguments: True while others still read it, such as a model's worker
process, so that it must not be written to. It answers at once, from any thread, and asks no pool for memory. The
function that makes the memory may have `owner`, the words by which `explain` calls it, and `sparse`: True where pages
that are never touched cost nothing.
"""


class _Buffer:
    """One piece of tensor memory, and what was written there."""

    def __init__(self, key: tuple[str, str], memory: Any) -> None:
        # a memoryview, not the memory: numpy skips arrays in a chain of views, and would not keep the root alive
        self.memory = memoryview(memory).cast("B")
        view = np.frombuffer(self.memory, np.uint8)
        if view.ctypes.data % ALIGNMENT or self.memory.readonly:
            raise ValueError(f"the memory for '{key[0]}' must be writable and aligned to {ALIGNMENT} bytes")
        self.key = key
        self.in_use: Callable[[], bool] | None = getattr(memory, "in_use", None)
        self.capacity = len(view)
        self.written = Written()
        self.lent: _Lent | None = None

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike, number: int, returned: deque[_Lent]) -> Lease:
        """Returns an array over this memory; `number` is in `returned` once nothing refers to it any more.

        numpy keeps the root alive under every view of it, since the root's own base is not an array.
        """
        root: NDArray[Any] = np.frombuffer(self.memory, dtype, prod(shape))
        # the callback is written in C: Python's lines could be interrupted, and would run at any line of others
        self.lent = _Lent(root, returned.append)
        self.lent.number = number
        return Lease(root.reshape(shape), self.written)


class _Lent(weakref.ref[NDArray[Any]]):
    """Looks after a root. It knows its buffer by number: what goes with its pool must not be in a circle."""

    number: int


class Pool:
    """Buffers by tensor. What comes back is looked at when memory is next asked for.

    Memory that others still use then (`in_use` of `Allocate`) is passed over, and looked at again the next time. It is
    kept like any other, within `keep_bytes`; what is let go of is its owner's, who knows when nobody uses it.

    Args:
        allocate: makes memory.
        keep_bytes: how much memory that nobody uses is kept for later frames; what came back first goes first.
    """

    def __init__(self, allocate: Allocate = allocate_pages, *, keep_bytes: int = _KEEP_BYTES) -> None:
        self.allocate = allocate
        """What makes its memory."""
        self._keep_bytes = keep_bytes
        self._lock = Lock()
        self._returned: deque[_Lent] = deque()
        # with their bytes, in the order in which they came back
        self._free: dict[_Buffer, int] = {}
        self._by_key: dict[tuple[str, str], dict[_Buffer, None]] = {}
        self._largest: dict[tuple[str, str], int] = {}
        self._lent: dict[int, _Buffer] = {}
        self._numbers = count()
        self._kept_bytes = 0
        self.allocated = 0
        """Buffers made so far; after warm-up this stands still."""

    def __repr__(self) -> str:
        return f"<Pool: buffers made {self.allocated}, bytes kept for later {self.kept_bytes}>"

    @property
    def kept_bytes(self) -> int:
        """Memory that was written to, is kept, and that no tensor lies in at the moment."""
        with self._lock:
            self._sort_in()
            return self._kept_bytes

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        """Returns a writable array for the tensor `name`: over memory that came back, or new."""
        need = prod(shape) * np.dtype(dtype).itemsize
        return self._lend(self._buffer((name, ""), need, need), shape, dtype)

    def take_block(self, name: str, use: str, shape: tuple[int, ...], dtype: DTypeLike, room: int = 0) -> Lease:
        """As take, for a block of several frames: with as many rows as the memory has, at least shape[0].

        use: memory for one use is not given to another. room: bytes that new memory has at least, if they are to be
        had; pages that are never touched cost nothing.
        """
        row = prod(shape[1:]) * np.dtype(dtype).itemsize
        buffer = self._buffer((name, use), shape[0] * row, room)
        rows = buffer.capacity // row if row else shape[0]
        return self._lend(buffer, (rows, *shape[1:]), dtype)

    def _buffer(self, key: tuple[str, str], need: int, room: int) -> _Buffer:
        with self._lock:
            self._sort_in()
            # as large as the largest so far: with frames of varying size every buffer soon fits every frame
            need = self._largest[key] = max(need, self._largest.get(key, 0))
            buffer = self._reuse(key, need)
        return self._make(key, need, room) if buffer is None else buffer

    def _lend(self, buffer: _Buffer, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        number = next(self._numbers)
        self._lent[number] = buffer
        return buffer.lend(shape, dtype, number, self._returned)

    def _reuse(self, key: tuple[str, str], need: int) -> _Buffer | None:
        free = self._by_key.get(key)
        if not free:
            return None
        for buffer in [*reversed(free)]:
            if buffer.in_use is not None and self._in_use(buffer, free):
                continue
            del free[buffer]
            self._let_go(buffer)
            if buffer.capacity >= need:
                return buffer
        return None

    def _in_use(self, buffer: _Buffer, free: dict[_Buffer, None]) -> bool:
        """Whether others still use a free buffer. One whose owner cannot say is let go of, and its error raised once:
        it would fail every later build too."""
        assert buffer.in_use is not None
        try:
            return buffer.in_use()
        except BaseException:
            del free[buffer]
            self._let_go(buffer)
            raise

    def _make(self, key: tuple[str, str], need: int, room: int) -> _Buffer:
        self.allocated += 1
        nbytes = int(need * _HEADROOM + 1)
        if room > nbytes and (self.allocate is allocate_pages or getattr(self.allocate, "sparse", False)):
            try:
                return _Buffer(key, self.allocate(key[0], _whole_pages(room)))
            except MemoryError:
                pass
        return _Buffer(key, self.allocate(key[0], _whole_pages(nbytes)))

    def _sort_in(self) -> None:
        """Each line may be the last, if an interrupt comes: what it leaves is put right the next time."""
        while self._returned:
            buffer = self._lent.get(self._returned[0].number)
            if buffer is not None and buffer not in self._free:
                used = buffer.written.used
                self._by_key.setdefault(buffer.key, {})[buffer] = None
                self._kept_bytes += used
                self._free[buffer] = used
            self._lent.pop(self._returned[0].number, None)
            self._returned.popleft()
        if self._kept_bytes > self._keep_bytes:
            self._kept_bytes = sum(self._free.values())
        while self._kept_bytes > self._keep_bytes and self._free:
            oldest = next(iter(self._free))
            self._by_key[oldest.key].pop(oldest, None)
            self._let_go(oldest)

    def _let_go(self, buffer: _Buffer) -> None:
        self._kept_bytes -= self._free.pop(buffer, 0)


def _whole_pages(nbytes: int) -> int:
    return -(-nbytes // _PAGE) * _PAGE
