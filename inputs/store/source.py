"""A store as a log's source: opening reads the index, a record is a view of the mapped file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..arrays import Times
from ..errors import BrokenRecord, MissingRecord
from ..hdmap import HDMap
from ..once import once
from ..point_labels import PointLabels
from ..poses import BrokenPose, Poses
from ..records import CameraImage, Labels, LidarSweep, RadarSweep
from ..signal import Measured, Signal
from ..source import Named
from .arrays import arrays_of
from .calibration import CalibrationTable
from .columns import Reader, columns_of, read_batch
from .files import Files, LocalFiles
from .hdmaps import map_of_arrays
from .index import NO_RECORD, SKIPPED, File, Index, Row, Stream
from .layout import CALIBRATION, IDS, INDEX, MAP, POSES, SIGNALS, Kind
from .records import LABEL_COLUMNS, LIDAR_COLUMNS, PICTURE, POINT_LABELS, RADAR_COLUMNS, labels_of
from .signals import measured_of_arrays, signal_of_arrays
from .tables import read_table

__all__ = ["StoreSource"]


class StoreSource(Named):
    """One converted log. Labels are those at the frames' times; everything else is as the source had it."""

    dataset = "store"
    opens_noted = True

    def __init__(self, files: Files) -> None:
        self.files = files
        self.location = files.location
        self.index = Index.from_buffer(f"{files.location}/{INDEX}", files.whole(INDEX))
        self.name = str(self.index.about["name"])
        self.ground_z_m = self.index.about.get("ground_z_m", 0.0)
        self.sequential = bool(self.index.about.get("sequential", True))
        self.in_memory = isinstance(files, LocalFiles) and self.index.about.get("compression") == "none"
        self._readers: dict[tuple[int, tuple[str, ...]], Reader] = {}
        self._streams: dict[tuple[Kind, str], Stream] = {(s.kind, s.sensor): s for s in self.index.streams}
        self.lidars: Mapping[str, Times] = self._times("lidar")
        self.radars: Mapping[str, Times] = self._times("radar")
        self.cameras: Mapping[str, Times] = self._times("camera")
        self.times_ns: Times = next(iter(self._times("labels").values()))

    def __reduce__(self) -> tuple[type[StoreSource], tuple[Files]]:
        """Another process opens the store afresh."""
        return StoreSource, (self.files,)

    def _times(self, kind: Kind) -> dict[str, Times]:
        return {s.sensor: self.index.times_ns(s) for s in self.index.streams if s.kind == kind}

    @once
    def poses(self) -> Poses:
        where, batch = self._table(POSES)
        columns = columns_of(where, batch, ("time_ns", "quaternion", "translation"))
        try:
            told = batch.schema.metadata or {}
            broken = tuple(BrokenPose(int(time_ns), str(why)) for time_ns, why in json.loads(told.get(b"broken", "[]")))
            gap = int(told[b"max_gap_ns"])
            return Poses(columns["time_ns"], columns["quaternion"], columns["translation"], gap, broken)
        except (KeyError, ValueError, TypeError) as error:
            raise BrokenRecord(f"{where}: {error}; convert again") from error

    @once
    def ids(self) -> Sequence[str] | None:
        """Those of the log that was converted; None where it had none, or an older Perceptum did not keep them."""
        if not any(file.path == IDS for file in self.index.files):
            return None
        where, batch = self._table(IDS)
        if [str(kind) for kind in batch.schema.types] != ["string"] or batch.schema.names != ["id"]:
            raise BrokenRecord(f"{where}: not one column of names; convert again")
        ids: list[str] = batch.column(0).to_pylist()
        if len(ids) != len(self.times_ns) or None in ids:
            raise BrokenRecord(f"{where}: {len(ids)} names of {len(self.times_ns)} frames; convert again")
        return ids

    @once
    def point_classes(self) -> Mapping[int, str] | None:
        """Those of the log that was converted; None where it labels no points."""
        found = self.index.about.get("point_classes")
        try:
            return None if found is None else {int(code): str(name) for code, name in found.items()}
        except (AttributeError, ValueError) as error:
            raise BrokenRecord(
                f"{self.location}/{INDEX}: its point classes are no names of codes; convert again"
            ) from error

    @once
    def _calibration(self) -> CalibrationTable:
        return CalibrationTable(*self._table(CALIBRATION))

    def read_map(self) -> HDMap | None:
        if not any(file.path == MAP for file in self.index.files):
            return None
        where, batch = self._table(MAP)
        return map_of_arrays(where, arrays_of(where, batch))

    @once
    def _signal_arrays(self) -> tuple[str, Mapping[str, NDArray[Any]]]:
        where, batch = self._table(SIGNALS)
        return where, arrays_of(where, batch)

    @once
    def signals(self) -> Mapping[str, tuple[Measured, ...]]:
        """Those of the log that was converted; none where it had none, or an older Perceptum did not keep them."""
        if not any(file.path == SIGNALS for file in self.index.files):
            return {}
        return measured_of_arrays(*self._signal_arrays)

    def read_signal(self, name: str) -> Signal:
        """A signal as it was converted, its columns views of the mapped file."""
        return signal_of_arrays(*self._signal_arrays, name)

    def _table(self, path: str) -> tuple[str, Any]:
        return f"{self.location}/{path}", read_table(self.files, path)

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        row, where = self._row("lidar", sensor, index)
        calibration = self._calibration.lidar(row.calibration)
        columns = self._columns(row, where, LIDAR_COLUMNS)
        semantic, instance = (columns.pop(name, None) for name in POINT_LABELS)
        return LidarSweep(
            sensor=sensor,
            time_ns=row.time_ns,
            compensated_to_ns=row.compensated_to_ns,
            source=where,
            **calibration,
            **columns,
            point_labels=_point_labels(where, row, semantic, instance),
        )

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        row, where = self._row("radar", sensor, index)
        return RadarSweep(
            sensor=sensor,
            time_ns=row.time_ns,
            source=where,
            **self._calibration.radar(row.calibration),
            **self._columns(row, where, RADAR_COLUMNS),
        )

    def read_camera(self, camera: str, index: int) -> CameraImage:
        row, where = self._row("camera", camera, index)
        return CameraImage(
            camera=camera,
            time_ns=row.time_ns,
            read=partial(self._picture, row, where),
            source=where,
            **self._calibration.camera(row.calibration),
        )

    def read_labels(self, time_ns: int) -> Labels | None:
        """The labels at a frame's time; None where the source had none, and between frames."""
        index = int(np.searchsorted(self.times_ns, time_ns))
        if index == len(self.times_ns) or self.times_ns[index] != time_ns:
            return None
        row, where = self._row("labels", "", index)
        if row.file < 0:
            return None
        return labels_of(time_ns, self._columns(row, where, LABEL_COLUMNS))

    def _row(self, kind: Kind, sensor: str, index: int) -> tuple[Row, str]:
        """Returns the record's row and how messages call it; raises BrokenRecord where it was skipped."""
        stream = self._streams.get((kind, sensor))
        if stream is None:
            known = ", ".join(s.sensor for s in self.index.streams if s.kind == kind) or "none"
            raise MissingRecord(f"{self.location}: no {kind} '{sensor}'; the log has {known}")
        if not 0 <= index < stream.count:
            raise MissingRecord(f"{self.location}: {sensor} has no record {index}, it has {stream.count} from 0 on")
        row = self.index.row(stream.first + index)
        where = f"{self.location}: {kind}{f' {sensor}' if sensor else ''} record {index}"
        if row.file == SKIPPED:
            raise BrokenRecord(f"{where} was broken when the log was converted: {row.skipped}")
        if row.file >= len(self.index.files) or row.file < (NO_RECORD if kind == "labels" else 0):
            raise BrokenRecord(f"{where}: is in file {row.file}, the index names {len(self.index.files)}")
        return row, where

    def batch(self, row: Row, where: str) -> Any:
        """Returns the record's pyarrow RecordBatch; raises BrokenRecord or MissingRecord."""
        file = self._file(row, where)
        batch = read_batch(where, self.files.part(file.path, row.offset, row.size), self.index.schemas[file.schema])
        self._check_rows(row, where, len(batch))
        return batch

    def _file(self, row: Row, where: str) -> File:
        file = self.index.files[row.file]
        if not 0 <= file.schema < len(self.index.schemas):
            raise BrokenRecord(f"{where}: {file.path} has no schema in the index; convert again")
        return file

    def _check_rows(self, row: Row, where: str, rows: int) -> None:
        if rows != row.rows:
            path = self.index.files[row.file].path
            raise BrokenRecord(f"{where}: {rows} rows in {path}, the index says {row.rows}; convert again")

    def _columns(self, row: Row, where: str, known: tuple[str, ...]) -> dict[str, Any]:
        file = self._file(row, where)
        key = (file.schema, known)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = Reader(self.index.schemas[file.schema], known)
        rows, columns = reader.read(where, self.files.part(file.path, row.offset, row.size))
        self._check_rows(row, where, rows)
        needed = ("boxes", "category", "track_id") if known is LABEL_COLUMNS else ("x", "y", "z")
        missing = [name for name in needed if name not in columns]
        if missing:
            raise BrokenRecord(f"{where}: no column {missing[0]}; convert again")
        return columns

    def _picture(self, row: Row, where: str) -> bytes:
        import pyarrow as pa

        batch = self.batch(row, where)
        if batch.schema.names != [PICTURE] or batch.schema.field(0).type != pa.binary() or len(batch) != 1:
            raise BrokenRecord(f"{where}: wanted one picture in a binary column '{PICTURE}'; convert again")
        try:
            batch.validate(full=True)
        except pa.ArrowException as error:
            raise BrokenRecord(f"{where}: not a complete picture ({str(error)[:120]}); convert again") from error
        encoded: bytes = batch.column(0)[0].as_py()
        return encoded


def _point_labels(where: str, row: Row, semantic: Any, instance: Any) -> PointLabels | None:
    if semantic is not None:
        return PointLabels.of(semantic, instance, where)
    return None if row.skipped is None else PointLabels(partial(_were_broken, where, row.skipped), row.rows, where)


def _were_broken(where: str, why: str) -> NoReturn:
    raise BrokenRecord(f"{where}: its points' labels were broken when the log was converted: {why}")
