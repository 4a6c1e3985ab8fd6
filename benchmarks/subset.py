"""Building only what is asked for: one tensor against all, and a lidar's spec on a log with every sensor."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from bevfusion import LIDAR, PARAMS
from bevfusion_root import made_bevfusion, open_reading
from harness import Result, compare, ms, ratio

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features import canonical

__all__ = ["run"]

MOST = 1.05


def run(rounds: int = 40) -> list[Result]:
    return [_one_of_many(rounds), _lidar_alone(rounds)]


def _one_of_many(rounds: int) -> Result:
    """lidar_bev_occupancy alone must take under half the time of all lidar features."""
    frame = open_log("synthetic", frames=3, seed=0)[1]
    frame.sweeps()
    lidar = [feature.name for feature in canonical() if feature.name.startswith("lidar_")]
    one, every = InputBuilder(["lidar_bev_occupancy"]), InputBuilder(lidar)
    times = compare(rounds, {"one": lambda: one.build(frame), "all": lambda: every.build(frame)})
    factor = ratio(times, "all", "one")
    what = f"lidar_bev_occupancy alone, against all {len(lidar)} lidar features"
    return Result(what, ms(times["one"]), f"all {ms(times['all'])}", f"{factor:.2f} times as fast", "2", factor > 2)


def _lidar_alone(rounds: int) -> Result:
    """Cameras, radars and the map that a log has as well must cost a lidar's spec nothing: a whole build takes no
    longer than its own stages, as they measure themselves."""
    with tempfile.TemporaryDirectory() as folder:
        log = open_reading(made_bevfusion(Path(folder)))
        builder = InputBuilder(LIDAR, params={"lidar_voxels": PARAMS["lidar_voxels"]})
        whole, stages = [], []
        for number in range(3 + rounds):
            frame = log[-1 - number % 2]
            start = perf_counter()
            built = builder.build(frame)
            took_s = perf_counter() - start
            if number >= 3:
                whole.append(took_s)
                stages.append(sum(built.times_s.values()))
    read = {kind.split("/")[0] for kind in log.reads}
    assert read == {"lidar"}, f"read {', '.join(sorted(read))}"
    factor = median(a / b for a, b in zip(whole, stages, strict=True))
    what = "lidar voxels of ten sweeps alone, of a log with cameras, radars and a map"
    wanted = f"at most {MOST:g}"
    return Result(what, ms(whole), f"its stages {ms(stages)}", f"{factor:.3f} times the time", wanted, factor <= MOST)
