"""An append-only file of records: what was done before a program was killed is still there."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from time import monotonic

import xxhash

from perceptum.errors import UsageError

__all__ = ["Journal", "read_entries"]

_HEAD = struct.Struct("<QQ")
"""The length of an entry and the XXH3 of its bytes."""
_SYNC_S = 2.0
"""How much work may be lost when the machine goes down; when the program is killed, none is."""


class Journal:
    """Entries of bytes, each written at once. One program at a time may have a journal open."""

    def __init__(self, path: Path) -> None:
        """Opens the file, which is made if need be, and cuts off an entry that was not written to its end.

        Raises UsageError where another program writes to it.
        """
        self._path = path
        self._file = _locked(path)
        self.entries: list[bytes] = []
        """Those of before."""
        end = 0
        for entry in read_entries(path):
            self.entries.append(entry)
            end += _HEAD.size + len(entry)
        self._file.truncate(end)
        self._synced_s = monotonic()
        self._lock = threading.Lock()

    def add(self, entry: bytes) -> None:
        """Writes an entry; any number of threads may. Raises OSError that names the file."""
        whole = memoryview(_HEAD.pack(len(entry), xxhash.xxh3_64_intdigest(entry)) + entry)
        with self._lock:
            end = os.fstat(self._file.fileno()).st_size
            try:
                while whole:
                    whole = whole[self._file.write(whole) or 0 :]
            except OSError as error:
                # a disk that fills up takes a part, after which nothing could be read
                with suppress(OSError):
                    self._file.truncate(end)
                raise OSError(error.errno, error.strerror, str(self._path)) from error
            if monotonic() - self._synced_s > _SYNC_S:
                os.fsync(self._file.fileno())
                self._synced_s = monotonic()

    def clear(self) -> None:
        """Forgets all entries."""
        self._file.truncate(0)
        self.entries = []

    def close(self) -> None:
        self._file.close()


def _locked(path: Path) -> FileIO:
    """Returns the file at a path, open for one program alone; raises UsageError where another has it."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # whoever had it may have removed it after it was opened here
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    return file
        except BlockingIOError:
            file.close()
            raise UsageError(f"{path.parent}: another evaluation is writing to this folder; name another") from None
        file.close()


def read_entries(path: Path) -> Iterator[bytes]:
    """Yields the entries of a journal, up to the first that is not whole."""
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        while left >= _HEAD.size:
            length, digest = _HEAD.unpack(file.read(_HEAD.size))
            left -= _HEAD.size
            if length > left:
                return
            entry = file.read(length)
            if xxhash.xxh3_64_intdigest(entry) != digest:
                return
            left -= length
            yield entry
