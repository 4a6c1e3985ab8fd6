"""Pickles of arrays and plain values, read without running anything, in memory that their bytes account for."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from perceptum.plural import a_or_an

from ..errors import NeuropodError
from .pickled_arrays import MAKERS, Array, Dtype, plain

__all__ = ["Reader", "loads"]

# text of the old protocols is encoded, then copied; pointers to one text take eight bytes where two name it
MAX_GROWTH = 8
SMALL_BYTES = 64 << 20


def loads(data: bytes) -> Any:
    """Returns what was pickled: arrays, text, numbers, dicts, lists and tuples. A hostile pickle may raise anything."""
    return plain(Reader(data).load(), {})


class Reader(pickle._Unpickler):
    """Python's own reader written in Python: the one in C takes gigabytes at the word of eight bytes."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._left_bytes = SMALL_BYTES + MAX_GROWTH * len(data)

    def find_class(self, module: str, name: str) -> Any:
        found = MAKERS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise NeuropodError(f"holds {module}.{name}; only numpy arrays and plain values are read")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise NeuropodError(f"refers to {pid!r} outside of itself; only numpy arrays and plain values are read")

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Array | Dtype):
            raise NeuropodError(f"gives a state to {type(self.stack[-1]).__name__}; only arrays have one")
        self.stack[-1].set_state(state)
        self._spend(self.stack[-1])

    def load_reduce(self) -> None:
        super().load_reduce()  # type: ignore[misc]
        self._spend(self.stack[-1])

    def _spend(self, made: Any) -> None:
        """A few bytes can ask for another copy of what was read once, again and again."""
        made = made.array if isinstance(made, Array) else made
        size = len(made) if isinstance(made, str | bytes) else 8 * len(made) if isinstance(made, list) else 0
        self._left_bytes -= getattr(made, "nbytes", size)
        if self._left_bytes < 0:
            raise NeuropodError(f"makes more than {MAX_GROWTH} times as much as it holds")

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
        """The hash of a few tuples in each other can take forever."""
        for key in keys:
            if not isinstance(key, str | bytes | int | float):
                raise NeuropodError(f"has {a_or_an(type(key).__name__)} for a key; names are text")

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
