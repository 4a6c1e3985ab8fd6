"""Argoverse 2's sensor logs: recognises one log and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptum.inputs import Source

from ..reading.files import count_numbered

__all__ = ["LOOKS_LIKE", "count_frames", "open_source", "recognises"]

LOOKS_LIKE = "one log with sensors/lidar/NS.feather and city_SE3_egovehicle.feather"


def recognises(path: Path) -> bool:
    """Whether `path` is one log: sensors, and calibration or poses beside them."""
    sensors = any(os.path.isdir(path / "sensors" / kind) for kind in ("lidar", "cameras"))
    return sensors and any(os.path.exists(path / name) for name in ("city_SE3_egovehicle.feather", "calibration"))


def count_frames(path: Path, options: Mapping[str, Any]) -> int | None:
    """Returns how many sweeps lie in a log: one folder listed, where opening it lists ten; None where it has none."""
    return count_numbered(path / "sensors" / "lidar", ".feather") or None


def open_source(path: Path) -> Source:
    """Opens the folder of one log."""
    from .source import Argoverse2

    return Argoverse2(path)
