"""The range image: a sweep as its sensor sees it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .load import INTENSITY, OFFSET, RING, X, Y, Z, place, scale_intensity
from .processor import LINE, multiply_add
from .record import ABSENT, BLOCK, fetch, fetch_to_read, read, value

__all__ = [
    "arctangent2",
    "bring",
    "clear_cells",
    "count_finite",
    "list_cells",
    "project",
    "write_index",
    "write_quantity",
    "write_range",
]

_TAN_PI_8 = math.tan(math.pi / 8)
_NONE = np.uint64(2**64 - 1)
_FAR = 2.0**100
"""Metres; a number beyond is as good as infinite, as in `load`."""
_DOUBTFUL = np.int32(-2)
"""In place of a cell: float32 cannot say which."""
_GROUP = 64
"""Points among which doubtful ones are looked for together."""
_MANY = 32
"""Doubtful points of a block from which on all are looked at again, in wide instructions."""
_AHEAD = 32
"""Cells between the one that is written and the one whose line is asked for."""


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


@inner
def _coarse_arctangent2(y: Any, x: Any) -> Any:
    """Returns atan2(y, x) in float32, to 7e-7."""
    ax, ay = abs(x), abs(y)
    t = min(ax, ay) / max(ax, ay)
    u = t * t
    p = multiply_add(u, np.float32(0.007373669184744358), np.float32(-0.035518828779459))
    p = multiply_add(u, p, np.float32(0.08216651529073715))
    p = multiply_add(u, p, np.float32(-0.13398730754852295))
    p = multiply_add(u, p, np.float32(0.19861838221549988))
    p = multiply_add(u, p, np.float32(-0.3332539200782776))
    angle = multiply_add(t, u * p, t)
    angle = np.float32(math.pi / 2) - angle if ay > ax else angle
    angle = np.float32(math.pi) - angle if x < np.float32(0) else angle
    return -angle if y < np.float32(0) else angle


@inner
def _exact_cell(
    x: float,
    y: float,
    z: float,
    height: float,
    width: float,
    upper: float,
    lower: float,
    clamp: bool,
    by_ring: bool,
    min_range: float,
) -> Any:
    """Returns a point's cell row * width + column, int32, or -1: the definition, in float64. By ring, its column."""
    distance = math.sqrt(x * x + y * y + z * z)
    level = 0.0
    if not by_ring:
        level = np.floor((upper - arctangent2(z, math.sqrt(x * x + y * y))) / (upper - lower) * height)
        level = min(max(level, 0.0), height - 1.0) if clamp else level
    column = np.floor(0.5 * (1.0 - arctangent2(y, x) / math.pi) * width)
    # azimuth is periodic: the column behind the last is the first
    column = 0.0 if column >= width else column
    near = (abs(x) < _FAR) & (abs(y) < _FAR) & (abs(z) < _FAR)
    seen = near & (distance >= min_range) & (level >= 0.0) & (level < height)
    cell = np.int32(level if seen else 0.0) * np.int32(width) + np.int32(column if seen else 0.0)
    return cell if seen else np.int32(-1)


@kernel
def _look(
    n: int,
    xyz: Any,
    origin: Any,
    height: int,
    width: int,
    fov_rad: Any,
    clamp: bool,
    by_ring: bool,
    min_range: float,
    near: Any,
    squares: Any,
    cells: Any,
    ranges: Any,
) -> int:
    """Writes per point of a block its distance and its cell, or _DOUBTFUL; returns how many are doubtful.

    Angles are worked out in float32, to 1e-6, which takes a third of the time. A point is doubtful where that is not
    enough to say on which side of a border it lies, one of 200 in an image of 64 x 2048, and where squares leave
    float32 or a number is not finite. The distance is float64, rounded once; -1 for what is nearer than `min_range`.
    """
    left, ahead, up = xyz[0], xyz[1], xyz[2]
    x, y, z = near[0], near[1], near[2]
    x0, y0, z0 = origin[0], origin[1], origin[2]
    # loops of few arrays and without branches: the compiler makes wide instructions of these
    if x0 == 0 and y0 == 0 and z0 == 0:
        for i in range(n):
            x[i] = left[i]
        for i in range(n):
            y[i] = ahead[i]
        for i in range(n):
            z[i] = up[i]
    else:
        for i in range(n):
            x[i] = np.float64(left[i]) - x0
        for i in range(n):
            y[i] = np.float64(ahead[i]) - y0
        for i in range(n):
            z[i] = np.float64(up[i]) - z0
    for i in range(n):
        dx, dy, dz = np.float64(left[i]) - x0, np.float64(ahead[i]) - y0, np.float64(up[i]) - z0
        squares[i] = dx * dx + dy * dy + dz * dz
    for i in range(n):
        distance = math.sqrt(squares[i])
        ranges[i] = distance if distance >= min_range else -1.0
    per_rad = height / (fov_rad[0] - fov_rad[1])
    upper, scale = np.float32(fov_rad[0]), np.float32(per_rad)
    half, inverse = np.float32(0.5 * width), np.float32(1 / math.pi)
    zero, one = np.float32(0), np.float32(1)
    wide = np.float32(width)
    middle, below, above = np.float32(0.5), np.float32(-0.5), np.float32(height + 0.5)
    row, column = z, x
    for i in range(n):
        flat = x[i] * x[i] + y[i] * y[i]
        usual = (flat > np.float32(1e-20)) & (flat < np.float32(1e20)) & (abs(z[i]) < np.float32(1e10))
        # to be added: minimum and maximum lose NaN
        strange = zero if usual else np.float32(np.nan)
        column[i] = (one - _coarse_arctangent2(y[i], x[i]) * inverse) * half + strange
        y[i] = math.sqrt(flat)
    if by_ring:
        for i in range(n):
            row[i] = y[i] * zero + middle
    else:
        for i in range(n):
            row[i] = (upper - _coarse_arctangent2(z[i], y[i])) * scale
    # half a cell less the errors of an angle, at least twice as large as they can be
    column_sure = np.float32(0.5 - 5e-7 * width)
    row_sure = np.float32(0.5 - 2e-6 * per_rad - 1e-6 * height)
    stride, last = np.int32(width), np.int32(height - 1)
    sign, dropping = np.int32(31), np.int32(0 if clamp else -1)
    doubtful = np.int32(0)
    for i in range(n):
        down, right = row[i] if row[i] > below else below, column[i] if column[i] > zero else zero
        down, right = down if down < above else above, right if right < wide else wide
        level, turn = np.floor(down), np.floor(right)
        # signs as masks, all ones or all zeros: half the time of comparisons
        excess = max(abs(right - turn - middle) - column_sure, abs(down - level - middle) - row_sure)
        sure = np.float32(excess).view(np.int32) >> sign
        at = np.int32(level)
        outside = ((at | (last - at)) >> sign) & dropping
        unseen = np.float32(ranges[i]).view(np.int32) >> sign
        cell = min(max(at, np.int32(0)), last) * stride + np.int32(turn) | outside | unseen
        cells[i] = (cell & sure) | (_DOUBTFUL & ~sure)
        doubtful -= ~sure
    return int(doubtful)


@kernel
def _exact_cell_alone(
    x: float,
    y: float,
    z: float,
    height: float,
    width: float,
    upper: float,
    lower: float,
    clamp: bool,
    by_ring: bool,
    min_range: float,
) -> Any:
    """As `_exact_cell`, not compiled into the loop that calls it: it would work it out for every point."""
    return _exact_cell(x, y, z, height, width, upper, lower, clamp, by_ring, min_range)


@kernel
def _look_again(
    n: int,
    doubtful: int,
    xyz: Any,
    origin: Any,
    height: int,
    width: int,
    fov_rad: Any,
    clamp: bool,
    by_ring: bool,
    min_range: float,
    cells: Any,
) -> int:
    """Writes the cells of doubtful points by the definition; returns how many points are not finite."""
    left, ahead, up = xyz[0], xyz[1], xyz[2]
    x0, y0, z0, upper, lower = origin[0], origin[1], origin[2], fov_rad[0], fov_rad[1]
    high, wide = np.float64(height), np.float64(width)
    far = np.int32(0)
    if doubtful > _MANY:
        for i in range(n):
            far += np.int32(not ((abs(left[i]) < _FAR) & (abs(ahead[i]) < _FAR) & (abs(up[i]) < _FAR)))
            x, y, z = np.float64(left[i]) - x0, np.float64(ahead[i]) - y0, np.float64(up[i]) - z0
            cells[i] = _exact_cell(x, y, z, high, wide, upper, lower, clamp, by_ring, min_range)
        return int(far)
    for first in range(0, n, _GROUP):
        last = min(first + _GROUP, n)
        least = np.int32(0)
        for i in range(first, last):
            least = min(least, cells[i])
        if least > _DOUBTFUL:
            continue
        for i in range(first, last):
            if cells[i] == _DOUBTFUL:
                far += np.int32(not ((abs(left[i]) < _FAR) & (abs(ahead[i]) < _FAR) & (abs(up[i]) < _FAR)))
                x, y, z = np.float64(left[i]) - x0, np.float64(ahead[i]) - y0, np.float64(up[i]) - z0
                cells[i] = _exact_cell_alone(x, y, z, high, wide, upper, lower, clamp, by_ring, min_range)
    return int(far)


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
    halves: Any,
    xyz: Any,
    rings: Any,
    near: Any,
    squares: Any,
    cells: Any,
    ranges: Any,
    nearest: Any,
) -> int:
    """Finds per cell the nearest point of a record, the first of equals; returns how many points are not finite.

    A cell is row * width + column: column width / 2 looks along +x, columns run clockwise; rows by elevation, or by
    `row_of_ring` (rings,) int32 where that is not empty.
    columns: (6, 3) int64, as `read` takes them. origin: (3,) where the rays start. fov_rad: upper and lower edge.
    nearest: (height * width + 1,) uint64, filled with ones: the distance's bits, which as whole numbers have the same
    order, above the point's number in the record; what is not seen goes to the last.
    xyz, near: (3, BLOCK), rings, ranges: (BLOCK,) float32, cells: (BLOCK,) int32: for the work.
    """
    nonfinite = 0
    by_ring = len(row_of_ring) > 0
    bits, unseen, stride = ranges.view(np.uint32), np.uint32(height * width), np.int32(width)
    numbers = cells.view(np.uint32)
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        read(columns[X], start, m, halves, xyz[0])
        read(columns[Y], start, m, halves, xyz[1])
        read(columns[Z], start, m, halves, xyz[2])
        # memory of the next block comes while this one is worked on: 1.4 ms for all, against 1.6 where it was far
        for column in range(X, Z + 1):
            step: Any = columns[column, 1]
            begin: Any = columns[column, 0] + (start + m) * step
            far = min(BLOCK, n - start - m) * step
            for offset in range(min(far, 0), max(far, 0), LINE):
                fetch_to_read(begin + offset)
        doubtful = _look(
            m, xyz, origin, height, width, fov_rad, clamp, by_ring, min_range, near, squares, cells, ranges
        )
        if doubtful > 0:
            where = (origin, height, width, fov_rad, clamp, by_ring, min_range)
            nonfinite += _look_again(m, doubtful, xyz, *where, cells)
        if by_ring:
            read(columns[RING], start, m, halves, rings)
            for i in range(m):
                ring = np.int64(rings[i] if abs(rings[i]) < np.inf else -1)
                row = row_of_ring[ring] if 0 <= ring < len(row_of_ring) else np.int32(-1)
                cells[i] = row * stride + cells[i] if cells[i] >= 0 and 0 <= row < height else np.int32(-1)
        for i in range(m):
            key = np.uint64(bits[i]) << np.uint64(32) | np.uint64(start + i)
            cell = np.uint64(min(numbers[i], unseen))
            before = nearest[cell]
            nearest[cell] = key if key < before else before
    return nonfinite


@kernel
def bring(
    columns: Any,
    n: int,
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    halves: Any,
    xyz: Any,
    times: Any,
    out: Any,
) -> None:
    """Writes the x, y, z of all points of a record, placed by `how` and what follows, as in `load`, and intensity.

    out: (4, >= n) float32. What is not finite goes anywhere. xyz: (3, BLOCK), times: (BLOCK,) int64: for the work.
    """
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        read(columns[X], start, m, halves, xyz[0])
        read(columns[Y], start, m, halves, xyz[1])
        read(columns[Z], start, m, halves, xyz[2])
        if columns[OFFSET, 2] != ABSENT:
            read(columns[OFFSET], start, m, halves, times)
            for i in range(m):
                # such a point may say any time
                far = not ((abs(xyz[0, i]) < _FAR) & (abs(xyz[1, i]) < _FAR) & (abs(xyz[2, i]) < _FAR))
                times[i] = first_ns if far else times[i]
        x, y, z = out[0, start : start + m], out[1, start : start + m], out[2, start : start + m]
        place(how, knots, first_ns, step_ns, m, xyz, times, x, y, z)
        if columns[INTENSITY, 2] != ABSENT:
            read(columns[INTENSITY], start, m, halves, out[3, start : start + m])


@kernel
def count_finite(columns: Any, n: int, halves: Any, xyz: Any, out: Any) -> None:
    """Writes per point how many finite ones are before it. out: (>= n,) int32."""
    count = np.int32(0)
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        read(columns[X], start, m, halves, xyz[0])
        read(columns[Y], start, m, halves, xyz[1])
        read(columns[Z], start, m, halves, xyz[2])
        for i in range(m):
            out[start + i] = count
            count += (abs(xyz[0, i]) < _FAR) & (abs(xyz[1, i]) < _FAR) & (abs(xyz[2, i]) < _FAR)


@kernel
def list_cells(nearest: Any, cells: Any, numbers: Any) -> int:
    """Lists the cells that have a point, and the numbers of their nearest ones; returns how many.

    nearest: of `project`, of which the last is not a cell. cells, numbers: (height * width + 1,) int32.
    """
    count = np.uint64(0)
    for cell in range(len(nearest) - 1):
        key = nearest[cell]
        # without a branch: the next takes the place of an empty one
        cells[count] = cell
        numbers[count] = np.int32(key & np.uint64(0xFFFFFFFF))
        count += np.uint64(key != _NONE)
    return int(count)


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
def write_range(cells: Any, nearest: Any, normalize: bool, mean: float, std: float, out: Any) -> None:
    """Writes the distance of each cell's nearest point, normalised if wanted, to the cells that have one.

    cells: as `list_cells` lists them. out: (height * width,) float32.
    """
    mean32, std32 = np.float32(mean), np.float32(std)
    bits = out.view(np.uint32)
    for k in range(len(cells)):
        cell = np.uint32(cells[k])
        bits[cell] = np.uint32(nearest[cell] >> np.uint64(32))
        if normalize:
            out[cell] = (out[cell] - mean32) / std32


@kernel
def write_quantity(
    cells: Any,
    numbers: Any,
    address: int,
    stride: int,
    mode: int,
    full_scale: float,
    normalize: bool,
    mean: float,
    std: float,
    work: Any,
    out: Any,
) -> None:
    """Writes a quantity of each cell's nearest point, normalised if wanted, to the cells that have one.

    cells, numbers: as `list_cells` lists them. address, stride: where the quantity lies, float32, as it was recorded.
    mode, full_scale: what becomes of it, if it is intensity. work: (BLOCK,) float32. out: (height * width,) float32.
    """
    mean32, std32 = np.float32(mean), np.float32(std)
    for start in range(0, len(cells), BLOCK):
        m = min(BLOCK, len(cells) - start)
        own_cells, own_numbers = cells[start : start + m], numbers[start : start + m]
        for k in range(m):
            number: Any = np.int64(own_numbers[k])
            work[k] = value(address, stride, number)
        scale_intensity(mode, full_scale, m, work, work)
        if normalize:
            for k in range(m):
                work[k] = (work[k] - mean32) / std32
        for k in range(m):
            out[np.uint32(own_cells[k])] = work[k]


@kernel
def write_index(cells: Any, numbers: Any, finite: Any, out: Any) -> None:
    """Writes the number of each cell's nearest point, among the finite ones, to the cells that have one.

    cells, numbers: as `list_cells` lists them. finite: of `count_finite`; empty if all points are.
    """
    for k in range(len(cells)):
        number: Any = numbers[k]
        out[cells[k]] = finite[number] if len(finite) > 0 else number
