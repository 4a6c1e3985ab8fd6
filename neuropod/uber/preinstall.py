"""Uber's `preinstall_deps`: installs a code package's requirements before the package comes.

~/.neuropod/pythonpackages/py311/NAME==VERSION            one requirement, where Uber's library keeps it
~/.neuropod/pythonpackages/py311/NAME==VERSION.complete   it is whole
~/.neuropod/pythonpackages/py311/NAME==VERSION.lock       held by who installs it
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ..errors import NeuropodError
from ..frameworks.versions import check_range, satisfies
from ..package import requirements as lock_file

__all__ = ["preinstall_deps", "preinstalled"]

# where pip puts packages below a prefix; the second is Debian's
_SITES = ("lib/python3*/site-packages", "local/lib/python3*/dist-packages")


def preinstall_deps(backend_version: str, requirements: str) -> None:
    """Installs the requirements, each into a folder of its own, for code packages that lock them.

    backend_version: the range of Pythons that it is for, as packages write it; it must be this one. They are used by
    workers of this Python (`isolate=True`). Raises NeuropodError with what pip said last.
    """
    check_range(backend_version)
    if not satisfies(platform.python_version(), backend_version):
        raise NeuropodError(
            f"preinstall_deps: this is Python {platform.python_version()}, not {backend_version}; "
            "run it with that Python, or make an environment: perceptum env create NAME --requirement ..."
        )
    for name, version in lock_file.read_pins(lock_file.compile_lock(requirements)):
        try:
            _install(_folder() / f"{name}=={version}", f"{name}=={version}")
        except OSError as error:
            raise NeuropodError(
                f"preinstall_deps: {_folder()} cannot be written to: {error.strerror or error}"
            ) from error


def preinstalled(pins: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Returns (name, version) -> the folder to put on sys.path, of those requirements that are installed."""
    found = {}
    for name, version in pins:
        folder = _folder() / f"{name}=={version}"
        if _complete(folder).exists():
            sites = [site for pattern in _SITES for site in folder.glob(pattern)]
            if sites:
                found[name, version] = str(sites[0])
    return found


def _folder() -> Path:
    return Path.home() / ".neuropod" / "pythonpackages" / f"py{sys.version_info.major}{sys.version_info.minor}"


def _complete(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.complete")


def _install(folder: Path, pin: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _complete(folder).exists():
            return
        # what a killed one has left
        shutil.rmtree(folder, ignore_errors=True)
        _run_pip(folder, pin)
        _complete(folder).touch()


def _run_pip(folder: Path, pin: str) -> None:
    # --ignore-installed: it is wanted here too where this Python has it
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--ignore-installed"]
    command = [sys.executable, "-m", "pip", "install", *options, "--prefix", str(folder), pin]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = lock_file.last_error(done.stderr, done.returncode)
        raise NeuropodError(f"preinstall_deps: {pin} was not installed: {said}")
