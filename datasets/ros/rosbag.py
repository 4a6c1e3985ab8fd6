"""A ROS bag: a .bag file (ROS 1), a rosbag2 folder or .db3 file (ROS 2), or a folder with such files."""

from __future__ import annotations

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from perceptum.inputs import Source

from .loose_files import METADATA, PACKED, SUFFIXES, parts_of, recordings_in
from .recording import Recording

__all__ = ["LOOKS_LIKE", "open_source", "recognises", "recognises_loosely", "takes"]

LOOKS_LIKE = "a bag NAME.bag or NAME.db3, or a folder with metadata.yaml and .db3 or .mcap files"

_FILES = (".bag", ".bag.active", ".db3")


def recognises(path: Path) -> bool:
    """Whether `path` is a file NAME.bag or NAME.db3, or the folder of a rosbag2."""
    if os.path.isfile(path):
        return path.name.endswith(_FILES)
    return os.path.isfile(path / METADATA) and bool(recordings_in(path, (".db3", ".mcap", *PACKED)))


def recognises_loosely(path: Path) -> bool:
    """Whether `path` is a folder that holds recordings without metadata; only where no dataset recognises it."""
    return os.path.isdir(path) and bool(recordings_in(path, (*SUFFIXES, *PACKED)))


def takes() -> type:
    """Returns what holds the options."""
    from .options import RecordingOptions

    return RecordingOptions


def open_source(path: Path, **options: Any) -> Source:
    """Opens a file or a folder; the options are those of `RecordingOptions`."""
    from .log import RecordedLog
    from .options import recording_options

    checked = recording_options("rosbag", options)
    return RecordedLog("rosbag", path, _recording(path, checked.damaged == "skip"), checked)


def _recording(path: Path, skip_damaged: bool) -> Recording:
    if not os.path.isdir(path):
        return _file(path, 0, skip_damaged)
    if os.path.lexists(path / METADATA):
        from .rosbag_ros2 import rosbag2

        return rosbag2(path, skip_damaged)
    from .several import SeveralFiles

    parts = parts_of(path)
    warnings.warn(
        f"{path}: has no {METADATA}; reading by name: {', '.join(part.name for part in parts[:3])}"
        f"{f' and {len(parts) - 3} more' if parts[3:] else ''}",
        stacklevel=2,
    )
    return SeveralFiles(
        path, [partial(_file, part, number, skip_damaged) for number, part in enumerate(parts)], skip_damaged
    )


def _file(path: Path, number: int, skip_damaged: bool) -> Recording:
    if path.name.endswith((".bag", ".bag.active")):
        from .rosbag_ros1 import Ros1Bag

        return Ros1Bag(path, number, skip_damaged=skip_damaged)
    if path.suffix == ".mcap":
        from .mcap_file import McapFile

        return McapFile(path, number, skip_damaged=skip_damaged)
    from .rosbag_sqlite import SqliteBag

    return SqliteBag(path, number, skip_damaged=skip_damaged)
