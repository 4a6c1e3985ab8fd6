"""The tracks of an Argoverse 2 forecasting scenario, from its parquet file, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, Matrix, MissingRecord
from perceptum.inputs.once import once

from ..reading.files import read_bytes

__all__ = ["AV", "STEP_NS", "Tracks", "read_tracks"]


AV = "AV"
"""The track of the car that recorded."""
STEP_NS = 100_000_000
"""From one timestep to the next: 10 Hz."""

_TEXT = ("track_id", "object_type", "scenario_id", "focal_track_id")
_MOTION = ("position_x", "position_y", "heading", "velocity_x", "velocity_y")
_FLOATS = (*_MOTION, "start_timestamp")
_INTS = ("timestep", "num_timestamps", "object_category")
_COLUMNS = (*_TEXT, *_FLOATS, *_INTS, "observed")

_FARTHEST = 1e9
_LATEST_NS = 9e18
_MOST_ROWS = 10_000_000
_MOST_STEPS = 100_000
_LONGEST_TEXT = 256


@dataclass(frozen=True, eq=False)
class Tracks:
    """One row per agent and timestep, sorted by timestep; city frame, metres, radians, m/s."""

    path: Path
    scenario_id: str
    focal_track_id: str
    start_ns: int
    steps: int
    step: NDArray[np.int64]
    """(N,) 0 to steps - 1."""
    track_id: NDArray[np.str_]
    category: NDArray[np.str_]
    """(N,) vehicle, pedestrian, bus, ...: the dataset's object_type."""
    score: NDArray[np.int64]
    """(N,) the dataset's object_category: 0 fragment, 1 unscored, 2 scored, 3 focal."""
    observed: NDArray[np.bool_]
    """(N,) True in the past that a model may see."""
    position: Matrix
    """(N, 2) as stored: `broken` says where that is not finite."""
    heading: Matrix
    velocity: Matrix
    """(N, 2)"""
    rows: NDArray[np.intp]
    """(N,) where each stands in the file, for messages."""

    @once
    def broken(self) -> NDArray[np.bool_]:
        """(N,) whether a number of the row is not finite or beyond 1e9."""
        numbers = np.column_stack([self.position, self.heading, self.velocity])
        return np.asarray(~(np.abs(numbers) <= _FARTHEST).all(axis=1))

    def why_broken(self, row: int) -> str:
        """Returns what is wrong with a row of `broken`, with the file's name."""
        found = dict(zip(_MOTION, (*self.position[row], self.heading[row], *self.velocity[row]), strict=True))
        name, value = next((name, value) for name, value in found.items() if not abs(value) <= _FARTHEST)
        return f"{self.path}: {name} in row {self.rows[row]} is {value}, wanted a finite number"

    def at(self, step: int) -> NDArray[np.intp]:
        """Returns the rows of one timestep."""
        first, end = (int(np.searchsorted(self.step, step, side=side)) for side in ("left", "right"))
        return np.arange(first, end)


def read_tracks(path: Path) -> Tracks:
    """Raises MissingRecord or BrokenRecord, which name the file and the row."""
    columns = _read(path)
    n = len(columns["timestep"])
    if n == 0:
        raise BrokenRecord(f"{path}: no rows, wanted one per agent and timestep")
    start_ns = columns["start_timestamp"]
    if not (np.abs(start_ns) <= _LATEST_NS).all():
        row = int(np.argmax(~(np.abs(start_ns) <= _LATEST_NS)))
        raise BrokenRecord(f"{path}: start_timestamp in row {row} is {start_ns[row]}, wanted a finite number")
    steps = int(_one(path, columns, "num_timestamps"))
    step = columns["timestep"].astype(np.int64)
    if not 0 < steps <= _MOST_STEPS or step.min() < 0 or step.max() >= steps:
        raise BrokenRecord(f"{path}: timesteps {step.min()} to {step.max()} of {steps}, wanted 0 to one less")
    order = np.argsort(step, kind="stable")
    _check_once(path, step, columns["track_id"])
    return Tracks(
        path=path,
        scenario_id=str(_one(path, columns, "scenario_id")),
        focal_track_id=str(_one(path, columns, "focal_track_id")),
        start_ns=int(_one(path, columns, "start_timestamp")),
        steps=steps,
        step=step[order],
        track_id=columns["track_id"][order],
        category=columns["object_type"][order],
        score=columns["object_category"].astype(np.int64)[order],
        observed=columns["observed"][order],
        position=np.column_stack([columns["position_x"], columns["position_y"]])[order],
        heading=columns["heading"][order],
        velocity=np.column_stack([columns["velocity_x"], columns["velocity_y"]])[order],
        rows=order,
    )


def _check_once(path: Path, step: NDArray[np.int64], track_id: NDArray[np.str_]) -> None:
    order = np.lexsort((step, track_id))
    twice = (track_id[order][1:] == track_id[order][:-1]) & (np.diff(step[order]) == 0)
    if twice.any():
        row = order[int(np.argmax(twice))]
        raise BrokenRecord(f"{path}: track {track_id[row]} has two rows at timestep {step[row]}, wanted one")


def _one(path: Path, columns: dict[str, NDArray[Any]], name: str) -> Any:
    """Returns the value that every row repeats."""
    values = np.unique(columns[name])
    if len(values) != 1:
        raise BrokenRecord(f"{path}: column {name} holds {len(values)} values, wanted the same in each row")
    return values[0]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    encoded = read_bytes(path, "the scenario has no tracks")
    try:
        file = parquet.ParquetFile(pa.BufferReader(encoded))
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise MissingRecord(f"{path}: no column {missing[0]}; it has {', '.join(file.schema_arrow.names[:12])}")
        if file.metadata.num_rows > _MOST_ROWS:
            raise BrokenRecord(f"{path}: {file.metadata.num_rows} rows, wanted at most {_MOST_ROWS}")
        table = file.read(columns=list(_COLUMNS))
        table.validate(full=True)
        return {name: _column(path, name, table.column(name)) for name in _COLUMNS}
    except LogError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{path}: not a complete Parquet file ({reason})") from error


def _column(path: Path, name: str, column: Any) -> NDArray[Any]:
    # a null among the numbers of the motion is NaN
    if column.null_count and name not in _MOTION:
        raise BrokenRecord(f"{path}: column {name} has {column.null_count} nulls, wanted a value in each row")
    if name in _TEXT:
        texts = [str(text) for text in column.to_pylist()]
        if max(map(len, texts), default=0) > _LONGEST_TEXT:
            raise BrokenRecord(f"{path}: column {name} holds a text of more than {_LONGEST_TEXT} characters")
        return np.array(texts, dtype=np.str_)
    values: NDArray[Any] = column.to_numpy()
    kind = "f" if name in _FLOATS else "iu" if name in _INTS else "b"
    if values.dtype.kind not in kind:
        raise BrokenRecord(f"{path}: column {name} is {column.type}, wanted one of kind {kind}")
    return values
