"""A file that appears under its name when it is whole, and not otherwise."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError

__all__ = ["FORMATS", "check_ending", "whole_file"]

_DATA = (".arrow", ".csv", ".feather", ".h5", ".hdf5", ".ipc", ".json", ".jsonl", ".mcap", ".npy", ".npz", ".onnx")
_MORE_DATA = (".orc", ".parquet", ".pickle", ".pkl", ".pt", ".txt", ".xlsx", ".zarr", ".zip")
_PICTURES = (".bmp", ".jpeg", ".jpg", ".pdf", ".png", ".svg", ".tif", ".tiff", ".webp")
FORMATS = frozenset((*_DATA, *_MORE_DATA, *_PICTURES))
"""Endings by which people and programs know what is in a file."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_ending(path: Path, endings: tuple[str, ...], what: str) -> None:
    """Raises UsageError where a file's name says that it holds something else than what is written into it.

    endings: those that are right, the usual first. A name without an ending, or with one of its own, says nothing.
    """
    if path.suffix.lower() in FORMATS and path.suffix.lower() not in endings:
        raise UsageError(f"cannot write {path}: {what}; name it {path.with_suffix(endings[0])}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to, beside `path`, whose place it then takes; after any error nothing is left of it.

    Raises UsageError where no file can be written there, before anything else is done.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; name a file")
    # a link stays one; a device would be replaced by a file of its name
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not target.is_file():
        raise UsageError(f"cannot write {path}: it is no regular file; name another")
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {target.parent}")
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.touch()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield beside
        beside.replace(target)
    except OSError as error:
        if error.errno in _FULL:  # libraries leave out of which file they speak
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)
