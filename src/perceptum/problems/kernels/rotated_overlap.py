"""How much boxes that stand on the ground have in common."""

from __future__ import annotations

from math import cos, isfinite, sin
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel
from perceptum.inputs.outline_kernel import apart, area, cut

__all__ = ["overlaps"]

_MOST = 16
"""Four corners that are cut at four edges are at most eight; while cut, rounding may count a corner twice."""


@kernel
def overlaps(boxes: Any, others: Any, bev: Any, volume: Any) -> None:
    """Writes intersection over union of each pair, seen from above and of the bodies; 0 of a box that is not finite or
    has no size.

    boxes: (N, 7) float64, others: (M, 7) float64, x y z (centre) length width height yaw. bev, volume: (N, M) float64.
    The corners of one rectangle are cut at the sides of the other, in the axes of that one, about its centre: far from
    the origin nothing is lost but what the boxes' own numbers have lost.
    """
    work, other_work = np.empty((_MOST, 2)), np.empty((_MOST, 2))
    whole = np.empty(len(others), np.bool_)
    for m in range(len(others)):
        whole[m] = others[m, 3] > 0 and others[m, 4] > 0 and others[m, 5] > 0
        for k in range(7):
            whole[m] = whole[m] and isfinite(others[m, k])
    for n in range(len(boxes)):
        a = boxes[n]
        usable = a[3] > 0 and a[4] > 0 and a[5] > 0
        for k in range(7):
            usable = usable and isfinite(a[k])
        c, s = cos(a[6]), sin(a[6])
        half_length, half_width, area_a = a[3] / 2, a[4] / 2, a[3] * a[4]
        for m in range(len(others)):
            bev[n, m] = volume[n, m] = 0.0
            b = others[m]
            if not (usable and whole[m]):
                continue
            dx, dy = b[0] - a[0], b[1] - a[1]
            # most pairs of a scene are far from each other: no angle is worked out for them
            reach = a[3] + a[4] + b[3] + b[4]
            if 2 * max(abs(dx), abs(dy)) >= reach or apart(a, b) or apart(b, a):
                continue
            middle_x, middle_y = c * dx + s * dy, c * dy - s * dx
            turn = b[6] - a[6]
            along, across = cos(turn), sin(turn)
            x, y = b[3] / 2, b[4] / 2
            work[0, 0], work[0, 1] = middle_x + along * x - across * y, middle_y + across * x + along * y
            work[1, 0], work[1, 1] = middle_x - along * x - across * y, middle_y - across * x + along * y
            work[2, 0], work[2, 1] = middle_x - along * x + across * y, middle_y - across * x - along * y
            work[3, 0], work[3, 1] = middle_x + along * x + across * y, middle_y + across * x - along * y
            corners = cut(work, 4, 0, -half_length, True, other_work)
            corners = cut(other_work, corners, 0, half_length, False, work)
            corners = cut(work, corners, 1, -half_width, True, other_work)
            corners = cut(other_work, corners, 1, half_width, False, work)
            area_b = b[3] * b[4]
            both = min(area(work, corners), area_a, area_b)
            bev[n, m] = both / (area_a + area_b - both)
            top = min(a[2] + a[5] / 2, b[2] + b[5] / 2)
            bottom = max(a[2] - a[5] / 2, b[2] - b[5] / 2)
            body = both * min(max(top - bottom, 0.0), a[5], b[5])
            volume[n, m] = body / (area_a * a[5] + area_b * b[5] - body)
