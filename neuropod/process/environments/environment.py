"""An environment: a Python, what is installed for it, and how it is asked what it is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import NeuropodError
from .installed import installed_packages

__all__ = ["FRAMEWORKS", "Environment", "ask_python", "clean_variables", "find_python"]

FRAMEWORKS = ("numpy", "torch", "tensorflow", "onnxruntime", "jax")
"""What is shown of an environment."""

_OLDEST = (3, 6)
_ANSWER_S = 60
_QUESTION = """
import json, os, sys
folders = [p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")]
print(json.dumps([sys.executable, list(sys.version_info[:3]), sys.prefix, folders]))
"""


@dataclass(frozen=True)
class Environment:
    """A Python that workers may run in, by the name that the user gave it."""

    name: str
    python: str
    """The path of its interpreter; links are kept, by which a virtual environment is recognised."""
    version: str
    """Python's: "3.8.18"."""
    prefix: str
    folders: tuple[str, ...]
    """Where its packages are."""
    made: str | None = None
    """What it is called among those that perceptum made; None for one that the user made."""
    requirements: tuple[str, ...] = ()
    """What it was made of."""

    @property
    def is_there(self) -> bool:
        return os.access(self.python, os.X_OK)

    def packages(self) -> dict[str, str]:
        """Returns name -> version of all that is installed, as it is now."""
        return installed_packages(self.folders)

    def frameworks(self) -> dict[str, str]:
        """Returns name -> version of the `FRAMEWORKS` that it has."""
        packages = self.packages()
        return {name: packages[name] for name in FRAMEWORKS if name in packages}

    def to_json(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if key != "name"}, indent=1)

    @classmethod
    def from_json(cls, name: str, text: str) -> Environment:
        """Raises ValueError or TypeError for what `to_json` did not write."""
        plain: dict[str, Any] = json.loads(text)
        lists: dict[str, Any] = {key: tuple(map(str, plain.pop(key, ()))) for key in ("folders", "requirements")}
        read = cls(name=name, **plain, **lists)
        if not all(isinstance(text, str) for text in (read.python, read.prefix, read.made or "")):
            raise TypeError(f"the record of '{name}' holds something else than text")
        tuple(map(int, read.version.split(".")))
        return read


def ask_python(name: str, python: str) -> Environment:
    """Starts an interpreter once and returns what it is; raises NeuropodError where it cannot run a worker."""
    command = [python, "-E", "-c", _QUESTION]
    try:
        done = subprocess.run(
            command, env=clean_variables(), capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
        if done.returncode:
            raise ValueError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        _, version, prefix, folders = json.loads(done.stdout)
        version = tuple(map(int, version))
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise NeuropodError(f"{python}: is not a Python that runs: {reason}") from None
    shown = ".".join(map(str, version))
    if version < _OLDEST:
        raise NeuropodError(f"{python}: is Python {shown}; workers need {'.'.join(map(str, _OLDEST))} or newer")
    return Environment(name, python, shown, prefix, tuple(folders))


def find_python(where: str | os.PathLike[str]) -> str:
    """Returns the path of an interpreter: of this file, or of the virtual environment in this folder."""
    path = Path(os.path.abspath(where))
    if not path.is_dir():
        if not path.is_file():
            raise NeuropodError(f"{path}: is neither a Python interpreter nor the folder of a virtual environment")
        return str(path)
    for python in (path / "bin" / "python", path / "bin" / "python3"):
        if python.is_file():
            return str(python)
    raise NeuropodError(f"{path}: has no bin/python; name a Python interpreter, or the folder of a virtual environment")


def clean_variables(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the variables of this process, without those that are for its own Python."""
    given = os.environ if variables is None else variables
    kept = {name: value for name, value in given.items() if not name.startswith("PYTHON")}
    for name in ("VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PIP_PREFIX", "PIP_TARGET", "PIP_USER"):
        kept.pop(name, None)
    return kept
