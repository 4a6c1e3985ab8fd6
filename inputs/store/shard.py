"""One shard: the records of one sensor in one span of time, written record by record, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from ..arrays import Times
from ..errors import BrokenRecord, LogError, MissingRecord, PoseUnknown
from ..source import Source, sensor_streams
from .calibration import Calibrations, CalibrationTable
from .index import NO_RECORD, SKIPPED, File, Index, Stream, record_schema
from .layout import Compression, Kind, shard_path, unfinished_path
from .record_file import Hasher, RecordFile
from .records import encode
from .tables import read_table, write_table
from .target import Target

__all__ = ["Shard", "ShardOptions", "finished_shard", "write_shard"]

_MOST_VARIANTS = 64


@dataclass(frozen=True)
class Shard:
    """Records start to stop of one sensor."""

    kind: Kind
    sensor: str
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class ShardOptions:
    compression: Compression = "none"
    """For points and labels; pictures stay unchanged."""
    float16: bool = False
    """Lidar x y z as float16, which loses what it cannot hold."""
    on_error: Literal["raise", "skip"] = "raise"


def _times(source: Source, shard: Shard) -> Times:
    streams = {(kind, sensor): times for kind, sensor, times in sensor_streams(source)}
    return source.times_ns if shard.kind == "labels" else streams[shard.kind, shard.sensor]


class _ShardWriter:
    """The open files of a shard, one for each set of columns that its records have, and the rows of its index."""

    def __init__(self, shard: Shard, target: Target, options: ShardOptions, hasher: Callable[[], Hasher]) -> None:
        self._shard, self._target, self._options, self._hasher = shard, target, options, hasher
        self._open = ExitStack()
        self._files: list[RecordFile] = []
        self.calibrations = Calibrations()
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> _ShardWriter:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)

    def _file_of(self, schema: Any) -> int:
        for i, file in enumerate(self._files):
            if file.schema.equals(schema, check_metadata=True):
                return i
        if len(self._files) == _MOST_VARIANTS:
            raise LogError(
                f"{self._shard.kind} {self._shard.sensor}: more than {_MOST_VARIANTS} different sets of columns "
                "in one shard; convert with shorter shards"
            )
        path = shard_path(self._shard.kind, self._shard.sensor, self._shard.number, len(self._files))
        sink = self._open.enter_context(self._target.writing(path))
        # pictures are compressed already
        compression: Compression = "none" if self._shard.kind == "camera" else self._options.compression
        self._files.append(self._open.enter_context(RecordFile(path, sink, schema, compression, self._hasher)))
        return len(self._files) - 1

    def write(self, source: Source, index: int, time_ns: int) -> None:
        shard = self._shard
        row: dict[str, Any] = {"time_ns": time_ns, "file": NO_RECORD, "offset": 0, "size": 0, "rows": 0}
        row |= {"calibration": -1, "compensated_to_ns": None, "checksum": bytes(16), "skipped": None}
        try:
            skip_broken = self._options.on_error == "skip"
            found = encode(
                source, shard.kind, shard.sensor, index, self.calibrations, self._options.float16, skip_broken
            )
        except (BrokenRecord, MissingRecord, PoseUnknown) as error:
            # other LogErrors, such as of a library that is not installed, are not the record's
            if self._options.on_error == "raise":
                raise
            self.rows.append(row | {"file": SKIPPED, "skipped": str(error)})
            return
        if found is not None:
            file = self._file_of(found.batch.schema)
            offset, size, checksum = self._files[file].write(found.batch)
            row |= {"file": file, "offset": offset, "size": size, "checksum": checksum, "rows": len(found.batch)}
            row |= {"calibration": found.calibration, "compensated_to_ns": found.compensated_to_ns}
            row["skipped"] = found.skipped
        self.rows.append(row)

    def index(self) -> Index:
        import pyarrow as pa

        shard = self._shard
        records = pa.RecordBatch.from_pylist(self.rows, schema=record_schema())
        files = tuple(File(file.path, file.size, i) for i, file in enumerate(self._files))
        about = {"name": shard.sensor, "dataset": "", "location": "", "shard": shard.number}
        # a shard is not a log: the stream of frames that every index has stays empty
        streams = [Stream(shard.kind, shard.sensor, 0, len(self.rows))]
        streams += [] if shard.kind == "labels" else [Stream("labels", "", 0, 0)]
        return Index(about, tuple(streams), files, tuple(file.schema for file in self._files), records)


def write_shard(
    source: Source,
    shard: Shard,
    target: Target,
    options: ShardOptions,
    hasher: Callable[[], Hasher],
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Writes the shard's files, and then its own index, which says that it is finished.

    tick: called before each record; what it raises ends the work. Raises LogErrors.
    """
    times = _times(source, shard)
    writer = _ShardWriter(shard, target, options, hasher)
    with writer:
        for index in range(shard.start, shard.stop):
            tick()
            writer.write(source, index, int(times[index]))
    where = (shard.kind, shard.sensor, shard.number)
    write_table(target, unfinished_path(*where, "calibration"), writer.calibrations.to_batch())
    with target.writing(unfinished_path(*where, "index")) as file:
        file.write(writer.index().to_bytes())


def finished_shard(target: Target, shard: Shard) -> tuple[Index, CalibrationTable] | None:
    """Returns a shard's index and calibration as an earlier run left them; None where it is not whole."""
    index_path, calibration_path = (
        unfinished_path(shard.kind, shard.sensor, shard.number, what) for what in ("index", "calibration")
    )
    if not target.has(index_path):
        return None
    files = target.files
    try:
        index = Index.from_buffer(f"{target.location}/{index_path}", files.whole(index_path))
        if len(index.records) != shard.stop - shard.start:
            raise BrokenRecord(
                f"{target.location}/{index_path}: {len(index.records)} records; the shard is written again"
            )
        return index, CalibrationTable(f"{target.location}/{calibration_path}", read_table(files, calibration_path))
    except LogError:
        return None
