"""The made-up drive as a log's source: an index of times when it is made, one record at a time after that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    MissingRecord,
    Poses,
    RadarSweep,
    Signal,
    Times,
    encode_jpeg,
)
from perceptum.inputs.once import get_or_make, once
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import Named

from .labels import REACH_M, labels_of
from .lidar import Cast, cast, sweep_of
from .options import Options
from .point_classes import POINT_CLASSES
from .radar import detect
from .rig import CAMERAS, LIDAR, PERIOD_NS, RADARS, ego_from_camera, intrinsics
from .scene import Scene, World
from .streetmap import map_of
from .vehicle import MEASURES, vehicle_signal

__all__ = ["START_NS", "SyntheticSource"]


START_NS = 1_700_000_000_123_456_789
"""When the first revolution begins."""
_RADAR_HZ = 13
_POSE_NS = 10_000_000
_BEYOND_NS = 600_000_000
"""Poses go this far beyond the first and the last revolution."""
_MAP_MARGIN_M = 150.0
_KEPT_SWEEPS = 2


class SyntheticSource(Named):
    """Records worked out when they are read; two readers with the same options give the same bytes.

    JPEG bytes are as the installed codec makes them; the picture that goes into it is the same everywhere.
    """

    dataset = "synthetic"
    opens_noted = True
    sequential = True
    point_classes = POINT_CLASSES

    def __init__(self, options: Options) -> None:
        self.options = options
        self.name = f"street-{options.seed}"
        self.location = f"synthetic(frames={options.frames}, seed={options.seed})"
        self.world = World.of(options.seed, options.ground_wave_m, START_NS)
        self._end_ns = START_NS + options.frames * PERIOD_NS
        self.times_ns: Times = START_NS + np.arange(1, options.frames + 1, dtype=np.int64) * PERIOD_NS
        self.lidars = {LIDAR: self.times_ns}
        self.radars = {name: self._cycles(mount.phase_ns) for name, mount in RADARS.items()}
        # one picture more than frames: the one nearest to the last frame may come just after it
        turns = START_NS + np.arange(options.frames + 1, dtype=np.int64) * PERIOD_NS
        self.cameras = {name: turns + mount.phase_ns for name, mount in CAMERAS.items()}
        self._casts: dict[int, tuple[Scene, Cast]] = {}

    def __reduce__(self) -> tuple[type[SyntheticSource], tuple[Options]]:
        """Another process gets the options, and works out the rest."""
        return SyntheticSource, (self.options,)

    def _cycles(self, phase_ns: int) -> Times:
        count = max((self._end_ns - START_NS - phase_ns) * _RADAR_HZ // 1_000_000_000 + 1, 0)
        return START_NS + phase_ns + np.arange(count, dtype=np.int64) * 1_000_000_000 // _RADAR_HZ

    @property
    def ids(self) -> list[str]:
        """Which revolution: 000000 is the first."""
        return [f"{index:06}" for index in range(self.options.frames)]

    @once
    def poses(self) -> Poses:
        """100 a second. The ego stays upright: it yaws, and follows the ground's height."""
        times = self._pose_times_ns
        motion, course = self.world.ego(times), self.world.course
        (cos, sin), (c, s) = course.world_heading, motion.heading.T
        return Poses(times, _upright(cos * c - sin * s, sin * c + cos * s), course.to_world(motion.centre))

    @property
    def signals(self) -> Mapping[str, tuple[Measured, ...]]:
        return {"vehicle": tuple(MEASURES)}

    def read_signal(self, name: str) -> Signal:
        """How the ego moves and steers, 100 times a second, as exactly as it is known."""
        return vehicle_signal(self.world, self._pose_times_ns, self.location)

    @property
    def _pose_times_ns(self) -> Times:
        return np.arange(START_NS - _BEYOND_NS, self._end_ns + _BEYOND_NS + 1, _POSE_NS, dtype=np.int64)

    def _cast(self, index: int) -> tuple[Scene, Cast]:
        """The last few are kept: a frame's labels count the points of its sweep."""
        found = get_or_make(
            self._casts, index, lambda: cast(self.world, self.options, index, int(self.times_ns[index]))
        )
        for old in list(self._casts)[:-_KEPT_SWEEPS]:
            self._casts.pop(old, None)
        return found

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        time_ns = self._time("lidars", sensor, index)
        return sweep_of(self._cast(index)[1], self.options, time_ns, f"{self.location}/{sensor}/{index}")

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        time_ns = self._time("radars", sensor, index)
        return detect(self.world, self.options, sensor, index, time_ns, f"{self.location}/{sensor}/{index}")

    def read_camera(self, camera: str, index: int) -> CameraImage:
        time_ns, mount = self._time("cameras", camera, index), CAMERAS[camera]
        return CameraImage(
            camera=camera,
            time_ns=time_ns,
            intrinsics=intrinsics(mount, *self.options.image_size),
            ego_from_camera=ego_from_camera(mount),
            read=partial(_picture, self, camera, time_ns),
            source=f"{self.location}/{camera}/{index}",
            size=(self.options.image_size[1], self.options.image_size[0]),
        )

    def read_labels(self, time_ns: int) -> Labels | None:
        """Returns the boxes at any time from START_NS to the last frame; num_points only at a frame's own time."""
        if not START_NS <= time_ns <= self._end_ns:
            return None
        index, between = divmod(time_ns - START_NS, PERIOD_NS)
        if between or index == 0:
            return labels_of(self.world.scene(time_ns, REACH_M), time_ns, None)
        scene, found = self._cast(index - 1)
        return labels_of(scene, time_ns, found.hits)

    def read_map(self) -> HDMap:
        """Returns the map from 150 m before the drive's start to 150 m beyond its end."""
        ends = self.world.along(np.array([START_NS, self._end_ns]))
        return map_of(self.world.course, float(ends[0]) - _MAP_MARGIN_M, float(ends[1]) + _MAP_MARGIN_M)

    def _time(self, kind: str, sensor: str, index: int) -> int:
        streams: dict[str, Times] = getattr(self, kind)
        if sensor not in streams:
            raise MissingRecord(f"{self.location}: no sensor '{sensor}'; the log has {', '.join(streams)}")
        if not 0 <= index < len(streams[sensor]):
            raise MissingRecord(
                f"{self.location}: {sensor} has no record {index}, it has {len(streams[sensor])} from 0 on"
            )
        return int(streams[sensor][index])


def _picture(source: SyntheticSource, camera: str, time_ns: int) -> bytes:
    from .camera import draw

    return encode_jpeg(draw(source.world, camera, time_ns, *source.options.image_size))


def _upright(cos: Any, sin: Any) -> NDArray[np.float64]:
    """Returns quaternions (n, 4) w x y z of the yaws with these cosines and sines."""
    ahead = cos >= 0
    large = np.sqrt(0.5 * (1.0 + np.abs(cos)))
    small = 0.5 * sin / large
    w, z = np.where(ahead, large, np.abs(small)), np.where(ahead, small, np.where(sin < 0, -large, large))
    zero = np.zeros_like(w)
    return np.stack([w, zero, zero, z], axis=1)
