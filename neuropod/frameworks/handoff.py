"""From numpy to a framework's tensor and back without a copy, where the framework allows it.

| from -> to | no copy when | else |
|---|---|---|
| numpy -> torch | native byte order, positive strides, memory that may be written | one copy |
| numpy -> TensorFlow session | C order, start on a multiple of 64 bytes (read-only is fine) | TensorFlow copies |
| numpy -> TensorFlow eager (DLPack) | as above, and memory that may be written | one copy |
| numpy -> onnxruntime | C order (at any alignment, read-only is fine) | onnxruntime copies |
| numpy -> JAX | C order, start on a multiple of 64 bytes (read-only is fine) | JAX copies |
| any of them -> numpy | always, unless the model's output is its own input or memory | one copy |

TensorFlow aborts the process when DLPack brings it memory that does not start on a multiple of 64: nothing reaches it
from here unchecked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NeuropodError
from .strings import is_string

__all__ = [
    "ALIGNMENT_BYTES",
    "STRINGS",
    "Empty",
    "address",
    "aligned_empty",
    "private_copy",
    "refuse_text",
    "shares_memory",
    "why_copied",
    "writable_alias",
]

ALIGNMENT_BYTES = 64
STRINGS = "strings have another form in every framework"

Empty = Callable[[str, tuple[int, ...], np.dtype[Any]], NDArray[Any]]
"""(name, shape, dtype) -> an array where that output is to lie in the end; what is in it is left over from before."""


def address(array: NDArray[Any]) -> int:
    """Returns the address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
    """Returns an array of that shape whose memory starts on a multiple of 64; numpy's own never does."""
    size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size_bytes + ALIGNMENT_BYTES, np.uint8)
    start = -address(raw) % ALIGNMENT_BYTES
    return np.ndarray(shape, dtype, raw, start)


def private_copy(array: NDArray[Any]) -> NDArray[Any]:
    """Returns an aligned, contiguous, writable copy in native byte order; a 0-d array stays 0-d."""
    out = aligned_empty(array.shape, array.dtype.newbyteorder("="))
    out[...] = array
    return out


def writable_alias(array: NDArray[Any]) -> NDArray[Any] | None:
    """Returns an array on the same memory that may be written, or None where that memory is truly read-only.

    Builders hand out read-only views of memory that is their own. torch warns at every such array, and TensorFlow's
    DLPack refuses it; who takes the alias promises not to write.
    """
    if array.flags.writeable:
        return array
    alias = array.view()
    try:
        alias.flags.writeable = True
    except ValueError:
        return None
    return alias


def why_copied(array: NDArray[Any], *, text: bool = False, aligned: bool = False, writable: bool = False) -> str | None:
    """Returns why an array must be copied on its way into a framework, or None.

    text: the framework takes numpy's own strings. aligned: it takes only memory that starts on a multiple of 64.
    writable: it takes only memory that may be written.
    """
    if is_string(array) and not text:
        return STRINGS
    if not array.dtype.isnative:
        return "its byte order is not this machine's"
    if not (array.flags.c_contiguous and array.flags.aligned):
        return "its elements are not contiguous"
    if aligned and address(array) % ALIGNMENT_BYTES:
        return f"it does not start on a multiple of {ALIGNMENT_BYTES}"
    return "its memory is read-only" if writable and writable_alias(array) is None else None


def shares_memory(array: NDArray[Any], others: list[NDArray[Any]]) -> bool:
    """Returns whether an array's memory overlaps the span of one of the others; a few of each are compared quickly."""
    return any(np.may_share_memory(array, other) for other in others)


def refuse_text(array: NDArray[Any], framework: str) -> None:
    """Raises NeuropodError for strings and Python objects, which have no memory that a framework could take."""
    if is_string(array) or array.dtype.hasobject:
        raise NeuropodError(f"an array of {array.dtype} has no memory that {framework} could take; give it numbers")
