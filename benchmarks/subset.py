"""Building only what is asked for: one tensor against all."""

from __future__ import annotations

from harness import Result, compare, ms, ratio

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features import canonical

__all__ = ["run"]


def run(rounds: int = 40) -> list[Result]:
    """lidar_bev_occupancy alone must take under half the time of all lidar features."""
    frame = open_log("synthetic", frames=3, seed=0)[1]
    frame.sweeps()
    lidar = [feature.name for feature in canonical() if feature.name.startswith("lidar_")]
    one, every = InputBuilder(["lidar_bev_occupancy"]), InputBuilder(lidar)
    times = compare(rounds, {"one": lambda: one.build(frame), "all": lambda: every.build(frame)})
    factor = ratio(times, "all", "one")
    what = f"lidar_bev_occupancy alone, against all {len(lidar)} lidar features"
    return [Result(what, ms(times["one"]), f"all {ms(times['all'])}", f"{factor:.2f} times as fast", "2", factor > 2)]
