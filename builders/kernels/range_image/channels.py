"""Writing the channels of the image, its mask and its index: cell by cell, of the cells that show a point.

cells, numbers: as `list_cells` lists them. norm: (4,) float32, `LOW`, `HIGH`, `MEAN` and `STD`, by which values are
clipped and normalised; (0,): they stay as they are. out: (rows * columns,), float32 where nothing else is said.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from ..load import INTENSITY, OFFSET, RAW, X, Y, Z, scale_intensity
from ..record import ABSENT, BLOCK, fetch, read_chosen, value
from .angles import arctangent2

__all__ = ["AZIMUTH", "ELONGATION", "HEIGHT", "INCLINATION", "TIME_LAG"]
__all__ += ["clear_cells", "write_index", "write_measured", "write_quantity", "write_range"]

LOW, HIGH, MEAN, STD = range(4)

AZIMUTH, INCLINATION, HEIGHT, TIME_LAG, ELONGATION = range(5)
"""Of `write_measured`."""

_AHEAD = 32
"""Cells between the one that is written and the one whose line is asked for."""


@kernel
def clear_cells(cells: Any, empty: float, out: Any) -> None:
    """Writes `empty` to the cells of a flat `out`."""
    address: Any = np.int64(out.ctypes.data)
    for k in range(len(cells)):
        # asked for before it is written: each may lie in another line
        if k + _AHEAD < len(cells):
            fetch(address + np.int64(cells[k + _AHEAD]) * out.itemsize)
        out[np.uint64(cells[k])] = empty


@kernel
def write_range(cells: Any, nearest: Any, norm: Any, out: Any) -> None:
    """Writes the distance of each cell's nearest point. nearest: of `project`."""
    bits = out.view(np.uint32)
    if len(norm) == 0:
        for k in range(len(cells)):
            cell = np.uint32(cells[k])
            bits[cell] = np.uint32(nearest[cell] >> np.uint64(32))
        return
    low, high, mean, std = norm[LOW], norm[HIGH], norm[MEAN], norm[STD]
    for k in range(len(cells)):
        cell = np.uint32(cells[k])
        bits[cell] = np.uint32(nearest[cell] >> np.uint64(32))
        out[cell] = (min(max(out[cell], low), high) - mean) / std


@kernel
def _write_block(cells: Any, norm: Any, values: Any, out: Any) -> None:
    """Writes the values of a block of cells."""
    if len(norm) > 0:
        low, high, mean, std = norm[LOW], norm[HIGH], norm[MEAN], norm[STD]
        for k in range(len(cells)):
            values[k] = (min(max(values[k], low), high) - mean) / std
    for k in range(len(cells)):
        out[np.uint32(cells[k])] = values[k]


@kernel
def write_quantity(
    cells: Any,
    numbers: Any,
    address: int,
    stride: int,
    mode: int,
    full_scale: float,
    norm: Any,
    work: Any,
    out: Any,
) -> None:
    """Writes a quantity of each cell's nearest point.

    address, stride: where it lies, float32, as it was recorded. mode, full_scale: what becomes of it, if it is
    intensity; what is not finite becomes 0. work: (BLOCK,) float32.
    """
    for start in range(0, len(cells), BLOCK):
        m = min(BLOCK, len(cells) - start)
        own_numbers = numbers[start : start + m]
        for k in range(m):
            number: Any = np.int64(own_numbers[k])
            work[k] = value(address, stride, number)
        scale_intensity(mode, full_scale, m, work, work)
        _write_block(cells[start : start + m], norm, work, out)


@kernel
def write_measured(
    cells: Any,
    numbers: Any,
    columns: Any,
    what: int,
    origin: Any,
    lag_ns: int,
    halves: Any,
    norm: Any,
    xyz: Any,
    times: Any,
    work: Any,
    out: Any,
) -> None:
    """Writes what is worked out from the record of each cell's nearest point, in float64, rounded once.

    columns: (6, 3) int64, as `read` takes them. what: AZIMUTH, from +x towards +y, or INCLINATION, upwards, in rad, or
    HEIGHT along z in m, all of the ray from `origin` (3,); or TIME_LAG in s, `lag_ns` less the point's offset, if the
    record has that; or ELONGATION, which lies in the place of intensity, and is 0 where it is not finite.
    xyz: (3, BLOCK) float64, times: (BLOCK,) int64, work: (BLOCK,) float32: for the work.
    """
    x, y, z = xyz[0], xyz[1], xyz[2]
    x0, y0, z0 = origin[0], origin[1], origin[2]
    for start in range(0, len(cells), BLOCK):
        m = min(BLOCK, len(cells) - start)
        own = numbers[start : start + m]
        if what == TIME_LAG:
            times[:m] = 0
            if columns[OFFSET, 2] != ABSENT:
                read_chosen(columns[OFFSET], own, halves, times)
            for k in range(m):
                # exact in integers first, then float64, then float32
                work[k] = np.float64(lag_ns - times[k]) * 1e-9
        elif what == ELONGATION:
            read_chosen(columns[INTENSITY], own, halves, work)
            scale_intensity(RAW, 1.0, m, work, work)
        else:
            read_chosen(columns[X], own, halves, x)
            read_chosen(columns[Y], own, halves, y)
            read_chosen(columns[Z], own, halves, z)
            for k in range(m):
                x[k] -= x0
                y[k] -= y0
                z[k] -= z0
            if what == AZIMUTH:
                for k in range(m):
                    work[k] = arctangent2(y[k], x[k])
            elif what == INCLINATION:
                for k in range(m):
                    work[k] = arctangent2(z[k], math.sqrt(x[k] * x[k] + y[k] * y[k]))
            else:
                for k in range(m):
                    work[k] = z[k]
        _write_block(cells[start : start + m], norm, work, out)


@kernel
def write_index(cells: Any, numbers: Any, finite: Any, out: Any) -> None:
    """Writes the number of each cell's nearest point, among the finite ones.

    finite: of `count_finite`; empty if all points are. out: int32.
    """
    for k in range(len(cells)):
        number: Any = numbers[k]
        out[cells[k]] = finite[number] if len(finite) > 0 else number
