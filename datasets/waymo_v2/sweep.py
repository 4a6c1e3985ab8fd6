"""One sweep of one lidar of Waymo v2: from the row's lists to columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Matrix

from .calibration import Lidar

__all__ = ["IMAGE", "POSES", "SweepColumns", "image_columns", "range_image", "sweep_of"]

Image = NDArray[np.float32]

IMAGE = "[LiDARComponent].range_image_return"
POSES = "[LiDARPoseComponent].range_image_return1"


@dataclass(frozen=True, eq=False)
class SweepColumns:
    """The points of all returns, the first returns first, each return row by row."""

    values: NDArray[np.float32]
    """(5, N) x y z (ego frame) intensity elongation."""
    ring: NDArray[np.uint16]
    """(N,) the row in the range image, 0 highest."""
    image_column: NDArray[np.uint16]
    """(N,) the column in the range image."""
    return_index: NDArray[np.uint8]
    rings: int


def image_columns(name: str) -> tuple[str, str]:
    """The two columns in which an image is stored."""
    return f"{name}.values", f"{name}.shape"


def range_image(path: Path, row: Any, name: str, channels: int) -> Image | None:
    """Returns (H, W, channels), a view of the row's values; None where the row has none."""
    values, shape = (row.column(column) for column in image_columns(name))
    if values.null_count or shape.null_count:
        return None
    values, shape = values.flatten(), shape.flatten().to_pylist()
    if str(values.type) != "float" or values.null_count:
        raise BrokenRecord(f"{path}: {name} holds {values.type}, wanted float32 without nulls")
    sizes = [size if isinstance(size, int) else -1 for size in shape]
    if len(sizes) != 3 or sizes[2] != channels or min(sizes) < 1 or max(sizes) > 65535 or np.prod(sizes) != len(values):
        raise BrokenRecord(f"{path}: {name} is {shape} in {len(values)} numbers, wanted [rows, columns, {channels}]")
    image: Image = values.to_numpy(zero_copy_only=True).reshape(sizes)
    return image


def sweep_of(
    path: Path, images: Sequence[Image], lidar: Lidar, poses: Image | None, world_from_ego: Matrix, drop_zones: bool
) -> SweepColumns:
    """Returns the points of the images of one sweep's returns, in the ego frame of `world_from_ego`."""
    from . import points

    height, width = images[0].shape[:2] if images else (0, 0)
    table = lidar.inclinations
    if any(image.shape[:2] != (height, width) for image in images) or (table is not None and 0 < height != len(table)):
        beams = "no table" if table is None else f"{len(table)} beams"
        raise BrokenRecord(f"{path}: range images of {[image.shape for image in images]} with {beams}: they do not fit")
    if poses is not None and images and poses.shape[:2] != (height, width):
        raise BrokenRecord(f"{path}: a range image of {images[0].shape} has pixel poses of {poses.shape}")
    counts = [points.count(image, drop_zones) for image in images]
    out = SweepColumns(
        values=np.empty((5, sum(counts)), np.float32),
        ring=np.empty(sum(counts), np.uint16),
        image_column=np.empty(sum(counts), np.uint16),
        return_index=np.repeat(np.arange(len(counts), dtype=np.uint8), counts),
        rings=height,
    )
    inclination = points.inclinations(height, lidar.lowest_rad, lidar.highest_rad, table)
    azimuth = points.azimuths(width, lidar.ego_from_lidar)
    moved = np.zeros((0, 0, 6), np.float32) if poses is None else poses
    for image, start in zip(images, np.cumsum([0, *counts]), strict=False):
        places = (inclination, azimuth, lidar.ego_from_lidar, moved, world_from_ego)
        points.fill(image, drop_zones, *places, start, out.values, out.ring, out.image_column)
    return out
