"""Which cell of a grid each point is in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .record import BLOCK, floats

__all__ = ["block_ids", "cell_ids", "cells_outside", "cylinder", "look", "steps_along"]

OUTSIDE = -1


@inner
def steps_along(place: Any, low: Any, voxel: Any) -> Any:
    """Returns how many cells along an axis a point lies from the grid's edge, rounded down.

    All arithmetic is float32 subtract, divide, floor, as in the published voxelizers: multiplying by 1/voxel or using
    float64 puts points that lie on cell borders elsewhere.
    """
    return np.floor((place - low) / voxel)


@inner
def block_ids(x: Any, y: Any, z: Any, low: Any, voxel: Any, size: Any, out: Any) -> None:
    """Writes per point the linear id (z * Y + y) * X + x of its cell, or -1 outside; NaN is outside.

    x, y, z: (N,) float32. low, voxel: (3,) float32. size: (3,) int64. out: (N,) int32 or int64.
    """
    zero = np.float32(0)
    low_x, low_y, low_z = low[0], low[1], low[2]
    voxel_x, voxel_y, voxel_z = voxel[0], voxel[1], voxel[2]
    size_x, size_y, size_z = np.float32(size[0]), np.float32(size[1]), np.float32(size[2])
    stride_y = out.dtype.type(size[0])
    stride_z = out.dtype.type(size[0] * size[1])
    for i in range(len(x)):
        cx = steps_along(x[i], low_x, voxel_x)
        cy = steps_along(y[i], low_y, voxel_y)
        cz = steps_along(z[i], low_z, voxel_z)
        inside = (cx >= zero) & (cx < size_x) & (cy >= zero) & (cy < size_y) & (cz >= zero) & (cz < size_z)
        ix = np.int32(cx if inside else zero)
        iy = np.int32(cy if inside else zero)
        iz = np.int32(cz if inside else zero)
        out[i] = iz * stride_z + iy * stride_y + ix if inside else OUTSIDE


@kernel
def cell_ids(x: Any, y: Any, z: Any, low: Any, voxel: Any, size: Any, out: Any) -> None:
    """As block_ids, for any number of points."""
    block_ids(x, y, z, low, voxel, size, out)


@kernel
def look(
    columns: Any, start: int, n: int, with_intensity: bool, far: float, lows: Any, voxels: Any, sizes: Any, ids: Any
) -> bool:
    """Finds the cells of the points [start, start + n) where they lie; returns whether all are nearer than `far`.

    If not, it does not look at the rest. columns: (>= 4, 3) int64, as `read` takes them: x, y, z, and intensity if that
    is to be looked at, float32 without gaps. lows, voxels: (G, 3) float32, sizes: (G, 3) int64, ids: (G, >= start + n)
    int32: grids, and where the points' cells go. Half the time of `load`, which copies what it looks at.
    """
    most = np.float32(far)
    for first in range(start, start + n, BLOCK):
        m = min(BLOCK, start + n - first)
        x, y, z = floats(columns[0, 0], first, m), floats(columns[1, 0], first, m), floats(columns[2, 0], first, m)
        worst = np.int32(0)
        for i in range(m):
            worst |= np.int32(not ((abs(x[i]) < most) & (abs(y[i]) < most) & (abs(z[i]) < most)))
        if with_intensity:
            intensity = floats(columns[3, 0], first, m)
            for i in range(m):
                worst |= np.int32(not (abs(intensity[i]) < most))
        if worst != 0:
            return False
        for grid in range(len(lows)):
            block_ids(x, y, z, lows[grid], voxels[grid], sizes[grid], ids[grid, first : first + m])
    return True


@kernel
def cylinder(x: Any, y: Any, distance: Any, azimuth: Any) -> None:
    """Writes each point's distance from the z axis and its azimuth from +x to +y, in -pi to pi; all (N,) float32."""
    for i in range(len(x)):
        p, q = np.float64(x[i]), np.float64(y[i])
        distance[i] = math.sqrt(p * p + q * q)
        azimuth[i] = math.atan2(q, p)


@kernel
def cells_outside(
    x: Any, y: Any, z: Any, low: Any, voxel: Any, size: Any, clamp: bool, is_round: bool, out: Any
) -> None:
    """Finds cells for points that `cell_ids` put in none: those to be clamped, and an azimuth that rounding brought to
    the end of a full circle (`is_round`), which is in its first cell. out: (N,), as `cell_ids` wrote it."""
    for i in range(len(x)):
        if out[i] != OUTSIDE:
            continue
        cx, cy = steps_along(x[i], low[0], voxel[0]), steps_along(y[i], low[1], voxel[1])
        cz = steps_along(z[i], low[2], voxel[2])
        # float32(pi) is more than pi, and float32 of the lower edge may be less than the azimuth -pi
        if is_round and (cy == size[1] or cy == -1):
            cy = np.float32(0)
        if clamp:
            cx, cy = min(max(cx, 0), size[0] - 1), min(max(cy, 0), size[1] - 1)
            cz = min(max(cz, 0), size[2] - 1)
        if cx >= 0 and cx < size[0] and cy >= 0 and cy < size[1] and cz >= 0 and cz < size[2]:
            out[i] = (np.int64(cz) * size[1] + np.int64(cy)) * size[0] + np.int64(cx)
