"""gt_boxes and what belongs to them: which boxes, in which axes, by which conventions."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import SpecError
from perceptum.inputs import MissingRecord

from .labelled import build, crowd, labelled

ALL = ["gt_boxes", "gt_labels", "gt_velocity_mask", "gt_num_boxes", "gt_valid"]
CAR = [10, -4, 1, 4.6, 1.9, 1.6, 0.5]


def test_boxes_are_written_as_they_are_labelled():
    boxes, names, velocity = crowd(40)
    built = build(ALL, labelled(boxes, names, velocity), {"classes": "nuscenes"})
    unknown = np.isnan(velocity).any(axis=1)
    assert np.array_equal(built["gt_boxes"][:, :7], boxes.astype(np.float32))
    assert np.array_equal(built["gt_boxes"][:, 7:], np.where(unknown[:, None], 0, velocity).astype(np.float32))
    assert np.array_equal(built["gt_velocity_mask"], ~unknown)
    number = {"vehicle.car": 0, "vehicle.truck": 1, "vehicle.bus.rigid": 3, "human.pedestrian.adult": 8}
    assert built["gt_labels"].tolist() == [number.get(name, 9) for name in names]
    assert built["gt_num_boxes"].tolist() == [40]
    assert built["gt_valid"].tolist() == [1]


def test_classes_choose_and_merge():
    frame = labelled([CAR] * 5, ["Van", "Car", "Tram", "Pedestrian", "Cyclist"])
    classes = [{"name": "car", "of": ["Car", "Van"]}, "Cyclist"]
    built = build(ALL, frame, {"classes": classes})
    assert built["gt_labels"].tolist() == [0, 0, 1]
    assert build(ALL, frame, {"classes": "kitti"})["gt_labels"].tolist() == [0, 1, 2]
    one = {"classes": classes, "gt_boxes": {"label_base": 1, "columns": ["x", "label"]}}
    built = build(ALL, frame, one)
    assert built["gt_labels"].tolist() == [1, 1, 2]
    assert built["gt_boxes"].tolist() == [[10, 1], [10, 1], [10, 2]]


def test_a_star_stands_for_what_begins_so():
    frame = labelled([CAR] * 3, ["vehicle.bus.bendy", "vehicle.bus", "vehicle.car"])
    built = build(ALL, frame, {"classes": [{"name": "bus", "of": ["vehicle.bus.*"]}, {"name": "rest", "of": ["*"]}]})
    assert built["gt_labels"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "classes must be one or more classes, each once, got []"),
        (["a", "a"], "classes must be one or more classes, each once, got ['a', 'a']"),
        ([{"name": "a", "of": ["x"]}, {"name": "b", "of": ["x"]}], "classes: 'x' is listed twice, in 'a' and in 'b'"),
        ([{"name": "a", "of": ["x*y"]}], "class 'a': in 'x*y' the * must be at the end"),
        ([{"name": "a", "of": []}], "class 'a': `of` must list the categories that are of it, got []"),
        ([{"name": "", "of": ["x"]}], "a class must have a name"),
        ("nuscene", "classes is 'nuscene', wanted "),
    ],
)
def test_classes_that_say_nothing_are_refused(classes, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(["gt_boxes"], params={"gt_boxes": {"classes": classes}}, training=True)
    assert message in str(error.value)


def test_equal_classes_have_one_fingerprint():
    def fingerprint(classes):
        return InputBuilder(["gt_boxes"], params={"classes": classes}, training=True).fingerprint

    assert fingerprint("kitti") == fingerprint(["Car", "Pedestrian", {"name": "Cyclist", "of": ["Cyclist"]}])
    assert fingerprint("kitti") != fingerprint("waymo")


def test_boxes_of_no_class_are_reported_with_the_categories_there_are(caplog):
    with caplog.at_level(logging.WARNING):
        built = build(ALL, labelled([CAR] * 2, ["car", "bus"]), {"classes": ["Car"]})
    assert built["gt_boxes"].shape == (0, 9)
    assert built["gt_valid"].tolist() == [1]
    assert "has 2 boxes, and none is of a class in `classes` (Car): its categories are bus, car" in caplog.text
    caplog.clear()
    build(ALL, labelled([CAR] * 2, ["car", "bus"]), {"classes": "nuscenes"})
    assert "pedestrian, traffic_cone, which are of the categories vehicle.car, vehicle.truck, " in caplog.text
    assert "set `classes` to road_users, semantic_kitti, which have some of them, or to a list of those" in caplog.text


def test_a_range_is_half_open_to_the_last_bit():
    low, high = np.float32(-10.3), np.float32(20.7)
    x = [low, np.nextafter(low, np.float32(-99)), high, np.nextafter(high, np.float32(0))]
    boxes = [[float(at), 0, 0, 4, 2, 1.5, 0] for at in x]
    params = {"box_range": [float(low), -5, -1, float(high), 5, 1]}
    built = build(ALL, labelled(boxes), {"gt_boxes": params})
    assert built["gt_boxes"][:, 0].tolist() == [x[0], x[3]]
    high_up = labelled([[0, 0, 9, 4, 2, 1.5, 0]])
    assert len(build(ALL, high_up, {"gt_boxes": params})["gt_boxes"]) == 0
    assert len(build(ALL, high_up, {"gt_boxes": {**params, "box_range_axes": "xy"}})["gt_boxes"]) == 1


def test_what_is_not_finite_or_has_no_size_is_left_out_and_counted():
    bad = [[np.nan, *CAR[1:]], [1e39, *CAR[1:]], [*CAR[:3], 0, 1, 1, 0], [*CAR[:3], 1, 1e-50, 1, 0], [*CAR[:6], np.inf]]
    builder = InputBuilder(ALL, training=True)
    built = builder.build(labelled([*bad, CAR], velocity=[[np.inf, 0]] * 6))
    assert len(built["gt_boxes"]) == 1
    assert built["gt_velocity_mask"].tolist() == [0]
    assert (built.dropped["non-finite boxes"], built.dropped["boxes without a size"]) == (3, 2)


def test_every_box_that_is_left_out_is_counted():
    """Boxes in another unit or of another log's axes leave empty targets: the counts say why."""
    far, high = [300, *CAR[1:]], [*CAR[:2], 40, *CAR[3:]]
    frame = labelled(
        [CAR, far, high, CAR, CAR], ["car", "car", "car", "tree", "car"], num_points=[9, 9, 9, 9, 1]
    )  # one is kept
    params = {"classes": ["car"], "min_points": 5, "box_range": [-50, -50, -5, 50, 50, 3]}
    built = build(ALL, frame, {"gt_boxes": params})
    assert len(built["gt_boxes"]) == 1
    assert {why: n for why, n in built.dropped.items() if n} == {
        "boxes of no class": 1,
        "boxes of fewer points than min_points": 1,
        "boxes out of range": 2,
    }


@pytest.mark.parametrize("target", ["gt_heatmap", "gt_pixor_cls"])
def test_boxes_outside_the_grid_of_a_target_are_counted(target):
    built = build([target], labelled([CAR, [3000, *CAR[1:]], [10, -900, *CAR[2:]]], ["vehicle.car"] * 3))
    assert built.dropped["boxes outside the grid"] == 2


def test_few_points_leave_a_box_out_where_they_are_counted(caplog):
    params = {"gt_boxes": {"min_points": 5}}
    built = build(ALL, labelled([CAR] * 3, num_points=[4, 5, 6]), params)
    assert len(built["gt_boxes"]) == 2
    assert len(build(ALL, labelled([CAR] * 3, num_points=[0, 1, 2]), {"gt_boxes": {"min_points": 1}})["gt_boxes"]) == 2
    with caplog.at_level(logging.WARNING):
        assert len(build(ALL, labelled([CAR] * 3), params)["gt_boxes"]) == 3
    assert "min_points leaves none out" in caplog.text


def test_a_frame_without_labels_is_not_one_without_boxes(caplog):
    with caplog.at_level(logging.WARNING):
        built = build(ALL, labelled(None))
    assert "frame 0" in caplog.text
    assert "has no labels: it has no boxes, and gt_valid is 0" in caplog.text
    assert built["gt_valid"].tolist() == [0]
    assert built["gt_boxes"].shape == (0, 9)
    assert build(ALL, labelled(np.empty((0, 7))))["gt_valid"].tolist() == [1]
    with pytest.raises(MissingRecord, match="has no labels, and the spec requires them"):
        build(ALL, labelled(None), {"gt_boxes": {"required": True}})


def test_conventions_of_other_projects():
    frame = labelled([CAR], velocity=[[1, 2]])
    x, y, z, length, width, height, yaw = CAR

    def row(**params):
        return build(["gt_boxes"], frame, {"gt_boxes": params})["gt_boxes"][0].tolist()

    bottom = np.float32(z - height / 2)
    assert row(centre="bottom")[2] == bottom
    assert row(columns=["width", "length"]) == [np.float32(width), np.float32(length)]
    assert row(columns=["sin_yaw", "cos_yaw"]) == [np.float32(np.sin(yaw)), np.float32(np.cos(yaw))]
    old = [x, y, bottom, np.float32(width), np.float32(length), np.float32(height), np.float32(-yaw - np.pi / 2)]
    named = build(["gt_boxes"], frame, {"gt_boxes": "mmdet3d_0"})["gt_boxes"][0].tolist()
    assert named == old
    named = build(["gt_boxes"], frame, {"gt_boxes": "openpcdet"})["gt_boxes"][0]
    assert named.tolist() == [*np.array(CAR, np.float32).tolist(), 1]


@pytest.mark.parametrize(
    "yaw",
    [np.pi, -np.pi, 3 * np.pi, np.nextafter(np.pi, 0), -np.nextafter(np.pi, 0), 7.0, np.pi / 2 + 1e-9, -np.pi / 2],
)
@pytest.mark.parametrize("heading", ["from_x", "mmdet3d_0"])
@pytest.mark.parametrize("target", ["gt_boxes", "gt_reg"])
def test_a_yaw_is_within_half_a_turn(target, yaw, heading):
    """Also as float32, which rounds what is just below pi up to more than pi."""
    params = {"gt_boxes" if target == "gt_boxes" else "gt_heatmap": {"heading": heading, "columns": ["yaw"]}}
    found = build([target], labelled([[*CAR[:6], yaw]], "vehicle.car"), params)[target][0, 0]
    assert -np.float32(np.pi) <= found < np.float32(np.pi)
    wanted = yaw if heading == "from_x" else -yaw - np.pi / 2
    assert np.cos(found - wanted) > 1 - 1e-6


def test_a_spec_may_fix_how_many_boxes_there_are():
    frame = labelled([CAR] * 3)
    for size in (2, 5):
        rows = [
            {"name": "gt_boxes", "dtype": "float32", "shape": [size, 9], "params": {"max_boxes": size}},
            {"name": "gt_labels", "dtype": "int32", "shape": [size], "params": {"max_boxes": size}},
            {"name": "gt_num_boxes", "dtype": "int32", "shape": [1], "params": {"max_boxes": size}},
        ]
        built = build(rows, frame)
        assert built["gt_labels"].tolist() == [0, 0, 0, -1, -1][:size]
        assert (built["gt_boxes"][3:] == 0).all()
        assert built["gt_num_boxes"].tolist() == [min(size, 3)]
    assert len(build(ALL, frame, {"gt_boxes": {"max_boxes": 2}})["gt_labels"]) == 2


def test_a_batch_holds_all_boxes():
    frames = [labelled([CAR] * n) for n in (2, 0, 3)]
    batch = InputBuilder(ALL, training=True).build_batch(frames)
    assert batch["gt_boxes"].shape == (5, 9)
    assert batch["gt_boxes_batch_ptr"].tolist() == [0, 2, 2, 5]
    assert batch["gt_num_boxes"].tolist() == [[2], [0], [3]]


@pytest.mark.parametrize("frame", ["ego", "lidar", "ego_ground"])
def test_a_draw_moves_boxes_as_it_moves_points(frame):
    log = pc.open_log("synthetic", frames=2, seed=3)
    params = {"frame": frame, "ground": "plane", "ground_z": -0.25}
    change = Augment(rotate=(0.4, 0.4), flip_y=1.0, scale=(1.1, 1.1), translate=0.5)
    params = {"gt_boxes": params | {"columns": ["x", "y", "z", "length", "width", "height", "yaw", "vx", "vy"]}}
    plain = build(["gt_boxes"], log[1], params)["gt_boxes"].astype(np.float64)
    moved = build(["gt_boxes"], log[1], params, change, Draw(5, 0, 0))["gt_boxes"].astype(np.float64)
    turn = 1.1 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]) * [1, -1]
    there = plain[:, :2] @ turn.T
    shift = (moved[:, :2] - there).mean(axis=0)
    assert np.allclose(moved[:, :2], there + shift, atol=1e-4)
    assert np.ptp(moved[:, 2] - 1.1 * plain[:, 2]) < 1e-4
    assert np.allclose(moved[:, 3:6], 1.1 * plain[:, 3:6], atol=1e-5)
    assert np.allclose(np.cos(moved[:, 6] - (0.4 - plain[:, 6])), 1, atol=1e-5)
    assert np.allclose(moved[:, 7:], plain[:, 7:] @ turn.T, atol=1e-4)
    still = build(["gt_boxes"], log[1], params, change)["gt_boxes"]
    assert np.array_equal(still, plain.astype(np.float32))


def test_targets_are_refused_unless_it_is_training():
    with pytest.raises(SpecError, match=r"input 'gt_boxes' is a target, .* InputBuilder\(..., training=True\)"):
        InputBuilder(["gt_boxes"])
