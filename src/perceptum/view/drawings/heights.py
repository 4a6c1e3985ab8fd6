"""map_ground_height: how high the ground is, where that is known."""

from __future__ import annotations

import numpy as np

from .birds_eye import laid, reach_of_square
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["GROUND_HEIGHT"]

_SHARES = (2, 98)
"""The percentiles between which colours change."""
_LEAST_M = 0.01


def _draw(ground: Ground, kind: Kind) -> str:
    known = laid(kind["map_ground_mask"], kind.params)[0].astype(bool)
    height = np.where(known, laid(kind["map_ground_height"], kind.params)[0], np.nan)
    if not known.any():
        return "not known anywhere"
    # a few cells far off, as beside a bridge, would leave all others one colour
    darkest, lightest = np.nanpercentile(height, _SHARES)
    style = {"cmap": "terrain", "vmin": darkest, "vmax": max(lightest, darkest + _LEAST_M)}
    ground.scale(ground.cells(height, reach_of_square(kind.params), **style), "m")
    low, high = np.nanmin(height), np.nanmax(height)
    return f"{low:.2f} to {high:.2f} m, known in {100 * known.mean():.0f} % of the cells"


GROUND_HEIGHT = OnGround(draw=_draw, cells=True, reach=reach_of_square, needs=("map_ground_height", "map_ground_mask"))
