"""Everything that is wrong with a log, all at once: its files, times, poses, records, labels and map."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from perceptum.datasets.detect import open_source
from perceptum.datasets.reading.unread import NotRead
from perceptum.inputs import LogError, NotALog, Source
from perceptum.inputs.source import read_signal, signals_of, unreadable_of
from perceptum.inputs.store import StoreSource, broken_files, broken_index, broken_records, stray_files

from .map import map_problems
from .records import NOT_CHECKED, RecordKey, record_keys, record_problems, wants_a_library
from .times import gap_lines, pose_problems, time_problems

__all__ = ["NOT_CHECKED", "NOT_READ", "Problem", "check_log", "gap_lines"]

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]

NOT_READ = "not read"

_MOST_ENTRIES = 200_000


class Problem(NamedTuple):
    """One thing that is wrong."""

    kind: str
    """open, index, file, path, times, sensors, poses, record, points, labels, map, signal, left out; NOT_CHECKED,
    NOT_READ."""
    what: str
    """The file or record, what was found, and what was wanted."""


def check_log(log: str, track: Track = lambda items, _, __: items) -> list[Problem]:
    """Reads the whole log; raises NotALog where there is none, and nothing else.

    What could not be looked at, since a library for it is not installed, is of the kind NOT_CHECKED; what the log has
    and its reader does not take of the kind NOT_READ. Neither is wrong.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        problems = _problems(log, track)
    # what a reader leaves out is a warning, since it stops nothing
    lines = dict.fromkeys(str(warning.message) for warning in found if warning.category is UserWarning)
    left_out = [line for line in lines if not any(problem.what in line for problem in problems)]
    problems += [Problem("left out", line.removeprefix("left out: ")) for line in left_out]
    unread = dict.fromkeys(str(warning.message) for warning in found if issubclass(warning.category, NotRead))
    return problems + [Problem(NOT_READ, line.replace(": not read: ", ": ", 1)) for line in unread]


def _problems(log: str, track: Track) -> list[Problem]:
    try:
        source = open_source(log)
    except NotALog:
        raise
    except LogError as error:
        return [Problem(NOT_CHECKED if wants_a_library(error) else "open", str(error))]
    broken: set[RecordKey] = set()
    problems = [Problem("open", str(error)) for error in unreadable_of(source)]
    problems += [Problem("path", line) for line in _lost_links(source)]
    problems += _store_problems(source, broken, track)
    problems += [Problem(kind, what) for kind, what in time_problems(source)]
    problems += [Problem("poses", what) for what in pose_problems(source)]
    keys = [key for key in record_keys(source) if key not in broken]
    problems += [Problem(*found) for found in record_problems(source, track(keys, "reading", len(keys)))]
    problems += [Problem(*found) for found in map_problems(source)]
    problems += [Problem(*found) for found in _signal_problems(source)]
    return problems


def _signal_problems(source: Source) -> Iterator[tuple[str, str]]:
    """Yields kind and line: of a signal that cannot be read, and of each of its messages that is left out."""
    for name in signals_of(source):
        try:
            signal = read_signal(source, name)
        except LogError as error:
            yield NOT_CHECKED if wants_a_library(error) else "signal", str(error)
            continue
        yield from (("signal", line) for line in signal.broken)


def _store_problems(source: Source, broken: set[RecordKey], track: Track) -> Iterator[Problem]:
    """Compares a store with its index and checksums; notes in `broken` the records that need not be read again."""
    if not isinstance(source, StoreSource):
        return
    files, index = source.files, source.index
    for line in broken_index(files, xxhash.xxh3_128):
        yield Problem("index", line)
    for line in (*broken_files(files, index, xxhash.xxh3_128), *stray_files(files, index)):
        yield Problem("file", line)
    keys = (RecordKey(s.kind, s.sensor, number) for s in index.streams for number in range(s.count))
    found = track(broken_records(files, index, xxhash.xxh3_128), "checksums", len(index.records))
    for key, line in zip(keys, found, strict=False):
        if line is not None:
            broken.add(key)
            yield Problem("record", line)


def _lost_links(source: Source) -> Iterator[str]:
    """Yields a line for each link in the log's folder that leads nowhere."""
    folder = Path(source.location)
    if not folder.is_dir():
        return
    seen = 0
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(at, name)
            if os.path.islink(path) and not os.path.exists(path):
                yield f"{path}: is a link to {os.readlink(path)}, which does not exist"
        seen += len(files)
        if seen > _MOST_ENTRIES:
            return
