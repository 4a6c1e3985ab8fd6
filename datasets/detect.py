"""Opens a log of any dataset: by the name of the format, or by the look of the folder.

A dataset is a module with three names: `recognises(path) -> bool` looks at names only, `LOOKS_LIKE` is one phrase
for the message when nothing was recognised, `open_source(path, **options)` opens. It may have more, by which the logs
of a root are listed: see `roots.py`. Others' datasets come in by
entry points of the group `perceptum.datasets`, name -> module; ours win where both recognise a folder.
"""

from __future__ import annotations

import importlib
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from perceptum.foreign import foreign
from perceptum.inputs import Log, LogError, NotALog, Source
from perceptum.inputs.opened import note_folder, opening
from perceptum.inputs.regular_file import what_it_is

from .foreign import ForeignDataset
from .options import check_options, options_of_text, split_options, texts_of_text
from .reading.files import subfolders

__all__ = [
    "DATASETS",
    "FILES",
    "NEEDS_NO_FILES",
    "ON_DISK",
    "format_named",
    "loosely",
    "module_of",
    "open_log",
    "open_source",
    "place_of",
    "recognised",
    "usable_others",
    "why_not",
]

_log = logging.getLogger(__name__)

DATASETS: Mapping[str, str] = {
    "aimotive": "perceptum.datasets.aimotive",
    "argoverse2": "perceptum.datasets.argoverse2",
    "argoverse2_forecasting": "perceptum.datasets.argoverse2.forecasting",
    "kitti_object": "perceptum.datasets.kitti.object",
    "kitti_odometry": "perceptum.datasets.kitti.odometry",
    "kitti_raw": "perceptum.datasets.kitti.raw",
    "mcap": "perceptum.datasets.ros.mcap",
    "nuscenes": "perceptum.datasets.nuscenes",
    "py123d": "perceptum.datasets.py123d",
    "rosbag": "perceptum.datasets.ros.rosbag",
    "store": "perceptum.datasets.store",
    "synthetic": "perceptum.datasets.synthetic",
    "view_of_delft": "perceptum.datasets.view_of_delft",
    "waymo_motion": "perceptum.datasets.waymo_motion",
    "waymo_v2": "perceptum.datasets.waymo_v2",
}
"""Name of the format -> the module that reads it."""

NEEDS_NO_FILES = "synthetic"
ON_DISK = [name for name in DATASETS if name != NEEDS_NO_FILES]
_MAPS = {".osm": "maps.lanelet2.read_lanelet2", ".xodr": "maps.opendrive.read_opendrive"}
ENTRY_POINTS = "perceptum.datasets"

FILES = (".mcap", ".bag", ".db3", ".tfrecord")
"""What the name of a log that is one file holds."""

# how far below a folder that is not a log we look for logs to name in the message
_LOOK_DEPTH = 3
_LOOK_FOLDERS = 200
# how far above a path that is not a log: sensor/camera/NAME/file lies four folders deep in its log
_LOOK_ABOVE = 4
# how far below the folder that the path lies in: sequences/00 is beside poses/
_BESIDE_DEPTH = 2


class Dataset(Protocol):
    """What a dataset module offers."""

    LOOKS_LIKE: str

    def recognises(self, path: Path) -> bool: ...
    def open_source(self, path: Path, **options: Any) -> Source: ...


def open_log(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    camera_sync: Literal["nearest", "before"] = "nearest",
    camera_tolerance_ns: int = 60_000_000,
    sweep_tolerance_ns: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    cache_bytes: int = 512 * 2**20,
    **options: Any,
) -> Log:
    """Opens the log at `path`; reads nothing but names of files.

    `path` is a dataset's folder, a recording, or "synthetic" (also "synthetic:frames=20,seed=3"), which needs no
    files; a folder of that name is "./synthetic". A dataset's options may stand behind the path as well:
    "nuscenes/:scene=scene-0061". A converted log may also lie at an s3:// or gs:// address.
    `format` forces a dataset, `options` are the dataset's own. A frame has of each camera the picture nearest to its
    time, or the last one before it (`camera_sync`), if that is within `camera_tolerance_ns`, and of a lidar or radar
    the last record before it, unless that is older than `sweep_tolerance_ns`. A record that is broken, missing or out
    of order in time is an error, or is left out and listed in `log.skipped` (`on_error`). Records that frames share are
    read once and kept, up to `cache_bytes`, in every process that reads; 0 keeps none. Raises NotALog or LogError.
    """
    rules: dict[str, Any] = {
        "camera_sync": camera_sync,
        "camera_tolerance_ns": camera_tolerance_ns,
        "sweep_tolerance_ns": sweep_tolerance_ns,
        "on_error": on_error,
        "cache_bytes": cache_bytes,
    }
    return Log(open_source(path, format=format, **options), **rules)


def open_source(path: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> Source:
    """Opens what `open_log` makes a log of: the records, before anything about their times is checked."""
    place = os.fspath(path)
    whole = place if "://" in place or place.partition(":")[0] == NEEDS_NO_FILES else os.path.abspath(place)
    return open_noted(lambda: _open_source(path, format, options), whole, format, options)


def open_noted(open: Callable[[], Source], place: str, format: str | None, options: Mapping[str, Any]) -> Source:
    """Returns what `open` does, with what it was opened from and as: by that a cache of tensors sees whether a log is
    as it was."""
    with opening() as opened:
        source = open()
        note_folder(source.location)
    with suppress(AttributeError):
        source.opening = repr((place, format, sorted(options.items())))  # type: ignore[attr-defined]
        source.opened = opened  # type: ignore[attr-defined]
    return source


def _open_source(path: str | os.PathLike[str], format: str | None, options: dict[str, Any]) -> Source:
    name, colon, text = os.fspath(path).partition(":")
    if name == NEEDS_NO_FILES and format in (None, NEEDS_NO_FILES):
        return _open_made(options_of_text(NEEDS_NO_FILES, text, bool(colon)) | options)
    if format == NEEDS_NO_FILES:
        raise NotALog(f"{path}: format='synthetic' reads no folder; open the log 'synthetic' instead")
    if "://" in os.fspath(path):
        return _open_address(os.fspath(path), format, options)
    place, behind = split_options(os.fspath(path))
    folder = place_of(place)
    chosen = format_named(format) if format is not None else _detected(folder)
    module = module_of(chosen)
    if behind is not None:
        takes = module.takes() if hasattr(module, "takes") else module.open_source
        options = texts_of_text(chosen, behind, takes) | options
    check_options(chosen, module.open_source, options, given=1)
    return module.open_source(folder, **options)


def _open_made(options: dict[str, Any]) -> Source:
    made = importlib.import_module(DATASETS[NEEDS_NO_FILES]).open_source
    check_options(NEEDS_NO_FILES, made, options, given=0)
    source: Source = made(**options)
    return source


def _open_address(url: str, format: str | None, options: dict[str, Any]) -> Source:
    """Opens any log at file:///folder; elsewhere only what perceptum convert wrote can be read in place."""
    from . import store

    folder = store.local_path(url)
    if folder is not None:
        return open_source(folder, format=format, **options)
    if format not in (None, "store"):
        raise NotALog(f"{url}: {format} logs are read from a folder; copy this one to one, or convert it to there")
    return store.open_source(url, **options)


def place_of(path: str | os.PathLike[str]) -> Path:
    """Returns a folder, or the file of a recording; raises NotALog that says what is there instead."""
    text = os.fspath(path)
    folder = Path(text)
    _check_not_special(folder)
    # a recording is a file, and looked at as a folder is
    if os.path.isdir(folder) or recognised(folder, ON_DISK):
        return folder
    if folder.suffix in _MAPS and os.path.exists(folder):
        raise NotALog(
            f"{text}: is a map, not a log; read it with perceptum.datasets.{_MAPS[folder.suffix]}, or give it to a "
            "recording as hdmap="
        )
    if os.path.exists(folder):
        # KITTI's poses/00.txt is beside sequences/00: a folder further up
        said = _lies_in(folder) or _beside(folder) or _beside(folder.parent)
        raise NotALog(f"{text}: is a file, wanted the folder of a log{f'; {said}' if said else ''}")
    part = folder.with_name(f"{folder.name}.part") if folder.name else folder
    begun = _unfinished(part)
    if begun:
        raise NotALog(f"{text}: no such folder yet; {part} is {begun}")
    # the only name that opens without a folder
    near = get_close_matches(text, [NEEDS_NO_FILES], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "; check the path"
    if not near and folder.name:
        # a misspelt recording is more likely beside it than a misspelt folder is elsewhere
        hint = f"; {_beside(folder, 1)}" if _beside(folder, 1) else hint
    raise NotALog(f"{text}: no such folder{hint}")


def _check_not_special(path: Path) -> None:
    """Raises NotALog for a pipe, a device or a socket: reading one may never end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        # what is not there has its own message
        return
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise NotALog(f"{path}: is {what_it_is(mode)}, wanted the folder of a log or the file of a recording")


def _formats() -> list[str]:
    return sorted({*DATASETS, *(entry.name for entry in _others())})


def _others() -> list[metadata.EntryPoint]:
    return [entry for entry in metadata.entry_points(group=ENTRY_POINTS) if entry.name not in DATASETS]


def format_named(format: str) -> str:
    """Returns the name of a format; raises NotALog that lists those there are."""
    if format in _formats():
        return format
    near = get_close_matches(format, _formats(), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise NotALog(f"no dataset format '{format}'; there are {', '.join(_formats())}{hint}")


def module_of(name: str) -> Dataset:
    """Returns the module that reads a format; raises LogError where it is another's and cannot be used."""
    if name in DATASETS:
        ours: Dataset = importlib.import_module(DATASETS[name])
        return ours
    return load_plug_in(next(entry for entry in _others() if entry.name == name))


def load_plug_in(entry: metadata.EntryPoint) -> Dataset:
    """Returns the dataset of an entry point, one of others; raises LogError that says why it cannot be used."""
    name = entry.name
    with foreign(f"dataset '{name}' ({entry.value}) cannot be imported", LogError):
        theirs = entry.load()
        missing = [part for part in ("recognises", "LOOKS_LIKE", "open_source") if not hasattr(theirs, part)]
    if missing:
        raise LogError(f"dataset '{name}' ({entry.value}) is missing {', '.join(missing)}")
    return ForeignDataset(theirs, name)


def usable_others() -> list[str]:
    """Returns the names of others' datasets; one that cannot be used stops no other, and is a warning."""
    names = []
    for entry in _others():
        try:
            module_of(entry.name)
            names.append(entry.name)
        except LogError as error:
            _warn_once(f"{error}; fix or uninstall it")
    return names


@cache
def _warn_once(line: str) -> None:
    _log.warning("%s", line)


def recognised(folder: Path, names: Sequence[str]) -> list[str]:
    """Returns which of the formats a folder, or a file, looks like."""
    return [name for name in names if module_of(name).recognises(folder)]


def loosely(folder: Path) -> list[str]:
    """Returns the dataset that can read a folder that none recognises: recordings without their metadata."""
    module = importlib.import_module(DATASETS["rosbag"])
    return ["rosbag"] if module.recognises_loosely(folder) else []


def _detected(folder: Path) -> str:
    found = recognised(folder, ON_DISK) or recognised(folder, usable_others()) or loosely(folder)
    if len(found) > 1:
        raise NotALog(f"{folder}: looks like {' and like '.join(found)}; say which with format='{found[0]}'")
    if not found:
        raise NotALog(why_not(folder))
    return found[0]


def why_not(folder: Path) -> str:
    """Returns why a folder is not a log, and what is in it or around it."""
    begun = _unfinished(folder)
    if begun:
        return f"{folder}: {begun}"
    inside = list(islice(_logs_below(folder), 4))
    if inside:
        return (
            f"{folder}: is not a log itself but holds {_listed(inside, folder)}; open one of them, e.g. {inside[0][1]}"
        )
    above = _lies_in(folder)
    if above:
        return f"{folder}: is not a log itself; {above}"
    names = sorted({*ON_DISK, *usable_others()})
    known = "; ".join(f"{name}: {module_of(name).LOOKS_LIKE}" for name in names)
    beside = _beside(folder)
    return f"{folder}: no log of a format we know ({known}){f'; {beside}' if beside else ''}"


def _unfinished(folder: Path) -> str | None:
    from . import store

    return store.unfinished_in(folder)


def _listed(logs: Sequence[tuple[str, Path]], folder: Path) -> str:
    """Returns the first three, as seen from a folder that holds them."""
    listed = ", ".join(f"{path.relative_to(folder)} ({name})" for name, path in logs[:3])
    return f"{listed}{', ...' if logs[3:] else ''}"


def _lies_in(path: Path) -> str:
    """Returns which log a path is too deep in; "" where it is in none."""
    above = _logs_above(Path(os.path.abspath(path)))
    named = " and in ".join(f"{place} ({name})" for name, place in above)
    return f"it is in {named}; open {'that' if len(above) == 1 else 'one of these'}" if above else ""


def _beside(path: Path, depth: int = _BESIDE_DEPTH) -> str:
    """Returns which logs lie beside a path, in the folder that it is in; "" where there are none."""
    folder = Path(os.path.abspath(path)).parent
    beside = list(islice(_logs_below(folder, depth), 4))
    return f"in {folder} beside it are {_listed(beside, folder)}; open one of them" if beside else ""


def _logs_above(path: Path) -> list[tuple[str, Path]]:
    """Returns (format, path) of the logs that a path lies in, the nearest of each format."""
    found: dict[str, Path] = {}
    for place in list(path.parents)[:_LOOK_ABOVE]:
        for name in recognised(place, ON_DISK) or recognised(place, usable_others()):
            found.setdefault(name, place)
    if not found:
        # recordings in a folder without their metadata
        for place in list(path.parents)[:_LOOK_ABOVE]:
            for name in loosely(place):
                found.setdefault(name, place)
    return list(found.items())


def _file_logs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields (format, path) of the files in a folder that are a log each, by name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if any(kind in entry.name for kind in FILES))
    except OSError:
        return
    for path in (folder / name for name in names[:_LOOK_FOLDERS]):
        if not os.path.isdir(path):
            yield from ((name, path) for name in recognised(path, ON_DISK))


def _logs_below(folder: Path, depth: int = _LOOK_DEPTH) -> Iterator[tuple[str, Path]]:
    """Yields (format, path) of logs below, nearest first; looks at no more than a few hundred folders.

    A folder that links lead to again, as to one above, is looked at once.
    """
    level, looked, seen = [folder], 0, {os.path.realpath(folder)}
    for _ in range(depth):
        below = []
        # logs that are files; a folder of recordings is one itself, but not the folder that was asked for
        for parent in level:
            yield from _file_logs(parent)
        for path in (child for parent in level for child in subfolders(parent)):
            looked += 1
            if looked > _LOOK_FOLDERS:
                return
            place = os.path.realpath(path)
            if place in seen:
                continue
            seen.add(place)
            found = recognised(path, ON_DISK) or loosely(path)
            if found:
                yield found[0], path
            else:
                below.append(path)
        level = below
