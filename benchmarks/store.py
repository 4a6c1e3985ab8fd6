"""The store against the files that datasets come in: opening, iterating over points, and converting."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import Result, compare, ms, ratio
from numba import njit
from numpy.typing import NDArray

from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import LidarSweep, Log
from perceptum.inputs.store import StoreSource

__all__ = ["run"]

SWEEPS = 20
OPENED_MS = 5.0
COLUMNS = ("x", "y", "z", "intensity", "ring", "offset_ns")


def run(rounds: int = 15) -> list[Result]:
    """Opening with one frame's lidar under 5 ms and without a copy; every lidar column summed, side by side."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_reading(Path(folder), rounds), *_converting(Path(folder))]


def _reading(folder: Path, rounds: int) -> list[Result]:
    sweeps = _as_argoverse2(open_log("synthetic", frames=SWEEPS, seed=0))
    convert(memory_log(sweeps), folder / "store")
    feathers = _write_feathers(folder, sweeps)
    bins = _write_bins(folder, sweeps)
    work: dict[str, Callable[[], object]] = {
        "open": lambda: _touch(folder / "store"),
        "store": lambda: _sum_store(folder / "store", COLUMNS),
        "feather": lambda: [_sum_feather(path) for path in feathers],
        "store of five": lambda: _sum_store(folder / "store", COLUMNS[:5]),
        "bin": lambda: [_sum_bin(path) for path in bins],
    }
    _check_same(folder / "store", feathers)
    times = compare(rounds, work)
    quick, least = ratio(times, "feather", "store"), ratio(times, "bin", "store of five")
    opened_ms = median(times["open"]) * 1e3
    points = sum(map(len, sweeps)) / 1e6
    return [
        Result(
            "store: open, and one frame's lidar touched; no byte copied",
            ms(times["open"]),
            "-",
            f"{opened_ms:.2f} ms",
            "under 5 ms",
            opened_ms < OPENED_MS and _copied(folder / "store") == 0,
        ),
        Result(
            f"store: every lidar column summed, {points:.1f} million points of {SWEEPS} sweeps",
            ms(times["store"]),
            f"lz4 feather, pyarrow {ms(times['feather'])}",
            f"{quick:.1f} times as fast",
            "4",
            quick >= 4,
        ),
        Result(
            "store: x y z intensity ring summed",
            ms(times["store of five"]),
            f"float32 .bin, np.fromfile {ms(times['bin'])}",
            f"{least:.1f} times as fast",
            "1",
            least >= 1,
        ),
    ]


def _as_argoverse2(log: Log) -> list[LidarSweep]:
    """The sweeps with the columns and dtypes of Argoverse 2: float16 x y z, uint8 intensity and ring."""
    found = []
    for frame in log:
        sweep = frame.sweeps(1)[0]
        assert sweep.intensity is not None
        assert sweep.ring is not None
        xyz = {axis: getattr(sweep, axis).astype(np.float16) for axis in "xyz"}
        found.append(
            LidarSweep(
                "lidar",
                sweep.time_ns,
                sweep.ego_from_sensor,
                **xyz,
                intensity=sweep.intensity.astype(np.uint8),
                ring=sweep.ring.astype(np.uint8),
                offset_ns=sweep.offset_ns,
            )
        )
    return found


def _columns(sweep: LidarSweep) -> dict[str, NDArray[Any]]:
    return {name: getattr(sweep, name) for name in COLUMNS}


def _write_feathers(folder: Path, sweeps: list[LidarSweep]) -> list[Path]:
    import pyarrow as pa
    from pyarrow import feather

    paths = [folder / f"{sweep.time_ns}.feather" for sweep in sweeps]
    for path, sweep in zip(paths, sweeps, strict=True):
        feather.write_feather(pa.table(_columns(sweep)), str(path), compression="lz4")
    return paths


def _write_bins(folder: Path, sweeps: list[LidarSweep]) -> list[Path]:
    paths = [folder / f"{sweep.time_ns}.bin" for sweep in sweeps]
    for path, sweep in zip(paths, sweeps, strict=True):
        np.stack(list(_columns(sweep).values())[:5], axis=1).astype(np.float32).tofile(path)
    return paths


@njit
def _sum(column: NDArray[Any]) -> float:
    total = column[0] * 0
    for i in range(len(column)):
        total += column[i]
    return float(total)


def _total(column: NDArray[Any]) -> float:
    # compiled, and float16 as the whole number that its bits are: numpy's own sums would take longer than the reading
    return float(_sum(column.view(np.uint16) if column.dtype == np.float16 else column))


def _touch(path: Path) -> float:
    sweep = open_log(path)[SWEEPS // 2].lidar
    assert sweep is not None
    return float(sweep.x[0] + sweep.x[-1])


def _sum_store(path: Path, columns: tuple[str, ...]) -> float:
    sweeps = (frame.lidar for frame in open_log(path))
    return sum(_total(getattr(sweep, name)) for sweep in sweeps for name in columns)


def _sum_feather(path: Path) -> float:
    from pyarrow import feather

    table = feather.read_table(str(path), memory_map=False)
    return sum(_total(table.column(name).to_numpy()) for name in COLUMNS)


def _sum_bin(path: Path) -> float:
    points = np.fromfile(path, dtype=np.float32).reshape(-1, 5)
    return sum(_total(points[:, i]) for i in range(5))


def _check_same(path: Path, feathers: list[Path]) -> None:
    assert _sum_store(path, COLUMNS) == sum(map(_sum_feather, feathers))


def _copied(path: Path) -> int:
    """Returns the bytes of a frame's columns that lie outside the mapped file."""
    log = open_log(path)
    sweep, source = log[0].lidar, log.source
    assert sweep is not None
    assert isinstance(source, StoreSource)
    whole = source.files.whole(source.index.files[0].path)
    mapped = range(whole.address, whole.address + whole.size)
    columns = _columns(sweep).values()
    return sum(c.nbytes for c in columns if c.ctypes.data not in mapped or c.ctypes.data + c.nbytes - 1 not in mapped)


_CONVERT = """
import re, sys, threading, time
from pathlib import Path
from perceptum.convert import convert

def peak_kib(pid):
    # not getrusage: its peak is inherited from the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc", str(pid), "status").read_text())[1])

def at_work(seconds, peaks, ended):
    # running, or ready to run and waiting for a processor that others have: the kernel counts both, in nanoseconds
    while not ended.wait(0.05):
        for path in Path("/proc/self/task").glob("*/children"):
            for pid in path.read_text().split():
                try:
                    seen = [p.read_text().split() for p in Path("/proc", pid, "task").glob("*/schedstat")]
                    peaks[pid] = peak_kib(pid)
                except (OSError, TypeError):
                    continue
                seconds[pid] = max(seconds.get(pid, 0), sum(int(run) + int(ready) for run, ready, _ in seen) * 1e-9)

if __name__ == "__main__":
    seconds, peaks, ended = {}, {}, threading.Event()
    watch = threading.Thread(target=at_work, args=(seconds, peaks, ended))
    watch.start()
    start = time.perf_counter()
    convert(sys.argv[1], sys.argv[2], workers=2, shard_seconds=2.0)
    wall = time.perf_counter() - start
    ended.set()
    watch.join()
    print(wall, sum(seconds.values()), max([peak_kib("self"), *peaks.values()]))
"""


def _converting(folder: Path) -> list[Result]:
    """Two drives, one three times as long: workers kept busy, and the largest process."""
    short, long = (_convert(folder, frames) for frames in (30, 90))
    busy, grown = long[1] / long[0], long[2] / short[2]
    cores = 2
    return [
        Result(
            "store: convert with two workers, the time in which they could use a processor",
            f"{busy:.2f} of {cores} workers",
            "-",
            f"{busy / cores:.2f}",
            "0.75",
            busy / cores >= 0.75,
        ),
        Result(
            "store: convert, memory of the largest process, 90 frames against 30",
            f"{long[2] / 1024:.0f} MB",
            f"30 frames {short[2] / 1024:.0f} MB",
            f"{grown:.2f}",
            "under 1.15",
            grown < 1.15,
        ),
    ]


def _convert(folder: Path, frames: int) -> tuple[float, float, float]:
    """Returns seconds, the workers' seconds at work, and KiB of the largest process."""
    script = folder / "convert_here.py"
    script.write_text(_CONVERT)
    log = f"synthetic:frames={frames},image_size=320x180"
    done = subprocess.run(
        [sys.executable, script, log, str(folder / f"store{frames}")], capture_output=True, text=True, check=True
    )
    wall, at_work, kib = map(float, done.stdout.split())
    return wall, at_work, kib
