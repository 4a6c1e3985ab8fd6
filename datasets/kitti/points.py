"""Point files in KITTI's form: little-endian float32, so many per point, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LidarSweep

from ..files import read_array

__all__ = ["read_points", "velodyne_sweep"]


def read_points(path: Path, columns: int = 4) -> NDArray[np.float32]:
    """Returns (columns, N) float32, views of the file's bytes; of a velodyne x y z reflectance. Empty is no points."""
    encoded = read_array(path, "the frame has no points")
    point_bytes = 4 * columns
    if len(encoded) % point_bytes:
        raise BrokenRecord(
            f"{path}: {len(encoded)} bytes is not a multiple of {point_bytes} ({columns} float32 per point); "
            "the file is cut short"
        )
    return encoded.view("<f4").astype(np.float32, copy=False).reshape(-1, columns).T


def velodyne_sweep(path: Path, sensor: str, time_ns: int, compensated: bool = True) -> LidarSweep:
    """Returns a velodyne's file as a sweep; its frame is the ego frame, and no point has a time of its own."""
    x, y, z, reflectance = read_points(path)
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
