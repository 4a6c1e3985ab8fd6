"""How benchmarks measure: the competitors take turns in one run, and what counts is the ratio of their times.

A slow moment of the machine then falls on all of them. Ratios are medians over rounds, taken round by round.
"""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

__all__ = ["Result", "compare", "lines", "machine", "ms", "ratio"]


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    what: str
    ours: str
    peer: str
    ratio: str
    wanted: str
    met: bool


def compare(rounds: int, work: Mapping[str, Callable[[], object]], warm: int = 3) -> dict[str, list[float]]:
    """Returns the seconds that each piece of work took, round by round, taking turns."""
    for _ in range(warm):
        for function in work.values():
            function()
    times: dict[str, list[float]] = {name: [] for name in work}
    gc.disable()
    try:
        for number in range(rounds):
            names = list(work) if number % 2 else list(reversed(work))
            for name in names:
                start = perf_counter()
                work[name]()
                times[name].append(perf_counter() - start)
    finally:
        gc.enable()
    return times


def ratio(times: Mapping[str, list[float]], slow: str, quick: str) -> float:
    """Returns how many times as fast `quick` is: the median over rounds."""
    return median(a / b for a, b in zip(times[slow], times[quick], strict=True))


def ms(times: list[float]) -> str:
    return f"{median(times) * 1e3:.2f} ms (least {min(times) * 1e3:.2f})"


def lines(what: str, times: Mapping[str, list[float]], peer: str, wanted: Mapping[str, float]) -> list[Result]:
    """Returns a line for each of our ways in `wanted`, against one peer: how many times as fast it must be."""
    found = []
    for own, least in wanted.items():
        factor = ratio(times, peer, own)
        text = f"{factor:.2f} times as fast"
        ours, theirs = ms(times[own]), f"{peer} {ms(times[peer])}"
        found.append(Result(f"{what}, {own}", ours, theirs, text, f"{least:g}", factor >= least))
    return found


def machine() -> str:
    """Returns the processor and its count, for the table's head."""
    found = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{found[0] if found else platform.processor()}, {len(found)} cores, Python {platform.python_version()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
