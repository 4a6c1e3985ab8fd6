"""aiMotive: one log with a lidar, two radars, four cameras (two of them fisheye) and boxes, linked by frame numbers.

The ego frame is the log's body frame (x forward, y left, z up). The lidar's points are stored in it, each as it was
measured at its own time. No ego motion is read, so each frame stands alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Labels,
    LidarSweep,
    Poses,
    RadarSweep,
)
from perceptum.inputs.once import once

from ..reading.files import read_each, subfolders
from ..reading.picture_file import picture_file
from ..reading.reader import Reader, first_times
from ..reading.unset_times import offsets_where_set
from .calibration import Calibration, read_calibration
from .laz import read_laz
from .records import read_boxes, read_stamp, read_targets
from .times import FrameTimes, listed

__all__ = ["AiMotive"]


_LIDAR = "lidar"
_LIDAR_IN_CALIBRATION = "M_LIDAR_M"
_REVOLUTION_NS = 110_000_000
"""A revolution, generously: no point is further than this from its frame's stamp."""


class AiMotive(Reader):
    """One sequence, read in place; opening it lists its files and reads the stamps of its boxes."""

    dataset = "aimotive"
    opens_noted = True
    sequential = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._boxes = listed(folder / "dynamic" / "box" / "3d_body", "frame", ".json")
        self._points = listed(folder / "dynamic" / "raw-revolutions", "frame", ".laz")
        self._targets = {
            path.name: files
            for path in subfolders(folder / "sensor" / "radar")
            if (files := listed(path, path.name, ".json"))
        }
        self._pictures = {
            path.name: files
            for path in subfolders(folder / "sensor" / "camera")
            if (files := listed(path, path.name, ".jpg"))
        }
        # a frame whose boxes are broken is stamped as one without: between its neighbours
        stamps, left_out = read_each(self._boxes, lambda _, path: read_stamp(path))
        self.unreadable = list(left_out.values())
        times = FrameTimes(stamps)
        self.lidars = {_LIDAR: times.of(self._points)} if self._points else {}
        self.radars = {name: times.of(files) for name, files in self._targets.items()}
        self.cameras = {name: times.of(files) for name, files in self._pictures.items()}
        # the frames are the sweeps; in a download without any, the first radar's or camera's records
        self.times_ns = first_times(self.lidars, self.radars, self.cameras)
        self._box_at = dict(zip(times.of(self._boxes).tolist(), self._boxes.values(), strict=True))

    @once
    def ids(self) -> list[str]:
        """The frames' numbers, as the files have them: 0033532."""
        files = next(files for files in (self._points, *self._targets.values(), *self._pictures.values()) if files)
        return [path.stem.rpartition("_")[2] for path in files.values()]

    @once
    def poses(self) -> Poses:
        """The identity, from a revolution before the first frame to one after the last: no motion is read."""
        first, last = int(self.times_ns[0]) - _REVOLUTION_NS, int(self.times_ns[-1]) + _REVOLUTION_NS
        still = Poses.fixed([first, last])
        return Poses(still.times_ns, still.quaternions, still.translations, max_gap_ns=last - first)

    @once
    def calibration(self) -> Calibration:
        return read_calibration(self.folder / "sensor" / "calibration" / "calibration.json")

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        path, time_ns = list(self._points.values())[index], int(self.lidars[sensor][index])
        points = read_laz(path)
        return LidarSweep(
            sensor=sensor,
            time_ns=time_ns,
            ego_from_sensor=np.eye(4),
            x=points.x,
            y=points.y,
            z=points.z,
            intensity=points.intensity,
            offset_ns=_offsets(path, points.time_ns, time_ns),
            intensity_scale=255.0,
            origin=self.calibration.ego_from(_LIDAR_IN_CALIBRATION)[:3, 3].copy(),
            source=str(path),
        )

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        path, time_ns = list(self._targets[sensor].values())[index], int(self.radars[sensor][index])
        return read_targets(path, sensor, time_ns, self.calibration.ego_from(sensor))

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path, lens = list(self._pictures[camera].values())[index], self.calibration.lens_of(camera)
        return picture_file(
            path,
            camera,
            int(self.cameras[camera][index]),
            ego_from_camera=self.calibration.ego_from(camera),
            what="the picture is missing",
            **vars(lens),
        )

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of the frame at `time_ns`; None where it has no file."""
        path = self._box_at.get(time_ns)
        return read_boxes(path, time_ns) if path is not None else None


def _offsets(path: Path, time_ns: NDArray[np.float64], stamp_ns: int) -> NDArray[np.int32] | None:
    """Returns (N,) ns after the stamp; None where the points have no times."""
    # whole numbers below 2**53: exact in float64
    offset = offsets_where_set(str(path), "gps_time", time_ns, time_ns - stamp_ns)
    if offset is None:
        return None
    bad = ~(np.abs(offset) <= _REVOLUTION_NS)
    if bad.any():
        row = int(np.argmax(bad))
        raise BrokenRecord(
            f"{path}: point {row} is at {time_ns[row]:.0f} ns, wanted a time within {_REVOLUTION_NS * 1e-9:.2f} s "
            f"of the frame's {stamp_ns} ns"
        )
    return offset.astype(np.int32)
