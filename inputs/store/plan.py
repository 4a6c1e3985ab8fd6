"""What a conversion will write: its shards, and a text that shows a later run that it continues the same one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..arrays import Times
from ..errors import LogError
from ..source import Source, ids_of, sensor_streams
from .layout import UNFINISHED, VERSION, Kind
from .record_file import Hasher
from .shard import Shard
from .target import Target

__all__ = ["PLAN", "begin", "plan_shards", "plan_text", "streams_of"]


PLAN = f"{UNFINISHED}/plan.json"

# a run that a broken record ended may be continued with on_error="skip", and a folder has several paths
_MAY_CHANGE = ("location", "on_error")


def streams_of(source: Source) -> Iterator[tuple[Kind, str, Times]]:
    """Yields every stream of a log; the labels' times are the frames'."""
    yield from sensor_streams(source)
    yield "labels", "", source.times_ns


def plan_shards(source: Source, shard_ns: int) -> list[Shard]:
    """Cuts every stream at the same moments, `shard_ns` apart from the log's first record on; no shard is empty."""
    streams = list(streams_of(source))
    first = min(int(times[0]) for _, _, times in streams if len(times))
    shards = []
    for kind, sensor, times in streams:
        numbers = (times - first) // shard_ns
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        stops = [*starts[1:].tolist(), len(times)]
        for start, stop in zip(starts.tolist(), stops, strict=True):
            shards.append(Shard(kind, sensor, int(numbers[start]), start, stop))
    return shards


def plan_text(source: Source, about: Mapping[str, Any], hasher: Callable[[], Hasher]) -> str:
    """Returns everything that the written bytes depend on, besides the records themselves."""
    times = {}
    for kind, sensor, stamps in streams_of(source):
        digest = hasher()
        digest.update(np.ascontiguousarray(stamps))
        times[f"{kind}/{sensor}"] = digest.digest().hex()
    ids = ids_of(source)
    if ids is not None:
        digest = hasher()
        digest.update("\0".join(ids).encode())
        times["ids"] = digest.digest().hex()
    same = {key: value for key, value in about.items() if key not in _MAY_CHANGE}
    return json.dumps({"version": VERSION, "about": same, "times": times}, indent=1)


def begin(target: Target, text: str) -> None:
    """Notes what is being written; raises LogError where something else was started there."""
    if target.has(PLAN):
        found = target.files.whole(PLAN).to_pybytes()
        if found != text.encode():
            raise LogError(
                f"{target.location}: holds the beginning of another conversion ({_difference(found, text)}); "
                "finish that with its own options, or start again with --overwrite"
            )
        return
    with target.writing(PLAN) as file:
        file.write(text.encode())


def _difference(found: bytes, text: str) -> str:
    """Returns the first line in which two plans differ."""
    lines = zip(found.decode(errors="replace").splitlines(), text.splitlines(), strict=False)
    other = next(((a.strip(), b.strip()) for a, b in lines if a != b), ("a longer plan", "this one"))
    return f"{other[0][:80]} there, {other[1][:80]} here"
