"""Argoverse 2's annotations: boxes in the ego frame of each sweep, with velocities from the tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Matrix, Poses, PoseUnknown
from perceptum.inputs.poses import yaw_from_rotation

from ..reading.feather import Kind, read_columns
from ..reading.label_table import LabelTable
from ..reading.rotations import not_finite, not_turned, rotations
from ..reading.track_velocity import neighbours, track_velocity
from ..reading.widened import widened

__all__ = ["read_label_table"]


_SIZE = ("length_m", "width_m", "height_m")
_COLUMNS: dict[str, Kind] = {
    "timestamp_ns": "int",
    "track_uuid": "text",
    "category": "text",
    **dict.fromkeys((*_SIZE, "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), "float"),
    "num_interior_pts": "int",
}


def read_label_table(path: Path, poses: Callable[[], Poses]) -> LabelTable:
    """Reads annotations.feather; raises BrokenRecord. `poses` is only called where there is a label.

    A row that is not a box is an error of its time alone.
    """
    columns = read_columns(path, _COLUMNS, "the log has no labels", nulls=True)
    broken = _broken(path, columns)
    bad_times = {int(columns["timestamp_ns"][row]): why for row, why in sorted(broken.items(), reverse=True)}
    good = np.setdiff1d(np.arange(len(columns["timestamp_ns"])), list(broken))
    columns = {name: column[good] for name, column in columns.items()}
    numbers = {name: widened(columns[name]) for name, kind in _COLUMNS.items() if kind == "float"}
    size = np.stack([numbers[name] for name in _SIZE], axis=1)
    centre = np.stack([numbers[name] for name in ("tx_m", "ty_m", "tz_m")], axis=1)
    yaw_rad = yaw_from_rotation(rotations(path, numbers))
    times, tracks = columns["timestamp_ns"].astype(np.int64), columns["track_uuid"]
    velocity = _velocity(path, times, tracks, centre, poses) if len(times) else np.zeros((0, 2))
    return LabelTable(
        times_ns=times,
        boxes=np.column_stack([centre, size, yaw_rad]),
        velocity=velocity,
        category=columns["category"],
        track_id=tracks,
        num_points=columns["num_interior_pts"].astype(np.int64),
        broken=bad_times,
    ).by_time()


def _broken(path: Path, columns: Mapping[str, NDArray[Any]]) -> dict[int, str]:
    """Returns row -> why it is not a box."""
    numbers = {name: widened(columns[name]) for name, kind in _COLUMNS.items() if kind == "float"}
    found = {row: f"{path}: {why}" for row, why in not_finite(numbers).items()}
    size = np.stack([numbers[name] for name in _SIZE], axis=1)
    for row in np.flatnonzero((size < 0).any(axis=1)).tolist():
        found.setdefault(row, f"{path}: row {row} is a box of negative size {size[row].tolist()} (length width height)")
    return {**not_turned(path, numbers), **found}


def _velocity(
    path: Path, times: NDArray[np.int64], tracks: NDArray[np.str_], centre: Matrix, poses: Callable[[], Poses]
) -> Matrix:
    """Returns (N, 2) m/s in ego axes over ground, from the track in the city frame.

    NaN also where no pose is recorded; raises BrokenRecord for a track with two boxes at one time.
    """
    stamps, stamp_of = np.unique(times, return_inverse=True)
    world_from_ego = _poses_at(poses(), stamps)[stamp_of]
    in_city = np.einsum("nij,nj->ni", world_from_ego[:, :3, :3], centre) + world_from_ego[:, :3, 3]
    before, after = neighbours(tracks, times)
    twice = (after != np.arange(len(times))) & (times[after] == times)
    if twice.any():
        row = int(np.argmax(twice))
        raise BrokenRecord(f"{path}: track {tracks[row]} has two boxes at {times[row]} ns, wanted one")
    over_ground = track_velocity(before, after, times, 1e-9, in_city)
    return np.asarray(np.einsum("nji,nj->ni", world_from_ego[:, :3, :3], over_ground)[:, :2])


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
