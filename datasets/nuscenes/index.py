"""The tables of one nuScenes version as columns, sorted by scene: what is built once and opened in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord
from perceptum.inputs.regular_file import regular_status

__all__ = ["COLUMNS", "INDEX_FILES", "Index", "Names", "load_index", "save_index"]

NAMES_FILE = "names.json"


class Names(msgspec.Struct):
    """The texts of the small tables; a column of rows points into them."""

    scenes: list[str]
    locations: list[str]
    """(scenes,) where each was driven, which names its map."""
    channels: list[str]
    """(sensors,)"""
    modalities: list[str]
    categories: list[str]
    visibilities: list[str]
    attribute_sets: list[str]
    """Each set of attributes that a box has, names joined by commas; the first is the empty one."""
    labelled: bool
    """Whether there is a single annotation."""
    descriptions: list[str]
    """(scenes,) what is seen in each, in the annotators' words."""


COLUMNS: Mapping[str, tuple[str, str, int]] = {
    # name: (its table, dtype, numbers a row; 1 for a plain column)
    "sample_time_us": ("sample", "<i8", 1),
    "sample_token": ("sample", "S", 1),
    "calibration_sensor": ("calibration", "<i4", 1),
    "calibration_xyz": ("calibration", "<f8", 3),
    "calibration_wxyz": ("calibration", "<f8", 4),
    "calibration_intrinsics": ("calibration", "<f8", 9),
    "record_start": ("scene", "<i8", 1),
    "record_time_us": ("record", "<i8", 1),
    "record_sample": ("record", "<i4", 1),
    "record_calibration": ("record", "<i4", 1),
    "record_is_key": ("record", "|b1", 1),
    "record_size": ("record", "<u2", 2),
    "record_pose_time_us": ("record", "<i8", 1),
    "record_pose_xyz": ("record", "<f8", 3),
    "record_pose_wxyz": ("record", "<f8", 4),
    "record_name_start": ("record", "<i8", 1),
    "record_name_bytes": ("record", "<i4", 1),
    "names": ("names", "|u1", 1),
    "key_record": ("key", "<i8", 1),
    "key_token": ("key", "<u8", 2),
    "instance_token": ("instance", "S", 1),
    "instance_category": ("instance", "<i4", 1),
    "box_start": ("scene", "<i8", 1),
    "box_sample": ("box", "<i4", 1),
    "box_instance": ("box", "<i4", 1),
    "box_xyz": ("box", "<f8", 3),
    "box_wlh": ("box", "<f8", 3),
    "box_wxyz": ("box", "<f8", 4),
    "box_visibility": ("box", "<i4", 1),
    "box_attribute_set": ("box", "<i4", 1),
    "box_lidar_points": ("box", "<i4", 1),
    "box_radar_points": ("box", "<i4", 1),
}
"""record_* are the rows of sample_data by scene, sensor and time, each with its ego pose; box_* those of
sample_annotation by scene and sample. A record's size is its picture's height and
width, 0 where the table does not say. key_* are the rows among record_* of the lidars' keyframes, increasing, and
their tokens. Scene i has the rows start[i] to start[i + 1]; names holds all file names."""

INDEX_FILES = (NAMES_FILE, *(f"{column}.npy" for column in COLUMNS))


@dataclass(frozen=True, eq=False)
class Index:
    """The columns, in memory or mapped. Raises BrokenRecord where they do not fit each other."""

    names: Names
    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        lengths = {"scene": len(self.names.scenes) + 1}
        for name, (table, dtype, width) in COLUMNS.items():
            column = self.columns[name]
            shape = (lengths.setdefault(table, len(column)),) if width == 1 else (lengths[table], width)
            if column.shape != shape or not column.dtype.str.lstrip("|").startswith(dtype.lstrip("|")):
                raise BrokenRecord(f"index: column {name} is {column.dtype} {column.shape}, wanted {dtype} {shape}")
        for start, table in (("record_start", "record"), ("box_start", "box")):
            if self.columns[start][0] != 0 or self.columns[start][-1] != lengths[table]:
                raise BrokenRecord(f"index: {start} does not go from 0 to {lengths[table]}")


def save_index(index: Index, folder: Path) -> None:
    """Writes one file a column into an empty folder; raises OSError."""
    for name, column in index.columns.items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)
    (folder / NAMES_FILE).write_bytes(msgspec.json.encode(index.names))


def load_index(folder: Path) -> Index:
    """Maps what `save_index` wrote, reading next to nothing; raises OSError, ValueError or BrokenRecord."""
    for name in INDEX_FILES:
        # a pipe in its place would be waited for
        regular_status(folder / name)
    names = msgspec.json.decode((folder / NAMES_FILE).read_bytes(), type=Names)
    return Index(names, {name: open_memmap(folder / f"{name}.npy", mode="r") for name in COLUMNS})
