"""camera_images and camera_depth: the pictures, with points and boxes where the matrices have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from ..boxes import box_lines
from ..cameras import PictureRows
from ..projector import Projector
from .boxes import boxes_of
from .colors import color_of
from .drawing import Picture, Pictures
from .kind import Kind

__all__ = ["CAMERA_DEPTH", "CAMERA_IMAGES", "plain_pictures"]


def plain_pictures(kind: Kind) -> list[Picture]:
    """Returns the pictures alone; the title says where one is missing."""
    # float32 holds 0 to 255 where nothing is scaled
    pixels = PictureRows(kind.suffix, kind.params).pixels(kind["camera_images"]).astype(np.uint8)
    titles = [f"{_title(kind, i)}{'' if valid else ': missing'}" for i, valid in enumerate(kind["camera_valid"])]
    return [Picture(title, one) for title, one in zip(titles, pixels, strict=True)]


def _pictures(kind: Kind) -> Sequence[Picture]:
    each = zip(plain_pictures(kind), kind["camera_valid"], strict=True)
    return [_with_things(one, number, kind) if valid else one for number, (one, valid) in enumerate(each)]


def _with_things(picture: Picture, number: int, kind: Kind) -> Picture:
    if "camera_projection" not in kind.behind:
        return picture
    matrix = kind.behind["camera_projection"]["camera_projection"][number]
    rows, columns = picture.pixels.shape[:2]
    look = Projector((rows, columns), matrix.astype(np.float64), np.eye(4))
    points = np.zeros((0, 3))
    if "lidar_points" in kind.behind:
        xyz = kind.behind["lidar_points"]["lidar_points"]
        uv, inside = look.pixels(xyz)
        depth = xyz[inside] @ matrix[2, :3] + matrix[2, 3]
        points = np.column_stack([uv[inside], depth])[np.argsort(-depth)]
    lines = []
    if "gt_boxes" in kind.behind:
        boxes, labels = boxes_of(kind.behind["gt_boxes"])
        own = {int(label): box_lines(boxes[labels == label]) for label in np.unique(labels)}
        lines = [(look.lines(of_class).pixels, color_of(label)) for label, of_class in own.items()]
    return replace(picture, points=points, lines=tuple(lines))


def _title(kind: Kind, number: int) -> str:
    return f"{number} {(kind.params.image.cameras or kind.cameras)[number]}"


def _depths(kind: Kind) -> Sequence[Picture]:
    tensor = kind["camera_depth"]
    maps = tensor.reshape(-1, *tensor.shape[-2:])
    return [Picture(_title(kind, number), np.where(one > 0, one, np.nan), unit="m") for number, one in enumerate(maps)]


def _things(params: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Points and boxes in one frame of reference, and how that is projected."""
    image = msgspec.to_builtins(params.image)
    found: dict[str, dict[str, Any]] = {
        "camera_projection": {"image": image, "frame": "ego"},
        "lidar_points": {"columns": ["x", "y", "z"], "frame": "ego"},
    }
    boxes = next((row for row in rows if row.group.name == "gt_boxes"), None)
    if boxes is not None:
        columns = ["x", "y", "z", "length", "width", "height", "yaw"]
        own = {"frame": "ego", "box_range": None, "columns": columns, "centre": "geometric", "heading": "from_x"}
        found["gt_boxes"] = {**boxes.params.to_dict(), **own}
    return found


CAMERA_IMAGES = Pictures(pictures=_pictures, needs=("camera_images", "camera_valid"), behind=_things)
CAMERA_DEPTH = Pictures(pictures=_depths, needs=("camera_depth",))
