"""Where the index of a version's tables is kept between runs, and how it gets there whole."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

import msgspec
import xxhash

from perceptum.inputs import BrokenRecord
from perceptum.inputs.kernel_folder import user_cache

from ..reading.files import check_file
from .build import TABLES, build_index
from .index import INDEX_FILES, Index, load_index, save_index

__all__ = ["Cache", "cache_folder", "open_index"]

Cache = str | os.PathLike[str] | Literal[False] | None

_log = logging.getLogger(__name__)

INDEX_VERSION = 4
"""2 has the sizes of pictures, 3 the tokens of the lidars' keyframes, 4 the descriptions of scenes."""
SMALL_TABLES_BYTES = 1 << 20
"""Tables of less than this in all are read again each time: that takes milliseconds."""

_ABANDONED_AFTER_S = 24 * 3600


def cache_folder(cache: Cache = None) -> Path:
    """Returns `cache`, else $PERCEPTUM_CACHE, else perceptum in $XDG_CACHE_HOME or in ~/.cache."""
    return Path(cache) if cache else user_cache()


def open_index(tables: Path, cache: Cache = None) -> Index:
    """Returns the index of the tables in a folder: the kept one, if the tables are as they were then, or a new one.

    cache: the folder to keep it in; None: the usual one; False: nothing is kept. Where it cannot be kept that is
    a warning. Raises MissingRecord or BrokenRecord.
    """
    place, state, size = _state(tables)
    if cache is False or size < SMALL_TABLES_BYTES:
        return build_index(tables)
    folder = cache_folder(cache) / "nuscenes" / f"{place}-{state}"
    kept = _mapped(folder)
    if kept is not None:
        return kept
    _log.info("%s: reading the tables for the first time, %d MB; the next time takes milliseconds", tables, size >> 20)
    index = build_index(tables)
    return _keep(index, folder, place) or index


def _state(tables: Path) -> tuple[str, str, int]:
    """Returns what stands for the folder, what for its tables' sizes and times, and their bytes in all."""
    place = os.path.realpath(tables)
    told: list[object] = [INDEX_VERSION, place]
    total = 0
    for table in TABLES:
        path = tables / f"{table}.json"
        total += check_file(path, "nuScenes needs this table")
        status = os.stat(path)
        told.append((table, status.st_size, status.st_mtime_ns))
    return xxhash.xxh3_64_hexdigest(os.fsencode(place)), xxhash.xxh3_64_hexdigest(repr(told).encode()), total


_last: dict[Path, tuple[list[tuple[int, int]], Index]] = {}
"""The index that was mapped last, and the sizes and times of its files then: the next scene mostly is of it too."""


def _mapped(folder: Path) -> Index | None:
    """Returns the kept index, mapped anew only if it is another than the last one: 0.3 ms a scene against 8."""
    try:
        now = [(status.st_mtime_ns, status.st_size) for status in (os.stat(folder / name) for name in INDEX_FILES)]
    except OSError:
        return _kept(folder)
    then, last = _last.get(folder, (None, None))
    if last is not None and then == now:
        return last
    found = _kept(folder)
    _last.clear()
    if found is not None:
        _last[folder] = now, found
    return found


def _kept(folder: Path) -> Index | None:
    if not folder.is_dir():
        return None
    try:
        return load_index(folder)
    # an index cut short, by a full disk or by hand
    except (OSError, ValueError, EOFError, BrokenRecord, msgspec.MsgspecError) as error:
        _log.warning("%s: the kept index is broken (%s); it is made again", folder, " ".join(str(error).split())[:200])
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _keep(index: Index, folder: Path, place: str) -> Index | None:
    """Writes beside, then renames: whoever else makes the same index at the same time, each finds a complete one."""
    beside = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear(folder, place)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{place}-building-"))
        save_index(index, beside)
        try:
            beside.rename(folder)
        except OSError:
            # another process was first
            if not folder.is_dir():
                raise
        return load_index(folder)
    except (OSError, ValueError, BrokenRecord) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        _log.warning(
            "%s: the index of the tables cannot be kept (%s), so they are read again each time; "
            "set PERCEPTUM_CACHE to a folder with room",
            folder,
            reason,
        )
        return None
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _clear(folder: Path, place: str) -> None:
    """Removes what was kept of the same tables as they were before, and what killed processes left half done."""
    for old in folder.parent.glob(f"{place}-*"):
        building = old.name.startswith(f"{place}-building-")
        if old != folder and (not building or _is_abandoned(old)):
            shutil.rmtree(old, ignore_errors=True)


def _is_abandoned(building: Path) -> bool:
    try:
        return time.time() - building.stat().st_mtime >= _ABANDONED_AFTER_S
    except FileNotFoundError:  # another process has just finished it
        return False
