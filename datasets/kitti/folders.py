"""What KITTI's three benchmarks have alike: one lidar and some cameras, with a folder of numbered files each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from perceptum.inputs import LidarSweep, LogError, Times
from perceptum.inputs.once import once

from ..reading.files import Numbered, read_each
from ..reading.point_file import velodyne_sweep
from ..reading.reader import Reader, first_times

__all__ = ["LIDAR", "KittiReader"]

LIDAR = "velodyne"


class KittiReader(Reader):
    """Files as streams; a camera whose times are broken is left out. The frames are the sweeps.

    In a download without any sweep they are the pictures of the first camera.
    """

    compensated = True
    """Whether the points of a sweep are as at one time."""
    ground_z_m = -1.73
    """The velodyne's height, as the benchmark publishes it."""

    def __init__(
        self,
        folder: Path,
        points: Numbered,
        pictures: Mapping[str, Numbered],
        times_of: Callable[[str, Numbered], Times],
    ) -> None:
        """`times_of` gives (n,) ns of a sensor's files."""
        super().__init__(folder)
        self._points = points
        self._pictures = {name: files for name, files in pictures.items() if len(files)}
        if len(points):
            self.lidars = {LIDAR: times_of(LIDAR, points)}
        self.cameras, left_out = read_each(self._pictures, times_of)
        self.unreadable: list[LogError] = list(left_out.values())
        self.times_ns = first_times(self.lidars, self.cameras)

    @property
    def _frames(self) -> Numbered:
        """The files that the frames' times are of."""
        camera = next(iter(self.cameras), None)
        return self._points if self.lidars or camera is None else self._pictures[camera]

    @once
    def ids(self) -> list[str]:
        """The frames' numbers, as the files are called: 000134."""
        return self._frames.stems

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return velodyne_sweep(self._points.paths[index], sensor, int(self.lidars[sensor][index]), self.compensated)
