"""View-of-Delft: recognises the dataset's root and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.inputs import BadOption, Source

from ..kitti.splits import image_sets
from ..listing import Listing, Split
from ..reading.files import has_numbered

__all__ = ["LOOKS_LIKE", "logs_in", "open_source", "recognises"]

LOOKS_LIKE = "lidar/training/velodyne/NNNNN.bin beside radar/training/velodyne/NNNNN.bin"

_RADAR_FOLDERS = {1: "radar", 3: "radar_3frames", 5: "radar_5frames"}
_WORLDS = {"odom": "odomToCamera", "map": "mapToCamera", "utm": "UTMToCamera"}
"""Option -> the key in the pose file. Its name says to camera; its numbers are world from camera."""


def recognises(path: Path) -> bool:
    """Whether `path` is the dataset's root: radar points in one of its folders."""
    return any(has_numbered(path / name / "training" / "velodyne", ".bin") for name in _RADAR_FOLDERS.values())


def logs_in(root: Path, split: str | None, options: Mapping[str, Any]) -> Listing:
    """Returns the root as one log, and its frames that are of the lists in lidar/ImageSets, else in radar/ImageSets."""
    lists = image_sets([root / folder / "ImageSets" for folder in ("lidar", *_RADAR_FOLDERS.values())])
    log = np.zeros(1, dtype=np.intp)
    splits = {name: Split(log, len(ids), frozenset(ids)) for name, ids in lists.items()}
    return Listing.of([os.path.basename(os.path.abspath(root))], splits=splits)


def open_source(
    path: Path, *, radar_scans: int = 1, first: int | None = None, last: int | None = None, world: str = "odom"
) -> Source:
    """Opens the root.

    `radar_scans`: 1, 3 or 5, the files of as many radar scans put together. `first` and `last`: only the frames of
    these numbers, both included, which the caller says are one drive. `world`: odom, map or utm.
    """
    from .source import ViewOfDelft

    if radar_scans not in _RADAR_FOLDERS:
        said = f"view_of_delft: option radar_scans is {radar_scans!r}, wanted 1, 3 or 5"
        raise BadOption(said, typed_hint="e.g. {log}:radar_scans=5")
    if world not in _WORLDS:
        said = f"view_of_delft: option world is {world!r}, wanted one of {', '.join(_WORLDS)}"
        raise BadOption(said, typed_hint="e.g. {log}:world=utm")
    return ViewOfDelft(path, _RADAR_FOLDERS[radar_scans], first, last, _WORLDS[world])
