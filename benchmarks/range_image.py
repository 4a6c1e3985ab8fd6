"""A range image of 64 x 2048 cells and five channels, against numpy."""

from __future__ import annotations

import numpy as np
from clouds import one_sweep, recorded
from harness import Result, compare, lines
from peers import range_image_by_argsort, range_image_by_packed_key

from perceptum.builders import InputBuilder

__all__ = ["run"]

SIZE, FOV_DEG = (64, 2048), (3.0, -25.0)


def run(rounds: int = 30) -> list[Result]:
    points = one_sweep()
    frame = recorded(points)
    builder = InputBuilder(["lidar_range_image"], params={"lidar_range_image": {"fov": list(FOV_DEG)}})
    work = {
        "one thread": lambda: builder.build(frame),
        "packed-key np.minimum.at": range_image_by_packed_key(points, *SIZE, FOV_DEG),
        "argsort": range_image_by_argsort(points, *SIZE, FOV_DEG),
    }
    ours = builder.build(frame)["lidar_range_image"]
    for name in ("packed-key np.minimum.at", "argsort"):
        # another arctangent: its last bit puts one point in a hundred thousand into the next cell
        differ = (np.abs(ours - work[name]()) > 1e-3).any(axis=0).mean()
        assert differ < 1e-4, f"{name}: {differ:.1%} of the cells differ"
    times = compare(rounds, work)
    what = "range image 64x2048, one sweep"
    return [
        *lines(what, times, "packed-key np.minimum.at", {"one thread": 2.5}),
        *lines(what, times, "argsort", {"one thread": 11.0}),
    ]
