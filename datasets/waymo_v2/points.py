"""Range images of Waymo v2 to points: two passes over the pixels, count and fill. Imports numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs import Matrix
from perceptum.inputs.kernel import kernel

__all__ = ["azimuths", "count", "fill", "inclinations"]


_SLOTS, _TRIED, _SHIFT = 1 << 13, 4, np.uint64(64 - 13)
_ONE, _NONE, _MIX = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0x9E3779B97F4A7C15)


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


@kernel
def count(image: Any, drop_zones: bool) -> int:
    """Returns how many pixels of (H, W, 4) are returns: range > 0, and, with `drop_zones`, in no no-label zone."""
    n = 0
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            if image[r, c, 0] > 0 and not (drop_zones and image[r, c, 3] > 0):
                n += 1
    return n


@kernel
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
    image_column: Any,
) -> None:
    """Writes x y z (ego frame), intensity and elongation of the returns, row by row, into columns (5, N) from `start`.

    ring, image_column: (N,) uint16, the pixel's row and column.
    `poses` is (H, W, 6) float32, roll pitch yaw x y z of the world from the ego at each pixel's moment, which moves the
    point to the ego of `world_from_ego`; (0, 0, 6): there is none, the points stand where they were measured.
    """
    height, width = image.shape[0], image.shape[1]
    moved = poses.shape[0] > 0
    # the poses met so far, by their bits: many pixels share one, of the same column or not
    bits = poses.view(np.uint64)
    seen = np.full((_SLOTS + _TRIED + 1 if moved else 0, 3), _NONE)
    m = np.full((len(seen), 12), np.nan)
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
                # looked up here, and by index: a call or a view of a row for each pixel made a sweep 27 ms, not 3
                p, q, s = bits[r, c, 0], bits[r, c, 1], bits[r, c, 2]
                slot = ((p * _MIX ^ q) * _MIX ^ s) * _MIX >> _SHIFT
                last = slot + np.uint64(_TRIED)
                while slot < last and seen[slot, 0] != _NONE:
                    if seen[slot, 0] == p and seen[slot, 1] == q and seen[slot, 2] == s:
                        break
                    slot += _ONE
                if seen[slot, 0] != p or seen[slot, 1] != q or seen[slot, 2] != s:
                    seen[slot, 0], seen[slot, 1], seen[slot, 2] = p, q, s
                    _motion(poses[r, c], world_from_ego, m[slot])
                x, y, z = (
                    m[slot, 0] * x + m[slot, 1] * y + m[slot, 2] * z + m[slot, 3],
                    m[slot, 4] * x + m[slot, 5] * y + m[slot, 6] * z + m[slot, 7],
                    m[slot, 8] * x + m[slot, 9] * y + m[slot, 10] * z + m[slot, 11],
                )
            columns[0, n], columns[1, n], columns[2, n] = x, y, z
            columns[3, n], columns[4, n] = image[r, c, 1], image[r, c, 2]
            ring[n], image_column[n] = r, c
            n += 1


@kernel
def _motion(pose: Any, world_from_ego: Any, out: Any) -> None:
    """Writes the frame's ego from the pixel's, (12,) row by row, of its roll pitch yaw x y z."""
    cr, sr = math.cos(np.float64(pose[0])), math.sin(np.float64(pose[0]))
    cp, sp = math.cos(np.float64(pose[1])), math.sin(np.float64(pose[1]))
    cy, sy = math.cos(np.float64(pose[2])), math.sin(np.float64(pose[2]))
    w = world_from_ego
    # near 15 km from the origin: subtracted in float64 before anything else
    dx, dy, dz = pose[3] - w[0, 3], pose[4] - w[1, 3], pose[5] - w[2, 3]
    for i in range(3):
        x, y, z = w[0, i], w[1, i], w[2, i]
        out[4 * i] = x * cy * cp + y * sy * cp - z * sp
        out[4 * i + 1] = x * (cy * sp * sr - sy * cr) + y * (sy * sp * sr + cy * cr) + z * cp * sr
        out[4 * i + 2] = x * (cy * sp * cr + sy * sr) + y * (sy * sp * cr - cy * sr) + z * cp * cr
        out[4 * i + 3] = x * dx + y * dy + z * dz
