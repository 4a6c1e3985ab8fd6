"""The detection metrics, from boxes that are loaded to the summary, against nuscenes-devkit and av2.

Both run in the environment of `make devkit`, in a process of their own that says how long it took; without it nothing
is measured. It and we take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness import Result, lines

from perceptum.problems.metrics.argoverse2_detection import Argoverse2Detection
from perceptum.problems.metrics.nuscenes_detection import NuscenesDetection

__all__ = ["run"]

ROOT = Path(__file__).resolve().parents[1]
# the boxes, and who asks the devkits, are those of the tests
sys.path.insert(0, str(ROOT / "tests" / "problems"))

from boxes import ARGOVERSE2, NUSCENES, made, pooled  # noqa: E402

ENVIRONMENT = ROOT / ".venv-devkit"
WANTED = 10.0
FRAMES = 40


def run(rounds: int = 7) -> list[Result]:
    if not (ENVIRONMENT / ".installed").exists():
        print("the devkits are not installed: make devkit", file=sys.stderr)
        return []
    cases: list[tuple[str, str, Any, tuple[str, ...], float]] = [
        ("nuScenes' metric", "nuscenes", NuscenesDetection(NUSCENES), NUSCENES, 50.0),
        ("Argoverse 2's metric", "argoverse2", Argoverse2Detection(ARGOVERSE2), ARGOVERSE2, 150.0),
    ]
    found = []
    with _Devkits() as devkits:
        for what, judge, metric, classes, range_m in cases:
            observations = made(0, classes, frames=FRAMES, objects=60, range_m=range_m)
            theirs = devkits.asked(judge, pooled(observations, classes))
            ours = metric.score(observations)
            for name, number in theirs["summary"].items():
                assert abs(ours.summary[name] - number) < 1e-9, f"{name} is {ours.summary[name]}, wanted {number}"
            times: dict[str, list[float]] = {"one thread": [], "devkit": []}
            for _ in range(rounds):
                start = perf_counter()
                metric.score(observations)
                times["one thread"].append(perf_counter() - start)
                times["devkit"].append(devkits.again()["seconds"])
            counts = f"{FRAMES} frames, {ours.counts['detections']} detections"
            peer = "nuscenes-devkit" if judge == "nuscenes" else "av2"
            times[peer] = times.pop("devkit")
            found += lines(f"{what}, {counts}", times, peer, {"one thread": WANTED})
    return found


class _Devkits:
    def __enter__(self) -> _Devkits:
        self._folder = tempfile.TemporaryDirectory()
        command = [ENVIRONMENT / "bin" / "python", "-I", ROOT / "tests" / "problems" / "devkits_judge.py"]
        env = os.environ | {"MPLCONFIGDIR": str(ENVIRONMENT / "matplotlib")}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def asked(self, judge: str, arrays: dict[str, Any]) -> dict[str, Any]:
        path = Path(self._folder.name) / "boxes.npz"
        np.savez(path, **arrays)
        self._line = json.dumps({"judge": judge, "boxes": str(path)})
        return self.again()

    def again(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self._line + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
