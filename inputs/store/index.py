"""The index of a store: where each record is. One small Arrow file, a row per record; the rest in its metadata."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord, LogError, NotALog
from ..once import once
from .layout import FORMAT, KINDS, VERSION, Kind

__all__ = ["NO_RECORD", "SKIPPED", "File", "Index", "Row", "Stream", "record_schema"]

NO_RECORD = -1
"""In place of a file: the source has no labels at this time."""
SKIPPED = -2
"""In place of a file: the record was broken when the log was converted; column `skipped` says how."""

_KEY = b"perceptum"


@dataclass(frozen=True)
class File:
    path: str
    size: int
    """Bytes."""
    schema: int
    """Of its record batches, in `Index.schemas`."""
    checksum: str = ""
    """Hexadecimal, of the whole file, for files whose records are not in the index."""


@dataclass(frozen=True)
class Stream:
    """The records of one sensor, in order of time: rows first to first + count of the index."""

    kind: Kind
    sensor: str
    first: int
    count: int


class Row(NamedTuple):
    """One record."""

    time_ns: int
    file: int
    offset: int
    size: int
    rows: int
    calibration: int
    compensated_to_ns: int | None
    checksum: bytes
    skipped: str | None


def record_schema() -> Any:
    import pyarrow as pa

    kinds = {
        "time_ns": pa.int64(),
        "file": pa.int32(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "rows": pa.int64(),
        "calibration": pa.int32(),
        "compensated_to_ns": pa.int64(),
        "checksum": pa.binary(16),
        "skipped": pa.string(),
    }
    may_be_null = ("compensated_to_ns", "skipped")
    return pa.schema([pa.field(name, kind, nullable=name in may_be_null) for name, kind in kinds.items()])


@dataclass(frozen=True, eq=False)
class Index:
    """For a complete store, or for one finished shard."""

    about: Mapping[str, Any]
    """name, dataset, location and sequential of the source, the options of the conversion, what was skipped."""
    streams: tuple[Stream, ...]
    files: tuple[File, ...]
    schemas: tuple[Any, ...]
    records: Any
    """A pyarrow RecordBatch of `record_schema`."""

    def row(self, index: int) -> Row:
        return Row(*[cell(index) for cell in self._cells])

    @once
    def _cells(self) -> list[Callable[[int], Any]]:
        """By column of the records: from a row's number to its value. Asking pyarrow took 10 us for each row."""
        return [_cells_of(column) for column in self.records.columns]

    def times_ns(self, stream: Stream) -> NDArray[np.int64]:
        times: NDArray[np.int64] = self.records.column(0).to_numpy()[stream.first : stream.first + stream.count]
        return times

    def to_bytes(self) -> bytes:
        """Returns the index as an Arrow file; the same index gives the same bytes."""
        import pyarrow as pa

        head = {
            "format": FORMAT,
            "version": VERSION,
            "about": dict(self.about),
            "streams": [asdict(stream) for stream in self.streams],
            "files": [[f.path, f.size, f.schema, f.checksum] for f in self.files],
            "schemas": [base64.b64encode(schema.serialize()).decode() for schema in self.schemas],
        }
        schema = record_schema().with_metadata({_KEY: json.dumps(head).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(self.records.replace_schema_metadata(schema.metadata))
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded

    @classmethod
    def from_buffer(cls, where: str, encoded: Any) -> Index:
        """Reads what `to_bytes` wrote, over the buffer's own memory; raises NotALog or BrokenRecord."""
        import pyarrow as pa

        try:
            records = _only_batch(where, encoded)
            head = json.loads((records.schema.metadata or {})[_KEY])
        except LogError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, RecursionError, MemoryError) as error:
            reason = " ".join(str(error).split())[:120]
            raise BrokenRecord(f"{where}: not a complete index of a store ({reason}); convert the log again") from error
        _check_version(where, head)
        try:
            index = cls(
                about=dict(head["about"]),
                streams=tuple(Stream(**stream) for stream in head["streams"]),
                files=tuple(File(*file) for file in head["files"]),
                schemas=tuple(_schema(text) for text in head["schemas"]),
                records=records,
            )
            index._check()
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:120]
            raise BrokenRecord(f"{where}: not the expected index ({reason}); convert the log again") from error
        return index

    def _check(self) -> None:
        """Raises ValueError or TypeError for what would mislead a reader; single records are checked when read."""
        for stream in self.streams:
            inside = 0 <= stream.first <= stream.first + stream.count <= len(self.records)
            if stream.kind not in KINDS or not isinstance(stream.sensor, str) or not inside or stream.count < 0:
                raise ValueError(f"stream {str(stream.sensor)[:40]!r} has rows {stream.first} and {stream.count} more")
        for file in self.files:
            if not (isinstance(file.path, str) and isinstance(file.size, int) and isinstance(file.checksum, str)):
                raise TypeError(f"file {str(file.path)[:40]!r} is described by other than path, size and checksum")
        if not all(isinstance(self.about.get(key), str) for key in ("name", "dataset", "location")):
            raise ValueError("it has no name, dataset and location")
        if sum(stream.kind == "labels" for stream in self.streams) != 1:
            raise ValueError("it must have one stream of frames")


def _cells_of(column: Any) -> Callable[[int], Any]:
    if column.null_count == len(column):
        return lambda index: None
    if column.null_count == 0 and column.type.id in _number_ids():
        found: Callable[[int], Any] = column.to_numpy().item
        return found
    if column.null_count == 0 and column.type.id == _checksum_id():
        data, width = memoryview(column.buffers()[1]), column.type.byte_width
        first = column.offset
        return lambda index: bytes(data[(first + index) * width : (first + index + 1) * width])
    return lambda index: column[index].as_py()


@cache
def _number_ids() -> frozenset[int]:
    import pyarrow as pa

    return frozenset(field.type.id for field in record_schema() if pa.types.is_integer(field.type))


@cache
def _checksum_id() -> int:
    found: int = record_schema().field("checksum").type.id
    return found


def _only_batch(where: str, encoded: Any) -> Any:
    import pyarrow as pa

    reader = pa.ipc.open_file(encoded)
    if reader.num_record_batches != 1:
        raise BrokenRecord(f"{where}: {reader.num_record_batches} record batches, wanted 1; convert the log again")
    records = reader.get_batch(0)
    wanted = record_schema()
    if not records.schema.equals(wanted):
        raise BrokenRecord(f"{where}: has the columns {records.schema.names}, wanted {wanted.names}")
    records.validate(full=True)
    for field, column in zip(wanted, records.columns, strict=True):
        if column.null_count and not field.nullable:
            raise BrokenRecord(f"{where}: {column.null_count} nulls in {field.name}, wanted a value in each row")
    return records


def _schema(text: str) -> Any:
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))


def _check_version(where: str, head: object) -> None:
    found = cast(dict[str, Any], head) if isinstance(head, dict) else {}
    if found.get("format") != FORMAT:
        raise NotALog(f"{where}: format {str(found.get('format'))[:40]!r}, wanted {FORMAT!r}")
    version = found.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise NotALog(
            f"{where}: format version {str(version)[:40]}, this Perceptum reads up to {VERSION}; "
            "install a newer Perceptum, or convert again with this one"
        )
