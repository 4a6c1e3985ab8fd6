"""Statistics of a bird's-eye view, 512 x 512 cells of seven channels, against numpy."""

from __future__ import annotations

import numpy as np
from clouds import recorded, ten_sweeps
from harness import Result, compare, lines
from peers import bev_by_bincount, bev_by_ufunc_at

from perceptum.builders import InputBuilder

__all__ = ["run"]

RANGE, CELL = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0], [0.2, 0.2, 8.0]
CHANNELS = ["count", "density", "max_z", "min_z", "mean_z", "max_i", "mean_i"]


def run(rounds: int = 30) -> list[Result]:
    points = ten_sweeps()
    frame = recorded(points)
    params = {"channels": CHANNELS, "grid": {"range": RANGE, "voxel": CELL}}
    builders = [InputBuilder(["lidar_bev_stats"], params={"lidar_bev_stats": params}, threads=t) for t in (1, 2)]
    work = {
        "one thread": lambda: builders[0].build(frame),
        "two threads": lambda: builders[1].build(frame),
        "np.bincount and .at": bev_by_bincount(points, RANGE, CELL, 63),
        "ufunc.at": bev_by_ufunc_at(points, RANGE, CELL, 63),
    }
    ours = builders[0].build(frame)["lidar_bev_stats"]
    assert np.array_equal(ours, builders[1].build(frame)["lidar_bev_stats"])
    for name in ("np.bincount and .at", "ufunc.at"):
        assert np.allclose(ours, work[name](), rtol=1e-6, atol=1e-6), f"{name}: not the same statistics"
    times = compare(rounds, work)
    what = "bird's-eye view statistics 512x512, 7 channels, ten sweeps"
    return [
        *lines(what, times, "np.bincount and .at", {"one thread": 5.0, "two threads": 7.0}),
        *lines(what, times, "ufunc.at", {"one thread": 12.0}),
    ]
