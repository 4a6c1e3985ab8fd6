"""Where a conversion writes: beside the folder it will become, or into an object store; one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perceptum.datasets import store
from perceptum.inputs import LogError
from perceptum.inputs.store import (
    INDEX,
    INDEX_CHECKSUM,
    UNFINISHED,
    LocalTarget,
    RemoteTarget,
    StoreSource,
    Target,
    begin,
    filesystem_of,
)

from ..errors import UsageError
from ..exchange import take_place

__all__ = ["place_for"]


@contextmanager
def place_for(dst: str | Path, overwrite: bool, plan: str) -> Iterator[Target]:
    """Yields where to write; what was written takes the place of `dst` when all went well."""
    folder = store.local_path(str(dst)) if "://" in str(dst) else Path(dst)
    if folder is None:
        yield _object_store(str(dst), overwrite, plan)
        return
    _check_free(folder, overwrite)
    beside = LocalTarget(folder.with_name(f"{folder.name}.part"))
    with _alone(beside.folder):
        _check_ours(beside)
        _begin(beside, plan, overwrite)
        yield beside
        beside.settle()
        take_place(beside.folder, folder)


def _object_store(url: str, overwrite: bool, plan: str) -> Target:
    target = RemoteTarget(*filesystem_of(url), url.rstrip("/"))
    if target.has(INDEX):
        if not overwrite:
            raise UsageError(f"{url}: a store already exists here; name another place, or replace it with --overwrite")
        _remove_store(target)
    _begin(target, plan, overwrite)
    return target


def _remove_store(target: RemoteTarget) -> None:
    """Removes the files that the index names, and no others; from the first moment on it is not a store."""
    names = [file.path for file in StoreSource(target.files).index.files]
    for path in (INDEX, INDEX_CHECKSUM, *names):
        target.remove(path)


def _begin(target: Target, plan: str, overwrite: bool) -> None:
    # a run that was killed at its very end may have left one
    target.remove(INDEX)
    try:
        begin(target, plan)
    except LogError:
        if not overwrite:
            raise
        target.remove(UNFINISHED)
        begin(target, plan)


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.name or folder.name in (".", ".."):
        raise UsageError(f"cannot write {folder}: name the new folder itself")
    if not folder.is_symlink() and not folder.exists():
        return
    if not overwrite:
        raise UsageError(f"{folder}: already exists; name another folder, or replace it with --overwrite")
    if not store.recognises(folder):
        raise UsageError(f"{folder}: is not a store, so --overwrite leaves it alone; name another folder")


def _check_ours(target: LocalTarget) -> None:
    ours = target.has(UNFINISHED) or target.has(INDEX)
    if not ours and any(target.folder.iterdir()):
        raise UsageError(f"{target.folder}: is not an unfinished conversion; move it away, or name another folder")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder, made where it is missing, so that no second conversion writes to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"{folder}: another conversion is writing there; wait for it, or name another") from None
    finally:
        os.close(held)
