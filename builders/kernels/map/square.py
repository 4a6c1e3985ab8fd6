"""Where the cells of a square lie in the world."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .raster import WINDOW

__all__ = ["place_square"]


@kernel
def place_square(
    ref_from_ego: Any,
    world_from_ego: Any,
    square: Any,
    cell: float,
    at_centre: float,
    level: float,
    tallest: float,
    margin: float,
    out: Any,
) -> None:
    """Writes the numbers of a `place`, see `raster`.

    ref_from_ego, world_from_ego: (4, 4) float64, the first a similarity. square: (4,) float64, xmin ymin xmax ymax.
    at_centre: at which u and v the middle of cell 0 lies less its lower corner. tallest: how far above and below the
    vehicle shapes may lie; margin: how far around the square they still show, both in metres of the square.
    """
    for i in range(3):
        out[i] = world_from_ego[i, 3]
    out[3] = level
    for row in range(2):
        for i in range(3):
            total = 0.0
            for j in range(3):
                total += ref_from_ego[row, j] * world_from_ego[i, j]
            out[4 + 4 * row + i] = total / cell
        out[7 + 4 * row] = (ref_from_ego[row, 3] - square[row]) / cell - at_centre
    scale = 0.0
    for j in range(3):
        scale += ref_from_ego[0, j] ** 2
    around = margin / sqrt(scale)
    out[WINDOW], out[WINDOW + 1], out[WINDOW + 2], out[WINDOW + 3] = np.inf, np.inf, -np.inf, -np.inf
    for corner in range(8):
        x = square[2 * (corner & 1)] - ref_from_ego[0, 3]
        y = square[1 + (corner & 2)] - ref_from_ego[1, 3]
        z = (tallest if corner & 4 else -tallest) - ref_from_ego[2, 3]
        for i in range(2):
            at = world_from_ego[i, 3]
            for j in range(3):
                # back to the ego frame: a similarity's inverse is its transpose by the square of its scale
                ego = (ref_from_ego[0, j] * x + ref_from_ego[1, j] * y + ref_from_ego[2, j] * z) / scale
                at += world_from_ego[i, j] * ego
            out[WINDOW + i] = min(out[WINDOW + i], at - around)
            out[WINDOW + 2 + i] = max(out[WINDOW + 2 + i], at + around)
