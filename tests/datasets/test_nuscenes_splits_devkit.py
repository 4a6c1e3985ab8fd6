"""The splits are those of nuScenes' own devkit, which has them in an environment of its own."""

import json
import subprocess
from pathlib import Path

import pytest

from perceptum.datasets.nuscenes.splits import SPLITS

pytestmark = pytest.mark.devkit

PYTHON = Path(__file__).resolve().parents[2] / ".venv-devkit" / "bin" / "python"
PROGRAM = (
    "import json; from nuscenes.utils.splits import create_splits_scenes; print(json.dumps(create_splits_scenes()))"
)


def test_the_splits_are_the_devkits():
    if not PYTHON.exists():
        pytest.skip("nuScenes' devkit is not installed; `make devkit` does that, in an environment of its own")
    done = subprocess.run([PYTHON, "-c", PROGRAM], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert {name: list(scenes) for name, scenes in SPLITS.items()} == {name: theirs[name] for name in SPLITS}
