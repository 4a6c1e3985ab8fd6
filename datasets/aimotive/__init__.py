"""aiMotive: recognises one sequence and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from perceptum.inputs import Source

__all__ = ["LOOKS_LIKE", "open_source", "recognises"]

LOOKS_LIKE = "one sequence with dynamic/raw-revolutions/frame_NNNNNNN.laz and sensor/"


def recognises(path: Path) -> bool:
    """Whether `path` is one sequence."""
    return os.path.isdir(path / "dynamic" / "raw-revolutions") and os.path.isdir(path / "sensor" / "calibration")


def open_source(path: Path) -> Source:
    """Opens the folder of one sequence."""
    from .source import AiMotive

    return AiMotive(path)
