"""Which lanes lead over a line where a light or a sign may stop them. nuScenes names the lines, not their lanes."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix, Shapes

__all__ = ["CONTROLLING", "controlled"]

CONTROLLING = ("TRAFFIC_LIGHT", "STOP_SIGN", "YIELD")
"""The types of stop lines that a light or a sign belongs to; the others are for crossings and turns."""


def controlled(centerlines: Shapes, stops: Shapes, controlling: Set[str]) -> NDArray[np.bool_]:
    """Returns (n,) whether a centreline touches one of the areas `stops` whose id is in `controlling`."""
    found = np.zeros(len(centerlines), dtype=np.bool_)
    for index in (i for i, id in enumerate(stops.ids.tolist()) if id in controlling):
        xmin, ymin, xmax, ymax = stops.bounds[index].tolist()
        for lane in centerlines.near(xmin, ymin, xmax, ymax).tolist():
            found[lane] = found[lane] or _touches(centerlines[lane][:, :2], stops[index][:, :2])
    return found


def _touches(line: Matrix, ring: Matrix) -> bool:
    """Whether a line crosses the edge of an area, or begins inside of it."""
    a, b = line[:-1, None], line[1:, None]
    c, d = ring[None], np.roll(ring, -1, axis=0)[None]
    # the ends of each lie on different sides of the other
    crosses = (_side(a, b, c) * _side(a, b, d) <= 0) & (_side(c, d, a) * _side(c, d, b) <= 0)
    return bool(crosses.any()) or _inside(line[0], ring)


def _side(a: Matrix, b: Matrix, p: Matrix) -> Matrix:
    """Above 0 where p is to the left of the line from a to b."""
    ab, ap = b - a, p - a
    side: Matrix = np.sign(ab[..., 0] * ap[..., 1] - ab[..., 1] * ap[..., 0])
    return side


def _inside(point: Matrix, ring: Matrix) -> bool:
    (x, y), after = point, np.roll(ring, -1, axis=0)
    spans = (ring[:, 1] > y) != (after[:, 1] > y)
    low, high = ring[spans], after[spans]
    at_x = low[:, 0] + (y - low[:, 1]) / (high[:, 1] - low[:, 1]) * (high[:, 0] - low[:, 0])
    return bool(np.count_nonzero(at_x > x) % 2)
