"""Ten sweeps from nuScenes' files to one tensor, moved and without what is close, against nuscenes-devkit.

Files are in the page cache, and every build reads them again; from our store it maps them again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from clouds import SWEEP, SWEEPS, made_nuscenes
from harness import Result, compare, lines
from peers import devkit_sweeps

from perceptum.builders import InputBuilder
from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.inputs import Log, LogError
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["run"]

PARAMS = {
    "num_sweeps": SWEEPS,
    "frame": "lidar",
    "remove_close": 1.0,
    "intensity_mode": "raw",
    "columns": ["x", "y", "z", "intensity", "time_lag"],
}


def run(rounds: int = 40) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        root = made_nuscenes(Path(folder))
        log = open_log(root, cache_bytes=0)
        convert(root, Path(folder) / "store")
        store = open_log(Path(folder) / "store", cache_bytes=0)
        builders = [InputBuilder(["lidar_points"], params={"lidar_points": PARAMS}, threads=t) for t in (1, 2)]
        peer = devkit_sweeps(_sweeps(log))
        work: dict[str, Any] = {
            "one thread": lambda: builders[0].build(log[-1]),
            "two threads": lambda: builders[1].build(log[-1]),
            "store, one thread": lambda: builders[0].build(store[-1]),
            "store, two threads": lambda: builders[1].build(store[-1]),
            "nuscenes-devkit": lambda: _as_rows(*peer()),
        }
        _check_same(work)
        times = compare(rounds, work)
    what = f"{SWEEPS} sweeps of {SWEEP} points, (N, 5)"
    files = {"one thread": 6.0, "two threads": 8.0}
    mapped = {"store, one thread": 12.0, "store, two threads": 15.0}
    return [
        *lines(f"nuScenes' files, {what}", times, "nuscenes-devkit", files),
        *lines(f"the same from the store, {what}", times, "nuscenes-devkit", mapped),
    ]


def _sweeps(log: Log) -> list[Any]:
    """What the devkit's tables say of the last frame's sweeps, newest first."""
    found = []
    for sweep in log[-1].sweeps(SWEEPS):
        pose = log.source.poses.at(sweep.time_ns)
        found.append((Path(sweep.source), sweep.time_ns // 1000, _parts(pose), _parts(sweep.ego_from_sensor)))
    if len(found) != SWEEPS or any(len(sweep) != SWEEP for sweep in log[-1].sweeps(SWEEPS)):
        raise LogError("not the sweeps that the benchmark names")
    return found


def _parts(transform: Any) -> tuple[Any, Any]:
    return transform[:3, 3], quaternion_from_rotation(transform[:3, :3])


def _as_rows(points: Any, times: Any) -> Any:
    """The one tensor of float32 rows that a detector takes."""
    return np.concatenate([points, times]).T.astype(np.float32, order="C")


def _check_same(work: dict[str, Any]) -> None:
    results = {name: call() for name, call in work.items()}
    theirs = results.pop("nuscenes-devkit")
    for name, tensors in results.items():
        ours = tensors["lidar_points"]
        assert ours.shape == theirs.shape, f"{name}: {ours.shape} against {theirs.shape}"
        assert np.abs(ours - theirs).max() < 1e-4, f"{name}: not the same points"
