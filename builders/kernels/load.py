"""A sweep in one pass: read it where it is, drop points, scale, move in float64, write float32 columns.

Block by block, so that what is read once stays in the first-level cache until it is written. Coordinates that are
recorded in float64 stay so until they are moved: 5e6 m lose nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .cells import block_ids
from .chosen import choose
from .processor import LINE
from .record import ABSENT, BLOCK, fetch_to_read, read, read_chosen

__all__ = ["EACH", "FAR", "INTENSITY", "MOVE", "OFFSET", "RAW", "RING", "SHIFT", "STAY", "TANH", "UNIT", "is_far"]
__all__ += ["load", "load_pieces", "move_each", "place", "scale_intensity", "span", "take"]

X, Y, Z, INTENSITY, RING, OFFSET = range(6)
"""The columns of a record, in the order in which `load` is given them."""

RAW, UNIT, TANH = range(3)
"""What becomes of intensity: as recorded, by the sensor's full scale, tanh of what is recorded."""

STAY, SHIFT, MOVE, EACH = range(4)
"""Where points go: nowhere, not touched by any arithmetic; by a vector; by one transform; each by its own time's."""

FAR = 2.0**100
"""Metres; a number beyond is as good as infinite, and a rotation could make it so."""


@inner
def is_far(x: float, y: float, z: float, far: float) -> bool:
    """Whether a point is not finite. NaN is not smaller than anything."""
    return not ((abs(x) < far) & (abs(y) < far) & (abs(z) < far))


@kernel
def take(
    columns: Any,
    start: int,
    n: int,
    key: int,
    below: int,
    word: int,
    close: float,
    drop_intensity: bool,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    rows: Any,
) -> tuple[int, int, int]:
    """Reads a block and drops points that are not finite or lie within the square |x|, |y| < close; keeps the order.

    Returns how many are kept, how many were not finite, and how many a draw has dropped before.
    columns: (6, 3) int64, as `read` takes them. key, below, word: as `choose` takes them; it is as if the record had no
    other points, and in that order. xyz: (3, BLOCK) float64, or float32 where that holds what the columns
    hold: a quarter less time. values: (2, BLOCK) float32, intensity, as recorded, and ring. times: (BLOCK,) int64, the
    offsets. Of absent columns nothing is written. rows: (BLOCK,) int32, for the work.
    """
    x, y, z, intensity, ring = xyz[0], xyz[1], xyz[2], values[0], values[1]
    has_intensity, has_ring = columns[INTENSITY, 2] != ABSENT, columns[RING, 2] != ABSENT
    has_times = columns[OFFSET, 2] != ABSENT
    chosen = (below > 0) | (word != 0)
    every = n
    if chosen:
        n = choose(start, n, key, below, word, rows)
        own = rows[:n]
        read_chosen(columns[X], own, halves, x)
        read_chosen(columns[Y], own, halves, y)
        read_chosen(columns[Z], own, halves, z)
        if has_intensity:
            read_chosen(columns[INTENSITY], own, halves, intensity)
        if has_ring:
            read_chosen(columns[RING], own, halves, ring)
        if has_times:
            read_chosen(columns[OFFSET], own, halves, times)
    else:
        read(columns[X], start, n, halves, x)
        read(columns[Y], start, n, halves, y)
        read(columns[Z], start, n, halves, z)
        if has_intensity:
            read(columns[INTENSITY], start, n, halves, intensity)
        if has_ring:
            read(columns[RING], start, n, halves, ring)
        if has_times:
            read(columns[OFFSET], start, n, halves, times)
    far = xyz.dtype.type(FAR)
    # float32, as the coordinates in most files are
    near = xyz.dtype.type(np.float32(close))
    most = np.float32(FAR)
    by_intensity = drop_intensity and has_intensity
    worst = np.int32(0)
    for i in range(n):
        worst |= np.int32(is_far(x[i], y[i], z[i], far) | ((abs(x[i]) < near) & (abs(y[i]) < near)))
    if by_intensity:
        for i in range(n):
            worst |= np.int32(not (abs(intensity[i]) < most))
    # blocks without such a point, most of them in most sweeps, are done
    if worst == 0:
        return n, 0, every - n
    kept = nonfinite = 0
    for i in range(n):
        bad = is_far(x[i], y[i], z[i], far)
        if by_intensity:
            bad |= not (abs(intensity[i]) < most)
        nonfinite += bad
        drop = bad | ((abs(x[i]) < near) & (abs(y[i]) < near))
        # without a branch, which would be guessed wrong: the next point overwrites one that is dropped
        x[kept] = x[i]
        y[kept] = y[i]
        z[kept] = z[i]
        if has_intensity:
            intensity[kept] = intensity[i]
        if has_ring:
            ring[kept] = ring[i]
        if has_times:
            times[kept] = times[i]
        kept += not drop
    return kept, nonfinite, every - n


@inner
def scale_intensity(mode: int, full_scale: float, n: int, values: Any, out: Any) -> None:
    """Writes n raw intensities (float32) by their mode; what is not finite becomes 0. `out` may be `values`."""
    zero = np.float32(0)
    scale = np.float32(full_scale if mode == UNIT else 1)
    for i in range(n):
        value = values[i] / scale
        out[i] = value if value - value == zero else zero
    if mode == TANH:
        for i in range(n):
            out[i] = math.tanh(out[i])


@inner
def _move(t: Any, n: int, x: Any, y: Any, z: Any, out_x: Any, out_y: Any, out_z: Any) -> None:
    xx, xy, xz, xt = t[0, 0], t[0, 1], t[0, 2], t[0, 3]
    yx, yy, yz, yt = t[1, 0], t[1, 1], t[1, 2], t[1, 3]
    zx, zy, zz, zt = t[2, 0], t[2, 1], t[2, 2], t[2, 3]
    for i in range(n):
        p, q, r = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        out_x[i] = xx * p + xy * q + xz * r + xt
        out_y[i] = yx * p + yy * q + yz * r + yt
        out_z[i] = zx * p + zy * q + zz * r + zt


@inner
def move_each(
    first_ns: int, step_ns: float, knots: Any, n: int, xyz: Any, times: Any, out_x: Any, out_y: Any, out_z: Any
) -> None:
    last = np.int64(len(knots) - 2)
    i = 0
    while i < n:
        # points of one firing share a time: they move together
        time_ns, end = times[i], i + 1
        while end < n and times[end] == time_ns:
            end += 1
        at = (time_ns - first_ns) / step_ns
        k = min(np.int64(at), last)
        f = at - k
        e, m = 1 - f, k + 1
        xx, xy = e * knots[k, 0, 0] + f * knots[m, 0, 0], e * knots[k, 0, 1] + f * knots[m, 0, 1]
        xz, xt = e * knots[k, 0, 2] + f * knots[m, 0, 2], e * knots[k, 0, 3] + f * knots[m, 0, 3]
        yx, yy = e * knots[k, 1, 0] + f * knots[m, 1, 0], e * knots[k, 1, 1] + f * knots[m, 1, 1]
        yz, yt = e * knots[k, 1, 2] + f * knots[m, 1, 2], e * knots[k, 1, 3] + f * knots[m, 1, 3]
        zx, zy = e * knots[k, 2, 0] + f * knots[m, 2, 0], e * knots[k, 2, 1] + f * knots[m, 2, 1]
        zz, zt = e * knots[k, 2, 2] + f * knots[m, 2, 2], e * knots[k, 2, 3] + f * knots[m, 2, 3]
        for j in range(i, end):
            own = np.uint64(j)
            p, q, r = np.float64(xyz[0, own]), np.float64(xyz[1, own]), np.float64(xyz[2, own])
            out_x[own] = xx * p + xy * q + xz * r + xt
            out_y[own] = yx * p + yy * q + yz * r + yt
            out_z[own] = zx * p + zy * q + zz * r + zt
        i = end


@inner
def place(
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    n: int,
    xyz: Any,
    times: Any,
    x: Any,
    y: Any,
    z: Any,
) -> None:
    """Writes n points to float32 x, y, z: as they are, shifted or moved, in float64.

    how: STAY; SHIFT by knots[0, :, 3]; MOVE by knots[0]; EACH by the transform of its own time. knots: (k, 3, 4), one
    every `step_ns` from `first_ns`; between two the entries are linear, which for a quarter of a millisecond at
    1 rad/s is slerp to 1e-8.
    """
    if how == STAY:
        for i in range(n):
            x[i] = xyz[0, i]
        for i in range(n):
            y[i] = xyz[1, i]
        for i in range(n):
            z[i] = xyz[2, i]
    elif how == SHIFT:
        dx, dy, dz = knots[0, 0, 3], knots[0, 1, 3], knots[0, 2, 3]
        for i in range(n):
            x[i] = np.float64(xyz[0, i]) + dx
        for i in range(n):
            y[i] = np.float64(xyz[1, i]) + dy
        for i in range(n):
            z[i] = np.float64(xyz[2, i]) + dz
    elif how == MOVE:
        _move(knots[0], n, xyz[0], xyz[1], xyz[2], x, y, z)
    else:
        move_each(first_ns, step_ns, knots, n, xyz, times, x, y, z)


@kernel
def load(
    columns: Any,
    start: int,
    n: int,
    key: int,
    below: int,
    word: int,
    backwards: bool,
    close: float,
    drop_intensity: bool,
    mode: int,
    full_scale: float,
    lag_ns: int,
    how: int,
    knots: Any,
    first_ns: int,
    step_ns: float,
    wanted: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    rows: Any,
    at: int,
    out: Any,
    lows: Any,
    voxels: Any,
    sizes: Any,
    ids: Any,
) -> tuple[int, int, int]:
    """Writes the points [start, start + n) of a record to out[:, at:], or to out[:, :at] if `backwards`.

    Returns where the next points go, how many points were not finite, and how many a draw has dropped. Backwards,
    blocks come last first and the points of each end where those of the next begin, so that they keep their order and
    two halves meet in the middle.

    key, below, word: as `choose` takes them; a word only of one block.

    mode: of intensity. lag_ns: the sweep's age; a point is younger by its offset, if the record has that.
    wanted: (4,) bool, whether intensity, time lag, ring and x, y, z are. out: (6, capacity) float32, one row per
    `Column`. Without x, y, z the points stay where they lie, in float32.
    xyz, values, times, rows: for the work.
    lows, voxels: (G, 3) float32, sizes: (G, 3) int64, ids: (G, capacity) int32: grids, and where the points' cells go,
    while the points are still in the cache.
    """
    nonfinite = dropped = 0
    blocks = (n + BLOCK - 1) // BLOCK
    for b in range(blocks):
        first = (blocks - 1 - b if backwards else b) * BLOCK
        m = min(BLOCK, n - first)
        rules = (key, below, word, close, drop_intensity)
        found = take(columns, start + first, m, *rules, halves, xyz, values, times, rows)
        kept = found[0]
        nonfinite += found[1]
        dropped += found[2]
        at -= kept if backwards else 0
        # slices: the compiler sees that no index is negative, and uses wide instructions
        x, y, z = out[0, at : at + kept], out[1, at : at + kept], out[2, at : at + kept]
        if wanted[3]:
            place(how, knots, first_ns, step_ns, kept, xyz, times, x, y, z)
            for grid in range(len(lows)):
                block_ids(x, y, z, lows[grid], voxels[grid], sizes[grid], ids[grid, at : at + kept])
        else:
            for grid in range(len(lows)):
                own_ids = ids[grid, at : at + kept]
                block_ids(xyz[0, :kept], xyz[1, :kept], xyz[2, :kept], lows[grid], voxels[grid], sizes[grid], own_ids)
        if wanted[0]:
            own = out[3, at : at + kept]
            if columns[INTENSITY, 2] == ABSENT:
                own[:] = 0
            else:
                scale_intensity(mode, full_scale, kept, values[0], own)
        if wanted[1]:
            own = out[4, at : at + kept]
            if columns[OFFSET, 2] == ABSENT:
                own[:] = lag_ns * 1e-9
            else:
                for i in range(kept):
                    # exact in integers first, then float64, then float32
                    own[i] = np.float64(lag_ns - times[i]) * 1e-9
        if wanted[2]:
            own = out[5, at : at + kept]
            if columns[RING, 2] == ABSENT:
                own[:] = -1
            else:
                for i in range(kept):
                    ring = values[1, i]
                    own[i] = ring if abs(ring) < np.inf else np.float32(-1)
        at += 0 if backwards else kept
    return at, nonfinite, dropped


@inner
def _fetch_piece(piece: Any, columns: Any) -> None:
    """Asks for the memory of a piece that is read next: it lies anywhere. Of a record in rows x brings the others."""
    lies = columns[piece[0]]
    for column in range(X, OFFSET + 1):
        step: Any = lies[column, 1]
        if lies[column, 2] == ABSENT or (column != X and abs(lies[column, 0] - lies[X, 0]) < abs(step)):
            continue
        first: Any = lies[column, 0] + piece[1] * step
        last: Any = first + (piece[2] - 1) * step
        for address in range(min(first, last), max(first, last) + 1, LINE):
            fetch_to_read(address)


@kernel
def load_pieces(
    pieces: Any,
    words: Any,
    columns: Any,
    chances: Any,
    moves: Any,
    scales: Any,
    knots: Any,
    closes: Any,
    backwards: bool,
    drop_intensity: bool,
    mode: int,
    wanted: Any,
    halves: Any,
    xyz: Any,
    values: Any,
    times: Any,
    rows: Any,
    at: int,
    out: Any,
    lows: Any,
    voxels: Any,
    sizes: Any,
    ids: Any,
) -> tuple[int, int, int]:
    """Does what `load` does for pieces (sweep, start, number of points <= BLOCK) of several records, one after the
    other, or from the last to the first if `backwards`: 700 calls from Python would take 14 ms.

    pieces: (P, 3) int64; words: (P,) int64, how each is shuffled. columns: (S, 6, 3) int64; chances: (S, 2) int64, each
    record's key and below. moves: (S, 5) int64, how, the first knot and the last, first_ns, lag_ns; scales: (S, 2)
    float64, step_ns and full_scale; knots: (K, 3, 4); closes: (S,) float64. The rest as in `load`.
    """
    nonfinite: Any = np.int64(0)
    dropped: Any = np.int64(0)
    place: Any = np.int64(at)
    for k in range(len(pieces)):
        p = len(pieces) - 1 - k if backwards else k
        if k + 1 < len(pieces):
            _fetch_piece(pieces[p - 1 if backwards else p + 1], columns)
        s, start, n = pieces[p, 0], pieces[p, 1], pieces[p, 2]
        own = (columns[s], start, n, chances[s, 0], chances[s, 1], words[p], backwards, closes[s], drop_intensity)
        how = (mode, scales[s, 1], moves[s, 4], moves[s, 0], knots[moves[s, 1] : moves[s, 2] + 1], moves[s, 3])
        work = (halves, xyz, values, times, rows)
        found = load(*own, *how, scales[s, 0], wanted, *work, place, out, lows, voxels, sizes, ids)
        place = found[0]
        nonfinite += found[1]
        dropped += found[2]
    return place, nonfinite, dropped


@kernel
def span(
    columns: Any, n: int, close: float, drop_intensity: bool, halves: Any, xyz: Any, values: Any, times: Any, rows: Any
) -> tuple[Any, Any, int]:
    """Returns the least and the greatest offset of the points that are kept, and how many are; n > 0.

    What a draw drops counts too: how the others move does not depend on it.

    What is dropped may have any offset. Two blocks are looked into: where the extremes of all offsets lie. Only if
    nothing is kept there that has them, all are: 0.03 ms for 160 000 points, against 0.2.
    """
    least: Any = np.int64(0)
    most: Any = np.int64(0)
    # int64, as in other calls of take: numba compiles it once more for a literal
    least_at: Any = np.int64(-1)
    most_at: Any = np.int64(-1)
    for first in range(0, n, BLOCK):
        m = min(BLOCK, n - first)
        read(columns[OFFSET], first, m, halves, times)
        low = high = times[0]
        for i in range(m):
            low, high = min(low, times[i]), max(high, times[i])
        if least_at < 0 or low < least:
            least, least_at = low, first
        if most_at < 0 or high > most:
            most, most_at = high, first
    found_least = found_most = False
    none: Any = np.int64(0)
    rules, work = (none, none, none, close, drop_intensity), (halves, xyz, values, times, rows)
    kept, _, _ = take(columns, least_at, min(BLOCK, n - least_at), *rules, *work)
    for i in range(kept):
        found_least |= times[i] == least
    kept, _, _ = take(columns, most_at, min(BLOCK, n - most_at), *rules, *work)
    for i in range(kept):
        found_most |= times[i] == most
    if found_least and found_most:
        return least, most, n
    total = 0
    for first in range(0, n, BLOCK):
        kept, _, _ = take(columns, first, min(BLOCK, n - first), *rules, *work)
        for i in range(kept):
            least = min(least, times[i]) if total else times[i]
            most = max(most, times[i]) if total else times[i]
            total += 1
    return least, most, total
