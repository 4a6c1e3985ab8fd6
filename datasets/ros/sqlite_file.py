"""An SQLite file with what was committed beside it: the write-ahead log, or a journal that is to be rolled back.

A recorder that is killed leaves its last messages in NAME-wal, or half a transaction in NAME that NAME-journal takes
back. SQLite's own ways to read these lock the file and write beside it; a recording is not to be written to.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from perceptum.inputs import BrokenRecord
from perceptum.inputs.once import once

__all__ = ["SqliteFile"]

# of a journal that is still needed; one that is done with is empty, or its head is cleared
_HOT_JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
# https://sqlite.org/fileformat2.html#walformat: the sizes of the log's head, and of the head of a page in it
_WAL_HEAD, _WAL_FRAME = 32, 24


class SqliteFile:
    """Opens one database to read. Nothing is locked, and nothing is ever written in its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = threading.local()
        self._has_log = self._begins("-wal", 1) != b"" and _has_committed(Path(f"{path}-wal"))
        self._has_journal = self._begins("-journal", len(_HOT_JOURNAL)) == _HOT_JOURNAL

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_path"])  # type: ignore[misc]

    def _begins(self, suffix: str, count: int) -> bytes:
        """The first bytes of the file of that suffix beside the database; none where there is no such file."""
        beside = Path(f"{self._path}{suffix}")
        try:
            if not stat.S_ISREG(os.stat(beside).st_mode):
                raise BrokenRecord(f"{beside}: is not a regular file; what was committed to the recording is missing")
            with open(beside, "rb") as file:
                return file.read(count)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise BrokenRecord(
                f"{beside}: cannot be read ({error.strerror}); what was committed to the recording is missing"
            ) from error

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Yields a connection; raises sqlite3.Error, and BrokenRecord."""
        if self._has_log and not self._has_journal and os.path.getsize(self._path):
            # reading the log once takes as long as it is: the connection stays, one for each thread
            yield self._with_log()
            return
        # immutable: no lock, no journal
        database = sqlite3.connect(
            _uri(self._rolled_back if self._has_journal else self._path, "immutable=1"), uri=True
        )
        try:
            yield database
        finally:
            database.close()

    def _with_log(self) -> sqlite3.Connection:
        kept: tuple[int, sqlite3.Connection] | None = getattr(self._kept, "database", None)
        # another process that was forked has its own
        if kept is None or kept[0] != os.getpid():
            # a file system without locks, and the index of the log in memory instead of in NAME-shm
            database = sqlite3.connect(_uri(self._path, "vfs=unix-none"), uri=True, isolation_level=None)
            database.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            self._kept.database = kept = (os.getpid(), database)
        return kept[1]

    @once
    def _rolled_back(self) -> Path:
        """A copy of the database in which SQLite has taken back the unfinished transaction."""
        size, beside = os.path.getsize(self._path), Path(f"{self._path}-journal")
        warnings.warn(
            f"{self._path}: was cut off within a transaction, which is in {beside.name}; reading a copy of its "
            f"{size} bytes in which that is undone",
            stacklevel=2,
        )
        folder = Path(tempfile.mkdtemp(prefix="perceptum-"))
        weakref.finalize(self, _remove, folder, os.getpid())
        free = shutil.disk_usage(folder).free
        if size + os.path.getsize(beside) > free:
            raise BrokenRecord(f"{self._path}: its copy takes {size} bytes, and {folder.parent} has {free} left")
        copy = folder / self._path.name
        shutil.copyfile(self._path, copy)
        shutil.copyfile(beside, f"{copy}-journal")
        if self._has_log:
            shutil.copyfile(f"{self._path}-wal", f"{copy}-wal")
        database = sqlite3.connect(copy)
        try:
            database.execute("PRAGMA journal_mode=DELETE").fetchall()
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
        finally:
            database.close()
        return copy


def _has_committed(log: Path) -> bool:
    """Whether a write-ahead log holds a transaction that was committed, by https://sqlite.org/fileformat2.html#walformat.

    One without is not to be opened: SQLite would take it for done with and delete it, under a recorder that is about to
    commit what it wrote there.
    """
    with open(log, "rb") as file:
        head = file.read(_WAL_HEAD)
        if len(head) < _WAL_HEAD:
            return False
        page_bytes, salts = int.from_bytes(head[8:12], "big"), head[16:24]
        while len(frame := file.read(_WAL_FRAME)) == _WAL_FRAME and frame[8:16] == salts:
            # the database's size in pages, in the last frame of a transaction
            if frame[4:8] != bytes(4):
                return True
            file.seek(page_bytes, os.SEEK_CUR)
    return False


def _uri(path: Path, how: str) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro&{how}"


def _remove(folder: Path, process: int) -> None:
    # a forked child has the folder of its parent
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
