"""What `perceptum cache` does: lists what a folder holds, checks it, and removes what is of no use any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .bundle import BrokenBundle, Head, Mapped, read_head
from .code import still_runs
from .counts import counts_in
from .folder import CacheFolder, Kept, remove

__all__ = ["Listing", "Part", "Removed", "Verified", "clean", "list_cache", "verify_cache"]

Track = Callable[[Sequence[Kept], str], Iterable[Kept]]


@dataclass
class Part:
    """What is kept of one feature, or of one log."""

    name: str
    tensors: int = 0
    bytes: int = 0
    hits: int = 0
    """Over all processes so far; of a log it is not counted."""
    misses: int = 0


@dataclass
class Listing:
    folder: str
    bundles: int = 0
    bytes: int = 0
    features: list[Part] = field(default_factory=list)
    logs: list[Part] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass
class Verified:
    folder: str
    bundles: int = 0
    tensors: int = 0
    bytes: int = 0
    broken: list[str] = field(default_factory=list)
    """A line for each bundle that is not as it was written."""


@dataclass
class Removed:
    folder: str
    bundles: int = 0
    bytes: int = 0
    kept_bundles: int = 0
    kept_bytes: int = 0


def list_cache(folder: Path) -> Listing:
    """Returns what is kept, by feature and by log, the largest first; reads the heads alone."""
    files, found = CacheFolder(folder), Listing(str(folder))
    features: dict[str, Part] = {}
    logs: dict[tuple[str, str], Part] = {}
    for kept, head in _heads(files, found.broken):
        found.bundles += 1
        found.bytes += kept.nbytes
        log = files.log_name(kept.path)
        of_log = logs.setdefault(log, Part(" ".join(filter(None, log))))
        for tensor in head.tensors:
            for part in (features.setdefault(tensor.feature, Part(tensor.feature)), of_log):
                part.tensors += 1
                part.bytes += tensor.nbytes
    for name, counts in counts_in(files.counts).items():
        part = features.setdefault(name, Part(name))
        part.hits, part.misses = counts.hits, counts.misses
    found.features = sorted(features.values(), key=lambda part: (-part.bytes, part.name))
    found.logs = sorted(logs.values(), key=lambda part: (-part.bytes, part.name))
    return found


def verify_cache(folder: Path, track: Track | None = None) -> Verified:
    """Compares every tensor with its checksum."""
    files, found = CacheFolder(folder), Verified(str(folder))
    bundles = list(files.bundles())
    for kept in bundles if track is None else track(bundles, "bundles"):
        try:
            bundle = Mapped(kept.path)
            for tensor in bundle.head.tensors:
                bundle.array(tensor, checked=True)
        except BrokenBundle as error:
            found.broken.append(str(error))
            continue
        except OSError:
            # removed meanwhile
            continue
        found.bundles += 1
        found.tensors += len(bundle.head.tensors)
        found.bytes += kept.nbytes
    return found


def clean(
    folder: Path, *, most_bytes: int | None = None, older_than_s: float | None = None, stale: bool = False
) -> Removed:
    """Removes bundles: what is broken; what was not used for longer; what no installed code can use any more; and then
    what was not used for longest, until the rest fits.

    A bundle of which one tensor is of use stays.
    """
    files, found = CacheFolder(folder), Removed(str(folder))

    def drop(kept: Kept) -> None:
        if remove(kept.path):
            found.bundles += 1
            found.bytes += kept.nbytes

    now_s = time.time()
    for kept in list(files.bundles()):
        if older_than_s is not None and now_s - kept.used_s > older_than_s:
            drop(kept)
            continue
        try:
            head = read_head(kept.path)[0]
        except BrokenBundle:
            drop(kept)
            continue
        except OSError:
            continue
        if stale and not any(still_runs(names, digest) for digest, names in head.codes.items()):
            drop(kept)
    if most_bytes is not None:
        bundles, nbytes = files.shrink(most_bytes)
        found.bundles, found.bytes = found.bundles + bundles, found.bytes + nbytes
    left = list(files.bundles())
    found.kept_bundles, found.kept_bytes = len(left), sum(kept.nbytes for kept in left)
    return found


def _heads(files: CacheFolder, broken: list[str]) -> Iterator[tuple[Kept, Head]]:
    for kept in files.bundles():
        try:
            yield kept, read_head(kept.path)[0]
        except BrokenBundle as error:
            broken.append(str(error))
        except OSError:
            continue
