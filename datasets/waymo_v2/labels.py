"""Waymo v2's lidar boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Labels, Matrix

from ..reading.widened import widened
from .parquet import read_table

__all__ = ["BoxTable", "read_boxes"]


_BOX = "[LiDARBoxComponent]"
_TYPES = np.array(["UNKNOWN", "VEHICLE", "PEDESTRIAN", "SIGN", "CYCLIST"])
_SEVEN = (*(f"box.center.{axis}" for axis in "xyz"), *(f"box.size.{axis}" for axis in "xyz"), "box.heading")


@dataclass(frozen=True, eq=False)
class BoxTable:
    """All boxes of a segment, sorted by time."""

    times_ns: NDArray[np.int64]
    boxes: Matrix
    velocity: Matrix
    """(N, 2) along the world's axes."""
    category: NDArray[np.str_]
    track_id: NDArray[np.str_]
    num_points: NDArray[np.int64]

    def at(self, time_ns: int, world_from_ego: Matrix) -> Labels:
        """The boxes of one frame; a frame without has an empty set."""
        first, end = (int(np.searchsorted(self.times_ns, time_ns, side=side)) for side in ("left", "right"))
        rows = slice(first, end)
        in_world = np.column_stack([self.velocity[rows], np.zeros(end - first)])
        return Labels(
            time_ns=time_ns,
            boxes=self.boxes[rows],
            category=self.category[rows],
            track_id=self.track_id[rows],
            velocity=(in_world @ world_from_ego[:3, :3])[:, :2],
            num_points=self.num_points[rows],
        )


def read_boxes(path: Path) -> BoxTable:
    """Reads lidar_box/SEGMENT.parquet; raises MissingRecord or BrokenRecord."""
    keys = ("key.frame_timestamp_micros", "key.laser_object_id")
    others = ("type", "num_lidar_points_in_box", "speed.x", "speed.y")
    names = tuple(f"{_BOX}.{part}" for part in (*_SEVEN, *others))
    table = read_table(path, keys + names, "the segment has no boxes")
    boxes = np.stack([widened(table.numbers(f"{_BOX}.{part}")) for part in _SEVEN], axis=1)
    bad = ~((np.abs(boxes) <= 1e6).all(axis=1) & (boxes[:, 3:6] >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise BrokenRecord(f"{path}: row {row} is no box: {boxes[row].tolist()} (centre, length width height, heading)")
    boxes[:, 6] -= 2 * np.pi * np.floor((boxes[:, 6] + np.pi) / (2 * np.pi))
    times_ns = table.numbers(keys[0]).astype(np.int64) * 1000
    order = np.argsort(times_ns, kind="stable")
    speed = [widened(table.numbers(f"{_BOX}.speed.{axis}", nulls=True)) for axis in "xy"]
    return BoxTable(
        times_ns=times_ns[order],
        boxes=boxes[order],
        velocity=np.stack(speed, axis=1)[order],
        category=_TYPES[_known(table.numbers(f"{_BOX}.type"))][order],
        track_id=table.texts(keys[1])[order],
        num_points=table.numbers(f"{_BOX}.num_lidar_points_in_box").astype(np.int64)[order],
    )


def _known(types: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((types >= 0) & (types < len(_TYPES)), types, 0).astype(np.int64)
