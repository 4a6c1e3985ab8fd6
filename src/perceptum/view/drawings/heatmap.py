"""gt_heatmap: the classes over each other, with the objects that gt_reg regresses."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .birds_eye import draw_layers, laid, reach_of_map
from .colors import color_of
from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["GT_HEATMAP", "regressed"]


def _draw(ground: Ground, kind: Kind) -> str:
    shares = laid(kind["gt_heatmap"], kind.params)
    names = [
        f"{one.name} ({np.count_nonzero(share == 1)})"
        for one, share in zip(kind.params.whole_classes(), shares, strict=True)
    ]
    # brighter than layers: a Gaussian's foot is hardly seen
    draw_layers(ground, np.sqrt(shares), reach_of_map(kind.params), names, [color_of(k) for k in range(len(shares))])
    centres, boxes = regressed(kind)
    ground.dots(centres, "black", 8)
    ground.boxes(boxes, "black", 0.8)
    ground.name(f"gt_reg ({len(centres)})", "black")
    return f"{len(shares)} classes, {len(centres)} objects"


def regressed(kind: Kind) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns (n, 2) centres by gt_index and the offsets of gt_reg, and as many (n, 7) boxes, or none."""
    params, real = kind.params, kind["gt_reg_mask"].astype(bool)
    names, rows = list(params.columns), kind["gt_reg"][real].astype(np.float64)
    x, y = params.map_size()
    # the map's rows are what its layout has first
    first, second = np.divmod(kind["gt_index"][real], x if params.bev_layout == "CYX" else y)
    cells = np.stack([second, first] if params.bev_layout == "CYX" else [first, second], axis=1)
    value = {name: rows[:, number] for number, name in enumerate(names)}
    offsets = [value.get(f"offset_{axis}", 0.5) for axis in "xy"]
    places = cells + np.stack(np.broadcast_arrays(*offsets, np.zeros(len(rows)))[:2], axis=1)
    x_min, y_min = params.grid.range[:2]
    centres = places * np.array(params.grid.voxel[:2]) * params.stride + [x_min, y_min]
    for side in ("length", "width"):
        if f"log_{side}" in value:
            value[side] = np.exp(value[f"log_{side}"])
    if {"sin_yaw", "cos_yaw"} <= value.keys():
        value["yaw"] = np.arctan2(value["sin_yaw"], value["cos_yaw"])
    if not {"length", "width", "yaw"} <= value.keys():
        return centres, np.zeros((0, 7))
    yaw = -value["yaw"] - pi / 2 if params.heading == "mmdet3d_0" else value["yaw"]
    zero = np.zeros(len(rows))
    return centres, np.stack([*centres.T, zero, value["length"], value["width"], zero, yaw], axis=1)


GT_HEATMAP = OnGround(
    draw=_draw, cells=True, reach=reach_of_map, needs=("gt_heatmap", "gt_reg", "gt_index", "gt_reg_mask")
)
