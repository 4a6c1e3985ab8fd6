"""From nuScenes' JSON tables to the index: each table is read once, in pieces, and never held as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import box_columns, categories_of_instances
from .index import Index, Names
from .records import numbers_or_nan, record_columns
from .rows import CalibrationRow, LogRow, NamedRow, SampleRow, SceneRow, SensorRow, VisibilityRow, whole_table
from .tokens import rows_of

__all__ = ["TABLES", "build_index"]

Columns = dict[str, NDArray[Any]]

TABLES = (
    *("sensor", "calibrated_sensor", "log", "scene", "sample", "ego_pose", "sample_data"),
    *("category", "attribute", "visibility", "instance", "sample_annotation"),
)
"""The tables that are read."""


def build_index(folder: Path) -> Index:
    """Reads the tables of one version; raises MissingRecord or BrokenRecord that names the table."""
    sensors = whole_table(folder / "sensor.json", SensorRow)
    calibrations = whole_table(folder / "calibrated_sensor.json", CalibrationRow)
    scenes, locations = _scenes(folder)
    samples, columns = _samples(folder, scenes)
    columns |= _calibrations(folder, calibrations, list(sensors))
    scene_of_sample = columns.pop("sample_scene")
    columns |= record_columns(
        folder,
        samples,
        scene_of_sample,
        list(calibrations),
        columns["calibration_sensor"],
        np.array([row.modality == "lidar" for row in sensors.values()], dtype=np.bool_),
        len(scenes),
    )
    categories = whole_table(folder / "category.json", NamedRow)
    instances, instance_columns = categories_of_instances(folder, list(categories))
    attributes = {row.token: row.name for row in whole_table(folder / "attribute.json", NamedRow).values()}
    levels = whole_table(folder / "visibility.json", VisibilityRow)
    boxes, attribute_sets = box_columns(
        folder, samples, scene_of_sample, instances, list(levels), attributes, len(scenes)
    )
    names = Names(
        scenes=[row.name for row in scenes.values()],
        locations=locations,
        channels=[row.channel for row in sensors.values()],
        modalities=[row.modality for row in sensors.values()],
        categories=[row.name for row in categories.values()],
        visibilities=[row.level for row in levels.values()],
        attribute_sets=attribute_sets,
        labelled=len(boxes["box_sample"]) > 0,
        descriptions=[row.description or "" for row in scenes.values()],
    )
    return Index(names, columns | instance_columns | boxes)


def _scenes(folder: Path) -> tuple[dict[str, SceneRow], list[str]]:
    scenes, logs = whole_table(folder / "scene.json", SceneRow), whole_table(folder / "log.json", LogRow)
    drives = rows_of(folder / "scene.json", [row.log_token for row in scenes.values()], list(logs), "log")
    places = [row.location for row in logs.values()]
    return scenes, [places[drive] for drive in drives]


def _samples(folder: Path, scenes: dict[str, SceneRow]) -> tuple[list[str], Columns]:
    path = folder / "sample.json"
    samples = whole_table(path, SampleRow)
    tokens = [token.encode("ascii", "replace") for token in samples]
    columns: Columns = {
        "sample_scene": rows_of(path, [row.scene_token for row in samples.values()], list(scenes), "scene"),
        "sample_time_us": np.array([row.timestamp for row in samples.values()], dtype=np.int64),
        "sample_token": np.array(tokens, dtype=np.bytes_),
    }
    return list(samples), columns


def _calibrations(folder: Path, calibrations: dict[str, CalibrationRow], sensors: list[str]) -> Columns:
    path, rows = folder / "calibrated_sensor.json", list(calibrations.values())
    intrinsics = np.full((len(rows), 9), np.nan)
    for i, row in enumerate(rows):
        # others stay NaN: a camera is asked for its intrinsics, and then refused
        if row.camera_intrinsic is not None and len(row.camera_intrinsic) == 3:
            intrinsics[i] = np.ravel(numbers_or_nan(row.camera_intrinsic, 3))
    return {
        "calibration_sensor": rows_of(path, [row.sensor_token for row in rows], sensors, "sensor"),
        "calibration_xyz": numbers_or_nan([row.translation for row in rows], 3),
        "calibration_wxyz": numbers_or_nan([row.rotation for row in rows], 4),
        "calibration_intrinsics": intrinsics,
    }
