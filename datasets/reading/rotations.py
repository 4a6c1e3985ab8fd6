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

__all__ = ["not_finite", "not_turned", "poses_of_columns", "rotations", "transforms_or_errors"]

Columns = Mapping[str, NDArray[Any]]

_FARTHEST_M = 1e9


def not_finite(columns: Columns) -> dict[int, str]:
    """Returns row -> what is wrong, for rows that hold a number that is NaN, infinite or beyond 1e9."""
    found: dict[int, str] = {}
    for name, column in columns.items():
        for row in np.flatnonzero(~(np.abs(widened(column)) <= _FARTHEST_M)).tolist():
            found.setdefault(row, f"{name} in row {row} is {column[row]}, wanted a finite number within 1e9")
    return found


def poses_of_columns(path: Path, times_ns: NDArray[np.int64], columns: Columns) -> Poses:
    """Returns the poses of the rows; one that is not a pose leaves a gap. Raises BrokenRecord where none is."""
    wxyz, place = _wxyz(columns), _translations(columns)
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


def not_turned(path: Path, columns: Columns) -> dict[int, str]:
    """Returns row -> what is wrong, with the file's name, for rows whose quaternion is not of length 1 within 1 %."""
    wxyz = _wxyz(columns)
    return {
        row: f"{path}: row {row} has the quaternion {wxyz[row].tolist()}, wanted one of length 1"
        for row in np.flatnonzero(_not_unit(wxyz)).tolist()
    }


def rotations(path: Path, columns: Columns) -> Matrix:
    """Returns (n, 3, 3); raises BrokenRecord where a quaternion is not of length 1 within 1 %."""
    broken = not_turned(path, columns)
    if broken:
        raise BrokenRecord(broken[min(broken)])
    return rotation_from_quaternion(_wxyz(columns))


def _translations(columns: Columns) -> Matrix:
    """Returns (n, 3) metres."""
    return np.stack([widened(columns[name]) for name in ("tx_m", "ty_m", "tz_m")], axis=1)


def transforms_or_errors(path: Path, names: NDArray[np.str_], columns: Columns) -> dict[str, Matrix | BrokenRecord]:
    """Returns name -> (4, 4) rigid float64 of its row, or what is wrong with the row."""
    broken = {**not_turned(path, columns), **{row: f"{path}: {why}" for row, why in not_finite(columns).items()}}
    wxyz, place = _wxyz(columns), _translations(columns)
    return {
        str(name): BrokenRecord(broken[row])
        if row in broken
        else np.asarray(rigid(rotation_from_quaternion(wxyz[row]), place[row]))
        for row, name in enumerate(names.tolist())
    }
