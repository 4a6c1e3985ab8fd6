"""The judge of 3D detection, against a slow one that follows the rule word by word."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import Labels, LidarSweep, LogError
from perceptum.problems import Detection, Score


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


def judged(outputs, labels, **rule):
    score = Detection(**rule).judge(outputs, labels)
    return score.found, score.detections, score.objects


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
    rule = Detection(match_m=1.0, range_m=2.75)
    score = rule.judge(outputs, labels)
    assert (score.found, score.detections, score.objects) == by_the_word(outputs, labels, rule)
    assert score.found <= min(score.detections, score.objects)


def test_nothing_said_of_nothing_is_no_mistake():
    score = Detection().judge(outputs_at(), labels_at())
    assert score == Score(0, 0, 0)
    assert math.isnan(score.precision)
    assert math.isnan(score.recall)


def test_without_detections_precision_is_unknown_and_nothing_is_recalled():
    score = Detection().judge(outputs_at(), labels_at((5, 0)))
    assert (math.isnan(score.precision), score.recall) == (True, 0)


def test_without_labels_every_detection_is_wrong_and_recall_is_unknown():
    score = Detection().judge(outputs_at((5, 0)), labels_at())
    assert (score.precision, math.isnan(score.recall)) == (0, True)


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


def test_a_score_that_is_no_number_is_no_detection():
    assert judged(outputs_at((5, 0), scores=[np.nan]), labels_at((5, 0))) == (0, 0, 1)


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
    Detection().judge(outputs, labels_at((5, 0)))
    np.testing.assert_array_equal(outputs["boxes"], before)


@pytest.mark.parametrize(
    ("boxes", "scores"), [((3, 9), (3,)), ((3, 7), (2,)), ((7,), (1,)), ((3, 7), (3, 1)), ((1, 3, 7), (1,))]
)
def test_outputs_of_another_shape_are_refused(boxes, scores):
    with pytest.raises(UsageError) as refused:
        Detection().judge({"boxes": np.zeros(boxes), "scores": np.zeros(scores)}, labels_at((5, 0)))
    assert str(refused.value) == (
        f"a detector gives boxes (n, 7) and scores (n,), got boxes {boxes} and scores {scores}"
    )


def test_outputs_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"^a detector gives boxes and scores, the outputs have no scores$"):
        Detection().judge({"boxes": np.zeros((0, 7))}, labels_at())


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 3), max_size=6))
def test_scores_add_up(parts):
    total = sum((Score(*part) for part in parts), Score())
    assert (total.found, total.detections, total.objects) == tuple(np.sum([(0, 0, 0), *parts], axis=0))


def test_precision_and_recall_are_shares():
    score = Score(found=3, detections=4, objects=12)
    assert (score.precision, score.recall) == (0.75, 0.25)


def test_boxes_in_the_lidars_axes_are_judged_where_they_are():
    ego_from_lidar = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    sweep = LidarSweep("TOP", 0, ego_from_lidar, *[np.zeros(1, np.float32)] * 3)
    labels = memory_log([sweep], labels=[labels_at((20, 10))])[0].labels
    outputs = outputs_at((-10, 19.1))
    assert Detection().judge(outputs, labels) == Score(0, 1, 1)
    assert Detection().judge(outputs, labels, "lidar") == Score(1, 1, 1)
    assert Detection().judge(outputs, labels.in_frame("lidar"), "lidar") == Score(1, 1, 1)
    assert Detection().judge(outputs_at((20, 10)), labels.in_frame("lidar")) == Score(1, 1, 1)


def test_labels_that_do_not_know_the_lidar_judge_no_boxes_in_its_axes():
    with pytest.raises(
        LogError, match=r"^labels: it is not known where the lidar is mounted; take the labels of a log"
    ):
        Detection().judge(outputs_at((5, 0)), labels_at((5, 0)), "lidar")
