"""An environment for one package: what its lock, its platform and its range of versions ask for."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from ...errors import NeuropodError
from ...frameworks.versions import satisfies
from ...package.package import Package, open_package
from ...package.requirements import LOCK
from .environment import Environment, ask_python
from .making import create
from .need import Need
from .registry import registered

__all__ = ["asked_for", "create_for", "need_of"]

_NEWEST_MINOR = 20


def need_of(package: Package) -> Need:
    """Returns what a package needs of the Python that runs it."""
    lock = package.read(LOCK).decode("utf-8", "replace") if package.has(LOCK) else None
    return Need.of(package.config, lock)


def create_for(name: str, path: str | os.PathLike[str], python: str | os.PathLike[str] | None = None) -> Environment:
    """Makes an environment for a package, which is read and not run, and registers it; as `create` otherwise.

    python: the interpreter it is made with; None is this one, or for a package that names Pythons one in that range.
    """
    return create(name, *asked_for(path, python))


def asked_for(
    path: str | os.PathLike[str], python: str | os.PathLike[str] | None = None
) -> tuple[list[str], str | os.PathLike[str] | None]:
    """Returns the requirements of a package's environment, and the Python that it is made with."""
    package = open_package(path)
    try:
        need = need_of(package)
    except NeuropodError as error:
        raise NeuropodError(f"{path}: {error}") from error.__cause__
    finally:
        package.files.close()
    if python is None and need.what == "Python":
        python = _python_in(need.versions, path)
    return list(need.requirements()), python


def _python_in(versions: str, path: str | os.PathLike[str]) -> str:
    """Returns an interpreter in a range: this one, one on PATH, or that of an environment."""
    if satisfies(platform.python_version(), versions):
        return sys.executable
    named = (shutil.which(f"python3.{minor}") for minor in range(_NEWEST_MINOR, 5, -1))
    for python in (*filter(None, named), *(environment.python for environment in registered())):
        try:
            if satisfies(ask_python("", python).version, versions):
                return python
        except NeuropodError:  # pyenv has such names for Pythons that are not there
            continue
    raise NeuropodError(f"{path}: needs Python '{versions}', and there is none on PATH; --python names one")
