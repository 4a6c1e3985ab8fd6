"""What lies in examples/ works as it lies there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perceptum.builders import InputBuilder
from perceptum.features import Spec, canonical
from perceptum.features.models import MODELS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPECS = sorted((EXAMPLES / "specs").glob("*.json"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example_spec_can_be_built(path):
    spec = Spec.from_json(path.read_bytes())
    builder = InputBuilder(spec, training=path.stem.endswith("_training"))
    assert [row.name for row in builder.spec] == [row.name for row in spec]
    assert builder.explain().tensors


def test_what_the_page_of_examples_shows_runs_as_written(monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown
    # as a reader would, one after the other
    space: dict[str, object] = {}
    for text in shown:
        exec(text, space)
    assert "lidar_voxels" in space["tensors"]


def test_these_models_have_a_spec():
    wanted = {
        *("PointPillars", "SECOND", "CenterPoint", "VoxelNeXt", "PV-RCNN", "DSVT", "Cylinder3D"),
        *("PIXOR", "HDNet", "Complex-YOLO", "MV3D", "MotionNet", "FaF", "LaserNet", "RangeNet++", "RangeDet"),
        *("RadarNet", "BEVFusion", "CRN", "PP-Radar"),
        *(
            "VectorNet",
            "LaneGCN",
            "HiVT",
            "QCNet",
            "MTR",
            "MTP",
            "l5kit",
            "nuPlan",
            "IntentNet",
            "MultiXNet",
            "PointRCNN",
        ),
        *("LSS", "BEVDet", "BEVDet4D", "BEVDepth", "PETR", "DETR3D", "BEVFormer", "CaDDN", "PointPainting"),
    }
    assert {model_of(path.stem) for path in SPECS} == wanted


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


def model_of(stem: str) -> str:
    """The model whose name a spec's file name begins with: CenterPoint of centerpoint_voxel_nuscenes."""
    names = {re.sub(r"\W+", "_", model).strip("_").lower(): model for model in MODELS}
    fitting = [name for name in names if stem == name or stem.startswith(f"{name}_")]
    assert fitting, f"{stem}.json is of no model in features/models.py: begin its name with the model's, or add a line"
    return names[max(fitting, key=len)]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_catalogue_names_the_model_of_every_example_spec(path):
    names = {row.name.partition("__")[0] for row in Spec.from_json(path.read_bytes())}
    taken = {name for name in names if not canonical()[name].target}
    assert taken <= set(MODELS[model_of(path.stem)]), "add what it takes to the model's line in features/models.py"
