"""Segmentation of points, against one that counts point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log, open_log
from perceptum.errors import UsageError
from perceptum.inputs import LidarSweep
from perceptum.problems import LidarSegmentation, problem_named

from .models import ModelSpec

THREE = {"classes": ["car", "road", "tree"], "source": "points", "label_base": 1, "no_class": 0}


def points_row(**more):
    return {"name": "lidar_points", "dtype": "float32", "shape": ["num_points", 5], **more}


def seen(problem, said, truth, inputs=(), name="point_classes"):
    model = ModelSpec(problem.outputs, list(inputs))
    return problem.observe(model, {name: said}, {"gt_segmentation": np.asarray(truth, np.int32)}, None)


def by_the_word(saids, truths, classes, base, no_class):
    found = []
    for number in range(base, base + classes):
        both = either = 0
        for said, truth in zip(saids, truths, strict=True):
            for answer, of in zip(said, truth, strict=True):
                if of != no_class:
                    both += answer == number == of
                    either += number in (answer, of)
        found.append(both / either if either else np.nan)
    return found


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 3),
    points=st.integers(0, 60),
    numbers=st.sampled_from([(1, 0), (0, -1), (0, 255), (1, 255)]),
    dtype=st.sampled_from([np.int32, np.int64]),
)
def test_it_is_the_iou_of_points(seed, frames, points, numbers, dtype):
    random = np.random.default_rng(seed)
    base, no_class = numbers
    problem = LidarSegmentation(params={**THREE, "label_base": base, "no_class": no_class})
    kinds = np.array([base, base + 1, base + 2, no_class])
    truths = [random.choice(kinds, points, p=[0.5, 0.2, 0, 0.3]) for _ in range(frames)]
    saids = [random.choice(kinds, points, p=[0.4, 0.4, 0.1, 0.1]).astype(dtype) for _ in range(frames)]
    got = problem.score([seen(problem, said, truth) for said, truth in zip(saids, truths, strict=True)])
    wanted = by_the_word(saids, truths, 3, base, no_class)
    assert [got.classes[name]["IoU"] for name in THREE["classes"]] == pytest.approx(wanted, abs=1e-15, nan_ok=True)
    known = [value for value in wanted if not np.isnan(value)]
    assert got.summary["mIoU"] == pytest.approx(np.mean(known) if known else np.nan, abs=1e-15, nan_ok=True)
    every, all_truth = np.concatenate(saids), np.concatenate(truths)
    assert got.counts == {
        "frames": frames,
        "points": int((all_truth != no_class).sum()),
        "points of no class": int((all_truth == no_class).sum()),
        "points of which nothing was said": int(((all_truth != no_class) & (every == no_class)).sum()),
        "points that did not fit into the model": 0,
    }


def test_of_scores_the_highest_counts_and_of_equal_ones_the_first():
    problem = LidarSegmentation(params=THREE, answers="scores")
    assert problem.outputs == [{"name": "point_scores", "dtype": "float32", "shape": ["num_points", 3]}]
    scores = np.array([[0, 5, 1], [-3, -2, -2], [7, 7, 7]], np.float32)
    one = seen(problem, scores, [2, 2, 3], name="point_scores")
    assert one["confusion"].tolist() == [[0, 0, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0]]


def test_a_model_with_a_fixed_number_of_points_answers_for_those():
    problem = LidarSegmentation(params=THREE)
    fixed = [points_row(shape=[4, 5])]
    # two points, and two rows behind them
    roomy = seen(problem, np.array([1, 2, 77, 77]), [1, 2], fixed)
    assert roomy["confusion"].sum() == 2
    # seven points, of which three did not fit: one is of no class
    tight = seen(problem, np.array([1, 1, 1, 1]), [1, 1, 2, 0, 2, 0, 3], fixed)
    got = problem.score([roomy, tight])
    assert got.counts["points that did not fit into the model"] == 3
    assert got.counts["points of which nothing was said"] == 2
    assert got.classes["tree"]["IoU"] == 0
    assert got.classes["road"]["IoU"] == 1 / 3


def test_without_frames_and_points_there_are_no_numbers():
    problem = LidarSegmentation()
    for observations in ([], [seen(problem, np.zeros(0, np.int64), [])]):
        got = problem.score(observations)
        assert all(np.isnan(value) for value in got.summary.values())
        assert got.counts["points"] == 0
    assert len(problem.classes) == 16


def test_the_points_of_a_drive_are_judged_as_built():
    problem = problem_named("lidar_segmentation:params=semantic_kitti")
    frame = open_log("synthetic", frames=2)[1]
    model = ModelSpec(problem.outputs, [points_row(params={"frame": "lidar"})])
    problem.check(model)
    targets = InputBuilder(problem.targets, training=True).build(frame)
    inputs = InputBuilder(model).build(frame)
    truth = targets["gt_segmentation"]
    assert len(inputs["lidar_points"]) == len(truth)
    assert problem.labelled(targets, frame)
    assert not problem.labelled({"gt_segmentation": np.zeros(5, np.int32)}, frame)
    one = problem.observe(model, {"point_classes": truth}, targets, frame)
    assert problem.frame_scores(one) == {"mIoU": 1, "FWIoU": 1, "accuracy": 1}


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (points_row(), True),
        # all points, in other axes: the same ones
        (points_row(params={"frame": "lidar", "columns": ["x", "y", "z", "intensity", "ring"]}), True),
        (points_row(params={"num_sweeps": 10}), False),
        (points_row(params={"remove_close": 1.0}), False),
        (points_row(params={"range": [-50, -50, -5, 50, 50, 3]}), False),
        (points_row(params={"max_points": 1000}), False),
    ],
)
def test_a_model_must_have_the_points_of_the_problem(row, fits):
    problem = LidarSegmentation(params=THREE)
    model = ModelSpec([{"name": "point_classes", "dtype": "int32", "shape": ["n"]}], [row])
    if fits:
        problem.check(model)
        return
    with pytest.raises(UsageError) as caught:
        problem.check(model)
    assert str(caught.value) == (
        "model 'model': the points of its input 'lidar_points' are not those of the problem's gt_segmentation; sweeps, "
        "range, what is removed and the frame of reference must be the same"
    )


@pytest.mark.parametrize(
    ("answers", "said", "wanted"),
    [
        (
            "classes",
            np.zeros(3, np.int64),
            "output 'point_classes' has 3 rows, and the frame 2 points: it must have a row for each",
        ),
        ("classes", np.zeros((2, 1), np.int64), "output 'point_classes' must be (n,) int32 or int64, got (2, 1) int64"),
        ("classes", np.zeros(2, np.float32), "output 'point_classes' must be (n,) int32 or int64, got (2,) float32"),
        (
            "classes",
            np.array([1, 4]),
            "output 'point_classes' has the class 4 in row 1; there are 3 classes, 1 to 3, and 0 for none",
        ),
        (
            "classes",
            np.array([-1, 1]),
            "output 'point_classes' has the class -1 in row 0; there are 3 classes, 1 to 3, and 0 for none",
        ),
        ("scores", np.zeros((2, 4), np.float32), "output 'point_scores' must be (n, 3) float32, got (2, 4) float32"),
        ("scores", np.zeros((2, 3), np.int64), "output 'point_scores' must be (n, 3) float32, got (2, 3) int64"),
        (
            "scores",
            np.array([[0, 1, 2], [0, np.nan, 1]], np.float32),
            "output 'point_scores' has [0.0, nan, 1.0] in row 1, wanted numbers",
        ),
        (
            "scores",
            np.zeros((1, 3), np.float32),
            "output 'point_scores' has 1 row, and the frame 2 points: it must have a row for each",
        ),
        ("classes", None, "a model of lidar_segmentation gives 'point_classes', the outputs have other"),
    ],
)
def test_outputs_that_break_the_spec_are_refused(answers, said, wanted):
    problem = LidarSegmentation(params=THREE, answers=answers)
    outputs = {"other": np.zeros(1)} if said is None else {f"point_{answers}": said}
    with pytest.raises(UsageError) as caught:
        problem.observe(ModelSpec(problem.outputs), outputs, {"gt_segmentation": np.array([1, 2], np.int32)}, None)
    assert str(caught.value) == wanted


def test_many_points_are_counted_block_by_block():
    random = np.random.default_rng(3)
    problem = LidarSegmentation(params=THREE)
    for points in (2047, 2048, 2051, 9001):
        truth, said = random.integers(0, 4, points), random.integers(0, 4, points)
        wanted = np.zeros((4, 4), np.int64)
        np.add.at(wanted, (truth, said), 1)
        # the class that is 0 is of none: its row is left out, and its column comes last
        assert (seen(problem, said, truth)["confusion"] == np.roll(wanted[1:], -1, axis=1)).all()
        said[points - 1] = 2**32 + 1
        with pytest.raises(UsageError, match=rf"has the class 4294967297 in row {points - 1}; "):
            seen(problem, said, truth)


def test_classes_that_cannot_be_told_apart_are_refused():
    with pytest.raises(UsageError, match=r"^params of gt_segmentation: no_class 2 is the number of class 'road' too$"):
        LidarSegmentation(params={**THREE, "no_class": 2})
    many = [f"class {k}" for k in range(254)]
    with pytest.raises(UsageError, match=r"^params of gt_segmentation: at most 253 classes, got 254$"):
        LidarSegmentation(params={**THREE, "classes": many})


def test_answers_are_classes_or_scores():
    with pytest.raises(UsageError, match=r"^answers must be classes or scores, got 'logits'$"):
        LidarSegmentation(answers="logits")


def test_classes_by_boxes_need_labelled_boxes():
    problem = LidarSegmentation(params="pointrcnn")
    sweep = LidarSweep("top", 0, np.eye(4), *np.zeros((3, 4), np.float32))
    assert not problem.labelled({}, memory_log([sweep])[0])
