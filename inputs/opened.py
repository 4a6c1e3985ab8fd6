"""Which files a log was read from: noted where they are opened, so that later it is seen whether they are still the
same without reading them.

A record's own files are noted for that record. What a reader keeps for later, in a `once` or when it is opened, is
noted for the whole log.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

__all__ = [
    "Opened",
    "State",
    "UNKNOWN",
    "kept_meanwhile",
    "note",
    "note_elsewhere",
    "note_folder",
    "opening",
    "same",
    "state_of",
]

_SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was read may change again without another time: its state says nothing."""
_MOST_RECORDS = 16384
_MOST_OF_NOBODY = 1024


class State(NamedTuple):
    """What the file system says of a file. Nobody can set `changed_ns` back, as they can the time of writing."""

    size: int
    written_ns: int
    changed_ns: int
    number: int


UNKNOWN = State(-1, -1, -1, -1)
"""Of what has no state that can be relied on: equal to nothing, as `same` says."""


class Opened:
    """The files of one log. It pickles with it."""

    def __init__(self, files: Mapping[str, State] | None = None) -> None:
        self.shared: dict[str, State] = {_FOLDERS: _NONE, **(files or {})}
        """Path -> its state when it was read, of what is kept for more than one record."""
        self.by_record = False
        """Whether the files of single records are noted too: a cache of tensors asks for it."""
        self._own: OrderedDict[Hashable, dict[str, State]] = OrderedDict()

    @contextmanager
    def reading(self, record: Hashable) -> Iterator[None]:
        """While it lasts, files that this thread opens are noted for the record."""
        own: dict[str, State] | None = None
        if self.by_record:
            whole = record[0] if isinstance(record, tuple) else record
            own = {_FOLDERS: _NONE} if whole in _OF_THE_LOG else {}
        stack = _stack()
        stack.append((self, own))
        try:
            yield
        finally:
            stack.pop()
        if own is not None:
            self._own.pop(record, None)
            self._own[record] = own
            while len(self._own) > _MOST_RECORDS:
                self._own.popitem(last=False)

    def of(self, record: Hashable) -> Mapping[str, State] | None:
        """Returns the files that were opened when the record was last read; None where nobody noted it."""
        return self._own.get(record)

    def take_over(self, record: Hashable, files: Mapping[str, State] | None) -> None:
        """Notes for a record the files that another log opened for it: both have the same one."""
        if self.by_record and files is not None:
            self._own[record] = dict(files)

    def of_all(self, location: str) -> Mapping[str, State]:
        """Returns the files of what is kept for more than one record. Of those that a reader was asked for itself, and
        so for no log in particular, all that lie up to two folders above the log's."""
        around = os.path.dirname(os.path.dirname(os.path.abspath(location)))
        near = {path: state for path, state in list(_nobodys.items()) if path.startswith(around) or not path}
        return {**near, **self.shared}

    def __getstate__(self) -> dict[str, State]:
        return dict(self.shared)

    def __setstate__(self, shared: dict[str, State]) -> None:
        # another process may read again what has changed since: then nothing is known of it
        now = {path: state if same(path, state) else UNKNOWN for path, state in shared.items()}
        self.__init__(now)  # type: ignore[misc]


_FOLDERS = ""
"""Among files: the state of their folders is noted as well."""
_NONE = State(0, 0, 0, 0)
_OF_THE_LOG = ("map", "poses", "signal", "signals", "source")
"""Records of which there is one for the log, whose reader may look for several files."""

_Entry = tuple[Opened, dict[str, State] | None]
_threads = threading.local()
_nobodys: dict[str, State] = {_FOLDERS: _NONE}
"""Of files that were opened for no log in particular, such as by who asks a reader itself."""


def _stack() -> list[_Entry | None]:
    try:
        found: list[_Entry | None] = _threads.stack
    except AttributeError:
        found = _threads.stack = []
    return found


@contextmanager
def opening() -> Iterator[Opened]:
    """While it lasts, files that this thread opens are noted for the log that is being opened."""
    opened = Opened()
    stack = _stack()
    stack.append((opened, opened.shared))
    try:
        yield opened
    finally:
        stack.pop()


def kept_meanwhile() -> list[_Entry | None]:
    """Returns this thread's list, to which None is added while something is made that is kept for later: what is opened
    then belongs to whatever the log is asked for, too."""
    return _stack()


def note(path: str | os.PathLike[str], status: os.stat_result) -> None:
    """Called where a file is opened, or looked at, with its state before anything is read."""
    where = _where()
    if where is None:
        return
    name = os.path.abspath(os.fspath(path))
    if where is _nobodys and len(_nobodys) >= _MOST_OF_NOBODY and name not in _nobodys:
        # too many to look after: of no log it is known any more
        name, state = _FOLDERS, UNKNOWN
    else:
        state = _settled(status)
    _add(where, name, state)
    if _FOLDERS in where:
        # a file that is added decides too, such as the heights that a map may have
        note_folder(os.path.dirname(name))


def note_folder(path: str) -> None:
    """Called for a folder in which it matters what files there are."""
    where = _where()
    if where is not None:
        with suppress(OSError, ValueError):
            status = os.stat(path)
            _add(where, os.path.abspath(path), _settled(status))


def _add(where: dict[str, State], name: str, state: State) -> None:
    # of two looks at one file both count: it may have changed between them
    if where.setdefault(name, state) != state:
        where[name] = UNKNOWN


def _where() -> dict[str, State] | None:
    """Returns where this thread notes what it opens; None where nobody asked."""
    stack = _stack()
    if not stack:
        # nothing of it is kept
        return None
    if (top := stack[-1]) is not None:
        return top[1]
    at = next((entry for entry in reversed(stack) if entry is not None), None)
    return _nobodys if at is None else at[0].shared


def note_elsewhere(what: str) -> None:
    """Called where bytes come from a place whose state cannot be asked for, such as an object store."""
    where = _where()
    if where is not None:
        where[what] = UNKNOWN


def same(path: str, state: State) -> bool:
    """Whether a file or folder is as it was."""
    return path == _FOLDERS or (state != UNKNOWN and state_of(path) == state)


def state_of(path: str) -> State:
    """Returns a file's or a folder's state now; UNKNOWN where there is none."""
    try:
        return _state(os.stat(path))
    except (OSError, ValueError):
        return UNKNOWN


def _state(status: os.stat_result) -> State:
    return State(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _settled(status: os.stat_result) -> State:
    state = _state(status)
    return state if time.time_ns() - max(state.written_ns, state.changed_ns) > _SETTLED_NS else UNKNOWN
