"""nuScenes' annotations of one scene: boxes in the world frame, handed out in the ego frame of a keyframe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Labels, Matrix
from perceptum.inputs.poses import inverse, rotation_from_quaternion, yaw_from_rotation

from ..reading.track_velocity import neighbours, track_velocity
from .index import Index

__all__ = ["Annotations", "Details", "annotations_of"]

Rows = NDArray[np.int64]

_FARTHEST_M = 1e9


@dataclass(frozen=True, eq=False)
class Details:
    """What nuScenes says of a keyframe's boxes beyond `Labels`; row i is box i."""

    num_radar_points: NDArray[np.int64]
    """(N,)"""
    visibility: NDArray[np.str_]
    """(N,) the level, such as v80-100; empty where it is not given."""
    attributes: NDArray[np.str_]
    """(N,) such as vehicle.parked; several are joined by commas."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """All boxes of a scene, sorted by sample; world frame."""

    path: Path
    sample: NDArray[np.int32]
    time_us: NDArray[np.int64]
    """(N,) of the box's sample."""
    instance: NDArray[np.int32]
    track_id: NDArray[np.str_]
    category: NDArray[np.str_]
    centre: Matrix
    wlh: Matrix
    wxyz: Matrix
    lidar_points: NDArray[np.int32]
    radar_points: NDArray[np.int32]
    visibility: NDArray[np.str_]
    attributes: NDArray[np.str_]
    velocity: Matrix
    """(N, 3) m/s, world frame; NaN where unknown."""

    def rows(self, sample: int) -> Rows:
        return np.flatnonzero(self.sample == sample)

    def at(self, sample: int, time_ns: int, world_from_ego: Matrix) -> Labels:
        """Returns the boxes of one sample in the ego frame; raises BrokenRecord."""
        rows = self.rows(sample)
        self._check(rows)
        ego_from_world = inverse(world_from_ego)
        turn = ego_from_world[:3, :3]
        centre = self.centre[rows] @ turn.T + ego_from_world[:3, 3]
        yaw_rad = yaw_from_rotation(turn @ rotation_from_quaternion(self.wxyz[rows]))
        return Labels(
            time_ns=time_ns,
            boxes=np.column_stack([centre, self.wlh[rows][:, [1, 0, 2]], yaw_rad]),
            category=self.category[rows],
            track_id=self.track_id[rows],
            velocity=(self.velocity[rows] @ turn.T)[:, :2],
            num_points=self.lidar_points[rows].astype(np.int64),
            num_radar_points=self.radar_points[rows].astype(np.int64),
            attributes=self.attributes[rows],
        )

    def details(self, sample: int) -> Details:
        rows = self.rows(sample)
        return Details(self.radar_points[rows].astype(np.int64), self.visibility[rows], self.attributes[rows])

    def _check(self, rows: Rows) -> None:
        numbers = np.column_stack([self.centre[rows], self.wlh[rows]])
        turned = np.abs(np.linalg.norm(self.wxyz[rows], axis=1) - 1) < 0.01
        bad = ~((np.abs(numbers) <= _FARTHEST_M).all(axis=1) & (self.wlh[rows] >= 0).all(axis=1) & turned)
        if bad.any():
            row = rows[int(np.argmax(bad))]
            raise BrokenRecord(
                f"{self.path}: the box of instance {self.track_id[row]} has translation {self.centre[row].tolist()}, "
                f"size {self.wlh[row].tolist()}, rotation {self.wxyz[row].tolist()}; "
                "wanted finite metres, sizes of 0 or more and a quaternion of length 1"
            )
        if len(np.unique(self.instance[rows])) != len(rows):
            values, counts = np.unique(self.track_id[rows], return_counts=True)
            twice = values[int(np.argmax(counts))]
            raise BrokenRecord(f"{self.path}: instance {twice} has two boxes in one sample, wanted one")


def annotations_of(index: Index, number: int, path: Path) -> Annotations:
    """Returns the boxes of one scene; `path` is the table's, for messages."""
    first, end = (int(index.columns["box_start"][number + i]) for i in (0, 1))
    columns = {
        name.removeprefix("box_"): np.array(column[first:end])
        for name, column in index.columns.items()
        if name.startswith("box_") and name != "box_start"
    }
    names, instance = index.names, columns["instance"]
    time_us = index.columns["sample_time_us"][columns["sample"]]
    before, after = neighbours(instance, time_us)
    return Annotations(
        path=path,
        sample=columns["sample"],
        time_us=time_us,
        instance=instance,
        track_id=index.columns["instance_token"][instance].astype(np.str_),
        category=_texts(names.categories, index.columns["instance_category"][instance]),
        centre=columns["xyz"],
        wlh=columns["wlh"],
        wxyz=columns["wxyz"],
        lidar_points=columns["lidar_points"],
        radar_points=columns["radar_points"],
        # row -1, not given, is the last
        visibility=_texts([*names.visibilities, ""], columns["visibility"]),
        attributes=_texts(names.attribute_sets, columns["attribute_set"]),
        velocity=track_velocity(before, after, time_us, 1e-6, columns["xyz"]),
    )


def _texts(texts: list[str], rows: NDArray[np.int32]) -> NDArray[np.str_]:
    return np.asarray(np.array(texts, dtype=np.str_)[rows]) if len(rows) else np.zeros(0, dtype=np.str_)
