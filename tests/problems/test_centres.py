"""3D detection judged by centres, against a slow judge that follows the rule word by word."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import Labels, LidarSweep, MissingRecord
from perceptum.problems import Detection3d

ROWS = [
    {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
]


class Detector:
    name, inputs = "detector", ()

    def __init__(self, frame="ego"):
        self.outputs = [{**ROWS[0], "frame": frame}, ROWS[1]]


def boxes_at(*xy):
    boxes = np.tile([0.0, 0, 0, 4, 2, 1.5, 0], (len(xy), 1))
    boxes[:, :2] = np.reshape(xy, (-1, 2))
    return boxes


def labels_at(*xy, num_points=None):
    n = len(xy)
    counts = None if num_points is None else np.array(num_points, np.int64)
    return Labels(0, boxes_at(*xy), np.array(["car"] * n), np.array([str(i) for i in range(n)]), num_points=counts)


def outputs_at(*xy, scores=None):
    found = np.full(len(xy), 0.9) if scores is None else np.array(scores)
    return {"boxes": boxes_at(*xy).astype(np.float32), "scores": found.astype(np.float32)}


def observed(outputs, labels, frame="ego", *, sweeps=(), **rule):
    """What a frame says of a detector. The targets are those of the builder, which one test asks."""
    moment = memory_log(sweeps, labels=[labels], times_ns=[0])[0]
    whole = np.isfinite(labels.boxes).all(axis=1)
    targets = {"gt_valid": np.array([1], np.uint8), "gt_num_boxes": np.array([whole.sum()], np.int32)}
    return Detection3d(**rule).observe(Detector(frame), outputs, targets, moment)


def judged(outputs, labels, frame="ego", **rule):
    one = observed(outputs, labels, frame, **rule)
    return tuple(int(one[name][0]) for name in ("found", "detections", "objects"))


def scores_of(outputs, labels):
    return Detection3d().score([observed(outputs, labels)]).summary


def by_the_word(outputs, labels, rule):
    """In falling score, each detection takes the nearest object that is free."""
    objects = [(x, y, i) for i, (x, y) in enumerate(labels.boxes[:, :2]) if math.hypot(x, y) <= rule.range_m]
    counting = {i for *_, i in objects if labels.num_points is None or labels.num_points[i] >= rule.min_points}
    sure = [i for i, s in enumerate(outputs["scores"]) if s >= rule.min_score]
    sure = [i for i in sure if math.hypot(*outputs["boxes"][i, :2].astype(float)) <= rule.range_m]
    sure.sort(key=lambda i: (-outputs["scores"][i], i))
    free, found, wrong = {i: (x, y) for x, y, i in objects}, 0, 0
    for detection in sure:
        x, y = (float(v) for v in outputs["boxes"][detection, :2])
        away = sorted((math.hypot(fx - x, fy - y), i) for i, (fx, fy) in free.items())
        if away and away[0][0] <= rule.match_m:
            del free[away[0][1]]
            found += away[0][1] in counting
        else:
            wrong += 1
    return found, found + wrong, len(counting)


# steps of a quarter are exact in float32, so that ties and limits are met often and on both sides alike
PLACE = st.tuples(*[st.integers(-12, 12).map(lambda i: i / 4)] * 2)


@given(
    objects=st.lists(st.tuples(PLACE, st.integers(0, 40)), max_size=8),
    detections=st.lists(st.tuples(PLACE, st.integers(0, 4).map(lambda i: i / 4)), max_size=8),
    counted=st.booleans(),
)
def test_the_judge_follows_its_rule(objects, detections, counted):
    labels = labels_at(*[p for p, _ in objects], num_points=[n for _, n in objects] if counted else None)
    outputs = outputs_at(*[p for p, _ in detections], scores=[s for _, s in detections])
    rule = {"match_m": 1.0, "range_m": 2.75}
    found, of, there = judged(outputs, labels, **rule)
    assert (found, of, there) == by_the_word(outputs, labels, Detection3d(**rule).metric)
    assert found <= min(of, there)


def test_nothing_said_of_nothing_is_no_mistake():
    assert judged(outputs_at(), labels_at()) == (0, 0, 0)
    assert all(math.isnan(number) for number in scores_of(outputs_at(), labels_at()).values())
    assert all(math.isnan(number) for number in Detection3d().score([]).summary.values())


def test_without_detections_precision_is_unknown_and_nothing_is_recalled():
    scores = scores_of(outputs_at(), labels_at((5, 0)))
    assert (math.isnan(scores["precision"]), scores["recall"], scores["F1"]) == (True, 0, 0)


def test_without_labels_every_detection_is_wrong_and_recall_is_unknown():
    scores = scores_of(outputs_at((5, 0)), labels_at())
    assert (scores["precision"], math.isnan(scores["recall"]), scores["F1"]) == (0, True, 0)


def test_two_detections_on_one_object_are_one_find_and_one_mistake():
    assert judged(outputs_at((5, 0), (5.5, 0)), labels_at((5, 0))) == (1, 2, 1)


def test_the_surer_detection_chooses_first():
    # the less sure one lies on the first object, which the surer one, nearer to nothing else, has taken
    outputs = outputs_at((0, 0), (1.5, 0), scores=[0.4, 0.9])
    assert judged(outputs, labels_at((0, 0), (10, 0))) == (1, 2, 2)


def test_among_equally_sure_ones_the_first_chooses_first():
    outputs = outputs_at((1.5, 0), (0, 0), scores=[0.5, 0.5])
    # the first takes the object at 0; the second finds the other within reach
    assert judged(outputs, labels_at((0, 0), (-1.9, 0))) == (2, 2, 2)
    assert judged(outputs, labels_at((0, 0), (-2.1, 0))) == (1, 2, 2)


@pytest.mark.parametrize(("away_m", "found"), [(1.999, 1), (2.0, 1), (2.001, 0)])
def test_a_detection_may_be_just_so_far_from_its_object(away_m, found):
    labels = labels_at((10.0, 0.0))
    outputs = {"boxes": boxes_at((10.0, away_m)), "scores": np.array([0.9])}
    assert judged(outputs, labels) == (found, 1, 1)


def test_height_and_size_do_not_matter():
    outputs = outputs_at((10, 0))
    outputs["boxes"][0, 2:] = [50, 9, 9, 9, 1]
    assert judged(outputs, labels_at((10, 0))) == (1, 1, 1)


def test_what_is_far_does_not_count_on_either_side():
    assert judged(outputs_at((50, 0), (0, -41)), labels_at((50, 0), (0, 40.5))) == (0, 0, 0)


def test_what_the_model_is_not_sure_of_does_not_count():
    assert judged(outputs_at((5, 0), (9, 9), scores=[0.29, 0.31]), labels_at((5, 0))) == (0, 1, 1)


def test_an_object_with_few_points_need_not_be_found_and_may_be():
    labels = labels_at((5, 0), (9, 9), num_points=[19, 20])
    assert judged(outputs_at((9, 9)), labels) == (1, 1, 1)
    assert judged(outputs_at((9, 9), (5, 0)), labels) == (1, 1, 1)
    # one of two on it is a mistake all the same
    assert judged(outputs_at((9, 9), (5, 0), (5, 0)), labels) == (1, 2, 1)


def test_without_counts_of_points_every_object_counts():
    assert judged(outputs_at(), labels_at((5, 0), (9, 9))) == (0, 0, 2)


def test_a_score_that_is_not_a_number_breaks_the_spec():
    with pytest.raises(UsageError, match=r"^output 'scores' is nan in row 1, wanted a number for every box$"):
        judged(outputs_at((5, 0), (6, 0), scores=[0.5, np.nan]), labels_at((5, 0)))


@pytest.mark.parametrize("centre", [(np.nan, 0), (0, np.nan), (np.inf, 0), (-np.inf, np.nan)])
def test_a_box_that_is_nowhere_is_wrong(centre):
    assert judged(outputs_at(centre, (5, 0)), labels_at((5, 0), (0, 0))) == (1, 2, 2)


def test_a_label_that_is_nowhere_spoils_no_other():
    assert judged(outputs_at((5, 0)), labels_at((np.nan, 0), (5, 0))) == (1, 1, 1)


def test_the_order_of_boxes_and_labels_does_not_matter():
    xy = [(0, 0), (1.0, 0), (2.5, 0), (30, 30)]
    scores = [0.4, 0.5, 0.6, 0.7]
    seen = set()
    for order in itertools.permutations(range(4)):
        outputs = outputs_at(*[xy[i] for i in order], scores=[scores[i] for i in order])
        seen.add(judged(outputs, labels_at((0.5, 0), (2, 0), (9, 9))))
    assert len(seen) == 1


def test_the_outputs_are_not_changed():
    outputs = outputs_at((5, 0), (1, 1), scores=[0.4, 0.9])
    for array in outputs.values():
        array.flags.writeable = False
    before = outputs["boxes"].copy()
    judged(outputs, labels_at((5, 0)))
    np.testing.assert_array_equal(outputs["boxes"], before)


@pytest.mark.parametrize(
    ("boxes", "scores"), [((3, 9), (3,)), ((3, 7), (2,)), ((7,), (1,)), ((3, 7), (3, 1)), ((1, 3, 7), (1,))]
)
def test_outputs_of_another_shape_are_refused(boxes, scores):
    with pytest.raises(UsageError) as refused:
        judged({"boxes": np.zeros(boxes), "scores": np.zeros(scores)}, labels_at((5, 0)))
    assert str(refused.value) == (
        f"a detector gives boxes (n, 7) and scores (n,), got boxes {boxes} and scores {scores}"
    )


def test_outputs_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"^a detector gives boxes and scores, the outputs have no scores$"):
        judged({"boxes": np.zeros((0, 7))}, labels_at())


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 3), max_size=6))
def test_observations_add_up(parts):
    names = ("found", "detections", "objects")
    key = {"log": np.zeros(0, np.uint8), "no_class": np.zeros(0, np.uint8), "unreal": np.array([0])}
    observations = [
        {"time_ns": np.array([k]), **key, **{name: np.array([n]) for name, n in zip(names, part, strict=True)}}
        for k, part in enumerate(parts)
    ]
    counts = Detection3d().score(observations).counts
    assert [counts[name] for name in names] == np.sum([(0, 0, 0), *parts], axis=0).tolist()


def test_precision_and_recall_are_shares_and_f1_is_between():
    counts = {"found": 3, "detections": 4, "objects": 12}
    scores = Detection3d().metric.score([{name: np.array([n]) for name, n in counts.items()}])
    assert scores.main == "F1"
    assert scores.summary == {"F1": 6 / 16, "precision": 0.75, "recall": 0.25}


def sweep():
    ego_from_lidar = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    return LidarSweep("TOP", 0, ego_from_lidar, *[np.zeros(1, np.float32)] * 3)


def test_boxes_in_the_lidars_axes_are_judged_where_they_are():
    outputs, labels = outputs_at((-10, 19.1)), labels_at((20, 10))
    assert judged(outputs, labels, sweeps=[sweep()]) == (0, 1, 1)
    assert judged(outputs, labels, "lidar", sweeps=[sweep()]) == (1, 1, 1)


def test_boxes_in_the_axes_of_a_lidar_that_is_not_there_are_not_judged():
    with pytest.raises(MissingRecord):
        judged(outputs_at((5, 0)), labels_at((5, 0)), "lidar")


def test_what_the_builder_makes_of_the_targets_is_what_is_judged():
    problem = Detection3d()
    frame = memory_log(labels=[labels_at((np.nan, 0), (5, 0), (9, 9))], times_ns=[0])[0]
    targets = InputBuilder(problem.targets, training=True).build(frame)
    assert len(targets["gt_boxes"]) == 2
    assert problem.observe(Detector(), outputs_at((5, 0)), targets, frame)["objects"].tolist() == [2]
    other = {**targets, "gt_num_boxes": np.array([3], np.int32)}
    with pytest.raises(UsageError, match="has 2 labelled boxes of the problem's classes, gt_num_boxes says 3: build"):
        problem.observe(Detector(), outputs_at((5, 0)), other, frame)


def test_a_frame_without_labels_is_not_judged():
    problem = Detection3d()
    frame = memory_log([sweep()])[0]
    targets = InputBuilder(problem.targets, training=True).build(frame)
    with pytest.raises(MissingRecord, match="has no labels"):
        problem.observe(Detector(), outputs_at((5, 0)), targets, frame)
