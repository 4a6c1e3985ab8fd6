"""The range image: a sweep as its sensor sees it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .load import INTENSITY, place, scale_intensity, take
from .record import ABSENT, BLOCK

__all__ = ["arctangent2", "gather_channel", "gather_range", "number", "project", "write_mask"]

_TAN_PI_8 = math.tan(math.pi / 8)
_NONE = np.uint64(2**64 - 1)


@inner
def arctangent2(y: float, x: float) -> float:
    """Returns atan2(y, x) in float64, to 1e-15: a polynomial in t**2, fitted at Chebyshev nodes on [0, tan(pi/8)].

    Not libm's: that differs between machines in the last bit. Free of branches, so that loops over it become wide
    instructions: 1 ms for an image of 150 000 points, against 7 ms with libm's.
    """
    ax, ay = abs(x), abs(y)
    big, small = max(ax, ay), min(ax, ay)
    steep = small > _TAN_PI_8 * big
    above = small - big if steep else small
    below = small + big if steep else big
    t = above / (below if below > 0 else 1.0)
    u = t * t
    p = 0.050228222358199556 + u * -0.02528924934751661
    p = -0.06505402822332572 + u * p
    p = 0.0767344058734355 + u * p
    p = -0.09089520695174501 + u * p
    p = 0.11111048298300626 + u * p
    p = -0.1428571264145789 + u * p
    p = 0.19999999977975827 + u * p
    p = -0.3333333333321761 + u * p
    angle = t + t * (u * p)
    angle = angle + math.pi / 4 if steep else angle
    angle = math.pi / 2 - angle if ay > ax else angle
    angle = math.pi - angle if x < 0 else angle
    return -angle if y < 0 else angle


@kernel
def _see(
    n: int,
    xyz: Any,
    rings: Any,
    origin: Any,
    height: int,
    width: int,
    fov_rad: Any,
    clamp: bool,
    min_range: float,
    row_of_ring: Any,
    cells: Any,
    ranges: Any,
) -> None:
    """Writes per point of a block its cell row * width + column, or -1, and its distance. See `project`."""
    upper, lower = fov_rad[0], fov_rad[1]
    last = np.float64(height - 1)
    turn = np.float64(width)
    stride = np.int32(width)
    left, ahead, up = xyz[0], xyz[1], xyz[2]
    by_ring = len(row_of_ring) > 0
    for i in range(n):
        x = np.float64(left[i]) - origin[0]
        y = np.float64(ahead[i]) - origin[1]
        z = np.float64(up[i]) - origin[2]
        distance = math.sqrt(x * x + y * y + z * z)
        level = 0.0
        if not by_ring:
            level = np.floor((upper - arctangent2(z, math.sqrt(x * x + y * y))) / (upper - lower) * height)
            level = min(max(level, 0.0), last) if clamp else level
        column = np.floor(0.5 * (1.0 - arctangent2(y, x) / math.pi) * turn)
        # azimuth is periodic: the column behind the last is the first
        column = 0.0 if column >= turn else column
        seen = (distance >= min_range) & (level >= 0.0) & (level <= last)
        cell = np.int32(level if seen else 0.0) * stride + np.int32(column if seen else 0.0)
        cells[i] = cell if seen else np.int32(-1)
        ranges[i] = distance
    if by_ring:
        for i in range(n):
            ring = np.int64(rings[i] if abs(rings[i]) < np.inf else -1)
            row = row_of_ring[ring] if 0 <= ring < len(row_of_ring) else np.int32(-1)
            cells[i] = row * stride + cells[i] if cells[i] >= 0 and 0 <= row < height else np.int32(-1)


@kernel
def project(
    columns: Any,
    n: int,
    origin: Any,
    height: int,
    width: int,
    fov_rad: Any,
    clamp: bool,
    min_range: float,
    row_of_ring: Any,
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    drop_intensity: bool,
    mode: int,
    full_scale: float,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    blend: Any,
    cells: Any,
    ranges: Any,
    nearest: Any,
    out: Any,
) -> tuple[int, int]:
    """Finds per cell the nearest point of a record, the first of equals, in one pass; returns how many are finite.

    And how many are not. A cell is row * width + column: column width / 2 looks along +x, columns run clockwise; rows
    by elevation, or by `row_of_ring` (rings,) int32 where that is not empty.
    columns: as `load` takes them. origin: (3,) where the rays start. fov_rad: upper and lower edge.
    nearest: (height * width,) uint64, filled with ones: the distance's bits, which as whole numbers have the same
    order, above the point's number. out: (4, >= n) float32: x y z, placed by `how` and what follows, as in `load`, and
    intensity.
    xyz, values, times, blend, cells: (BLOCK,) int32, ranges: (BLOCK,) float32: for the work.
    """
    kept = nonfinite = 0
    bits = ranges.view(np.uint32)
    for start in range(0, n, BLOCK):
        m, bad = take(columns, start, min(BLOCK, n - start), 0.0, drop_intensity, halves, xyz, values, times)
        nonfinite += bad
        _see(m, xyz, values[1], origin, height, width, fov_rad, clamp, min_range, row_of_ring, cells, ranges)
        for i in range(m):
            if cells[i] >= 0:
                key = np.uint64(bits[i]) << np.uint64(32) | np.uint64(kept + i)
                cell = np.uint64(cells[i])
                if key < nearest[cell]:
                    nearest[cell] = key
        x, y, z = out[0, kept : kept + m], out[1, kept : kept + m], out[2, kept : kept + m]
        place(how, knots, first_ns, step_ns, blend, m, xyz, times, x, y, z)
        if columns[INTENSITY, 2] != ABSENT:
            scale_intensity(mode, full_scale, m, values[0], out[3, kept : kept + m])
        kept += m
    return kept, nonfinite


@kernel
def number(nearest: Any, index: Any) -> None:
    """Writes the number of each cell's nearest point, -1 where none. nearest: of `project`. index: (cells,) int32."""
    for cell in range(len(nearest)):
        key = nearest[cell]
        index[cell] = np.int32(-1) if key == _NONE else np.int32(key & np.uint64(0xFFFFFFFF))


@kernel
def gather_range(nearest: Any, fill: float, normalize: bool, mean: float, std: float, out: Any) -> None:
    """Writes the distance of each cell's nearest point, normalised if wanted; empty cells hold `fill`."""
    mean32, std32 = np.float32(mean), np.float32(std)
    empty = np.float32(0 if normalize else fill)
    bits = out.view(np.uint32)
    for cell in range(len(nearest)):
        bits[cell] = np.uint32(nearest[cell] >> np.uint64(32))
    for cell in range(len(nearest)):
        value = (out[cell] - mean32) / std32 if normalize else out[cell]
        out[cell] = empty if nearest[cell] == _NONE else value


@kernel
def gather_channel(index: Any, values: Any, fill: float, normalize: bool, mean: float, std: float, out: Any) -> None:
    """Writes values[index], normalised if wanted; empty cells hold `fill`. out: (cells,) float32."""
    mean32, std32 = np.float32(mean), np.float32(std)
    empty = np.float32(0 if normalize else fill)
    for cell in range(len(index)):
        i = index[cell]
        if i < 0:
            out[cell] = empty
            continue
        value = values[i]
        out[cell] = (value - mean32) / std32 if normalize else value


@kernel
def write_mask(index: Any, out: Any) -> None:
    """Writes 1 where a cell has a point. out: (cells,) uint8."""
    for cell in range(len(index)):
        out[cell] = index[cell] >= 0
