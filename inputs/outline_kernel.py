"""Convex outlines and rectangles: what of them lies on one side of an edge, their areas, and which are apart."""

from __future__ import annotations

from math import cos, sin
from typing import Any

from .kernel import inner

__all__ = ["apart", "area", "cut", "turns"]


@inner
def turns(a: Any, b: Any, c: Any) -> float:
    """Returns above 0 where a, b, c turn counterclockwise."""
    turned: float = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return turned


@inner
def cut(points: Any, n: int, axis: int, edge: float, above: bool, out: Any) -> int:
    """Writes the part of an outline on one side of an edge; returns of how many corners it is. Sutherland-Hodgman."""
    found = 0
    for i in range(n):
        before = points[n - 1 if i == 0 else i - 1]
        point = points[i]
        inside = point[axis] >= edge if above else point[axis] <= edge
        was_inside = before[axis] >= edge if above else before[axis] <= edge
        if inside != was_inside:
            share = (edge - before[axis]) / (point[axis] - before[axis])
            out[found, 1 - axis] = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            out[found, axis] = edge
            found += 1
        if inside:
            out[found, 0], out[found, 1] = point[0], point[1]
            found += 1
    return found


@inner
def area(points: Any, n: int) -> float:
    """Returns the area of an outline of n corners; 0 of fewer than three."""
    twice = 0.0
    for i in range(1, n - 1):
        twice += turns(points[0], points[i], points[i + 1])
    return abs(twice) / 2


@inner
def apart(a: Any, b: Any) -> bool:
    """Whether an axis along a side of `a` separates two rectangles x y . length width . yaw; those that only touch are
    apart. Two convex shapes overlap unless a side of one of them separates them."""
    c, s = cos(a[6]), sin(a[6])
    dx, dy = b[0] - a[0], b[1] - a[1]
    turn = b[6] - a[6]
    along, across = abs(cos(turn)), abs(sin(turn))
    reach_x = (a[3] + b[3] * along + b[4] * across) / 2
    reach_y = (a[4] + b[3] * across + b[4] * along) / 2
    return bool(abs(c * dx + s * dy) >= reach_x or abs(c * dy - s * dx) >= reach_y)
