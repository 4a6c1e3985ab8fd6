"""Making an environment: once for each set of requirements, whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import NeuropodError
from ...package.requirements import last_error
from .environment import Environment, ask_python, clean_variables, find_python
from .registry import check_new, find, locked, made_folder, register, registered, writing

__all__ = ["create", "key_of", "wanted_of"]

# the pip that comes with older ones does not know the wheels of today
_OLD_PIP = (3, 8)
# pip's option --python
_TAKES_PYTHON = (22, 3)


def create(name: str, requirements: Sequence[str], python: str | os.PathLike[str] | None = None) -> Environment:
    """Makes an environment of these requirements, as pip takes them, and registers it under a new name.

    python: the interpreter it is made with; None is this one. An environment that was made of the same requirements is
    not made again: it gets one more name. Raises NeuropodError with what pip, or uv where it is installed, said last.
    """
    wanted = wanted_of(name, requirements)
    base = ask_python(name, find_python(sys.executable if python is None else python))
    made = key_of(wanted, base.version)
    if _is_made(name, made):
        return find(name)
    check_new(name)
    with writing(), locked(made):
        if _is_made(name, made):  # meanwhile, by another process
            return find(name)
        _sweep(made)
        place = made_folder() / made
        if not place.is_dir():
            _make(made, place, base, wanted)
        environment = replace(ask_python(name, str(place / "bin" / "python")), made=made, requirements=wanted)
        register(environment)
    return environment


def _is_made(name: str, made: str) -> bool:
    return any(other.name == name and other.made == made for other in registered())


def wanted_of(name: str, requirements: Sequence[str]) -> tuple[str, ...]:
    """Returns the requirements in order, each once; raises NeuropodError where there are none."""
    wanted = tuple(sorted({" ".join(text.split()) for text in requirements if text.strip()}))
    if not wanted:
        raise NeuropodError(f"environment '{name}': nothing is required; name what it is to have, such as numpy")
    dashed = next((text for text in wanted if text.startswith("-")), None)
    if dashed is not None:
        raise NeuropodError(f"environment '{name}': '{dashed}' is an option, not a requirement")
    return wanted


def key_of(requirements: Sequence[str], version: str) -> str:
    """Returns the name of the folder of an environment of these requirements, for such a Python."""
    plain = [list(requirements), version.rpartition(".")[0], platform.machine(), sys.platform]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:20]


def _make(made: str, place: Path, base: Environment, requirements: Sequence[str]) -> None:
    work = made_folder() / f".{made}.{uuid.uuid4().hex}"
    try:
        for command in _commands(base, work, requirements):
            _run(command, base)
        _point_scripts(work, place)
        work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _commands(base: Environment, work: Path, requirements: Sequence[str]) -> list[list[str]]:
    python = str(work / "bin" / "python")
    uv = shutil.which("uv")
    if uv is not None:
        return [
            [uv, "venv", "--quiet", "--python", base.python, str(work)],
            [uv, "pip", "install", "--quiet", "--python", python, *requirements],
        ]
    # byte code is written for what is imported: of sympy, which onnxruntime asks for, that is nothing
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    if _own_pip_serves(base):
        own = [sys.executable, "-m", "pip", "--python", python, "install", *options, *requirements]
        return [[base.python, "-E", "-m", "venv", "--without-pip", str(work)], own]
    install = [python, "-m", "pip", "install", *options]
    newer = [[*install, "--upgrade", "pip"]] if _numbers(base.version)[:2] < _OLD_PIP else []
    return [[base.python, "-E", "-m", "venv", str(work)], *newer, [*install, *requirements]]


def _own_pip_serves(base: Environment) -> bool:
    """Returns whether the pip of this Python can install for that one; else each environment gets one, in seconds."""
    try:
        pip = _numbers(importlib.metadata.version("pip"))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return pip >= _TAKES_PYTHON and _numbers(base.version)[:2] == sys.version_info[:2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:3]))


def _run(command: Sequence[str], base: Environment) -> None:
    try:
        done = subprocess.run(
            command, env=clean_variables(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NeuropodError(f"{command[0]}: cannot be started: {error.strerror}") from None
    if done.returncode:
        raise NeuropodError(
            f"no environment was made: {last_error(done.stderr or done.stdout, done.returncode)} "
            f"(Python {base.version}; --python names another)"
        )


def _point_scripts(work: Path, place: Path) -> None:
    """Scripts name the Python that runs them, by its whole path: that is another once the folder is renamed."""
    for script in (work / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        if os.fsencode(work) in text and b"\0" not in text:
            script.write_bytes(text.replace(os.fsencode(work), os.fsencode(place)))


def _sweep(held: str) -> None:
    """Deletes what processes that were killed have left. Each holds its lock while it lives; `held` is ours."""
    for left in made_folder().glob(".*.*"):
        made = left.name.split(".")[1]
        if made == held:
            shutil.rmtree(left, ignore_errors=True)
            continue
        with contextlib.suppress(OSError), locked(made, wait=False) as mine:
            if mine:
                shutil.rmtree(left, ignore_errors=True)
