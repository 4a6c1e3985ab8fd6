"""From requirements to exact versions."""

from __future__ import annotations

import os
from pathlib import Path

from ..package.requirements import compile_lock

__all__ = ["compile_requirements"]


def compile_requirements(requirements: str | os.PathLike[str], lockfile: str | os.PathLike[str]) -> None:
    """Writes the lock file of a file of requirements: exact pins are kept, pip-tools resolves all else."""
    text = Path(requirements).read_text(encoding="utf-8")
    Path(lockfile).write_text(compile_lock(text), encoding="utf-8")
