"""What a cache found and what it missed, by feature: in this process, and over all that used the folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

from perceptum.inputs.once import Guard

from .folder import write_whole

__all__ = ["PICTURE", "CacheStats", "Counts", "FeatureStats", "counts_in"]

PICTURE = "decoded picture"
"""What decoded pictures are called where features are listed."""

_SAVED_EVERY_S = 30.0


@dataclass
class FeatureStats:
    hits: int = 0
    """Tensors that were found."""
    misses: int = 0
    """Tensors that were built, and may be kept."""
    bytes_found: int = 0
    bytes_kept: int = 0

    @property
    def rate(self) -> float:
        """Which share was found; 0 where nothing was asked."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0

    def found(self, nbytes: int) -> None:
        self.hits += 1
        self.bytes_found += nbytes

    def missed(self, kept_bytes: int) -> None:
        self.misses += 1
        self.bytes_kept += kept_bytes

    def add(self, other: FeatureStats) -> None:
        for name in fields(self):
            setattr(self, name.name, getattr(self, name.name) + getattr(other, name.name))


@dataclass
class CacheStats:
    """What a cache did in this process."""

    features: dict[str, FeatureStats] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    """Why tensors were built and not kept -> how many: they depend on a draw, a record may be broken, ..."""
    pictures: FeatureStats = field(default_factory=FeatureStats)
    """Decoded pictures that were found, or had to be decoded: none of them is a tensor."""
    broken: int = 0
    """Bundles that were not as they were written, and are gone."""

    @property
    def hits(self) -> int:
        return sum(one.hits for one in self.features.values())

    @property
    def misses(self) -> int:
        return sum(one.misses for one in self.features.values())

    @property
    def bytes_found(self) -> int:
        return sum(one.bytes_found for one in self.features.values())

    @property
    def bytes_kept(self) -> int:
        return sum(one.bytes_kept for one in self.features.values())

    def __str__(self) -> str:
        left_out = "".join(f"; {n} not kept: {why}" for why, n in self.left_out.items())
        shown = self.pictures
        pictures = (
            f"; {shown.hits} pictures found decoded ({shown.bytes_found / 1e6:.1f} MB), {shown.misses} decoded, "
            f"{shown.bytes_kept / 1e6:.1f} MB kept"
        )
        return (
            f"{self.hits} tensors found ({self.bytes_found / 1e6:.1f} MB), {self.misses} built, "
            f"{self.bytes_kept / 1e6:.1f} MB kept{pictures if shown.hits + shown.misses else ''}{left_out}"
        )


class Counts:
    """Counts for one process, and saves them in the folder now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = Guard()
        self._begin()

    def _begin(self) -> None:
        self.stats = CacheStats()
        self._process = os.getpid()
        self._path = self._folder / f"{os.getpid():x}-{os.urandom(6).hex()}.json"
        self._saved_s = time.monotonic()

    def found(self, feature: str, nbytes: int) -> None:
        with self._guard:
            self._feature(feature).found(nbytes)

    def built(self, feature: str, kept_bytes: int) -> None:
        with self._guard:
            self._feature(feature).missed(kept_bytes)

    def picture_found(self, nbytes: int) -> None:
        with self._guard:
            self._own().pictures.found(nbytes)

    def picture_missed(self) -> None:
        with self._guard:
            self._own().pictures.missed(0)

    def picture_kept(self, nbytes: int) -> None:
        with self._guard:
            self._own().pictures.bytes_kept += nbytes

    def left_out(self, why: str) -> None:
        with self._guard:
            self.stats.left_out[why] = self.stats.left_out.get(why, 0) + 1

    def broke(self) -> None:
        with self._guard:
            self.stats.broken += 1

    def _feature(self, feature: str) -> FeatureStats:
        return self._own().features.setdefault(feature, FeatureStats())

    def _own(self) -> CacheStats:
        if self._process != os.getpid():
            # a forked child counts for itself
            self._begin()
        return self.stats

    def save(self, at_once: bool = False) -> None:
        """Writes the counts where all processes' are, if it is time; a folder that cannot be written to has none."""
        now_s = time.monotonic()
        if self._process != os.getpid() or not (at_once or now_s - self._saved_s > _SAVED_EVERY_S):
            return
        self._saved_s = now_s
        counted = dict(self.stats.features)
        if self.stats.pictures != FeatureStats():
            counted[PICTURE] = self.stats.pictures
        if counted:
            with suppress(OSError):
                write_whole(self._path, msgspec.json.encode(counted))


def counts_in(folder: Path) -> Mapping[str, FeatureStats]:
    """Returns the sums of all processes' counts, by feature."""
    total: dict[str, FeatureStats] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    for name in names:
        with suppress(OSError, msgspec.MsgspecError):
            own = msgspec.json.decode((folder / name).read_bytes(), type=dict[str, FeatureStats])
            for feature, one in own.items():
                total.setdefault(feature, FeatureStats()).add(one)
    return total
