"""gt_boxes_2d, lidar_camera_pixels, radar_camera_points: what has pixels, on the pictures that these are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .colors import color_of
from .drawing import Picture, Pictures
from .kind import Kind, NotDrawn
from .pictures import plain_pictures

__all__ = ["GT_BOXES_2D", "LIDAR_PIXELS", "RADAR_PIXELS"]

_SIDES = ("u_min", "v_min", "u_max", "v_max")
_AROUND = ((0, 1, 2, 1), (2, 1, 2, 3), (2, 3, 0, 3), (0, 3, 0, 1))
"""The edges of a box, by its sides."""


def _boxes(kind: Kind) -> Sequence[Picture]:
    names = list(kind.params.columns)
    if not set(_SIDES) <= set(names):
        raise NotDrawn(f"its columns, {' '.join(names)}, do not give whole boxes")
    sides = kind["gt_boxes_2d"][:, [names.index(side) for side in _SIDES]].astype(np.float64)
    labels, cameras = kind["gt_boxes_2d_label"], kind["gt_boxes_2d_camera"]
    edges = sides[:, np.array(_AROUND)].reshape(-1, 4, 2, 2)
    found = []
    for number, picture in enumerate(_behind(kind)):
        own = cameras == number
        lines = [(edges[own & (labels == k)].reshape(-1, 2, 2), color_of(int(k))) for k in np.unique(labels[own])]
        title = f"{picture.title} ({np.count_nonzero(own)})"
        found.append(replace(picture, title=title, lines=tuple(lines)))
    return found


def _lidar(kind: Kind) -> Sequence[Picture]:
    pixels, cameras = kind["lidar_camera_pixels"].reshape(-1, 3), kind["lidar_camera_index"].reshape(-1)
    return [_with(picture, pixels[cameras == number]) for number, picture in enumerate(_behind(kind))]


def _radar(kind: Kind) -> Sequence[Picture]:
    names = kind.params.columns
    if names[:3] != ("u", "v", "depth"):
        raise NotDrawn(f"its columns, {' '.join(names)}, do not begin with u v depth")
    rows, counts = kind["radar_camera_points"], kind["radar_camera_num_points"]
    each = enumerate(_behind(kind))
    return [replace(_with(picture, rows[i, : counts[i], :3]), point_size=14.0) for i, picture in each]


def _with(picture: Picture, points: NDArray[Any]) -> Picture:
    return replace(picture, title=f"{picture.title} ({len(points)})", points=points[np.argsort(-points[:, 2])])


def _behind(kind: Kind) -> Sequence[Picture]:
    if "camera_images" not in kind.behind:
        raise NotDrawn("its pictures cannot be built as one tensor")
    return plain_pictures(kind.behind["camera_images"])


def _images(params: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    return {"camera_images": {"image": msgspec.to_builtins(params.image)}}


GT_BOXES_2D = Pictures(
    pictures=_boxes, needs=("gt_boxes_2d", "gt_boxes_2d_label", "gt_boxes_2d_camera"), behind=_images
)
LIDAR_PIXELS = Pictures(pictures=_lidar, needs=("lidar_camera_pixels", "lidar_camera_index"), behind=_images)
RADAR_PIXELS = Pictures(pictures=_radar, needs=("radar_camera_points", "radar_camera_num_points"), behind=_images)
