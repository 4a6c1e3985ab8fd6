"""Hard voxels: which points go where, then the copying. Two passes, so that the id table stays in the cache.

One core, 160 000 points, .16 m pillars: 0.11 ms cells + 0.18 ms rows + 0.2 ms gather, against 8 ms in one pass
over a (rows, points, columns) array (benchmarks/voxels.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .record import fetch, value

__all__ = ["assign", "clear_slots", "forget", "gather", "gather_any", "merge", "write_coords", "write_counts"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: Knuth's multiplicative hash (TAOCP 3, 6.4)."""
_PLACE_BITS = 32
_PLACE = 2**_PLACE_BITS - 1
_AHEAD = 64
"""Points whose places in the table are fetched together."""


@inner
def _home(cell: Any, shift: Any) -> Any:
    """Where a table keeps a cell, or begins to look for it.

    shift: None: the table has a place for every cell; else 64 less the bits of its size: open addressing. numba
    compiles the two apart, so that neither pays for the other.
    """
    if shift is None:
        return np.int64(cell)
    return np.int64((np.uint64(cell) * _GOLDEN) >> shift)


@kernel
def assign(
    ids: Any,
    points_per_voxel: int,
    max_voxels: int,
    stop: bool,
    shift: Any,
    table: Any,
    table_at: int,
    places: Any,
    keys: Any,
    counts: Any,
    chosen: Any,
    slots: Any,
) -> tuple[int, int, int]:
    """Gives voxels their rows in the order in which they are first seen, and points their places in them.

    Returns how many rows there are, how many points have a place, and how many points are left out since their cells
    are beyond `max_voxels`; with `stop` those are all from the first such point on.
    ids: (N,) cell ids, -1 outside. shift: see _home. table: int32 of -1, at the address `table_at`; `forget` makes it
    so again. keys: (max_voxels,) the rows' ids; places: int32, where the table keeps each; counts: int32, points seen
    per row, also beyond `points_per_voxel`. chosen: (N,) int32, the points that have a place; slots: (N,) int64,
    row << 32 | place.
    """
    rows = kept = lost = 0
    mask = len(table) - 1
    for i in range(len(ids)):
        if shift is not None and i % _AHEAD == 0:
            # asked for before they are needed: a tenth less time, for hashing puts neighbours anywhere
            for j in range(i, min(i + _AHEAD, len(ids))):
                fetch(table_at + 4 * _home(max(ids[j], 0), shift))
        cell = ids[i]
        if cell < 0:
            continue
        at = _home(cell, shift)
        row = table[at]
        if shift is not None:
            while row >= 0 and keys[row] != cell:
                at = (at + 1) & mask
                row = table[at]
        if row < 0:
            if rows == max_voxels:
                if stop:
                    for j in range(i, len(ids)):
                        lost += ids[j] >= 0
                    break
                lost += 1
                continue
            row = np.int32(rows)
            table[at] = row
            places[row] = at
            keys[row] = cell
            counts[row] = 0
            rows += 1
        place = counts[row]
        counts[row] = place + 1
        # without a branch, which would be guessed wrong: what has no place is written over by the next
        chosen[kept] = i
        slots[kept] = np.int64(row) << _PLACE_BITS | place
        kept += place < points_per_voxel
    return rows, kept, lost


@kernel
def merge(
    theirs: Any,
    their_counts: Any,
    max_voxels: int,
    rows: int,
    shift: Any,
    table: Any,
    places: Any,
    keys: Any,
    counts: Any,
    rows_of: Any,
    before: Any,
) -> tuple[int, bool]:
    """Adds the rows of later points, which were assigned by themselves.

    Returns how many rows there are then, and whether that is all: not where those are more than `max_voxels`.
    theirs: the ids of the later points' rows. rows_of, before: int32, for each of them its row here, and how many
    points were in that before. The rest is as `assign` left it for the earlier points.
    """
    mask = len(table) - 1
    for their in range(len(theirs)):
        cell = theirs[their]
        at = _home(cell, shift)
        row = table[at]
        if shift is not None:
            while row >= 0 and keys[row] != cell:
                at = (at + 1) & mask
                row = table[at]
        if row < 0:
            if rows == max_voxels:
                return rows, False
            row = np.int32(rows)
            table[at] = row
            places[row] = at
            keys[row] = cell
            counts[row] = 0
            rows += 1
        rows_of[their] = row
        before[their] = counts[row]
        counts[row] += their_counts[their]
    return rows, True


@kernel
def forget(places: Any, table: Any) -> None:
    """Makes -1 of the table again, which keeps the rows at `places`."""
    for row in range(len(places)):
        table[places[row]] = -1


@kernel
def gather_any(
    columns: Any,
    start: int,
    chosen: Any,
    slots: Any,
    rows_of: Any,
    before: Any,
    points_per_voxel: int,
    rows: int,
    out: Any,
) -> None:
    """Writes the columns of the points `start` + chosen to their slots, as far as there are `rows`.

    columns: (C, 2) int64, where they lie. chosen, slots: of `assign`. rows_of, before: of `merge`; empty where the
    points' own rows are final. out: (slots, C) float32.
    """
    renumbered = len(rows_of) > 0
    for k in range(len(slots)):
        row, place, i = slots[k] >> _PLACE_BITS, slots[k] & _PLACE, start + chosen[k]
        if renumbered:
            place += np.int64(before[row])
            row = np.int64(rows_of[row])
        if row < rows and place < points_per_voxel:
            for column in range(len(columns)):
                out[row * points_per_voxel + place, column] = value(columns[column, 0], columns[column, 1], i)


@kernel
def gather(
    columns: Any,
    start: int,
    chosen: Any,
    slots: Any,
    rows_of: Any,
    before: Any,
    points_per_voxel: int,
    rows: int,
    out: Any,
) -> None:
    """As gather_any, for four columns or five, taken apart: 0.6 ms for 170 000 points, against 0.8."""
    renumbered, last = len(rows_of) > 0, len(columns) - 1
    a_at, a_step, b_at, b_step = columns[0, 0], columns[0, 1], columns[1, 0], columns[1, 1]
    c_at, c_step, d_at, d_step = columns[2, 0], columns[2, 1], columns[3, 0], columns[3, 1]
    e_at, e_step, five = columns[last, 0], columns[last, 1], last == 4
    for k in range(len(slots)):
        row, place, i = slots[k] >> _PLACE_BITS, slots[k] & _PLACE, start + chosen[k]
        if renumbered:
            place += np.int64(before[row])
            row = np.int64(rows_of[row])
        if row < rows and place < points_per_voxel:
            slot = np.uint64(row * points_per_voxel + place)
            out[slot, 0] = value(a_at, a_step, i)
            out[slot, 1] = value(b_at, b_step, i)
            out[slot, 2] = value(c_at, c_step, i)
            out[slot, 3] = value(d_at, d_step, i)
            if five:
                out[slot, 4] = value(e_at, e_step, i)


@kernel
def clear_slots(counts: Any, points_per_voxel: int, begin: int, end: int, written: Any, out: Any) -> None:
    """Zeroes what an earlier frame left in the rows [begin, end) behind the points of this one.

    counts: (rows,) int32 points per row of this frame; rows behind have none. written: (>= end,) int32, how many slots
    of each row were written; is brought up to date. out: (slots, C) float32.
    """
    most = np.int32(points_per_voxel)
    for start in range(begin, end, 256):
        stop = min(start + 256, end)
        filled = min(max(len(counts) - start, 0), stop - start)
        now, then = counts[start : start + filled], written[start:stop]
        left = np.int32(0)
        for row in range(filled):
            left = max(left, then[row] - min(now[row], most))
        for row in range(filled, stop - start):
            left = max(left, then[row])
        # where there is nothing to clear, no row is looked at by itself: 0.1 ms for 95 000 rows, against 0.17
        if left > 0:
            for row in range(stop - start):
                place = min(now[row], most) if row < filled else np.int32(0)
                slot = (start + row) * points_per_voxel
                out[slot + place : slot + max(then[row], place), :] = 0
        for row in range(filled):
            then[row] = min(now[row], most)
        then[filled:] = 0


@kernel
def write_coords(keys: Any, rows: int, size_x: int, size_y: int, x_first: bool, out: Any) -> None:
    """Writes the rows' cells as z y x, or x y z. out: (>= rows, 3) int32; its rows need not lie side by side."""
    if keys.itemsize == 8:
        for row in range(rows):
            rest = keys[row] // size_x
            z = rest // size_y
            _write_cell(keys[row] - rest * size_x, rest - z * size_y, z, x_first, out[row])
        return
    # numbers of 31 bits are divided to the last bit by a float64 product, in wide instructions, which integers are not:
    # 0.2 ms for 95 000 rows, against 0.36. The half keeps the quotient further from whole numbers than it is wrong
    per_x, per_y = 1.0 / size_x, 1.0 / size_y
    for row in range(rows):
        key = np.float64(keys[row])
        rest = np.floor((key + 0.5) * per_x)
        z = np.floor((rest + 0.5) * per_y)
        _write_cell(key - rest * size_x, rest - z * size_y, z, x_first, out[row])


@inner
def _write_cell(x: Any, y: Any, z: Any, x_first: bool, out: Any) -> None:
    out[0] = x if x_first else z
    out[1] = y
    out[2] = z if x_first else x


@kernel
def write_counts(counts: Any, rows: int, points_per_voxel: int, out: Any) -> None:
    """Writes how many of each row's slots are real. out: (>= rows,) int32."""
    for row in range(rows):
        out[row] = min(counts[row], points_per_voxel)
