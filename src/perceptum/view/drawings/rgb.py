"""map_rgb: a picture already."""

from __future__ import annotations

import numpy as np

from .birds_eye import laid, reach_of_square
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["MAP_RGB"]


def _draw(ground: Ground, kind: Kind) -> str:
    tensor = kind["map_rgb"]
    white = 1.0 if tensor.dtype.kind == "f" and kind.params.values == "0-1" else 255.0
    pixels = np.moveaxis(laid(tensor, kind.params), 0, -1) / white
    ground.cells(np.clip(pixels, 0, 1), reach_of_square(kind.params))
    for paint in kind.params.paints:
        if not isinstance(paint.color, str):
            ground.name(paint.layer, tuple(part / 255 for part in paint.color))
    return f"{len(kind.params.paints)} paints"


MAP_RGB = OnGround(draw=_draw, cells=True, reach=reach_of_square)
