"""What the records of a log say, each read once: unreadable, empty, not finite, pictures that do not decode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from perceptum.inputs import BrokenRecord, CameraImage, Labels, LidarSweep, LogError, Poses, RadarSweep, Source
from perceptum.inputs.source import point_classes_of, sensor_streams
from perceptum.plural import counted

from .doppler import Doppler

__all__ = ["NOT_CHECKED", "RecordKey", "record_keys", "record_problems", "wants_a_library"]

NOT_CHECKED = "not checked"
"""The kind of what nothing is known to be wrong with: it could not be looked at."""

Found = tuple[str, str]

_MEASURED = ("rcs", "v_radial", "v_radial_comp", "vx", "vy", "vx_comp", "vy_comp")
"""Columns of radars that are measured, and not codes."""


def wants_a_library(error: LogError) -> bool:
    """Whether it is about what is installed here, and not about the log."""
    return "pip install" in str(error)


class RecordKey(NamedTuple):
    kind: str
    sensor: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{' ' if self.sensor else ''}{self.sensor} record {self.number}"


def record_keys(source: Source) -> Iterator[RecordKey]:
    for kind, sensor, times in sensor_streams(source):
        yield from (RecordKey(kind, sensor, i) for i in range(len(times)))
    yield from (RecordKey("labels", "", i) for i in range(len(source.times_ns)))


class _Tally:
    """Counts over a sensor's records, reported once at the end."""

    def __init__(self, poses: Poses | None) -> None:
        self.doppler = Doppler(poses)
        self.records: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.empty: Counter[str] = Counter()
        self.unfinite_records: Counter[str] = Counter()
        self.unfinite: Counter[str] = Counter()
        self.unfinite_columns: Counter[tuple[str, str]] = Counter()

    def add(self, sensor: str, record: LidarSweep | RadarSweep) -> None:
        finite = np.isfinite(record.x) & np.isfinite(record.y) & np.isfinite(record.z)
        bad = len(record) - int(np.count_nonzero(finite))
        self.records[sensor] += 1
        self.points[sensor] += len(record)
        self.empty[sensor] += len(record) == 0
        self.unfinite[sensor] += bad
        self.unfinite_records[sensor] += bad > 0

    def add_cycle(self, sensor: str, cycle: RadarSweep) -> None:
        self.add(sensor, cycle)
        self.doppler.add(sensor, cycle)
        for name in _MEASURED:
            column = getattr(cycle, name)
            bad = 0 if column is None else len(cycle) - int(np.count_nonzero(np.isfinite(column)))
            self.unfinite_columns[sensor, name] += bad

    def lines(self) -> Iterator[str]:
        for sensor, records in self.records.items():
            # a radar that saw nothing in one cycle is not broken
            least = records if sensor.startswith("radar ") else 1
            if self.empty[sensor] >= least:
                yield f"{sensor}: {self.empty[sensor]} of {records} clouds are empty"
            if self.unfinite[sensor]:
                share = 100 * self.unfinite[sensor] / self.points[sensor]
                yield (
                    f"{sensor}: {self.unfinite_records[sensor]} of {records} clouds hold points that are not finite, "
                    f"{self.unfinite[sensor]} of {self.points[sensor]} points ({share:.3g} %)"
                )
        for (sensor, name), bad in self.unfinite_columns.items():
            if bad:
                yield f"{sensor}: {name} is not finite in {bad} of {self.points[sensor]} detections"
        yield from self.doppler.lines()


def record_problems(source: Source, keys: Iterable[RecordKey]) -> Iterator[Found]:
    """Yields kind and line. What a library that is not installed would read is not checked, one line for all of it."""
    tally = _Tally(_poses(source))
    unread: Counter[str] = Counter()
    for key in keys:
        try:
            yield from _problems(source, key, tally)
        except (BrokenRecord, LogError) as error:
            if wants_a_library(error):
                unread[str(error)] += 1
            else:
                yield "record", f"{key}: {error}"
    yield from (("points", line) for line in tally.lines())
    yield from ((NOT_CHECKED, f"{count} record{'s' * (count > 1)}: {line}") for line, count in sorted(unread.items()))


def _poses(source: Source) -> Poses | None:
    """Returns the poses; None where there are none, which is reported elsewhere."""
    try:
        return source.poses
    except LogError:
        return None


def _problems(source: Source, key: RecordKey, tally: _Tally) -> Iterator[Found]:
    if key.kind == "lidar":
        sweep = source.read_lidar(key.sensor, key.number)
        tally.add(f"lidar {key.sensor}", sweep)
        yield from (("labels", f"{key}: {line}") for line in _point_label_lines(sweep, point_classes_of(source)))
    elif key.kind == "radar":
        tally.add_cycle(f"radar {key.sensor}", source.read_radar(key.sensor, key.number))
    elif key.kind == "camera":
        picture = source.read_camera(key.sensor, key.number)
        height, width = _decode(picture)
        if picture.size is not None and picture.size != (height, width):
            wanted = f"{picture.size[1]} x {picture.size[0]}"
            yield "record", f"{key}: {picture.source}: {width} x {height} pixels, its calibration is for {wanted}"
        # an error of its own where the numbers make none
        _ = picture.lens
    else:
        labels = source.read_labels(int(source.times_ns[key.number]))
        yield from (("labels", f"{key}: {line}") for line in (_label_lines(labels) if labels is not None else ()))


def _point_label_lines(sweep: LidarSweep, classes: Mapping[int, str] | None) -> Iterator[str]:
    codes = sweep.semantic
    unnamed = [] if codes is None or classes is None else sorted({*np.unique(codes).tolist()} - {*classes})
    if unnamed:
        named = ", ".join(map(str, unnamed[:5]))
        yield f"points have the class {named}{', ...' if unnamed[5:] else ''}, which the log does not name"


def _decode(picture: CameraImage) -> tuple[int, int]:
    """Returns height and width."""
    height, width, _ = picture.decode().shape
    return height, width


def _label_lines(labels: Labels) -> Iterator[str]:
    unfinite = ~np.isfinite(labels.boxes).all(axis=1)
    if unfinite.any():
        yield f"{int(unfinite.sum())} of {len(labels)} boxes are not finite, first track {labels.track_id[unfinite][0]}"
    negative = (labels.boxes[:, 3:6] < 0).any(axis=1)
    if negative.any():
        yield f"{int(negative.sum())} of {len(labels)} boxes have a negative size"
    names, counts = np.unique(labels.track_id, return_counts=True)
    if (counts > 1).any():
        yield f"track {names[np.argmax(counts)]} has {counted(int(counts.max()), 'box')} at one time"
