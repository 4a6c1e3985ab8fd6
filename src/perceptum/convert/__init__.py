"""Any log as a store: written beside, by several processes where asked, and there only once it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import xxhash

from perceptum.datasets.detect import open_source
from perceptum.inputs import Log, LogError, Source
from perceptum.inputs.increasing import Increasing
from perceptum.inputs.source import ground_z_of, point_classes_of, unreadable_of
from perceptum.inputs.store import (
    UNFINISHED,
    Compression,
    Index,
    Shard,
    ShardOptions,
    Target,
    assemble,
    broken_files,
    broken_records,
    finished_shard,
    plan_shards,
    plan_text,
)

from ..errors import UsageError
from .place import place_for
from .workers import write_shards

__all__ = ["Converted", "convert"]

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True)
class Converted:
    """What a conversion did."""

    path: str
    records: int
    bytes: int
    shards: int
    resumed: int
    """Shards that an earlier, interrupted run had written."""
    skipped: list[str]
    """What was broken in the source and left out, a line each."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def convert(
    log: str | Path | Log,
    dst: str | Path,
    *,
    compression: Compression = "none",
    float16: bool = False,
    shard_seconds: float = 10.0,
    workers: int = 1,
    on_error: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
    track: Track = lambda items, _, __: items,
) -> Converted:
    """Writes the log, opened or as open_log takes it, as a store at `dst`, a folder or an s3:// or gs:// address.

    The same call again goes on where an interrupted one stopped. compression: of points and labels, lossless.
    float16: lidar x y z, which loses digits. workers: processes. on_error: skip: leaves out and reports broken ones.
    Raises UsageError where `dst` cannot be, and LogErrors.
    """
    began = perf_counter()
    if shard_seconds < 0.001 or workers < 1:
        raise UsageError(f"wanted shards of a millisecond or more and a worker, got {shard_seconds} s and {workers}")
    opened = log if isinstance(log, Log) else _opened(str(log), on_error)
    reopen = partial(_same, log.source) if isinstance(log, Log) else partial(_source_of, str(log), on_error)
    options = ShardOptions(compression, float16, on_error)
    shards = plan_shards(opened.source, round(shard_seconds * 1e9))
    about = _about(opened.source, options, shard_seconds)
    with place_for(dst, overwrite, plan_text(opened.source, about, xxhash.xxh3_128)) as target:
        done = {
            shard for shard in track(shards, "looking for finished shards", len(shards)) if _is_whole(target, shard)
        }
        left = [shard for shard in shards if shard not in done]
        for _ in track(write_shards(reopen, opened.source, left, target, options, workers), "converting", len(left)):
            pass
        index = _finish(target, opened.source, shards, about, on_error, _left_out(opened.source))
    return Converted(
        path=str(dst),
        records=len(index.records),
        bytes=sum(file.size for file in index.files),
        shards=len(shards),
        resumed=len(done),
        skipped=_skipped(index),
        seconds=round(perf_counter() - began, 3),
    )


def _same(source: Source) -> Source:
    return source


def _opened(log: str, on_error: Literal["raise", "skip"]) -> Log:
    return Log(open_source(log), on_error=on_error)


def _source_of(log: str, on_error: Literal["raise", "skip"]) -> Source:
    return _opened(log, on_error).source


def _about(source: Source, options: ShardOptions, shard_seconds: float) -> dict[str, Any]:
    classes = point_classes_of(source)
    return {
        "name": source.name,
        "dataset": source.dataset,
        "location": source.location,
        "sequential": source.sequential,
        "ground_z_m": ground_z_of(source),
        **({} if classes is None else {"point_classes": {str(code): name for code, name in classes.items()}}),
        "shard_seconds": shard_seconds,
        **asdict(options),
    }


def _is_whole(target: Target, shard: Shard) -> bool:
    """Whether an earlier run finished the shard, and its bytes are still those that were written."""
    found = finished_shard(target, shard)
    if found is None:
        return False
    files = target.files
    wrong = any(True for _ in broken_files(files, found[0], xxhash.xxh3_128))
    return not wrong and not any(broken_records(files, found[0], xxhash.xxh3_128))


def _finish(
    target: Target,
    source: Source,
    shards: list[Shard],
    about: dict[str, Any],
    on_error: Literal["raise", "skip"],
    left_out: list[str],
) -> Index:
    parts = {}
    for shard in shards:
        found = finished_shard(target, shard)
        if found is None:
            raise LogError(
                f"{target.location}: {shard.kind} {shard.sensor} shard {shard.number} is gone; convert again"
            )
        parts[shard] = found
    index = assemble(
        target, source, shards, parts, about, xxhash.xxh3_128, skip_broken_map=on_error == "skip", left_out=left_out
    )
    target.remove(UNFINISHED)
    return index


def _left_out(source: Source) -> list[str]:
    """Returns a line for each sensor and each record that the source was opened without."""
    return [*map(str, unreadable_of(source)), *(source.left_out if isinstance(source, Increasing) else [])]


def _skipped(index: Index) -> list[str]:
    records = index.records.column("skipped").drop_null().to_pylist()
    return [*index.about.get("skipped", []), *records]
