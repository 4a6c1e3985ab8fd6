"""Who owns tensor memory: it gives leases. A pool, a batch and a model's shared memory answer the same."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import DTypeLike, NDArray

from .written import Written

__all__ = ["Lease", "Memory"]


class Lease(NamedTuple):
    """Memory for one tensor of one frame."""

    array: NDArray[Any]
    """C-contiguous and writable; whole tensors are 64-byte aligned. It holds zeros but for what `written` says."""
    written: Written
    """Kept by the memory and given again with it."""


class Memory(Protocol):
    """Gives memory for tensors; may be asked from several threads."""

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        """Returns memory for the tensor `name`, or for the block of a plan's small tensors (features.Layout)."""
        ...
