"""The rows of nuScenes' tables, as far as they are read; fields that are not named here are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from perceptum.inputs import BrokenRecord

from .json import pieces

__all__ = [
    "LATEST_US",
    "AnnotationRow",
    "CalibrationRow",
    "EgoPoseRow",
    "InstanceRow",
    "LogRow",
    "NamedRow",
    "Numbers",
    "Row",
    "SampleDataRow",
    "SampleRow",
    "SceneRow",
    "SensorRow",
    "VisibilityRow",
    "rows_in_parts",
    "whole_table",
]

LATEST_US = 9_000_000_000_000_000
"""So that nanoseconds fit int64."""
TimeUs = Annotated[int, msgspec.Meta(ge=0, le=LATEST_US)]
Count = Annotated[int, msgspec.Meta(ge=-1, le=2_000_000_000)]
Token = Annotated[str, msgspec.Meta(max_length=128)]
Numbers = list[float | None] | None


class Row(msgspec.Struct, gc=False):
    token: Token


class NamedRow(Row, gc=False):
    name: str


class SensorRow(Row, gc=False):
    channel: str
    modality: str


class CalibrationRow(Row, gc=False):
    """One that is broken is None or NaN, or has too few numbers: it spoils no other sensor."""

    sensor_token: str
    translation: Numbers = None
    """Metres, ego frame."""
    rotation: Numbers = None
    """w x y z, ego from sensor."""
    camera_intrinsic: list[Numbers] | None = None


class LogRow(Row, gc=False):
    location: str


class SceneRow(Row, gc=False):
    name: str
    log_token: str
    description: str | None = None


class SampleRow(Row, gc=False):
    scene_token: str
    timestamp: TimeUs


class EgoPoseRow(Row, gc=False):
    """One that is broken is None or NaN, or has too few numbers: it spoils no other."""

    token: Token = ""
    timestamp: int | None = None
    translation: Numbers = None
    rotation: Numbers = None


class SampleDataRow(Row, gc=False):
    sample_token: str
    ego_pose_token: Token
    calibrated_sensor_token: str
    timestamp: TimeUs | None
    is_key_frame: bool
    filename: str
    height: Any = None
    """Pixels; of a camera's records. One that is broken spoils no other."""
    width: Any = None


class VisibilityRow(Row, gc=False):
    level: str


class InstanceRow(Row, gc=False):
    category_token: str


class AnnotationRow(Row, gc=False):
    """A box that is broken is None or NaN, or has too few numbers: it spoils the labels of its sample alone."""

    sample_token: str
    instance_token: str
    translation: Numbers = None
    size: Numbers = None
    """Width, length, height: not in our order."""
    rotation: Numbers = None
    visibility_token: str | None = None
    attribute_tokens: list[str] = []
    num_lidar_pts: Count = -1
    num_radar_pts: Count = -1


Parsed = TypeVar("Parsed", bound=Row)


def rows_in_parts(path: Path, kind: type[Parsed]) -> Iterator[list[Parsed]]:
    """Yields the table's rows, some thousand at a time; raises MissingRecord or BrokenRecord."""
    return pieces(path, kind, "nuScenes needs this table")


def whole_table(path: Path, kind: type[Parsed]) -> dict[str, Parsed]:
    """Returns token -> row, in the file's order; for the small tables. Raises as `rows_in_parts`."""
    rows = [row for part in rows_in_parts(path, kind) for row in part]
    found = {row.token: row for row in rows}
    if len(found) != len(rows):
        twice = next(row.token for row in rows if found[row.token] is not row)
        raise BrokenRecord(f"{path}: two rows have the token {twice}, wanted one")
    return found
