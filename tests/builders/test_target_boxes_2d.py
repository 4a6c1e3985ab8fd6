"""gt_boxes_2d: what pictures show of the labelled boxes, against shapely."""

from __future__ import annotations

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import SpecError
from perceptum.inputs import CameraImage

from .cameras import picture
from .labelled import T0, build, crowd, labelled

ALL = ["gt_boxes_2d", "gt_boxes_2d_label", "gt_boxes_2d_camera", "gt_boxes_2d_box", "gt_num_boxes_2d"]
COLUMNS = ["u_min", "v_min", "u_max", "v_max", "visible", "u", "v", "depth"]


@pytest.fixture(scope="module")
def scene():
    """Forty boxes around a vehicle with a camera ahead and one to the left."""
    boxes, names, velocity = crowd(40, seed=5, within_m=25)
    cameras = [picture("front", T0, (60, 80), 1), picture("left", T0, (60, 80), 2, yaw_rad=1.5)]
    return boxes, names, labelled(boxes, names, velocity, cameras=cameras)


def corners_of(box):
    x, y, z, length, width, height, yaw = box
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) / 2
    own = signs * [length, width, height]
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return np.array([x, y, z]) + own @ turn.T


def expected(boxes, projection, size, edge=0.5, hull=True):
    """Camera by camera, box by box, with shapely: rows (camera, box, u_min, v_min, u_max, v_max, visible)."""
    from shapely import MultiPoint
    from shapely import box as rectangle

    rows = []
    for camera, matrix in enumerate(projection):
        height, width = size
        canvas = rectangle(-edge, -edge, width - edge, height - edge)
        for number, own in enumerate(boxes):
            seen = np.column_stack([corners_of(own), np.ones(8)]) @ matrix.T
            ahead = seen[seen[:, 2] > 0]
            if not len(ahead):
                continue
            around = MultiPoint(ahead[:, :2] / ahead[:, 2:3])
            around = around.convex_hull if hull else around.envelope
            shown = around.intersection(canvas)
            if shown.area > 0:
                rows.append((camera, number, *shown.bounds, shown.area / around.area))
    return np.array(rows).reshape(-1, 7)


@pytest.mark.parametrize("image", [{}, {"resize": 0.5, "crop": [24, 36], "flip": True}, {"rotate": 5.0}])
@pytest.mark.parametrize("outline", ["hull", "corners"])
def test_boxes_are_those_of_their_corners(scene, image, outline):
    boxes, names, frame = scene
    params = {
        "image": image,
        "classes": "nuscenes",
        "gt_boxes_2d": {"columns": COLUMNS, "outline": outline, "lens": "none"},
    }
    rows = [*ALL, "camera_projection", "camera_images"]
    built = build(rows, frame, params)
    matrices = built["camera_projection"].astype(np.float64)[:, :3]
    shape = built["camera_images"].shape
    size = shape[2:] if shape[1] == 3 else shape[1:3]
    wanted = expected(boxes, matrices, size, hull=outline == "hull")
    assert np.array_equal(built["gt_boxes_2d_camera"], wanted[:, 0])
    assert np.array_equal(built["gt_boxes_2d_box"], wanted[:, 1])
    assert np.allclose(built["gt_boxes_2d"][:, :4], wanted[:, 2:6], atol=2e-3)
    assert np.allclose(built["gt_boxes_2d"][:, 4], wanted[:, 6], atol=1e-3)
    assert built["gt_num_boxes_2d"].tolist() == [len(wanted)]
    label = {"vehicle.car": 0, "vehicle.truck": 1, "vehicle.bus.rigid": 3, "human.pedestrian.adult": 8}
    assert built["gt_boxes_2d_label"].tolist() == [label.get(names[int(k)], 9) for k in wanted[:, 1]]
    for row, (camera, number) in zip(built["gt_boxes_2d"], wanted[:, :2].astype(int), strict=True):
        at = matrices[camera] @ [*boxes[number, :3], 1]
        assert row[7] == pytest.approx(at[2], abs=1e-3)
        if at[2] > 0.5:
            assert np.allclose(row[5:7], at[:2] / at[2], atol=0.05)


def test_a_draw_of_places_and_pictures_moves_them_with_what_they_show(scene):
    _, _, frame = scene
    params = {"gt_boxes_2d": {"classes": "nuscenes", "columns": COLUMNS, "lens": "none"}}
    plain = build(ALL, frame, params)
    moved = build(ALL, frame, params, Augment(rotate=0.5, flip_y=1.0, scale=(0.9, 1.1), translate=1), Draw(0, 0, 3))
    assert np.array_equal(plain["gt_boxes_2d_box"], moved["gt_boxes_2d_box"])
    assert np.allclose(plain["gt_boxes_2d"], moved["gt_boxes_2d"], atol=5e-3)


def test_a_lens_bends_boxes_too():
    log = pc.open_log("synthetic", frames=1, seed=2)
    camera = next(iter(log.source.cameras))
    image = {"cameras": [camera]}
    columns = {"columns": COLUMNS}
    one = build(ALL, log[0], {"gt_boxes_2d": {"image": image, **columns}})
    other = build(ALL, log[0], {"gt_boxes_2d": {"image": image, "lens": "none", **columns}})
    assert len(one["gt_boxes_2d"]) > 0
    picture_ = log[0].cameras[camera]
    assert isinstance(picture_, CameraImage)
    if picture_.distortion is None:
        assert np.allclose(one["gt_boxes_2d"], other["gt_boxes_2d"], atol=1e-3)


def test_small_ones_and_more_than_are_wanted_are_left_out(scene):
    _, _, frame = scene
    base = {"classes": "nuscenes", "lens": "none"}
    every = build(ALL, frame, {"gt_boxes_2d": base})["gt_boxes_2d"]
    large = build(ALL, frame, {"gt_boxes_2d": {**base, "min_size": 8.0}})["gt_boxes_2d"]
    sizes = every[:, 2:4] - every[:, :2]
    assert len(large) == (sizes >= 8).all(axis=1).sum()
    builder = InputBuilder(ALL, params={"gt_boxes_2d": {**base, "max_boxes": 3}}, training=True)
    built = builder.build(frame)
    assert np.array_equal(built["gt_boxes_2d"], every[:3])
    assert built.dropped["boxes over max_boxes"] == len(every) - 3
    published = build(ALL, frame, {"gt_boxes_2d": {**base, "edges": "published"}})["gt_boxes_2d"]
    assert published[:, :2].min() == 0
    assert every[:, :2].min() == -0.5


def test_frames_without_pictures_or_labels_have_none(scene):
    boxes, names, _ = scene
    params = {"gt_boxes_2d": {"classes": "nuscenes", "image": {"cameras": ["front"]}}}
    cameras = [picture("front", T0, (60, 80), 1)]
    frames = [labelled(boxes, names, cameras=cameras), labelled(None, cameras=cameras)]
    batch = InputBuilder(ALL, params=params, training=True).build_batch(frames)
    assert batch["gt_boxes_2d_batch_ptr"][1:].tolist() == [len(batch["gt_boxes_2d"])] * 2
    assert len(build(ALL, labelled(boxes, names), {"gt_boxes_2d": {"classes": "nuscenes"}})["gt_boxes_2d"]) == 0
    with pytest.raises(SpecError, match="columns must be one or more names"):
        InputBuilder(["gt_boxes_2d"], params={"gt_boxes_2d": {"columns": []}}, training=True)
