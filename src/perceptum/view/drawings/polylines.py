"""map_polylines: each row as a line in the colour of its layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backdrop import draw_points_behind, points_behind
from .colors import layer_color
from .columns import column
from .drawing import OnGround, Reach
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["MAP_POLYLINES"]


def _draw(ground: Ground, kind: Kind) -> str:
    params = kind.params
    mask, types = kind["map_polyline_mask"].astype(bool), kind["map_polyline_type"]
    real = mask.any(axis=1)
    draw_points_behind(ground, kind)
    said = []
    for number, layer in enumerate(params.layers):
        own = np.flatnonzero(real & (types == number))
        color = layer_color(layer, number)
        lines = [line for row in own for line in _runs(kind["map_polylines"][row], mask[row], params)]
        ground.lines(lines, color, 1.3)
        ground.dots(np.concatenate(lines) if lines else np.zeros((0, 2)), color, 3)
        ground.name(f"{layer} ({len(own)})", color)
        said.append(len(own))
    return f"{sum(said)} polylines of {mask.shape[1]} {params.elements}"


def _runs(row: NDArray[Any], mask: NDArray[np.bool_], params: Any) -> Iterator[NDArray[Any]]:
    """Yields the (n, 2) lines of steps that follow each other and are real."""
    names, wide = params.columns, len(params.layers)
    if not {"x", "y"} <= set(names):
        raise NotDrawn(f"its columns, {' '.join(names)}, have no x and y")
    ends = np.stack([row[:, column(names, name, wide)] for name in ("x", "y")], axis=1)
    # a vector begins where another may not have ended
    before = _begins(row, names, wide, ends) if params.elements == "vectors" else None
    breaks = np.flatnonzero(np.diff(mask.astype(np.int8))) + 1
    for run in np.split(np.arange(len(mask)), breaks):
        if mask[run[0]]:
            yield ends[run] if before is None else np.concatenate([before[run[:1]], ends[run]])


def _begins(row: NDArray[Any], names: Any, wide: int, ends: NDArray[Any]) -> NDArray[Any]:
    """Returns (P, 2) where the vectors begin, as far as the columns say it."""
    if {"x_prev", "y_prev"} <= set(names):
        return np.stack([row[:, column(names, name, wide)] for name in ("x_prev", "y_prev")], axis=1)
    if {"dx", "dy"} <= set(names):
        steps = np.stack([row[:, column(names, name, wide)] for name in ("dx", "dy")], axis=1)
        begins: NDArray[Any] = ends - steps
        return begins
    return ends


def _reach(params: Any) -> Reach | None:
    if params.range is not None:
        given: Reach = params.range
        return given
    if params.radius is None:
        return None
    (x, y), r = params.centre, params.radius
    return x - r, y - r, x + r, y + r


MAP_POLYLINES = OnGround(
    draw=_draw,
    reach=_reach,
    needs=("map_polylines", "map_polyline_mask", "map_polyline_type"),
    behind=points_behind,
)
