"""Recordings that lie in a folder without the metadata of a rosbag2: one file, or the parts of one recording."""

from __future__ import annotations

import os
import re
from pathlib import Path

from perceptum.inputs import LogError, NotALog

__all__ = ["METADATA", "PACKED", "SUFFIXES", "parts_of", "recordings_in"]

METADATA = "metadata.yaml"

SUFFIXES = (".bag", ".bag.active", ".db3", ".mcap")
"""Files that are read; a bag that is being recorded, or whose recorder died, is NAME.bag.active."""
PACKED = (".db3.zstd", ".mcap.zstd")
# drive_0.db3, drive_1.db3; drive_2024-05-01-10-00-00_0.bag, drive_2024-05-01-10-01-00_1.bag
_PART = re.compile(r"(?P<name>.*?)(?:_\d{4}(?:-\d\d){5})?_(?P<number>\d{1,9})(?P<suffix>(?:\.[a-z0-9]+)+)", re.ASCII)


def recordings_in(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Returns the names of the recordings in a folder, sorted; none where it is missing or closed to us."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.name.endswith(suffixes) and not e.name.startswith("."))
    except OSError:
        return []


def parts_of(folder: Path) -> list[Path]:
    """Returns the files of the one recording in a folder, in their order; raises NotALog where there are several."""
    names = recordings_in(folder)
    if not names:
        packed = recordings_in(folder, PACKED)
        raise NotALog(f"{folder}: holds only packed files, e.g. {packed[0]}; unpack them with `zstd -d`")
    parts = {match["number"]: match for name in names if (match := _PART.fullmatch(name)) is not None}
    one = len({(match["name"], match["suffix"]) for match in parts.values()}) == 1 and len(parts) == len(names)
    if len(names) > 1 and not one:
        listed = ", ".join(names[:5]) + (", ..." if names[5:] else "")
        raise NotALog(f"{folder}: holds {len(names)} recordings, {listed}; open one of them, e.g. {folder / names[0]}")
    if len(names) == 1:
        return [folder / names[0]]
    numbers = sorted(parts, key=int)
    lost = sorted(set(range(int(numbers[-1]))) - set(map(int, numbers)))
    if lost:
        raise LogError(
            f"{folder}: part {lost[0]} of the recording is missing beside {parts[numbers[-1]].string}; "
            "put it there, or open the parts on their own"
        )
    return [folder / parts[number].string for number in numbers]
