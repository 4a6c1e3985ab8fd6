"""gt_segmentation: the class of each point, by boxes or by the log's own labels."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder, split
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.inputs import LidarSweep, MissingRecord, PointLabels

from .labelled import T0, build, crowd, labelled

AV2 = "argoverse2/sensor/val/7fab2350-7eaf-3b7e-a39d-6937a4c1bede"
BOTH = ["gt_segmentation", "lidar_points"]


def by_boxes(points, boxes, label, no_class=-1, nearest=False):
    """Point by point, box by box, in float64."""
    out = np.full(len(points), no_class)
    for k, point in enumerate(points.astype(np.float64)):
        best = np.inf
        for box, number in zip(boxes, label, strict=True):
            away = point[:3] - box[:3]
            c, s = np.cos(box[6]), np.sin(box[6])
            own = np.array([away[0] * c + away[1] * s, away[1] * c - away[0] * s, away[2]])
            far = (away**2).sum()
            if (np.abs(own) <= box[3:6] / 2).all() and far < best:
                out[k], best = number, far if nearest else 0
    return out


@pytest.fixture
def scene():
    """Boxes that overlap, and points in and around them."""
    random = np.random.default_rng(3)
    boxes, _, _ = crowd(40, seed=3, within_m=30)
    boxes[20:30, :3] = boxes[:10, :3] + random.normal(0, 0.5, (10, 3))
    near = boxes[random.integers(0, 40, 3000), :3] + random.normal(0, 2, (3000, 3))
    points = np.concatenate([near, random.uniform(-60, 60, (500, 3))]).astype(np.float32)
    return boxes, np.array(["car", "truck"])[np.arange(40) % 2].tolist(), points


@pytest.mark.parametrize("overlap", ["first", "nearest"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_point_is_of_the_class_of_its_box(scene, overlap, threads, monkeypatch):
    monkeypatch.setattr(split, "_FEWEST", 64)
    boxes, names, points = scene
    params = {"classes": ["truck", "car"], "overlap": overlap, "label_base": 1, "no_class": 0}
    frame = labelled(boxes, names, points=points)
    builder = InputBuilder(["gt_segmentation"], params={"gt_segmentation": params}, threads=threads, training=True)
    found = builder.build(frame)["gt_segmentation"]
    label = [1 + ["truck", "car"].index(name) for name in names]
    assert np.array_equal(found, by_boxes(points, boxes, label, 0, overlap == "nearest"))
    assert (found > 0).mean() > 0.1
    assert np.array_equal(found, builder.build(frame)["gt_segmentation"])


def test_the_faces_of_a_box_belong_to_it():
    box = [[0, 0, 0, 4, 2, 1, 0]]
    points = [[2, 1, 0.5], [-2, -1, -0.5], [np.nextafter(np.float32(2), np.float32(3)), 0, 0], [0, 0, 0.50001]]
    assert build(["gt_segmentation"], labelled(box, points=points))["gt_segmentation"].tolist() == [0, 0, -1, -1]


def test_rows_are_those_of_lidar_points(scene):
    boxes, names, points = scene
    points[::50, 1] = np.nan
    more = {"range": [-20, -20, -3, 20, 20, 3], "max_points": 900}
    frame = labelled(boxes, names, points=points)
    built = build(BOTH, frame, {"gt_segmentation": {"classes": ["car"], **more}, "lidar_points": more})
    rows = built["lidar_points"]
    cars = [k for k, name in enumerate(names) if name == "car"]
    assert len(rows) == 900
    assert np.array_equal(built["gt_segmentation"], by_boxes(rows[:, :3], boxes[cars], [0] * len(cars)))
    with pytest.raises(SpecError, match="the rows of 'gt_segmentation' belong to those of 'lidar_points'"):
        build(BOTH, frame, {"lidar_points": more})


def test_a_draw_moves_points_and_boxes_alike():
    log = pc.open_log("synthetic", frames=2, seed=4)
    change = Augment(rotate=(0.7, 0.7), flip_x=1.0, flip_y=1.0, scale=(0.9, 0.9), translate=1.0)
    plain = build(BOTH, log[1])["gt_segmentation"]
    moved = build(BOTH, log[1], augment=change, draw=Draw(1, 2, 3))["gt_segmentation"]
    assert (plain >= 0).sum() > 100
    # on a face a point may fall to the other side by the rounding of float32
    assert (plain != moved).mean() < 1e-3


def of_points(labels, classes=None, n=6, **more):
    """A frame of n points along x with labels of their own."""
    x, none = np.arange(n, dtype=np.float32), np.zeros(n, np.float32)
    own = None if labels is None else PointLabels.of(np.array(labels, np.uint16))
    sweep = LidarSweep("lidar", T0, np.eye(4), x, none, none, point_labels=own, **more)
    return memory_log([sweep], point_classes=classes)[0]


def test_a_point_is_of_the_class_that_the_log_says():
    frame = of_points([1, 40, 10, 252, 7, 300], {1: "outlier", 10: "car", 40: "road", 252: "moving-car"})
    params = {"classes": ["road", {"name": "car", "of": ["car", "moving-car"]}], "source": "points"}
    built = build(["gt_segmentation"], frame, {"gt_segmentation": params})
    assert built["gt_segmentation"].tolist() == [-1, 0, 1, 1, -1, -1]
    built = build(["gt_segmentation"], frame, {"gt_segmentation": "semantic_kitti"})
    assert built["gt_segmentation"].tolist() == [0, 9, 1, 1, 0, 0]
    cut = params | {"range": [2, -1, -1, 4, 1, 1]}
    assert build(["gt_segmentation"], frame, {"gt_segmentation": cut})["gt_segmentation"].tolist() == [1, 1]


def test_points_without_labels_are_of_no_class(caplog):
    params = {"gt_segmentation": {"classes": ["car"], "source": "points"}}
    with caplog.at_level(logging.WARNING):
        built = build(["gt_segmentation"], of_points(None, {10: "car"}), params)
    assert built["gt_segmentation"].tolist() == [-1] * 6
    assert "the sweep has no point_labels, which a tensor takes" in caplog.text
    assert "its points are of no class" in caplog.text
    params["gt_segmentation"]["required"] = True
    with pytest.raises(MissingRecord, match="the sweep has no point_labels"):
        build(["gt_segmentation"], of_points(None, {10: "car"}), params)


def test_labels_of_points_follow_them_when_they_are_dropped_and_shuffled():
    n = 500
    frame = of_points(np.arange(n) % 7, {k: str(k) for k in range(7)}, n=n)
    params = {"gt_segmentation": {"classes": [str(k) for k in range(7)], "source": "points"}}
    change = Augment(drop_points=0.3, shuffle_points=True)
    built = build(BOTH, frame, params, augment=change, draw=Draw(0, 0, 1))
    x = built["lidar_points"][:, 0]
    assert 200 < len(x) < 450
    assert (np.diff(x) < 0).any()
    assert np.array_equal(built["gt_segmentation"], x.astype(np.int64) % 7)


def test_axes_that_are_said_twice_must_agree():
    params = {"gt_segmentation": {"frame": "ego", "lidar": {"frame": "lidar"}}}
    with pytest.raises(SpecError, match=r"lidar\.frame is 'lidar', and frame is 'ego': say it in `frame`"):
        InputBuilder(["gt_segmentation"], params=params, training=True)


def test_a_batch_and_a_frame_without_labels(scene):
    boxes, names, points = scene
    frames = [labelled(boxes, names, points=points[:n]) for n in (50, 0, 7)] + [labelled(None, points=points[:3])]
    batch = InputBuilder(["gt_segmentation"], training=True).build_batch(frames)
    assert batch["gt_segmentation_batch_ptr"].tolist() == [0, 50, 50, 57, 60]
    assert batch["gt_segmentation"][57:].tolist() == [-1] * 3


def test_a_box_too_far_away_for_its_own_size_is_no_place_for_points():
    """It ended the process: its square had no size, and a number of no square was written to."""
    far, near = [1e20, 1e20, 0, 4, 2, 1.5, 0.3], [5, 5, 0, 4, 2, 1.5, 0.3]
    points = [[0, 0, 0], [5, 5, 0]]
    assert build(["gt_segmentation"], labelled([far], points=points))["gt_segmentation"].tolist() == [-1, -1]
    both = build(["gt_segmentation"], labelled([far, near], points=points))["gt_segmentation"]
    assert both[0] == -1
    assert both[1] >= 0


@pytest.mark.data
def test_points_in_real_boxes_are_as_many_as_the_dataset_counted(real_data):
    frame = pc.open_log(real_data / AV2)[0]
    sweep, labels = frame.lidar, frame.labels
    points = np.stack([np.asarray(own, np.float32) for own in (sweep.x, sweep.y, sweep.z)], axis=1)
    for box in range(0, len(labels), 9):
        inside = build(["gt_segmentation"], labelled(labels.boxes[box : box + 1], "car", points=points))
        assert (inside["gt_segmentation"] >= 0).sum() == labels.num_points[box]


def test_points_of_no_class_may_have_the_number_of_a_class():
    boxes, points = [[0, 0, 0, 4, 2, 2, 0], [1.5, 0, 0, 4, 2, 2, 0]], [[0, 0, 0], [1.9, 0, 0], [9, 9, 0]]
    frame = labelled(boxes, ["car", "pedestrian"], points=points)
    for no_class in (-1, 0, 1, 255):
        params = {"classes": ["car", "pedestrian"], "overlap": "nearest", "no_class": no_class}
        built = build(["gt_segmentation"], frame, {"gt_segmentation": params})
        assert built["gt_segmentation"].tolist() == [0, 1, no_class]
