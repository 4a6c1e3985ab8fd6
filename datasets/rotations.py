"""Poses and calibrations in columns (qw qx qy qz tx_m ty_m tz_m), checked and as matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord
from perceptum.inputs.poses import rigid, rotation_from_quaternion

from .widened import widened

__all__ = ["check_finite", "quaternions", "rotations", "transforms", "translations"]

Matrix = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

_FARTHEST_M = 1e9


def check_finite(path: Path, columns: Columns) -> None:
    """Raises BrokenRecord for a number that is NaN, infinite or beyond 1e9."""
    for name, column in columns.items():
        bad = ~(np.abs(widened(column)) <= _FARTHEST_M)
        if bad.any():
            row = int(np.argmax(bad))
            raise BrokenRecord(f"{path}: {name} in row {row} is {column[row]}, wanted a finite number within 1e9")


def quaternions(path: Path, columns: Columns) -> Matrix:
    """Returns (n, 4) w x y z; raises BrokenRecord where one is not of length 1 within 1 %."""
    wxyz = np.stack([widened(columns[name]) for name in ("qw", "qx", "qy", "qz")], axis=1)
    bad = ~(np.abs(np.linalg.norm(wxyz, axis=1) - 1) < 0.01)
    if bad.any():
        row = int(np.argmax(bad))
        raise BrokenRecord(f"{path}: row {row} has the quaternion {wxyz[row].tolist()}, wanted one of length 1")
    return wxyz


def rotations(path: Path, columns: Columns) -> Matrix:
    """Returns (n, 3, 3)."""
    return rotation_from_quaternion(quaternions(path, columns))


def translations(columns: Columns) -> Matrix:
    """Returns (n, 3) metres."""
    return np.stack([widened(columns[name]) for name in ("tx_m", "ty_m", "tz_m")], axis=1)


def transforms(path: Path, columns: Columns) -> Matrix:
    """Returns (n, 4, 4) rigid float64."""
    return rigid(rotations(path, columns), translations(columns))
