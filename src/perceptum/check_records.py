"""What the records of a log say, each read once: unreadable, empty, not finite, pictures that do not decode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from perceptum.inputs import BrokenRecord, CameraImage, Labels, LidarSweep, LogError, RadarSweep, Source

__all__ = ["RecordKey", "record_keys", "record_problems"]

Found = tuple[str, str]


class RecordKey(NamedTuple):
    kind: str
    sensor: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{' ' if self.sensor else ''}{self.sensor} record {self.number}"


def record_keys(source: Source) -> Iterator[RecordKey]:
    kinds = {"lidar": source.lidars, "radar": source.radars, "camera": source.cameras}
    for kind, streams in kinds.items():
        for sensor, times in streams.items():
            yield from (RecordKey(kind, sensor, i) for i in range(len(times)))
    yield from (RecordKey("labels", "", i) for i in range(len(source.times_ns)))


class _Tally:
    """Counts over a sensor's records, told once at the end."""

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
    """Yields kind and line. A codec that is not installed is told once."""
    tally, cannot_decode = _Tally(), set()
    for key in keys:
        try:
            yield from _problems(source, key, tally)
        except (BrokenRecord, LogError) as error:
            if "pip install" in str(error):
                cannot_decode.add(str(error))
            else:
                yield "record", f"{key}: {error}"
    yield from (("points", line) for line in tally.lines())
    yield from (("record", f"pictures were not decoded: {line}") for line in sorted(cannot_decode))


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
        yield f"track {names[np.argmax(counts)]} has {int(counts.max())} boxes at one time"
