"""Waymo Open Motion: finds the scenario in a TFRecord file and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.inputs import Source

from ..listing import NOT_COUNTED, Listing
from ..reading.tfrecord import records_of

__all__ = ["LOOKS_LIKE", "logs_in", "open_source", "recognises"]

LOOKS_LIKE = "a file NAME.tfrecord or NAME.tfrecord-00000-of-01000 of scenarios"

_NAME = re.compile(r".*\.tfrecords?(-\d+-of-\d+)?", re.ASCII)


def recognises(path: Path) -> bool:
    """Whether `path` is a file with the name of a TFRecord file."""
    return _NAME.fullmatch(path.name) is not None and not os.path.isdir(path) and os.path.lexists(path)


_STEPS = {"training": 91, "validation": 91, "testing": 11}


def logs_in(file: Path, split: str | None, options: Mapping[str, Any]) -> Listing:
    """Returns the scenarios of a file, by their numbers in it; only the records' lengths are read.

    One that is not whole is listed too: opening it says what is wrong.
    """
    records, broken = records_of(file, "the scenarios are missing")
    numbers = [str(number) for number in range(len(records) + (broken is not None))]
    names = [f"{file.name}/{number}" for number in numbers]
    folder = file.resolve().parent
    steps = _STEPS.get(folder.name, NOT_COUNTED)
    if steps != NOT_COUNTED and numbers and _steps_of_first(folder, file) != steps:
        steps = NOT_COUNTED
    frames = np.full(len(numbers), steps, dtype=np.int64)
    frames[len(records) :] = NOT_COUNTED
    return Listing.of(names, frames=frames, option="scenario", values=numbers)


_first: dict[Path, int] = {}
"""Folder -> the steps of its first scenario: one stands for the half a million of a split."""


def _steps_of_first(folder: Path, file: Path) -> int:
    from .source import WaymoMotion

    if folder not in _first:
        _first[folder] = len(WaymoMotion(file, "0").times_ns)
    return _first[folder]


def open_source(path: Path, *, scenario: str | int | None = None) -> Source:
    """Opens one scenario of a file.

    `scenario`: its id, or its number in the file, where there are several.
    """
    from .source import WaymoMotion

    return WaymoMotion(path, scenario)
