"""What a log holds, as far as it can be said without reading it: by that another log of the same name is noticed."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from perceptum.datasets.options import split_options
from perceptum.inputs import Dataset, Log, LogError
from perceptum.inputs.source import sensor_streams

__all__ = ["contents_of"]

_MOST_FILES = 50_000
_MOST_OF_FOLDER = 10_000
"""Of more files in one folder, so many are looked at, from all over it: nuScenes has 34 000 pictures in one."""


def contents_of(dataset: Dataset, logs: Iterable[int]) -> dict[int, str]:
    """Returns for each of the logs, by their numbers, 64 hex digits over what it holds.

    Of a log on disk that is the names, sizes and times of writing of its files, with the folders that they lie in, seen
    from where the log lies: one that was moved, or copied with its times, is the same. Of any other it is its options
    and the times of its records, "" where it cannot be opened. Nothing is read, and no log on disk is opened.
    """
    of_place: dict[str, str] = {}

    def content(number: int) -> str:
        named = dataset.about(number).place
        place = dataset.logs[number].source.location if named is None else split_options(named)[0]
        if not os.path.exists(place):
            return _of_times(dataset.logs[number])
        # the scenes of nuScenes lie in one root
        if place not in of_place:
            of_place[place] = _of_files(place)
        return of_place[place]

    found = dict.fromkeys(logs, "")
    for number in found:
        # one that cannot be opened is counted with its frames
        with suppress(LogError):
            found[number] = content(number)
    return found


def _of_times(log: Log) -> str:
    source = log.source
    digest = hashlib.sha256(repr(getattr(source, "options", None)).encode(errors="surrogatepass"))
    for kind, sensor, times in sensor_streams(source):
        digest.update(f"\0{kind} {sensor}\0".encode(errors="surrogatepass"))
        digest.update(times.tobytes())
    digest.update(source.times_ns.tobytes())
    return digest.hexdigest()


def _of_files(place: str) -> str:
    """Nearest folders first: where there is more than is looked at, it is what lies deepest that is left out."""
    digest = hashlib.sha256()
    if not os.path.isdir(place):
        _add(digest, "", os.stat(place))
        return digest.hexdigest()
    folders, seen, left = deque([place]), {os.path.realpath(place)}, _MOST_FILES
    while folders and left > 0:
        folder = folders.popleft()
        below, files = _entries(folder)
        for path in below:
            # links may lead to a folder above
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                folders.append(path)
        digest.update(f"{os.path.relpath(folder, place)}\0{len(below)} {len(files)}\0".encode(errors="surrogatepass"))
        chosen = files[:: max(1, -(-len(files) // min(_MOST_OF_FOLDER, left)))]
        left -= len(chosen)
        for entry in chosen:
            with suppress(OSError):
                _add(digest, entry.name, entry.stat())
    return digest.hexdigest()


def _entries(folder: str) -> tuple[list[str], list[os.DirEntry[str]]]:
    """Returns the folders and the files in a folder, by name; of one that cannot be read none."""
    below: list[str] = []
    files: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                below.append(entry.path)
            else:
                files.append(entry)
    return below, files


def _add(digest: hashlib._Hash, name: str, status: os.stat_result) -> None:
    digest.update(f"{name}\0{status.st_size} {status.st_mtime_ns}\0".encode(errors="surrogatepass"))
