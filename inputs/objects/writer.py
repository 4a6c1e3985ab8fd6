"""Writing a database of objects: object by object, in bounded memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import LogError
from ..records import Labels
from .cut import CutObject
from .layout import BOX_COLUMNS, FORMAT, MANIFEST, OBJECTS, POINTS, VERSION, table_of_objects, table_of_points

__all__ = ["ObjectWriter"]

_POINTS_AT_ONCE = 1_000_000
"""In a batch: 25 MB, so that a database of any size needs little memory to be written."""
_MOST_LIDARS = 256


class ObjectWriter:
    """Writes the files of a database into a folder, which must be there and empty; whole once `finish` was called."""

    def __init__(self, folder: Path, min_points: int) -> None:
        self.folder = folder
        self.min_points = min_points
        import pyarrow as pa

        self._schema, self._of_points = table_of_objects(), table_of_points()
        self._file = pa.OSFile(str(folder / POINTS), "wb")
        self._points = pa.ipc.new_file(self._file, self._of_points)
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        self._waiting: list[dict[str, Any]] = []
        self._num_waiting = self._batches = 0
        self._lidars: dict[str, int] = {}
        self._logs: dict[str, None] = {}

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __repr__(self) -> str:
        return f"<ObjectWriter: {len(self)} objects so far, to {self.folder}>"

    def __len__(self) -> int:
        return len(self._columns["category"])

    def lidar(self, name: str) -> int:
        """Returns the number of a lidar, as the points' column says it."""
        number = self._lidars.setdefault(name, len(self._lidars))
        if number >= _MOST_LIDARS:
            raise LogError(f"{self.folder}: objects of more than {_MOST_LIDARS} different lidars")
        return number

    def add(
        self,
        labels: Labels,
        objects: Iterable[CutObject],
        *,
        log: str,
        frame: str,
        ground_z: float,
        intensity_scale: float,
    ) -> None:
        """Adds objects of one frame. ground_z: metres, of level ground in the ego frame."""
        self._logs.setdefault(log)
        for one in objects:
            n = len(one.points["x"])
            if self._num_waiting + n > _POINTS_AT_ONCE:
                self._write_waiting()
            box = dict(zip(BOX_COLUMNS, labels.boxes[one.row].tolist(), strict=True))
            velocity = (np.nan, np.nan) if labels.velocity is None else labels.velocity[one.row].tolist()
            about = {
                "category": str(labels.category[one.row]),
                **box,
                "velocity_x": velocity[0],
                "velocity_y": velocity[1],
                "ground_z": ground_z,
                "intensity_scale": intensity_scale,
                "batch": self._batches,
                "first": self._num_waiting,
                "num_points": n,
                "log": log,
                "frame": frame,
                "time_ns": labels.time_ns,
                "track": str(labels.track_id[one.row]),
            }
            for name, value in about.items():
                self._columns[name].append(value)
            self._waiting.append(one.points)
            self._num_waiting += n

    def _write_waiting(self) -> None:
        import pyarrow as pa

        if not self._waiting:
            return
        columns = [
            pa.array(np.concatenate([own[field.name] for own in self._waiting]).astype(field.type.to_pandas_dtype()))
            for field in self._of_points
        ]
        self._points.write_batch(pa.record_batch(columns, schema=self._of_points))
        self._waiting, self._num_waiting = [], 0
        self._batches += 1

    def _close(self) -> None:
        if not self._file.closed:
            self._points.close()
            self._file.close()

    def finish(self) -> dict[str, Any]:
        """Writes what is left and the manifest, and returns it."""
        import pyarrow as pa

        self._write_waiting()
        self._close()
        table = pa.table(self._columns, schema=self._schema)
        with pa.OSFile(str(self.folder / OBJECTS), "wb") as file, pa.ipc.new_file(file, self._schema) as out:
            out.write_table(table)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "objects": table.num_rows,
            "classes": dict(sorted(Counter(self._columns["category"]).items())),
            "points": sum(self._columns["num_points"]),
            "min_points": self.min_points,
            "lidars": list(self._lidars),
            "logs": list(self._logs),
            "schema": {
                name: {field.name: str(field.type) for field in schema}
                for name, schema in ((OBJECTS, self._schema), (POINTS, self._of_points))
            },
            "files": {name: _described(self.folder / name) for name in (OBJECTS, POINTS)},
        }
        (self.folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return manifest


def _described(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}
