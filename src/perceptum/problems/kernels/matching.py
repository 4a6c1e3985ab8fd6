"""Which detection is on which object, by the distance of their centres."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["match_first", "match_nearest"]


@kernel
def match_nearest(places: Any, group: Any, objects: Any, first: Any, limits: Any, out: Any) -> None:
    """In the order of its group, each detection takes the nearest object that is still free and nearer than a limit.

    places: (n, 2) float64, m, the groups' detections in falling score. group: (n,) int64. objects: (m, 2) float64,
    sorted by group. first: (groups + 1,) int64: objects [first[g], first[g + 1]) are of group g. limits: (k,) float64,
    m; each is a matching of its own. out: (k, n) int64, the object's row, or -1. Of objects at one distance the first
    one is taken. Places that are not finite take nothing.
    """
    free = np.ones((len(limits), len(objects)), np.bool_)
    for i in range(len(places)):
        x, y = places[i, 0], places[i, 1]
        begin, end = first[group[i]], first[group[i] + 1]
        for k in range(len(limits)):
            best, at = limits[k], -1
            for j in range(begin, end):
                if free[k, j]:
                    dx, dy = objects[j, 0] - x, objects[j, 1] - y
                    away = sqrt(dx * dx + dy * dy)
                    if away < best:
                        best, at = away, j
            out[k, i] = at
            if at >= 0:
                free[k, at] = False


@kernel
def match_first(places: Any, group: Any, objects: Any, first: Any, out: Any, away_m: Any) -> None:
    """Each object goes to the first detection of its group that it is the nearest one to.

    places: (n, 3) float64, m, the groups' detections in falling score. group, first: as in match_nearest. objects:
    (m, 3) float64. out: (n,) int64, the object's row, or -1. away_m: (n,) float64, how far the nearest object is; inf
    where the group has none.
    """
    free = np.ones(len(objects), np.bool_)
    for i in range(len(places)):
        best, at = inf, -1
        for j in range(first[group[i]], first[group[i] + 1]):
            dx, dy, dz = objects[j, 0] - places[i, 0], objects[j, 1] - places[i, 1], objects[j, 2] - places[i, 2]
            away = sqrt(dx * dx + dy * dy + dz * dz)
            if away < best:
                best, at = away, j
        away_m[i] = best
        if at >= 0 and free[at]:
            free[at] = False
            out[i] = at
        else:
            out[i] = -1
