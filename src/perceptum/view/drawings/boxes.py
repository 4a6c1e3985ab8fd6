"""gt_boxes: the boxes as the tensor has them."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backdrop import draw_points_behind, points_behind
from .colors import color_of
from .drawing import OnGround, Reach
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["GT_BOXES", "boxes_of"]


def _draw(ground: Ground, kind: Kind) -> str:
    boxes, labels = boxes_of(kind)
    names = [one.name for one in kind.params.whole_classes()]
    draw_points_behind(ground, kind)
    for number in np.unique(labels):
        own = labels == number
        ground.boxes(boxes[own], color_of(int(number)))
        ground.name(f"{names[number]} ({np.count_nonzero(own)})", color_of(int(number)))
    _draw_motion(ground, kind, boxes)
    return f"{len(boxes)} boxes" if kind["gt_valid"][0] else "the frame has no labels"


def _draw_motion(ground: Ground, kind: Kind, boxes: NDArray[Any]) -> None:
    names = list(kind.params.columns)
    if {"vx", "vy"} <= set(names):
        speeds = kind["gt_boxes"][kind["gt_labels"] >= 0][:, [names.index("vx"), names.index("vy")]]
        ground.arrows(boxes[:, :2], speeds, "black", 1.0)
        ground.name("a second of its motion", "black")


def boxes_of(kind: Kind) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns (n, 7) boxes by their centres, yaw from x, and (n,) their classes from 0; rows of padding are left out.

    Raises NotDrawn where the columns do not say enough.
    """
    params, real = kind.params, kind["gt_labels"] >= 0
    names, rows = list(params.columns), kind["gt_boxes"][real].astype(np.float64)
    sides = ("x", "y", "z", "length", "width", "height")
    turned = {"sin_yaw", "cos_yaw"} <= set(names)
    if not set(sides) <= set(names) or not (turned or "yaw" in names):
        raise NotDrawn(f"its columns, {' '.join(names)}, do not give whole boxes")
    boxes = np.zeros((len(rows), 7))
    boxes[:, :6] = rows[:, [names.index(name) for name in sides]]
    if turned:
        boxes[:, 6] = np.arctan2(rows[:, names.index("sin_yaw")], rows[:, names.index("cos_yaw")])
    else:
        boxes[:, 6] = rows[:, names.index("yaw")]
    if params.heading == "mmdet3d_0":
        boxes[:, 6] = -boxes[:, 6] - pi / 2
    if params.centre == "bottom":
        boxes[:, 2] += boxes[:, 5] / 2
    return boxes, kind["gt_labels"][real].astype(np.int64) - params.label_base


def _reach(params: Any) -> Reach | None:
    given = params.box_range
    return None if given is None else (given[0], given[1], given[3], given[4])


GT_BOXES = OnGround(draw=_draw, reach=_reach, needs=("gt_boxes", "gt_labels", "gt_valid"), behind=points_behind)
