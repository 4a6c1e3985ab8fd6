"""Which points are in polygons, or not far from them."""

from __future__ import annotations

from typing import Any

from perceptum.inputs.kernel import kernel

__all__ = ["near_polygons"]


@kernel
def near_polygons(places: Any, points: Any, starts: Any, chosen: Any, within_m: float, out: Any) -> None:
    """Whether places are inside a polygon, or no further from one of its sides than a distance.

    places: (n, 2) float64, m. points: (p, 3) float64 and starts: (shapes + 1,) int64, as in inputs.Shapes. chosen: (k,)
    int64, the shapes that are looked at. out: (n,) bool. A place that is not finite is near none.
    """
    most = within_m * within_m
    for i in range(len(places)):
        x, y = places[i, 0], places[i, 1]
        found = False
        for shape in chosen:
            inside = False
            first, last = starts[shape], starts[shape + 1]
            ax, ay = points[last - 1, 0], points[last - 1, 1]
            for j in range(first, last):
                bx, by = points[j, 0], points[j, 1]
                # a ray to the right crosses this side
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                    inside = not inside
                dx, dy = bx - ax, by - ay
                length = dx * dx + dy * dy
                share = 0.0 if length == 0 else min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / length))
                away_x, away_y = x - ax - share * dx, y - ay - share * dy
                if away_x * away_x + away_y * away_y <= most:
                    found = True
                    break
                ax, ay = bx, by
            if found or inside:
                found = True
                break
        out[i] = found
