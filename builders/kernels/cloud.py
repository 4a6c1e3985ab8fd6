"""A point cloud as columns: dropping points, moving them, scaling intensity.

`columns` is (6, capacity) float32, one row per `Column`; a sweep stands at [start, start + n).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .jit import kernel

__all__ = ["drop", "lag_per_point", "move", "move_per_point", "scale_intensity"]

RAW, UNIT, TANH = 0, 1, 2


@kernel
def drop(start: int, n: int, close: float, drop_intensity: bool, columns: Any, offsets_ns: Any) -> tuple[int, int]:
    """Drops points that are not finite or lie within the square |x|, |y| < close, in place, keeping the order.

    Returns how many are kept and how many were not finite. offsets_ns: (capacity,) int64, moves along.
    """
    near = np.float32(close)
    kept = start
    nonfinite = 0
    for i in range(start, start + n):
        x, y, z = columns[0, i], columns[1, i], columns[2, i]
        bad = not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z))
        bad |= drop_intensity and not math.isfinite(columns[3, i])
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
def move(start: int, n: int, transform: Any, columns: Any) -> None:
    """Moves points by one (3, 4) float64 transform, in float64, stored as float32 once."""
    t = transform
    for i in range(start, start + n):
        x, y, z = np.float64(columns[0, i]), np.float64(columns[1, i]), np.float64(columns[2, i])
        columns[0, i] = t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3]
        columns[1, i] = t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3]
        columns[2, i] = t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3]


@kernel
def move_per_point(
    start: int, n: int, offsets_ns: Any, first_ns: int, step_ns: float, knots: Any, blend: Any, columns: Any
) -> None:
    """Moves each point by the transform of its own time.

    knots: (k, 3, 4) float64, one every `step_ns` from `first_ns`; between two the entries are linear, which for
    a quarter of a millisecond at 1 rad/s is slerp to 1e-8. Points of one firing share a time, so the blend is kept while it lasts.
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
def scale_intensity(start: int, n: int, mode: int, full_scale: float, columns: Any) -> None:
    """Brings raw intensity to its mode, in place; what is not finite becomes 0."""
    scale = np.float32(full_scale)
    for i in range(start, start + n):
        value = columns[3, i]
        if not math.isfinite(value):
            value = np.float32(0)
        if mode == UNIT:
            value = value / scale
        elif mode == TANH:
            value = np.float32(math.tanh(value))
        columns[3, i] = value


@kernel
def lag_per_point(start: int, n: int, sweep_lag_ns: int, offsets_ns: Any, columns: Any) -> None:
    """Writes each point's age in seconds: exact in integers first, then float64, then float32."""
    for i in range(start, start + n):
        columns[4, i] = np.float64(sweep_lag_ns - offsets_ns[i]) * 1e-9
