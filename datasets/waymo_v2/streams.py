"""Which row of a component file is which record: the keys of Waymo v2."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Times

from ..reading.widened import widened
from .parquet import Table, read_table

__all__ = ["FRAME", "Stream", "frame_times", "read_streams"]


FRAME = "key.frame_timestamp_micros"
_LATEST_US = 4_000_000_000_000_000  # the year 2096


@dataclass(frozen=True, eq=False)
class Stream:
    """The records of one sensor, sorted by time."""

    times_ns: Times
    rows: NDArray[np.intp]
    """The row of each in its file."""


def read_streams(path: Path, key: str, names: Mapping[int, str], stamp_s: str | None = None) -> dict[str, Stream]:
    """Returns sensor -> its records, in the order of `names`; none where there is no file.

    Their time is the frame's, or the seconds in the column `stamp_s`. Rows of unknown sensors are left out.
    """
    if not os.path.lexists(path):
        return {}
    table = read_table(path, [FRAME, key, *([stamp_s] if stamp_s else [])], "the segment has no such records")
    times_ns = frame_times(table) if stamp_s is None else _from_seconds(table, stamp_s)
    sensors = table.numbers(key)
    found = {}
    for number, name in names.items():
        rows = np.flatnonzero(sensors == number)
        rows = rows[np.argsort(times_ns[rows], kind="stable")]
        if len(rows):
            found[name] = Stream(times_ns[rows], rows)
    return found


def frame_times(table: Table) -> Times:
    """Returns (n,) ns of each row's frame."""
    stamps = table.numbers(FRAME)
    if stamps.dtype != np.int64 or (len(stamps) and not 0 <= stamps.min() <= stamps.max() <= _LATEST_US):
        raise BrokenRecord(f"{table.path}: {FRAME} holds times that are none, wanted int64 microseconds since 1970")
    return np.asarray(stamps * 1000)


def _from_seconds(table: Table, name: str) -> Times:
    seconds = widened(table.numbers(name))
    if not ((seconds >= 0) & (seconds <= _LATEST_US * 1e-6)).all():
        raise BrokenRecord(f"{table.path}: {name} holds times that are none, wanted seconds since 1970")
    return np.rint(seconds * 1e9).astype(np.int64)
