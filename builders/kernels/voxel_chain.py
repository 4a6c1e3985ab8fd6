"""From points to the rows of their voxels and the rows' sums: three passes, each by a thread of its own, one close
behind the other, or all by one.

By one thread chunk by chunk, so that a chunk's cells and rows are still in the cache, takes no less: 2.7 ms for 320 000
points in .1 m voxels without the sums, after something else has used the caches, against 2.6. Two threads: 2.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .cells import look
from .load import FAR
from .record import floats
from .turns import take_turn, wait_for
from .voxel_means import add_up
from .voxels import assign

__all__ = ["CHUNK", "chain"]

CHUNK = 16_384
"""Points after which a thread says how far it is, and begins anew to ask for memory ahead."""
_TAKING, _LOOKED, _ASSIGNED = 0, 8, 16
"""Where threads count: who takes the next part, how many chunks are looked at and have their rows; bytes."""


@kernel
def chain(
    looking: Any,
    cells: Any,
    max_voxels: int,
    stop: bool,
    shift: Any,
    table: Any,
    table_at: int,
    base: int,
    keys: Any,
    nothing: Any,
    rows_of_points: Any,
    adding: bool,
    columns: Any,
    points_per_sum: int,
    counts: Any,
    sums_at: int,
    rows_by_chunk: Any,
    found: Any,
    turns_at: int,
) -> None:
    """`look`, `assign` and `add_up`, each by one of the threads that call this at the same time, or all by one.

    looking: None where `cells` are found, else (columns, with_intensity, lows, voxels, sizes) of `look`. cells: (1, N).
    nothing: empty arrays for what `assign` does not do here: counts, firsts, chosen, slots. adding: whether sums are
    wanted. columns, points_per_sum, counts, sums_at: of `add_up`, for up to `max_voxels` rows; need not be 0.
    rows_by_chunk: (N // CHUNK + 1,) int64, for the work. found: (3,) int64: is given the rows, the points beyond
    `max_voxels`, and whether `look` found a point that it refuses, in which case nothing else counts; 0.
    turns_at: the address of three int64 zeros.
    """
    n = len(rows_of_points)
    # who stops does not begin again
    chunk = max(n, 1) if stop else CHUNK
    chunks = (n + chunk - 1) // chunk
    # in their order: each waits only for chunks of a part that another thread has begun, or has done itself
    part = take_turn(turns_at + _TAKING)
    while part < 3:
        if part == 0 and looking is not None:
            for number in range(chunks):
                begin, end = number * chunk, min((number + 1) * chunk, n)
                if found[2] == 0 and not _look(looking, begin, end - begin, cells):
                    found[2] = 1
                take_turn(turns_at + _LOOKED)
        elif part == 1:
            rows = lost = 0
            for number in range(chunks):
                begin, end = number * chunk, min((number + 1) * chunk, n)
                if looking is not None:
                    wait_for(turns_at + _LOOKED, number + 1)
                if found[2] == 0:
                    own = (cells[0, begin:end], rows_of_points[begin:end])
                    rows, more = _assign(own, rows, max_voxels, stop, shift, table, table_at, base, keys, nothing)
                    lost += more
                rows_by_chunk[number] = rows
                take_turn(turns_at + _ASSIGNED)
            found[0], found[1] = rows, lost
        elif part == 2 and adding:
            before = 0
            for number in range(chunks):
                begin, end = number * chunk, min((number + 1) * chunk, n)
                wait_for(turns_at + _ASSIGNED, number + 1)
                if found[2] == 0:
                    _clear(before, rows_by_chunk[number], len(columns), counts, sums_at)
                    before = rows_by_chunk[number]
                    add_up(rows_of_points[begin:end], begin, columns, points_per_sum, counts, sums_at)
        part = take_turn(turns_at + _TAKING)


@inner
def _look(looking: Any, begin: Any, n: Any, cells: Any) -> Any:
    columns, with_intensity, lows, voxels, sizes = looking
    return look(columns, begin, n, with_intensity, FAR, lows, voxels, sizes, cells)


@inner
def _assign(
    own: Any,
    rows: Any,
    max_voxels: Any,
    stop: Any,
    shift: Any,
    table: Any,
    table_at: Any,
    base: Any,
    keys: Any,
    nothing: Any,
) -> Any:
    """Gives the points of a chunk their rows; returns how many rows there are now, and the points beyond max_voxels."""
    ids, rows_of_points = own
    counts, firsts, chosen, slots = nothing
    where = (shift, table, table_at, base, keys, counts, firsts, chosen, slots, rows_of_points, rows)
    rows, _, lost = assign(ids, None, 1, 0, max_voxels, stop, *where)
    return rows, lost


@inner
def _clear(begin: Any, end: Any, width: Any, counts: Any, sums_at: Any) -> None:
    """Makes 0 of the counts and the sums of the rows [begin, end)."""
    counts[begin:end] = 0
    floats(sums_at, begin * width, (end - begin) * width)[:] = np.float32(0)
