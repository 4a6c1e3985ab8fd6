"""A point cloud as columns: dropping points, moving them, scaling intensity.

`columns` is (6, capacity) float32, one row per `Column`; a sweep stands at [start, start + n).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .jit import kernel

__all__ = ["all_finite", "drop", "lag_per_point", "move", "move_per_point", "scale_intensity"]

RAW, UNIT, TANH = 0, 1, 2

_FAR = np.float32(2.0**100)
"""Metres; a number beyond is as good as infinite, and a rotation could make it so."""
_FAR_BITS = 0x71800000


@kernel
def all_finite(bits: Any, with_intensity: bool) -> bool:
    """Whether x, y, z (and intensity) are all finite, and below 2**100.

    bits: (>= 4, N) int32, the float32 columns' memory. As the largest integer, which the compiler turns into wide
    instructions: 0.08 ms for 160 000 points, against 0.4.
    """
    worst = np.int32(0)
    for c in range(4 if with_intensity else 3):
        row = bits[c]
        for i in range(len(row)):
            worst = max(worst, row[i] & np.int32(0x7FFFFFFF))
    return bool(worst < _FAR_BITS)


@kernel
def drop(start: int, n: int, close: float, drop_intensity: bool, columns: Any, offsets_ns: Any) -> tuple[int, int]:
    """Drops points that are not finite or lie within the square |x|, |y| < close, in place, keeping the order.

    Beyond 2**100 is not finite either. Returns how many are kept and how many were not finite.
    offsets_ns: (capacity,) int64, moves along.
    """
    near = np.float32(close)
    kept = start
    nonfinite = 0
    for i in range(start, start + n):
        x, y, z = columns[0, i], columns[1, i], columns[2, i]
        bad = not (abs(x) < _FAR and abs(y) < _FAR and abs(z) < _FAR)
        bad |= drop_intensity and not abs(columns[3, i]) < _FAR
        nonfinite += bad
        if bad or (abs(x) < near and abs(y) < near):
            continue
        if kept != i:
            for c in range(columns.shape[0]):
                columns[c, kept] = columns[c, i]
            offsets_ns[kept] = offsets_ns[i]
        kept += 1
    return kept - start, nonfinite


@kernel
def move(transform: Any, x: Any, y: Any, z: Any) -> None:
    """Moves points by one (3, 4) float64 transform, in float64, stored as float32 once, in place.

    Three separate columns, since the compiler cannot know that rows of one array do not overlap: 0.11 ms for
    160 000 points, against 0.6.
    """
    t = transform
    xx, xy, xz, xt = t[0, 0], t[0, 1], t[0, 2], t[0, 3]
    yx, yy, yz, yt = t[1, 0], t[1, 1], t[1, 2], t[1, 3]
    zx, zy, zz, zt = t[2, 0], t[2, 1], t[2, 2], t[2, 3]
    for i in range(len(x)):
        p, q, r = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        x[i] = xx * p + xy * q + xz * r + xt
        y[i] = yx * p + yy * q + yz * r + yt
        z[i] = zx * p + zy * q + zz * r + zt


@kernel
def move_per_point(
    start: int, n: int, offsets_ns: Any, first_ns: int, step_ns: float, knots: Any, blend: Any, columns: Any
) -> None:
    """Moves each point by the transform of its own time.

    knots: (k, 3, 4) float64, one every `step_ns` from `first_ns`; between two the entries are linear, which for
    a quarter of a millisecond at 1 rad/s is slerp to 1e-8. Points of one firing share a time, so the blend is kept
    while it lasts.
    blend: (3, 4) float64 for the work.
    """
    t = blend
    time_ns = first_ns - 1
    for i in range(start, start + n):
        if offsets_ns[i] != time_ns:
            time_ns = offsets_ns[i]
            at = (time_ns - first_ns) / step_ns
            k = min(np.int64(at), np.int64(len(knots) - 2))
            f = at - k
            for row in range(3):
                for col in range(4):
                    t[row, col] = (1 - f) * knots[k, row, col] + f * knots[k + 1, row, col]
        x, y, z = np.float64(columns[0, i]), np.float64(columns[1, i]), np.float64(columns[2, i])
        columns[0, i] = t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3]
        columns[1, i] = t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3]
        columns[2, i] = t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3]


@kernel
def scale_intensity(mode: int, full_scale: float, values: Any) -> None:
    """Brings raw intensity (n,) float32 to its mode, in place; what is not finite becomes 0."""
    zero = np.float32(0)
    scale = np.float32(full_scale if mode == UNIT else 1)
    for i in range(len(values)):
        value = values[i] / scale
        values[i] = value if value - value == zero else zero
    if mode == TANH:
        for i in range(len(values)):
            values[i] = math.tanh(values[i])


@kernel
def lag_per_point(start: int, n: int, sweep_lag_ns: int, offsets_ns: Any, columns: Any) -> None:
    """Writes each point's age in seconds: exact in integers first, then float64, then float32."""
    for i in range(start, start + n):
        columns[4, i] = np.float64(sweep_lag_ns - offsets_ns[i]) * 1e-9
