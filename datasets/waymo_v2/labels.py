"""Waymo v2's lidar boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reading.label_table import LabelTable
from ..reading.widened import widened
from .parquet import read_table

__all__ = ["read_boxes"]


_BOX = "[LiDARBoxComponent]"
_TYPES = np.array(["UNKNOWN", "VEHICLE", "PEDESTRIAN", "SIGN", "CYCLIST"])
_SEVEN = (*(f"box.center.{axis}" for axis in "xyz"), *(f"box.size.{axis}" for axis in "xyz"), "box.heading")


def read_boxes(path: Path) -> LabelTable:
    """Reads lidar_box/SEGMENT.parquet, whose velocities are along the world's axes.

    A row that is not a box is an error of its time alone; num_points is -1 where a box does not say. Raises
    MissingRecord or BrokenRecord.
    """
    keys = ("key.frame_timestamp_micros", "key.laser_object_id")
    others = ("type", "num_lidar_points_in_box", "speed.x", "speed.y")
    names = tuple(f"{_BOX}.{part}" for part in (*_SEVEN, *others))
    table = read_table(path, keys + names, "the segment has no boxes")
    boxes = np.stack([widened(table.numbers(f"{_BOX}.{part}", nulls=True)) for part in _SEVEN], axis=1)
    times_ns = table.numbers(keys[0]).astype(np.int64) * 1000
    good = (np.abs(boxes) <= 1e6).all(axis=1) & (boxes[:, 3:6] >= 0).all(axis=1)
    broken = {
        int(times_ns[row]): f"{path}: row {row} is not a box: {boxes[row].tolist()} (centre, length width height, "
        "heading)"
        for row in np.flatnonzero(~good).tolist()[::-1]
    }
    boxes = boxes[good]
    boxes[:, 6] -= 2 * np.pi * np.floor((boxes[:, 6] + np.pi) / (2 * np.pi))
    speed = [widened(table.numbers(f"{_BOX}.speed.{axis}", nulls=True)) for axis in "xy"]
    return LabelTable(
        times_ns=times_ns[good],
        boxes=boxes,
        velocity=np.stack(speed, axis=1)[good],
        category=_TYPES[_known(_or(0, table.numbers(f"{_BOX}.type", nulls=True)))][good],
        track_id=table.texts(keys[1])[good],
        num_points=_or(-1, table.numbers(f"{_BOX}.num_lidar_points_in_box", nulls=True))[good],
        broken=broken,
    ).by_time()


def _or(unknown: int, column: NDArray[Any]) -> NDArray[np.int64]:
    """Returns whole numbers; `unknown` for a null."""
    return np.where(np.isnan(column), unknown, column).astype(np.int64)


def _known(types: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((types >= 0) & (types < len(_TYPES)), types, 0).astype(np.int64)
