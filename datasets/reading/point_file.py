"""Point files as KITTI began them: little-endian float32, so many for each point, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LidarSweep

from .files import read_array

__all__ = ["or_list", "read_points", "velodyne_sweep"]

_NUMBER_BYTES = 4
_COUNTS = range(3, 11)
"""How many numbers a point has in the files that people publish: from x y z alone to radar points."""
_VELODYNE_COLUMNS = ("x", "y", "z", "reflectance")


def read_points(path: Path | str, columns: Sequence[str], what: str) -> NDArray[np.float32]:
    """Returns (len(columns), N) float32, views of the file's bytes; an empty file has no points.

    Raises MissingRecord, where `what` says what is then missing, or BrokenRecord for a size that does not fit, which
    says what numbers a point the size does fit.
    """
    encoded = read_array(path, what)
    point_bytes = _NUMBER_BYTES * len(columns)
    if len(encoded) % point_bytes:
        fits = [count for count in _COUNTS if len(encoded) % (_NUMBER_BYTES * count) == 0]
        said = f"{path}: {len(encoded)} bytes is not a multiple of {point_bytes} ({len(columns)} float32 per point)"
        if not fits:
            raise BrokenRecord(f"{said}; the file is cut short")
        raise BrokenRecord(
            f"{said} but of {or_list(_NUMBER_BYTES * count for count in fits)} ({or_list(fits)} float32 per point); "
            f"its points seem to have other columns, wanted {' '.join(columns)}"
        )
    return encoded.view("<f4").astype(np.float32, copy=False).reshape(-1, len(columns)).T


def velodyne_sweep(path: Path, sensor: str, time_ns: int, compensated: bool = True) -> LidarSweep:
    """Returns a velodyne's file as a sweep; its frame is the ego frame, and no point has a time of its own."""
    x, y, z, reflectance = read_points(path, _VELODYNE_COLUMNS, "the frame has no points")
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


def or_list(numbers: Iterable[int]) -> str:
    """Returns "3", "3 or 5", "3, 5 or 6"."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last
