"""What KITTI's three benchmarks have alike: one lidar and some cameras, with a folder of numbered files each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from perceptum.inputs import LidarSweep, LogError, Times
from perceptum.inputs.once import once

from ..reading.files import Numbered, read_each
from ..reading.point_file import velodyne_sweep
from ..reading.reader import Reader, first_times

__all__ = ["LIDAR", "KittiReader", "TimesOf"]

LIDAR = "velodyne"

TimesOf = Callable[[str, Numbered], tuple[Times, Mapping[int, LogError]]]
"""(sensor, its files) -> (n,) ns, and the row of each file that has no time, with what is wrong."""


class KittiReader(Reader):
    """Files as streams; those whose times are broken are left out. The frames are the sweeps.

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
        times_of: TimesOf,
    ) -> None:
        super().__init__(folder)
        self._points = points
        self.unreadable: list[LogError] = []
        if len(points):
            self._points, times_ns = self._stamped(times_of, LIDAR, points)
            self.lidars = {LIDAR: times_ns}
        there = {name: files for name, files in pictures.items() if len(files)}
        stamped, left_out = read_each(there, partial(self._stamped, times_of))
        self._pictures = {name: files for name, (files, _) in stamped.items()}
        self.cameras = {name: times_ns for name, (_, times_ns) in stamped.items()}
        self.unreadable += left_out.values()
        self.times_ns = first_times(self.lidars, self.cameras)

    def _stamped(self, times_of: TimesOf, sensor: str, files: Numbered) -> tuple[Numbered, Times]:
        """Returns the files that have a time, and these; raises LogErrors where none has one."""
        times_ns, broken = times_of(sensor, files)
        if not broken:
            return files, times_ns
        kept = [row for row in range(len(files)) if row not in broken]
        first = broken[min(broken)]
        if not kept:
            raise first
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        said = type(first)(f"{first}{more}")
        # one line of a file of times may be of several sensors
        if str(said) not in map(str, self.unreadable):
            self.unreadable.append(said)
        return files.of(kept), times_ns[kept]

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
