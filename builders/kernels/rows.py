"""Sweeps straight into the rows of a tensor: where nothing else needs the points, no column is written and read again.

Step by step, through work memory with a fixed layout: the compiler then knows that what is read and what is written do
not overlap, and the loops go over whole registers. It is handed on by its address: numba counts the users of an array
that is handed on, atomically, which took as long as all the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .chosen import choose
from .load import EACH, FAR, INTENSITY, MOVE, OFFSET, RING, TANH, UNIT, is_far, move_each
from .record import ABSENT, FLOAT32, doubles, fetch_to_read, floats, longs, read, read_chosen, settle, stream

__all__ = ["LINE", "PACKED", "STEP", "WORK", "count", "load_rows"]

STEP = 128
"""Points that are worked on together. With 512 what is streamed past the caches comes in bursts, during which nothing
else is done: 1.05 ms for ten sweeps of 34 720 points, against 0.68; with 64 the loops are too short: 0.88."""

LINE = 16
"""Float32 numbers in a cache line."""

_AHEAD = 2 * STEP
"""How many points ahead of those that are read others are fetched."""

# where each quantity is in the work memory: as recorded, then as wanted, in the order of `Column`
_X, _Y, _Z, _INTENSITY, _RING = (STEP * k for k in range(5))
_OUT = STEP * 5
_OUT_X, _OUT_Y, _OUT_Z, _OUT_INTENSITY, _OUT_LAG, _OUT_RING = (_OUT + STEP * k for k in range(6))

_OF_INTENSITY, _OF_LAG, _OF_RING = 3, 4, 5
"""Columns, as in `Column`."""

WORK = STEP * 11
"""Numbers of work memory."""

PACKED = STEP * 6 + LINE
"""Numbers of the rows of a step, behind those of a cache line that is not full yet."""


@inner
def _read(column: int, start: int, n: int, halves: int, to: int) -> None:
    """Reads n <= STEP values of a column to float32 numbers."""
    place = longs(column, 3)
    out = floats(to, 0, STEP)
    if (place[2] == FLOAT32) & (place[1] == 4):
        for k in range(0, STEP, LINE):
            fetch_to_read(place[0] + 4 * (start + _AHEAD + k))
        values = floats(place[0], start, n)
        for i in range(n):
            out[i] = values[i]
    else:
        read(place, start, n, floats(halves, 0, 2**16), out)


@inner
def _read_xyz(columns: int, start: int, n: int, halves: int, at: int) -> bool:
    """Reads x, y, z of n <= STEP points, and returns whether it has read intensity too.

    Rows of four or five numbers, as most files have them, are written out: the compiler then shuffles whole registers.
    """
    place, work = longs(columns, 12), floats(at, 0, WORK)
    x, step = place[0], place[1]
    in_rows = (step == 16) | (step == 20)
    for k in range(4):
        in_rows &= (place[3 * k] == x + 4 * k) & (place[3 * k + 1] == step) & (place[3 * k + 2] == FLOAT32)
    if not in_rows:
        _read(columns, start, n, halves, at + 4 * _X)
        _read(columns + 24, start, n, halves, at + 4 * _Y)
        _read(columns + 48, start, n, halves, at + 4 * _Z)
        return False
    for k in range(0, STEP * step, 64):
        fetch_to_read(x + (start + _AHEAD) * step + k)
    if step == 16:
        rows = floats(x, 4 * start, 4 * n)
        for i in range(n):
            to, row = np.uint64(i), np.uint64(i) * np.uint64(4)
            work[to + np.uint64(_X)] = rows[row]
            work[to + np.uint64(_Y)] = rows[row + np.uint64(1)]
            work[to + np.uint64(_Z)] = rows[row + np.uint64(2)]
            work[to + np.uint64(_INTENSITY)] = rows[row + np.uint64(3)]
    else:
        rows = floats(x, 5 * start, 5 * n)
        # the fifth is read because the compiler gathers number by number where rows have gaps: 0.41 ms for 347 200
        # points, against 0.26; behind the last point there may be none
        for i in range(n - 1):
            to, row = np.uint64(i), np.uint64(i) * np.uint64(5)
            work[to + np.uint64(_X)] = rows[row]
            work[to + np.uint64(_Y)] = rows[row + np.uint64(1)]
            work[to + np.uint64(_Z)] = rows[row + np.uint64(2)]
            work[to + np.uint64(_INTENSITY)] = rows[row + np.uint64(3)]
            work[to + np.uint64(_RING)] = rows[row + np.uint64(4)]
        for k in range(4):
            work[np.uint64(n - 1 + _X + STEP * k)] = rows[np.uint64(5 * (n - 1) + k)]
    return True


@inner
def _read_chosen(columns: int, rows: Any, with_intensity: bool, halves: int, at: int) -> None:
    """Reads x, y, z of the points that are listed, and intensity where it is wanted."""
    table = floats(halves, 0, 2**16)
    for k in range(4 if with_intensity else 3):
        read_chosen(longs(columns + 24 * k, 3), rows, table, floats(at, STEP * k, STEP))


@inner
def _is_whole(n: int, near: Any, by_intensity: bool, at: int) -> bool:
    """Whether all of n points are kept, by the rules of `take`: so it is with most steps of most sweeps."""
    far: Any = np.float32(FAR)
    work = floats(at, 0, WORK)
    bad = False
    for i in range(n):
        k = np.uint64(i)
        x, y, z = work[k + np.uint64(_X)], work[k + np.uint64(_Y)], work[k + np.uint64(_Z)]
        bad |= is_far(x, y, z, far) | ((abs(x) < near) & (abs(y) < near))
    if by_intensity:
        for i in range(n):
            bad |= not (abs(work[np.uint64(_INTENSITY) + np.uint64(i)]) < far)
    return not bad


@inner
def _drop(n: int, near: Any, by_intensity: bool, at: int, times_at: int) -> Any:
    """Moves the points that are kept to the front, in their order, and returns how many there are."""
    far: Any = np.float32(FAR)
    work, times = floats(at, 0, WORK), longs(times_at, STEP)
    kept = np.uint64(0)
    for i in range(n):
        k = np.uint64(i)
        x, y, z = work[k + np.uint64(_X)], work[k + np.uint64(_Y)], work[k + np.uint64(_Z)]
        intensity = work[k + np.uint64(_INTENSITY)]
        drop = is_far(x, y, z, far) | ((abs(x) < near) & (abs(y) < near))
        drop |= by_intensity & (not (abs(intensity) < far))
        # without a branch, which would be guessed wrong: what is dropped is written over by the next
        work[kept + np.uint64(_X)] = x
        work[kept + np.uint64(_Y)] = y
        work[kept + np.uint64(_Z)] = z
        work[kept + np.uint64(_INTENSITY)] = intensity
        work[kept + np.uint64(_RING)] = work[k + np.uint64(_RING)]
        times[kept] = times[k]
        kept += np.uint64(not drop)
    # of uint64 and int64 together numba makes float64
    return np.int64(kept)


@inner
def _tally(n: int, near: Any, by_intensity: bool, at: int) -> tuple[int, int]:
    """Returns how many of n points are kept, and how many are not finite."""
    far: Any = np.float32(FAR)
    work = floats(at, 0, WORK)
    good = bad = 0
    for i in range(n):
        k = np.uint64(i)
        x, y, z = work[k + np.uint64(_X)], work[k + np.uint64(_Y)], work[k + np.uint64(_Z)]
        worse = is_far(x, y, z, far)
        worse |= by_intensity & (not (abs(work[k + np.uint64(_INTENSITY)]) < far))
        bad += worse
        good += not (worse | ((abs(x) < near) & (abs(y) < near)))
    return good, bad


@inner
def _move(transform: int, at: int) -> None:
    """Of all STEP places: what is in those that hold no point is written over, or left."""
    t, work = doubles(transform, 12), floats(at, 0, WORK)
    xx, xy, xz, xt = t[0], t[1], t[2], t[3]
    yx, yy, yz, yt = t[4], t[5], t[6], t[7]
    zx, zy, zz, zt = t[8], t[9], t[10], t[11]
    for i in range(STEP):
        k = np.uint64(i)
        p = np.float64(work[k + np.uint64(_X)])
        q = np.float64(work[k + np.uint64(_Y)])
        r = np.float64(work[k + np.uint64(_Z)])
        work[k + np.uint64(_OUT_X)] = xx * p + xy * q + xz * r + xt
        work[k + np.uint64(_OUT_Y)] = yx * p + yy * q + yz * r + yt
        work[k + np.uint64(_OUT_Z)] = zx * p + zy * q + zz * r + zt


@inner
def _place(how: int, first_ns: int, step_ns: float, knots: int, last: int, n: int, at: int, times_at: int) -> None:
    """As `place` of load.py."""
    work = floats(at, 0, WORK)
    if how == MOVE:
        _move(knots, at)
    elif how == EACH:
        path = doubles(knots, 12 * (last + 1)).reshape((last + 1, 3, 4))
        xyz, times = floats(at, _X, 3 * STEP).reshape((3, STEP)), longs(times_at, STEP)
        x, y, z = floats(at, _OUT_X, STEP), floats(at, _OUT_Y, STEP), floats(at, _OUT_Z, STEP)
        move_each(first_ns, step_ns, path, n, xyz, times, x, y, z)
    else:
        for i in range(3 * STEP):
            work[np.uint64(_OUT_X) + np.uint64(i)] = work[np.uint64(_X) + np.uint64(i)]


@inner
def _beside(
    with_intensity: bool,
    mode: int,
    full_scale: float,
    with_lags: bool,
    lag_ns: int,
    with_ring: bool,
    n: int,
    at: int,
    times_at: int,
) -> None:
    """As in `load`, of what a record has. Intensity is written to all STEP places."""
    zero, scale, work, times = np.float32(0), np.float32(full_scale), floats(at, 0, WORK), longs(times_at, STEP)
    if with_intensity and mode == UNIT:
        for i in range(STEP):
            value = work[np.uint64(_INTENSITY) + np.uint64(i)] / scale
            work[np.uint64(_OUT_INTENSITY) + np.uint64(i)] = value if value - value == zero else zero
    elif with_intensity:
        for i in range(STEP):
            value = work[np.uint64(_INTENSITY) + np.uint64(i)]
            work[np.uint64(_OUT_INTENSITY) + np.uint64(i)] = value if value - value == zero else zero
    if with_intensity and mode == TANH:
        for i in range(n):
            work[np.uint64(_OUT_INTENSITY) + np.uint64(i)] = math.tanh(work[np.uint64(_OUT_INTENSITY) + np.uint64(i)])
    if with_lags:
        for i in range(n):
            # exact in integers first, then float64, then float32
            work[np.uint64(_OUT_LAG) + np.uint64(i)] = np.float64(lag_ns - times[i]) * 1e-9
    if with_ring:
        for i in range(n):
            number = work[np.uint64(_RING) + np.uint64(i)]
            work[np.uint64(_OUT_RING) + np.uint64(i)] = number if abs(number) < np.inf else np.float32(-1)


@inner
def _copy(source: int, n: int, to: int) -> None:
    values, out = floats(source, 0, n), floats(to, 0, n)
    for i in range(n):
        out[i] = values[i]


@inner
def _flush(packed: int, n: int, to: int) -> int:
    """Writes whole cache lines of n packed numbers past the caches, and what comes before the first one of them.

    Returns how many it has written; the others are at the front then.
    """
    head = min((-(to // 4)) % LINE, n)
    _copy(packed, head, to)
    lines = (n - head) // LINE
    stream(to + 4 * head, packed + 4 * head, lines)
    done = head + lines * LINE
    _copy(packed + 4 * done, n - done, packed)
    return done


@kernel
def count(
    pieces: Any,
    words: Any,
    columns: Any,
    chances: Any,
    closes: Any,
    drop_intensity: bool,
    halves: Any,
    work: Any,
    rows: Any,
    kept: Any,
) -> tuple[int, int]:
    """Writes how many points of each piece (sweep, start, number of points) are kept; returns how many are not
    finite, and how many a draw has dropped.

    words, chances: as `load_pieces` of load.py takes them. rows: (BLOCK,) int32, for the work.
    columns: (S, 6, 3) int64, each sweep's as `take` of load.py takes them, whose rules hold; x, y, z in dtypes that
    float32 holds. closes: (S,) float32, each sweep's square. work: (WORK,) float32. kept: (P,) int64, for (P, 3)
    pieces.
    """
    # int64, as what is added to them
    at: Any = np.int64(work.ctypes.data)
    table: Any = np.int64(halves.ctypes.data)
    places: Any = np.int64(columns.ctypes.data)
    nonfinite = dropped = 0
    for p in range(len(pieces)):
        sweep, start, end = pieces[p, 0], pieces[p, 1], pieces[p, 1] + pieces[p, 2]
        lie, near = places + 144 * sweep, closes[sweep]
        by_intensity = drop_intensity and columns[sweep, INTENSITY, 2] != ABSENT
        key, below, word = chances[sweep, 0], chances[sweep, 1], words[p]
        listed: Any = np.int64(0)
        total = 0
        for first in range(start, end, STEP):
            n = min(STEP, end - first)
            if below > 0 or word != 0:
                every = n
                if word == 0 or first == start:
                    every = end - start if word != 0 else n
                    listed = choose(first, every, key, below, word, rows)
                    dropped += every - listed
                before = first - start if word != 0 else 0
                n = min(max(listed - before, 0), STEP)
                _read_chosen(lie, rows[before : before + n], by_intensity, table, at)
            else:
                has_intensity = _read_xyz(lie, first, n, table, at)
                if by_intensity and not has_intensity:
                    _read(lie + 24 * INTENSITY, first, n, table, at + 4 * _INTENSITY)
            if _is_whole(n, near, by_intensity, at):
                total += n
            else:
                good, bad = _tally(n, near, by_intensity, at)
                total += good
                nonfinite += bad
        kept[p] = total
    return nonfinite, dropped


@inner
def _interleave(picks: int, width: int, n: int, at: int, to: int) -> None:
    """Writes n points row by row; picks: `width` columns, as in `Column`."""
    column, work, out = longs(picks, width), floats(at, 0, WORK), floats(to, 0, n * width)
    if width == 5:
        a, b, c = _OUT + STEP * column[0], _OUT + STEP * column[1], _OUT + STEP * column[2]
        d, e = _OUT + STEP * column[3], _OUT + STEP * column[4]
        for i in range(n):
            row = np.uint64(i) * np.uint64(5)
            out[row] = work[np.uint64(a) + np.uint64(i)]
            out[row + np.uint64(1)] = work[np.uint64(b) + np.uint64(i)]
            out[row + np.uint64(2)] = work[np.uint64(c) + np.uint64(i)]
            out[row + np.uint64(3)] = work[np.uint64(d) + np.uint64(i)]
            out[row + np.uint64(4)] = work[np.uint64(e) + np.uint64(i)]
    elif width == 4:
        a, b = _OUT + STEP * column[0], _OUT + STEP * column[1]
        c, d = _OUT + STEP * column[2], _OUT + STEP * column[3]
        for i in range(n):
            row = np.uint64(i) * np.uint64(4)
            out[row] = work[np.uint64(a) + np.uint64(i)]
            out[row + np.uint64(1)] = work[np.uint64(b) + np.uint64(i)]
            out[row + np.uint64(2)] = work[np.uint64(c) + np.uint64(i)]
            out[row + np.uint64(3)] = work[np.uint64(d) + np.uint64(i)]
    else:
        for k in range(width):
            a = _OUT + STEP * column[k]
            for i in range(n):
                out[np.uint64(i) * np.uint64(width) + np.uint64(k)] = work[np.uint64(a) + np.uint64(i)]


@kernel
def load_rows(
    pieces: Any,
    words: Any,
    columns: Any,
    chances: Any,
    moves: Any,
    scales: Any,
    knots: Any,
    closes: Any,
    drop_intensity: bool,
    mode: int,
    picks: Any,
    halves: Any,
    work: Any,
    times: Any,
    packed: Any,
    rows: Any,
    past_caches: bool,
    out: Any,
) -> tuple[int, int, int]:
    """Writes the points of pieces (sweep, start, number of points) that are kept, row by row, until `out` is full.

    Returns how many it has written, how many of all that it has seen were not finite, and how many a draw has dropped.
    words, chances: as `load_pieces` of load.py takes them. rows: (BLOCK,) int32, for the work.
    columns: (S, 6, 3) int64, each sweep's as `take` of load.py takes them, x, y, z in dtypes that float32 holds.
    moves: (S, 5) int64, how (not SHIFT), the first knot and the last, first_ns, lag_ns; scales: (S, 2) float64, step_ns
    and full_scale; knots: (K, 3, 4) float64: as `load` takes them. closes: (S,) float32, as `count` takes them.
    picks: (C,) int64, the columns of a row, as in `Column`. work: (WORK,) float32, times: (STEP,) int64, packed:
    (PACKED,) float32. past_caches: whole lines are written past the caches. out: (rows * C,) float32.
    """
    width = len(picks)
    # int64, as what is added to them
    at: Any = np.int64(work.ctypes.data)
    times_at: Any = np.int64(times.ctypes.data)
    table: Any = np.int64(halves.ctypes.data)
    picks_at: Any = np.int64(picks.ctypes.data)
    full: Any = np.int64(packed.ctypes.data)
    places: Any = np.int64(columns.ctypes.data)
    transforms: Any = np.int64(knots.ctypes.data)
    to: Any = np.int64(out.ctypes.data)
    begin, end, carried, nonfinite, dropped = to, to + 4 * len(out), 0, 0, 0
    wanted = np.zeros(6, np.bool_)
    for pick in picks:
        wanted[pick] = True
    for p in range(len(pieces)):
        sweep, start, n = pieces[p, 0], pieces[p, 1], pieces[p, 2]
        lie, near = places + 144 * sweep, closes[sweep]
        how, first_ns, lag_ns = moves[sweep, 0], moves[sweep, 3], moves[sweep, 4]
        path, last = transforms + 96 * moves[sweep, 1], moves[sweep, 2] - moves[sweep, 1]
        step_ns, full_scale = scales[sweep, 0], scales[sweep, 1]
        by_intensity = drop_intensity and columns[sweep, INTENSITY, 2] != ABSENT
        with_intensity = wanted[_OF_INTENSITY] and columns[sweep, INTENSITY, 2] != ABSENT
        with_ring = wanted[_OF_RING] and columns[sweep, RING, 2] != ABSENT
        with_times = columns[sweep, OFFSET, 2] != ABSENT
        with_lags = wanted[_OF_LAG] and with_times
        # what a sweep does not have, or has once, is written once
        work[_OUT_INTENSITY : _OUT_INTENSITY + STEP] = 0
        work[_OUT_LAG : _OUT_LAG + STEP] = lag_ns * 1e-9
        work[_OUT_RING : _OUT_RING + STEP] = -1
        key, below, word = chances[sweep, 0], chances[sweep, 1], words[p]
        listed: Any = np.int64(0)
        for first in range(start, start + n, STEP):
            m = min(STEP, start + n - first)
            if below > 0 or word != 0:
                every = m
                if word == 0 or first == start:
                    every = n if word != 0 else m
                    listed = choose(first, every, key, below, word, rows)
                    dropped += every - listed
                before = first - start if word != 0 else 0
                m = min(max(listed - before, 0), STEP)
                own = rows[before : before + m]
                _read_chosen(lie, own, with_intensity or by_intensity, table, at)
                if with_ring:
                    read_chosen(longs(lie + 24 * RING, 3), own, floats(table, 0, 2**16), floats(at, _RING, STEP))
                if with_times:
                    read_chosen(longs(lie + 24 * OFFSET, 3), own, floats(table, 0, 2**16), longs(times_at, STEP))
            else:
                has_intensity = _read_xyz(lie, first, m, table, at)
                if (with_intensity or by_intensity) and not has_intensity:
                    _read(lie + 24 * INTENSITY, first, m, table, at + 4 * _INTENSITY)
                if with_ring:
                    _read(lie + 24 * RING, first, m, table, at + 4 * _RING)
                if with_times:
                    read(longs(lie + 24 * OFFSET, 3), first, m, floats(table, 0, 2**16), longs(times_at, STEP))
            kept = m
            if not _is_whole(m, near, by_intensity, at):
                _, bad = _tally(m, near, by_intensity, at)
                nonfinite += bad
                kept = _drop(m, near, by_intensity, at, times_at)
            kept = min(kept, (end - to - 4 * carried) // (4 * width))
            _place(how, first_ns, step_ns, path, last, kept, at, times_at)
            _beside(with_intensity, mode, full_scale, with_lags, lag_ns, with_ring, kept, at, times_at)
            if not past_caches:
                _interleave(picks_at, width, kept, at, to)
                to += 4 * kept * width
            else:
                _interleave(picks_at, width, kept, at, full + 4 * carried)
                carried += kept * width
                done = _flush(full, carried, to)
                to += 4 * done
                carried -= done
    _copy(full, carried, to)
    if past_caches:
        settle()
    return (to + 4 * carried - begin) // (4 * width), nonfinite, dropped
