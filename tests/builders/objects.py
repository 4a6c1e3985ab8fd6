"""Databases of objects as tests make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from perceptum.inputs import Labels
from perceptum.inputs.objects import CutObject, ObjectDatabase, ObjectWriter

T0 = 1_700_000_000_000_000_000


def database(
    folder: Path,
    boxes: ArrayLike,
    category: Sequence[str] | str = "car",
    *,
    points: int | Sequence[int] = 20,
    velocity: ArrayLike | None = None,
    lidars: Sequence[str] = ("top",),
    seed: int = 0,
    min_points: int = 1,
    **more: Any,
) -> ObjectDatabase:
    """Objects whose points are anywhere in their boxes, (N, 7), each of one of the lidars in turn."""
    random = np.random.default_rng(seed)
    rows = np.array(boxes, dtype=np.float64).reshape(-1, 7)
    n = len(rows)
    names = np.array([category] * n if isinstance(category, str) else category, dtype=np.str_)
    known = np.full((n, 2), np.nan) if velocity is None else np.array(velocity, np.float64)
    labels = Labels(T0, rows, names, np.array([f"track {k}" for k in range(n)], np.str_), velocity=known)
    folder.mkdir()
    about = {"log": "drive", "frame": "000001", "ground_z": 0.0, "intensity_scale": 1.0, **more}
    with ObjectWriter(folder, min_points) as writer:
        numbers = np.array([writer.lidar(name) for name in lidars], np.uint8)
        for k, m in enumerate([points] * n if isinstance(points, int) else points):
            own = random.uniform(-0.5, 0.5, (m, 3)) * rows[k, 3:6]
            c, s = np.cos(rows[k, 6]), np.sin(rows[k, 6])
            columns: dict[str, Any] = {"x": c * own[:, 0] - s * own[:, 1], "y": s * own[:, 0] + c * own[:, 1]}
            columns |= {"z": own[:, 2], "intensity": random.uniform(0, 1, m), "ring": random.integers(0, 40, m)}
            columns |= {"elongation": random.uniform(0, 1, m), "lidar": numbers[np.arange(m) % len(numbers)]}
            writer.add(labels, [CutObject(k, columns)], **about)
        writer.finish()
    return ObjectDatabase.open(folder)


def spread(n: int, seed: int = 0, within_m: float = 40.0) -> np.ndarray:
    """(n, 7) boxes of cars, anywhere."""
    random = np.random.default_rng(seed)
    places = np.column_stack([random.uniform(-within_m, within_m, (n, 2)), random.uniform(-0.5, 1.5, n)])
    sizes = np.array([4.5, 1.9, 1.6]) * random.uniform(0.8, 1.2, (n, 3))
    return np.column_stack([places, sizes, random.uniform(-np.pi, np.pi, n)])
