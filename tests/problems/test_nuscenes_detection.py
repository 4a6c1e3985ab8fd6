"""nuScenes' detection metric against its definition, box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.errors import UsageError
from perceptum.problems.metrics.nuscenes_detection import NuscenesDetection
from perceptum.problems.metrics.observed import in_order

from . import by_the_word
from .boxes import ATTRIBUTES_OF, NUSCENES, made

JUDGE = NuscenesDetection(NUSCENES)


def same(ours, theirs, within=1e-9):
    assert ours.keys() == theirs.keys()
    for name, number in theirs.items():
        assert ours[name] == pytest.approx(number, abs=within, nan_ok=True), name


@pytest.mark.parametrize("steps", [None, 3, 1])
@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_are_those_of_the_definition(seed, steps):
    observations = made(seed, frames=8, steps=steps)
    scores = JUDGE.score(observations)
    same(dict(scores.summary), by_the_word.nuscenes(observations, NUSCENES))
    for k, name in enumerate(NUSCENES):
        aps, errors, objects = by_the_word.nuscenes_class(observations, k, name)
        own = {"AP": np.mean(list(aps.values())), **errors, **{f"AP@{limit:g}m": ap for limit, ap in aps.items()}}
        same(dict(scores.classes[name]), own)
        assert all((name in curves) == bool(objects) for curves in scores.curves.values())


def perfect(seed, frames=6):
    """Labels of all classes, near, seen, of known velocity and attribute; and detections that are those labels."""
    rng = np.random.default_rng(seed)
    observations = made(seed, frames=frames)
    for one in observations:
        n = 3 * len(NUSCENES)
        label = np.repeat(np.arange(len(NUSCENES)), 3)
        place = np.column_stack([rng.uniform(-15, 15, (n, 2)), rng.normal(0, 1, n)])
        boxes = np.column_stack([place, rng.uniform(0.3, 6, (n, 3)), rng.uniform(-3, 3, n)])
        own = [ATTRIBUTES_OF.get(NUSCENES[k], (5, 6, 7)) for k in label]
        columns = {
            "boxes": boxes,
            "label": label,
            "velocity": rng.normal(0, 3, (n, 2)),
            "attribute": np.array([rng.choice(known) if known else -1 for known in own]),
            "in_rack": np.zeros(n, bool),
            "in_roi": np.ones(n, bool),
        }
        one |= {f"{side}_{name}": column.copy() for side in ("pred", "gt") for name, column in columns.items()}
        one |= {"pred_score": rng.random(n), "gt_points": np.ones(n, np.int64)}
    return observations


def test_what_is_found_as_it_is_labelled_is_worth_all():
    scores = JUDGE.score(perfect(1))
    same(
        dict(scores.summary), {"NDS": 1, "mAP": 1, **dict.fromkeys(("mATE", "mASE", "mAOE", "mAVE", "mAAE"), 0)}, 1e-12
    )
    assert scores.main == "NDS"
    assert JUDGE.frame_scores(perfect(1)[0])["NDS"] == pytest.approx(1)


def test_a_barrier_has_no_front_and_a_cone_none_at_all():
    observations = perfect(2)
    for one in observations:
        one["pred_boxes"][:, 6] += math.pi
    classes = JUDGE.score(observations).classes
    assert classes["barrier"]["AOE"] == pytest.approx(0, abs=1e-12)
    assert classes["car"]["AOE"] == pytest.approx(math.pi)
    assert math.isnan(classes["traffic_cone"]["AOE"])
    assert [math.isnan(classes[name]["AVE"]) for name in ("barrier", "traffic_cone", "bus")] == [True, True, False]


def test_what_is_not_said_of_velocity_and_attribute_is_wrong():
    observations = perfect(3)
    for one in observations:
        one["pred_velocity"][:] = np.nan
        one["pred_attribute"][:] = -1
    summary = JUDGE.score(observations).summary
    assert (summary["mAVE"], summary["mAAE"]) == (1, 1)
    assert summary["NDS"] == pytest.approx(0.8)


@pytest.mark.parametrize(("found", "error_m"), [(10, 1.0), (11, 0.5)])
def test_errors_count_from_a_recall_above_a_tenth(found, error_m):
    [one], n = made(0, frames=1), 100
    boxes = np.tile([0.0, 0, 0, 4, 2, 1.5, 0], (n, 1))
    boxes[:, 0], boxes[:, 1] = 4 * (np.arange(n) % 10) - 18, 4 * (np.arange(n) // 10) - 18
    columns = {"label": np.zeros(n, int), "velocity": np.zeros((n, 2)), "attribute": np.full(n, 5)}
    columns |= {"boxes": boxes, "in_rack": np.zeros(n, bool)}
    one |= {f"gt_{name}": column for name, column in columns.items()} | {"gt_points": np.ones(n, int)}
    one |= {f"pred_{name}": column[:found].copy() for name, column in columns.items()}
    one["pred_score"] = np.linspace(1, 0.5, found)
    one["pred_boxes"][:, 0] += 0.5
    assert JUDGE.score([one]).classes["car"]["ATE"] == pytest.approx(error_m)


def test_what_is_just_out_of_range_does_not_count():
    [one] = perfect(4, frames=1)
    for side in ("pred", "gt"):
        one[f"{side}_boxes"][:2, :2] = [[30, 40], [30, np.nextafter(40, 0)]]
    counts = JUDGE.score([one]).counts
    assert counts["detections out of range"] == counts["labels out of range"] == 1


@settings(max_examples=25)
@given(st.permutations(range(6)), st.integers(0, 30))
def test_the_order_of_frames_does_not_matter(order, seed):
    observations = made(seed, frames=6, steps=2)
    again = [observations[k] for k in order]
    assert in_order(again)[0] is observations[0]
    same(dict(JUDGE.score(in_order(again)).summary), dict(JUDGE.score(observations).summary), 0)


@settings(max_examples=25)
@given(st.integers(0, 30))
def test_the_order_of_boxes_does_not_matter_where_no_scores_are_equal(seed):
    observations = made(seed, frames=4)
    rng = np.random.default_rng(seed)
    turned = []
    for one in observations:
        new = dict(one)
        for side in ("pred", "gt"):
            order = rng.permutation(len(one[f"{side}_boxes"]))
            new |= {name: array[order] for name, array in one.items() if name.startswith(side)}
        turned.append(new)
    same(dict(JUDGE.score(turned).summary), dict(JUDGE.score(observations).summary), 1e-12)


@settings(max_examples=25)
@given(st.integers(0, 30))
def test_a_further_mistake_never_helps(seed):
    observations = made(seed, frames=4)
    before = JUDGE.score(observations).summary
    # in a frame in which nothing is labelled
    assert len(observations[3]["gt_boxes"]) == 0
    worse = {"boxes": [[1.0, 1, 0, 1, 1, 1, 0]], "label": [0], "velocity": [[0.0, 0]], "attribute": [-1]}
    worse |= {"in_rack": [False], "score": [2.0]}
    for name, row in worse.items():
        column = observations[3][f"pred_{name}"]
        observations[3][f"pred_{name}"] = np.concatenate([column, np.array(row, column.dtype)])
    assert JUDGE.score(observations).summary["mAP"] <= before["mAP"] + 1e-12


def test_nothing_to_judge_by_is_no_number():
    for observations in ([], made(0, frames=4)[3:]):
        scores = JUDGE.score(observations)
        assert all(math.isnan(number) for number in scores.summary.values())
        assert scores.counts["objects"] == 0
        assert scores.to_dict()["summary"]["NDS"] is None
    assert JUDGE.score([]).counts["frames"] == 0


def test_a_class_that_is_not_labelled_counts_as_not_found():
    observations = perfect(4)
    for one in observations:
        for side in ("gt", "pred"):
            kept = one[f"{side}_label"] != NUSCENES.index("bus")
            one |= {name: array[kept] for name, array in one.items() if name.startswith(side)}
    scores = JUDGE.score(observations)
    assert scores.summary["mAP"] == pytest.approx(0.9)
    assert scores.classes["bus"] == {"AP": 0, **dict.fromkeys(("ATE", "ASE", "AOE", "AVE", "AAE"), 1)} | {
        f"AP@{limit}m": 0 for limit in ("0.5", "1", "2", "4")
    }
    # a frame is judged by what is in it
    assert JUDGE.frame_scores(observations[0])["mAP"] == pytest.approx(1)


@pytest.mark.parametrize("column", range(7))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_box_that_is_not_of_numbers_is_a_mistake(column, value):
    observations = perfect(5)
    for one in observations:
        one["pred_boxes"][one["pred_label"] == 0, column] = value
    scores = JUDGE.score(observations)
    assert scores.classes["car"]["AP"] == 0
    assert scores.counts["detections that are not finite"] == 3 * len(observations)
    assert scores.counts["detections"] == sum(len(one["pred_boxes"]) for one in observations)
    assert scores.classes["bus"]["AP"] == pytest.approx(1)


def test_what_is_left_out_is_counted():
    [one] = perfect(6, frames=1)
    one["pred_boxes"][0, :2] = one["gt_boxes"][0, :2] = 49, 11
    one["pred_in_rack"][1] = one["gt_in_rack"][1] = True
    one["gt_points"][2] = 0
    one["over_limit"][0] = 7
    n = len(one["gt_boxes"])
    counts = JUDGE.score([one]).counts
    assert counts == {
        "frames": 1,
        "objects": n - 3,
        "detections": n - 2,
        "detections that are not finite": 0,
        "detections out of range": 1,
        "detections in bicycle racks": 1,
        "detections over the limit of a frame": 7,
        "labels out of range": 1,
        "labels of too few points": 1,
        "labels in bicycle racks": 1,
    }


def test_ranges_are_the_metrics_or_ones_own():
    [one] = perfect(7, frames=1)
    for side in ("pred", "gt"):
        one[f"{side}_boxes"][:, :2] = [35, 0]
    assert JUDGE.score([one]).counts["labels out of range"] == 6
    assert NuscenesDetection(NUSCENES, range_m=36).score([one]).counts["labels out of range"] == 0
    assert NuscenesDetection(NUSCENES, range_m=(36.0,) * 9 + (35.0,)).score([one]).counts["labels out of range"] == 3
    with pytest.raises(
        UsageError, match=r"^range_m must be one number, or one for each of the 10 classes, got \(1, 2\)$"
    ):
        NuscenesDetection(NUSCENES, range_m=(1, 2))
    with pytest.raises(UsageError, match=r"^range_m must be more than 0, got -1$"):
        NuscenesDetection(NUSCENES, range_m=-1)
    with pytest.raises(UsageError, match=r"^most_boxes must be at least 1, got 0$"):
        NuscenesDetection(NUSCENES, most_boxes=0)
    with pytest.raises(UsageError, match=r"^min_points must be 0 or more, got -1$"):
        NuscenesDetection(NUSCENES, min_points=-1)


def test_how_many_points_a_label_needs_may_be_said():
    [one] = perfect(8, frames=1)
    one["gt_points"][:5] = [-1, 0, 1, 2, 3]
    n = len(one["gt_points"])
    for least, few in ((0, 0), (1, 1), (3, n - 2)):
        counts = NuscenesDetection(NUSCENES, min_points=least).score([one]).counts
        assert (counts["labels of too few points"], counts["objects"]) == (few, n - few)
