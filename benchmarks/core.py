"""What the builder adds to its kernels: handing out many small tensors, and several callers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from harness import Result, compare
from numpy.typing import NDArray

from perceptum.builders import Filler, InputBuilder, Stages, Written
from perceptum.builders.stage import Clearing
from perceptum.datasets import memory_log, open_log
from perceptum.features import Feature, Group, Params, Schema
from perceptum.inputs import Frame, LidarSweep

__all__ = ["run"]

HAND_OUT_MS = 0.15
CALLERS = 1.8
VOXELS = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]


def run(rounds: int = 40) -> list[Result]:
    return [_hand_out(rounds * 50), _two_callers(rounds)]


class _NoParams(Params, frozen=True, kw_only=True):
    """None."""


class _Many(Filler):
    """A hundred tensors whose filling takes no time."""

    group = "many"

    def __init__(self, params: _NoParams, stages: Stages) -> None:
        super().__init__()
        self.title = "many"

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """Leaves out as it is."""


def _hand_out(rounds: int) -> Result:
    tensors = tuple(
        Feature(name=f"tensor_{k}", dtypes=("float32",), shape=(256,), units="none", frame="none") for k in range(100)
    )
    group = Group(name="many", params=_NoParams(), features=tensors, filler=_Many)
    builder = InputBuilder([f.name for f in tensors], schema=Schema("many", "1", (group,)))
    frame = memory_log([LidarSweep("lidar", 10**9, np.eye(4), *np.zeros((3, 1), np.float32))])[0]
    times = compare(rounds, {"build": lambda: builder.build(frame)})["build"]
    ms = median(times) * 1e3
    ours = f"{ms:.3f} ms (least {min(times) * 1e3:.3f})"
    return Result("100 tensors of 1 KiB handed out", ours, "-", f"{ms:.3f} ms", "under 0.15 ms", ms < HAND_OUT_MS)


def _two_callers(rounds: int, builds: int = 12) -> Result:
    """Frames per second of two threads that call one builder, over those of one."""
    params = {"lidar_voxels": {"preset": "centerpoint_pillar_nus", "max_voxels": 60_000}}
    builder = InputBuilder([*VOXELS, "lidar_bev_occupancy"], params={**params, "frame": "lidar"})
    frames = list(open_log("synthetic", frames=14, seed=0).frames(10, 14))

    def call(own: list[Frame]) -> None:
        for k in range(builds):
            builder.build(own[k % len(own)])

    def two() -> None:
        list(callers.map(call, [frames[:2], frames[2:]]))

    def one() -> None:
        call(frames[:2])

    with ThreadPoolExecutor(2) as callers:
        two()
        times: dict[str, list[float]] = {"one": [], "two": []}
        for _ in range(rounds):
            for name, work in (("one", one), ("two", two)):
                start = perf_counter()
                work()
                times[name].append((perf_counter() - start) / (builds * (2 if name == "two" else 1)))
    factor = median(a / b for a, b in zip(times["one"], times["two"], strict=True))
    rates = {name: 1 / median(took) for name, took in times.items()}
    return Result(
        "two callers on one builder, frames per second",
        f"{rates['two']:.0f}",
        f"one caller {rates['one']:.0f}",
        f"{factor:.2f} times as many",
        f"{CALLERS:g}",
        factor >= CALLERS,
    )
