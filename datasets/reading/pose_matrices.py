"""Poses that a log stores as matrices, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.inputs import LogError, Poses
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["poses_of", "rows_or_nan"]

_ORTHONORMAL_WITHIN = 1e-3
_FARTHEST_M = 1e9


def poses_of(
    path: Path,
    times_ns: NDArray[np.int64],
    world_from_ego: NDArray[np.float64],
    broken: Mapping[int, LogError | str] | None = None,
    files: Sequence[Path] | None = None,
) -> Poses:
    """Returns the poses of (n, 4, 4) matrices, each by the rotation nearest to what is stored in its few digits.

    A matrix that is not a pose, a time out of order, and each row of `broken` leave a gap, in the name of `path`, or of
    the row's own file where there are `files`. Raises BrokenRecord where none can be used.
    """
    why = {row: str(error) for row, error in (broken or {}).items()}
    for row in np.flatnonzero(~_are_rigid(world_from_ego)).tolist():
        entry = f"{path}: pose {row}" if files is None else f"{files[row]}"
        why.setdefault(row, f"{entry} is not a pose; wanted a rotation (orthonormal, right-handed) within 1e9 m")
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (len(times_ns), 1))
    for row in range(len(times_ns)):
        if row not in why:
            rotations[row] = quaternion_from_rotation(world_from_ego[row, :3, :3])
    translations = np.ascontiguousarray(world_from_ego[:, :3, 3])
    return Poses.leaving_gaps(str(path), times_ns, rotations, translations, why)


def rows_or_nan(count: int, found: Mapping[int, ArrayLike], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns (count, *shape): what was found of each row, NaN in the others."""
    rows = np.full((count, *shape), np.nan)
    for row, values in found.items():
        rows[row] = values
    return rows


def _are_rigid(transforms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns (n,) bool."""
    rotation, place = transforms[:, :3, :3], transforms[:, :3, 3]
    turns, near = (np.abs(rotation) < 2).all(axis=(1, 2)), (np.abs(place) <= _FARTHEST_M).all(axis=1)
    bounded = np.asarray(turns & near)
    # huge numbers would overflow in the products
    safe = np.where(bounded[:, None, None], rotation, 0.0)
    away = np.abs(safe @ safe.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    return np.asarray(bounded & (away < _ORTHONORMAL_WITHIN) & (np.linalg.det(safe) > 0))
