"""One nuScenes scene as a source of records.

The ego frame is nuScenes' own (rear axle on the ground, x forward, y left, z up); the world is its map's frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    LogError,
    MissingRecord,
    PointLabels,
    Poses,
    RadarSweep,
    Signal,
    Times,
)
from perceptum.inputs.once import once
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import Named

from ..reading.picture_file import picture_file, size_of
from ..reading.point_file import read_points
from ..reading.unread import Unread
from .can_bus import read_can, signals_there
from .index import Index
from .labels import Annotations, Details, annotations_of
from .lidarseg import LabelFiles, label_files, point_classes, read_lidarseg, read_panoptic
from .radar import RadarFilter, read_radar_columns
from .scene import Stream, scene_of, stays_inside

__all__ = ["NuScenes"]


_PRIMARY = "LIDAR_TOP"
_POINT_COLUMNS = ("x", "y", "z", "intensity", "ring")
_RINGS = 32


class NuScenes(Named):
    """One scene, read in place. It holds the scene's rows of the tables and no more."""

    dataset = "nuscenes"
    opens_noted = True
    sequential = True

    def __init__(
        self, root: Path, tables: Path, index: Index, number: int, keyframes: bool, radar_filter: RadarFilter
    ) -> None:
        self.root = root
        self.tables = tables
        self.scene = scene_of(index, number, root)
        self.name = self.scene.name
        self.location = str(root)
        self._calibration = tables / "calibrated_sensor.json"
        self._radar_filter: RadarFilter = radar_filter
        self._annotations: Annotations | None = None
        if index.names.labelled:
            self._annotations = annotations_of(index, number, tables / "sample_annotation.json")
        self.unreadable: list[LogError] = self._without_time()
        self.lidars: Mapping[str, Times] = self._times("lidar")
        self.radars: Mapping[str, Times] = self._times("radar")
        self.cameras: Mapping[str, Times] = self._times("camera")
        first = next(iter([*self.lidars, *self.cameras]), None)
        if first is None:
            raise MissingRecord(
                f"{root}: has the tables of {self.name} but none of the folders of its records, such as "
                "samples/LIDAR_TOP; unpack the sensors' files there"
            )
        primary = self.scene.streams[first]
        self.times_ns: Times = primary.times_ns[primary.is_key] if keyframes else primary.times_ns
        keys = zip(primary.times_ns[primary.is_key].tolist(), primary.sample[primary.is_key].tolist(), strict=True)
        self._sample_of = dict(keys)

    @once
    def signals(self) -> Mapping[str, tuple[Measured, ...]]:
        """can/pose and so on: those of the CAN bus expansion, in can_bus/ of the root, that the scene has."""
        return signals_there(self.root, self.name)

    def read_signal(self, name: str) -> Signal:
        return read_can(self.root, self.name, name)

    def _without_time(self) -> list[LogError]:
        lost = self.scene.without_time
        if not lost:
            return []
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return [
            BrokenRecord(
                f"{self.tables / 'sample_data.json'}: the timestamp of {lost[0][:120]}{more} is 0 or null, which was "
                "never set; leave such records out with on_error='skip'"
            )
        ]

    def _times(self, modality: str) -> dict[str, Times]:
        """Channel -> stamps; LIDAR_TOP first, then by the order of the sensor table."""
        found = [(name, s.times_ns) for name, s in self.scene.streams.items() if s.modality == modality]
        return dict(sorted(found, key=lambda stream: stream[0] != _PRIMARY))

    @once
    def ids(self) -> list[str]:
        """The sample tokens, which nuScenes' evaluation wants; a sweep between keyframes has its time."""
        tokens = self.scene.sample_tokens
        return [tokens[self._sample_of[t]] if t in self._sample_of else str(t) for t in self.times_ns.tolist()]

    @once
    def poses(self) -> Poses:
        """The ego poses of all records of the scene; each record's own time is among theirs."""
        return self.scene.poses(self.tables / "ego_pose.json")

    def _record(self, stream: Stream, index: int) -> tuple[str, int, NDArray[np.float64]]:
        """Returns a record's file, its time, and where its sensor sits."""
        name = stream.files[index]
        if not stays_inside(name):
            raise BrokenRecord(
                f"{self.tables / 'sample_data.json'}: file name {name[:120]!r} leaves the log's folder, "
                "wanted a path below it"
            )
        ego_from_sensor = self.scene.ego_from_sensor(self._calibration, int(stream.calibration[index]))
        # text, not a Path, which takes longer to make than the file takes to open
        return os.path.join(self.location, name), int(stream.times_ns[index]), ego_from_sensor

    @once
    def _lidarseg(self) -> LabelFiles:
        return label_files(self.tables / "lidarseg.json")

    @once
    def _panoptic(self) -> LabelFiles:
        return label_files(self.tables / "panoptic.json")

    @once
    def point_classes(self) -> Mapping[int, str] | None:
        """The categories by their index, which comes with nuScenes-lidarseg; None where that is not unpacked."""
        unread = Unread(self.tables)
        for kind, files in (("lidarseg", self._lidarseg), ("panoptic", self._panoptic)):
            folder = self.root / kind / self.tables.name
            # the files come in one archive, and the table that names them in another
            if not files and folder.is_dir():
                unread.add(f"labels of points in {folder}, since {kind}.json is not here")
        unread.warn()
        return point_classes(self.tables / "category.json") if self._lidarseg or self._panoptic else None

    def _point_labels(self, sensor: str, index: int, points: int) -> PointLabels | None:
        """Panoptic nuScenes', which has both columns, rather than nuScenes-lidarseg's; None between keyframes."""
        token = self.scene.streams[sensor].tokens.get(index)
        if token is None:
            return None
        try:
            for files, read in ((self._panoptic, read_panoptic), (self._lidarseg, read_lidarseg)):
                if token in files:
                    path = self.root / files[token]
                    return PointLabels(partial(read, path, points), points, str(path))
        except LogError as error:
            # a broken table of labels spoils no points
            return PointLabels(partial(_raise, error), points)
        return None

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        """Points as recorded: not motion-compensated within the sweep, and without times of their own."""
        path, time_ns, ego_from_sensor = self._record(self.scene.streams[sensor], index)
        x, y, z, intensity, ring = read_points(path, _POINT_COLUMNS, "the sweep is missing")
        return LidarSweep(
            sensor=sensor,
            time_ns=time_ns,
            ego_from_sensor=ego_from_sensor,
            x=x,
            y=y,
            z=z,
            intensity=intensity,
            ring=ring,
            intensity_scale=255.0,
            row_of_ring=_ROW_OF_RING if sensor == _PRIMARY else None,
            source=path,
            point_labels=self._point_labels(sensor, index, len(x)),
        )

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        """All 18 fields; the filter that was asked for when the log was opened, by default none."""
        path, time_ns, ego_from_sensor = self._record(self.scene.streams[sensor], index)
        columns: dict[str, Any] = read_radar_columns(path, self._radar_filter)
        return RadarSweep(sensor=sensor, time_ns=time_ns, ego_from_sensor=ego_from_sensor, source=path, **columns)

    def read_camera(self, camera: str, index: int) -> CameraImage:
        """Published pictures are undistorted."""
        stream = self.scene.streams[camera]
        path, time_ns, ego_from_camera = self._record(stream, index)
        intrinsics = self.scene.intrinsics(self._calibration, int(stream.calibration[index]))
        size, what = size_of(*stream.size[index].tolist()), "the picture is missing"
        return picture_file(Path(path), camera, time_ns, intrinsics, ego_from_camera, what, size=size)

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of a keyframe; None between keyframes, and where the version has no annotations."""
        sample = self._sample_of.get(time_ns)
        if sample is None or self._annotations is None:
            return None
        return self._annotations.at(sample, time_ns, self.poses.at(time_ns))

    def label_details(self, time_ns: int) -> Details | None:
        """Radar points, visibility and attributes of the boxes that `read_labels` returns."""
        sample = self._sample_of.get(time_ns)
        return None if sample is None or self._annotations is None else self._annotations.details(sample)

    def sample_token(self, time_ns: int) -> str:
        """Returns the token of the keyframe at `time_ns`, which nuScenes' evaluation wants; raises MissingRecord."""
        if time_ns not in self._sample_of:
            raise MissingRecord(f"{self.location}: no keyframe of {self.name} at {time_ns} ns")
        return self.scene.sample_tokens[self._sample_of[time_ns]]

    @once
    def _map_file(self) -> Path | None:
        place, maps = self.scene.location, self.root / "maps"
        files = (maps / "expansion" / f"{place}.json", maps / f"{place}.json")
        found = [path for path in files if re.fullmatch(r"[\w-]+", place) and os.path.lexists(path)]
        return found[0] if found else None

    @property
    def map_key(self) -> tuple[str, int, int] | None:
        """The file of the place's map as it is now: hundreds of scenes are of one place."""
        try:
            status = None if self._map_file is None else os.stat(self._map_file)
        except OSError:
            return None
        return None if status is None else (os.path.realpath(str(self._map_file)), status.st_size, status.st_mtime_ns)

    def read_map(self) -> HDMap | None:
        """The map expansion of the scene's place, also where versions before 1.3 lay; None where it is not unpacked."""
        from .map import read_map

        path, maps = self._map_file, self.root / "maps"
        if path is not None:
            return read_map(path)
        unread = Unread(maps)
        unread.add(
            f"masks of the drivable area; the map of {self.scene.location} is the map expansion's",
            len(list(maps.glob("*.png"))),
        )
        unread.warn()
        return None


def _raise(error: LogError) -> NoReturn:
    raise error


_ROW_OF_RING = np.arange(_RINGS - 1, -1, -1, dtype=np.int32)
"""An HDL-32E's rings count from the lowest beam up."""
_ROW_OF_RING.flags.writeable = False
