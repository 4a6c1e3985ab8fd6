"""Map rasters 6x200x200: whole builds, against OpenCV fed by numpy, by shapely, and as nuscenes-devkit does it.

Frame after frame of a drive, each competitor all of them in its turn: the first after another's turn finds the caches
full of what the other one had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, compare, lines
from map_raster_peer import CELL, RANGE, SIZE, Draw, as_devkit, by_numpy, by_shapely
from numpy.typing import NDArray
from towns import town_log

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs import Frame, Log

__all__ = ["run"]

BEVFUSION = ("drivable_area", "crossing", "walkway", "stop_line", "carpark_area", "road_divider+lane_divider")
ARGOVERSE = ("drivable_area", "lane", "crossing", "lane_divider", "lane_centerline", "lane_boundary")
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "argoverse2" / "sensor"


def run(rounds: int = 15) -> list[Result]:
    results = _of("a town as dense as nuScenes' maps", town_log(), BEVFUSION, rounds, with_devkit=True)
    real = sorted(REAL.glob("*/*")) if REAL.is_dir() else []
    if real:
        results += _of("an Argoverse 2 map", open_log(real[0]), ARGOVERSE, rounds)
    return results


def _of(what: str, log: Log, layers: tuple[str, ...], rounds: int, with_devkit: bool = False) -> list[Result]:
    """with_devkit: its way takes half a second a frame of a town, of which it draws one."""
    hdmap = log[0].map
    assert hdmap is not None
    row = {"name": "map_raster", "dtype": "uint8", "shape": [len(layers), SIZE, SIZE]}
    params = {"range": RANGE, "cell": CELL, "layers": layers, "required": True}
    builders = {rule: InputBuilder([{**row, "params": {**params, "rule": rule}}]) for rule in ("center", "cv2")}
    peers = {
        "boxes in numpy and cv2.fillPoly": _around(by_numpy(hdmap, layers)),
        "shapely clip and cv2.fillPoly": _around(by_shapely(hdmap, layers)),
    }
    for frame in log:
        own, theirs = builders["cv2"].build(frame)["map_raster"], peers["boxes in numpy and cv2.fillPoly"](frame)
        assert np.array_equal(own, theirs), "not the same cells"
        clipped = peers["shapely clip and cv2.fillPoly"](frame)
        # it does not know of tilt, and cut ends are rounded
        assert np.mean(own != clipped) < 0.1, "not the same cells"
    work: dict[str, Callable[[], Any]] = {}
    for name, builder in builders.items():
        work[f"rule {name}"] = _each(log, lambda frame, own=builder: own.build(frame))
    for name, draw in peers.items():
        work[name] = _each(log, draw)
    times = {name: [took_s / len(log) for took_s in own] for name, own in compare(rounds, work).items()}
    title = f"map raster {len(layers)}x{SIZE}x{SIZE}, {what}, a frame of {len(log)}"
    wanted = {"rule center": 2.5, "rule cv2": 2.5}
    results = lines(title, times, "boxes in numpy and cv2.fillPoly", wanted)
    results += lines(title, times, "shapely clip and cv2.fillPoly", dict.fromkeys(wanted, 8.0))
    if not with_devkit:
        return results
    by_devkit = _each([log[10]], _around(as_devkit(hdmap, layers)))
    found = compare(3, {"rule cv2": work["rule cv2"], "nuscenes-devkit's way": by_devkit}, warm=1)
    times = found | {"rule cv2": [took_s / len(log) for took_s in found["rule cv2"]]}
    return results + lines(title, times, "nuscenes-devkit's way", {"rule cv2": 300.0})


def _each(frames: Iterable[Frame], make: Callable[[Frame], Any]) -> Callable[[], Any]:
    kept = list(frames)

    def of_all() -> None:
        for frame in kept:
            make(frame)

    return of_all


def _around(draw: Draw) -> Callable[[Frame], NDArray[np.uint8]]:
    """Draws in the vehicle's axes."""

    def around(frame: Frame) -> NDArray[np.uint8]:
        world_from_ego = frame.world_from_ego
        return draw(world_from_ego, world_from_ego[2, 3])

    return around
