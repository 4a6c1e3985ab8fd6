"""Where things are in a store, and what the format is called. See docs/store.md.

perceptum-index.arrow                     what is where; written last, so that a store without it is not a store
perceptum-index.xxh3_128                  its checksum
calibration.arrow poses.arrow ids.arrow map.arrow signals.arrow   small tables, read whole
lidar/LIDAR_TOP/0000.arrow                a shard: one record batch per record; radar/, camera/ and labels/ likewise
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

__all__ = [
    "CALIBRATION",
    "Compression",
    "FORMAT",
    "IDS",
    "INDEX",
    "INDEX_CHECKSUM",
    "KINDS",
    "Kind",
    "MAP",
    "POSES",
    "SIGNALS",
    "UNFINISHED",
    "VERSION",
    "is_inside",
    "shard_path",
    "unfinished_path",
]

FORMAT = "perceptum-log"
VERSION = 1
INDEX = "perceptum-index.arrow"
INDEX_CHECKSUM = "perceptum-index.xxh3_128"
CALIBRATION = "calibration.arrow"
POSES = "poses.arrow"
MAP = "map.arrow"
SIGNALS = "signals.arrow"
IDS = "ids.arrow"
UNFINISHED = "unfinished"
"""The folder in which finished shards are noted until the whole log is written."""

Compression = Literal["none", "lz4", "zstd"]
Kind = Literal["lidar", "radar", "camera", "labels"]
KINDS: tuple[Kind, ...] = ("lidar", "radar", "camera", "labels")

_PART = re.compile(r"[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]*", re.ASCII)


def _folder(kind: Kind, sensor: str) -> str:
    # a name such as /lidar/points or .. becomes one plain folder; quote() leaves dots as they are
    name = quote(sensor, safe="")
    return kind if kind == "labels" else f"{kind}/{'%2E' + name[1:] if name.startswith('.') else name}"


def shard_path(kind: Kind, sensor: str, number: int, variant: int) -> str:
    """Returns the shard's file; records with other columns than the shard's first have a variant above 0."""
    return f"{_folder(kind, sensor)}/{number:04d}{f'-{variant}' if variant else ''}.arrow"


def unfinished_path(kind: Kind, sensor: str, number: int, what: str) -> str:
    """Returns where a finished shard's own index or calibration is kept until the log is whole."""
    return f"{UNFINISHED}/{_folder(kind, sensor).replace('/', '~')}~{number:04d}.{what}"


def is_inside(path: str) -> bool:
    """Whether a path of the index is a plain relative one: no root, no dot-dot, nothing hidden."""
    return all(_PART.fullmatch(part) for part in path.split("/"))
