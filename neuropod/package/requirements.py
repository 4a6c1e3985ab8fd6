"""requirements.lock: the exact Python packages that a code package was made with."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import NeuropodError

__all__ = ["LOCK", "check_installed", "compile_lock", "is_pinned", "last_error", "read_pins"]

LOCK = "0/requirements.lock"

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)")
_MOST_CHARACTERS = 400
_log = logging.getLogger(__name__)


def check_installed(lock: str, package: str) -> None:
    """Raises NeuropodError where a required package is not installed; another version of it is used with a warning."""
    # late: most packages have no lock
    import importlib.metadata

    for name, version in read_pins(lock):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise NeuropodError(
                f"its code needs {name} {version}, which is not installed; pip install '{name}=={version}'"
            ) from None
        if not is_pinned(found, version):
            _log.warning("%s: made with %s %s, runs with %s", package, name, version, found)


def is_pinned(found: str, version: str) -> bool:
    """Returns whether a version is the pinned one; as to pip, 2.1.0+cpu is 2.1.0, unless the pin names a build too."""
    return found == version or ("+" not in version and found.partition("+")[0] == version)


def compile_lock(text: str) -> str:
    """Returns the lock file of requirements as a user writes them: exact pins are kept, pip-tools resolves all else."""
    lines = _lines(text)
    if all(_PIN.fullmatch(line) for line in lines):
        return "".join(f"{line.lower()}\n" for line in lines)
    return _resolve(text)


def last_error(stderr: str, status: int) -> str:
    """Returns on one line the last error that pip or uv gave, with what follows it, or else what it wrote last."""
    lines = [" ".join(line.split()) for line in stderr.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.lower().startswith("error:")]
    text = (
        " ".join(lines[errors[-1] :])[len("error:") :].strip() if errors else (lines or [f"exit status {status}"])[-1]
    )
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def read_pins(lock: str) -> list[tuple[str, str]]:
    """Returns the (name, version) that a lock file lists; raises NeuropodError for a line that pins nothing."""
    pins = []
    for line in _lines(lock):
        if line.startswith("-"):  # pip-compile may write options and hashes, which say nothing of a package
            continue
        pin = _PIN.fullmatch(line)
        if pin is None:
            raise NeuropodError(f"{LOCK}: '{line}' is not of the form name==version")
        pins.append((pin[1].lower(), pin[2]))
    return pins


def _lines(text: str) -> list[str]:
    stripped = (line.partition("#")[0].strip().removesuffix("\\").rstrip() for line in text.splitlines())
    return [line for line in stripped if line]


def _resolve(text: str) -> str:
    flags = ["--no-header", "--no-annotate", "--allow-unsafe", "--no-emit-index-url", "--no-emit-trusted-host", "-q"]
    with tempfile.TemporaryDirectory() as folder:
        source, lock = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        source.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "piptools", "compile", *flags, "--output-file", str(lock), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = last_error(done.stderr, done.returncode)
            raise NeuropodError(
                f"requirements cannot be resolved ({reason}); write exact pins (name==version) or pip install pip-tools"
            )
        return lock.read_text(encoding="utf-8").lower()
