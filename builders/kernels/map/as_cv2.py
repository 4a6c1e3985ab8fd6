"""The same cells that OpenCV draws, bit for bit: cv2.fillPoly of corners in whole cells, cv2.polylines of thickness 2.

After OpenCV 4.5 to 5.0, modules/imgproc/src/drawing.cpp: lines by Bresenham's steps, cut to the picture first and then
rounded; insides by edges in fixed point with 16 binary places, both ends of a row's span included.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .raster import AREA, filled, is_beside, move

__all__ = ["draw_lines", "draw_sheet", "fill_polygons"]

_ONE, _NONE, _S63 = np.uint64(1), np.uint64(0), np.uint64(63)
_XY = 16
_WHOLE = 1 << _XY
_HALF = _WHOLE >> 1
_MOST = 2.0**30
"""Further away, in cells, corners are not drawn: OpenCV counts in int32."""


@inner
def _cut(width: int, height: int, x1: int, y1: int, x2: int, y2: int) -> Any:
    """clipLine: returns whether any of the line is in the picture, and its ends, cut as far as that came."""
    right, bottom = width - 1, height - 1
    c1 = (x1 < 0) * 1 + (x1 > right) * 2 + (y1 < 0) * 4 + (y1 > bottom) * 8
    c2 = (x2 < 0) * 1 + (x2 > right) * 2 + (y2 < 0) * 4 + (y2 > bottom) * 8
    if (c1 & c2) == 0 and (c1 | c2) != 0:
        if c1 & 12:
            a = 0 if c1 < 8 else bottom
            x1 += int(float(a - y1) * float(x2 - x1) / float(y2 - y1))
            y1 = a
            c1 = (x1 < 0) * 1 + (x1 > right) * 2
        if c2 & 12:
            a = 0 if c2 < 8 else bottom
            x2 += int(float(a - y2) * float(x2 - x1) / float(y2 - y1))
            y2 = a
            c2 = (x2 < 0) * 1 + (x2 > right) * 2
        if (c1 & c2) == 0 and (c1 | c2) != 0:
            if c1:
                a = 0 if c1 == 1 else right
                y1 += int(float(a - x1) * float(y2 - y1) / float(x2 - x1))
                x1 = a
                c1 = 0
            if c2:
                a = 0 if c2 == 1 else right
                y2 += int(float(a - x2) * float(y2 - y1) / float(x2 - x1))
                x2 = a
                c2 = 0
    return (c1 | c2) == 0, x1, y1, x2, y2


@inner
def _quotient(a: int, b: int) -> int:
    """Divides as C does: towards zero. In float64, in half the time: exact while abs(a) < 2**53, as it is for squares
    of up to 2**20 cells."""
    return int(float(a) / float(b))


@inner
def _draw_steps(x1: int, y1: int, x2: int, y2: int, columns: int, drawn: Any) -> None:
    """Line of 8 neighbours: from left to right, as LineIterator goes."""
    is_in, x1, y1, x2, y2 = _cut(columns, drawn.shape[0], x1, y1, x2, y2)
    if not is_in:
        return
    if x2 < x1:
        x1, y1, x2, y2 = x2, y2, x1, y1
    dx, dy, step = x2 - x1, y2 - y1, 1
    if dy < 0:
        dy, step = -dy, -1
    x, y = x1, y1
    if dy > dx:
        error = dy - 2 * dx
        for _ in range(dy + 1):
            drawn[y, x >> 6] |= _ONE << np.uint64(x & 63)
            if error < 0:
                x += 1
                error += 2 * dy
            error -= 2 * dx
            y += step
    else:
        error = dx - 2 * dy
        for _ in range(dx + 1):
            drawn[y, x >> 6] |= _ONE << np.uint64(x & 63)
            if error < 0:
                y += step
                error += 2 * dx
            error -= 2 * dy
            x += 1


@inner
def _is_out(x: int, y: int, columns: int, rows: int) -> bool:
    return x < 0 or x >= columns or y < 0 or y >= rows


@kernel
def fill_polygons(
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
    drawn: Any,
    bits: Any,
) -> None:
    """Draws areas one after the other, each with its outline; then takes away its holes, with theirs.

    The arguments are those of `raster.fill_areas`; a corner at u = v = 0 lies at (xmin, ymin).
    """
    rows, words = bits.shape
    for k in chosen:
        if is_beside(bounds, k, place):
            continue
        for ring in range(first_part[k], first_part[k + 1]):
            begin = parts[ring]
            n = parts[ring + 1] - begin
            left, right, low, high = move(points, begin, n, place, us, vs)
            near = high >= -1 and low <= rows and right >= -1 and left <= columns
            is_countable = left > -_MOST and right < _MOST and low > -_MOST and high < _MOST
            if n < 3 or not near or not is_countable:
                if ring == first_part[k]:
                    break
                continue
            top = max(0, int(low) - 1)
            end = min(rows, int(high) + 3)
            word_begin = max(0, int(left) - 2) >> 6
            word_end = words if right >= columns - 4 else ((int(right) + 3) >> 6) + 1
            x0, y0 = int(np.rint(us[n - 1])), int(np.rint(vs[n - 1]))
            for i in range(n):
                x1, y1 = int(np.rint(us[i])), int(np.rint(vs[i]))
                xa, ya, xb, yb = x0, y0, x1, y1
                x0, y0 = x1, y1
                if not ((ya < 0 and yb < 0) or (ya >= rows and yb >= rows) or (xa >= columns and xb >= columns)):
                    _draw_steps(xa, ya, xb, yb, columns, drawn)
                # cut ends give the edge its slope
                ca, da, cb, db = xa, ya, xb, yb
                if _is_out(xa, ya, columns, rows) or _is_out(xb, yb, columns, rows):
                    _, ca, da, cb, db = _cut(columns, rows, xa, ya, xb, yb)
                    if da == db:
                        da, db = ya, yb
                if ya == yb:
                    continue
                slope = _quotient((cb - ca) << _XY, db - da)
                if ya < yb:
                    first, last, x = ya, yb, (ca << _XY) + (ya - da) * slope
                else:
                    first, last, x = yb, ya, (cb << _XY) + (yb - db) * slope
                if first < 0:
                    x -= first * slope
                    first = 0
                for row in range(first, min(last, rows)):
                    # a span goes from the first whole cell on to the last one, both included
                    column = (x + _WHOLE - 1) >> _XY
                    if column < columns:
                        if column < 0:
                            turns[row, 0] ^= _ONE
                        else:
                            turns[row, column >> 6] ^= _ONE << np.uint64(column & 63)
                            if (x & (_WHOLE - 1)) == 0:
                                drawn[row, column >> 6] |= _ONE << np.uint64(column & 63)
                    x += slope
            for row in range(top, end):
                carry = _NONE
                for word in range(word_begin, word_end):
                    found = carry
                    turned = turns[row, word]
                    if turned != _NONE:
                        turns[row, word] = _NONE
                        found ^= filled(turned)
                        carry = _NONE - (found >> _S63)
                    found |= drawn[row, word]
                    drawn[row, word] = _NONE
                    if ring == first_part[k]:
                        bits[row, word] |= found
                    else:
                        bits[row, word] &= ~found


@inner
def _set_span(first: int, last: int, row: int, columns: int, bits: Any) -> None:
    for column in range(max(0, first), min(last, columns - 1) + 1):
        bits[row, column >> 6] |= _ONE << np.uint64(column & 63)


@inner
def _put(x: int, y: int, columns: int, bits: Any) -> None:
    if 0 <= x < columns and 0 <= y < bits.shape[0]:
        bits[y, x >> 6] |= _ONE << np.uint64(x & 63)


@inner
def _draw_fine(x1: int, y1: int, x2: int, y2: int, columns: int, bits: Any) -> None:
    """Line2: a line between ends in fixed point."""
    is_in, x1, y1, x2, y2 = _cut(columns << _XY, bits.shape[0] << _XY, x1, y1, x2, y2)
    if not is_in:
        return
    dx, dy = x2 - x1, y2 - y1
    ax, ay = abs(dx), abs(dy)
    if ax > ay:
        if dx < 0:
            x1, y1, x2, y2 = x2, y2, x1, y1
            dy = -dy
        step = _quotient(dy << _XY, ax | 1)
        many = (x2 - x1) >> _XY
    else:
        if dy < 0:
            x1, y1, x2, y2 = x2, y2, x1, y1
            dx = -dx
        step = _quotient(dx << _XY, ay | 1)
        many = (y2 - y1) >> _XY
    x1, y1 = x1 + _HALF, y1 + _HALF
    _put((x2 + _HALF) >> _XY, (y2 + _HALF) >> _XY, columns, bits)
    if ax > ay:
        x1 >>= _XY
        for i in range(many + 1):
            _put(x1 + i, (y1 + i * step) >> _XY, columns, bits)
    else:
        y1 >>= _XY
        for i in range(many + 1):
            _put((x1 + i * step) >> _XY, y1 + i, columns, bits)


@inner
def _next_side(xs: Any, ys: Any, at: int, turn: int, y: int, edges: int) -> Any:
    """Returns how many edges are left, or -1 where none goes on below row y, and of the one that does the corner
    where it ends, the row before which it ends, its x at y and its step a row. turn: round the corners 1 one way, 3 the
    other.
    """
    begin, end = at, (at + turn) & 3
    while edges > 0:
        edges -= 1
        until = (ys[end] + _HALF) >> _XY
        if until > y:
            step = _quotient((xs[end] - xs[begin]) * 2 + (until - y), 2 * (until - y))
            return edges, end, until, xs[begin], step
        begin, end = end, (end + turn) & 3
    return -1, at, y, 0, 0


@inner
def _fill_quad(xs: Any, ys: Any, columns: int, bits: Any) -> None:
    """FillConvexPoly of four corners in fixed point: its outline, and the spans between its left and right side."""
    rows = bits.shape[0]
    lowest = 0
    for i in range(4):
        _draw_fine(xs[i - 1], ys[i - 1], xs[i], ys[i], columns, bits)
        if ys[i] < ys[lowest]:
            lowest = i
    top, bottom = (ys.min() + _HALF) >> _XY, (ys.max() + _HALF) >> _XY
    if (xs.max() + _HALF) >> _XY < 0 or bottom < 0 or (xs.min() + _HALF) >> _XY >= columns or top >= rows:
        return
    bottom = min(bottom, rows - 1)
    left_at, left_until, left_x, left_step = lowest, top, -_WHOLE, 0
    right_at, right_until, right_x, right_step = lowest, top, -_WHOLE, 0
    edges = 4
    for y in range(top, bottom + 1):
        if y >= left_until:
            edges, left_at, left_until, left_x, left_step = _next_side(xs, ys, left_at, 1, y, edges)
        if y >= right_until:
            edges, right_at, right_until, right_x, right_step = _next_side(xs, ys, right_at, 3, y, edges)
        if edges < 0:
            break
        if y >= 0:
            first, last = min(left_x, right_x), max(left_x, right_x)
            _set_span((first + _HALF) >> _XY, (last + _HALF) >> _XY, y, columns, bits)
        left_x += left_step
        right_x += right_step


@kernel
def draw_lines(
    points: Any,
    parts: Any,
    first_part: Any,
    bounds: Any,
    chosen: Any,
    place: Any,
    columns: int,
    us: Any,
    vs: Any,
    xs: Any,
    ys: Any,
    bits: Any,
) -> None:
    """Draws lines two cells thick, with round ends, between corners that are cut to whole cells.

    xs, ys: (4,) int64. The rest as in `raster.fill_lines`; a corner at u = v = 0 lies at (xmin, ymin).
    """
    rows = bits.shape[0]
    for k in chosen:
        if is_beside(bounds, k, place):
            continue
        begin = parts[first_part[k]]
        n = parts[first_part[k] + 1] - begin
        left, right, low, high = move(points, begin, n, place, us, vs)
        near = high >= -3 and low <= rows + 3 and right >= -3 and left <= columns + 3
        is_countable = left > -_MOST and right < _MOST and low > -_MOST and high < _MOST
        if n < 2 or not near or not is_countable:
            continue
        for i in range(n - 1):
            x0, y0, x1, y1 = int(us[i]), int(vs[i]), int(us[i + 1]), int(vs[i + 1])
            # first cut to the picture and two cells more, and rounded, as from OpenCV 5.0 on
            is_in, x0, y0, x1, y1 = _cut(columns + 4, rows + 4, x0 + 2, y0 + 2, x1 + 2, y1 + 2)
            if not is_in:
                continue
            x0, y0, x1, y1 = x0 - 2, y0 - 2, x1 - 2, y1 - 2
            dx, dy = float(x0 - x1), float(y1 - y0)
            square = dx * dx + dy * dy
            if square > 0:
                r = _WHOLE / np.sqrt(square)
                across, up = int(np.rint(dy * r)), int(np.rint(dx * r))
                xs[0], ys[0] = (x0 << _XY) + across, (y0 << _XY) + up
                xs[1], ys[1] = (x0 << _XY) - across, (y0 << _XY) - up
                xs[2], ys[2] = (x1 << _XY) - across, (y1 << _XY) - up
                xs[3], ys[3] = (x1 << _XY) + across, (y1 << _XY) + up
                _fill_quad(xs, ys, columns, bits)
            for end in range(0 if i == 0 else 1, 2):
                x, y = (x0, y0) if end == 0 else (x1, y1)
                # a circle of radius 1
                for column in range(x - 1, x + 2):
                    _put(column, y, columns, bits)
                _put(x, y - 1, columns, bits)
                _put(x, y + 1, columns, bits)


@kernel
def draw_sheet(
    points: Any,
    parts: Any,
    first_part: Any,
    bounds: Any,
    chosen: Any,
    runs: Any,
    place: Any,
    columns: int,
    us: Any,
    vs: Any,
    xs: Any,
    ys: Any,
    turns: Any,
    drawn: Any,
    bits: Any,
) -> None:
    """Draws areas and lines of several layers, as `raster.fill_sheet` fills them."""
    for run in range(len(runs)):
        own, plane = chosen[runs[run, 0] : runs[run, 1]], bits[runs[run, 3]]
        if runs[run, 2] == AREA:
            fill_polygons(points, parts, first_part, bounds, own, place, columns, us, vs, turns, drawn, plane)
        else:
            draw_lines(points, parts, first_part, bounds, own, place, columns, us, vs, xs, ys, plane)
