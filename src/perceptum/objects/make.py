"""Cutting labelled objects out of logs."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features.classes import CLASS_LISTS, Classes, class_of, classes_of
from perceptum.inputs import Frame, Log, LogError
from perceptum.inputs.objects.cut import cut
from perceptum.inputs.objects.layout import MANIFEST
from perceptum.inputs.objects.writer import ObjectWriter
from perceptum.inputs.source import ground_z_of

from ..errors import UsageError
from ..exchange import take_place
from ..output_file import check_folder_name

__all__ = ["Made", "make_objects"]

_log = logging.getLogger(__name__)

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]

_COLUMNS = ("x", "y", "z", "intensity", "ring", "elongation")


@dataclass(frozen=True)
class Made:
    """What was cut out of logs."""

    path: str
    classes: dict[str, int]
    """Category -> objects."""
    objects: int
    points: int
    bytes: int
    frames: int
    """That were looked at."""
    labelled: int
    """Of those, frames that have labels."""
    skipped: list[str]
    """Frames that could not be read, a line each."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_objects(
    logs: Sequence[str | Path | Log],
    out: str | Path,
    *,
    classes: Classes | None = None,
    min_points: int = 5,
    on_error: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
    track: Track = lambda items, _, __: items,
) -> Made:
    """Writes the labelled objects of logs, with the points in each box, as a database of objects in a folder, which is
    there only once it is whole.

    Points are those of the newest sweep of each lidar, each moved by its own time. classes: which objects: categories,
    classes or a list of them by its name; None: all. on_error: skip: frames that cannot be read are left out and
    reported. Raises UsageError where nothing can be written, and LogErrors.
    """
    began = perf_counter()
    if not logs:
        raise UsageError("objects are cut out of one or more logs, and none is named")
    if min_points < 1:
        raise UsageError(f"an object has one point or more, got min_points {min_points}")
    if isinstance(classes, str) and classes not in CLASS_LISTS:
        raise UsageError(f"no list of classes '{classes}'; there are {', '.join(CLASS_LISTS)}")
    wanted = None if classes is None else classes_of(classes)
    opened = [log if isinstance(log, Log) else open_log(str(log), on_error=on_error) for log in logs]
    frames = labelled = 0
    skipped: list[str] = []
    seen: dict[str, None] = {}
    with _beside(Path(out), overwrite) as folder, ObjectWriter(folder, min_points) as writer:
        for log in opened:
            cutter = _Cutter(log, writer)
            for frame in track(log, f"cutting objects of {log.source.name}", len(log)):
                frames += 1
                try:
                    labels = frame.labels
                    if labels is None:
                        continue
                    labelled += 1
                    categories = labels.category.tolist()
                    seen |= dict.fromkeys(categories)
                    rows = [k for k, one in enumerate(categories) if wanted is None or class_of(one, wanted) >= 0]
                    if rows:
                        cutter.cut(frame, rows)
                except LogError as error:
                    if on_error == "raise":
                        raise
                    skipped.append(f"{frame}: {error}")
        _check_some(writer, opened, labelled, seen, min_points)
        manifest = writer.finish()
        size = sum(file.stat().st_size for file in folder.iterdir())
    return Made(
        path=str(out),
        classes=manifest["classes"],
        objects=manifest["objects"],
        points=manifest["points"],
        bytes=size,
        frames=frames,
        labelled=labelled,
        skipped=skipped,
        seconds=round(perf_counter() - began, 3),
    )


class _Cutter:
    """Cuts objects out of the frames of one log."""

    def __init__(self, log: Log, writer: ObjectWriter) -> None:
        self._writer = writer
        self._lidars = list(log.source.lidars)
        self._ground_z = ground_z_of(log.source)
        self._builders: dict[tuple[str, tuple[str, ...]], InputBuilder[Any]] = {}
        """Lidar and columns -> what moves its points: which lidar measured a point is not a column."""

    def cut(self, frame: Frame, rows: list[int]) -> None:
        """Adds the objects of these rows of the frame's labels to what is written."""
        labels = frame.labels
        assert labels is not None
        parts: list[dict[str, NDArray[Any]]] = []
        scale = 1.0
        for name in self._lidars:
            sweep = next(iter(frame.sweeps(1, name)), None)
            if sweep is None:
                continue
            there = tuple(column for column in _COLUMNS if getattr(sweep, column) is not None)
            built = self._builder(name, there).build(frame)["lidar_points"]
            none = np.zeros(len(built), np.float32)
            columns: dict[str, NDArray[Any]] = {
                column: built[:, there.index(column)] if column in there else none for column in _COLUMNS
            }
            if not parts:
                scale = sweep.intensity_scale
            elif sweep.intensity_scale != scale:
                columns["intensity"] = columns["intensity"] * np.float32(scale / sweep.intensity_scale)
            columns["lidar"] = np.full(len(built), self._writer.lidar(name), np.uint8)
            parts.append(columns)
        if not parts:
            return
        points = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
        self._writer.add(
            labels,
            cut(labels, points, rows, self._writer.min_points),
            log=frame.log.source.name,
            frame=frame.id,
            ground_z=self._ground_z,
            intensity_scale=scale,
        )

    def _builder(self, lidar: str, columns: tuple[str, ...]) -> InputBuilder[Any]:
        found = self._builders.get((lidar, columns))
        if found is None:
            own = {"frame": "ego", "intensity_mode": "raw", "sensors": [lidar], "columns": list(columns)}
            found = self._builders[lidar, columns] = InputBuilder(["lidar_points"], params={"lidar_points": own})
        return found


def _check_some(
    writer: ObjectWriter, logs: Sequence[Log], labelled: int, seen: dict[str, None], min_points: int
) -> None:
    """Raises LogError where there is no object, with what there is instead."""
    if len(writer):
        return
    where = ", ".join(log.source.location for log in logs)
    if not labelled:
        raise LogError(f"{where}: no frame has labels, so there are no objects to cut out")
    raise LogError(
        f"{where}: no object of the classes that are asked for has {min_points} points or more; the categories are "
        f"{', '.join(sorted(seen)) or 'none'}"
    )


@contextmanager
def _beside(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a new folder to write to, beside `folder`, whose place it then takes; after an error nothing is left."""
    check_folder_name(folder, "a database of objects is a folder")
    if not folder.name or folder.name in (".", ".."):
        raise UsageError(f"cannot write {folder}: name the new folder itself")
    if folder.is_symlink() or folder.exists():
        if not overwrite:
            raise UsageError(f"{folder}: already exists; name another folder, or replace it with --overwrite")
        if not (folder / MANIFEST).is_file():
            raise UsageError(f"{folder}: is not a database of objects, so --overwrite leaves it alone; name another")
    if not folder.parent.is_dir():
        raise UsageError(f"cannot write {folder}: there is no folder {folder.parent}")
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    try:
        yield new
        # as any folder that one makes; mkdtemp's is its owner's alone
        mask = os.umask(0)
        os.umask(mask)
        new.chmod(0o777 & ~mask)
        take_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
