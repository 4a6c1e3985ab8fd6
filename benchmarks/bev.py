"""Bird's-eye views: statistics against numpy, the views of ten sweeps against one view of the same sweeps."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from clouds import past_of_ten, recorded, ten_sweeps
from harness import Result, compare, lines, ms, ratio
from peers import bev_by_bincount, bev_by_ufunc_at

from perceptum.builders import InputBuilder

__all__ = ["run"]

RANGE, CELL = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0], [0.2, 0.2, 8.0]
CHANNELS = ["count", "density", "max_z", "min_z", "mean_z", "max_i", "mean_i"]
MOST_FOR_TEN_VIEWS = 1.3
# the cells of IntentNet and FaF
TEMPORAL = {"grid": {"range": [-72, -40, -2, 72, 40, 3.8], "voxel": [0.2, 0.2, 0.2]}, "num_sweeps": 10}


def run(rounds: int = 30) -> list[Result]:
    return [*_statistics(rounds), *_views(rounds)]


def _views(rounds: int) -> list[Result]:
    """Frame after frame of a drive, so that memory holds the frame before."""
    found = []
    for threads, name in ((1, "one thread"), (2, "two threads")):
        one, ten = (
            InputBuilder([own], params={own: TEMPORAL}, threads=threads)
            for own in ("lidar_bev_occupancy", "lidar_bev_temporal")
        )
        frames = {"one view": cycle(past_of_ten()), "ten views": cycle(past_of_ten())}
        work = {
            "one view": lambda one=one, frames=frames: one.build(next(frames["one view"])),
            "ten views": lambda ten=ten, frames=frames: ten.build(next(frames["ten views"])),
        }
        times = compare(rounds, work)
        factor = ratio(times, "ten views", "one view")
        found.append(
            Result(
                f"ten views 720x400x29 of ten sweeps, {name}",
                ms(times["ten views"]),
                f"one view of the ten {ms(times['one view'])}",
                f"{factor:.2f} times the time",
                f"at most {MOST_FOR_TEN_VIEWS:g}",
                factor <= MOST_FOR_TEN_VIEWS,
            )
        )
    return found


def _statistics(rounds: int) -> list[Result]:
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
