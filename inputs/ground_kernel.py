"""The ground in numbers: holes filled with what is nearest, the lowest points of cells, heights above it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kernel import kernel

__all__ = ["heights_above", "lowest", "nearest_known"]


@kernel
def nearest_known(known: Any, row_of: Any, column_of: Any, bends: Any, borders: Any) -> None:
    """Writes for each cell of a grid which known cell is nearest, of equally near ones one of them, always the same.

    Exact distances, in time linear in the cells, by lower envelopes of parabolas: Felzenszwalb and Huttenlocher,
    Distance Transforms of Sampled Functions (2012). known: (H, W) bool, at least one true. row_of, column_of: (H, W)
    int32, written. bends: (W,) int32 and borders: (W + 1,) float64, for the work.
    """
    height, width = known.shape
    far = height + width
    for column in range(width):
        last = -far
        for row in range(height):
            if known[row, column]:
                last = row
            row_of[row, column] = last
        last = 3 * far
        for row in range(height - 1, -1, -1):
            if known[row, column]:
                last = row
            if last - row < row - row_of[row, column]:
                row_of[row, column] = last
    for row in range(height):
        count = 0
        for column in range(width):
            nearest = row_of[row, column]
            if nearest < 0 or nearest >= height:
                continue
            value = np.float64(column) ** 2 + np.float64(row - nearest) ** 2
            border = -np.inf
            while count > 0:
                other = bends[count - 1]
                rise = np.float64(other) ** 2 + np.float64(row - row_of[row, other]) ** 2
                border = (value - rise) / (2.0 * (column - other))
                if border > borders[count - 1]:
                    break
                count -= 1
                border = -np.inf
            bends[count], borders[count] = column, border
            count += 1
        borders[count] = np.inf
        at = 0
        for column in range(width):
            while borders[at + 1] < column:
                at += 1
            column_of[row, column] = bends[at]


@kernel
def lowest(
    xyz: Any, ego_from_sensor: Any, low: float, cell: float, z_min: float, z_max: float, seen: Any, out: Any
) -> None:
    """Writes the lowest z of the points in each cell, of those between z_min and z_max; others stay as they are.

    xyz: (3, N) float64, in a sensor's axes. ego_from_sensor: (4, 4) float64. seen: (H, H) uint8, becomes 1 where there
    is a point at any height, and 2 where one is below z_min. out: (H, H) float64, rows along y.
    """
    t, size = ego_from_sensor, len(out)
    for i in range(xyz.shape[1]):
        p, q, r = xyz[0, i], xyz[1, i], xyz[2, i]
        column = np.floor((t[0, 0] * p + t[0, 1] * q + t[0, 2] * r + t[0, 3] - low) / cell)
        row = np.floor((t[1, 0] * p + t[1, 1] * q + t[1, 2] * r + t[1, 3] - low) / cell)
        z = t[2, 0] * p + t[2, 1] * q + t[2, 2] * r + t[2, 3]
        # written so that NaN is in no cell
        if row >= 0 and row < size and column >= 0 and column < size and np.isfinite(z):
            at, beside = np.int64(row), np.int64(column)
            seen[at, beside] = max(seen[at, beside], 2 if z < z_min else 1)
            if z >= z_min and z <= z_max and not (out[at, beside] <= z):
                out[at, beside] = z


@kernel
def heights_above(x: Any, y: Any, z: Any, up_from_points: Any, cell_from_up: Any, ground: Any, out: Any) -> None:
    """Writes each point's height above the ground in its cell, float32. `out` may be `z`.

    x, y, z: (N,) float32. up_from_points: (3, 4) float64, to axes whose z is counted. cell_from_up: (2, 3) float64, to
    column and row of `ground`, (H, W) float64; a point beyond its edge takes the cell at the edge.
    """
    t, c = up_from_points, cell_from_up
    most_column, most_row = np.float64(ground.shape[1] - 1), np.float64(ground.shape[0] - 1)
    for i in range(len(x)):
        p, q, r = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        u = t[0, 0] * p + t[0, 1] * q + t[0, 2] * r + t[0, 3]
        v = t[1, 0] * p + t[1, 1] * q + t[1, 2] * r + t[1, 3]
        w = t[2, 0] * p + t[2, 1] * q + t[2, 2] * r + t[2, 3]
        column = min(max(np.floor(c[0, 0] * u + c[0, 1] * v + c[0, 2]), 0.0), most_column)
        row = min(max(np.floor(c[1, 0] * u + c[1, 1] * v + c[1, 2]), 0.0), most_row)
        out[i] = w - ground[np.int64(row), np.int64(column)]
