"""Where compiled kernels are kept: what lies there is run, so nobody else may have put it there."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["kernel_folder", "user_cache"]


def user_cache() -> Path:
    """Returns $PERCEPTUM_CACHE, else perceptum in $XDG_CACHE_HOME or in ~/.cache; it need not be there."""
    named = os.environ.get("PERCEPTUM_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "perceptum"


@cache
def kernel_folder(source_folder: Path, named: str = "") -> Path | None:
    """Returns where to keep what is compiled from the files in a folder; None where nothing can be written.

    named: what NUMBA_CACHE_DIR says, if it can be written; else beside the source, as Python's own byte code; else a
    folder of the user's alone, in the user's cache or among the temporary files.
    """
    # two checkouts must not take each other's; the name is for people, the digest tells them apart
    inside = f"{source_folder.name}_{hashlib.sha256(os.fsencode(source_folder)).hexdigest()[:16]}"
    if named and _is_writable(Path(named).absolute() / inside):
        return Path(named).absolute() / inside
    beside = source_folder / "__pycache__"
    # a name in a zip archive has no folder
    if source_folder.is_dir() and _is_writable(beside):
        return beside
    private = _private_folder()
    return private / inside if private is not None and _is_writable(private / inside, mode=0o700) else None


@cache
def _private_folder() -> Path | None:
    folders = [user_cache() / "kernels"]
    # there may be no folder for temporary files that can be written
    with suppress(FileNotFoundError):
        folders.append(Path(tempfile.gettempdir()) / f"perceptum-kernels-{os.geteuid()}")
    for folder in folders:
        if folder.is_absolute() and _is_writable(folder, mode=0o700) and _is_private(folder):
            return folder
    return _fresh_folder()


def _fresh_folder() -> Path | None:
    """A new one, for this process alone: somebody else has a folder, or a link, by the name of ours."""
    try:
        fresh = Path(tempfile.mkdtemp(prefix="perceptum-kernels-"))
    except OSError:
        return None
    atexit.register(_remove, fresh, os.getpid())
    return fresh


def _remove(folder: Path, maker: int) -> None:
    # a forked child uses it too, and must not take it away
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)


def _is_writable(folder: Path, mode: int = 0o777) -> bool:
    """Whether the folder is there, made now if need be, and a file can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _is_private(folder: Path) -> bool:
    """Whether the folder is ours, and nobody but we and root can write into it or put another in its place."""
    try:
        own = os.lstat(folder)
        above = [os.stat(parent) for parent in Path(os.path.realpath(folder)).parents]
    except OSError:
        return False
    if not stat.S_ISDIR(own.st_mode) or own.st_uid != os.geteuid() or own.st_mode & 0o022:
        return False
    # where everybody may write, as in /tmp, the sticky bit keeps others from renaming what is ours
    return all(
        at.st_uid in (0, os.geteuid()) and (not at.st_mode & stat.S_IWOTH or at.st_mode & stat.S_ISVTX) for at in above
    )
