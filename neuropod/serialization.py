"""Tensors as bytes, in the wire format of Uber's Neuropod: a binary archive of Boost 1.68, little-endian, 64 bits.

A header of 40 bytes, a version, then one tensor, or a number of names and tensors. Uber's compiled library, 0.2.0 and
0.3.0rc7, writes the same bytes (test_serialization has some), a dict in any order. Meant to be sent and read at once,
not to be stored: Uber promised no more. What is read is checked against the bytes there are before memory is taken.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features import DTYPES

from .errors import NeuropodError
from .frameworks.incoming import as_numpy
from .frameworks.strings import is_string, to_list, to_unicode

__all__ = ["deserialize", "deserialize_dict", "serialize"]

T = TypeVar("T")

# the archive's name, its version, the sizes of int, long, float and double, and whether it is little-endian
HEADER = struct.pack("<Q22sHBBBBi", 22, b"serialization::archive", 17, 4, 8, 4, 8, 1)
VERSION = 1
TAG = b"neuropodtensor"
# what Boost writes before the first list of strings, and before no list of sizes: not tracked, class version 0
FIRST = struct.pack("<BI", 0, 0)

MOST_DIMS = 32
# numpy gives every string of an array the longest one's room
MOST_GROWTH = 200
SMALL_BYTES = 64 << 20


def serialize(value: Any) -> bytes:
    """Returns the bytes of an array, or of a dict of arrays: what `Model.infer` takes, of a spec's dtypes."""
    writer = _Writer()
    if isinstance(value, Mapping):
        writer.add("<i", len(value))
        for name, array in value.items():
            writer.text(str(name).encode())
            writer.tensor(as_numpy(str(name), array))
    else:
        writer.tensor(as_numpy("value", value))
    return b"".join(writer.parts)


def deserialize(data: bytes | bytearray | memoryview) -> NDArray[Any]:
    """Returns the array; strings are unicode. Raises NeuropodError where the bytes are not of one tensor."""
    return _read(data, lambda reader: reader.tensor())


def deserialize_dict(data: bytes | bytearray | memoryview) -> dict[str, NDArray[Any]]:
    """Returns name -> array; raises NeuropodError where the bytes are not of a dict."""
    return _read(data, _read_dict)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[Any] = [HEADER, struct.pack("<i", VERSION)]
        self._strings_seen = False

    def add(self, form: str, *values: int) -> None:
        self.parts.append(struct.pack(form, *values))

    def text(self, text: bytes) -> None:
        self.add("<Q", len(text))
        self.parts.append(text)

    def tensor(self, array: NDArray[Any]) -> None:
        name = "string" if is_string(array) else array.dtype.name
        if name not in DTYPES or not array.dtype.isnative:
            raise NeuropodError(f"an array of {array.dtype.str} cannot be serialized, only {', '.join(DTYPES)}")
        self.text(TAG)
        self.add("<i", DTYPES.index(name))
        self.add(f"<Q{array.ndim}q", array.ndim, *array.shape)
        if name != "string":
            self.parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            return
        if not self._strings_seen:
            self.parts.append(FIRST)
            self._strings_seen = True
        self.add("<QI", array.size, 0)
        for text in to_list(array):
            self.text(text.encode())


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0
        self._strings_seen = False

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> memoryview:
        if size > self.left:
            raise NeuropodError(f"{size} bytes should follow byte {self._at}, there are {self.left}; it is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def text(self) -> bytes:
        return bytes(self.take(self.number("<Q")))

    def tensor(self) -> NDArray[Any]:
        tag = self.text() if self.left else b""
        if tag != TAG:
            raise NeuropodError(f"a tensor begins with '{TAG.decode()}', here is {tag[:40]!r}")
        code = self.number("<i")
        if not 0 <= code < len(DTYPES):
            raise NeuropodError(f"there is no type {code}; the types are 0 to {len(DTYPES) - 1}")
        shape = self._shape()
        if DTYPES[code] == "string":
            return self._strings(shape)
        dtype = np.dtype(DTYPES[code])
        raw = self.take(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(raw, dtype).reshape(shape).copy()

    def _shape(self) -> tuple[int, ...]:
        rank = self.number("<Q")
        if rank > MOST_DIMS:
            raise NeuropodError(f"a tensor has at most {MOST_DIMS} dimensions, here are {rank}")
        shape: tuple[int, ...] = struct.unpack(f"<{rank}q", self.take(8 * rank))
        if min(shape, default=0) < 0:
            raise NeuropodError(f"the shape {shape} has a negative size")
        return shape

    def _strings(self, shape: tuple[int, ...]) -> NDArray[np.str_]:
        if not self._strings_seen and self.take(len(FIRST)) != FIRST:
            raise NeuropodError(f"the strings before byte {self._at} are of a class that is not known")
        self._strings_seen = True
        count, _ = self.number("<Q"), self.number("<I")
        if count != math.prod(shape) or 8 * count > self.left:
            raise NeuropodError(f"{count} strings do not make the shape {shape} of {self.left} bytes")
        items = [self.text() for _ in range(count)]
        size = 4 * count * max(map(len, items), default=0)
        if size > SMALL_BYTES and size > MOST_GROWTH * len(self._data):
            raise NeuropodError(
                f"strings of {len(self._data)} bytes would take {size} bytes in an array; send them apart"
            )
        return to_unicode(items, shape)


def _read_dict(reader: _Reader) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for _ in range(reader.number("<i")):
        name = reader.text().decode()
        found[name] = reader.tensor()
    return found


def _read(data: Any, read: Callable[[_Reader], T]) -> T:
    """Returns what `read` finds after header and version, and nothing may be left; TypeError for what is not bytes."""
    reader = _Reader(memoryview(data).cast("B"))
    try:
        if reader.take(len(HEADER)) != HEADER:
            raise NeuropodError("they do not begin as a binary archive of a 64-bit little-endian machine does")
        version = reader.number("<i")
        if version != VERSION:
            raise NeuropodError(f"they are of version {version}, this is {VERSION}")
        found = read(reader)
        if reader.left:
            raise NeuropodError(f"{reader.left} bytes are left over")
    except (NeuropodError, UnicodeDecodeError, ValueError) as error:
        raise NeuropodError(f"these bytes cannot be deserialized: {error}") from error
    return found
