"""Projecting a sweep: which point is the nearest in each cell of the image.

What the image is comes in two arrays. size: (3,) int64, `HEIGHT`, `WIDTH`, and `STRIDE`, the columns that a row has in
memory, of which those from WIDTH on are padding. view: (5,) float64: `UPPER` and `LOWER` edge in rad, `FIRST`, the
azimuth of the left edge in half turns, within -1 to 1, `PER_HALF_TURN`, so many columns to half a turn, negative where
they run counterclockwise, and `MIN_RANGE` in m.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from ..load import FAR, RING, X, Y, Z
from ..processor import LINE
from ..record import ABSENT, BLOCK, fetch_to_read, read
from .angles import arctangent2, coarse_arctangent2

__all__ = ["look_again", "project"]

HEIGHT, WIDTH, STRIDE = range(3)
UPPER, LOWER, FIRST, PER_HALF_TURN, MIN_RANGE = range(5)

_DOUBTFUL = np.int32(-2)
"""In place of a cell: float32 cannot say which."""
_GROUP = 64
"""Points among which doubtful ones are looked for together."""
_MANY = 32
"""Doubtful points of a block from which on all are looked at again, in wide instructions."""


@inner
def _exact_cell(
    x: float,
    y: float,
    z: float,
    height: float,
    width: float,
    stride: int,
    upper: float,
    lower: float,
    first: float,
    per_half_turn: float,
    clamp: bool,
    clamp_seam: bool,
    by_ring: bool,
    min_range: float,
) -> Any:
    """Returns a point's cell row * stride + column, int32, or -1: the definition, in float64. By ring, its column."""
    distance = math.sqrt(x * x + y * y + z * z)
    level = 0.0
    if not by_ring:
        level = np.floor((upper - arctangent2(z, math.sqrt(x * x + y * y))) / (upper - lower) * height)
        level = min(max(level, 0.0), height - 1.0) if clamp else level
    half_turns = arctangent2(y, x) / math.pi
    if clamp_seam:
        # as C has it: behind, the sign of zero says from which side
        half_turns = -1.0 if (y == 0.0) & (x < 0.0) & (math.copysign(1.0, y) < 0.0) else half_turns
    turn = 2.0 * abs(per_half_turn)
    at = (first - half_turns) * per_half_turn
    at = at + turn if at < 0.0 else at
    # azimuth is periodic: the column behind the last of a whole turn is the first, unless it is clamped as published
    last = width - 1.0 if clamp_seam and width == turn else 0.0
    column = last if at >= turn else np.floor(at)
    near = (abs(x) < FAR) & (abs(y) < FAR) & (abs(z) < FAR)
    seen = near & (distance >= min_range) & (level >= 0.0) & (level < height) & (column < width)
    cell = np.int32(level if seen else 0.0) * np.int32(stride) + np.int32(column if seen else 0.0)
    return cell if seen else np.int32(-1)


@kernel
def _look(
    n: int,
    xyz: Any,
    origin: Any,
    size: Any,
    view: Any,
    clamp: bool,
    by_ring: bool,
    near: Any,
    squares: Any,
    cells: Any,
    ranges: Any,
) -> int:
    """Writes per point of a block its distance and its cell, or _DOUBTFUL; returns how many are doubtful.

    Angles are worked out in float32, to 1e-6, which takes a third of the time. A point is doubtful where that is not
    enough to say on which side of a border it lies, one of 200 in an image of 64 x 2048, and where squares leave
    float32 or a number is not finite. The distance is float64, rounded once; -1 for what is not seen: nearer than
    `min_range`, or well beside an image that does not go all round.
    """
    left, ahead, up = xyz[0], xyz[1], xyz[2]
    x, y, z = near[0], near[1], near[2]
    x0, y0, z0 = origin[0], origin[1], origin[2]
    height, width, min_range = size[HEIGHT], size[WIDTH], view[MIN_RANGE]
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
    per_rad = height / (view[UPPER] - view[LOWER])
    upper, scale = np.float32(view[UPPER]), np.float32(per_rad)
    first, per_half_turn, inverse = np.float32(view[FIRST]), np.float32(view[PER_HALF_TURN]), np.float32(1 / math.pi)
    zero = np.float32(0)
    wide, turn = np.float32(width), 2.0 * abs(view[PER_HALF_TURN])
    middle, below, above = np.float32(0.5), np.float32(-0.5), np.float32(height + 0.5)
    row, column = z, x
    for i in range(n):
        flat = x[i] * x[i] + y[i] * y[i]
        usual = (flat > np.float32(1e-20)) & (flat < np.float32(1e20)) & (abs(z[i]) < np.float32(1e10))
        # to be added: minimum and maximum lose NaN
        strange = zero if usual else np.float32(np.nan)
        column[i] = (first - coarse_arctangent2(y[i], x[i]) * inverse) * per_half_turn + strange
        y[i] = math.sqrt(flat)
    if by_ring:
        for i in range(n):
            row[i] = y[i] * zero + middle
    else:
        for i in range(n):
            row[i] = (upper - coarse_arctangent2(z[i], y[i])) * scale
    if turn != width or abs(view[FIRST]) != 1:
        # it begins elsewhere than behind, or ends before it comes round
        whole, beyond = np.float32(turn), np.float32(width + 0.5 + 1e-6 * turn)
        before = np.float32(turn - 0.5 - 1e-6 * turn)
        for i in range(n):
            column[i] = column[i] + whole if column[i] < zero else column[i]
            beside = (column[i] > beyond) & (column[i] < before)
            ranges[i] = np.float32(-1) if beside else ranges[i]
            column[i] = middle if beside else column[i]
    # half a cell less the errors of an angle, at least twice as large as they can be
    column_sure = np.float32(0.5 - 5e-7 * turn)
    row_sure = np.float32(0.5 - 2e-6 * per_rad - 1e-6 * height)
    stride, last = np.int32(size[STRIDE]), np.int32(height - 1)
    sign, dropping = np.int32(31), np.int32(0 if clamp else -1)
    doubtful = np.int32(0)
    for i in range(n):
        down, right = row[i] if row[i] > below else below, column[i] if column[i] > zero else zero
        down, right = down if down < above else above, right if right < wide else wide
        level, turned = np.floor(down), np.floor(right)
        # signs as masks, all ones or all zeros: half the time of comparisons
        excess = max(abs(right - turned - middle) - column_sure, abs(down - level - middle) - row_sure)
        sure = np.float32(excess).view(np.int32) >> sign
        at = np.int32(level)
        outside = ((at | (last - at)) >> sign) & dropping
        unseen = np.float32(ranges[i]).view(np.int32) >> sign
        cell = min(max(at, np.int32(0)), last) * stride + np.int32(turned) | outside | unseen
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
    stride: int,
    upper: float,
    lower: float,
    first: float,
    per_half_turn: float,
    clamp: bool,
    clamp_seam: bool,
    by_ring: bool,
    min_range: float,
) -> Any:
    """As `_exact_cell`, not compiled into the loop that calls it: it would work it out for every point."""
    shape = (height, width, stride, upper, lower, first, per_half_turn)
    return _exact_cell(x, y, z, *shape, clamp, clamp_seam, by_ring, min_range)


@kernel
def look_again(
    n: int,
    doubtful: int,
    xyz: Any,
    origin: Any,
    size: Any,
    view: Any,
    clamp: bool,
    clamp_seam: bool,
    by_ring: bool,
    cells: Any,
) -> int:
    """Writes the cells of doubtful points by the definition; returns how many points are not finite."""
    left, ahead, up = xyz[0], xyz[1], xyz[2]
    x0, y0, z0, upper, lower = origin[0], origin[1], origin[2], view[UPPER], view[LOWER]
    high, wide, stride = np.float64(size[HEIGHT]), np.float64(size[WIDTH]), size[STRIDE]
    start, per_half_turn, min_range = view[FIRST], view[PER_HALF_TURN], view[MIN_RANGE]
    shape = (high, wide, stride, upper, lower, start, per_half_turn)
    far = np.int32(0)
    if doubtful > _MANY:
        for i in range(n):
            far += np.int32(not ((abs(left[i]) < FAR) & (abs(ahead[i]) < FAR) & (abs(up[i]) < FAR)))
            x, y, z = np.float64(left[i]) - x0, np.float64(ahead[i]) - y0, np.float64(up[i]) - z0
            cells[i] = _exact_cell(x, y, z, *shape, clamp, clamp_seam, by_ring, min_range)
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
                far += np.int32(not ((abs(left[i]) < FAR) & (abs(ahead[i]) < FAR) & (abs(up[i]) < FAR)))
                x, y, z = np.float64(left[i]) - x0, np.float64(ahead[i]) - y0, np.float64(up[i]) - z0
                cells[i] = _exact_cell_alone(x, y, z, *shape, clamp, clamp_seam, by_ring, min_range)
    return int(far)


@kernel
def project(
    columns: Any,
    n: int,
    origin: Any,
    size: Any,
    view: Any,
    clamp: bool,
    clamp_seam: bool,
    row_of_ring: Any,
    image_column: Any,
    returns: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    near: Any,
    squares: Any,
    cells: Any,
    ranges: Any,
    nearest: Any,
) -> int:
    """Finds per cell the nearest point of a record, the first of equals; returns how many points are not finite.

    A cell is row * STRIDE + column; rows by elevation, or by `row_of_ring` (rings,) int32 where that is not empty.
    columns: (6, 3) int64, as `read` takes them. origin: (3,) where the rays start. size, view: see above. clamp: points
    above and below go to the edge rows. clamp_seam: a whole turn goes to the last column, and not to the first.
    image_column, returns: (3,) int64, columns as in `columns`, or absent. A point goes to the image's column that the
    first says; only points where the second is 0 are taken.
    nearest: (HEIGHT * STRIDE + 1,) uint64, filled with ones: the distance's bits, which as whole numbers have the same
    order, above the point's number in the record; what is not seen goes to the last.
    xyz, near: (3, BLOCK), values, ranges: (BLOCK,) float32, cells: (BLOCK,) int32: for the work.
    """
    nonfinite = 0
    height, width, stride = size[HEIGHT], size[WIDTH], np.int32(size[STRIDE])
    by_ring = len(row_of_ring) > 0
    bits, unseen = ranges.view(np.uint32), np.uint32(size[HEIGHT] * size[STRIDE])
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
        doubtful = _look(m, xyz, origin, size, view, clamp, by_ring, near, squares, cells, ranges)
        if doubtful > 0:
            nonfinite += look_again(m, doubtful, xyz, origin, size, view, clamp, clamp_seam, by_ring, cells)
        if image_column[2] != ABSENT:
            read(image_column, start, m, halves, values)
            for i in range(m):
                at = np.int64(values[i] if abs(values[i]) < np.inf else -1)
                row = cells[i] // stride
                cells[i] = row * stride + np.int32(at) if cells[i] >= 0 and 0 <= at < width else np.int32(-1)
        if by_ring:
            read(columns[RING], start, m, halves, values)
            for i in range(m):
                ring = np.int64(values[i] if abs(values[i]) < np.inf else -1)
                row = row_of_ring[ring] if 0 <= ring < len(row_of_ring) else np.int32(-1)
                cells[i] = row * stride + cells[i] if cells[i] >= 0 and 0 <= row < height else np.int32(-1)
        if returns[2] != ABSENT:
            read(returns, start, m, halves, values)
            for i in range(m):
                cells[i] = cells[i] if values[i] == 0 else np.int32(-1)
        for i in range(m):
            key = np.uint64(bits[i]) << np.uint64(32) | np.uint64(start + i)
            cell = np.uint64(min(numbers[i], unseen))
            before = nearest[cell]
            nearest[cell] = key if key < before else before
    return nonfinite
