"""py123d: recognises one of its logs and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from perceptum.inputs import Source

__all__ = ["LOOKS_LIKE", "open_source", "recognises"]

LOOKS_LIKE = "one log of py123d with sync.arrow and ego_state_se3.arrow"


def recognises(path: Path) -> bool:
    """Whether `path` is the folder of one log."""
    return all(os.path.isfile(path / name) for name in ("sync.arrow", "ego_state_se3.arrow"))


def open_source(path: Path) -> Source:
    """Opens the folder of one log."""
    from .source import Py123dLog

    return Py123dLog(path)
