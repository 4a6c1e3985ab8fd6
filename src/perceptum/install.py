"""What to type to get what is missing. It is on the ground floor: every floor may import it, and it imports nothing."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

__all__ = ["install_command"]


def install_command(extra: str = "") -> str:
    """Returns the command that brings an extra's packages, or without one those of the core, to where this code runs.

    Code of a checkout is installed from there, whatever folder one is in, and stays editable; of an installed copy pip
    knows the extras, whether it came from an index, a wheel or a folder.
    """
    wanted = f"[{extra}]" if extra else ""
    root = _checkout()
    if root is None:
        return f"pip install {quote(f'perceptum{wanted}')}"
    return f"pip install -e {quote(f'{root}{wanted}')}"


def _checkout() -> Path | None:
    """The folder of pyproject.toml, where this file lies in a checkout's src/perceptum and not among the packages."""
    import tomllib

    here = Path(__file__).resolve().parent
    root = here.parents[1]
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return root if here == root / "src" / "perceptum" and project["name"] == "perceptum" else None
    except (OSError, KeyError, TypeError, ValueError):
        return None
