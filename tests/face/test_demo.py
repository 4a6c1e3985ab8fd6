"""The demo: two detectors that work, one table, one picture, and packages that are whole whatever happens."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.demo import packing

pytestmark = pytest.mark.slow

FLOOR = 0.5
PACKAGES = ("bev_detector.neuropod", "range_detector.neuropod")
MODELS = {"bev detector": "TorchScript", "range detector": "TensorFlow"}


@pytest.fixture(scope="module")
def second(demo, perceptum_once):
    """The folder of the first run, copied, and what a second one with another seed said in it."""

    def prepare(folder: Path) -> None:
        made = folder / "made"
        shutil.copytree(demo.folder / "made", made)
        (made / "bev_detector.neuropod").write_bytes(b"cut short")
        # in place of the other stands a folder: a package may be one
        (made / "range_detector.neuropod").unlink()
        (made / "range_detector.neuropod").mkdir()
        (made / "range_detector.neuropod" / "config.json").write_text("{}")
        (made / "mine.txt").write_text("kept")

    folder, done = perceptum_once("second", lambda folder: ("demo", "--frames", 2, "--out", folder / "made"), prepare)
    return folder / "made", done


def rows_of(table: str) -> dict[str, list[str]]:
    """Model -> the cells of the table's row that begins with it."""
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in table.splitlines()]
    return {row[0]: row for row in rows if row and row[0] in MODELS}


def test_both_models_find_most_and_are_mostly_right(demo):
    models = {model["model"]: model for model in demo.done.json["models"]}
    assert {name: model["framework"] for name, model in models.items()} == MODELS
    for model in models.values():
        assert model["frames"] == 3
        assert FLOOR < model["precision"] <= 1
        assert FLOOR < model["recall"] <= 1
        assert 0 < model["build_ms_min"] <= model["build_ms"]
        assert 0 < model["infer_ms_min"] <= model["infer_ms"]


def test_each_model_is_given_only_what_it_asks_for(demo):
    inputs = {model["model"]: model["inputs"] for model in demo.done.json["models"]}
    assert inputs == {
        "bev detector": ["lidar_bev_occupancy", "lidar_bev_stats"],
        "range detector": ["lidar_range_image", "lidar_range_image_mask"],
    }


def test_the_json_tells_the_log_and_where_things_lie(demo):
    told = demo.done.json
    assert (told["log"]["dataset"], told["log"]["frames"]) == ("synthetic", 3)
    assert told["packages"] == [str(demo.folder / "made" / name) for name in PACKAGES]
    assert told["picture"] == str(demo.folder / "made" / "frame.png")


def test_it_makes_what_it_says_and_nothing_else(demo):
    assert sorted(p.name for p in (demo.folder / "made").iterdir()) == [PACKAGES[0], "frame.png", PACKAGES[1]]


def test_its_packages_keep_what_verify_runs_them_on(demo, command):
    done = command("verify", demo.folder / "made" / PACKAGES[0], "--json")
    found = {step["check"]: step for step in done.json}
    assert found["test data"] == {"check": "test data", "ok": True, "found": "2 inputs, 0 expected outputs"}
    assert found["load and self-test"]["found"].startswith("ran in a fresh process")
    assert found["symbols"]["found"].startswith("no sizes: the test data has none of their tensors; ")


def test_the_steps_are_told_on_standard_error_alone(demo):
    steps = [line for line in demo.done.err.splitlines() if line.startswith(("packing", "running"))]
    assert steps == [
        "packing two detectors, each tested in a fresh process",
        "running 'bev detector' (torchscript) on 3 frames of the synthetic drive",
        "running 'range detector' (tensorflow) on 3 frames of the synthetic drive",
    ]
    assert "Traceback" not in demo.done.err


def test_the_picture_shows_something_of_everything(demo):
    from PIL import Image

    with Image.open(demo.folder / "made" / "frame.png") as png:
        assert (png.format, png.size) == ("PNG", (1100, 1100))
        rgb = np.asarray(png.convert("RGB")).astype(int)
    inside = rgb[100:1000, 150:750]
    assert (inside.min(axis=2) > 250).mean() < 0.97
    for color in ((0x2A, 0x9D, 0x4A), (0xE4, 0x57, 0x2E), (0x2E, 0x86, 0xAB)):
        assert (np.abs(inside - color).max(axis=2) < 40).sum() > 100
    assert (inside.max(axis=2) < 110).sum() > 500


def test_another_street_gives_a_table_with_both_models(second):
    _, done = second
    assert done.status == 0
    rows = rows_of(done.out)
    assert {name: row[1] for name, row in rows.items()} == MODELS
    for row in rows.values():
        build_ms, infer_ms, precision, recall = map(float, row[3:])
        assert build_ms > 0
        assert infer_ms > 0
        assert precision > FLOOR
        assert recall > FLOOR


def test_a_second_run_replaces_the_packages_whole_and_nothing_else(second):
    folder, _ = second
    assert sorted(p.name for p in folder.iterdir()) == [PACKAGES[0], "frame.png", "mine.txt", PACKAGES[1]]
    assert (folder / "mine.txt").read_text() == "kept"
    for name in PACKAGES:
        assert zipfile.ZipFile(folder / name).testzip() is None


def test_a_second_run_says_where_things_lie(second):
    folder, done = second
    assert f"picture: {folder / 'frame.png'}\n" in done.out
    assert "packages: " + "  ".join(str(folder / name) for name in PACKAGES) in done.out


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_pack_that_fails_leaves_the_old_package_alone(bev_detector, tmp_path, monkeypatch, error):
    path = tmp_path / bev_detector.name
    shutil.copy(bev_detector, path)
    create = packing.create_torchscript_neuropod

    def fail(**options):
        create(**options)
        assert Path(options["neuropod_path"]).exists()
        raise error

    monkeypatch.setattr(packing, "create_torchscript_neuropod", fail)
    with pytest.raises(error):
        packing.pack_bev_detector(path, open_log("synthetic", frames=1, beams=16, azimuth_steps=300)[0])
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == bev_detector.read_bytes()
