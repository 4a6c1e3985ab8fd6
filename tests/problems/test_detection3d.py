"""3D detection: what its models must give, what they are judged by, and what is said of what they must not give."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.errors import UsageError
from perceptum.inputs import Labels, LidarSweep, Poses
from perceptum.inputs.poses import quaternion_from_rotation
from perceptum.problems import Detection3d
from perceptum.problems.metrics.centres import Centres

from .boxes import NUSCENES

CATEGORIES = ("vehicle.car", "vehicle.truck", "animal", "static_object.bicycle_rack", "vehicle.bicycle", "animal")


class Detector:
    name, inputs = "detector", ()

    def __init__(self, frame="ego", **dtypes):
        rows = {"boxes": ("float32", ["n", 7]), "scores": ("float32", ["n"]), "labels": ("int64", ["n"])}
        rows |= dtypes
        self.outputs = [{"name": name, "dtype": dtype, "shape": shape} for name, (dtype, shape) in rows.items()]
        self.outputs[0]["frame"] = frame


def tilted():
    """A car that is turned, climbs and leans."""
    yaw, pitch, roll = 0.7, 0.05, -0.03
    z = [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    y = [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    x = [[1, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]]
    return np.array(z) @ y @ x


def frame_of(**more):
    boxes = np.tile([0.0, 0, 0, 4, 2, 1.5, 0], (len(CATEGORIES), 1))
    boxes[:, 0] = [10, 20, 5, -12, -12, 7]
    boxes[:, 1] = [1, 2, 3, 4, 4.2, 5]
    n = len(CATEGORIES)
    given = {
        "velocity": np.tile([3.0, 1.0], (n, 1)),
        "num_points": np.array([5, 0, 9, 9, 9, 9]),
        "num_radar_points": np.array([0, 2, 0, 0, 0, 0]),
        "attributes": np.array(["vehicle.moving", "", "", "", "cycle.without_rider", ""]),
    }
    labels = Labels(0, boxes, np.array(CATEGORIES), np.arange(n).astype(str), **given | more)
    ego_from_lidar = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    sweep = LidarSweep("TOP", 0, ego_from_lidar, *[np.zeros(1, np.float32)] * 3)
    pose = Poses(np.array([0]), quaternion_from_rotation(tilted())[None], np.array([[411.0, 1180, 3]]))
    return memory_log([sweep], labels=[labels], poses=pose)[0]


def outputs(**more):
    boxes = np.array([[10, 1, 0, 4, 2, 1.5, 0], [20, 2, 0, 4, 2, 1.5, 0], [-12, 4.2, 0, 4, 2, 1.5, 0]], np.float32)
    given = {"boxes": boxes, "scores": np.array([0.9, 0.8, 0.7], np.float32), "labels": np.array([0, 1, 7])}
    return given | more


def observed(problem=None, model=None, frame=None, **more):
    problem, frame = problem or Detection3d(metric="nuscenes"), frame or frame_of()
    targets = InputBuilder(problem.targets, training=True).build(frame)
    return problem.observe(model or Detector(), outputs(**more), targets, frame)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"boxes": np.zeros((3, 9), "f4")}, "a detector gives boxes (n, 7) and scores (n,), got boxes (3, 9) and"),
        ({"boxes": np.zeros((3, 7), int)}, "output 'boxes' must be float32, got int64"),
        (
            {"scores": np.array([0.5, np.nan, 1], "f4")},
            "output 'scores' is nan in row 1, wanted a number for every box",
        ),
        (
            {"scores": np.array([0.5, 1, np.inf], "f4")},
            "output 'scores' is inf in row 2, wanted a number for every box",
        ),
        ({"labels": np.zeros((3, 1), int)}, "output 'labels' must be (3,), a row a box, got (3, 1)"),
        ({"labels": np.zeros(3, "f4")}, "output 'labels' must be int32 or int64, got float32"),
        (
            {"labels": np.array([0, 10, 1])},
            "output 'labels' has the class 10; there are 10 classes, 0 to 9: car, truck,",
        ),
        (
            {"labels": np.array([0, -1, 1])},
            "output 'labels' has the class -1; there are 10 classes, 0 to 9: car, truck,",
        ),
        ({"velocity": np.zeros((2, 3), "f4")}, "output 'velocity' must be (3, 2), a row a box, got (2, 3)"),
        (
            {"attributes": np.array([0, 8, 1])},
            "output 'attributes' has 8; it is -1 for none, or 0 to 7: pedestrian.mov",
        ),
        (
            {"boxes": np.array([[1, 2, 3, 4, -0.5, 6, 7]] * 3, "f4")},
            "output 'boxes' has a negative size, [4.0, -0.5, 6.0] (length width height) in row 0",
        ),
    ],
)
def test_outputs_that_break_the_spec_are_refused_by_name(more, message):
    with pytest.raises(UsageError) as refused:
        observed(**more)
    assert str(refused.value).startswith(message)


def test_outputs_that_are_missing_are_named():
    given = {name: array for name, array in outputs().items() if name != "labels"}
    problem = Detection3d(metric="nuscenes")
    with pytest.raises(UsageError, match=r"^a detector gives boxes, scores and labels, the outputs have no labels$"):
        problem.found(Detector(), given, frame_of())


def test_a_detector_of_one_class_need_not_name_it():
    problem = Detection3d(metric="nuscenes", classes="vehicle.car")
    assert [row["name"] for row in problem.outputs] == ["boxes", "scores"]
    given = {name: array for name, array in outputs().items() if name != "labels"}
    assert problem.found(Detector(), given, frame_of()).labels.tolist() == [0, 0, 0]


def test_labels_of_no_class_are_counted_by_name():
    scores = Detection3d(metric="nuscenes").score([observed(), observed()])
    assert {name: n for name, n in scores.counts.items() if "no class" in name} == {
        "labels of no class": 6,
        "labels of no class, animal": 4,
        "labels of no class, static_object.bicycle_rack": 2,
    }
    assert json.loads(json.dumps(scores.to_dict()))["counts"]["frames"] == 2


def test_labels_that_are_not_finite_or_have_no_size_are_counted():
    frame = frame_of()
    boxes = frame.labels.boxes.copy()
    boxes[0, 0], boxes[1, 4] = np.nan, 0
    one = observed(frame=frame_of_boxes(boxes))
    assert one["gt_label"].tolist() == [NUSCENES.index("bicycle")]
    counts = Detection3d(metric="nuscenes").score([one]).counts
    assert counts["labels that are not finite or have no size"] == 2


@pytest.mark.parametrize("metric", ["nuscenes", "kitti", "argoverse2"])
@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_boxes_that_are_not_finite_or_huge_warn_nobody(metric, value):
    boxes = outputs()["boxes"]
    boxes[1, :3] = value
    velocity = np.full((3, 2), value, np.float32)
    problem = Detection3d(metric=metric)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = observed(problem, boxes=boxes, velocity=velocity, labels=np.zeros(3, np.int64))
        counts = problem.score([one]).counts
    if metric != "kitti":
        assert counts["detections that are not finite"] == int(not np.isfinite(value))


def frame_of_boxes(boxes):
    n = len(boxes)
    labels = Labels(0, boxes, np.array(CATEGORIES), np.arange(n).astype(str))
    return memory_log(labels=[labels], times_ns=[0])[0]


def test_nuscenes_observes_level_with_the_world_and_counts_radar_points():
    one, turn = observed(velocity=np.array([[1, 2], [0, 0], [np.nan, 0]], "f4")), tilted()
    np.testing.assert_allclose(one["pred_boxes"][0, :3], turn @ [10, 1, 0], atol=1e-6)
    heading = turn @ [1, 0, 0]
    np.testing.assert_allclose(one["pred_boxes"][:, 6], math.atan2(heading[1], heading[0]), atol=1e-12)
    np.testing.assert_allclose(one["pred_velocity"][0], (turn @ [1, 2, 0])[:2], atol=1e-12)
    assert np.isnan(one["pred_velocity"][2]).any()
    np.testing.assert_allclose(one["gt_velocity"], np.tile((turn @ [3, 1, 0])[:2], (3, 1)))
    assert one["gt_label"].tolist() == [0, 1, 7]
    assert one["gt_points"].tolist() == [5, 2, 9]
    assert one["gt_attribute"].tolist() == [5, -1, 4]
    # the bicycle and what was found on it stand in the rack
    assert one["gt_in_rack"].tolist() == one["pred_in_rack"].tolist() == [False, False, True]
    scores = Detection3d(metric="nuscenes").score([one])
    assert (scores.classes["car"]["AP"], scores.classes["truck"]["AP"]) == pytest.approx((1, 1))
    assert scores.counts["labels in bicycle racks"] == 1


def test_only_cycles_are_left_out_in_a_bicycle_rack():
    boxes = outputs()["boxes"]
    boxes[2] = boxes[0]
    boxes[:2, :3] = [-12, 4, 0]
    one = observed(boxes=boxes, labels=np.array([7, 0, 7]))
    assert one["pred_in_rack"].tolist() == [True, False, False]


@pytest.mark.parametrize("metric", ["nuscenes", "argoverse2"])
def test_frames_of_one_name_and_time_are_in_one_order_too(metric):
    problem = Detection3d(metric=metric, classes="nuscenes")
    # two rigs of one log: equal scores, of which one is right
    right, wrong = outputs(), outputs()
    wrong["boxes"] = wrong["boxes"] + np.float32([9, 0, 0, 0, 0, 0, 0])
    both = [observed(problem, **one, frame=frame_of()) for one in (right, wrong)]
    assert problem.score(both).to_dict() == problem.score(both[::-1]).to_dict()


def test_argoverse2_observes_in_the_ego_frame():
    one = observed(Detection3d(metric="argoverse2", classes="nuscenes"))
    np.testing.assert_array_equal(one["pred_boxes"], outputs()["boxes"].astype(float))
    assert one["gt_points"].tolist() == [5, 0, 9]


def test_boxes_and_velocities_may_come_in_the_lidars_axes():
    in_ego = observed(velocity=np.array([[1, 2]] * 3, "f4"))
    ego_from_lidar = frame_of().ego_from_lidar
    boxes = outputs()["boxes"].astype(float)
    boxes[:, :3] = (boxes[:, :3] - ego_from_lidar[:3, 3]) @ ego_from_lidar[:3, :3]
    boxes[:, 6] += math.pi / 2
    velocity = np.array([[1, 2]] * 3) @ ego_from_lidar[:2, :2]
    in_lidar = observed(model=Detector("lidar"), boxes=boxes, velocity=velocity)
    for name in ("pred_boxes", "pred_velocity"):
        np.testing.assert_allclose(in_lidar[name], in_ego[name], atol=1e-5)


def test_only_the_surest_boxes_of_a_frame_count_and_the_rest_is_counted():
    problem = Detection3d(metric="nuscenes", most_boxes=2)
    one = observed(problem)
    assert one["pred_score"].tolist() == pytest.approx([0.9, 0.8])
    assert problem.score([one]).counts["detections over the limit of a frame"] == 1


def test_a_frame_of_nothing_is_observed():
    nothing = {"boxes": np.zeros((0, 7), "f4"), "scores": np.zeros(0, "f4"), "labels": np.zeros(0, int)}
    for metric in ("nuscenes", "argoverse2"):
        problem = Detection3d(metric=metric, classes="nuscenes")
        one = observed(problem, **nothing)
        assert {name: array.dtype for name, array in one.items()} == {
            name: array.dtype for name, array in observed(problem).items()
        }
        assert problem.score([one]).summary["mAP"] == 0
        assert problem.frame_scores(one)["mAP"] == 0


def test_classes_come_by_the_lists_name_or_one_by_one():
    assert [one.name for one in Detection3d(metric="argoverse2", classes="kitti").classes] == [
        "Car",
        "Pedestrian",
        "Cyclist",
    ]
    assert [one.name for one in Detection3d(classes="BUS+TRUCK").classes] == ["BUS", "TRUCK"]
    merged = [{"name": "wheels", "of": ["vehicle.*"]}]
    [one] = Detection3d(metric="nuscenes", classes=merged).classes
    assert (one.name, one.of) == ("wheels", ("vehicle.*",))
    assert Detection3d(classes=[one]).classes == (one,)
    assert len(Detection3d(metric="argoverse2").classes) == 26
    for given, message in (
        ("nuscene", "no list of classes 'nuscene'; there are road_users, nuscenes, "),
        ("a+a", "classes must be one or more classes, each once, got ['a', 'a']"),
        ([], "classes must be one or more classes, each once, got []"),
    ):
        with pytest.raises(UsageError) as refused:
            Detection3d(classes=given)
        assert str(refused.value).startswith(message)


def test_a_metric_or_an_option_that_does_not_exist_is_refused_with_those_there_are():
    with pytest.raises(
        UsageError, match=r"^no metric 'nuscene' of 3D detection; there are .*; did you mean 'nuscenes'\?$"
    ):
        Detection3d(metric="nuscene")
    with pytest.raises(
        UsageError,
        match=r"^metric 'nuscenes': no option 'range'; it takes range_m, min_points, .*'range_m'\?$",
    ):
        Detection3d(metric="nuscenes", range=3)


def test_models_are_checked_with_whole_numbers_of_either_size():
    problem = Detection3d(metric="nuscenes")
    problem.check(Detector())
    problem.check(Detector(labels=("int32", ["n"]), velocity=("float32", ["n", 2])))
    for dtypes, message in (
        ({"labels": ("float32", ["n"])}, "model 'detector': output 'labels' is float32 ['n'], the problem says int64"),
        ({"velocity": ("float32", ["n"])}, "model 'detector': output 'velocity' is ['n'], the problem says (n, 2)"),
        (
            {"attributes": ("int64", ["n", 1])},
            "model 'detector': output 'attributes' is ['n', 1], the problem says (n,)",
        ),
    ):
        with pytest.raises(UsageError) as refused:
            problem.check(Detector(**dtypes))
        assert str(refused.value).startswith(message)


def test_a_problem_goes_to_another_process_and_is_the_same_there():
    problem = Detection3d(metric="nuscenes", range_m=40, classes="kitti")
    again = pickle.loads(pickle.dumps(problem))
    assert again == problem
    assert again.outputs == problem.outputs
    assert again != Detection3d(metric="nuscenes", classes="kitti")


@dataclass(frozen=True)
class Nearest(Centres):
    """A metric of one's own, of what is near."""

    range_m: float = 12.0


def test_a_metric_may_be_a_class_of_ones_own():
    problem = Detection3d(metric=Nearest, min_points=0)
    assert (problem.metric.range_m, problem.metric.min_points) == (12, 0)
    assert observed(problem, labels=np.zeros(3, int))["objects"].tolist() == [3]
    with pytest.raises(UsageError, match=r"^metric 'Nearest': no option 'most'; it takes match_m, range_m, min_points"):
        Detection3d(metric=Nearest, most=1)
