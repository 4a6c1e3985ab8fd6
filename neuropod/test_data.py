"""test_data.pkl: the inputs and outputs that a package was tested with. Read without running anything."""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import NeuropodError
from .incoming import as_numpy

__all__ = ["FILE_NAME", "Reader", "dump", "load", "plain"]

FILE_NAME = "test_data.pkl"

# text of the old protocols is encoded, then copied; pointers to one text take eight bytes where two name it
MAX_GROWTH = 8
SMALL_BYTES = 64 << 20


def dump(test_input: Mapping[str, Any], test_output: Mapping[str, Any] | None) -> bytes:
    """Returns the pickle as Uber's packager wrote it; tensors of frameworks are stored as arrays."""
    given, expected = (
        None if side is None else {name: plain(name, value) for name, value in dict(side).items()}
        for side in (test_input, test_output)
    )
    return pickle.dumps({"test_input": given, "test_output": expected})


def plain(name: str, value: Any) -> Any:
    """Returns a framework's tensor as an array, all else as it is: tensors pickle as code, which is never read."""
    is_tensor = hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic)
    return as_numpy(name, value) if is_tensor else value


def load(data: bytes) -> Any:
    """Returns what was pickled: numpy arrays and scalars, text, numbers, dicts, lists and tuples; raises for all else.

    Python 2 pickles are read too, as old packages hold them. No memory is taken that the bytes do not fill.
    """
    try:
        return _plain(Reader(data).load(), {})
    except NeuropodError:
        raise
    except Exception as error:  # a hostile pickle can make its reader raise anything
        raise NeuropodError(f"{FILE_NAME}: not a whole pickle of arrays ({type(error).__name__}: {error})") from error


_ORDERS: dict[str, Literal["<", ">", "|", "="]] = {"<": "<", ">": ">", "|": "|", "=": "="}


class _Dtype:
    """What a pickle says of a dtype. numpy's own would believe any state it is given."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(_text(name))

    def set_state(self, state: Any) -> None:
        version, order, *structure = state
        if version != 3 or any(part is not None for part in structure[:3]) or len(structure) != 6:
            raise NeuropodError(f"{FILE_NAME}: holds a structured dtype; only plain arrays are read")
        self.dtype = self.dtype.newbyteorder(_ORDERS[_text(order)])


class _Array:
    """What a pickle says of an array."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind is not _ndarray:
            raise NeuropodError(f"{FILE_NAME}: holds an array of class {kind!r}")
        self.array: NDArray[Any] = np.empty(0)

    def set_state(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        self.array = _array_of(data, dtype, shape, "F" if is_fortran else "C")


def _ndarray(*_: Any) -> Any:
    """Stands for the class numpy.ndarray, which is named in a pickle and never called: calling it takes memory."""
    raise NeuropodError(f"{FILE_NAME}: makes an array of nothing")


def _array_of(data: Any, kind: Any, shape: tuple[int, ...], order: Any = "C") -> NDArray[Any]:
    dtype = _dtype(kind)
    size = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != size or not all(isinstance(item, str | bytes) for item in data):
            raise NeuropodError(f"{FILE_NAME}: holds an array of objects; of those only text is read")
        array = np.empty(size, object)
        array[:] = data
    else:
        raw = _bytes(data)
        if min(shape, default=0) < 0 or len(raw) != size * dtype.itemsize:
            raise NeuropodError(f"{FILE_NAME}: {len(raw)} bytes are not an array of {dtype} {shape}")
        array = np.frombuffer(raw, dtype, size).copy() if size else np.empty(0, dtype)
    return array.reshape(shape, order=order)


def _scalar(kind: Any, data: Any = b"") -> Any:
    dtype = _dtype(kind)
    if dtype.hasobject:
        raise NeuropodError(f"{FILE_NAME}: holds a scalar of {dtype}")
    return np.frombuffer(_bytes(data), dtype, 1)[0]


def _from_buffer(data: Any, kind: Any, shape: tuple[int, ...], order: str, *_: Any) -> NDArray[Any]:
    return _array_of(data, kind, shape, order)


def _encoded(text: str, encoding: str = "") -> bytes:
    """Old protocols write bytes as text of the latin1 encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise NeuropodError(f"{FILE_NAME}: holds text to be encoded as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Old protocols write empty bytes as a call."""
    return b""


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
}


class Reader(pickle._Unpickler):
    """Python's own reader written in Python: the one in C takes gigabytes at the word of eight bytes."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._left_bytes = SMALL_BYTES + MAX_GROWTH * len(data)

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise NeuropodError(f"{FILE_NAME}: holds {module}.{name}; only numpy arrays and plain values are read")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise NeuropodError(
            f"{FILE_NAME}: refers to {pid!r} outside of itself; only numpy arrays and plain values are read"
        )

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise NeuropodError(f"{FILE_NAME}: gives a state to {type(self.stack[-1]).__name__}; only arrays have one")
        self.stack[-1].set_state(state)
        self._spend(self.stack[-1])

    def load_reduce(self) -> None:
        super().load_reduce()  # type: ignore[misc]
        self._spend(self.stack[-1])

    def _spend(self, made: Any) -> None:
        """A few bytes can ask for another copy of what was read once, again and again."""
        made = made.array if isinstance(made, _Array) else made
        size = len(made) if isinstance(made, str | bytes) else 8 * len(made) if isinstance(made, list) else 0
        self._left_bytes -= getattr(made, "nbytes", size)
        if self._left_bytes < 0:
            raise NeuropodError(f"{FILE_NAME}: makes more than {MAX_GROWTH} times as much as it holds")

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()  # type: ignore[misc]

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_dict()  # type: ignore[misc]

    def _check_keys(self, keys: list[Any]) -> None:
        """The hash of a few tuples in each other can take for ever."""
        for key in keys:
            if not isinstance(key, str | bytes | int | float):
                raise NeuropodError(f"{FILE_NAME}: has a {type(key).__name__} for a key; names are text")

    def load_bytearray8(self) -> None:
        """Python's own makes as many bytes as the file says before it looks how many there are."""
        (length,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        data = self.read(min(length, sys.maxsize))  # type: ignore[attr-defined]
        if len(data) != length:
            raise pickle.UnpicklingError("pickle data was truncated")
        self.append(bytearray(data))  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    # the other ways to make objects, which no array needs, and sets, which are none of what is read
    for _code in (pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        del dispatch[_code[0]]
    for _code in (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET):
        del dispatch[_code[0]]


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Returns the value with arrays where the pickle described them; what stands in it twice is the same twice."""
    if id(value) not in seen:
        seen[id(value)] = _made(value, seen)
    return seen[id(value)]


def _made(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {key: _plain(item, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, seen) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item, seen) for item in value)
    if isinstance(value, _Dtype) or callable(value):
        raise NeuropodError(f"{FILE_NAME}: holds {value!r}; only numpy arrays and plain values are read")
    return value


def _dtype(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, _Dtype):
        raise NeuropodError(f"{FILE_NAME}: holds an array whose dtype is {type(kind).__name__}")
    return kind.dtype


def _bytes(data: Any) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
