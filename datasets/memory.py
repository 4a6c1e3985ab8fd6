"""A log of records that are already in memory: a car's own, a simulator's, a test's. It reads no files.

log = memory_log([LidarSweep(...), LidarSweep(...)], radars=[RadarSweep(...)], poses=Poses(...))
tensors = builder.build(log[-1])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from perceptum.inputs import CameraImage, HDMap, Labels, LidarSweep, Log, LogError, Poses, RadarSweep, Signal, Times
from perceptum.inputs.once import once
from perceptum.inputs.records import read_only
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import Named, sensor_streams
from perceptum.plural import a_or_an

__all__ = ["MemorySource", "memory_log"]

Record = TypeVar("Record", LidarSweep, RadarSweep, CameraImage, Labels)


class MemorySource(Named):
    """Answers what a dataset reader would; see `memory_log`."""

    dataset = "memory"
    location = "memory"
    in_memory = True

    def __init__(
        self,
        sweeps: Sequence[LidarSweep],
        radars: Sequence[RadarSweep],
        cameras: Sequence[CameraImage],
        labels: Sequence[Labels],
        hdmap: HDMap | None,
        poses: Poses | None,
        times_ns: ArrayLike | None,
        name: str,
        sequential: bool,
        ids: Sequence[str] | None,
        signals: Sequence[Signal] = (),
        point_classes: Mapping[int, str] | None = None,
    ) -> None:
        self.name = name
        self.point_classes = point_classes
        self.ids = ids
        self.sequential = sequential
        for kind, records in ((LidarSweep, sweeps), (RadarSweep, radars), (CameraImage, cameras), (Labels, labels)):
            _check_kind(kind, records)
        self._lidar = _by_sensor(sweeps, [s.sensor for s in sweeps])
        self._radar = _by_sensor(radars, [r.sensor for r in radars])
        self._camera = _by_sensor(cameras, [c.camera for c in cameras])
        self._labels = {
            label.time_ns: label for label in _in_order("labels", [label.in_frame("ego") for label in labels])
        }
        self._map = hdmap
        self._signals = _signals_by_name(signals)
        self.signals: Mapping[str, tuple[Measured, ...]] = {
            name: tuple(signal.measures) for name, signal in self._signals.items()
        }
        self.lidars: Mapping[str, Times] = _times(self._lidar)
        self.radars: Mapping[str, Times] = _times(self._radar)
        self.cameras: Mapping[str, Times] = _times(self._camera)
        self.times_ns = self._reference_times(times_ns)
        self._poses = poses

    def _reference_times(self, times_ns: ArrayLike | None) -> Times:
        if times_ns is not None:
            return _as_times(times_ns)
        if not self.lidars:
            raise LogError("a memory log without lidar sweeps needs times_ns, the frames' reference times")
        return next(iter(self.lidars.values()))

    @once
    def poses(self) -> Poses:
        if self._poses is not None:
            return self._poses
        return Poses.standing([self.times_ns, *(times for _, _, times in sensor_streams(self))])

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return self._lidar[sensor][index]

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        return self._radar[sensor][index]

    def read_camera(self, camera: str, index: int) -> CameraImage:
        return self._camera[camera][index]

    def read_labels(self, time_ns: int) -> Labels | None:
        return self._labels.get(time_ns)

    def read_map(self) -> HDMap | None:
        return self._map

    def read_signal(self, name: str) -> Signal:
        return self._signals[name]


def memory_log(
    sweeps: Sequence[LidarSweep] = (),
    *,
    radars: Sequence[RadarSweep] = (),
    cameras: Sequence[CameraImage] = (),
    labels: Sequence[Labels] = (),
    hdmap: HDMap | None = None,
    poses: Poses | None = None,
    times_ns: ArrayLike | None = None,
    name: str = "memory",
    sequential: bool = True,
    ids: Sequence[str] | None = None,
    signals: Sequence[Signal] = (),
    point_classes: Mapping[int, str] | None = None,
) -> Log:
    """Returns a log of records in memory; the first sweep's sensor is the primary lidar.

    sweeps: of lidars; cycles of radars are `radars`, pictures `cameras`, one Labels for each labelled moment `labels`.
    poses: world_from_ego over time; None: the car stands still at the world's origin.
    times_ns: (F,) the frames' reference times; None: the stamps of the primary lidar.
    sequential: False where the frames are unrelated moments.
    ids: (F,) what you call the frames; None: their times.
    signals: what the vehicle reports of itself over time, of different names.
    point_classes: code -> class, of the sweeps' labels for points. Raises LogError.
    """
    records = (sweeps, radars, cameras, labels, hdmap, poses)
    return Log(MemorySource(*records, times_ns, name, sequential, ids, signals, point_classes))


def _signals_by_name(signals: Sequence[Signal]) -> dict[str, Signal]:
    found: dict[str, Signal] = {}
    for number, signal in enumerate(signals):
        if not isinstance(signal, Signal):
            raise LogError(f"signals[{number}] is {a_or_an(type(signal).__name__)}, wanted a Signal")
        if signal.name in found:
            raise LogError(f"signals: two have the name '{signal.name}'; each must have its own")
        found[signal.name] = signal
    return found


def _as_times(times_ns: ArrayLike) -> Times:
    given = np.asarray(times_ns)
    if given.ndim != 1:
        raise LogError(f"times_ns must have one dimension, got the shape {given.shape}")
    # a float64 cannot hold today's nanoseconds
    if given.dtype.kind not in "iu" and given.size:
        raise LogError(f"times_ns must be integers (nanoseconds), got {given.dtype}")
    return given.astype(np.int64)


_ARGUMENTS: Mapping[type, str] = {LidarSweep: "sweeps", RadarSweep: "radars", CameraImage: "cameras", Labels: "labels"}
"""Kind of record -> the argument of `memory_log` that takes it."""


def _check_kind(kind: type, records: Sequence[object]) -> None:
    """Raises LogError for a record of another kind, by its number among those that an argument was given."""
    for number, record in enumerate(records):
        if not isinstance(record, kind):
            argument = _ARGUMENTS.get(type(record))
            hint = f"; give it as {argument}=[...]" if argument else ""
            raise LogError(
                f"{_ARGUMENTS[kind]}[{number}] is {a_or_an(type(record).__name__)}, wanted a {kind.__name__}{hint}"
            )


def _by_sensor(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {name: [] for name in names}
    for name, record in zip(names, records, strict=True):
        found[name].append(read_only(record))
    return {name: _in_order(name, own) for name, own in found.items()}


def _in_order(name: str, records: Sequence[Record]) -> list[Record]:
    """Returns the records by time; raises LogError where two have the same."""
    ordered = sorted(records, key=lambda record: record.time_ns)
    twice = [a.time_ns for a, b in pairwise(ordered) if a.time_ns == b.time_ns]
    if twice:
        raise LogError(f"{name}: two records have the time {twice[0]} ns; a sensor's times must differ")
    return ordered


def _times(records: Mapping[str, Sequence[Record]]) -> dict[str, Times]:
    return {name: np.array([r.time_ns for r in own], dtype=np.int64) for name, own in records.items()}
