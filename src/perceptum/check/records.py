"""What the records of a log say, each read once: unreadable, empty, not finite, pictures that do not decode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from perceptum.inputs import BrokenRecord, CameraImage, Labels, LidarSweep, LogError, RadarSweep, Source
from perceptum.inputs.source import sensor_streams
from perceptum.plural import counted

__all__ = ["NOT_CHECKED", "RecordKey", "record_keys", "record_problems", "wants_a_library"]

NOT_CHECKED = "not checked"
"""The kind of what nothing is known to be wrong with: it could not be looked at."""

Found = tuple[str, str]


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

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.empty: Counter[str] = Counter()
        self.unfinite_records: Counter[str] = Counter()
        self.unfinite: Counter[str] = Counter()

    def add(self, sensor: str, record: LidarSweep | RadarSweep) -> None:
        finite = np.isfinite(record.x) & np.isfinite(record.y) & np.isfinite(record.z)
        bad = len(record) - int(np.count_nonzero(finite))
        self.records[sensor] += 1
        self.points[sensor] += len(record)
        self.empty[sensor] += len(record) == 0
        self.unfinite[sensor] += bad
        self.unfinite_records[sensor] += bad > 0

    def lines(self) -> Iterator[str]:
        for sensor, records in self.records.items():
            if self.empty[sensor]:
                yield f"{sensor}: {self.empty[sensor]} of {records} clouds are empty"
            if self.unfinite[sensor]:
                share = 100 * self.unfinite[sensor] / self.points[sensor]
                yield (
                    f"{sensor}: {self.unfinite_records[sensor]} of {records} clouds hold points that are not finite, "
                    f"{self.unfinite[sensor]} of {self.points[sensor]} points ({share:.3g} %)"
                )


def record_problems(source: Source, keys: Iterable[RecordKey]) -> Iterator[Found]:
    """Yields kind and line. What a library that is not installed would read is not checked, one line for all of it."""
    tally = _Tally()
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


def _problems(source: Source, key: RecordKey, tally: _Tally) -> Iterator[Found]:
    if key.kind == "lidar":
        tally.add(f"lidar {key.sensor}", source.read_lidar(key.sensor, key.number))
    elif key.kind == "radar":
        tally.add(f"radar {key.sensor}", source.read_radar(key.sensor, key.number))
    elif key.kind == "camera":
        _decode(source.read_camera(key.sensor, key.number))
    else:
        labels = source.read_labels(int(source.times_ns[key.number]))
        yield from (("labels", f"{key}: {line}") for line in (_label_lines(labels) if labels is not None else ()))


def _decode(picture: CameraImage) -> None:
    picture.decode()


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
