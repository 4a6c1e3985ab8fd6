"""What a log holds: sensors, rates, span, gaps, map layers, label classes, sizes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Log, LogError
from perceptum.inputs.source import read_signal
from perceptum.inputs.store import StoreSource

from .check.times import gaps_of

__all__ = ["describe"]

_LOOKED_AT = 20
"""Frames whose labels are counted, and sweeps per sensor whose points are, spread over the log."""
_MOST_FILES = 200_000


def describe(log: Log) -> dict[str, Any]:
    """Returns plain data. Reads a few records, not the whole log; what cannot be read is listed in `unreadable`."""
    unreadable: list[str] = []
    found = log.info()
    for kind in ("lidars", "radars", "cameras"):
        streams: Mapping[str, NDArray[np.int64]] = getattr(log.source, kind)
        for sensor, times in streams.items():
            found[kind][sensor] |= _of_times(times, log.source.sequential)
            more = _camera(log, sensor, unreadable) if kind == "cameras" else _points(log, kind, sensor, unreadable)
            found[kind][sensor] |= more
    for name in log.signals:
        found["signals"][name] |= _signal(log, name, unreadable)
    found["poses"] = _poses(log, unreadable)
    found["map"] = _map(log, unreadable)
    found["labels"] = _labels(log, unreadable)
    found["point_labels"] = _point_labels(log, unreadable)
    found["size_bytes"] = _size(log)
    if isinstance(log.source, StoreSource):
        found["store"] = _store(log.source)
    found["unreadable"] = unreadable
    return found


def _of_times(times: NDArray[np.int64], sequential: bool) -> dict[str, Any]:
    if len(times) == 0:
        return {"start_ns": None, "duration_s": 0.0, "gaps": 0, "dropped": 0}
    gaps = gaps_of(times) if sequential else None
    return {
        "start_ns": int(times[0]),
        "duration_s": float(times[-1] - times[0]) * 1e-9,
        "gaps": 0 if gaps is None else gaps.wide,
        "dropped": 0 if gaps is None else gaps.missing,
    }


def _spread(count: int, most: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())] if count else []


def _points(log: Log, kind: str, sensor: str, unreadable: list[str]) -> dict[str, Any]:
    read = log.source.read_lidar if kind == "lidars" else log.source.read_radar
    counts, columns = [], []
    for index in _spread(len(getattr(log.source, kind)[sensor]), 3):
        try:
            record = read(sensor, index)
        except LogError as error:
            unreadable.append(str(error))
            continue
        counts.append(len(record))
        arrays = {k: v for k, v in vars(record).items() if isinstance(v, np.ndarray) and v.shape == record.x.shape}
        columns = [f"{name} {array.dtype}" for name, array in arrays.items() if name not in ("row_of_ring", "origin")]
    return {"points": int(np.median(counts)) if counts else None, "columns": columns}


def _camera(log: Log, camera: str, unreadable: list[str]) -> dict[str, Any]:
    """Returns height and width of the first picture, and the model of its lens, as the calibration has them."""
    if not len(log.source.cameras[camera]):
        return {"size": None, "lens": None}
    try:
        picture = log.source.read_camera(camera, 0)
        return {"size": None if picture.size is None else list(picture.size), "lens": picture.lens.model}
    except LogError as error:
        unreadable.append(str(error))
        return {"size": None, "lens": None}


def _signal(log: Log, name: str, unreadable: list[str]) -> dict[str, Any]:
    """Returns what a signal holds, which is read as a whole."""
    try:
        signal = read_signal(log.source, name)
    except LogError as error:
        unreadable.append(str(error))
        return {"records": None, "rate_hz": None, "left_out": None, "columns": []}
    steps = np.diff(signal.times_ns)
    return {
        "records": len(signal),
        "rate_hz": 1e9 / float(np.median(steps)) if len(steps) else None,
        "left_out": len(signal.broken),
        "columns": list(signal.columns),
    }


def _poses(log: Log, unreadable: list[str]) -> dict[str, Any] | None:
    try:
        poses = log.poses
    except LogError as error:
        unreadable.append(str(error))
        return None
    first, last = poses.span_ns
    steps = np.linalg.norm(np.diff(poses.translations, axis=0), axis=1)
    return {
        "records": len(poses.times_ns),
        "start_ns": first,
        "duration_s": (last - first) * 1e-9,
        "gaps": int((np.diff(poses.times_ns) > poses.max_gap_ns).sum()),
        "broken": len(poses.broken),
        "path_m": round(float(steps.sum()), 3),
    }


def _map(log: Log, unreadable: list[str]) -> dict[str, Any] | None:
    try:
        hdmap = log.map
    except LogError as error:
        unreadable.append(str(error))
        return None
    if hdmap is None:
        return None
    ground = hdmap.ground
    return {
        "layers": {name: {"kind": shapes.kind, "shapes": len(shapes)} for name, shapes in hdmap.layers.items()},
        "lanes": 0 if hdmap.lanes is None else len(hdmap.lanes),
        "ground": None if ground is None else [int(side) for side in ground.height.shape],
        "unread": list(hdmap.unread),
    }


def _labels(log: Log, unreadable: list[str]) -> dict[str, Any] | None:
    """Returns the boxes of each class in the frames that were looked at; None where none has labels."""
    classes: Counter[str] = Counter()
    looked, labelled = _spread(len(log), _LOOKED_AT), 0
    for index in looked:
        try:
            labels = log.source.read_labels(int(log.source.times_ns[index]))
        except LogError as error:
            unreadable.append(str(error))
            continue
        if labels is not None:
            labelled += 1
            classes.update(labels.category.tolist())
    if labelled == 0:
        return None
    return {
        "frames_looked_at": len(looked),
        "frames_labelled": labelled,
        "boxes": dict(classes.most_common()),
        "boxes_per_frame": round(classes.total() / labelled, 1),
    }


def _point_labels(log: Log, unreadable: list[str]) -> dict[str, Any] | None:
    """Returns the classes of single points, in the order of their codes; None where the log labels no points."""
    try:
        classes = log.point_classes
    except LogError as error:
        unreadable.append(str(error))
        return None
    return None if classes is None else {"classes": list(dict.fromkeys(classes[code] for code in sorted(classes)))}


def _size(log: Log) -> int | None:
    """Returns the bytes of the log's folder; None where it is none, or holds very many files."""
    if isinstance(log.source, StoreSource):
        return sum(file.size for file in log.source.index.files)
    folder, total, seen = Path(log.source.location), 0, 0
    if not folder.is_dir():
        return None
    for at, _, files in os.walk(folder):
        total += sum(os.lstat(os.path.join(at, name)).st_size for name in files)
        seen += len(files)
        if seen > _MOST_FILES:
            return None
    return total


def _store(source: StoreSource) -> dict[str, Any]:
    about = source.index.about
    skipped = source.index.records.num_rows - source.index.records.column("skipped").null_count
    return {
        "converted_from": about["location"],
        "dataset": about["dataset"],
        "compression": about.get("compression", "none"),
        "lossy": "lidar x y z are float16" if about.get("float16") else None,
        "files": len(source.index.files),
        "skipped_records": skipped,
        "skipped": list(about.get("skipped", [])),
    }
