"""The part of a line that is beside a stretch of a lane: Waymo names the line, and not which part of it."""

from __future__ import annotations

import numpy as np

from perceptum.inputs import Matrix

__all__ = ["along"]


def along(line: Matrix, stretch: Matrix) -> Matrix:
    """Returns (k, 3) the part of a line (n, 3) from the place nearest to the first point of a stretch (m, 3) of a lane
    to the place nearest to its last.

    It runs from the first to the last, also where the line runs the other way; of a line that ends where it begins,
    such as the edge of an island, it is the side that is nearest to the middle of the stretch. A single point where
    both are nearest to the same one. Nearest in the plane.
    """
    begin, end = _nearest(line, stretch[0]), _nearest(line, stretch[-1])
    if begin != end and (line[0] == line[-1]).all():
        return _around(line, begin, end, _nearest(line, _middle(stretch)))
    return _part(line, begin, end)


def _around(ring: Matrix, begin: float, end: float, middle: float) -> Matrix:
    """Returns the part of a ring from begin to end that goes by the middle."""
    edges = len(ring) - 1
    twice = np.concatenate([ring, ring[1:]])
    ahead, to_middle = (end - begin) % edges, (middle - begin) % edges
    if to_middle <= ahead:
        return _part(twice, begin % edges, begin % edges + ahead)
    return _part(twice, end % edges + (begin - end) % edges, end % edges)


def _middle(stretch: Matrix) -> Matrix:
    """Returns the place half of the way along a stretch."""
    passed = np.cumsum([0.0, *np.hypot(*np.diff(stretch[:, :2], axis=0).T)])
    return np.array([np.interp(passed[-1] / 2, passed, column) for column in stretch.T])


def _part(line: Matrix, begin: float, end: float) -> Matrix:
    if begin > end:
        return _part(line, end, begin)[::-1]
    inner = line[int(np.floor(begin)) + 1 : int(np.ceil(end))]
    ends = [_at(line, begin), *inner, _at(line, end)]
    return np.array(ends[:1] if begin == end else ends)


def _nearest(line: Matrix, point: Matrix) -> float:
    """Returns where along the line: 2.25 is a quarter of the way from point 2 to point 3."""
    step, offset = np.diff(line[:, :2], axis=0), point[:2] - line[:-1, :2]
    squared = (step * step).sum(axis=1)
    share = np.clip((step * offset).sum(axis=1) / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
    away = ((offset - share[:, None] * step) ** 2).sum(axis=1)
    at = int(np.argmin(away))
    return at + float(share[at])


def _at(line: Matrix, where: float) -> Matrix:
    index = min(int(where), len(line) - 2)
    share = where - index
    point: Matrix = line[index] * (1 - share) + line[index + 1] * share
    return point
