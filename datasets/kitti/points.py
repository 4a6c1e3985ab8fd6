"""A velodyne's point file as a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perceptum.inputs import LidarSweep

from ..point_file import read_points

__all__ = ["velodyne_sweep"]

_COLUMNS = ("x", "y", "z", "reflectance")


def velodyne_sweep(path: Path, sensor: str, time_ns: int, compensated: bool = True) -> LidarSweep:
    """Returns a velodyne's file as a sweep; its frame is the ego frame, and no point has a time of its own."""
    x, y, z, reflectance = read_points(path, _COLUMNS, "the frame has no points")
    return LidarSweep(
        sensor=sensor,
        time_ns=time_ns,
        ego_from_sensor=np.eye(4),
        x=x,
        y=y,
        z=z,
        intensity=reflectance,
        compensated_to_ns=time_ns if compensated else None,
        source=str(path),
    )
