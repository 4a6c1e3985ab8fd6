"""What a pickle says of numpy's arrays, made into arrays by functions that believe nothing of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import NeuropodError

__all__ = ["MAKERS", "Array", "Dtype", "plain"]

_ORDERS: dict[str, Literal["<", ">", "|", "="]] = {"<": "<", ">": ">", "|": "|", "=": "="}


class Dtype:
    """What a pickle says of a dtype. numpy's own would believe any state it is given."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(_text(name))

    def set_state(self, state: Any) -> None:
        version, order, *structure = state
        if version != 3 or any(part is not None for part in structure[:3]) or len(structure) != 6:
            raise NeuropodError("holds a structured dtype; only plain arrays are read")
        self.dtype = self.dtype.newbyteorder(_ORDERS[_text(order)])


class Array:
    """What a pickle says of an array."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind is not _ndarray:
            raise NeuropodError(f"holds an array of class {kind!r}")
        self.array: NDArray[Any] = np.empty(0)

    def set_state(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        self.array = _array_of(data, dtype, shape, "F" if is_fortran else "C")


def _ndarray(*_: Any) -> Any:
    """Stands for the class numpy.ndarray, which is named in a pickle and never called: calling it takes memory."""
    raise NeuropodError("makes an array of nothing")


def _array_of(data: Any, kind: Any, shape: tuple[int, ...], order: Any = "C") -> NDArray[Any]:
    dtype = _dtype(kind)
    size = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != size or not all(isinstance(item, str | bytes) for item in data):
            raise NeuropodError("holds an array of objects; of those only text is read")
        array = np.empty(size, object)
        array[:] = data
    else:
        raw = _bytes(data)
        if min(shape, default=0) < 0 or len(raw) != size * dtype.itemsize:
            raise NeuropodError(f"{len(raw)} bytes are not an array of {dtype} {shape}")
        array = np.frombuffer(raw, dtype, size).copy() if size else np.empty(0, dtype)
    return array.reshape(shape, order=order)


def _scalar(kind: Any, data: Any = b"") -> Any:
    dtype = _dtype(kind)
    if dtype.hasobject:
        raise NeuropodError(f"holds a scalar of {dtype}")
    return np.frombuffer(_bytes(data), dtype, 1)[0]


def _from_buffer(data: Any, kind: Any, shape: tuple[int, ...], order: str, *_: Any) -> NDArray[Any]:
    return _array_of(data, kind, shape, order)


def _encoded(text: str, encoding: str = "") -> bytes:
    """Old protocols write bytes as text of the latin1 encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise NeuropodError(f"holds text to be encoded as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Old protocols write empty bytes as a call."""
    return b""


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
}
"""(module, name) in a pickle -> what stands for it here; numpy._core is numpy.core."""


def plain(value: Any, seen: dict[int, Any]) -> Any:
    """Returns the value with arrays where the pickle described them; what stands in it twice is the same twice."""
    if id(value) not in seen:
        seen[id(value)] = _made(value, seen)
    return seen[id(value)]


def _made(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, Array):
        return value.array
    if isinstance(value, dict):
        return {key: plain(item, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, seen) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, seen) for item in value)
    if isinstance(value, Dtype) or callable(value):
        raise NeuropodError(f"holds {value!r}; only numpy arrays and plain values are read")
    return value


def _dtype(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, Dtype):
        raise NeuropodError(f"holds an array whose dtype is {type(kind).__name__}")
    return kind.dtype


def _bytes(data: Any) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
