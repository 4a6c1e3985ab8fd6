"""Poses and calibrations in columns (qw qx qy qz tx_m ty_m tz_m), checked and as matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Matrix, Poses
from perceptum.inputs.poses import rigid, rotation_from_quaternion

from .widened import widened

__all__ = ["check_finite", "poses_of_columns", "quaternions", "rotations", "transforms", "translations"]

Columns = Mapping[str, NDArray[Any]]

_FARTHEST_M = 1e9


def check_finite(path: Path, columns: Columns) -> None:
    """Raises BrokenRecord for a number that is NaN, infinite or beyond 1e9."""
    for name, column in columns.items():
        bad = ~(np.abs(widened(column)) <= _FARTHEST_M)
        if bad.any():
            row = int(np.argmax(bad))
            raise BrokenRecord(f"{path}: {name} in row {row} is {column[row]}, wanted a finite number within 1e9")


def poses_of_columns(path: Path, times_ns: NDArray[np.int64], columns: Columns) -> Poses:
    """Returns the poses of the rows; one that is not a pose leaves a gap. Raises BrokenRecord where none is."""
    wxyz, place = _wxyz(columns), translations(columns)
    bad = _not_unit(wxyz) | ~(np.abs(place) <= _FARTHEST_M).all(axis=1)
    broken = {
        row: f"{path}: row {row} has the quaternion {wxyz[row].tolist()} and translation {place[row].tolist()}, "
        "wanted length 1 and finite metres within 1e9"
        for row in np.flatnonzero(bad).tolist()
    }
    return Poses.leaving_gaps(str(path), times_ns, wxyz, place, broken)


def _wxyz(columns: Columns) -> Matrix:
    return np.stack([widened(columns[name]) for name in ("qw", "qx", "qy", "qz")], axis=1)


def _not_unit(wxyz: Matrix) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(~(np.abs(np.linalg.norm(wxyz, axis=1) - 1) < 0.01))


def quaternions(path: Path, columns: Columns) -> Matrix:
    """Returns (n, 4) w x y z; raises BrokenRecord where one is not of length 1 within 1 %."""
    wxyz = _wxyz(columns)
    bad = _not_unit(wxyz)
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
