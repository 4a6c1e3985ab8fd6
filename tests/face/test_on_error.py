"""--on-error: a broken record stops a command, or is left out and told, with what cannot be without it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

# a frame without this sweep cannot be built
REQUIRED = [{"name": "lidar_num_points", "dtype": "int32", "shape": [1], "params": {"required": True}}]


@pytest.fixture
def broken(kitti) -> Path:
    """A KITTI folder of three frames, of which the one in the middle is cut short."""
    split = kitti / "training"
    for folder, suffix in (("velodyne", "bin"), ("calib", "txt"), ("label_2", "txt")):
        (split / folder / f"000002.{suffix}").write_bytes((split / folder / f"000001.{suffix}").read_bytes())
    (split / "velodyne" / "000001.bin").write_bytes(b"cut")
    return kitti


@pytest.fixture
def spec() -> str:
    Path("spec.json").write_text(json.dumps(REQUIRED))
    return "spec.json"


@pytest.mark.parametrize(
    "words", [["build", "LOG", "lidar_points"], ["bench", "LOG", "--rounds", 1], ["view", "LOG", "--frame", 1]]
)
def test_a_broken_record_stops_a_command(command, broken, words):
    done = command(*(broken if word == "LOG" else word for word in words))
    assert done.status == 1
    assert "000001.bin: 3 bytes is not a multiple of 16" in done.err


def test_build_makes_what_can_be_made_and_tells_the_rest(command, broken):
    done = command("build", broken, "lidar_points", "--on-error", "skip", "--json")
    assert [row["lidar_points"].partition(",")[0] for row in done.json] == ["(500", "(0", "(500"]
    assert "skipped: lidar/velodyne 1: " in done.err
    assert done.err.endswith("1 broken record was left out\n")
    first, last = (np.load(Path("out", f"{i:06}.npz"))["lidar_points"] for i in (0, 2))
    command("build", broken, "lidar_points", "--frames", "::2", "--out", "alone")
    for tensor, name in ((first, "000000.npz"), (last, "000002.npz")):
        assert tensor.tobytes() == np.load(Path("alone", name))["lidar_points"].tobytes()


def test_build_leaves_out_a_frame_that_cannot_be(command, broken, spec):
    done = command("build", broken, spec, "--on-error", "skip", "--json")
    assert [Path(row["file"]).name for row in done.json] == ["000000.npz", "000002.npz"]
    assert "skipped: frame 1 (000001): " in done.err


def test_bench_measures_the_frames_that_can_be_built(command, broken, spec):
    done = command("bench", broken, "--spec", spec, "--rounds", 1, "--on-error", "skip")
    assert done.status == 0
    assert "2 frames, 1 round" in " ".join(done.out.split())
    assert "skipped: frame 1 (000001): " in done.err


def test_infer_answers_the_frames_that_can_be_built(command, broken, code_package):
    outputs = [{"name": "twice", "dtype": "int32", "shape": [1]}]
    source = "def model(lidar_num_points): return {'twice': lidar_num_points * 2}"
    package = code_package(source, outputs, inputs=REQUIRED)
    done = command("infer", broken, package, "--trust", "--on-error", "skip", "--json")
    assert [row["frame"] for row in done.json["outputs"]] == [0, 2]
    assert "skipped: frame 1 (000001): " in done.err


def test_view_draws_what_is_left(command, broken):
    done = command("view", broken, "--frame", 1, "--on-error", "skip", "--out", "p.png")
    assert (done.status, done.out) == (0, "picture: p.png\n")
    assert "skipped: lidar/velodyne 1: " in done.err


def test_a_log_of_which_nothing_can_be_built_is_an_error(command, broken, spec):
    for words in (["build", broken, spec], ["bench", broken, "--spec", spec]):
        done = command(*words, "--frames", "1:2", "--on-error", "skip")
        assert (done.status, done.out) == (1, "")
        assert f"perceptum: {broken / 'training'}: the one frame asked for is broken: frame 1 (000001): " in done.err


def test_results_are_not_replaced_by_those_of_no_frame(command, broken, code_package):
    package = code_package("def model(lidar_num_points): return {}", [], inputs=REQUIRED)
    Path("r.arrow").write_text("results of yesterday")
    done = command("infer", broken, package, "--trust", "--frames", "1:2", "--on-error", "skip", "--out", "r.arrow")
    assert (done.status, Path("r.arrow").read_text()) == (1, "results of yesterday")
    assert "skipped: frame 1 (000001): " in done.err
