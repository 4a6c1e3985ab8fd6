"""A bundle: the tensors of one frame that one build made, in one file. Its own format, without pickle.

    8 bytes     magic and version
    4 + 4       bytes of the head, little endian; bytes of padding
    8           xxh3 of the head
    head        msgpack: `Head`
    blobs       each tensor, C-contiguous, starting at a multiple of 64 bytes of the file

It is written beside and renamed, so that a reader finds a whole one or none, on any file system; and never changed
after that, so that what is mapped stays as it is when another process removes the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from .mapping import map_private
from .whole import whole, write_all

__all__ = [
    "SUFFIX",
    "Answer",
    "BrokenBundle",
    "Head",
    "Mapped",
    "Tensor",
    "aligned",
    "checksum_of",
    "placed",
    "read_head",
    "write_bundle",
]

SUFFIX = ".tensors"
_MAGIC = b"PTENSOR1"
_LENGTHS = struct.Struct("<8sIIQ")
_ALIGNMENT = 64
_MOST_HEAD_BYTES = 1 << 26


class BrokenBundle(ValueError):
    """A file that is cut short, or not as it was written."""


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """One thing that stages asked of the log, what stands for the answer, and the files that it came from."""

    ask: tuple[str | int, ...]
    digest: str
    files: tuple[tuple[str, int, int, int, int], ...] | None = None
    """Path and state of each; None: nobody knows whether they are all, so that the answer is compared itself."""


class Tensor(msgspec.Struct, array_like=True, frozen=True):
    """One row of a spec, built for one frame."""

    key: str
    """What stands for the feature, its parameters, dtype, fixed sizes, and the code that made it."""
    feature: str
    code: str
    """What stands for the code; `Head.codes` says of which classes."""
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """From the start of the blobs."""
    checksum: int
    """xxh3 of its bytes."""
    answers: tuple[int, ...]
    """Which of the bundle's answers it depends on."""
    sizes: dict[str, int]
    """The frame's own sizes, as the filler said them."""
    dropped: dict[str, int]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class Head(msgspec.Struct, array_like=True, frozen=True):
    log: str
    """Of which log, in words."""
    time_ns: int
    index: int
    opening: str | None
    """How the log was opened; files say something only for one that is opened alike."""
    reader: str
    """What stands for the code that read the records."""
    streams: str
    """What stands for the times of all records: which there are decides more than their numbers."""
    shared: tuple[tuple[str, int, int, int, int], ...] | None
    """Files that the log keeps something of for all its records."""
    answers: tuple[Answer, ...]
    tensors: tuple[Tensor, ...]
    codes: dict[str, tuple[str, ...]]
    """What stands for code -> the classes that it is of, as module:name."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Head)


def checksum_of(array: NDArray[Any]) -> int:
    """Returns xxh3 over a C-contiguous array's bytes; 0 where it has none."""
    return xxhash.xxh3_64_intdigest(cast(Any, array.reshape(-1).view(np.uint8))) if array.size else 0


def aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def write_bundle(path: Path, head: Head, arrays: Sequence[NDArray[Any]]) -> int:
    """Writes a new bundle, its arrays C-contiguous and in the order of `head.tensors`; returns its bytes. Raises
    OSError."""
    encoded = _encoder.encode(head)
    begin = aligned(_LENGTHS.size + len(encoded))
    padding = begin - _LENGTHS.size - len(encoded)
    with whole(path) as file:
        start = _LENGTHS.pack(_MAGIC, len(encoded), padding, xxhash.xxh3_64_intdigest(encoded))
        write_all(file, memoryview(start + encoded + bytes(padding)))
        at = 0
        for tensor, array in zip(head.tensors, arrays, strict=True):
            write_all(file, memoryview(bytes(tensor.offset - at)))
            if array.size:
                write_all(file, memoryview(cast(Any, array.reshape(-1).view(np.uint8))))
            at = tensor.offset + array.nbytes
    return begin + at


def read_head(path: str | os.PathLike[str]) -> tuple[Head, int, int]:
    """Returns the head, where the blobs begin, and the file's bytes; raises OSError or BrokenBundle."""
    with open(path, "rb", buffering=0) as file:
        return _head(file.fileno(), str(path))


def _head(file: int, path: str) -> tuple[Head, int, int]:
    status = os.fstat(file)
    # one read is enough for nearly all heads
    start = os.pread(file, 16384, 0)
    if len(start) < _LENGTHS.size:
        raise BrokenBundle(f"{path}: {len(start)} bytes; it is cut short")
    magic, length, padding, checksum = _LENGTHS.unpack_from(start)
    begin = _LENGTHS.size + length + padding
    if magic != _MAGIC or length > _MOST_HEAD_BYTES or begin % _ALIGNMENT:
        raise BrokenBundle(f"{path}: not a bundle of tensors of this version")
    if len(start) < _LENGTHS.size + length:
        start += os.pread(file, _LENGTHS.size + length - len(start), len(start))
    encoded = memoryview(start)[_LENGTHS.size : _LENGTHS.size + length]
    if len(encoded) < length or xxhash.xxh3_64_intdigest(encoded) != checksum:
        raise BrokenBundle(f"{path}: its head is not as it was written")
    try:
        head = _decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise BrokenBundle(f"{path}: its head cannot be read ({error})") from error
    end = max((t.offset + t.nbytes for t in head.tensors), default=0)
    if begin + end != status.st_size or any(t.offset % _ALIGNMENT for t in head.tensors):
        raise BrokenBundle(f"{path}: {status.st_size} bytes, wanted {begin + end}; it is cut short")
    return head, begin, status.st_size


class Mapped:
    """A bundle that is open: its head, and its tensors as views of the mapped file. Raises OSError or BrokenBundle."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb", buffering=0) as file:
            self.status = os.fstat(file.fileno())
            self.head, self._begin, nbytes = _head(file.fileno(), path)
            self._map = map_private(file.fileno(), nbytes)
            self._file = os.dup(file.fileno())

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._file)

    def array(self, tensor: Tensor, checked: bool) -> NDArray[Any]:
        """Returns the tensor, 64-byte aligned, in private memory: who writes to it changes nobody else's.

        checked: whether its bytes are compared with their checksum; raises BrokenBundle where they differ.
        """
        dtype, count = np.dtype(tensor.dtype), prod(tensor.shape)
        if not count:
            return np.zeros(tensor.shape, dtype)
        array: NDArray[Any] = np.frombuffer(self._map, dtype, count, self._begin + tensor.offset)
        if checked and checksum_of(array) != tensor.checksum:
            raise BrokenBundle(f"{self.path}: {tensor.feature} is not as it was written")
        return array.reshape(tensor.shape)

    def fetch(self, tensor: Tensor, first: int, nbytes: int) -> None:
        """Has a part of a tensor read, from byte `first` on, if it is not in memory: at once, where a mapping reads 128
        KB at a time. Six pictures of 2.7 MB came from a disk in 22 ms, not 36."""
        begin = self._begin + tensor.offset + first
        # not every file system can tell
        with suppress(OSError):
            try:
                os.preadv(self._file, [bytearray(1)], begin, os.RWF_NOWAIT)
            except BlockingIOError:
                os.posix_fadvise(self._file, begin, nbytes, os.POSIX_FADV_WILLNEED)

    def read_into(self, tensor: Tensor, out: NDArray[Any]) -> None:
        """Copies the tensor's bytes from the file: a batch of 184 MB in 24 ms, from the mapping in 45, whose pages
        have to be found first."""
        if not out.flags.c_contiguous:
            out[...] = self.array(tensor, checked=False)
            return
        memory, at, done = memoryview(cast(Any, out.reshape(-1).view(np.uint8))), self._begin + tensor.offset, 0
        while done < len(memory):
            read = os.preadv(self._file, [memory[done:]], at + done)
            if not read:
                raise BrokenBundle(f"{self.path}: {tensor.feature} is cut short")
            done += read


def placed(tensors: Mapping[str, int]) -> dict[str, int]:
    """Returns where each of tensors, name -> bytes, begins among the blobs."""
    at, places = 0, {}
    for name, nbytes in tensors.items():
        places[name] = at
        at = aligned(at + nbytes)
    return places
