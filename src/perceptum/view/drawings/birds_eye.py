"""Bird's-eye views as they lie on the ground: what layout and flips did is undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drawing import Reach
from .ground import Ground

__all__ = ["blended", "draw_layers", "laid", "reach_of_grid", "reach_of_map", "reach_of_square"]

_OPAQUE = 0.6


def laid(tensor: NDArray[Any], params: Any) -> NDArray[Any]:
    """Returns (C, Y, X): row 0 at ymin, column 0 at xmin; the axes of time and height, where it has them, are C."""
    order = tuple(params.bev_layout)
    order = order if len(order) == tensor.ndim else params.order()
    above = [axis for axis in order if axis not in "YX"]
    turned = tensor.transpose([order.index(axis) for axis in (*above, "Y", "X")])
    turned = turned.reshape(-1, *turned.shape[-2:])
    turned = turned[:, ::-1] if getattr(params, "flip_y", False) else turned
    return turned[:, :, ::-1] if getattr(params, "flip_x", False) else turned


def reach_of_square(params: Any) -> Reach:
    """Returns the ground of whole cells from `range` and `cell`."""
    x_min, y_min, x_max, y_max = params.range
    x, y = (max(round((high - low) / params.cell), 1) for low, high in ((x_min, x_max), (y_min, y_max)))
    return x_min, y_min, x_min + x * params.cell, y_min + y * params.cell


def reach_of_grid(params: Any) -> Reach | None:
    """Returns the ground of a grid's whole cells; None for a cylinder, whose first two sides are not x and y."""
    grid = params.grid
    if grid.coordinates != "xyz":
        return None
    (x, y, _), (x_min, y_min) = grid.size, grid.range[:2]
    return x_min, y_min, x_min + x * grid.voxel[0], y_min + y * grid.voxel[1]


def reach_of_map(params: Any) -> Reach:
    """Returns the ground of a map whose cells are `stride` of a grid's."""
    (x, y), (x_min, y_min) = params.map_size(), params.grid.range[:2]
    wide, high = (edge * params.stride for edge in params.grid.voxel[:2])
    return x_min, y_min, x_min + x * wide, y_min + y * high


def blended(shares: NDArray[Any], colors: Sequence[Any]) -> NDArray[np.float32]:
    """Returns (Y, X, 3) colours: of (C, Y, X) shares from 0 to 1 one channel over the other, translucent, on white."""
    from matplotlib.colors import to_rgb

    out = np.ones((*shares.shape[1:], 3), np.float32)
    for share, color in zip(shares, colors, strict=True):
        cover = (_OPAQUE * np.clip(share, 0, 1))[..., None].astype(np.float32)
        out += cover * (np.array(to_rgb(color), np.float32) - out)
    return out


def draw_layers(
    ground: Ground, shares: NDArray[Any], reach: Reach, names: Sequence[str], colors: Sequence[Any]
) -> None:
    """Draws (C, Y, X) shares in their colours, and names them."""
    ground.cells(blended(shares, colors), reach)
    for name, color in zip(names, colors, strict=True):
        ground.name(name, color)
