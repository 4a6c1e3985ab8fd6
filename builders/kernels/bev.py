"""Bird's-eye views: occupancy per cell, statistics per column of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import kernel

__all__ = ["accumulate", "clear", "clear_columns", "occupy", "overflow_ids", "write_channel"]

COUNT, SUM_Z, MAX_Z, MIN_Z, SUM_I, MAX_I, TOP_I = range(7)
ACCUMULATORS = 8
"""One row is 64 bytes of float64, one cache line."""


@kernel
def clear(dirty: Any, out: Any) -> None:
    """Zeroes the elements of a flat `out` that are listed in `dirty`."""
    for i in range(len(dirty)):
        out[dirty[i]] = 0


@kernel
def clear_columns(keys: Any, size_x: int, place: Any, out: Any) -> None:
    """Zeroes one channel of the columns `keys` in a flat `out`. place: (3,) base, stride of x, stride of y."""
    for row in range(len(keys)):
        y = keys[row] // size_x
        x = keys[row] - y * size_x
        out[place[0] + x * place[1] + y * place[2]] = 0


@kernel
def overflow_ids(x: Any, y: Any, z: Any, low: Any, voxel: Any, size: Any, out: Any) -> None:
    """Gives points below the grid the slice Z, and points above it Z + 1: out[i] = (slice * Y + y) * X + x.

    Points inside, and points outside in x or y, keep their out[i]. The arithmetic is that of cell_ids.
    """
    for i in range(len(x)):
        cx = np.floor((x[i] - low[0]) / voxel[0])
        cy = np.floor((y[i] - low[1]) / voxel[1])
        cz = np.floor((z[i] - low[2]) / voxel[2])
        if cx >= 0 and cx < size[0] and cy >= 0 and cy < size[1] and (cz < 0 or cz >= size[2]):
            level = size[2] if cz < 0 else size[2] + 1
            out[i] = (level * size[1] + np.int64(cy)) * size[0] + np.int64(cx)


@kernel
def occupy(ids: Any, size: Any, base: int, strides: Any, binary: bool, most: float, dirty: Any, out: Any) -> int:
    """Marks or counts the points of each cell in a flat `out`; returns how many elements became dirty.

    size: (2,) X, Y. An element is base + x * strides[0] + y * strides[1] + z * strides[2].
    most: counts stop there. dirty: (>= N,) int64, the elements touched, each once.
    """
    plain = base == 0 and strides[0] == 1 and strides[1] == size[0] and strides[2] == size[0] * size[1]
    touched = 0
    for i in range(len(ids)):
        cell = np.int64(ids[i])
        if cell < 0:
            continue
        if not plain:
            rest = cell // size[0]
            level = rest // size[1]
            cell = base + (cell - rest * size[0]) * strides[0] + (rest - level * size[1]) * strides[1]
            cell += level * strides[2]
        before = out[cell]
        if before == 0:
            dirty[touched] = cell
            touched += 1
            out[cell] = 1
        elif not binary and before < most:
            out[cell] = before + 1
    return touched


@kernel
def accumulate(ids: Any, columns_per_slice: int, z: Any, intensity: Any, table: Any, keys: Any, sums: Any) -> int:
    """Sums up the points of each column of cells, in the order of the points; returns how many columns there are.

    ids: (N,) cell ids. table: (X * Y,) int32 of -1, left so. keys: (>= N,) int64, the columns' ids.
    sums: (>= N, ACCUMULATORS) float64: count, sum and extremes of z and of intensity, intensity of the highest
    point (the first of equals). Sums are float64, so that float32 does not drift; casts come last.
    """
    rows = 0
    for i in range(len(ids)):
        cell = ids[i]
        if cell < 0:
            continue
        column = np.int64(cell) % columns_per_slice
        row = table[column]
        height, value = np.float64(z[i]), np.float64(intensity[i])
        if row < 0:
            row = rows
            rows += 1
            table[column] = row
            keys[row] = column
            sums[row, COUNT] = 1
            sums[row, SUM_Z] = height
            sums[row, MAX_Z] = height
            sums[row, MIN_Z] = height
            sums[row, SUM_I] = value
            sums[row, MAX_I] = value
            sums[row, TOP_I] = value
            continue
        sums[row, COUNT] += 1
        sums[row, SUM_Z] += height
        sums[row, SUM_I] += value
        sums[row, MAX_I] = max(sums[row, MAX_I], value)
        sums[row, MIN_Z] = min(sums[row, MIN_Z], height)
        if height > sums[row, MAX_Z]:
            sums[row, MAX_Z] = height
            sums[row, TOP_I] = value
    for row in range(rows):
        table[keys[row]] = -1
    return rows


@kernel
def write_channel(
    sums: Any, accumulator: int, mean: bool, density: Any, keys: Any, rows: int, size_x: int, place: Any, out: Any
) -> None:
    """Writes one statistic of every column to a flat `out`.

    place: (3,) base, stride of x, stride of y. density: looked up by count where it is not empty.
    """
    for row in range(rows):
        y = keys[row] // size_x
        x = keys[row] - y * size_x
        value = sums[row, accumulator]
        if mean:
            value /= sums[row, COUNT]
        elif len(density) > 0:
            value = density[min(np.int64(value), len(density) - 1)]
        out[place[0] + x * place[1] + y * place[2]] = value
