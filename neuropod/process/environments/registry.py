"""The environments that the user has registered: a file each, in one folder.

NAME.json           what an environment is
made/HASH           one that perceptum made; several names may lead to it
made/HASH.lock      held by who makes or removes it
made/.HASH.*        one that is being made, or that was given up on the way
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import NeuropodError
from .environment import Environment, ask_python, find_python

__all__ = ["HERE", "add", "check_new", "find", "folder", "locked", "made_folder", "register", "registered", "remove"]

HERE = "this"
"""What the Python that runs perceptum is called; no environment has that name."""

_SETTING = "PERCEPTUM_ENVIRONMENTS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def folder() -> Path:
    """Returns the folder of all environments: PERCEPTUM_ENVIRONMENTS, or in the user's own data."""
    own = os.environ.get(_SETTING)
    if own:
        return Path(own).absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "perceptum" / "environments"


def made_folder() -> Path:
    return folder() / "made"


def registered() -> list[Environment]:
    """Returns all environments, by name. What is not a record of one is passed over."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder().glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                found.append(Environment.from_json(path.stem, path.read_text(encoding="utf-8")))
    return found


def find(name: str) -> Environment:
    """Returns the environment of that name; raises NeuropodError that names those there are."""
    known = {environment.name: environment for environment in registered()}
    if name not in known:
        if name == HERE:
            raise NeuropodError(f"'{HERE}' is the Python that runs perceptum, and not an environment of its own")
        there = ", ".join(known) or "none"
        # a path was meant, or a name that none can have
        words = f"{name} PYTHON" if _NAME.fullmatch(name) else f"NAME {name}" if os.path.exists(name) else "NAME PYTHON"
        raise NeuropodError(f"no environment '{name}'; there are: {there} (perceptum env add {words} adds one)")
    return known[name]


def check_new(name: str) -> None:
    """Raises NeuropodError where an environment cannot be called that."""
    if not _NAME.fullmatch(name) or name == HERE:
        reason = f"'{HERE}' is the Python that runs perceptum" if name == HERE else "letters, digits, dot, _ and -"
        raise NeuropodError(f"an environment cannot be called {name!r}: {reason}")
    if (folder() / f"{name}.json").exists():
        raise NeuropodError(f"there is an environment '{name}' already; perceptum env remove {name}, or another name")


def add(name: str, where: str | os.PathLike[str]) -> Environment:
    """Registers an interpreter, or a virtual environment by its folder, under a new name."""
    check_new(name)
    environment = ask_python(name, find_python(where))
    register(environment)
    return environment


def register(environment: Environment) -> None:
    """Writes the record of an environment; raises NeuropodError where another process was first with that name."""
    place = folder() / f"{environment.name}.json"
    with writing():
        place.parent.mkdir(parents=True, exist_ok=True)
        whole = place.with_name(f".{environment.name}.{uuid.uuid4().hex}")
        try:
            whole.write_text(environment.to_json(), encoding="utf-8")
            # not a rename, which would replace what is there
            os.link(whole, place)
        except FileExistsError:
            check_new(environment.name)
            raise
        finally:
            whole.unlink(missing_ok=True)


def remove(name: str) -> None:
    """Forgets an environment. One that perceptum made is deleted with the last of its names."""
    environment = find(name)
    with writing():
        if environment.made is None:
            (folder() / f"{name}.json").unlink(missing_ok=True)
            return
        with locked(environment.made):
            (folder() / f"{name}.json").unlink(missing_ok=True)
            if all(other.made != environment.made for other in registered()):
                delete_made(environment.made)


def delete_made(made: str) -> None:
    """Deletes an environment that was made. It is renamed first: a half-deleted one is never taken for whole."""
    going = made_folder() / f".{made}.{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        (made_folder() / made).rename(going)
    shutil.rmtree(going, ignore_errors=True)


@contextmanager
def locked(made: str, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of an environment that is made or removed; gives False where another has it, and `wait` is not."""
    path = made_folder() / f"{made}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            # who held it may have deleted the file: then this is the lock of nothing
            if _is_at(descriptor, path):
                try:
                    yield True
                finally:
                    if not (made_folder() / made).is_dir():
                        path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def writing() -> Iterator[None]:
    """Says in one line that the folder of environments cannot be written to."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space" if error.errno == errno.ENOSPC else f"{_SETTING} names another folder"
        raise NeuropodError(f"{folder()}: environments cannot be kept there: {reason}; {hint}") from error
