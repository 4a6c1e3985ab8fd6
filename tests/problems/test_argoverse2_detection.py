"""Argoverse 2's detection metric against its definition, box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import HDMap, Labels, MissingRecord, Poses, Shapes
from perceptum.problems.metrics.argoverse2_detection import Argoverse2Detection, within_roi
from perceptum.problems.metrics.observed import in_order

from . import by_the_word
from .boxes import ARGOVERSE2, made

JUDGE = Argoverse2Detection(ARGOVERSE2)
FEW = ("REGULAR_VEHICLE", "PEDESTRIAN", "DOG")


def same(ours, theirs, within=1e-9):
    assert ours.keys() == theirs.keys()
    for name, number in theirs.items():
        assert ours[name] == pytest.approx(number, abs=within, nan_ok=True), name


@pytest.mark.parametrize("steps", [None, 3, 1])
@pytest.mark.parametrize(("seed", "classes"), [(0, ARGOVERSE2), (1, ARGOVERSE2), (2, FEW), (3, FEW)])
def test_the_numbers_are_those_of_the_definition(seed, classes, steps):
    observations = made(seed, classes, frames=8, range_m=170, steps=steps)
    scores = Argoverse2Detection(classes).score(observations)
    same(dict(scores.summary), by_the_word.argoverse2(observations, classes))
    for k, name in enumerate(classes):
        ap, errors = by_the_word.argoverse2_class(observations, k)
        assert scores.classes[name]["AP"] == pytest.approx(ap, abs=1e-9)
        assert [scores.classes[name][error] for error in ("ATE", "ASE", "AOE")] == pytest.approx(errors, abs=1e-9)


def perfect(seed, classes=FEW, frames=5):
    observations = made(seed, classes, frames=frames, range_m=50)
    rng = np.random.default_rng(seed)
    for one in observations:
        n = 4 * len(classes)
        boxes = np.column_stack([rng.uniform(-40, 40, (n, 3)), rng.uniform(0.3, 6, (n, 3)), rng.uniform(-3, 3, n)])
        label = np.repeat(np.arange(len(classes)), 4)
        one |= {"pred_boxes": boxes.copy(), "pred_label": label, "pred_score": rng.random(n)}
        one |= {f"{side}_in_roi": np.ones(n, bool) for side in ("pred", "gt")}
        one |= {"gt_boxes": boxes, "gt_label": label, "gt_points": np.ones(n, np.int64)}
    return observations


def test_what_is_found_as_it_is_labelled_is_worth_all():
    scores = Argoverse2Detection(FEW).score(perfect(1))
    same(dict(scores.summary), {"CDS": 1, "mAP": 1, "mATE": 0, "mASE": 0, "mAOE": 0}, 1e-12)
    assert scores.main == "CDS"


@settings(max_examples=25)
@given(st.permutations(range(6)), st.integers(0, 30))
def test_the_order_of_frames_does_not_matter(order, seed):
    observations = made(seed, FEW, frames=6, steps=2)
    judge = Argoverse2Detection(FEW)
    again = in_order([observations[k] for k in order])
    same(dict(judge.score(again).summary), dict(judge.score(observations).summary), 0)


def test_only_the_surest_hundred_of_a_class_count():
    [one] = perfect(2, frames=1)
    n, extra = len(one["pred_boxes"]), 150
    far = np.tile([140.0, 0, 0, 1, 1, 1, 0], (extra, 1))
    one["pred_boxes"] = np.concatenate([one["pred_boxes"], far])
    one["pred_label"] = np.concatenate([one["pred_label"], np.zeros(extra, np.int64)])
    one["pred_score"] = np.concatenate([one["pred_score"], np.full(extra, 2.0)])
    one["pred_in_roi"] = np.ones(n + extra, bool)
    scores = Argoverse2Detection(FEW).score([one])
    # the hundred are all wrong, and nothing else of the class counts
    assert scores.classes["REGULAR_VEHICLE"]["AP"] == 0
    assert scores.classes["DOG"]["AP"] == pytest.approx(1)
    assert scores.counts["detections over the limit of a frame and class"] == extra + 4 - 100
    wide = Argoverse2Detection(FEW, most_boxes=1000).score([one])
    assert wide.counts["detections"] == n + extra
    assert wide.classes["REGULAR_VEHICLE"]["ATE"] == pytest.approx(0)
    with pytest.raises(UsageError, match=r"^most_boxes must be at least 1, got 0$"):
        Argoverse2Detection(FEW, most_boxes=0)


@pytest.mark.parametrize("column", range(7))
def test_a_box_that_is_not_of_numbers_is_a_mistake(column):
    observations = perfect(5)
    for one in observations:
        one["pred_boxes"][one["pred_label"] == 0, column] = np.nan
    scores = Argoverse2Detection(FEW).score(observations)
    assert scores.classes["REGULAR_VEHICLE"]["AP"] == 0
    assert scores.counts["detections that are not finite"] == 4 * len(observations)
    assert scores.classes["DOG"]["AP"] == pytest.approx(1)


def test_nothing_to_judge_by_is_no_number():
    for observations in ([], made(0, FEW, frames=4)[3:]):
        scores = JUDGE.score(observations)
        assert all(math.isnan(number) for number in scores.summary.values())
        assert scores.counts["objects"] == 0


def test_what_is_left_out_is_counted():
    [one] = perfect(6, frames=1)
    one["gt_boxes"] = one["gt_boxes"].copy()
    one["pred_boxes"][0, :3] = one["gt_boxes"][0, :3] = 100, 100, 60
    one["gt_points"][1] = 0
    n = len(one["gt_boxes"])
    counts = Argoverse2Detection(FEW).score([one]).counts
    assert (counts["objects"], counts["detections"]) == (n - 2, n - 1)
    assert (counts["labels out of range"], counts["detections out of range"]) == (1, 1)
    assert counts["labels of too few points"] == 1


def test_what_is_away_from_the_drivable_area_is_left_out_and_counted():
    [one] = perfect(7, frames=1)
    one["pred_in_roi"][:2] = one["gt_in_roi"][1:3] = False
    n = len(one["gt_boxes"])
    counts = Argoverse2Detection(FEW).score([one]).counts
    assert (counts["objects"], counts["detections"]) == (n - 2, n - 2)
    assert counts["detections away from the drivable area"] == counts["labels away from the drivable area"] == 2


def test_boxes_away_from_the_drivable_area_are_among_the_surest_all_the_same():
    [one] = perfect(8, frames=1)
    surest = np.argmax(np.where(one["pred_label"] == 0, one["pred_score"], -1))
    one["pred_in_roi"][surest] = False
    counts = Argoverse2Detection(FEW, most_boxes=1).score([one]).counts
    assert counts["detections"] == 2
    assert counts["detections away from the drivable area"] == 1


def test_what_is_just_out_of_range_does_not_count():
    [one] = perfect(9, frames=1)
    one["gt_boxes"] = one["gt_boxes"].copy()
    for side in ("pred", "gt"):
        one[f"{side}_boxes"][:2, :3] = [[0, 30, 40], [0, 30, np.nextafter(40, 0)]]
    one["gt_boxes"][2:, :3] = one["pred_boxes"][2:, :3] = 0
    counts = Argoverse2Detection(FEW, range_m=50.0).score([one]).counts
    assert counts["detections out of range"] == counts["labels out of range"] == 1


SQUARE = [(100, 100), (120, 100), (120, 120), (100, 120)]


def on_a_map(*xy, shapes=None):
    """Boxes two metres long and wide at places of the world, in the axes of a car at (90, 110) that looks to +y."""
    half = math.sqrt(0.5)
    layers = {"drivable_area": Shapes.of("polygon", {"a": SQUARE} if shapes is None else shapes)}
    pose = Poses(np.array([0]), np.array([[half, 0, 0, half]]), np.array([[90.0, 110, 0]]))
    labels = Labels(0, np.zeros((0, 7)), np.zeros(0, "U1"), np.zeros(0, "U1"))
    frame = memory_log(labels=[labels], poses=pose, hdmap=HDMap(layers), times_ns=[0])[0]
    world = np.array(xy, float).reshape(-1, 2) - [90, 110]
    boxes = np.tile([0.0, 0, 0, 2, 2, 2, 0], (len(world), 1))
    boxes[:, 0], boxes[:, 1] = world[:, 1], -world[:, 0]
    return boxes, frame


def test_a_box_is_near_the_drivable_area_if_a_corner_is_within_five_metres_of_it():
    boxes, frame = on_a_map(
        (110, 110), (94.1, 110), (93.9, 110), (125.9, 105), (126.1, 105), (124.5, 124.5), (125, 125)
    )
    # the corner of the last but one is 4.95 m from the square's, that of the last 5.66 m
    assert within_roi(boxes, frame).tolist() == [True, True, False, True, False, True, False]
    assert within_roi(boxes[:0], frame).tolist() == []


def test_a_box_that_is_not_of_numbers_stays_a_mistake_whatever_the_map():
    boxes, frame = on_a_map((110, 110), (0, 0))
    boxes[:, 3] = np.nan
    assert within_roi(boxes, frame).tolist() == [True, True]


def test_without_a_drivable_area_nothing_is_near_it():
    boxes, frame = on_a_map((110, 110))
    bare = memory_log(labels=[frame.labels], times_ns=[0])[0]
    with pytest.raises(MissingRecord, match=r"roi=true looks at the drivable area, and the log has no map with one$"):
        within_roi(boxes, bare)


@settings(max_examples=25)
@given(st.integers(0, 200))
def test_near_a_polygon_is_what_shapely_says(seed):
    shapely = pytest.importorskip("shapely", reason="shapely is not installed")
    from perceptum.problems.kernels.areas import near_polygons

    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    outline = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(5, 30, (len(angle), 1))
    places, found = rng.uniform(-40, 40, (50, 2)), np.zeros(50, bool)
    shapes = Shapes.of("polygon", {"a": outline})
    near_polygons(places, shapes.points, shapes.starts, np.array([0]), 5.0, found)
    area = shapely.Polygon(outline)
    if area.is_valid:
        away = shapely.distance(area, shapely.points(places))
        assert found.tolist() == (away <= 5).tolist()
