"""A database of objects, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Matrix
from ..errors import BrokenRecord, LogError
from .layout import BOX_COLUMNS, FORMAT, MANIFEST, OBJECTS, POINTS, VERSION, table_of_objects, table_of_points

__all__ = ["ObjectDatabase"]

_MOST_BYTES = 100_000_000
"""Of a manifest; what is larger is another file."""


class ObjectDatabase:
    """Labelled objects of logs with their points, as `perceptum objects` writes them: `ObjectDatabase.open(folder)`.

    Points stay on disk until they are asked for. Pickled it is its path, opened again on the other side. Two are equal
    where their files hold the same.
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises LogError where there is no database, BrokenRecord where it is not whole."""
        self.folder = Path(folder)
        manifest = _manifest(self.folder)
        self.content: str = hashlib.sha256(
            "".join(f["sha256"] for f in manifest["files"].values()).encode()
        ).hexdigest()
        """Of all that is in its files."""
        self.classes: Mapping[str, int] = MappingProxyType(dict(manifest["classes"]))
        """Category -> how many objects."""
        self.lidars: tuple[str, ...] = tuple(manifest["lidars"])
        """The lidars that measured the points, in the order of their numbers."""
        self.logs: tuple[str, ...] = tuple(manifest["logs"])
        for name in (OBJECTS, POINTS):
            _check_size(self.folder / name, int(manifest["files"][name]["bytes"]))
        import pyarrow as pa

        table = pa.Table.from_batches(_batches(self.folder / OBJECTS, table_of_objects()), table_of_objects())
        self._points = _batches(self.folder / POINTS, table_of_points())
        self.category: NDArray[np.str_] = np.array(table["category"].to_pylist(), dtype=np.str_)
        """(N,)."""
        self.boxes: Matrix = np.stack([_numbers(table, name) for name in BOX_COLUMNS], axis=1).reshape(-1, 7)
        """(N, 7) x y z length width height, metres, yaw: in the ego frame in which each was labelled."""
        self.velocity: Matrix = np.stack([_numbers(table, f"velocity_{axis}") for axis in "xy"], axis=1).reshape(-1, 2)
        """(N, 2) m/s over ground, in the same axes; NaN where it is not known."""
        self.ground_z: Matrix = _numbers(table, "ground_z")
        """(N,) metres, the z of level ground in the same frame."""
        self.intensity_scale: Matrix = _numbers(table, "intensity_scale")
        """(N,) by which intensity is divided for [0, 1]."""
        self.num_points: NDArray[np.int64] = _numbers(table, "num_points")
        """(N,)."""
        self._batch, self._first = _numbers(table, "batch"), _numbers(table, "first")
        self._about = table.select(["log", "frame", "time_ns", "track"])
        self._columns = [{name: own.column(name).to_numpy() for name in own.schema.names} for own in self._points]
        self._check()

    @classmethod
    def open(cls, folder: str | Path) -> ObjectDatabase:
        """Raises as the class."""
        return cls(folder)

    def __reduce__(self) -> tuple[Callable[..., ObjectDatabase], tuple[str, str]]:
        return _again, (str(self.folder.absolute()), self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectDatabase) and other.content == self.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __len__(self) -> int:
        return len(self.category)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in self.classes.items())
        return f"<ObjectDatabase {self.folder}: {kinds or 'no objects'}>"

    def about(self, number: int) -> dict[str, Any]:
        """Returns where an object comes from: log, frame (its id), time_ns and track."""
        found: dict[str, Any] = self._about.slice(number, 1).to_pylist()[0]
        return found

    def points(self, number: int) -> dict[str, NDArray[Any]]:
        """Returns an object's columns as they lie in the file: x y z (metres from the box's centre, along the axes of
        the ego frame) intensity (as recorded) ring elongation lidar (the number of one of `lidars`)."""
        first = int(self._first[number])
        own = slice(first, first + int(self.num_points[number]))
        return {name: column[own] for name, column in self._columns[int(self._batch[number])].items()}

    def _check(self) -> None:
        """Raises BrokenRecord where an object's numbers cannot be."""
        where = self.folder / OBJECTS
        sizes = np.array([own.num_rows for own in self._points], np.int64)
        known = (self._batch >= 0) & (self._batch < len(sizes)) & (self._first >= 0) & (self.num_points >= 0)
        if known.all() and len(self):
            known &= self._first + self.num_points <= sizes[self._batch]
        sized = np.isfinite(self.boxes).all(axis=1) & (self.boxes[:, 3:6] > 0).all(axis=1)
        scaled = np.isfinite(self.ground_z) & (self.intensity_scale > 0)
        for right, what in ((known, "points that are not there"), (sized, "a box of no size"), (scaled, "no scale")):
            if not right.all():
                raise BrokenRecord(f"{where}: object {int(np.argmin(right))} has {what}; make the database again")


def _again(folder: str, content: str) -> ObjectDatabase:
    found = ObjectDatabase(folder)
    if found.content != content:
        raise LogError(f"{folder}: these are other objects than when this was made; open the database again")
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    file, hint = folder / MANIFEST, "`perceptum objects LOG --out FOLDER` makes one"
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise LogError(f"{folder}: {what}, wanted a database of objects; {hint}")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LogError(f"{folder}: is not a database of objects: it has no {MANIFEST}; {hint}") from None
    except (OSError, ValueError) as error:
        raise BrokenRecord(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise LogError(f"{folder}: is not a database of objects: its {MANIFEST} is of something else; {hint}")
    if found.get("version") != VERSION:
        raise LogError(f"{folder}: is of version {found.get('version')!r} of the format, and this reads {VERSION}")
    if not _is_whole(found):
        raise BrokenRecord(f"{file}: lacks what a database of objects says of itself; make the database again")
    return found


def _is_whole(manifest: Mapping[str, Any]) -> bool:
    files = manifest.get("files")
    of_files = [files.get(name) for name in (OBJECTS, POINTS)] if isinstance(files, dict) else [None]
    known = all(
        isinstance(own, dict) and isinstance(own.get("bytes"), int) and isinstance(own.get("sha256"), str)
        for own in of_files
    )
    kinds = (("classes", dict), ("lidars", list), ("logs", list))
    return known and all(isinstance(manifest.get(name), kind) for name, kind in kinds)


def _check_size(file: Path, wanted: int) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise BrokenRecord(f"{file}: {error.strerror}; make the database again") from error
    if size != wanted:
        cut = "the file is cut short" if size < wanted else "it was changed"
        raise BrokenRecord(f"{file}: {size} bytes, its manifest says {wanted}; {cut}; make the database again")


def _batches(file: Path, schema: Any) -> list[Any]:
    """Returns the record batches of an Arrow file, mapped into memory: what they hold is read when it is looked at."""
    import pyarrow as pa

    try:
        with file.open("rb") as opened:
            # not pa.memory_map: its reads advise the kernel to fetch the whole file
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(mapped))
        batches = [reader.get_batch(k) for k in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()
    except (OSError, ValueError) as error:
        raise BrokenRecord(f"{file}: is not an Arrow file ({error}); make the database again") from error
    if reader.schema != schema:
        raise BrokenRecord(f"{file}: has columns {', '.join(reader.schema.names)}, wanted {', '.join(schema.names)}")
    return batches


def _numbers(table: Any, name: str) -> NDArray[Any]:
    # a copy in one piece: a table of several batches has columns of several
    return np.array(table[name].to_numpy())
