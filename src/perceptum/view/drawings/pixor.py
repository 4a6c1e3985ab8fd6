"""gt_pixor: the cells of boxes, the ignored ones, and the boxes that the cells regress."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .birds_eye import draw_layers, reach_of_map
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["GT_PIXOR", "regressed_by_cells"]

_OWN, _IGNORED = "#2ca02c", "#ffb000"


def _draw(ground: Ground, kind: Kind) -> str:
    own, counted = kind["gt_pixor_cls"][0], kind["gt_pixor_mask"][0]
    names = [f"of a box ({np.count_nonzero(own)})", f"left out ({np.count_nonzero(counted == 0)})"]
    shares = np.stack([own, counted == 0]).astype(np.float32)
    draw_layers(ground, shares, reach_of_map(kind.params), names, [_OWN, _IGNORED])
    # one box for each cell: those of one object lie on each other
    ground.boxes(regressed_by_cells(kind), "black", 0.5)
    ground.name("gt_pixor_reg", "black")
    return f"{np.count_nonzero(own)} cells are of a box"


def regressed_by_cells(kind: Kind) -> NDArray[np.float64]:
    """Returns (n, 7) boxes, of height 0, of the n cells that are of one."""
    params = kind.params
    rows, columns = np.nonzero(kind["gt_pixor_cls"][0])
    values = kind["gt_pixor_reg"][:, rows, columns].astype(np.float64).T * params.std + params.mean
    cos, sin, to_x, to_y, log_width, log_length = values.T
    x_min, y_min, _, _ = reach_of_map(params)
    wide, high = (edge * params.stride for edge in params.grid.voxel[:2])
    x, y, zero = x_min + (columns + 0.5) * wide + to_x, y_min + (rows + 0.5) * high + to_y, np.zeros(len(rows))
    return np.stack([x, y, zero, np.exp(log_length), np.exp(log_width), zero, np.arctan2(sin, cos)], axis=1)


GT_PIXOR = OnGround(draw=_draw, cells=True, reach=reach_of_map, needs=("gt_pixor_cls", "gt_pixor_mask", "gt_pixor_reg"))
