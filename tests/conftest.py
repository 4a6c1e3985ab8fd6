"""Fixtures for every folder: the real sensor data, and a log that lives in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from perceptum.inputs import HDMap, Labels, LidarSweep, Log, MissingRecord, Poses

# what a hosted run tests is the same each time; elsewhere new examples are looked for
settings.register_profile("hosted", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("hosted")

REAL_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sensor data, which does not ship; tests that ask for it are marked `data`."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real sensor data (../shared/data beside the checkout) is not here")
    return REAL_DATA.resolve()


class MemorySource:
    """A log of given sweeps: what a dataset reader would answer, without a file."""

    dataset, name, location = "memory", "made by a test", "memory"

    def __init__(self, sweeps: Sequence[LidarSweep], poses: Poses | None, times_ns: Sequence[int] | None) -> None:
        self.sweeps: dict[str, list[LidarSweep]] = {}
        for sweep in sorted(sweeps, key=lambda s: s.time_ns):
            self.sweeps.setdefault(sweep.sensor, []).append(sweep)
        self.lidars = {
            name: np.array([s.time_ns for s in own], dtype=np.int64)
            for name, own in ((n, self.sweeps[n]) for n in dict.fromkeys(s.sensor for s in sweeps))
        }
        self.radars: dict[str, np.ndarray] = {}
        self.cameras: dict[str, np.ndarray] = {}
        stamps = sorted({s.time_ns for s in sweeps}) if times_ns is None else times_ns
        self.times_ns = np.array(stamps, dtype=np.int64)
        self.poses = Poses.fixed(self.times_ns) if poses is None else poses
        self.sequential = True

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return self.sweeps[sensor][index]

    def read_radar(self, sensor: str, index: int):
        raise MissingRecord(f"no radar '{sensor}'")

    def read_camera(self, camera: str, index: int):
        raise MissingRecord(f"no camera '{camera}'")

    def read_labels(self, time_ns: int) -> Labels | None:
        return None

    def read_map(self) -> HDMap | None:
        return None


@pytest.fixture(scope="session")
def memory_log() -> Callable[..., Log]:
    """memory_log(sweeps, poses=None, times_ns=None): a Log of those sweeps; without poses the car stands still."""

    def make(sweeps: Sequence[LidarSweep], poses: Poses | None = None, times_ns: Sequence[int] | None = None) -> Log:
        return Log(MemorySource(sweeps, poses, times_ns))

    return make
