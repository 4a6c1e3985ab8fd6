"""The columns of sample_data with the ego pose of each row: sorted by scene, sensor and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..reading.picture_file import size_of
from .rows import LATEST_US, EgoPoseRow, Numbers, Row, SampleDataRow, rows_in_parts
from .tokens import find, numbered, packed, rows_of

__all__ = ["columns_of", "numbers_or_nan", "record_columns", "starts_of"]

Columns = dict[str, NDArray[Any]]
Parsed = TypeVar("Parsed", bound=Row)


def record_columns(
    folder: Path,
    samples: Sequence[str],
    scene_of_sample: NDArray[np.int32],
    calibrations: Sequence[str],
    sensor_of_calibration: NDArray[np.int32],
    is_lidar: NDArray[np.bool_],
    scenes: int,
) -> Columns:
    """Reads sample_data.json and ego_pose.json; raises MissingRecord or BrokenRecord.

    is_lidar: (sensors,). Of a lidar's keyframes the tokens are kept, which tables of labels for points name.
    """
    records = _records(folder / "sample_data.json", samples, calibrations)
    scene = scene_of_sample[records["record_sample"]]
    sensor = sensor_of_calibration[records["record_calibration"]]
    order = np.lexsort((records["record_time_us"], sensor, scene))
    names, key_token = records.pop("names"), records.pop("key_token")
    is_key = records["record_is_key"]
    key_token, of_lidar = key_token[is_lidar[sensor[is_key]]], is_key & is_lidar[sensor]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    key_record = place[of_lidar]
    by_place = np.argsort(key_record)
    keys = {"key_record": key_record[by_place], "key_token": key_token[by_place]}
    # one column after the other, so that only one is held twice
    records = {name: records.pop(name)[order] for name in list(records)}
    poses = _poses(folder, records.pop("pose"), records["record_time_us"])
    return {**records, **keys, **poses, "names": names, "record_start": starts_of(scene, scenes)}


def starts_of(scene: NDArray[np.int32], scenes: int) -> NDArray[np.int64]:
    """Returns (scenes + 1,) where the rows of each scene begin, once they are sorted by scene."""
    return np.concatenate([[0], np.cumsum(np.bincount(scene, minlength=scenes))]).astype(np.int64)


def columns_of(path: Path, kind: type[Parsed], convert: Callable[[list[Parsed]], Columns]) -> Columns:
    """Returns the columns that `convert` makes of each part of a table, joined; of no rows, those of an empty part."""
    buffers: dict[str, bytearray] = {}
    forms: dict[str, tuple[Any, tuple[int, ...]]] = {}
    for rows in rows_in_parts(path, kind):
        for name, column in convert(rows).items():
            # grown in place: joining parts at the end would hold the largest column twice
            buffers.setdefault(name, bytearray()).extend(column.tobytes())
            forms[name] = column.dtype, column.shape[1:]
    return {name: np.frombuffer(buffers.pop(name), dtype).reshape(-1, *rest) for name, (dtype, rest) in forms.items()}


def _records(path: Path, samples: Sequence[str], calibrations: Sequence[str]) -> Columns:
    row_of_sample, row_of_calibration = numbered(samples), numbered(calibrations)

    def convert(rows: list[SampleDataRow]) -> Columns:
        files = [row.filename.encode("utf-8", "replace") for row in rows]
        # a table of millions has a few different ones
        sides = [(r.height, r.width) if type(r.height) is type(r.width) is int else (0, 0) for r in rows]
        number_of = {pair: number for number, pair in enumerate(set(sides))}
        sizes = np.array([size_of(*pair) or (0, 0) for pair in number_of], dtype=np.uint16).reshape(-1, 2)
        return {
            "record_time_us": np.array([row.timestamp or 0 for row in rows], dtype=np.int64),
            "record_sample": rows_of(path, [row.sample_token for row in rows], row_of_sample, "sample"),
            "record_calibration": rows_of(
                path, [row.calibrated_sensor_token for row in rows], row_of_calibration, "calibrated_sensor"
            ),
            "record_is_key": np.array([row.is_key_frame for row in rows], dtype=np.bool_),
            "record_name_bytes": np.array([len(name) for name in files], dtype=np.int32),
            "record_size": sizes[np.fromiter((number_of[pair] for pair in sides), np.intp, len(sides))],
            "pose": packed([row.ego_pose_token for row in rows]),
            "key_token": packed([row.token for row in rows if row.is_key_frame]),
            "names": np.frombuffer(b"".join(files), dtype=np.uint8),
        }

    columns = columns_of(path, SampleDataRow, convert)
    ends = np.cumsum(columns["record_name_bytes"], dtype=np.int64)
    columns["record_name_start"] = ends - columns["record_name_bytes"]
    return columns


def _poses(folder: Path, wanted: NDArray[np.uint64], record_time_us: NDArray[np.int64]) -> Columns:
    """Returns the pose of each record, in the records' order; NaN at the record's own time for one that is broken.

    Broken is a row that is not there, or that holds no three and four numbers.
    """

    def convert(rows: list[EgoPoseRow]) -> Columns:
        return {
            "token": packed([row.token for row in rows]),
            "time_us": np.array([_time_us(row) for row in rows], dtype=np.int64),
            "xyz": numbers_or_nan([row.translation for row in rows], 3),
            "wxyz": numbers_or_nan([row.rotation for row in rows], 4),
        }

    columns = columns_of(folder / "ego_pose.json", EgoPoseRow, convert)
    row = find(columns.pop("token"), wanted)
    known = np.flatnonzero(row >= 0)
    known = known[columns["time_us"][row[known]] >= 0]
    poses = {
        "record_pose_time_us": record_time_us.copy(),
        "record_pose_xyz": np.full((len(wanted), 3), np.nan),
        "record_pose_wxyz": np.full((len(wanted), 4), np.nan),
    }
    for name, column in poses.items():
        column[known] = columns.pop(name.removeprefix("record_pose_"))[row[known]]
    return poses


def _time_us(row: EgoPoseRow) -> int:
    """Returns -1 for what is not a time."""
    return row.timestamp if row.timestamp is not None and 0 <= row.timestamp <= LATEST_US else -1


def numbers_or_nan(rows: Sequence[Numbers], count: int) -> NDArray[np.float64]:
    """Returns (n, count); NaN for a row with another count, and for null."""
    whole = [row if row is not None and len(row) == count else [None] * count for row in rows]
    return np.array(whole, dtype=np.float64).reshape(-1, count)
