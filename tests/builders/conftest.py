"""Clouds of any content as frames, fed through the public door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.inputs import Frame, LidarSweep, Log

T0 = 1_700_000_000_000_000_000


@pytest.fixture(scope="session")
def sweep_of() -> Callable[..., LidarSweep]:
    """sweep_of(xyz, intensity=None, time_ns=T0, ...): a sweep whose sensor stands at the ego origin."""

    def make(xyz: Any, intensity: Any = None, time_ns: int = T0, sensor: str = "top", **more: Any) -> LidarSweep:
        xyz = np.asarray(xyz).reshape(-1, 3)
        ego_from_sensor = more.pop("ego_from_sensor", np.eye(4))
        x, y, z = xyz[:, 0], xyz[:, 1], xyz[:, 2]
        return LidarSweep(sensor, time_ns, ego_from_sensor, x, y, z, intensity=intensity, **more)

    return make


@pytest.fixture(scope="session")
def frame_of(memory_log: Callable[..., Log], sweep_of: Callable[..., LidarSweep]) -> Callable[..., Frame]:
    """frame_of(xyz, intensity=None, ...): the one frame of a log with that sweep."""

    def make(xyz: Any, intensity: Any = None, **more: Any) -> Frame:
        return memory_log([sweep_of(xyz, intensity, **more)])[0]

    return make


@pytest.fixture(scope="session")
def build() -> Callable[..., dict[str, np.ndarray]]:
    """build(names, frame, params): the tensors of feature names, from a builder of its own."""

    def make(names: Any, frame: Frame, params: Any = None, **options: Any) -> dict[str, np.ndarray]:
        return InputBuilder(names, params=params, **options).build(frame)

    return make


@pytest.fixture(scope="session")
def street() -> Callable[..., np.ndarray]:
    """street(n, seed): (n, 4) float32 points of a made-up scene, clustered so that voxels fill up."""

    def make(n: int, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        centres = random.uniform((-40, -40, -2), (40, 40, 1), (max(n // 50, 1), 3))
        xyz = centres[random.integers(len(centres), size=n)] + random.normal(0, 0.15, (n, 3))
        return np.column_stack([xyz, random.integers(0, 256, n)]).astype(np.float32)

    return make
