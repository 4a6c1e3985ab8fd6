"""From finished shards to a whole store: one index over all of them, written last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BrokenRecord, MissingRecord
from ..poses import Poses
from ..signal import Signal
from ..source import Source, ids_of, read_signal, signals_of
from .arrays import batch_of_arrays
from .calibration import Calibrations, CalibrationTable
from .columns import batch_of
from .hdmaps import arrays_of_map
from .index import File, Index, Stream, record_schema
from .layout import CALIBRATION, IDS, INDEX, INDEX_CHECKSUM, MAP, POSES, SIGNALS
from .plan import streams_of
from .record_file import Hasher
from .shard import Shard
from .signals import arrays_of_signals
from .tables import table_bytes
from .target import Target

__all__ = ["assemble"]

Parts = Mapping[Shard, tuple[Index, CalibrationTable]]


class _Merge:
    """The files, schemas and calibrations of many shards, each schema and each calibration once."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.schemas: list[Any] = []
        self.calibrations = Calibrations()

    def add(self, part: Index, calibration: CalibrationTable) -> Any:
        """Returns the part's records, renumbered."""
        import pyarrow as pa

        known = [self._schema(schema) for schema in part.schemas]
        first_file = len(self.files)
        self.files += [File(file.path, file.size, known[file.schema]) for file in part.files]
        # the last one means "none", which is -1
        renumbered = np.append(self.calibrations.add(calibration), -1).astype(np.int32)
        file = part.records.column("file").to_numpy()
        new = {
            "file": pa.array(np.where(file >= 0, file + np.int32(first_file), file)),
            "calibration": pa.array(renumbered[part.records.column("calibration").to_numpy()]),
        }
        names = record_schema().names
        return pa.record_batch([new.get(n, part.records.column(n)) for n in names], schema=record_schema())

    def _schema(self, schema: Any) -> int:
        for i, seen in enumerate(self.schemas):
            if seen.equals(schema, check_metadata=True):
                return i
        self.schemas.append(schema)
        return len(self.schemas) - 1


def assemble(
    target: Target,
    source: Source,
    shards: Sequence[Shard],
    parts: Parts,
    about: Mapping[str, Any],
    hasher: Callable[[], Hasher],
    skip_broken_map: bool,
    left_out: Sequence[str] = (),
) -> Index:
    """Writes the small tables and, last, the index, which also says what was left out before. Raises LogErrors."""
    import pyarrow as pa

    merge, batches, streams, first = _Merge(), [], [], 0
    for kind, sensor, times in streams_of(source):
        own = [shard for shard in shards if (shard.kind, shard.sensor) == (kind, sensor)]
        batches += [merge.add(*parts[shard]) for shard in own]
        streams.append(Stream(kind, sensor, first, len(times)))
        first += len(times)
    files, skipped = _small_files(target, source, merge.calibrations, hasher, skip_broken_map)
    records = pa.Table.from_batches(batches, record_schema()).combine_chunks().to_batches()[0]
    told = {**about, "skipped": [*left_out, *skipped]}
    index = Index(told, tuple(streams), tuple(merge.files + files), tuple(merge.schemas), records)
    encoded = index.to_bytes()
    with target.writing(INDEX_CHECKSUM) as file:
        file.write(_hex(encoded, hasher).encode())
    with target.writing(INDEX) as file:
        file.write(encoded)
    return index


def _small_files(
    target: Target,
    source: Source,
    calibrations: Calibrations,
    hasher: Callable[[], Hasher],
    skip_broken_map: bool,
) -> tuple[list[File], list[str]]:
    """Writes calibration, poses, ids, map and signals; returns their places in the index and what was left out."""
    tables = {CALIBRATION: calibrations.to_batch(), POSES: _pose_batch(source.poses)}
    ids = ids_of(source)
    if ids is not None:
        tables[IDS] = _id_batch(ids)
    skipped = [f"poses: {broken.why}" for broken in source.poses.broken]
    try:
        hdmap = source.read_map()
        if hdmap is not None:
            tables[MAP] = batch_of_arrays(arrays_of_map(hdmap))
    except (BrokenRecord, MissingRecord) as error:
        if not skip_broken_map:
            raise
        skipped.append(f"map: {error}")
    signals, broken = _signals_of(source, skip_broken_map)
    skipped += broken
    if signals:
        tables[SIGNALS] = batch_of_arrays(arrays_of_signals(signals, signals_of(source)))
    files = []
    for path, batch in tables.items():
        encoded = table_bytes(batch)
        with target.writing(path) as file:
            file.write(encoded)
        files.append(File(path, len(encoded), -1, _hex(encoded, hasher)))
    return files, skipped


def _signals_of(source: Source, skip_broken: bool) -> tuple[list[Signal], list[str]]:
    """Returns the signals, and what is left out of them, or of all: a line each."""
    found: list[Signal] = []
    left_out: list[str] = []
    for name in signals_of(source):
        try:
            found.append(read_signal(source, name))
        except (BrokenRecord, MissingRecord) as error:
            if not skip_broken:
                raise
            left_out.append(f"signal {name}: {error}")
        else:
            left_out += [f"signal {name}: {line}" for line in found[-1].broken]
    return found, left_out


def _pose_batch(poses: Poses) -> Any:
    columns = {"time_ns": poses.times_ns, "quaternion": poses.quaternions, "translation": poses.translations}
    batch = batch_of("poses", columns)
    told = {"max_gap_ns": str(poses.max_gap_ns)}
    if poses.broken:
        told["broken"] = json.dumps(poses.broken)
    return batch.replace_schema_metadata(told)


def _id_batch(ids: Sequence[str]) -> Any:
    import pyarrow as pa

    schema = pa.schema([pa.field("id", pa.string(), nullable=False)])
    return pa.record_batch([pa.array(list(ids), pa.string())], schema=schema)


def _hex(encoded: bytes, hasher: Callable[[], Hasher]) -> str:
    digest = hasher()
    digest.update(encoded)
    return digest.digest().hex()
