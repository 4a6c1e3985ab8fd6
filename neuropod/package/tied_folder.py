"""A temporary folder that outlives its process by no more than a moment, whatever ends it, SIGKILL too.

Two things see to that. A watcher, a shell that waits for the other end of a pipe to close, deletes the folder as soon
as the process is gone. Where that was killed too (a container that is torn down), the folder is found without an owner
by the next process that makes one, and swept: each owner holds a lock on its folder, which the kernel frees at its end.
A forked child holds pipe and lock as well: the folder stays until the last of them is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO

__all__ = ["PREFIX", "TiedFolder", "sweep"]

PREFIX = "perceptum_package_"
_SHELL = "/bin/sh"
# a line means that the folder is gone already; the end without one, that its owner died
_WATCH = 'read -r line || rm -rf -- "$0"'


class TiedFolder:
    """An empty folder of this user's alone; `path` is deleted by `close`, or when this object or its process ends."""

    def __init__(self) -> None:
        sweep()
        self.path, lock = _make()
        self._end = weakref.finalize(self, _delete, self.path, lock, _watch(self.path), os.getpid())

    def close(self) -> None:
        self._end()


def sweep() -> None:
    """Deletes this user's folders whose owner is gone; a folder that cannot be looked at is left alone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _lock(path, wait=False)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _make() -> tuple[Path, int]:
    """Returns a new folder and its lock; again where a sweep came between the two."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = _lock(path, wait=True)
            assert lock is not None  # it is ours, and was waited for
            if path.is_dir():
                return path, lock
            os.close(lock)


def _lock(path: Path, wait: bool) -> int | None:
    """Returns an open descriptor that holds the folder's lock, or None where it is another's."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _watch(path: Path) -> subprocess.Popen[bytes] | None:
    """Starts the watcher, in a session of its own: what kills a group of processes leaves it alone."""
    if not Path(_SHELL).exists():
        return None
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            [_SHELL, "-c", _WATCH, str(path)],
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            cwd="/",
            start_new_session=True,
        )
    except PermissionError:
        # in a sandbox no program is started; its folders end with it
        return None


def _delete(path: Path, lock: int, watcher: subprocess.Popen[bytes] | None, owner: int) -> None:
    if os.getpid() != owner:  # a forked child: the folder is its parent's
        return
    shutil.rmtree(path, onerror=_make_writable)
    if watcher is not None:
        assert watcher.stdin is not None
        _dismiss(watcher, watcher.stdin)
    os.close(lock)


def _dismiss(watcher: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # someone killed it
        pipe.write(b"deleted\n")
        pipe.close()
    watcher.wait()


def _make_writable(_: object, path: str, __: object) -> None:
    """Tries once more, after a model's code has taken the right to delete away; what still cannot be deleted stays."""
    with contextlib.suppress(OSError):
        os.chmod(Path(path).parent, stat.S_IRWXU)
        os.unlink(path)
