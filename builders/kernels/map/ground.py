"""The height of a map's ground, cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["read_ground"]

_LARGEST = float(np.finfo(np.float32).max)


@kernel
def read_ground(height: Any, place: Any, found: Any, is_bilinear: bool, out: Any, mask: Any) -> None:
    """Writes what is found of the ground under the middles of cells; 0 where that is not known.

    height: (H, W) float64. place: (2, 3) float64, column and row of the ground's grid at cell x, y and 1.
    found: (4,) float64, what is written, by x, y, the height and 1. out: (Y, X) float32. mask: (Y, X) uint8.
    """
    rows, columns = out.shape
    high, wide = height.shape
    for y in range(rows):
        for x in range(columns):
            u = place[0, 0] * x + place[0, 1] * y + place[0, 2]
            v = place[1, 0] * x + place[1, 1] * y + place[1, 2]
            out[y, x], mask[y, x] = 0, 0
            if not (0 <= u < wide and 0 <= v < high):
                continue
            own = height[int(v), int(u)]
            if not np.isfinite(own):
                continue
            if is_bilinear:
                # between middles of cells
                au, av = u - 0.5, v - 0.5
                left, low = int(np.floor(au)), int(np.floor(av))
                total, weights = 0.0, 0.0
                for j in range(2):
                    for i in range(2):
                        column, row = min(max(left + i, 0), wide - 1), min(max(low + j, 0), high - 1)
                        weight = (1 - abs(au - (left + i))) * (1 - abs(av - (low + j)))
                        if np.isfinite(height[row, column]):
                            total += weight * height[row, column]
                            weights += weight
                own = total / weights
            value = found[0] * x + found[1] * y + found[2] * own + found[3]
            if abs(value) <= _LARGEST:
                out[y, x], mask[y, x] = value, 1
