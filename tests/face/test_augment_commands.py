"""--augment and --draw: a training sample from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.tensors import read_about

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
CHANGES = '{"rotate": [0.5, 0.5], "flip_y": 1.0}'


def test_frames_have_one_draw_after_the_other(command, tmp_path):
    command("build", SMALL, "lidar_points", "--augment", '{"rotate": 3.0}', "--draw", "7,1,4", "--out", "out")
    builder = InputBuilder(["lidar_points"], augment=Augment(rotate=3.0))
    for number, frame in enumerate(pc.open_log(SMALL).frames()):
        path = tmp_path / "out" / f"{frame.id}.npz"
        wanted = builder.build(frame, draw=Draw(7, 1, 4 + number))["lidar_points"]
        assert np.array_equal(np.load(path)["lidar_points"], wanted)
        about = read_about(path)
        assert (about["augment"], about["draw"]) == ({"rotate": [-3.0, 3.0]}, [7, 1, 4 + number])


def test_changes_may_be_in_a_file(command, tmp_path):
    (tmp_path / "augment.json").write_text(CHANGES)
    for given, folder in ((CHANGES, "a"), ("augment.json", "b")):
        done = command(
            "build", SMALL, "lidar_points", "--frames", "1", "--augment", given, "--draw", "0,0,0", "--out", folder
        )
        assert done.status == 0, done.err
    one, other = (np.load(next((tmp_path / folder).iterdir()))["lidar_points"] for folder in "ab")
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--augment", "{}"], "--augment changes only samples that have a draw: add --draw"),
        (["--draw", "0,0,0"], "--draw is for --augment: without it nothing is random"),
        (["--augment", "{}", "--draw", "0,1"], "--draw must be SEED,EPOCH,INDEX, three whole numbers of 0 or more"),
        (["--draw", "0,1"], "--draw must be SEED,EPOCH,INDEX, three whole numbers of 0 or more"),
        (["--augment", '{"paste": {"database": "x"}}', "--draw", "0,0,0"], "augment: paste must say its counts"),
        (["--augment", "{}", "--draw", "0,1,-1"], "--draw must be SEED,EPOCH,INDEX"),
        (["--augment", "{}", "--draw", f"0,1,{2**64}"], "must be an integer from 0 to 2"),
        (["--augment", "no.json", "--draw", "0,0,0"], "--augment no.json: not JSON such as"),
        (["--augment", '{"rot', "--draw", "0,0,0"], "--augment: not JSON"),
        (["--augment", '{"rotat": 1}', "--draw", "0,0,0"], "augment: no field 'rotat'; did you mean 'rotate'?"),
    ],
)
@pytest.mark.parametrize("asked", [["build", SMALL, "lidar_points"], ["view", SMALL, "--spec", "lidar_points"]])
def test_what_cannot_be_drawn_is_bad_use(refusal, asked, words, message):
    status, said = refusal(*asked, *words)
    assert status == 2
    assert message in said


def test_bench_measures_training_samples(command):
    words = ["bench", SMALL, "--spec", "gt_boxes,gt_num_boxes", "--frames", "1", "--rounds", "1", "--json"]
    lines = command(*words, "--training", "--augment", CHANGES, "--draw", "0,0,0").json
    assert [line["tensors"] for line in lines] == ["gt_boxes", "gt_num_boxes", "all 2"]
    assert command(*words).status == 2


def test_targets_are_marked_as_such(command):
    rows = command("features", "targets", "--json").json
    assert rows
    assert all(row["target"] for row in rows)
    assert not any(row["target"] for row in command("features", "map", "--json").json)
    shown = command("features", "--family", "targets").out
    assert shown.startswith(f"targets: {len(rows)} features, in training only")
    assert "In training only." in shown
    assert json.loads(command("features", "gt_boxes", "--json").out)["in_words"]["target"].startswith(
        "what a model is to learn"
    )


def test_info_says_how_many_boxes_a_frame_has_and_which_classes_points_have(command):
    told = command("info", SMALL, "--json").json
    boxes = told["labels"]["boxes"]
    assert told["labels"]["boxes_per_frame"] == pytest.approx(
        sum(boxes.values()) / told["labels"]["frames_labelled"], abs=0.05
    )
    assert "car" in told["point_labels"]["classes"]
