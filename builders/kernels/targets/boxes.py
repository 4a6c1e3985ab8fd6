"""Which labelled boxes are kept."""

from __future__ import annotations

from math import floor, pi
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

__all__ = ["half_open", "keep"]


@inner
def half_open(yaw: float) -> float:
    """Returns an angle in [-pi, pi), -pi where float32 rounds it up to pi."""
    turned: float = yaw - 2 * pi * floor((yaw + pi) / (2 * pi))
    return -pi if np.float32(turned) >= np.float32(pi) else turned


@kernel
def keep(boxes: Any, velocity: Any, label: Any, low: Any, high: Any, out: Any) -> tuple[int, int, int, int]:
    """Moves what is kept of boxes, velocities and labels to the front, and writes their numbers; returns how many are
    kept, how many are of a class, and of these how many are not finite, and how many have no size.

    boxes: (N, 7) float64; their yaw comes to be as `half_open` says. velocity: (N, 2)
    float64; NaN where one of the two is not finite. label: (N,) int32, -1 is left out. low, high: (3,) float32,
    half-open. out: (N,) int64. All is looked at as float32, as it comes into tensors: a size may be 0 there only.
    """
    n = of_class = lost = flat = 0
    for k in range(len(boxes)):
        if label[k] < 0:
            continue
        of_class += 1
        finite = sized = inside = True
        for j in range(7):
            value = np.float32(boxes[k, j])
            finite &= bool(np.isfinite(value))
            sized &= bool(not (3 <= j < 6) or value > 0)
            if j < 3:
                inside &= low[j] <= value < high[j]
        if not finite:
            lost += 1
            continue
        if not sized:
            flat += 1
            continue
        if not inside:
            continue
        for j in range(6):
            boxes[n, j] = boxes[k, j]
        boxes[n, 6] = half_open(boxes[k, 6])
        vx, vy = velocity[k, 0], velocity[k, 1]
        known = np.isfinite(np.float32(vx)) and np.isfinite(np.float32(vy))
        velocity[n, 0], velocity[n, 1] = (vx, vy) if known else (np.nan, np.nan)
        label[n], out[n] = label[k], k
        n += 1
    return n, of_class, lost, flat
