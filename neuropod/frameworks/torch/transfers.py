"""Inputs on their way to a GPU: each is sent when it is written, while others are still being built."""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from ..handoff import address
from . import as_torch

if TYPE_CHECKING:
    import torch

__all__ = ["Transfers"]

_PAGE = mmap.PAGESIZE
_WORTH_BYTES = 64 << 10
"""From here on memory is pinned where it lies: to pin costs a system call, once for each place."""


class _Moving(NamedTuple):
    array: NDArray[Any]
    """Held, so that nobody writes into its memory, and no other array can lie where this one lies."""
    source: torch.Tensor
    moved: torch.Tensor
    arrived: Any
    number: int
    """How many were begun before."""


class Transfers:
    """Copies from pinned memory, on a stream of their own."""

    def __init__(self, device: torch.device, cuda: Any = None) -> None:
        """cuda: torch.cuda, unless it is a stand-in."""
        import torch

        self._device = device
        self._cuda = torch.cuda if cuda is None else cuda
        self._stream = self._cuda.Stream(device)
        self._lock = threading.Lock()
        self._moving: dict[str, _Moving] = {}
        self.begun = 0
        """How many inputs were begun so far."""
        self._pinned: dict[tuple[int, int], bool] = {}
        self.memory_lasts = False
        """Whether inputs lie in memory that stays mapped as long as the process runs: it is then pinned as it is, and
        nothing is copied on this side."""

    def begin(self, name: str, array: NDArray[Any]) -> None:
        """Begins to move an input that is written."""
        host = as_torch(array)
        source = host if self._is_pinned(array) else _staged(host)
        with self._cuda.stream(self._stream):
            moved = source.to(self._device, non_blocking=True)
            arrived = self._cuda.Event()
            arrived.record(self._stream)
        with self._lock:
            before = self._moving.get(name)
            self._moving[name] = _Moving(array, source, moved, arrived, self.begun)
            self.begun += 1
        if before is not None:
            before.arrived.synchronize()

    def take(self, name: str, array: NDArray[Any]) -> torch.Tensor | None:
        """Returns the input on the GPU, for work of the current stream, which waits for it; None where this very input
        is not on its way."""
        with self._lock:
            found = self._moving.get(name)
            if found is None or not _is_same(found.array, array):
                return None
            del self._moving[name]
        stream = self._cuda.current_stream(self._device)
        stream.wait_event(found.arrived)
        if found.moved.is_cuda:
            # else its memory could be used anew by the other stream, where it was made
            found.moved.record_stream(stream)
        return found.moved

    def drop(self, begun: int) -> None:
        """Forgets, of the first so many that were begun, those not taken: what was begun while a call ran is for
        the next. What is on its way is waited for, since it is read from memory that may be written afterwards."""
        with self._lock:
            left = {name: one for name, one in self._moving.items() if one.number < begun}
            for name in left:
                del self._moving[name]
        for one in left.values():
            one.arrived.synchronize()

    def _is_pinned(self, array: NDArray[Any]) -> bool:
        """Returns whether the system keeps this memory where it is, since we asked it to, so that a GPU may read it."""
        start = address(array)
        if not self.memory_lasts or start % _PAGE or array.nbytes < _WORTH_BYTES:
            return False
        # blocks of this size begin on a page, and have it to themselves
        key = start, -(-array.nbytes // _PAGE) * _PAGE
        if key not in self._pinned:
            self._pinned[key] = int(self._cuda.cudart().cudaHostRegister(*key, 0)) == 0
        return self._pinned[key]


def _staged(host: torch.Tensor) -> torch.Tensor:
    """Returns a copy in pinned memory of torch's, which it lends again, or the tensor where there is none to be had."""
    try:
        return host.pin_memory()
    except RuntimeError:
        return host


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return address(one) == address(other) and one.shape == other.shape and one.dtype == other.dtype
