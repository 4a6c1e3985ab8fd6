"""map_lane_direction: the hue says which way, and so do arrows."""

from __future__ import annotations

import numpy as np

from .birds_eye import laid, reach_of_square
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["LANE_DIRECTION"]

_ARROWS = 28
"""Along the longer side."""
_PARTS = (("ahead", 0.0), ("left", 90.0), ("back", 180.0), ("right", 270.0))


def _draw(ground: Ground, kind: Kind) -> str:
    from matplotlib.colors import hsv_to_rgb

    reach = x_min, y_min, _, _ = reach_of_square(kind.params)
    cos, sin = laid(kind["map_lane_direction"], kind.params)
    lanes = laid(kind["map_lane_direction_mask"], kind.params)[0].astype(bool)
    hue = (np.arctan2(sin, cos) / (2 * np.pi)) % 1.0
    hsv = np.stack([hue, np.where(lanes, 0.55, 0.0), np.ones_like(hue)], axis=-1)
    ground.cells(hsv_to_rgb(hsv), reach)
    for word, degrees in _PARTS:
        ground.name(f"{word} ({degrees:.0f}°)", tuple(hsv_to_rgb((degrees / 360, 0.55, 1.0))))
    step, cell = max(max(lanes.shape) // _ARROWS, 1), kind.params.cell
    rows, columns = np.nonzero(lanes[::step, ::step])
    rows, columns = rows * step, columns * step
    places = np.stack([x_min + (columns + 0.5) * cell, y_min + (rows + 0.5) * cell], axis=1)
    along = np.stack([cos[rows, columns], sin[rows, columns]], axis=1) * step * cell * 0.8
    ground.arrows(places - along / 2, along, "black")
    return f"{100 * lanes.mean():.0f} % of the cells are in a lane"


LANE_DIRECTION = OnGround(
    draw=_draw, cells=True, reach=reach_of_square, needs=("map_lane_direction", "map_lane_direction_mask")
)
