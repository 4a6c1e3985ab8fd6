"""What making an environment would do, said before anything is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from .environment import ask_python, clean_variables, find_python
from .making import key_of, wanted_of
from .registry import made_folder

__all__ = ["Ahead", "look_ahead"]

_PYPI = "https://pypi.org/simple"
_SETTING = re.compile(r"""^[\w:]*\.(?:install\.)?([\w-]+)=['"]?(.*?)['"]?$""")
_LONGEST_S = 20.0


@dataclass(frozen=True)
class Ahead:
    """What `create` would do with the same arguments."""

    requirements: tuple[str, ...]
    """As pip takes them; what they need comes too."""
    python: str
    """The interpreter."""
    version: str
    program: str
    """"uv" or "pip"."""
    sources: tuple[str, ...]
    """Where it looks, as its settings say: addresses without passwords, and folders."""
    is_made: bool
    """Whether one of the same requirements is there: then nothing is downloaded."""

    def __str__(self) -> str:
        return (
            f"{', '.join(self.requirements)}, and what these need, for Python {self.version} ({self.python}), "
            f"by {self.program} from {', '.join(self.sources)}"
        )


def look_ahead(name: str, requirements: Sequence[str], python: str | os.PathLike[str] | None = None) -> Ahead:
    """Returns what `create` would do; makes and downloads nothing. Raises NeuropodError as that does."""
    wanted = wanted_of(name, requirements)
    base = ask_python(name, find_python(sys.executable if python is None else python))
    program = "pip" if shutil.which("uv") is None else "uv"
    sources = _of_pip() if program == "pip" else _of_uv(os.environ)
    is_made = (made_folder() / key_of(wanted, base.version)).is_dir()
    return Ahead(wanted, base.python, base.version, program, tuple(map(_without_password, sources)), is_made)


def _of_uv(variables: Mapping[str, str]) -> list[str]:
    first = variables.get("UV_DEFAULT_INDEX") or variables.get("UV_INDEX_URL") or _PYPI
    others = f"{variables.get('UV_INDEX', '')} {variables.get('UV_EXTRA_INDEX_URL', '')}".split()
    return [one.partition("=")[2] if re.match(r"[\w-]+=", one) else one for one in (first, *others)]


def _of_pip() -> list[str]:
    """Returns what pip's own settings say: its files and variables, in the order in which pip reads them."""
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            env=clean_variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return [_PYPI]
    said = {found[1]: found[2] for line in asked.stdout.splitlines() if (found := _SETTING.match(line))}
    links = said.get("find-links", "").replace("\\n", " ").split()
    if said.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return links or ["nowhere, for pip's settings say no-index"]
    others = said.get("extra-index-url", "").replace("\\n", " ").split()
    return [said.get("index-url") or _PYPI, *others, *links]


def _without_password(source: str) -> str:
    parts = urlsplit(source)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
