"""Where bundles lie: a folder that any number of processes and machines share, without locks.

v1/LOG/BLOCK/INDEX-TIME-WHO.tensors      a bundle of frame INDEX; BLOCK is INDEX // 64
v1/LOG/log.json                          the log in words, for `perceptum cache ls`
v1/pictures/KE/KEY.tensors               a decoded picture, by its content, whichever log it is of
v1/counts/WHO.json                       what one process found and missed
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import xxhash

from perceptum.inputs.kernel_folder import user_cache

from .bundle import SUFFIX
from .whole import WRITING, whole, write_all

__all__ = ["CacheFolder", "Kept", "default_folder"]

_VERSION = "v1"
_FRAMES_PER_BLOCK = 64
_SETTLED_NS = 2_000_000_000
_MOST_LISTED = 4096
_USED_S = 3600
"""The time of last use is written again at most this often."""
_ABANDONED_S = 24 * 3600


def default_folder() -> Path:
    """Returns tensors in $PERCEPTUM_CACHE, else in perceptum in $XDG_CACHE_HOME or in ~/.cache."""
    return user_cache() / "tensors"


class Kept(NamedTuple):
    path: str
    nbytes: int
    used_s: float
    """When it was last used, to the hour."""


class CacheFolder:
    """The files of a cache. Reading finds whole bundles or none; removing one is safe while others use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / _VERSION
        self._pictures = self._root / "pictures"
        self._listed: dict[str, tuple[int, int, dict[int, list[str]]]] = {}

    def __repr__(self) -> str:
        return f"<CacheFolder {self.folder}>"

    def of_log(self, dataset: str, name: str) -> Path:
        return self._root / xxhash.xxh3_64_hexdigest(f"{dataset}\0{name}".encode(errors="surrogatepass"))

    def of_frame(self, log: Path, index: int) -> list[str]:
        """Returns the bundles of a frame, the newest first."""
        folder = f"{log}/{index // _FRAMES_PER_BLOCK:06}"
        try:
            changed_ns = os.stat(folder).st_mtime_ns
        except OSError:
            return []
        known = self._listed.get(folder)
        # changed at the time of the last look: it may have changed again since, and say the same time
        if known is None or known[0] != changed_ns or known[1] - changed_ns < _SETTLED_NS:
            known = changed_ns, time.time_ns(), self._list(folder)
            while len(self._listed) >= _MOST_LISTED:
                self._listed.pop(next(iter(self._listed)), None)
            self._listed[folder] = known
        return [f"{folder}/{name}" for name in known[2].get(index, ())]

    def _list(self, folder: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        try:
            names = sorted(os.listdir(folder), reverse=True)
        except OSError:
            return {}
        for name in names:
            number = name.partition("-")[0]
            if name.endswith(SUFFIX) and number.isdigit():
                found.setdefault(int(number), []).append(name)
        return found

    def new_bundle(self, log: Path, index: int) -> Path:
        who = f"{time.time_ns():016x}-{os.getpid():x}{os.urandom(4).hex()}"
        return log / f"{index // _FRAMES_PER_BLOCK:06}" / f"{index:08}-{who}{SUFFIX}"

    def name_log(self, log: Path, dataset: str, name: str) -> None:
        """Writes the log in words beside its bundles; raises OSError."""
        if not (log / "log.json").exists():
            write_whole(log / "log.json", msgspec.json.encode({"dataset": dataset, "name": name}))

    def of_picture(self, key: str) -> Path:
        return self._pictures / key[:2] / f"{key}{SUFFIX}"

    def name_pictures(self) -> None:
        """Writes in words what the pictures are, as beside the bundles of a log; raises OSError."""
        self.name_log(self._pictures, "", "decoded pictures")

    def used(self, path: str, status: os.stat_result) -> None:
        """Called where a bundle was of use."""
        if time.time() - status.st_mtime > _USED_S:
            # a folder that cannot be written to is as good
            with suppress(OSError):
                os.utime(path)

    def bundles(self) -> Iterator[Kept]:
        """Yields all bundles; what was left half written a day ago is removed."""
        for path, status in self._walk(self._root):
            if path.endswith(SUFFIX):
                yield Kept(path, status.st_size, status.st_mtime)
            elif os.path.basename(path).startswith(WRITING) and time.time() - status.st_mtime > _ABANDONED_S:
                remove(path)

    def _walk(self, folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError:
            return
        for entry in listed:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path)
                else:
                    yield entry.path, entry.stat(follow_symlinks=False)

    def log_name(self, bundle: str) -> tuple[str, str]:
        """Returns dataset and name of the log whose bundle lies at a path."""
        try:
            said = msgspec.json.decode((Path(bundle).parent.parent / "log.json").read_bytes(), type=dict[str, str])
            return said["dataset"], said["name"]
        except (OSError, msgspec.MsgspecError, KeyError):
            return "", Path(bundle).parent.parent.name

    @property
    def nbytes(self) -> int:
        """The bytes of all bundles."""
        return sum(one.nbytes for one in self.bundles())

    def shrink(self, most_bytes: int, idle_s: float = 0.0) -> tuple[int, int]:
        """Removes the bundles that were not used for longest, until the rest fit; returns how many, and their bytes.

        idle_s: those that were used within this time stay, whether the rest fits or not.
        """
        kept = sorted(self.bundles(), key=lambda one: one.used_s)
        total, removed, freed = sum(one.nbytes for one in kept), 0, 0
        now_s = time.time()
        for one in kept:
            if total - freed <= most_bytes or now_s - one.used_s < idle_s:
                break
            if remove(one.path):
                removed, freed = removed + 1, freed + one.nbytes
        return removed, freed

    @property
    def counts(self) -> Path:
        return self._root / "counts"


def remove(path: str) -> bool:
    """Removes a file; whether it was there. Who has it mapped keeps it."""
    with suppress(OSError):
        os.unlink(path)
        return True
    return False


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that readers find all of it or what was there before; raises OSError."""
    with whole(path) as file:
        write_all(file, memoryview(content))
