"""What a conversion will write: its shards, and a text that shows a later run that it continues the same one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..arrays import Times
from ..errors import LogError
from ..source import Source, ids_of, sensor_streams
from .files import Files
from .layout import UNFINISHED, VERSION, Kind
from .record_file import Hasher
from .shard import Shard
from .target import Target

__all__ = ["PLAN", "begin", "plan_shards", "plan_text", "streams_of", "unfinished"]


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


def unfinished(files: Files) -> str | None:
    """Returns what to say of a conversion that was begun there and not finished; None where there is none."""
    try:
        plan = _plan(files.whole(PLAN).to_pybytes())
    except LogError:
        return None
    return f"an unfinished conversion{_of(plan)}; run the same `perceptum convert` again to finish it"


def _of(plan: Mapping[str, Any]) -> str:
    """Returns " of synthetic(frames=3, seed=0) (synthetic)", as far as a plan says it."""
    about = plan["about"]
    name, dataset = about.get("name"), about.get("dataset")
    return f" of {name} ({dataset})" if name and dataset else ""


def _plan(text: bytes) -> dict[str, Any]:
    """Returns the parts of a plan; empty ones where it is damaged."""
    try:
        plan = json.loads(text)
        return {"version": plan["version"], "about": dict(plan["about"]), "times": dict(plan["times"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {"version": None, "about": {}, "times": {}}


def _difference(found: bytes, text: str) -> str:
    """Returns in words what differs between the plan that is there and the one here."""
    there, here = _plan(found), _plan(text.encode())
    if there["version"] != here["version"]:
        return "of another version of the store, or damaged"
    if _of(there) != _of(here):
        return f"{_of(there).strip()} there,{_of(here)} here"
    about, other = there["about"], here["about"]
    options = [key for key in {**about, **other} if about.get(key) != other.get(key)]
    if options:
        said = (
            f"{key.replace('_', ' ')} {_word(about.get(key))} there, {_word(other.get(key))} here" for key in options
        )
        return "; ".join(said)
    # of these there are checksums only
    streams = [key for key in {**there["times"], **here["times"]} if there["times"].get(key) != here["times"].get(key)]
    return f"other times or ids of {', '.join(streams[:3])}{', ...' * (len(streams) > 3)}, as of a log that has changed"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
