"""What a picture shows of boxes, from the pixels of their corners."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel
from perceptum.inputs.outline_kernel import area, cut, turns

__all__ = ["CORNERS", "MOST", "outlines"]

CORNERS = 8
MOST = 2 * CORNERS
"""A convex outline of eight corners that is cut at four edges has at most twelve."""


@inner
def _hull(points: Any, n: int, out: Any) -> int:
    """Writes the convex hull of the first n points, counterclockwise; returns of how many it is. Andrew's chain."""
    for i in range(1, n):
        u, v = points[i, 0], points[i, 1]
        k = i
        while k > 0 and (points[k - 1, 0] > u or (points[k - 1, 0] == u and points[k - 1, 1] > v)):
            points[k, 0], points[k, 1] = points[k - 1, 0], points[k - 1, 1]
            k -= 1
        points[k, 0], points[k, 1] = u, v
    found = 0
    for i in range(n):
        while found >= 2 and turns(out[found - 2], out[found - 1], points[i]) <= 0:
            found -= 1
        out[found, 0], out[found, 1] = points[i, 0], points[i, 1]
        found += 1
    least = found + 1
    for i in range(n - 2, -1, -1):
        while found >= least and turns(out[found - 2], out[found - 1], points[i]) <= 0:
            found -= 1
        out[found, 0], out[found, 1] = points[i, 0], points[i, 1]
        found += 1
    return found - 1


@kernel
def outlines(
    corners: Any, seen: Any, ends: Any, hull: bool, min_size: float, work: Any, other: Any, whole: Any, out: Any
) -> None:
    """Writes the least u and v, the most u and v, and which share of its outline the picture shows, of each box, (N, 5)
    float64; NaN where it shows nothing.

    corners: (N, 8, 2) float64, pixels. seen: (N, 8) bool, which corners are in front. ends: (4,) float64, the least u
    and v and the most u and v of the picture. hull: the part of the convex hull that the picture shows; else the
    least and the most of the corners, brought to its edges. min_size: px. work, other, whole: (MOST, 2) float64.
    """
    for box in range(len(corners)):
        out[box] = np.nan
        n = 0
        for i in range(CORNERS):
            if seen[box, i]:
                work[n, 0], work[n, 1] = corners[box, i, 0], corners[box, i, 1]
                n += 1
        if n == 0:
            continue
        u_low, v_low, u_high, v_high = work[0, 0], work[0, 1], work[0, 0], work[0, 1]
        for i in range(n):
            u_low, u_high = min(u_low, work[i, 0]), max(u_high, work[i, 0])
            v_low, v_high = min(v_low, work[i, 1]), max(v_high, work[i, 1])
        around = (u_high - u_low) * (v_high - v_low)
        u0, u1 = max(u_low, ends[0]), min(u_high, ends[2])
        v0, v1 = max(v_low, ends[1]), min(v_high, ends[3])
        shown = (u1 - u0) * (v1 - v0)
        if not (u1 > u0 and v1 > v0):
            continue
        if hull:
            n = _hull(work, n, whole)
            around = area(whole, n)
            n = cut(whole, n, 0, ends[0], True, work)
            n = cut(work, n, 0, ends[2], False, other)
            n = cut(other, n, 1, ends[1], True, work)
            n = cut(work, n, 1, ends[3], False, other)
            if n == 0:
                continue
            u0, v0, u1, v1 = other[0, 0], other[0, 1], other[0, 0], other[0, 1]
            for i in range(n):
                u0, u1 = min(u0, other[i, 0]), max(u1, other[i, 0])
                v0, v1 = min(v0, other[i, 1]), max(v1, other[i, 1])
            shown = area(other, n)
        if not (u1 > u0 and v1 > v0 and u1 - u0 >= min_size and v1 - v0 >= min_size):
            continue
        out[box, 0], out[box, 1], out[box, 2], out[box, 3] = u0, v0, u1, v1
        out[box, 4] = min(shown / around, 1.0) if around > 0 else 1.0
