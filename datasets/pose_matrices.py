"""Poses that a log stores as matrices, checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, Poses
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["poses_of"]

_ORTHONORMAL_WITHIN = 1e-3
_FARTHEST_M = 1e9


def poses_of(path: Path, times_ns: NDArray[np.int64], world_from_ego: NDArray[np.float64]) -> Poses:
    """Returns the poses of (n, 4, 4) matrices, each by the rotation nearest to what is stored in its few digits.

    Raises BrokenRecord, in the name of `path`, for a matrix that is no pose and for times that do not increase.
    """
    bad = ~_are_rigid(world_from_ego)
    if bad.any():
        at = int(np.argmax(bad))
        raise BrokenRecord(
            f"{path}: pose {at} is no pose; wanted a rotation (orthonormal, right-handed) and a place within 1e9 m"
        )
    rotations = np.array([quaternion_from_rotation(pose[:3, :3]) for pose in world_from_ego]).reshape(-1, 4)
    try:
        return Poses(times_ns, rotations, np.ascontiguousarray(world_from_ego[:, :3, 3]))
    except LogError as error:
        raise BrokenRecord(f"{path}: {error}") from error


def _are_rigid(transforms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns (n,) bool."""
    rotation, place = transforms[:, :3, :3], transforms[:, :3, 3]
    turns, near = (np.abs(rotation) < 2).all(axis=(1, 2)), (np.abs(place) <= _FARTHEST_M).all(axis=1)
    bounded = np.asarray(turns & near)
    # huge numbers would overflow in the products
    safe = np.where(bounded[:, None, None], rotation, 0.0)
    away = np.abs(safe @ safe.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    return np.asarray(bounded & (away < _ORTHONORMAL_WITHIN) & (np.linalg.det(safe) > 0))
