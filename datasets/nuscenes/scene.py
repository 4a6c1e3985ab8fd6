"""One scene's rows, taken out of the index: what a log holds in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, Matrix, Poses
from perceptum.inputs.poses import rigid, rotation_from_quaternion

from .index import Index

__all__ = ["Scene", "Stream", "scene_of", "stays_inside"]

Columns = Mapping[str, NDArray[Any]]

_FARTHEST_M = 1e9


@dataclass(frozen=True, eq=False)
class Stream:
    """The records of one sensor in one scene, by time."""

    modality: str
    times_ns: NDArray[np.int64]
    files: Sequence[str]
    is_key: NDArray[np.bool_]
    sample: NDArray[np.int32]
    calibration: NDArray[np.int32]
    size: NDArray[np.uint16]
    """(n, 2) height and width of pictures, px; 0 where the table does not say."""
    tokens: Mapping[int, bytes]
    """Record -> the 16 bytes of its token; of the keyframes of a lidar."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene without its annotations. Numbers are as the tables have them, checked when they are asked for."""

    name: str
    location: str
    streams: Mapping[str, Stream]
    """Channel -> its records."""
    sample_tokens: Mapping[int, str]
    pose_times_ns: NDArray[np.int64]
    """(P,) of every record's ego pose, sorted, each time once."""
    pose_wxyz: Matrix
    pose_xyz: Matrix
    """NaN or nonsense where the pose is missing or broken."""
    pose_files: Sequence[str]
    """(P,) the file of a record that has each."""
    without_time: Sequence[str]
    """The files of records whose time was never set; they are in no stream."""
    calibration: Mapping[int, tuple[Matrix, Matrix, Matrix]]
    """Row -> w x y z, translation, and the nine intrinsics, NaN where the sensor is not a camera."""
    _mounts: dict[int, Matrix] = field(default_factory=dict)
    """Row -> ego_from_sensor, once it was asked for: every record of a sensor asks for the same."""

    def poses(self, path: Path) -> Poses:
        """Returns world_from_ego, without those that are broken; raises BrokenRecord that names `path`."""
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(self.pose_wxyz, axis=1)
        bad = ~((np.abs(lengths - 1) < 0.01) & (np.abs(self.pose_xyz) <= _FARTHEST_M).all(axis=1))
        broken = {
            row: f"{path}: the pose of {self.pose_files[row][:120]} is missing or has rotation "
            f"{self.pose_wxyz[row].tolist()} and translation {self.pose_xyz[row].tolist()}, "
            "wanted a quaternion of length 1 and finite metres"
            for row in np.flatnonzero(bad).tolist()
        }
        try:
            return Poses.leaving_gaps(str(path), self.pose_times_ns, self.pose_wxyz, self.pose_xyz, broken)
        except LogError as error:
            raise BrokenRecord(f"{path}: scene {self.name}: {error}") from error

    def ego_from_sensor(self, path: Path, row: int) -> Matrix:
        """Returns (4, 4) of one calibration, read-only; raises BrokenRecord that names `path`."""
        known = self._mounts.get(row)
        if known is not None:
            return known
        wxyz, xyz, _ = self.calibration[row]
        if not abs(float(np.linalg.norm(wxyz)) - 1) < 0.01 or not (np.abs(xyz) <= _FARTHEST_M).all():
            raise BrokenRecord(
                f"{path}: row {row} has rotation {wxyz.tolist()} and translation {xyz.tolist()}, "
                "wanted a quaternion of length 1 and finite metres"
            )
        mount = rigid(rotation_from_quaternion(wxyz), xyz)
        mount.flags.writeable = False
        self._mounts[row] = mount
        return mount

    def intrinsics(self, path: Path, row: int) -> Matrix:
        """Returns (3, 3) of one camera's calibration; raises BrokenRecord that names `path`."""
        matrix = self.calibration[row][2].reshape(3, 3)
        if not np.isfinite(matrix).all() or matrix[2].tolist() != [0, 0, 1]:
            raise BrokenRecord(f"{path}: row {row} has camera_intrinsic {matrix.tolist()}, wanted a camera's 3 x 3")
        return matrix


def scene_of(index: Index, number: int, root: Path) -> Scene:
    """Returns the rows of one scene, copied, with those records left out whose folder is not there.

    A download of keyframes alone has no sweeps/, and one of the lidar alone no samples/CAM_FRONT/.
    """
    first, end = (int(index.columns["record_start"][number + i]) for i in (0, 1))
    columns = {
        name: np.array(column[first:end])
        for name, column in index.columns.items()
        if name.startswith("record_") and name != "record_start"
    }
    files = _file_names(index, columns)
    streams = _streams(index, columns, files, root, _key_tokens(index, first, end))
    times, at = _distinct_times(index, columns)
    samples = np.unique(columns["record_sample"])
    calibrations = np.unique(columns["record_calibration"])
    return Scene(
        name=index.names.scenes[number],
        location=index.names.locations[number],
        streams=streams,
        sample_tokens={int(row): index.columns["sample_token"][row].decode() for row in samples},
        pose_times_ns=times,
        pose_wxyz=columns["record_pose_wxyz"][at],
        pose_xyz=columns["record_pose_xyz"][at],
        pose_files=tuple(files[row] for row in at.tolist()),
        without_time=tuple(files[row] for row in np.flatnonzero(columns["record_time_us"] == 0).tolist()),
        calibration={int(row): _calibration(index, int(row)) for row in calibrations},
    )


def _distinct_times(index: Index, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Returns the ego poses' times, each once, and a row that has it: a whole one, a lidar's rather than another's."""
    sensors = index.columns["calibration_sensor"][columns["record_calibration"]]
    is_lidar = np.array([modality == "lidar" for modality in index.names.modalities], dtype=np.bool_)[sensors]
    numbers = np.column_stack([columns["record_pose_xyz"], columns["record_pose_wxyz"]])
    order = np.lexsort((~is_lidar, ~np.isfinite(numbers).all(axis=1), columns["record_pose_time_us"]))
    times_us, first = np.unique(columns["record_pose_time_us"][order], return_index=True)
    return times_us * 1000, order[first]


def _calibration(index: Index, row: int) -> tuple[Matrix, Matrix, Matrix]:
    names = ("calibration_wxyz", "calibration_xyz", "calibration_intrinsics")
    wxyz, xyz, intrinsics = (np.array(index.columns[name][row]) for name in names)
    return wxyz, xyz, intrinsics


def _key_tokens(index: Index, first: int, end: int) -> dict[int, bytes]:
    """Returns row within the scene -> token, of the lidars' keyframes."""
    begin, stop = np.searchsorted(index.columns["key_record"], (first, end)).tolist()
    rows = (np.array(index.columns["key_record"][begin:stop]) - first).tolist()
    return {row: token.tobytes() for row, token in zip(rows, index.columns["key_token"][begin:stop], strict=True)}


def _streams(
    index: Index, columns: Columns, files: Sequence[str], root: Path, key_tokens: Mapping[int, bytes]
) -> dict[str, Stream]:
    there = _is_there(root, files)
    sensors = index.columns["calibration_sensor"][columns["record_calibration"]]
    streams = {}
    # rows are sorted by sensor already
    for sensor in np.unique(sensors):
        rows = np.flatnonzero((sensors == sensor) & there & (columns["record_time_us"] > 0))
        if len(rows):
            streams[index.names.channels[sensor]] = Stream(
                modality=index.names.modalities[sensor],
                times_ns=columns["record_time_us"][rows] * 1000,
                files=tuple(files[row] for row in rows.tolist()),
                is_key=columns["record_is_key"][rows],
                sample=columns["record_sample"][rows],
                calibration=columns["record_calibration"][rows],
                size=columns["record_size"][rows],
                tokens={i: key_tokens[row] for i, row in enumerate(rows.tolist()) if row in key_tokens},
            )
    return streams


def _file_names(index: Index, columns: Columns) -> list[str]:
    starts, lengths = columns["record_name_start"], columns["record_name_bytes"]
    # a view, not an array, whose slices take ten times as long: 1.5 ms of a scene's 3 400 names against 10
    names = memoryview(np.asarray(index.columns["names"]).data)
    return [
        str(names[start : start + length], "utf-8", "replace")
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]


def _is_there(root: Path, files: Sequence[str]) -> NDArray[np.bool_]:
    """Which records lie in a folder that exists. A name that leaves the log is kept: reading it is the error."""
    known: dict[str, bool] = {}
    there = []
    for name in files:
        folder = name.rpartition("/")[0]
        found = known.get(folder)
        if found is None:
            found = known[folder] = not stays_inside(name) or os.path.isdir(root / folder)
        there.append(found)
    return np.array(there, dtype=np.bool_)


def stays_inside(name: str) -> bool:
    """Whether a file name of a table is a relative path that does not climb out of the log's folder."""
    # as PurePosixPath takes names apart, which takes ten times as long for each record
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name
