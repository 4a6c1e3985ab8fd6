"""Argoverse 2's annotations: boxes in the ego frame of each sweep, with velocities from the tracks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Labels, Matrix, Poses, PoseUnknown
from perceptum.inputs.poses import yaw_from_rotation

from ..reading.feather import Kind, read_columns
from ..reading.rotations import check_finite, rotations
from ..reading.widened import widened

__all__ = ["LabelTable", "read_label_table"]


_COLUMNS: dict[str, Kind] = {
    "timestamp_ns": "int",
    "track_uuid": "text",
    "category": "text",
    **dict.fromkeys(("length_m", "width_m", "height_m", "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), "float"),
    "num_interior_pts": "int",
}
_MAX_STEP_NS = 1_500_000_000
"""From one label of a track to the next; twice that between the two neighbours of a label."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """All labels of a log, sorted by time."""

    times_ns: NDArray[np.int64]
    """(N,) ascending."""
    boxes: Matrix
    velocity: Matrix
    category: NDArray[np.str_]
    track_id: NDArray[np.str_]
    num_points: NDArray[np.int64]

    def at(self, time_ns: int) -> Labels | None:
        """The labels of one sweep: none at all within the labelled span is an empty set, outside it is None."""
        if len(self.times_ns) == 0 or not self.times_ns[0] <= time_ns <= self.times_ns[-1]:
            return None
        first, end = (int(np.searchsorted(self.times_ns, time_ns, side=side)) for side in ("left", "right"))
        rows = slice(first, end)
        return Labels(
            time_ns=time_ns,
            boxes=self.boxes[rows],
            category=self.category[rows],
            track_id=self.track_id[rows],
            velocity=self.velocity[rows],
            num_points=self.num_points[rows],
        )


def read_label_table(path: Path, poses: Callable[[], Poses]) -> LabelTable:
    """Reads annotations.feather; raises BrokenRecord. `poses` is only called where there is a label."""
    columns = read_columns(path, _COLUMNS, "the log has no labels")
    numbers = {name: widened(columns[name]) for name, kind in _COLUMNS.items() if kind == "float"}
    check_finite(path, numbers)
    size = np.stack([numbers[name] for name in ("length_m", "width_m", "height_m")], axis=1)
    if (size < 0).any():
        row = int(np.argmax((size < 0).any(axis=1)))
        raise BrokenRecord(f"{path}: row {row} is a box of negative size {size[row].tolist()} (length width height)")
    centre = np.stack([numbers[name] for name in ("tx_m", "ty_m", "tz_m")], axis=1)
    yaw_rad = yaw_from_rotation(rotations(path, numbers))
    times, tracks = columns["timestamp_ns"].astype(np.int64), columns["track_uuid"]
    velocity = _velocity(path, times, tracks, centre, poses) if len(times) else np.zeros((0, 2))
    order = np.argsort(times, kind="stable")
    return LabelTable(
        times_ns=times[order],
        boxes=np.column_stack([centre, size, yaw_rad])[order],
        velocity=velocity[order],
        category=columns["category"][order],
        track_id=tracks[order],
        num_points=columns["num_interior_pts"].astype(np.int64)[order],
    )


def _velocity(
    path: Path, times: NDArray[np.int64], tracks: NDArray[np.str_], centre: Matrix, poses: Callable[[], Poses]
) -> Matrix:
    """Returns (N, 2) m/s in ego axes over ground: the central difference of the track in the city frame.

    At the ends of a track the one-sided difference; NaN for a track seen once, over more than 1.5 s (3 s between
    the two neighbours), and where no pose is recorded. As nuScenes' box velocities are made.
    """
    stamps, stamp_of = np.unique(times, return_inverse=True)
    world_from_ego = _poses_at(poses(), stamps)[stamp_of]
    in_city = np.einsum("nij,nj->ni", world_from_ego[:, :3, :3], centre) + world_from_ego[:, :3, 3]
    before, after = _neighbours(path, times, tracks)
    step_ns = times[after] - times[before]
    limit_ns = _MAX_STEP_NS * ((before != np.arange(len(times))).astype(np.int64) + (after != np.arange(len(times))))
    known = (step_ns > 0) & (step_ns <= limit_ns)
    step_s = np.where(known, step_ns, 1) * 1e-9
    over_ground = np.where(known, 1.0, np.nan)[:, None] * (in_city[after] - in_city[before]) / step_s[:, None]
    return np.asarray(np.einsum("nji,nj->ni", world_from_ego[:, :3, :3], over_ground)[:, :2])


def _neighbours(
    path: Path, times: NDArray[np.int64], tracks: NDArray[np.str_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns (N,) the rows of the same track before and after each row; the row itself where there is none."""
    order = np.lexsort((times, tracks))
    same = tracks[order][1:] == tracks[order][:-1]
    twice = same & (np.diff(times[order]) == 0)
    if twice.any():
        row = order[int(np.argmax(twice))]
        raise BrokenRecord(f"{path}: track {tracks[row]} has two boxes at {times[row]} ns, wanted one")
    before, after = np.arange(len(times)), np.arange(len(times))
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def _poses_at(poses: Poses, stamps: NDArray[np.int64]) -> Matrix:
    """Returns (k, 4, 4), NaN where no pose is recorded."""
    try:
        return poses.at_many(stamps)
    except PoseUnknown:
        return np.stack([_pose_or_nan(poses, int(stamp)) for stamp in stamps])


def _pose_or_nan(poses: Poses, stamp_ns: int) -> Matrix:
    try:
        return poses.at(stamp_ns)
    except PoseUnknown:
        return np.full((4, 4), np.nan)
