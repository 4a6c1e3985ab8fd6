"""Points and forecasts, judged by us and by nuScenes' devkit and av2, which run in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perceptum.problems import LidarSegmentation, MotionForecasting

from .counted import (
    forecasts_for_devkit,
    forecasts_judged,
    made_forecasts,
    made_points,
    points_for_devkit,
    points_judged,
)

pytestmark = pytest.mark.devkit

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-devkit"
FRAMES, POINTS, AGENTS, STEPS = 3, 5000, 20, 60


@pytest.fixture(scope="module")
def by_the_devkits():
    def judged(path, **arrays):
        if not ENVIRONMENT.is_dir():
            pytest.skip("the devkits' environment is not here; `make devkit` makes it")
        np.savez(path, **arrays)
        command = [ENVIRONMENT / "bin" / "python", "-I", HERE / "devkits_count.py"]
        done = subprocess.run(command, input=f"{path}\n", text=True, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    return judged


def test_points_are_judged_as_nuscenes_does(by_the_devkits, tmp_path):
    truths, saids = made_points(FRAMES, POINTS)
    theirs = by_the_devkits(tmp_path / "points.npz", **points_for_devkit(truths, saids))
    got = points_judged(LidarSegmentation(), truths, saids)
    np.testing.assert_allclose([own["IoU"] for own in got.classes.values()], theirs["classes"], rtol=0, atol=1e-9)
    assert got.summary["mIoU"] == pytest.approx(theirs["mIoU"], abs=1e-9)
    assert got.summary["FWIoU"] == pytest.approx(theirs["FWIoU"], abs=1e-9)


def test_forecasts_are_judged_as_argoverse_2_does(by_the_devkits, tmp_path):
    made = made_forecasts(FRAMES, AGENTS, STEPS)
    theirs = by_the_devkits(tmp_path / "forecasts.npz", **forecasts_for_devkit(*made))
    problem = MotionForecasting(params={"num_future": STEPS, "agents": {"max_agents": AGENTS}})
    got = forecasts_judged(problem, *made).summary
    assert got == pytest.approx({name: value for name, value in theirs.items() if name != "seconds"}, abs=1e-9)
