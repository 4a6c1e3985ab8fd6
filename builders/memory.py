"""Who owns tensor memory: it gives leases. A pool, a batch and a model's shared memory answer the same."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import DTypeLike, NDArray

from .written import Written

__all__ = ["Lease", "Memory"]


class Lease(NamedTuple):
    """Memory for one tensor of one frame, or for the tensors of one batch."""

    array: NDArray[Any]
    """C-contiguous and writable, 64-byte aligned. It may have more rows than were asked for."""
    written: Written
    """Made when the memory was made, which was zero then, and given with it each time since; its keeper need not look
    at it."""


class Memory(Protocol):
    """Gives memory for tensors; may be asked from several threads."""

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        """Returns memory for the tensor `name`, or for a plan's small tensors as one block (name "small tensors").

        The array is C-contiguous, writable and starts at a multiple of 64. It holds zeros if its Written is new; memory
        that is given again comes back as it was left, with its own Written. Nobody else uses it until all arrays over
        it are gone.
        """
        ...
