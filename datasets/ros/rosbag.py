"""A ROS bag: a .bag file (ROS 1), or a rosbag2 folder or .db3 file (ROS 2)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from perceptum.inputs import Source

from .recording import Recording

__all__ = ["LOOKS_LIKE", "open_source", "recognises", "takes"]

LOOKS_LIKE = "a bag NAME.bag or NAME.db3, or a folder with metadata.yaml and .db3 or .mcap files"

_FILES = (".bag", ".db3")
_STORED = (".db3", ".mcap", ".db3.zstd", ".mcap.zstd")


def recognises(path: Path) -> bool:
    """Whether `path` is a file NAME.bag or NAME.db3, or the folder of a rosbag2."""
    if os.path.isfile(path):
        return path.suffix in _FILES
    return os.path.isfile(path / "metadata.yaml") and _holds_messages(path)


def _holds_messages(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(_STORED) for entry in entries)
    except OSError:
        return False


def takes() -> type:
    """Returns what tells the options."""
    from .options import RecordingOptions

    return RecordingOptions


def open_source(path: Path, **options: Any) -> Source:
    """Opens a file or a folder; the options are those of `RecordingOptions`."""
    from .log import RecordedLog
    from .options import recording_options

    checked = recording_options("rosbag", options)
    return RecordedLog("rosbag", path, _recording(path, checked.damaged == "skip"), checked)


def _recording(path: Path, skip_damaged: bool) -> Recording:
    if path.suffix == ".bag":
        from .rosbag_ros1 import Ros1Bag

        return Ros1Bag(path, skip_damaged=skip_damaged)
    if path.suffix == ".db3":
        from .rosbag_sqlite import SqliteBag

        return SqliteBag(path)
    from .rosbag_ros2 import Ros2Bag

    return Ros2Bag(path, skip_damaged=skip_damaged)
