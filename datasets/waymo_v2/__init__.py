"""Waymo Open v2: finds the segments in a folder of components and opens one; source.py reads what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from perceptum.inputs import BadOption, NotALog, Source

from ..listing import Listing

__all__ = ["LOOKS_LIKE", "logs_in", "open_source", "recognises"]

LOOKS_LIKE = "lidar/, vehicle_pose/, lidar_calibration/, ... each with SEGMENT.parquet"

_LISTED = ("lidar", "vehicle_pose", "camera_image")


def recognises(path: Path) -> bool:
    """Whether `path` is a folder of components."""
    return any(_segments(path / name) for name in _LISTED)


def _segments(folder: Path) -> list[str]:
    try:
        return sorted(name.removesuffix(".parquet") for name in os.listdir(folder) if name.endswith(".parquet"))
    except OSError:
        return []


def logs_in(folder: Path, split: str | None, options: Mapping[str, Any]) -> Listing:
    """Returns the segments of a folder of components."""
    names = _all_segments(folder)
    return Listing.of(names, option="segment")


def _all_segments(folder: Path) -> list[str]:
    return sorted({name for component in _LISTED for name in _segments(folder / component)})


def open_source(
    path: Path,
    *,
    segment: str | None = None,
    returns: int = 1,
    drop_no_label_zones: bool = False,
    compensate: bool = True,
) -> Source:
    """Opens one segment of a folder of components.

    `segment`: its name, where there are several. `returns`: 1, or 2 for the second returns too.
    `drop_no_label_zones`: leaves out points in them. `compensate`: False leaves TOP's points where they were measured.
    """
    from .source import WaymoV2

    if returns not in (1, 2):
        raise BadOption(f"waymo_v2: option returns is {returns!r}, wanted 1 or 2", typed_hint="e.g. {log}:returns=2")
    return WaymoV2(path, _chosen(path, segment), returns, drop_no_label_zones, compensate)


def _chosen(path: Path, segment: str | None) -> str:
    there = _all_segments(path)
    if segment in there:
        return segment
    if segment is None and len(there) == 1:
        return there[0]
    listed = ", ".join(there[:3]) + (", ..." if there[3:] else "") if there else "none"
    near = get_close_matches(segment or "", there, n=1) or there[:1]
    which = "no segment" if segment is None else f"no segment '{segment}'"
    said = f"{path}: {which if segment or not there else f'{len(there)} segments'}, it has {listed}"
    raise BadOption.of(said, "say which with", "segment", near[0]) if near else NotALog(said)
