"""An MCAP recording of ROS messages (ROS 2, or ROS 1 in MCAP): one .mcap file is one log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from perceptum.inputs import Source

__all__ = ["LOOKS_LIKE", "open_source", "recognises", "takes"]

LOOKS_LIKE = "a recording NAME.mcap"


def recognises(path: Path) -> bool:
    """Whether `path` is a file NAME.mcap."""
    return path.suffix == ".mcap" and os.path.isfile(path)


def takes() -> type:
    """Returns what holds the options."""
    from .options import RecordingOptions

    return RecordingOptions


def open_source(path: Path, **options: Any) -> Source:
    """Opens one file; the options are those of `RecordingOptions`."""
    from .log import RecordedLog
    from .mcap_file import McapFile
    from .options import recording_options

    checked = recording_options("mcap", options)
    return RecordedLog("mcap", path, McapFile(path, skip_damaged=checked.damaged == "skip"), checked)
