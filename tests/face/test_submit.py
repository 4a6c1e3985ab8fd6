"""`perceptum submit`: results of `infer` become a file that others judge."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from perceptum.inputs import encode_jpeg
from perceptum.results import ResultsWriter

ROWS = [
    {"name": "boxes", "dtype": "float32", "shape": ["n", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["n"]},
    {"name": "labels", "dtype": "int64", "shape": ["n"]},
]
BOXES = np.array([[12.0, 3, -1, 4, 1.8, 1.5, 0], [-12, 3, -1, 4, 1.8, 1.5, 0]], np.float32)


@pytest.fixture
def shown(kitti, tmp_path):
    """The log with pictures, and a folder with results of its first frame: a car ahead, and one behind."""
    log = shutil.copytree(kitti, tmp_path / "kitti")
    (log / "training" / "image_2").mkdir()
    for number in range(2):
        picture = encode_jpeg(np.zeros((375, 1242, 3), np.uint8))
        (log / "training" / "image_2" / f"{number:06}.jpg").write_bytes(picture)
    (tmp_path / "results").mkdir()
    with ResultsWriter(tmp_path / "results" / "a.arrow", ROWS, {"log": str(log)}, {"boxes": "ego"}) as sink:
        sink.write(0, 0, {"boxes": BOXES, "scores": np.ones(2, np.float32), "labels": np.zeros(2, np.int64)}, "000000")
    return log


def test_a_folder_of_results_becomes_kittis_texts(shown, command, tmp_path):
    words = ("submit", "kitti", "results", shown, "--out", "handed_in")
    done = command(*words)
    assert done.status == 2
    assert "1 frame of the 2 of kitti_object has no results: 000001; run the model on it" in done.err
    done = command(*words, "--missing-are-empty")
    assert done.status == 0, done.err
    assert done.out.splitlines() == [
        "handed_in: 1 box of 2 frames",
        "left out: 1 box not in the picture of image_2",
    ]
    assert (tmp_path / "handed_in" / "000000.txt").read_text().startswith("Car -1 -1 ")
    assert (tmp_path / "handed_in" / "000001.txt").read_text() == ""


def test_what_was_written_is_json_for_programs(shown, command):
    words = ("--map", "person=Pedestrian", "--classes", "person", "--missing-are-empty", "--out", "handed_in", "--json")
    found = command("submit", "kitti", "results/a.arrow", shown, *words).json
    assert found == {
        "out": "handed_in",
        "frames": 2,
        "boxes": 2,
        "left_out": {"not in the picture of image_2": 1},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("waymo", "results", "--out", "x"), "no format 'waymo'; there are argoverse2, kitti, nuscenes"),
        (
            ("kitti", "nothing.arrow", "--out", "x"),
            "nothing.arrow: no such file; `perceptum infer LOG MODEL --out FILE`",
        ),
        (("kitti", "kitti", "--out", "x"), "kitti: no results in this folder; `perceptum infer LOG MODEL --out FILE`"),
        (
            ("kitti", "results", "--out", "x.json"),
            "cannot write x.json: KITTI's results are a folder of texts; name one",
        ),
        (("kitti", "results", "--out", "results"), "cannot write results: it exists; name a new folder"),
        (("kitti", "results", "--map", "Car", "--out", "x"), "--map must be like vehicle=car, or cyclist= to leave a"),
        (("argoverse2", "results", "--out", "x.json"), "argoverse2 takes a .feather file; name it x.feather"),
    ],
)
def test_bad_use_is_one_line(shown, refusal, words, message):
    format_, results, *options = words
    status, line = refusal("submit", format_, results, shown, *options)
    assert status == 2
    assert message in line
