"""torch: tensors on numpy's memory, how a model runs, and what it may return. Imports torch when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..handoff import private_copy, refuse_text, writable_alias
from ..strings import is_string, to_list

if TYPE_CHECKING:
    import torch

__all__ = ["as_torch", "to_native"]


def as_torch(array: NDArray[Any]) -> torch.Tensor:
    """Returns a CPU tensor on the array's own memory, or on a copy where `why_copied` has a reason.

    A read-only array gives a tensor that could write into it: its user must not.
    """
    import torch

    if array.flags.carray:  # C order, aligned, writable: the builder's own, and most others
        try:
            return torch.from_numpy(array)
        except (TypeError, ValueError):  # text, or another byte order
            pass
    refuse_text(array, "torch")
    alias = writable_alias(array) if array.flags.c_contiguous and array.flags.aligned else None
    return torch.from_numpy(private_copy(array) if alias is None or not array.dtype.isnative else alias)


def to_native(array: NDArray[Any]) -> Any:
    """Returns an output of a model as torch has it: a tensor on the same memory, or a list of strings."""
    return to_list(array) if is_string(array) else as_torch(array)
