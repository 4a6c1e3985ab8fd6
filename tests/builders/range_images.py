"""The range image by definition, a point at a time in float64: what the tests of its kernels compare with."""

from __future__ import annotations

from math import floor, pi, radians

import numpy as np

__all__ = ["image_by_definition", "nearest_by_definition"]


def nearest_by_definition(
    points,
    height,
    width,
    fov,
    drop=False,
    min_range=0.1,
    origin=(0, 0, 0),
    rows=None,
    azimuth_fov=(180, -180),
    seam="wrap",
):
    """Section 2.6: the least distance, and the index of the nearest finite point, first of equals, per cell."""
    index = np.full((height, width), -1, np.int32)
    best = np.full((height, width), np.inf, np.float32)
    upper, lower = radians(fov[0]), radians(fov[1])
    left, right = azimuth_fov
    per_half_turn = width / ((left - right) / 180)
    turn = 2 * abs(per_half_turn)
    finite = points[np.isfinite(points[:, :3]).all(axis=1)]
    for i, p in enumerate(finite):
        # without the sign of zero: straight above has no azimuth, and behind is one place, not two
        x, y, z = np.float64(p[:3]) - origin + 0.0
        distance = np.sqrt(x * x + y * y + z * z)
        if distance < min_range:
            continue
        if rows is None:
            row = floor((upper - np.arctan2(z, np.hypot(x, y))) / (upper - lower) * height)
            row = row if drop else min(max(row, 0), height - 1)
        else:
            row = rows[i]
        # unless it is clamped as published
        sided = np.float64(p[1]) - origin[1] if seam == "clamp" and x < 0 else y
        # of directions a whole turn apart the one from which counting comes round only once, as `left` counts
        start = left - 360 * np.ceil((left - 180) / 360) if left > right else left + 360 * np.ceil((-180 - left) / 360)
        start = start - 360 if left < right and start >= 180 else start
        at = (start / 180 - np.arctan2(sided, x) / pi) * per_half_turn
        at = at + turn if at < 0 else at
        behind_last = width - 1 if seam == "clamp" and turn == width else 0
        column = behind_last if at == turn else floor(at)
        if 0 <= row < height and column < width and np.float32(distance) < best[row, column]:
            best[row, column], index[row, column] = np.float32(distance), i
    return best, index


def image_by_definition(points, height, width, fov, drop=False, min_range=0.1, origin=(0, 0, 0), rows=None, **more):
    """The channels range, x, y, z and intensity, the mask and the index."""
    best, index = nearest_by_definition(points, height, width, fov, drop, min_range, origin, rows, **more)
    finite = points[np.isfinite(points[:, :3]).all(axis=1)]
    channels = np.full((5, height, width), -1, np.float32)
    hit = index >= 0
    channels[0][hit] = best[hit]
    for k in range(3):
        channels[1 + k][hit] = (np.float64(finite[index[hit], k]) - origin[k]).astype(np.float32)
    channels[4][hit] = np.where(np.isfinite(finite[index[hit], 3]), finite[index[hit], 3], 0)
    return channels, hit.astype(np.uint8), index
