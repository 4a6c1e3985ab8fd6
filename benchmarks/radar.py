"""Six cycles of five radars from nuScenes' files to one tensor, moved and filtered, against nuscenes-devkit.

Files are in the page cache, and every build reads them again; from our store it maps them again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from clouds import CYCLES, made_nuscenes_radars
from harness import Result, compare, lines
from peers import devkit_radar_sweeps

from perceptum.builders import InputBuilder
from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.inputs import Log, LogError
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["run"]

COLUMNS = ["x", "y", "z", "rcs", "vx_comp", "vy_comp", "time_lag"]
PARAMS = {
    "num_sweeps": CYCLES,
    "frame": "lidar",
    "filter": "devkit",
    # as the devkit leaves them, so that both can be compared
    "velocity_axes": "sensor",
    "columns": COLUMNS,
    "max_points": None,
}


def run(rounds: int = 40) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        root = made_nuscenes_radars(Path(folder))
        log = open_log(root, cache_bytes=0)
        convert(root, Path(folder) / "store")
        store = open_log(Path(folder) / "store", cache_bytes=0)
        builders = [InputBuilder(["radar_points"], params={"radar_points": PARAMS}, threads=t) for t in (1, 2)]
        peer = devkit_radar_sweeps(*_cycles(log))
        work: dict[str, Any] = {
            "one thread": lambda: builders[0].build(log[-1]),
            "two threads": lambda: builders[1].build(log[-1]),
            "store, one thread": lambda: builders[0].build(store[-1]),
            "nuscenes-devkit": peer,
        }
        detections = sum(len(cycle) for cycle in log[-1].radar_sweeps(CYCLES))
        _check_same(work)
        times = compare(rounds, work)
    what = f"{len(log.source.radars)} radars, {CYCLES} cycles each, {detections} detections, (N, 7)"
    return [
        *lines(f"nuScenes' files, {what}", times, "nuscenes-devkit", {"one thread": 6.0, "two threads": 6.0}),
        *lines(f"the same from the store, {what}", times, "nuscenes-devkit", {"store, one thread": 6.0}),
    ]


def _cycles(log: Log) -> tuple[Any, Any]:
    """What the devkit's tables say: of the lidar at the last frame, and of each radar's cycles, newest first."""
    frame = log[-1]
    lidar = frame.lidar
    if lidar is None:
        raise LogError("no lidar, whose axes the benchmark takes")
    found = []
    for name in log.source.radars:
        cycles = frame.radar_sweeps(CYCLES, name)
        if len(cycles) != CYCLES:
            raise LogError("not the cycles that the benchmark names")
        own = [(Path(c.source), c.time_ns // 1000, _parts(log, c.time_ns), _place(c.ego_from_sensor)) for c in cycles]
        found.append(own)
    return (frame.time_ns // 1000, _parts(log, frame.time_ns), _place(lidar.ego_from_sensor)), found


def _parts(log: Log, time_ns: int) -> tuple[Any, Any]:
    return _place(log.source.poses.at(time_ns))


def _place(transform: Any) -> tuple[Any, Any]:
    return transform[:3, 3], quaternion_from_rotation(transform[:3, :3])


def _check_same(work: dict[str, Any]) -> None:
    results = {name: call() for name, call in work.items()}
    theirs = results.pop("nuscenes-devkit")
    # the devkit takes one radar after the other, we all cycles by their time
    theirs = theirs[np.argsort(theirs[:, -1], kind="stable")]
    for name, tensors in results.items():
        ours = tensors["radar_points"]
        assert ours.shape == theirs.shape, f"{name}: {ours.shape} against {theirs.shape}"
        assert np.abs(ours - theirs).max() < 1e-4, f"{name}: not the same detections"
