"""Logs written by py123d, opened through its library: one folder of Arrow files is one log.

The ego frame is the library's IMU frame, the world its global frame. Points are stored in the ego frame.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    LogError,
    Poses,
    RadarSweep,
    Times,
)
from perceptum.inputs.once import once

from ..reading.raw_image import RawImage, colours, png_bytes
from ..reading.reader import Reader, first_times
from .library import Py123dFolder
from .records import label_boxes, lens_of, lidar_columns, radar_columns

__all__ = ["Py123dLog"]


_EGO, _BOXES = "ego_state_se3", "box_detections_se3"


class Py123dLog(Reader):
    """One log, read in place; opening it reads the stamps of its sensors."""

    dataset = "py123d"
    sequential = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = Py123dFolder(folder)
        self.lidars = self._streams("lidar.")
        self.radars = self._streams("radar.")
        self.cameras = self._streams("camera.")
        if not (self.lidars or self.cameras or self.radars):
            raise LogError(f"{folder}: no lidar, camera or radar in this log; it has {', '.join(self._folder.keys)}")
        self.times_ns = first_times(self.lidars, self.cameras, self.radars)

    def _streams(self, prefix: str) -> dict[str, Times]:
        """Sensor -> stamps; a sensor is named as the library names it, lidar_merged or pcam_f0."""
        keys = [key for key in self._folder.keys if key.startswith(prefix)]
        found = {key.removeprefix(prefix): self._folder.times_ns(key) for key in keys}
        return {name: times for name, times in found.items() if len(times)}

    @once
    def poses(self) -> Poses:
        """World from ego: global from IMU."""
        states = self._folder.all(_EGO)
        times = np.array([state.timestamp.time_us * 1000 for state in states], dtype=np.int64)
        matrices = [np.asarray(state.imu_se3.array, dtype=np.float64) for state in states]
        table = np.array(matrices).reshape(-1, 7)
        # stamps are cut to microseconds, which makes some of a denser original equal: the first holds
        times, rows = np.unique(times, return_index=True)
        return Poses.leaving_gaps(f"{self.location}/{_EGO}.arrow", times, table[rows, 3:], table[rows, :3])

    def _source(self, key: str, time_ns: int) -> str:
        return f"{self.location}/{key}.arrow at {time_ns} ns"

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        key, time_ns = f"lidar.{sensor}", int(self.lidars[sensor][index])
        source = self._source(key, time_ns)
        with self._folder.told(source):
            columns = lidar_columns(self._folder.record(key, index), time_ns)
        return LidarSweep(sensor=sensor, time_ns=time_ns, ego_from_sensor=np.eye(4), source=source, **columns)

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        key, time_ns = f"radar.{sensor}", int(self.radars[sensor][index])
        source = self._source(key, time_ns)
        with self._folder.told(source):
            columns = radar_columns(self._folder.record(key, index))
        return RadarSweep(sensor=sensor, time_ns=time_ns, ego_from_sensor=np.eye(4), source=source, **columns)

    def read_camera(self, camera: str, index: int) -> CameraImage:
        key, time_ns = f"camera.{camera}", int(self.cameras[camera][index])
        source, metadata = self._source(key, time_ns), self._folder.metadata[key]
        with self._folder.told(source):
            lens = lens_of(metadata, source)
            ego_from_camera = np.array(metadata.camera_to_imu_se3.transformation_matrix, dtype=np.float64)
        common: dict[str, Any] = {
            "camera": camera,
            "time_ns": time_ns,
            "ego_from_camera": ego_from_camera,
            "source": source,
            **vars(lens),
        }
        if self._folder.holds_bytes(key):
            return CameraImage(read=partial(self._folder.encoded, key, index, source), **common)
        # video frames and pictures in the original dataset come decoded out of the library
        pixels = partial(self._pixels, key, index, source)
        return RawImage(read=partial(_packed, pixels), read_pixels=pixels, **common)

    def _pixels(self, key: str, index: int, source: str) -> NDArray[np.uint8]:
        with self._folder.told(source):
            return colours(np.asarray(self._folder.record(key, index).rgb_image), source)

    @once
    def _label_times(self) -> Times:
        return self._folder.times_ns(_BOXES) if _BOXES in self._folder.keys else np.zeros(0, dtype=np.int64)

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes at exactly this time; None where there are none for it."""
        index = int(np.searchsorted(self._label_times, time_ns))
        if index == len(self._label_times) or self._label_times[index] != time_ns:
            return None
        source = self._source(_BOXES, time_ns)
        with self._folder.told(source):
            return label_boxes(self._folder.record(_BOXES, index), time_ns, self.poses.at(time_ns))

    def read_map(self) -> HDMap | None:
        """The log's own map, or the one of its town where the library finds it."""
        from .map import map_of

        with self._folder.told(f"{self.location}: its map"):
            found = self._folder.scene.get_map_api()
            return map_of(found) if found is not None else None


def _packed(pixels: Any) -> bytes:
    return png_bytes(pixels())
