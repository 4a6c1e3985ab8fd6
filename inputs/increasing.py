"""A source whose times do not increase, without the records that stand in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .arrays import Times
from .hdmap import HDMap
from .longest_rise import kept_of
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep
from .signal import Signal
from .source import (
    Source,
    ground_z_of,
    ids_of,
    in_memory,
    map_key_of,
    opens_noted,
    point_classes_of,
    read_signal,
    sensor_streams,
    signals_of,
    unreadable_of,
)

__all__ = ["Increasing"]


class Increasing:
    """Answers like the source it wraps; record i of a sensor is the i-th of those that were kept."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.dataset, self.name, self.location = source.dataset, source.name, source.location
        self.sequential = source.sequential
        self.ground_z_m = ground_z_of(source)
        self.unreadable = unreadable_of(source)
        self.in_memory = in_memory(source)
        self.map_key = map_key_of(source)
        self.opens_noted = opens_noted(source)
        self.signals = signals_of(source)
        self._kept = {key: kept_of(times) for key, times in _streams(source)}
        ids = ids_of(source)
        self.ids = None if ids is None else [ids[i] for i in self._kept["frames", ""].tolist()]
        self.times_ns: Times = source.times_ns[self._kept["frames", ""]]
        self.lidars: Mapping[str, Times] = self._times("lidar", source.lidars)
        self.radars: Mapping[str, Times] = self._times("radar", source.radars)
        self.cameras: Mapping[str, Times] = self._times("camera", source.cameras)

    def _times(self, kind: str, streams: Mapping[str, Times]) -> dict[str, Times]:
        return {name: times[self._kept[kind, name]] for name, times in streams.items()}

    @property
    def left_out(self) -> list[str]:
        """A line for each record that was left out."""
        return [line for key, times in _streams(self.source) for line in self._lines(key, times)]

    def _lines(self, key: tuple[str, str], times: Times) -> Iterator[str]:
        for i in np.setdiff1d(np.arange(len(times)), self._kept[key]).tolist():
            yield f"{'/'.join(filter(None, key))} {i}: its time, {times[i]} ns, is out of order among those around it"

    @property
    def point_classes(self) -> Mapping[int, str] | None:
        return point_classes_of(self.source)

    @property
    def poses(self) -> Poses:
        return self.source.poses

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return self.source.read_lidar(sensor, int(self._kept["lidar", sensor][index]))

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        return self.source.read_radar(sensor, int(self._kept["radar", sensor][index]))

    def read_camera(self, camera: str, index: int) -> CameraImage:
        return self.source.read_camera(camera, int(self._kept["camera", camera][index]))

    def read_labels(self, time_ns: int) -> Labels | None:
        return self.source.read_labels(time_ns)

    def read_signal(self, name: str) -> Signal:
        return read_signal(self.source, name)

    def read_map(self) -> HDMap | None:
        return self.source.read_map()


def _streams(source: Source) -> Iterator[tuple[tuple[str, str], Times]]:
    yield ("frames", ""), source.times_ns
    yield from (((kind, sensor), times) for kind, sensor, times in sensor_streams(source))
