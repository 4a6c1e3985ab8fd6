"""Who owns tensor memory: it gives leases. A pool, a batch and a model's shared memory answer the same."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.features.layout import ALIGNMENT
from perceptum.plural import a_or_an

from .scratch import address
from .written import Written

__all__ = ["Lease", "Memory", "take_checked"]


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

        shape: the tensor's, or one with more rows where it is not known how many there will be.

        The array is C-contiguous, writable and starts at a multiple of 64. It holds zeros if its Written is new; memory
        that is given again comes back as it was left, with its own Written. Nobody else uses it until all arrays over
        it are gone.
        """
        ...


def take_checked(memory: Memory, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Lease:
    """Returns a lease of `memory` on at least shape[0] rows; raises TypeError or ValueError where it cannot be used."""
    lease = memory.take(name, shape, dtype)
    if not isinstance(lease, tuple) or len(lease) != 2:
        raise TypeError(f"the memory for '{name}' must come as a Lease, got {a_or_an(type(lease).__name__)}")
    array = lease[0]
    begin = address(array)
    fits = array.shape[1:] == shape[1:] and array.ndim == len(shape) and (not shape or len(array) >= shape[0])
    whole = array.flags.c_contiguous and (begin % ALIGNMENT == 0 or array.size == 0)
    if not fits or array.dtype != dtype or not whole or not array.flags.writeable:
        kind = "" if array.flags.writeable else "read-only "
        raise ValueError(
            f"the memory for '{name}' must be {shape} {dtype}, C-contiguous and writable, and start at a multiple of "
            f"{ALIGNMENT} bytes, got {kind}{array.shape} {array.dtype} at {begin:#x}"
        )
    return lease
