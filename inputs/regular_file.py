"""The door to every file that a log names: a pipe, a device or a socket is refused before it is opened.

Reading a pipe waits forever for a writer, and a device such as /dev/zero never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from .opened import note

__all__ = ["IrregularFile", "open_regular", "regular_status", "what_it_is"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# a pipe that takes the file's place after it was looked at does not hold us up, nor does a terminal become ours
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)


class IrregularFile(OSError):
    """What a path leads to is not a file; `strerror` says what it is."""


def what_it_is(mode: int) -> str:
    """Returns "a file", "a folder", "a pipe", ... for the st_mode of os.stat."""
    return "a file" if stat.S_ISREG(mode) else next((name for test, name in _KINDS if test(mode)), "not a file")


def regular_status(path: str | os.PathLike[str]) -> os.stat_result:
    """Returns what os.stat does, of a file; raises OSError, of which IrregularFile for what is not one."""
    status = _status(path)
    note(path, status)
    return status


def _status(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        return _regular(os.stat(path))
    except ValueError as error:
        # a name with a NUL, or one that the file system's encoding has no bytes for
        raise OSError(errno.EINVAL, f"no file can have this name: {error}") from error


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file to read its bytes; raises OSError, of which IrregularFile for what is not a file."""
    # opening a device may already do something, so it is looked at first
    _status(path)
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        note(path, _regular(os.fstat(file.fileno())))
    except OSError:
        file.close()
        raise
    return file


def _regular(status: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise IrregularFile(errno.EINVAL, f"is {what_it_is(status.st_mode)}, wanted a file")
    return status
