"""Records of a log as record batches, and what they have besides columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord, MissingRecord
from ..records import RADAR_COLUMNS, RADAR_OWN, Labels, LidarSweep, RadarSweep
from ..source import Source
from .calibration import Calibrations
from .columns import batch_of
from .layout import Kind

__all__ = [
    "LABEL_COLUMNS",
    "LIDAR_COLUMNS",
    "LIDAR_OWN",
    "PICTURE",
    "POINT_LABELS",
    "RADAR_COLUMNS",
    "RADAR_OWN",
    "Encoded",
    "encode",
    "label_columns",
    "labels_of",
]

LIDAR_OWN = (
    *("sensor", "time_ns", "ego_from_sensor", "intensity_scale"),
    *("compensated_to_ns", "row_of_ring", "origin", "source", "point_labels"),
)
"""Fields of a sweep that are not columns: they are in the index or in the calibration."""
POINT_LABELS = ("semantic", "instance")
"""Columns of a sweep whose points are labelled."""
LIDAR_COLUMNS = (*(f.name for f in fields(LidarSweep) if f.name not in LIDAR_OWN), *POINT_LABELS)
LABEL_OWN = ("time_ns", "frame", "ego_from_lidar")
"""What readers give is in the ego frame; where the lidar is, its own records say."""
LABEL_COLUMNS = tuple(f.name for f in fields(Labels) if f.name not in LABEL_OWN)
UNLABELLED = "unlabelled_2d"
"""The column of areas of a picture: NaN in the rows of boxes, which come first."""
PICTURE = "encoded"

_FLOAT16_MOST = 65504.0
_FLOAT16_METRES = 1024.0
"""From here on neighbouring float16 are 1 m apart, and soon more."""


class Encoded(NamedTuple):
    batch: Any
    calibration: int
    """Its row, -1 where the record needs none."""
    compensated_to_ns: int | None
    skipped: str | None = None
    """What of the record could not be read, and is left out of it."""


def encode(
    source: Source, kind: Kind, sensor: str, index: int, calibrations: Calibrations, float16: bool, skip_broken: bool
) -> Encoded | None:
    """Reads one record of the source; None where there are no labels. Raises LogErrors.

    skip_broken: a sweep whose points' labels are broken is written without them.
    """
    if kind == "lidar":
        sweep = source.read_lidar(sensor, index)
        columns = _columns(sweep, LIDAR_COLUMNS[: -len(POINT_LABELS)])
        of_points, skipped = _point_labels(sweep, skip_broken)
        columns |= of_points
        if float16:
            columns |= {axis: _as_float16(sweep.source or sensor, axis, columns[axis]) for axis in "xyz"}
        batch = batch_of(sweep.source or sensor, columns)
        return Encoded(batch, calibrations.of_lidar(sweep), sweep.compensated_to_ns, skipped)
    if kind == "radar":
        cycle = source.read_radar(sensor, index)
        batch = batch_of(cycle.source or sensor, _columns(cycle, RADAR_COLUMNS))
        return Encoded(batch, calibrations.of_radar(cycle), None)
    if kind == "camera":
        picture = source.read_camera(sensor, index)
        return Encoded(_picture(picture.encoded), calibrations.of_camera(picture), None)
    labels = source.read_labels(int(source.times_ns[index]))
    return None if labels is None else Encoded(batch_of("labels", label_columns(labels)), -1, None)


def label_columns(labels: Labels) -> dict[str, NDArray[Any]]:
    """Returns the columns of the boxes; areas of a picture are further rows, which say nothing else."""
    columns = _columns(labels, LABEL_COLUMNS)
    areas = columns.pop(UNLABELLED, None)
    if areas is None:
        return columns
    rows = np.zeros((len(labels) + len(areas), 4))
    rows[: len(labels)], rows[len(labels) :] = np.nan, areas
    return {name: _lengthened(column, len(areas)) for name, column in columns.items()} | {UNLABELLED: rows}


def _lengthened(column: NDArray[Any], more: int) -> NDArray[Any]:
    nothing = np.zeros((more, *column.shape[1:]), column.dtype)
    if column.dtype.kind == "f":
        nothing[:] = np.nan
    return np.concatenate([column, nothing])


def labels_of(time_ns: int, columns: Mapping[str, Any]) -> Labels:
    """Returns the labels of what was stored."""
    areas = columns.get(UNLABELLED)
    if areas is None:
        return Labels(time_ns=time_ns, **columns)
    n = int(np.count_nonzero(np.isnan(areas[:, 0])))
    own: dict[str, Any] = {name: column[:n] for name, column in columns.items()} | {UNLABELLED: areas[n:]}
    return Labels(time_ns=time_ns, **own)


def _columns(record: LidarSweep | RadarSweep | Labels, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    return {name: column for name in names if (column := getattr(record, name)) is not None}


def _point_labels(sweep: LidarSweep, skip_broken: bool) -> tuple[dict[str, NDArray[Any]], str | None]:
    """Returns the columns that there are, and why there are none where they are broken."""
    if sweep.point_labels is None:
        return {}, None
    try:
        stored = zip(POINT_LABELS, sweep.point_labels.stored, strict=True)
    except (BrokenRecord, MissingRecord) as error:
        if not skip_broken:
            raise
        return {}, str(error)
    return {name: column for name, column in stored if column is not None}, None


def _picture(encoded: bytes) -> Any:
    import pyarrow as pa

    field = pa.field(PICTURE, pa.binary(), nullable=False)
    return pa.record_batch([pa.array([encoded], pa.binary())], schema=pa.schema([field]))


def _as_float16(where: str, axis: str, column: NDArray[Any]) -> NDArray[np.float16]:
    # NaN and infinity stay what they are; a finite number must not become infinite
    beyond = np.isfinite(column) & (np.abs(column) > _FLOAT16_MOST)
    if beyond.any():
        raise BrokenRecord(f"{where}: {axis} is {column[beyond][0]}, which float16 cannot hold; convert without it")
    # a stray point may be anywhere; a cloud that is recorded far from its origin would lose metres
    near = np.abs(column[np.isfinite(column)]).min(initial=np.inf)
    if _FLOAT16_METRES < near < np.inf:
        raise BrokenRecord(
            f"{where}: {axis} is {near:g} and more, where float16 has steps of 1 m and more; convert without it"
        )
    return column.astype(np.float16)
