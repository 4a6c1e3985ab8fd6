"""What readers answer alike: where the log lies, and that it has none of what it does not have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from perceptum.inputs import CameraImage, HDMap, Labels, LidarSweep, MissingRecord, Poses, RadarSweep, Signal, Times
from perceptum.inputs.once import once
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import Named

__all__ = ["Reader", "first_times"]


class Reader(Named):
    """A log without sensors, motion, labels and map. A reader sets the streams that there are, and reads what there
    is."""

    times_ns: Times
    """(F,) the frames' reference times, which a reader sets."""
    sequential: bool
    """Whether the frames follow each other, which a reader sets too."""
    signals: Mapping[str, tuple[Measured, ...]] = MappingProxyType({})
    """Signal -> what it measures; a reader of some sets them."""
    lacks: ClassVar[str] = "the log has none of its kind"
    """For the message about a sensor of a kind that the dataset does not have: KITTI raw has no radar."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        """Where the log lies; the file of a recording."""
        # as text: the folder may be "." or a link
        self.name = os.path.basename(os.path.abspath(folder)) if name is None else name
        self.location = str(folder)
        self.lidars: Mapping[str, Times] = {}
        self.radars: Mapping[str, Times] = {}
        self.cameras: Mapping[str, Times] = {}

    def read_signal(self, name: str) -> Signal:
        raise MissingRecord(f"{self.location}: no signal '{name}'; the log has none")

    @once
    def poses(self) -> Poses:
        """world_from_ego over the log. The dataset records no motion: the vehicle stands still at the world's origin,
        from the first record to the last."""
        return Poses.standing([self.times_ns, *self.lidars.values(), *self.radars.values(), *self.cameras.values()])

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        raise self._without(sensor)

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        raise self._without(sensor)

    def read_camera(self, camera: str, index: int) -> CameraImage:
        raise self._without(camera)

    def _without(self, sensor: str) -> MissingRecord:
        return MissingRecord(f"{self.location}: no sensor '{sensor}'; {self.lacks}")

    def read_labels(self, time_ns: int) -> Labels | None:
        """None: the dataset has no labels."""
        return None

    def read_map(self) -> HDMap | None:
        """None: the dataset has no map."""
        return None


def first_times(*kinds: Mapping[str, Times]) -> Times:
    """Returns the stamps of the first sensor there is, by which frames are made; (0,) where there is none."""
    return next((times for streams in kinds for times in streams.values()), np.zeros(0, dtype=np.int64))
