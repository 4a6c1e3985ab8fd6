"""What lies in examples/ works as it lies there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perceptum.builders import InputBuilder
from perceptum.features import Spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPECS = sorted((EXAMPLES / "specs").glob("*.json"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example_spec_can_be_built(path):
    spec = Spec.from_json(path.read_bytes())
    builder = InputBuilder(spec)
    assert [row.name for row in builder.spec] == [row.name for row in spec]
    assert builder.explain().tensors


def test_there_are_example_specs():
    assert len(SPECS) >= 6


def test_the_example_of_two_models_shows_that_they_share_a_cloud():
    log = "synthetic:frames=2,beams=16,azimuth_steps=600"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "two_models.py", log], capture_output=True, text=True, check=True, timeout=120
    )
    cloud = next(line for line in done.stdout.splitlines() if line.strip().startswith("cloud"))
    assert "shared by" in cloud
    assert "lidar_voxels__pillars" in cloud
    assert "lidar_bev_occupancy__pixor" in cloud
    assert done.stdout.endswith("PointPillars gets the same bytes with and without PIXOR beside it\n")
