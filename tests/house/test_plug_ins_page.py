"""docs/plug_ins.md is a whole package of others: built, installed, and found; its own tests pass."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from perceptum import builders

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plug_ins.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```\w+(?: no-run)? (?P<name>\S+\.\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
EMPTY = "acme_perception/__init__.py"
FILES = {found["name"]: found["text"] for found in FILE.finditer(PAGE)}
BUILD = "from hatchling.build import build_wheel; build_wheel('..')"


@pytest.fixture(scope="module")
def package(once) -> Path:
    """The folder in which the page's package lies, and `installed` beside it, as pip would unpack its wheel."""

    def make(folder: Path) -> None:
        for name, text in {EMPTY: "", **FILES}.items():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_text(text)
        done = run(BUILD, folder / "source", {})
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder / "installed")

    pytest.importorskip("hatchling", reason="building needs the package 'hatchling'")
    return once("plug_ins_page", make)


def run(program: str, cwd: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **more}, capture_output=True, text=True, check=False)


def installed(package: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{package / 'installed'}:{os.environ['PYTHONPATH']}"}


def test_the_page_shows_a_whole_package_with_short_parts():
    modules = [name for name in FILES if name.startswith("acme_perception/")]
    assert len(modules) == 3
    tree = PAGE.split("```\n")[1]
    assert {line.split()[0] for line in tree.splitlines()} == {EMPTY, *FILES}
    for name in modules:
        statements = [
            line for line in FILES[name].splitlines() if line.strip() and not line.startswith(("import", "from"))
        ]
        assert len(statements) <= 25


@pytest.mark.slow
def test_the_tests_of_the_pages_package_pass_once_it_is_installed(package, tmp_path):
    tests = package / "source" / "tests"
    program = f"import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {str(tests)!r}]))"
    done = run(program, tmp_path, installed(package))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert "9 passed" in done.stdout


LOOK = """
import perceptum as pc
from perceptum.datasets import DATASETS
from perceptum.datasets.detect import _formats
import acme_perception.feature

assert str(acme_perception.feature.__file__).startswith({where!r})
assert pc.features().families["acme"] == ("acme_free_range",)
assert pc.features().families["acme_height_spread"] == ("acme_height_spread",)
assert pc.features().describe("acme_height_spread")["shared"][0]["name"] == "cloud"
assert "acme_drive" in _formats()
assert "free range" in repr(pc.InputBuilder(["acme_free_range"]).explain())
"""


def test_the_pages_package_is_found_once_it_is_installed(package, tmp_path):
    done = run(LOOK.format(where=str(package)), tmp_path, installed(package))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_lists_every_stage_that_can_be_shared():
    """What may be shared is public: a class of the face of perceptum.builders that is a Stage, and no Filler."""
    shared = {
        name
        for name in builders.__all__
        if inspect.isclass(stage := getattr(builders, name))
        and issubclass(stage, builders.Stage)
        and not issubclass(stage, builders.Filler)
    } - {"Stage", "GridCells", "PointStage"}
    cameras = {"CameraPixels", "CameraPoses", "CameraSight", "CameraViews", "DecodedPictures", "Projection"}
    others = {"Agents", "Tracks", "Drawn", "LabelBoxes", "MapAround", "MapBits"}
    assert shared == {"Cells", "Cloud", "RadarCells", "RadarCloud", "Reference", "Voxelization"} | cameras | others
    assert set(re.findall(r"^\| `stages.share\((\w+)", PAGE, re.MULTILINE)) == shared | {"YOURS"}


def test_every_stage_of_ours_that_fillers_share_is_public():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "builders").rglob("*.py")]
    stage = re.compile(r"^class (\w+)\((?:Stage|GridCells|PointStage)\)", re.MULTILINE)
    classes = {name for text in sources for name in stage.findall(text)}
    assert classes - {"Filler"} <= set(builders.__all__)
