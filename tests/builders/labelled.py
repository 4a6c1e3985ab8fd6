"""Frames with labelled boxes of any kind, for targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import Frame, Labels, LidarSweep

T0 = 1_700_000_000_000_000_000


def labelled(
    boxes: ArrayLike | None,
    category: Sequence[str] | str = "car",
    velocity: ArrayLike | None = None,
    num_points: ArrayLike | None = None,
    points: ArrayLike = (),
    **more: Any,
) -> Frame:
    """A frame of a lidar in the vehicle's origin; boxes (N, 7), or None: it has no labels."""
    x, y, z = np.array(points, dtype=np.float32).reshape(-1, 3).T
    sweep = LidarSweep("lidar", T0, np.eye(4), x, y, z)
    if boxes is None:
        return memory_log([sweep], **more)[0]
    rows = np.array(boxes, dtype=np.float64).reshape(-1, 7)
    names = np.array([category] * len(rows) if isinstance(category, str) else category, dtype=np.str_)
    labels = Labels(
        time_ns=T0,
        boxes=rows,
        category=names,
        track_id=np.array([str(k) for k in range(len(rows))], dtype=np.str_),
        velocity=None if velocity is None else np.array(velocity, dtype=np.float64).reshape(-1, 2),
        num_points=None if num_points is None else np.array(num_points, dtype=np.int64),
    )
    return memory_log([sweep], labels=[labels], **more)[0]


def build(
    names: Sequence[Any],
    frame: Frame,
    params: dict[str, Any] | None = None,
    augment: Augment | None = None,
    draw: Draw | None = None,
) -> dict[str, NDArray[Any]]:
    """What a builder of its own makes, in training."""
    built: dict[str, NDArray[Any]] = InputBuilder(names, params=params, training=True, augment=augment).build(
        frame, draw=draw
    )
    return built


def crowd(n: int, seed: int = 0, within_m: float = 50.0) -> tuple[NDArray[np.float64], list[str], NDArray[np.float64]]:
    """(n, 7) boxes, n categories of nuScenes and (n, 2) velocities, of which some are not known."""
    random = np.random.default_rng(seed)
    sizes = np.array([[4.6, 1.9, 1.7], [7.0, 2.5, 3.0], [11.0, 2.9, 3.5], [0.7, 0.7, 1.8], [0.4, 0.4, 1.1]])
    names = np.array(
        ["vehicle.car", "vehicle.truck", "vehicle.bus.rigid", "human.pedestrian.adult", "movable_object.trafficcone"]
    )
    kind = random.integers(0, 5, n)
    boxes = np.column_stack(
        [
            random.uniform(-within_m, within_m, (n, 2)),
            random.uniform(-2, 1, n),
            sizes[kind] * random.uniform(0.8, 1.2, (n, 3)),
            random.uniform(-np.pi, np.pi, n),
        ]
    )
    velocity = random.normal(0, 5, (n, 2))
    velocity[::7] = np.nan
    return boxes, names[kind].tolist(), velocity
