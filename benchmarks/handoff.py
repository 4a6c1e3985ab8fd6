"""The hand-off of a built tensor to a framework in this process, whatever its size."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from harness import Result, compare

from perceptum.builders import Pool
from perceptum.neuropod import as_tensorflow, as_torch

__all__ = ["run"]

WANTED_US = 20.0
SIZES = {"1 KiB": 2**10, "1 MiB": 2**20, "64 MiB": 2**26}


def run(rounds: int = 200) -> list[Result]:
    """Under 20 microseconds per tensor, and no more for 64 MiB than for 1 KiB."""
    frameworks: dict[str, Callable[[Any], object]] = {
        "torch": as_torch,
        "tensorflow": as_tensorflow,
    }
    return [_line(name, hand, rounds) for name, hand in frameworks.items()]


def _line(framework: str, hand: Callable[[Any], object], rounds: int) -> Result:
    pool = Pool()
    arrays = {name: pool.take(name, (size // 4,), np.dtype(np.float32)).array for name, size in SIZES.items()}
    for array in arrays.values():
        array[:] = 1
        array.flags.writeable = False
    times = compare(rounds, {name: lambda a=array: hand(a) for name, array in arrays.items()})  # type: ignore[misc]
    us = {name: median(took) * 1e6 for name, took in times.items()}
    text = ", ".join(f"{name} {value:.1f}" for name, value in us.items())
    worst = max(us.values())
    return Result(
        f"hand-off to {framework}, µs per tensor", text, "-", f"{worst:.1f} µs", "under 20 µs", worst < WANTED_US
    )
