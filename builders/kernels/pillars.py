"""Decorated pillars: points packed row behind row, then each with its offsets.

Packed first, since a mean must be known before the first point of its pillar is written; then one pass reads and writes
in order, whole cache lines at a time. Whole builds of one thread, ten sweeps, 169 000 points of 27 000 pillars with ten
columns: 3.6 ms; 4.4 without going past the caches, and 5.2 with a store for each number (benchmarks/voxel_points.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .processor import LINE, copy_four, write_four, write_offsets
from .record import fetch, floats, settle, stream, value
from .voxels import PLACE, PLACE_BITS

__all__ = ["decorate", "pack", "pack_rows"]

_AHEAD = 16
"""Rows between the one that is written and the one whose memory is asked for."""
_NUMBERS = LINE // 4


@kernel
def pack_rows(counts: Any, points_per_voxel: int, rows: int, starts: Any) -> None:
    """Writes where each row begins among points that are packed row behind row, and where the last one ends.

    counts: (rows,) int32, of which at most `points_per_voxel` are packed. starts: (>= rows + 1,) int32.
    """
    at = 0
    for row in range(rows):
        starts[row] = at
        at += min(counts[row], points_per_voxel)
    starts[rows] = at


@kernel
def pack(
    columns: Any, chosen: Any, slots: Any, rows_of: Any, points_per_voxel: int, starts: Any, packed_at: int
) -> None:
    """Packs the chosen points: as `gather` of voxels.py, for four columns or five of one stride, and all rows.

    packed_at: the address of the (n, C) float32.
    """
    last = len(columns) - 1
    a_at, b_at, c_at, d_at, e_at = columns[0, 0], columns[1, 0], columns[2, 0], columns[3, 0], columns[last, 0]
    step, five, nbytes = columns[0, 1], last == 4, 4 * len(columns)
    for k in range(len(slots)):
        # unsigned: signed indices are looked at, whether they count from the end
        row, place = np.uint64(slots[k] >> PLACE_BITS), slots[k] & PLACE
        if len(rows_of) > 0:
            row = np.uint64(rows_of[row])
        if place < points_per_voxel:
            i: Any = np.int64(chosen[k])
            at: Any = packed_at + nbytes * (np.int64(starts[row]) + place)
            write_four(value(a_at, step, i), value(b_at, step, i), value(c_at, step, i), value(d_at, step, i), at)
            if five:
                floats(at, 4, 1)[0] = value(e_at, step, i)


@kernel
def decorate(
    packed_at: int,
    columns: int,
    starts: Any,
    keys: Any,
    size_x: int,
    size_y: int,
    grid: Any,
    decoration: Any,
    points_per_voxel: int,
    begin: int,
    end: int,
    width: int,
    past_caches: bool,
    out_at: int,
) -> None:
    """Writes the packed points of the rows [begin, end) to their slots, decorated.

    packed_at: the address of the (n, columns) float32 points, x, y, z first; four numbers can be read at each. starts:
    of `pack_rows`. keys: the rows' cells. grid: (6,) float32, the cells' edges along x, y, z and the centre of the
    first cell. decoration: (5,) int64: absolute_xyz, cluster_offset, along how many axes from the centre (0, 2 or 3),
    with_distance, legacy. past_caches: whole lines are written past the caches, and zeros behind the points up to the
    end of a line, where empty slots are zero anyway. out_at: the address of the (slots, width) float32.
    """
    edge_x, edge_y, edge_z, first_x, first_y, first_z = grid[0], grid[1], grid[2], grid[3], grid[4], grid[5]
    absolute, cluster, along = decoration[0] != 0, decoration[1] != 0, decoration[2]
    distance, legacy = decoration[3] != 0, decoration[4] != 0
    is_usual = columns > 3 and absolute and cluster and along == 3 and not distance and not legacy
    row_nbytes = 4 * width * points_per_voxel
    lines = np.empty(row_nbytes // 4 + 3 * _NUMBERS, np.float32)
    # int64, as what is added to it
    lines_at: Any = np.int64(lines.ctypes.data)
    lines_at += -lines_at % LINE
    for row in range(begin, end):
        start: Any = np.int64(starts[row])
        n: Any = np.int64(starts[row + 1]) - start
        source, place = packed_at + 4 * start * columns, out_at + row_nbytes * row
        to = lines_at + place % LINE if past_caches else place
        if not past_caches:
            ahead = min(row + _AHEAD, end - 1)
            for line in range(0, 4 * width * np.int64(starts[ahead + 1] - starts[ahead]), LINE):
                fetch(out_at + row_nbytes * ahead + line)
        rest = keys[row] // size_x
        cell_z = rest // size_y
        center_x = np.float32(keys[row] - rest * size_x) * edge_x + first_x
        center_y = np.float32(rest - cell_z * size_y) * edge_y + first_y
        center_z = np.float32(cell_z) * edge_z + first_z
        mean_x = mean_y = mean_z = np.float32(0)
        for k in range(n):
            point = floats(source, k * columns, 3)
            mean_x += point[0]
            mean_y += point[1]
            mean_z += point[2]
        mean_x /= np.float32(n)
        mean_y /= np.float32(n)
        mean_z /= np.float32(n)
        offsets = (mean_x, mean_y, mean_z, center_x, center_y, center_z)
        if is_usual:
            _write_usual(source, n, columns, offsets, width, to)
        else:
            how = (absolute, cluster, along, distance, legacy)
            _write_any(source, n, columns, offsets, how, width, to)
        if past_caches:
            before = np.int64(starts[row] - starts[row - 1]) if row > 0 else points_per_voxel
            end_before = place - row_nbytes + 4 * width * before
            _write_lines(lines_at, n * width, end_before, place + row_nbytes, place)
    if past_caches:
        settle()
    # numba lets go of an array behind the last line that names it, whoever still has its address
    lines[0] = 0


@inner
def _write_usual(source: int, n: int, columns: int, offsets: Any, width: int, to: int) -> None:
    """Writes n points, each with the offsets from the mean and from the centre behind its columns, four or more."""
    at, out = source, to
    for _ in range(n):
        copy_four(at, out)
        for column in range(4, columns):
            floats(out, column, 1)[0] = floats(at, column, 1)[0]
        write_offsets(at, *offsets, out + 4 * columns)
        at += 4 * columns
        out += 4 * width


@inner
def _write_any(source: int, n: int, columns: int, offsets: Any, how: Any, width: int, to: int) -> None:
    """Writes n points, each with what is wanted."""
    mean_x, mean_y, mean_z, center_x, center_y, center_z = offsets
    absolute, cluster, along, distance, legacy = how
    # unsigned: signed ones are looked at, whether they count from the end
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    points, out = floats(source, 0, n * columns), floats(to, 0, n * width)
    for k in range(n):
        at, put = np.uint64(k * columns), np.uint64(k * width)
        x, y, z = points[at], points[at + one], points[at + two]
        from_mean_x, from_mean_y, from_mean_z = x - mean_x, y - mean_y, z - mean_z
        from_x, from_y, from_z = x - center_x, y - center_y, z - center_z
        if legacy:
            x, y = from_x, from_y
            if along == 3:
                z = from_z
        if absolute:
            out[put], out[put + one], out[put + two] = x, y, z
            put += three
        for column in range(3, columns):
            out[put] = points[at + np.uint64(column)]
            put += one
        if cluster:
            out[put], out[put + one], out[put + two] = from_mean_x, from_mean_y, from_mean_z
            put += three
        if along > 0:
            out[put], out[put + one] = from_x, from_y
            put += two
        if along == 3:
            out[put] = from_z
            put += one
        if distance:
            out[put] = np.sqrt(x * x + y * y + z * z)


@inner
def _write_lines(lines_at: int, n: int, end_before: Any, end: int, place: int) -> None:
    """Copies a row's n numbers to its place: whole lines past the caches, what shares a line with a neighbour not.

    lines_at: a multiple of 64; the numbers begin as far behind it as the place is behind a cache line. end_before:
    where the numbers of the row before end; end: where the next row begins.
    """
    head = place % LINE // 4
    count = (head + n + _NUMBERS - 1) // _NUMBERS
    line = place - 4 * head
    lines, out = floats(lines_at, 0, count * _NUMBERS), floats(line, 0, count * _NUMBERS)
    lines[:head] = 0
    lines[head + n :] = 0
    first, last = 0, count
    if head > 0 and end_before > line:
        first = 1
        for k in range(head, min(head + n, _NUMBERS)):
            out[k] = lines[k]
    if line + LINE * count > end and last > first:
        last = count - 1
        for k in range(max(_NUMBERS * last, head), head + n):
            out[k] = lines[k]
    stream(line + LINE * first, lines_at + LINE * first, last - first)
