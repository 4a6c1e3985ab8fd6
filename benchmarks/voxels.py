"""Hard voxels against spconv's Point2VoxelCPU3d, whole builds: from records in memory to the three tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from clouds import one_sweep, recorded, ten_sweeps
from harness import Result, compare, lines
from peers import spconv_voxels

from perceptum.builders import InputBuilder

__all__ = ["run"]

NAMES = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
NEAR = [-51.2, -51.2, -5, 51.2, 51.2, 3]
# name, cloud, range, voxel, points per voxel, most voxels, wanted ratios with one thread and with two
CASES = [
    (".16 m pillars, one sweep", one_sweep, [0, -39.68, -3, 69.12, 39.68, 1], [0.16, 0.16, 4], 32, 40_000, 2.5, 3.0),
    (".16 m pillars all round, one sweep", one_sweep, NEAR, [0.16, 0.16, 8], 32, 60_000, 2.5, 3.0),
    (".2 m pillars, ten sweeps", ten_sweeps, NEAR, [0.2, 0.2, 8], 20, 60_000, 2.2, 3.0),
    (".25 m pillars, ten sweeps", ten_sweeps, [-50, -50, -5, 50, 50, 3], [0.25, 0.25, 8], 20, 60_000, 2.2, 3.0),
    (".1 m voxels, ten sweeps", ten_sweeps, NEAR, [0.1, 0.1, 0.2], 10, 120_000, 2.0, 2.8),
    (".075 m voxels, ten sweeps", ten_sweeps, [-54, -54, -5, 54, 54, 3], [0.075, 0.075, 0.2], 10, 160_000, 2.0, 2.8),
]


def run(rounds: int = 40) -> list[Result]:
    found = []
    for name, cloud, low_high, voxel, per_voxel, most, one, two in CASES:
        points = cloud()
        params = {
            "grid": {"range": low_high, "voxel": voxel},
            "max_points_per_voxel": per_voxel,
            "max_voxels": most,
            "columns": ["x", "y", "z", "intensity"],
        }
        frame = recorded(points)
        spconv = spconv_voxels(points, low_high, voxel, per_voxel, most)
        work: dict[str, Callable[[], object]] = {
            name: partial(InputBuilder(NAMES, params={"lidar_voxels": params}, threads=threads).build, frame)
            for name, threads in (("one thread", 1), ("two threads", 2))
        }
        for build in list(work.values()):
            for ours, theirs in zip(build().values(), spconv(), strict=True):  # type: ignore[attr-defined]
                assert np.array_equal(ours, theirs), "not the same voxels: the comparison means nothing"
        times = compare(rounds, {**work, "spconv": spconv})
        found += lines(f"hard voxels, {name}", times, "spconv", {"one thread": one, "two threads": two})
    return found
