"""Which cells of a square the shapes of a map cover, as bits: cell x of row y is bit x % 64 of bits[y, x // 64].

A shape's corners are moved to cells first: u = (x - xmin) / cell - 0.5, so that the centre of cell x lies at u = x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

__all__ = ["AREA", "PLACE", "WINDOW", "fill_areas", "fill_lines", "fill_sheet", "filled", "is_beside", "move"]

PLACE = 16
"""Numbers of a `place`: the origin x y z in the world and how far above it what has no z lies; u and v of x - x0,
y - y0, z - z0 and 1; xmin ymin xmax ymax of the world around the cells."""
WINDOW = 12
"""Where the last four begin."""
AREA = 1
"""What a run of a sheet says of its shapes: they are areas, not lines."""

_ONE, _NONE = np.uint64(1), np.uint64(0)
_S1, _S2, _S4, _S8, _S16, _S32, _S63 = (np.uint64(s) for s in (1, 2, 4, 8, 16, 32, 63))
_FAR = 1e12
"""Further away, in cells, nothing is drawn."""


@inner
def move(points: Any, begin: int, n: int, place: Any, us: Any, vs: Any) -> Any:
    """Writes where n points come to, u and v; returns the least and greatest u and v, NaN where a place is not finite,
    or so far away that cells cannot be counted."""
    x0, y0, z0, level = place[0], place[1], place[2], place[3]
    ax, ay, az, a = place[4], place[5], place[6], place[7]
    bx, by, bz, b = place[8], place[9], place[10], place[11]
    left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
    is_near = True
    for i in range(n):
        x, y, z = points[begin + i, 0] - x0, points[begin + i, 1] - y0, points[begin + i, 2]
        z = z - z0 if abs(z) < np.inf else level
        u = ax * x + ay * y + az * z + a
        v = bx * x + by * y + bz * z + b
        us[i], vs[i] = u, v
        left, right = min(left, u), max(right, u)
        low, high = min(low, v), max(high, v)
        is_near &= (abs(u) < _FAR) & (abs(v) < _FAR)
    if not is_near:
        return np.nan, np.nan, np.nan, np.nan
    return left, right, low, high


@inner
def is_beside(bounds: Any, k: int, place: Any) -> bool:
    """Whether a shape does not touch the window around the cells; one whose bounds are not finite does not."""
    return not (
        bounds[k, 0] <= place[WINDOW + 2]
        and bounds[k, 2] >= place[WINDOW]
        and bounds[k, 1] <= place[WINDOW + 3]
        and bounds[k, 3] >= place[WINDOW + 1]
    )


@inner
def filled(bits: Any) -> Any:
    """Returns bits of which each is the parity of itself and those below it."""
    bits ^= bits << _S1
    bits ^= bits << _S2
    bits ^= bits << _S4
    bits ^= bits << _S8
    bits ^= bits << _S16
    return bits ^ (bits << _S32)


@kernel
def fill_areas(
    points: Any,
    parts: Any,
    first_part: Any,
    bounds: Any,
    chosen: Any,
    place: Any,
    columns: int,
    us: Any,
    vs: Any,
    turns: Any,
    inside: Any,
    bits: Any,
) -> None:
    """Sets the cells whose centre lies in one of the chosen areas, and in no hole of it.

    points: (P, 3) float64, world. parts: (R + 1,) int64, where each ring begins. first_part: (n + 1,) int64, of each
    area: its outline, then its holes. bounds: (n, 4) float64, xmin ymin xmax ymax. chosen: int64, which areas are
    looked at; those beside the cells are passed over. place: (PLACE,) float64. us, vs: float64, as long as the longest
    part. turns, inside, bits: (Y, W) uint64; of the first two nothing is set, before and after.

    Even-odd, and half-open: a centre on a lower edge is inside. A row's crossings turn the bits from there on, so the
    parity of the bits below is what is inside: a row of 64 cells takes a dozen operations, in whatever order the edges
    come.
    """
    rows, words = bits.shape
    for k in chosen:
        if is_beside(bounds, k, place):
            continue
        many = first_part[k + 1] - first_part[k]
        row_begin, row_end = 0, 0
        for part in range(many):
            begin = parts[first_part[k] + part]
            n = parts[first_part[k] + part + 1] - begin
            left, right, low, high = move(points, begin, n, place, us, vs)
            # not >: NaN is outside
            if n < 3 or not (high >= 0 and low <= rows - 1 and right >= 0 and left <= columns - 1):
                if part == 0:
                    break
                continue
            u0, v0 = us[n - 1], vs[n - 1]
            for i in range(n):
                u1, v1 = us[i], vs[i]
                # from below, so that two areas that share an edge find the same crossings
                if v0 <= v1:
                    ua, va, ub, vb = u0, v0, u1, v1
                else:
                    ua, va, ub, vb = u1, v1, u0, v0
                u0, v0 = u1, v1
                if vb <= 0 or va > rows - 1 or (ua > columns - 1 and ub > columns - 1):
                    continue
                first = 0 if va <= 0 else int(np.ceil(va))
                last = rows if vb > rows - 1 else int(np.ceil(vb))
                if first >= last:
                    continue
                if ua <= 0 and ub <= 0:
                    for row in range(first, last):
                        turns[row, 0] ^= _ONE
                    continue
                slope = (ub - ua) / (vb - va)
                for row in range(first, last):
                    at = ua + (row - va) * slope
                    if at <= columns - 1:
                        column = 0 if at <= 0 else int(np.ceil(at))
                        turns[row, column >> 6] ^= _ONE << np.uint64(column & 63)
            top = 0 if low <= 0 else int(np.ceil(low))
            end = rows if high > rows - 1 else int(np.ceil(high))
            # a crossing may lie a rounding beyond the corners
            word_begin = 0 if left <= 1 else (int(left) - 1) >> 6
            word_end = words if right >= columns - 2 else ((int(right) + 2) >> 6) + 1
            if part == 0:
                row_begin, row_end = top, end
            for row in range(top, end):
                carry = _NONE
                for word in range(word_begin, word_end):
                    turned = turns[row, word]
                    found = carry
                    if turned != _NONE:
                        turns[row, word] = _NONE
                        found ^= filled(turned)
                        carry = _NONE - (found >> _S63)
                    if part > 0:
                        inside[row, word] &= ~found
                    elif many > 1:
                        inside[row, word] |= found
                    else:
                        bits[row, word] |= found
        if many > 1:
            for row in range(row_begin, row_end):
                for word in range(words):
                    bits[row, word] |= inside[row, word]
                    inside[row, word] = _NONE


@kernel
def fill_lines(
    points: Any,
    parts: Any,
    first_part: Any,
    bounds: Any,
    chosen: Any,
    place: Any,
    columns: int,
    reach: float,
    us: Any,
    vs: Any,
    bits: Any,
    pieces: Any,
) -> None:
    """Sets the cells whose centre lies within `reach`, in cells, of one of the chosen lines.

    pieces: (Y, X) int32, in which is written at which of the points the last piece begins that covers a cell and has a
    length, -1 where none has; (0, 0) where nobody asks. The rest as in `fill_areas`, a line having one part.
    """
    rows = bits.shape[0]
    for k in chosen:
        if is_beside(bounds, k, place):
            continue
        begin = parts[first_part[k]]
        n = parts[first_part[k] + 1] - begin
        left, right, low, high = move(points, begin, n, place, us, vs)
        if not (high >= -reach and low <= rows - 1 + reach and right >= -reach and left <= columns - 1 + reach):
            continue
        for i in range(max(n - 1, 1)):
            u0, v0 = us[i], vs[i]
            j = min(i + 1, n - 1)
            du, dv = us[j] - u0, vs[j] - v0
            square = du * du + dv * dv
            low, high = min(v0, vs[j]) - reach, max(v0, vs[j]) + reach
            if high < 0 or low > rows - 1:
                continue
            first, last = max(0, int(np.ceil(low))), min(rows - 1, int(np.floor(high)))
            for row in range(first, last + 1):
                # the part of the line that is near this row
                t0, t1 = 0.0, 1.0
                if dv != 0:
                    ta, tb = (row - reach - v0) / dv, (row + reach - v0) / dv
                    t0, t1 = max(0.0, min(ta, tb)), min(1.0, max(ta, tb))
                ua, ub = u0 + t0 * du, u0 + t1 * du
                begin_u, end_u = min(ua, ub) - reach, max(ua, ub) + reach
                if end_u < 0 or begin_u > columns - 1:
                    continue
                # a cell more on each side: the distance decides
                for column in range(max(0, int(begin_u)), min(columns - 1, int(end_u) + 1) + 1):
                    t = 0.0
                    if square > 0:
                        t = min(1.0, max(0.0, ((column - u0) * du + (row - v0) * dv) / square))
                    eu, ev = column - (u0 + t * du), row - (v0 + t * dv)
                    if eu * eu + ev * ev <= reach * reach:
                        bit = _ONE << np.uint64(column & 63)
                        if len(pieces):
                            # a piece without a length has no direction, and hides none
                            if square > 0:
                                pieces[row, column] = begin + i
                            elif bits[row, column >> 6] & bit == _NONE:
                                pieces[row, column] = -1
                        bits[row, column >> 6] |= bit


@kernel
def fill_sheet(
    points: Any,
    parts: Any,
    first_part: Any,
    bounds: Any,
    chosen: Any,
    runs: Any,
    place: Any,
    columns: int,
    reach: float,
    us: Any,
    vs: Any,
    turns: Any,
    inside: Any,
    bits: Any,
    pieces: Any,
) -> None:
    """Fills areas and lines of several layers; seven calls instead of one took 30 us more.

    runs: (R, 4) int64: chosen[begin:end] are areas or lines, and which of `bits` they are set in. bits: (planes, Y, W)
    uint64. The rest as in `fill_areas` and `fill_lines`.
    """
    for run in range(len(runs)):
        own, plane = chosen[runs[run, 0] : runs[run, 1]], bits[runs[run, 3]]
        if runs[run, 2] == AREA:
            fill_areas(points, parts, first_part, bounds, own, place, columns, us, vs, turns, inside, plane)
        else:
            fill_lines(points, parts, first_part, bounds, own, place, columns, reach, us, vs, plane, pieces)
