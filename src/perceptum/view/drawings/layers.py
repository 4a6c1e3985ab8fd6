"""map_raster and gt_map: layers in translucent colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .birds_eye import draw_layers, laid, reach_of_square
from .colors import layer_color
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["GT_MAP", "MAP_RASTER"]


def _draw(ground: Ground, kind: Kind) -> str:
    params = kind.params
    shares: NDArray[Any] = laid(kind[kind.group], params).astype(np.float32)
    shares = (shares + 1) / 2 if params.values == "-1/+1" else shares
    known = kind[f"{kind.group}_valid"].astype(bool)
    each = zip(params.layers, shares, known, strict=True)
    names = [f"{name} {_share(share)}" if there else f"{name}: {_missing(name)}" for name, share, there in each]
    colors = [layer_color(name, number) for number, name in enumerate(params.layers)]
    draw_layers(ground, shares, reach_of_square(params), names, colors)
    return f"{len(params.layers)} channels, {np.count_nonzero(known)} of them in the map"


def _share(share: NDArray[Any]) -> str:
    percent = 100 * np.count_nonzero(share > 0) / share.size
    return "<1 %" if 0 < percent < 1 else f"{percent:.0f} %"


def _missing(layer: str) -> str:
    return "none of it in the map" if "+" in layer else "not in the map"


MAP_RASTER = OnGround(draw=_draw, cells=True, reach=reach_of_square, needs=("map_raster", "map_raster_valid"))
GT_MAP = OnGround(draw=_draw, cells=True, reach=reach_of_square, needs=("gt_map", "gt_map_valid"))
