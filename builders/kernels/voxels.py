"""Hard voxels: which points go where, then the copying. Two passes, so that the id table stays in the cache.

One core, 160 000 points, .16 m pillars: 0.11 ms cells + 0.18 ms rows + 0.2 ms gather, against 8 ms in one pass
over a (rows, points, columns) array (benchmarks/voxels.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .record import bits, fetch, value
from .turns import take_turn, wait_for

__all__ = [
    "PLACE",
    "PLACE_BITS",
    "TURNS",
    "assign",
    "assign_shared",
    "clear_slots",
    "gather",
    "gather_any",
    "write_coords",
    "write_counts",
]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: Knuth's multiplicative hash (TAOCP 3, 6.4)."""
PLACE_BITS = 32
PLACE = 2**PLACE_BITS - 1
"""Of a slot: its lower bits are the place in the row, those above the row."""
_AHEAD = 64
"""Points whose places in the table are fetched together: those of one word of `firsts`."""
_FAR_AHEAD = 128
"""Points between the one whose place is fetched and the one that is looked up."""
_WORD_BITS, _IN_WORD = 6, 63
_SIDE_BITS = 4
_GOLDEN_32, _HALF = np.uint32(0x9E3779B1), np.uint32(16)

TURNS = 6
_ASSIGNING, _ASSIGNED, _RANKING, _RANKED, _NUMBERING, _NUMBERED = range(0, 8 * TURNS, 8)
"""Where `assign_shared` counts: who takes a turn at each of its three parts, and who has had it; bytes."""


@inner
def _home(cell: Any, shift: Any) -> Any:
    """Where a table keeps a cell, or begins to look for it.

    shift: None: the table has a place for every cell; else 64 less the bits of its size: open addressing. numba
    compiles the two apart, so that neither pays for the other.
    """
    if shift is None:
        return np.uint64(cell)
    return (np.uint64(cell) * _GOLDEN) >> shift


@inner
def _find_own(ids: Any, begin: Any, n: Any, owner: Any, owners: Any, flags: Any, out: Any) -> Any:
    """Writes the numbers, among n points from `begin` on, of those in an owner's cells to `out`; returns how many.

    Sixteen cells side by side have one owner, which is anyone: Knuth's hash again, in 32 bits.
    """
    part = ids[begin : begin + n]
    for k in range(n):
        place = np.uint32(np.uint32(part[k] >> _SIDE_BITS) * _GOLDEN_32) >> _HALF
        flags[k] = (np.uint32(place * np.uint32(owners)) >> _HALF == np.uint32(owner)) & (part[k] >= 0)
    found: Any = np.uint64(0)
    for k in range(n):
        # without a branch, which would be guessed wrong
        out[found] = k
        found += np.uint64(flags[k])
    return np.int64(found)


@kernel
def assign(
    ids: Any,
    owner: Any,
    owners: int,
    points_per_voxel: int,
    max_voxels: int,
    stop: bool,
    shift: Any,
    table: Any,
    table_at: int,
    base: int,
    keys: Any,
    counts: Any,
    firsts: Any,
    chosen: Any,
    slots: Any,
    rows_of_points: Any,
    rows_before: int,
) -> tuple[Any, Any, Any]:
    """Gives voxels their rows in the order in which they are first seen, and points their places in them.

    Returns how many rows there are, how many points have a place, and how many points are left out since their cells
    are beyond `max_voxels`; with `stop` those are all from the first such point on.
    ids: (N,) cell ids, -1 outside. owner: None for all cells, or the number of one of `owners`, who share them: see
    _find_own. shift: see _home. table: int32, at the address `table_at`, whose entries below `base` are of earlier
    frames and count as empty; a row is kept there as base + row, so that nobody has to clear it. keys:
    (max_voxels + 1,) the rows' ids, and room for one more. counts: (max_voxels + 1,) int32, points per row, also beyond
    `points_per_voxel`; empty: they are not counted, and no point has a place. firsts: (N // 64 + 1,) uint64, for an
    owner: the bits of the points that are the first of a row are set, all others are cleared. chosen: (N,) int32, the
    points that have a place; slots: (N,) int64, row << 32 | place. rows_of_points: (N,) int32, each point's row, -1 for
    none; empty: they are not written. rows_before: how many rows there are from points before these.
    """
    rows: Any = np.uint64(rows_before)
    kept: Any = np.uint64(0)
    last, lost = np.uint64(max_voxels), 0
    mask: Any = np.uint64(len(table) - 1)
    one = np.uint64(1)
    counting, placing, writing = len(counts) > 0, points_per_voxel > 0, len(rows_of_points) > 0
    flags, own, homes = np.empty(_AHEAD, np.uint32), np.empty(_AHEAD, np.uint32), np.empty(_AHEAD, np.uint64)
    if owner is None and shift is not None:
        for k in range(min(_FAR_AHEAD, len(ids))):
            fetch(table_at + 4 * np.int64(_home(max(ids[k], 0), shift)))
    for begin in range(0, len(ids), _AHEAD):
        n = min(_AHEAD, len(ids) - begin)
        if owner is not None:
            n = _find_own(ids, begin, n, owner, owners, flags, own)
        new = np.uint64(0)
        if owner is not None and shift is not None:
            for k in range(n):
                homes[k] = _home(ids[np.uint64(begin + np.int64(own[k]))], shift)
                fetch(table_at + 4 * np.int64(homes[k]))
        for k in range(n):
            # unsigned, here and below: numba asks of every other index whether it counts from the end
            i = np.uint64(begin + (np.int64(own[k]) if owner is not None else k))
            cell = ids[i]
            if owner is None and shift is not None:
                # asked for before it is needed, for hashing puts neighbours anywhere: 1.0 ms for 320 000 points in .1 m
                # voxels, against 1.4 where those of 64 points are asked for together
                later = ids[np.uint64(min(begin + k + _FAR_AHEAD, len(ids) - 1))]
                fetch(table_at + 4 * np.int64(_home(max(later, 0), shift)))
            if cell < 0:
                if writing:
                    rows_of_points[i] = -1
                continue
            at = homes[k] if owner is not None and shift is not None else _home(cell, shift)
            # whether a cell is new would be guessed wrong every third time: the next row is made ready for it, and
            # taken or not without a branch. 0.9 ms for 320 000 points in .1 m voxels, against 2.3
            entry = table[at] - base
            row = rows if entry < 0 else np.uint64(entry)
            keys[rows] = cell
            if shift is not None:
                while keys[row] != cell:
                    at = (at + one) & mask
                    entry = table[at] - base
                    row = rows if entry < 0 else np.uint64(entry)
            if row == last:
                if stop:
                    for j in range(np.int64(i), len(ids)):
                        lost += ids[j] >= 0
                    if writing:
                        rows_of_points[np.int64(i) :] = -1
                    return np.int64(rows), np.int64(kept), lost
                lost += 1
                if writing:
                    rows_of_points[i] = -1
                continue
            table[at] = base + np.int64(row)
            if owner is not None:
                new |= np.uint64(entry < 0) << (i & np.uint64(_IN_WORD))
            if writing:
                rows_of_points[i] = row
            if counting:
                counts[rows] = 0
                place = counts[row]
                counts[row] = place + np.int32(1)
                if placing:
                    # without a branch, too: the next point overwrites one that has no place
                    chosen[kept] = i
                    slots[kept] = np.int64(row) << PLACE_BITS | np.int64(place)
                    kept += np.uint64(place < points_per_voxel)
            rows += np.uint64(entry < 0)
        if owner is not None:
            firsts[begin >> _WORD_BITS] = new
    return np.int64(rows), np.int64(kept), lost


@kernel
def assign_shared(
    ids: Any,
    owners: int,
    points_per_voxel: int,
    max_rows: int,
    max_voxels: int,
    shift: Any,
    tables: Any,
    tables_at: int,
    size: int,
    base: int,
    keys: Any,
    counts: Any,
    firsts: Any,
    chosen: Any,
    slots: Any,
    found: Any,
    together: Any,
    ranks: Any,
    rows_of: Any,
    all_keys: Any,
    all_counts: Any,
    turns_at: int,
) -> None:
    """As `assign`, by all threads that call it at the same time, to the same rows.

    Each owner's voxels get rows of their own; then `rows_of` says which those are among the rows of all. found:
    (owners, 3) int64, the numbers that `assign` returns. Where an owner has more than `max_rows`, or all together more
    than `max_voxels`, there is no `rows_of`, and `assign` must do it.
    tables, keys, counts, firsts, chosen, slots: of each owner, as for `assign`, or longer; size: of a table; rows_of:
    (owners, max_rows) int32. together, ranks: (N // 64 + 1,) uint64 and int32. all_keys, all_counts: (max_voxels,).
    turns_at: the address of TURNS int64 zeros: see take_turn.
    """
    nowhere, rows_before = rows_of[0, :0], 0
    owner = take_turn(turns_at + _ASSIGNING)
    while owner < owners:
        memory = (keys[owner], counts[owner], firsts[owner], chosen[owner], slots[owner], nowhere, rows_before)
        table_at = tables_at + owner * tables.strides[0]
        limits = (points_per_voxel, max_rows, False)
        rows, kept, lost = assign(ids, owner, owners, *limits, shift, tables[owner, :size], table_at, base, *memory)
        found[owner, 0], found[owner, 1], found[owner, 2] = rows, kept, lost
        take_turn(turns_at + _ASSIGNED)
        owner = take_turn(turns_at + _ASSIGNING)
    wait_for(turns_at + _ASSIGNED, owners)

    rows = lost = 0
    for each in range(owners):
        rows += found[each, 0]
        lost += found[each, 2]
    if lost > 0 or rows > max_voxels:
        return
    if take_turn(turns_at + _RANKING) == 0:
        _rank(firsts[:owners], together, ranks)
        take_turn(turns_at + _RANKED)
    wait_for(turns_at + _RANKED, 1)

    owner = take_turn(turns_at + _NUMBERING)
    while owner < owners:
        own = (firsts[owner], keys[owner], counts[owner], rows_of[owner])
        _number(*own, together, ranks, all_keys, all_counts)
        take_turn(turns_at + _NUMBERED)
        owner = take_turn(turns_at + _NUMBERING)
    wait_for(turns_at + _NUMBERED, owners)


@inner
def _rank(firsts: Any, together: Any, ranks: Any) -> None:
    """Counts the first points of all owners' rows, in the order of the points: how many come before each word."""
    before = 0
    for word in range(len(ranks)):
        either = firsts[0, word]
        for owner in range(1, len(firsts)):
            either |= firsts[owner, word]
        together[word] = either
        ranks[word] = before
        before += bits(either)


@inner
def _number(
    firsts: Any, keys: Any, counts: Any, rows_of: Any, together: Any, ranks: Any, all_keys: Any, all_counts: Any
) -> None:
    """Gives an owner's rows their numbers among the rows of all: a row's own is that of its first point among those."""
    own = 0
    for word in range(len(ranks)):
        left = firsts[word]
        while left != 0:
            below = (left - np.uint64(1)) & ~left
            row = ranks[word] + bits(together[word] & below)
            rows_of[own] = row
            all_keys[row] = keys[own]
            all_counts[row] = counts[own]
            own += 1
            left &= left - np.uint64(1)


@kernel
def gather_any(
    columns: Any,
    chosen: Any,
    slots: Any,
    rows_of: Any,
    points_per_voxel: int,
    rows: int,
    starts: Any,
    out: Any,
    out_at: int,
) -> None:
    """Writes the columns of the chosen points to their slots, as far as there are `rows`.

    columns: (C, 2) int64, where they lie. chosen, slots: of `assign`, of which those are left out whose place is not
    below `points_per_voxel`. rows_of: (n,) int32, the final numbers of the slots' rows; empty where they are final.
    starts: of `pack_rows`, where rows follow each other without empty slots; empty where each has `points_per_voxel`
    slots. out: (slots, C) float32, at the address `out_at`.
    """
    final = np.empty(_AHEAD, np.int64)
    for begin in range(0, len(slots), _AHEAD):
        part = slots[begin : begin + _AHEAD]
        n = _find_slots(part, rows_of, points_per_voxel, rows, starts, out_at, 4 * len(columns), final)
        for k in range(n):
            if final[k] >= 0:
                i: Any = np.int64(chosen[begin + k])
                for column in range(len(columns)):
                    out[final[k], column] = value(columns[column, 0], columns[column, 1], i)


@kernel
def gather(
    columns: Any,
    chosen: Any,
    slots: Any,
    rows_of: Any,
    points_per_voxel: int,
    rows: int,
    starts: Any,
    out: Any,
    out_at: int,
) -> None:
    """As gather_any, for four columns or five, taken apart: 0.6 ms for 170 000 points, against 0.8."""
    last = len(columns) - 1
    a_at, a_step, b_at, b_step = columns[0, 0], columns[0, 1], columns[1, 0], columns[1, 1]
    c_at, c_step, d_at, d_step = columns[2, 0], columns[2, 1], columns[3, 0], columns[3, 1]
    e_at, e_step, five = columns[last, 0], columns[last, 1], last == 4
    final = np.empty(_AHEAD, np.int64)
    for begin in range(0, len(slots), _AHEAD):
        part = slots[begin : begin + _AHEAD]
        n = _find_slots(part, rows_of, points_per_voxel, rows, starts, out_at, 4 * len(columns), final)
        for k in range(n):
            if final[k] >= 0:
                i: Any = np.int64(chosen[begin + k])
                slot = np.uint64(final[k])
                out[slot, 0] = value(a_at, a_step, i)
                out[slot, 1] = value(b_at, b_step, i)
                out[slot, 2] = value(c_at, c_step, i)
                out[slot, 3] = value(d_at, d_step, i)
                if five:
                    out[slot, 4] = value(e_at, e_step, i)


@inner
def _find_slots(
    slots: Any, rows_of: Any, points_per_voxel: Any, rows: Any, starts: Any, out_at: Any, nbytes: Any, out: Any
) -> Any:
    """Writes where in the tensor some points go to `out`, and asks for that memory; returns how many they are.

    Those that go nowhere get -1: others may need more points of a voxel, or more rows.

    Asked for before it is written, a frame that finds its memory far away takes a seventh less time to gather.
    """
    for k in range(len(slots)):
        row, place = slots[k] >> PLACE_BITS, slots[k] & PLACE
        if len(rows_of) > 0:
            row = np.int64(rows_of[row])
        begin = row * points_per_voxel
        if len(starts) > 0:
            begin = np.int64(starts[row])
        out[k] = begin + place if (place < points_per_voxel) & (row < rows) else -1
        fetch(out_at + nbytes * out[k])
    return len(slots)


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
        # where there is nothing to clear, rows are not looked at one by one: 0.1 ms for 95 000 rows, against 0.17
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
