"""Range images of Waymo v2 to points: two passes over the pixels, count and fill. Imports numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["azimuths", "count", "fill", "inclinations"]

Matrix = NDArray[np.float64]


def inclinations(rows: int, lowest_rad: float, highest_rad: float, table: Matrix | None) -> Matrix:
    """Returns (rows,) of the image's rows, the highest beam first: the table reversed, or evenly spread."""
    if table is not None:
        return np.ascontiguousarray(table[::-1])
    step = (np.arange(rows) + 0.5) / rows
    return np.ascontiguousarray((lowest_rad + step * (highest_rad - lowest_rad))[::-1])


def azimuths(columns: int, ego_from_lidar: Matrix) -> Matrix:
    """Returns (columns,) in the lidar's frame, falling; the middle column looks ahead of the car."""
    turned = math.atan2(ego_from_lidar[1, 0], ego_from_lidar[0, 0])
    return np.asarray(((columns - np.arange(columns) - 0.5) / columns * 2 - 1) * np.pi - turned)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def count(image: Any, drop_zones: bool) -> int:
    """Returns how many pixels of (H, W, 4) are returns: range > 0, and, with `drop_zones`, in no no-label zone."""
    n = 0
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            if image[r, c, 0] > 0 and not (drop_zones and image[r, c, 3] > 0):
                n += 1
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def fill(
    image: Any,
    drop_zones: bool,
    inclination: Any,
    azimuth: Any,
    ego_from_lidar: Any,
    poses: Any,
    world_from_ego: Any,
    start: int,
    columns: Any,
    ring: Any,
) -> None:
    """Writes x y z (ego frame), intensity and elongation of the returns, row by row, into columns (5, N) from `start`.

    `poses` is (H, W, 6) float32, roll pitch yaw x y z of the world from the ego at each pixel's moment, which moves the
    point to the ego of `world_from_ego`; (0, 0, 6): there is none, the points stand where they were measured.
    """
    height, width = image.shape[0], image.shape[1]
    moved = poses.shape[0] > 0
    seen = np.full((width, 6), np.nan, dtype=np.float32)
    m = np.zeros((width, 12))
    cos_a, sin_a = np.cos(azimuth), np.sin(azimuth)
    e = ego_from_lidar
    n = start
    for r in range(height):
        cos_i, sin_i = math.cos(inclination[r]), math.sin(inclination[r])
        for c in range(width):
            distance = np.float64(image[r, c, 0])
            if not distance > 0 or (drop_zones and image[r, c, 3] > 0):
                continue
            lx, ly, lz = distance * cos_i * cos_a[c], distance * cos_i * sin_a[c], distance * sin_i
            x = e[0, 0] * lx + e[0, 1] * ly + e[0, 2] * lz + e[0, 3]
            y = e[1, 0] * lx + e[1, 1] * ly + e[1, 2] * lz + e[1, 3]
            z = e[2, 0] * lx + e[2, 1] * ly + e[2, 2] * lz + e[2, 3]
            if moved:
                # compared here, and by index: a call or a view of a row for each pixel made a sweep 27 ms, not 3
                same = True
                for k in range(6):
                    same = same and poses[r, c, k] == seen[c, k]
                if not same:
                    _motion(poses, r, c, seen, world_from_ego, m)
                x, y, z = (
                    m[c, 0] * x + m[c, 1] * y + m[c, 2] * z + m[c, 3],
                    m[c, 4] * x + m[c, 5] * y + m[c, 6] * z + m[c, 7],
                    m[c, 8] * x + m[c, 9] * y + m[c, 10] * z + m[c, 11],
                )
            columns[0, n], columns[1, n], columns[2, n] = x, y, z
            columns[3, n], columns[4, n] = image[r, c, 1], image[r, c, 2]
            ring[n] = r
            n += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _motion(poses: Any, r: int, c: int, seen: Any, world_from_ego: Any, out: Any) -> None:
    """Writes out[c], the frame's ego from the pixel's, (12,) row by row, and notes the pose in seen[c]."""
    for k in range(6):
        seen[c, k] = poses[r, c, k]
    cr, sr = math.cos(np.float64(poses[r, c, 0])), math.sin(np.float64(poses[r, c, 0]))
    cp, sp = math.cos(np.float64(poses[r, c, 1])), math.sin(np.float64(poses[r, c, 1]))
    cy, sy = math.cos(np.float64(poses[r, c, 2])), math.sin(np.float64(poses[r, c, 2]))
    w = world_from_ego
    # near 15 km from the origin: subtracted in float64 before anything else
    dx, dy, dz = poses[r, c, 3] - w[0, 3], poses[r, c, 4] - w[1, 3], poses[r, c, 5] - w[2, 3]
    for i in range(3):
        x, y, z = w[0, i], w[1, i], w[2, i]
        out[c, 4 * i] = x * cy * cp + y * sy * cp - z * sp
        out[c, 4 * i + 1] = x * (cy * sp * sr - sy * cr) + y * (sy * sp * sr + cy * cr) + z * cp * sr
        out[c, 4 * i + 2] = x * (cy * sp * cr + sy * sr) + y * (sy * sp * cr - cy * sr) + z * cp * cr
        out[c, 4 * i + 3] = x * dx + y * dy + z * dz
