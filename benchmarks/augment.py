"""What augmentation costs: whole builds with a draw, against those of a builder without it.

Ten sweeps from nuScenes' files, which are read again by every build, in hard voxels of .075 m. Each build has a draw of
its own, and two frames take turns: of a frame that follows itself what is left in memory need not be cleared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from typing import Any

from clouds import SWEEPS, made_nuscenes
from harness import Result, compare, ms, ratio

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs import Frame

__all__ = ["run"]

OFF = "off"
MOST = 1.1

NAMES = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
PARAMS = {
    "lidar_voxels": {
        "num_sweeps": SWEEPS,
        "frame": "lidar",
        "remove_close": 1.0,
        "columns": ["x", "y", "z", "intensity", "time_lag"],
        "grid": {"range": [-54, -54, -5, 54, 54, 3], "voxel": [0.075, 0.075, 0.2]},
        "max_points_per_voxel": 10,
        "max_voxels": 160_000,
    }
}

MOVED: dict[str, Any] = {"rotate": 0.7854, "flip_x": 0.5, "flip_y": 0.5, "scale": 0.1, "translate": 0.5}
LIDAR = {
    "moved": Augment(**MOVED),
    "moved, a tenth dropped": Augment(**MOVED, drop_points=0.1),
    "moved and shuffled": Augment(**MOVED, shuffle_points=True),
    "moved, a tenth dropped, shuffled": Augment(**MOVED, drop_points=0.1, shuffle_points=True),
}


def run(rounds: int = 40) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(made_nuscenes(Path(folder)), cache_bytes=0)
        frames = [log[-2], log[-1]]
        what = f"augmentation, {SWEEPS} sweeps in .075 m voxels"
        return [result for threads in (1, 2) for result in race(what, rounds, frames, NAMES, PARAMS, LIDAR, threads)]


def race(
    what: str,
    rounds: int,
    frames: list[Frame],
    names: list[str],
    params: dict[str, Any],
    ways: dict[str, Augment],
    threads: int,
) -> list[Result]:
    """Returns a line for each way to augment, against none."""
    work: dict[str, Callable[[], Any]] = {OFF: _plain(frames, names, params, threads)}
    work |= {way: _drawn(frames, names, params, augment, threads) for way, augment in ways.items()}
    times = compare(rounds, work)
    found = []
    for way in ways:
        factor = ratio(times, way, OFF)
        text, peer = f"{factor:.2f} times the time", f"{OFF} {ms(times[OFF])}"
        title = f"{what}, {way}, {'one thread' if threads == 1 else 'two threads'}"
        found.append(Result(title, ms(times[way]), peer, text, f"at most {MOST:g}", factor <= MOST))
    return found


def _plain(frames: list[Frame], names: list[str], params: dict[str, Any], threads: int) -> Callable[[], Any]:
    builder, turns = InputBuilder(names, params=params, threads=threads), cycle(frames)
    return lambda: builder.build(next(turns))


def _drawn(
    frames: list[Frame], names: list[str], params: dict[str, Any], augment: Augment, threads: int
) -> Callable[[], Any]:
    builder = InputBuilder(names, params=params, augment=augment, threads=threads)
    turns, numbers = cycle(frames), count()
    return lambda: builder.build(next(turns), draw=Draw(0, 0, next(numbers)))
