"""Which row of a component file is which record: the keys of Waymo v2."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, Times

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


def read_streams(
    path: Path, key: str, names: Mapping[int, str], stamp_s: str | None = None
) -> tuple[dict[str, Stream], list[LogError]]:
    """Returns sensor -> its records, in the order of `names`, and what is left out; none where there is no file.

    Their time is the frame's, or the seconds in the column `stamp_s`. Left out are rows whose time was never set, or is
    none, and, without a word, those of unknown sensors.
    """
    if not os.path.lexists(path):
        return {}, []
    table = read_table(path, [FRAME, key, *([stamp_s] if stamp_s else [])], "the segment has no such records")
    times_ns = frame_times(table) if stamp_s is None else _from_seconds(table, stamp_s)
    sensors = table.numbers(key)
    found, left_out = {}, []
    for number, name in names.items():
        own = sensors == number
        rows, lost = np.flatnonzero(own & (times_ns > 0)), np.flatnonzero(own & (times_ns <= 0))
        if len(lost):
            left_out.append(_without_time(path, name, stamp_s or FRAME, lost))
        rows = rows[np.argsort(times_ns[rows], kind="stable")]
        if len(rows):
            found[name] = Stream(times_ns[rows], rows)
    return found, left_out


def _without_time(path: Path, name: str, column: str, rows: NDArray[np.intp]) -> LogError:
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return BrokenRecord(
        f"{path}: {column} of {name} in row {rows[0]}{more} is 0 or no time, which was never set; leave such records "
        "out with on_error='skip'"
    )


def frame_times(table: Table) -> Times:
    """Returns (n,) ns of each row's frame; 0 where there is none."""
    stamps = table.numbers(FRAME, nulls=True)
    if stamps.dtype.kind == "f":
        stamps = np.nan_to_num(stamps).astype(np.int64)
    if stamps.dtype != np.int64 or (len(stamps) and not 0 <= stamps.min() <= stamps.max() <= _LATEST_US):
        raise BrokenRecord(f"{table.path}: {FRAME} holds times that are none, wanted int64 microseconds since 1970")
    return np.asarray(stamps * 1000)


def _from_seconds(table: Table, name: str) -> Times:
    """Returns (n,) ns; 0 for what is no time since 1970."""
    seconds = widened(table.numbers(name, nulls=True))
    known = (seconds > 0) & (seconds <= _LATEST_US * 1e-6)
    return np.rint(np.where(known, seconds, 0.0) * 1e9).astype(np.int64)
