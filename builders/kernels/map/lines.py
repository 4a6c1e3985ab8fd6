"""Other points on lines: at equal distances, or by number."""

from __future__ import annotations

import math
from typing import Any

from perceptum.inputs.kernel import inner, kernel

__all__ = ["ARC_LENGTH", "NUMBER", "RECORDED", "SPACING", "count_points", "resample"]

ARC_LENGTH, NUMBER, SPACING, RECORDED = range(4)
"""Which points a line has, as the parameter `resample` says."""

# a line's end that is this near to the point before it is that point
_SAME_M = 1e-6
_SAME_SHARE = 1e-9


@inner
def _step(points: Any, i: int) -> float:
    """Returns the way from point i to the next, in the plane."""
    return math.hypot(points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1])


@inner
def _length(points: Any, start: int, stop: int) -> float:
    length = 0.0
    for i in range(start, stop - 1):
        length += _step(points, i)
    return length


@kernel
def count_points(points: Any, starts: Any, how: Any, spacing: float, most: int, out: Any) -> None:
    """Writes how many points each line will have.

    points: (P, 3) float64, starts: (n + 1,) int64. how: (n,) int64, of the four. most: for ARC_LENGTH and NUMBER how
    many; RECORDED at most so many. out: (n,) int64.
    """
    for line in range(len(out)):
        start, stop = starts[line], starts[line + 1]
        if how[line] == SPACING:
            length = _length(points, start, stop)
            whole = math.floor(length / spacing)
            out[line] = whole + 1
            if length - whole * spacing > _SAME_M:
                out[line] += 1
        elif how[line] == RECORDED:
            out[line] = min(stop - start, most)
        else:
            out[line] = most


@inner
def _between(points: Any, i: int, share: float, out: Any, row: int) -> None:
    # at a point itself its height counts alone, for the other's may not be known
    if share < _SAME_SHARE:
        out[row] = points[i]
    elif share > 1 - _SAME_SHARE:
        out[row] = points[i + 1]
    else:
        for axis in range(3):
            out[row, axis] = points[i, axis] + (points[i + 1, axis] - points[i, axis]) * share


@kernel
def resample(points: Any, starts: Any, how: Any, spacing: float, out_starts: Any, out: Any) -> None:
    """Writes the points of each line; a height between one that is known and one that is not is not known.

    out_starts: (n + 1,) int64, from `count_points`. out: (P', 3) float64. The rest as there.
    """
    for line in range(len(starts) - 1):
        start, stop = starts[line], starts[line + 1]
        first, many = out_starts[line], out_starts[line + 1] - out_starts[line]
        if how[line] == RECORDED:
            out[first : first + many] = points[start : start + many]
            continue
        if stop - start == 1:
            for k in range(many):
                out[first + k] = points[start]
            continue
        if how[line] == NUMBER:
            for k in range(many):
                at = min(max((k + 0.5) * (stop - start) / many - 0.5, 0.0), stop - start - 1.0)
                i = min(math.floor(at), stop - start - 2)
                _between(points, start + i, at - i, out, first + k)
            continue
        step = spacing
        if how[line] == ARC_LENGTH:
            step = _length(points, start, stop) / max(many - 1, 1)
        i, passed, here = start, 0.0, _step(points, start)
        for k in range(many):
            along = k * step
            while i < stop - 2 and passed + here < along:
                passed += here
                i += 1
                here = _step(points, i)
            share = (along - passed) / here if here > 0 else 0.0
            _between(points, i, min(max(share, 0.0), 1.0), out, first + k)
        # the ends are the map's own, to the last bit
        out[first] = points[start]
        if many > 1:
            out[first + many - 1] = points[stop - 1]
