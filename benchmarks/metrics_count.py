"""The metrics of points and of forecasts, from arrays that are loaded to the scores, against nuscenes-devkit and av2;
and the overlap of turned boxes, against shapely.

The devkits run in the environment of `make devkit`, in a process of their own that says how long it took; without it
they are left out. It and we take turns.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness import Result, compare, lines

from perceptum.problems import LidarSegmentation, MotionForecasting
from perceptum.problems.metrics.rotated_overlap import rotated_overlaps

__all__ = ["run"]

ROOT = Path(__file__).resolve().parents[1]
# what is judged, and who asks the devkits, are those of the tests
sys.path.insert(0, str(ROOT / "tests" / "problems"))

from counted import (  # noqa: E402
    forecasts_for_devkit,
    forecasts_judged,
    made_forecasts,
    made_points,
    points_for_devkit,
    points_judged,
)

ENVIRONMENT = ROOT / ".venv-devkit"
WANTED = 10.0
FRAMES, POINTS, AGENTS, STEPS = 20, 34_688, 30, 60


def run(rounds: int = 15) -> list[Result]:
    found = _overlaps(rounds)
    if not ENVIRONMENT.is_dir():
        print("the devkits are not installed: make devkit", file=sys.stderr)
        return found
    points, forecasts = made_points(FRAMES, POINTS), made_forecasts(FRAMES, AGENTS, STEPS)
    of_points, of_agents = LidarSegmentation(), MotionForecasting(params={"agents": {"max_agents": AGENTS}})
    found += _beside(
        f"lidar_segmentation, {FRAMES} frames of {POINTS} points",
        "nuscenes-devkit",
        lambda: points_judged(of_points, *points).summary,
        points_for_devkit(*points),
        rounds,
    )
    return found + _beside(
        f"motion_forecasting, {FRAMES} frames of {AGENTS} agents",
        "av2",
        lambda: forecasts_judged(of_agents, *forecasts).summary,
        forecasts_for_devkit(*forecasts),
        rounds,
    )


def _beside(what: str, peer: str, ours: Callable[[], Any], arrays: dict[str, Any], rounds: int) -> list[Result]:
    command = [ENVIRONMENT / "bin" / "python", "-I", ROOT / "tests" / "problems" / "devkits_count.py"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npz"
        np.savez(path, **arrays)
        env = os.environ | {"MPLCONFIGDIR": folder}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            times: dict[str, list[float]] = {"one thread": [], peer: []}
            # the first round warms both up
            for number in range(rounds + 1):
                process.stdin.write(f"{path}\n")
                process.stdin.flush()
                theirs = json.loads(process.stdout.readline())
                gc.collect()
                gc.disable()
                # they have just loaded the frames, while this processor slept
                for _ in range(5):
                    ours()
                start = perf_counter()
                own = ours()
                took_s = perf_counter() - start
                gc.enable()
                for name, value in own.items():
                    assert name not in theirs or abs(theirs[name] - value) < 1e-9, name
                if number:
                    times["one thread"].append(took_s)
                    times[peer].append(theirs["seconds"])
            process.stdin.close()
    return lines(what, times, peer, {"one thread": WANTED})


def _overlaps(rounds: int) -> list[Result]:
    import shapely

    random = np.random.default_rng(0)
    boxes = [
        np.column_stack(
            [
                random.uniform(-20, 20, (n, 2)),
                random.normal(0, 0.5, n),
                random.uniform(1, 5, (n, 3)),
                random.uniform(-3, 3, n),
            ]
        )
        for n in (100, 60)
    ]

    def polygons(own: Any) -> Any:
        c, s = np.cos(own[:, 6:]), np.sin(own[:, 6:])
        x, y = np.array([1, -1, -1, 1]) * own[:, 3:4] / 2, np.array([1, 1, -1, -1]) * own[:, 4:5] / 2
        return shapely.polygons(np.stack([own[:, :1] + c * x - s * y, own[:, 1:2] + s * x + c * y], axis=-1))

    def by_shapely() -> Any:
        first, second = (polygons(own) for own in boxes)
        both = shapely.area(shapely.intersection(first[:, None], second))
        areas = [own[:, 3] * own[:, 4] for own in boxes]
        return both / (areas[0][:, None] + areas[1] - both)

    work: dict[str, Callable[[], Any]] = {"one thread": lambda: rotated_overlaps(*boxes), "shapely": by_shapely}
    assert np.allclose(work["one thread"]().bev, work["shapely"](), rtol=0, atol=1e-9)
    return lines("overlap of 100 and 60 turned boxes", compare(rounds, work), "shapely", {"one thread": WANTED})
