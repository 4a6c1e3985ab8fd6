"""Bird's-eye views: occupancy per cell, statistics per column of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .record import value

__all__ = ["accumulate", "clear", "clear_columns", "forget", "occupy", "overflow_ids", "write_columns"]

ROW = 5
"""Numbers of 8 bytes that a column of cells takes."""
COUNT, SUM_Z, SUM_I, HIGHEST = range(4)
MIN_Z, MAX_I = 2 * HIGHEST + 2, 2 * HIGHEST + 3
_LAST = 2**31 - 1
_MOST = np.int32(_LAST)

STATISTICS = 8
OF_COUNT, OF_DENSITY, OF_MAX_Z, OF_MIN_Z, OF_MEAN_Z, OF_MAX_I, OF_MEAN_I, OF_TOP_I = range(STATISTICS)


@kernel
def clear(dirty: Any, out: Any) -> None:
    """Zeroes the elements of a flat `out` that are listed in `dirty`."""
    for i in range(len(dirty)):
        out[dirty[i]] = 0


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


@inner
def _turned(bits: Any) -> Any:
    """Turns a float32's bits into an int32 that is the greater the greater the number is, and back."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & _MOST))


@kernel
def accumulate(
    ids: Any,
    columns: int,
    begin: int,
    end: int,
    z: Any,
    intensity: Any,
    table: Any,
    keys: Any,
    sums: Any,
    extremes: Any,
    highest: Any,
) -> int:
    """Sums up the points of each column of cells in [begin, end), in the points' order; returns how many columns.

    Columns, not points, are what threads share: a sum of float64 depends on its order, and no byte on the threads.

    ids: (N,) cell ids. columns: X * Y. z, intensity: (2,) int64, where they lie. table: (X * Y,) int32 of -1: what it
    holds of [begin, end) is the row of each column; `forget` makes it so again. keys: int32, or int64, the columns'
    ids.
    sums: (rows, ROW) float64: COUNT, SUM_Z and SUM_I, in float64, so that float32 does not drift; casts come last.
    extremes, highest: the same memory as float32, for MIN_Z and MAX_I, and as int64, for HIGHEST.

    Every point updates all without a branch: of two points in a row four of ten lie in one column, which no processor
    can guess. The highest point, the first of equals, is one whole number: its height's bits in an order that integers
    have too, above its number, counted down. 1.4 ms for 300 000 points, against 1.8 with a branch for each.
    """
    z_at, z_step, intensity_at, intensity_step = z[0], z[1], intensity[0], intensity[1]
    rows = 0
    for i in range(len(ids)):
        cell = ids[i]
        # most grids have one cell a column, and dividing takes as long as the rest
        column = cell if cell < columns else cell % columns
        if column < begin or column >= end:
            continue
        height, strength = value(z_at, z_step, i), value(intensity_at, intensity_step, i)
        # -0 is as high as 0
        bits = np.float32(height + np.float32(0)).view(np.int32)
        key = np.int64(_turned(bits)) << 32 | np.int64(_LAST - i)
        found: Any = table[column]
        row = np.uint64(found)
        if found < 0:
            row = np.uint64(rows)
            table[column] = rows
            keys[row] = column
            rows += 1
            # -0: what is added to it comes back to the last bit
            sums[row, COUNT] = 0.0
            sums[row, SUM_Z] = -0.0
            sums[row, SUM_I] = -0.0
            highest[row, HIGHEST] = key
            extremes[row, MIN_Z] = height
            extremes[row, MAX_I] = strength
        sums[row, COUNT] += 1.0
        sums[row, SUM_Z] += np.float64(height)
        sums[row, SUM_I] += np.float64(strength)
        before = highest[row, HIGHEST]
        highest[row, HIGHEST] = key if key > before else before
        least = extremes[row, MIN_Z]
        extremes[row, MIN_Z] = height if height < least else least
        most = extremes[row, MAX_I]
        extremes[row, MAX_I] = strength if strength > most else most
    return rows


@kernel
def forget(keys: Any, table: Any) -> None:
    """Makes -1 of the table again, which has rows of the columns `keys`."""
    for row in range(len(keys)):
        table[keys[row]] = -1


@kernel
def clear_columns(keys: Any, table: Any, size_x: int, place: Any, channels: int, out: Any) -> None:
    """Zeroes the columns `keys` of a flat `out`, save for those that the table has: they are written anyway.

    place: (4,) base, stride of x, of y and of channels.
    """
    for row in range(len(keys)):
        if table[keys[row]] < 0:
            y = keys[row] // size_x
            at = place[0] + (keys[row] - y * size_x) * place[1] + y * place[2]
            for channel in range(channels):
                out[at + channel * place[3]] = 0


@kernel
def write_columns(
    sums: Any,
    extremes: Any,
    highest: Any,
    z: Any,
    intensity: Any,
    keys: Any,
    size_x: int,
    place: Any,
    statistics: Any,
    density: Any,
    work: Any,
    out: Any,
) -> None:
    """Writes the statistics of every column to a flat `out`.

    sums, extremes, highest, z, intensity: as `accumulate` had them. place: (4,) base, strides of x, y and channels.
    statistics: (C,) which of them each channel shows. density: by the count. work: (STATISTICS,) float64.
    """
    most = len(density) - 1
    with_top = False
    for channel in range(len(statistics)):
        with_top |= statistics[channel] == OF_TOP_I
    for row in range(len(keys)):
        y = keys[row] // size_x
        at = place[0] + (keys[row] - y * size_x) * place[1] + y * place[2]
        count = sums[row, COUNT]
        key = highest[row, HIGHEST]
        order, top = np.int32(key >> 32), _LAST - (key & _LAST)
        work[OF_COUNT] = count
        work[OF_DENSITY] = density[min(np.int64(count), most)]
        # looked up only where the order does not say it: a point anywhere in memory takes as long as all the rest
        work[OF_MAX_Z] = value(z[0], z[1], top) if order == 0 else np.int32(_turned(order)).view(np.float32)
        work[OF_MIN_Z] = extremes[row, MIN_Z]
        work[OF_MEAN_Z] = sums[row, SUM_Z] / count
        work[OF_MAX_I] = extremes[row, MAX_I]
        work[OF_MEAN_I] = sums[row, SUM_I] / count
        if with_top:
            work[OF_TOP_I] = value(intensity[0], intensity[1], top)
        for channel in range(len(statistics)):
            out[at + channel * place[3]] = work[statistics[channel]]
