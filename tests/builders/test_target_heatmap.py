"""CenterPoint's targets against a slow loop over boxes, written from the published formulas."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.builders.kernels.targets import heatmap as kernels
from perceptum.features import SpecError, canonical
from perceptum.features.targets import HeatmapParams

from .labelled import build, crowd, labelled

ALL = ["gt_heatmap", "gt_reg", "gt_index", "gt_reg_mask", "gt_reg_velocity_mask", "gt_reg_label"]
CAR = [10, -4, 1, 4.6, 1.9, 1.6, 0.5]


def roots(height, width, overlap):
    """CornerNet's three, as published."""
    b1, c1 = height + width, width * height * (1 - overlap) / (1 + overlap)
    b2, c2 = 2 * (height + width), (1 - overlap) * width * height
    a3, b3, c3 = 4 * overlap, -2 * overlap * (height + width), (overlap - 1) * width * height
    return [
        (b1 + sqrt(b1**2 - 4 * c1)) / 2,
        (b2 + sqrt(b2**2 - 16 * c2)) / 2,
        (b3 + sqrt(b3**2 - 4 * a3 * c3)) / 2,
    ]


def gaussian(radius):
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    sigma = (2 * radius + 1) / 6
    found = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    found[found < np.finfo(found.dtype).eps * found.max()] = 0
    return found


def expected(boxes, velocity, label, params: HeatmapParams):
    """All six tensors, box by box; boxes (N, 7) in the frame of reference, as float32."""
    width, height = params.map_size()
    n, classes = params.max_objects, len(params.whole_classes())
    heat = np.zeros((classes, height, width), np.float32)
    reg = np.zeros((n, len(params.columns)), np.float32)
    index, mask = np.zeros(n, np.int64), np.zeros(n, np.uint8)
    moves, of = np.zeros(n, np.uint8), np.full(n, -1, np.int32)
    low, voxel = (np.array(v[:2], np.float32) for v in (params.grid.range, params.grid.voxel))
    order = np.argsort(label, kind="stable") if params.object_order == "class" else range(len(boxes))
    for k, one in enumerate(list(order)[:n]):
        box = boxes[one].astype(np.float32)
        at = (box[:2] - low) / voxel / np.float32(params.stride)
        if params.cell == "clamp":
            at = np.clip(at, 0, np.array([width, height], np.float32) - np.float32(0.5))
        x, y = np.trunc(at) if params.cell == "truncate" else np.floor(at)
        if not (0 <= x < width and 0 <= y < height):
            continue
        x, y = int(x), int(y)
        sizes = box[3:5].astype(np.float64) / voxel / params.stride
        radius = max(params.min_radius, int(min(roots(sizes[1], sizes[0], params.min_overlap))))
        shape = gaussian(radius)
        for row in range(max(y - radius, 0), min(y + radius + 1, height)):
            for column in range(max(x - radius, 0), min(x + radius + 1, width)):
                value = np.float32(shape[row - y + radius, column - x + radius])
                heat[label[one], row, column] = max(heat[label[one], row, column], value)
        yaw = boxes[one, 6] if params.heading == "from_x" else -boxes[one, 6] - np.pi / 2
        values = dict(zip(("x", "y", "z", "length", "width", "height"), boxes[one], strict=False))
        values |= {f"log_{name}": np.log(values[name]) for name in ("length", "width", "height")}
        values |= {"yaw": yaw, "sin_yaw": np.sin(yaw), "cos_yaw": np.cos(yaw)}
        values |= {"offset_x": at[0] - np.float32(x), "offset_y": at[1] - np.float32(y)}
        values |= dict(zip(("vx", "vy"), np.nan_to_num(velocity[one]), strict=True))
        reg[k] = [values[name] for name in params.columns]
        index[k] = y * width + x if params.bev_layout == "CYX" else x * height + y
        mask[k], moves[k], of[k] = 1, not np.isnan(velocity[one]).any(), label[one]
    heat = heat if params.bev_layout == "CYX" else heat.transpose(0, 2, 1)
    return dict(zip(ALL, (heat, reg, index, mask, moves, of), strict=True))


def check(frame, boxes, velocity, label, params, **more):
    own = canonical().group("gt_heatmap").params.replace(params, "")
    built, wanted = build(ALL, frame, {"gt_heatmap": params}, **more), expected(boxes, velocity, label, own)
    for name, want in wanted.items():
        assert built[name].dtype == want.dtype
        if name == "gt_reg":
            assert np.allclose(built[name], want, rtol=1e-6, atol=1e-6)
        else:
            assert np.array_equal(built[name], want), name
    return built


def nuscenes_labels(names):
    own = {"vehicle.car": 0, "vehicle.truck": 1, "vehicle.bus.rigid": 3, "human.pedestrian.adult": 8}
    return np.array([own.get(name, 9) for name in names])


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "truncate", "object_order": "class", "columns": ["offset_x", "yaw", "length", "vy"]},
        {"cell": "clamp", "bev_layout": "CXY", "max_objects": 30, "heading": "mmdet3d_0"},
        {"grid": {"range": [-20, -45, -5, 60, 45, 3], "voxel": [0.1, 0.3, 8]}, "stride": 4, "min_overlap": 0.6},
        {"grid": {"voxel": [0.1, 0.1, 8]}, "stride": 1, "min_radius": 0, "min_overlap": 0.3, "max_objects": 60},
        {"grid": {"range": [-50, -50, -5, 50, 50, 3], "voxel": [0.3, 0.3, 8]}, "stride": 7, "min_radius": 5},
    ],
    ids=["own", "mmdet3d", "openpcdet", "oblong", "large", "left over"],
)
def test_targets_are_those_of_the_published_loop(params):
    boxes, names, velocity = crowd(90, seed=4, within_m=56)
    params = {"classes": "nuscenes", **params}
    check(labelled(boxes, names, velocity), boxes, velocity, nuscenes_labels(names), params)


@pytest.mark.parametrize("preset", list(canonical().group("gt_heatmap").presets))
def test_every_preset_builds_what_the_loop_does(preset):
    values = canonical().group("gt_heatmap").preset(preset).values(training=True)
    boxes, names, velocity = crowd(60, seed=8, within_m=50)
    own = canonical().group("gt_heatmap").params.replace(values, "")
    if preset == "centerpoint_waymo":
        names = ["VEHICLE" if name.startswith("vehicle") else "PEDESTRIAN" for name in names]
    numbers = [next((k for k, one in enumerate(own.whole_classes()) if name in one.of), -1) for name in names]
    kept = np.array(numbers) >= 0
    frame = labelled(boxes, names, velocity)
    built = check(frame, boxes[kept], velocity[kept], np.array(numbers)[kept], values)
    assert built["gt_reg_mask"].any() or preset.endswith(("task3", "task4"))


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((4.6, 1.9, 0.8), (6.3713, 12.2303, 1.5489)),
        ((12, 2.9, 0.8), (15.8113, 30.9189, 2.9379)),
        ((4.6, 1.9, 0.6), (8.4951, 16.307, 2.0653)),
    ],
)
def test_golden_radii(size, wanted):
    length, width, cell = size
    assert np.allclose(roots(width / cell, length / cell, 0.1), wanted, atol=1e-4)
    assert kernels.gaussian_radius(width / cell, length / cell, 0.1) == pytest.approx(min(wanted), abs=1e-4)


def test_a_centre_one_bit_from_the_border():
    grid = {"range": [-54, -54, -5, 54, 54, 3], "voxel": [0.075, 0.075, 0.2]}
    high = np.nextafter(np.float32(54), np.float32(0))
    low, below = np.float32(-54), np.nextafter(np.float32(-54), np.float32(-99))
    boxes = np.array([[float(x), 0, 0, 4, 2, 1.5, 0] for x in (low, below, high, 54.0, -54.5, 1e30)])
    for rule in ("floor", "truncate", "clamp"):
        params = {"grid": grid, "cell": rule}
        built = check(labelled(boxes, "car"), boxes, np.full((6, 2), np.nan), np.zeros(6, int), params)
        inside = {"floor": [1, 0], "truncate": [1, 1], "clamp": [1, 1]}[rule]
        assert built["gt_reg_mask"][:2].tolist() == inside
        assert built["gt_reg_mask"][4:6].tolist() == {"floor": [0, 0], "truncate": [1, 0], "clamp": [1, 1]}[rule]


def test_more_boxes_than_rows_and_two_in_one_cell():
    boxes = np.array([CAR, [*CAR[:6], 1.5], [*CAR[:3], 9, 3, 2, 0], [-20, *CAR[1:]]], float)
    builder = InputBuilder(ALL, params={"gt_heatmap": {"max_objects": 3}}, training=True)
    built = builder.build(labelled(boxes))
    assert built["gt_index"][0] == built["gt_index"][1] == built["gt_index"][2]
    assert built["gt_reg_mask"].tolist() == [1, 1, 1]
    assert built.dropped["boxes over max_objects"] == 1
    assert (built["gt_heatmap"] == 1).sum() == 1
    params = {"max_objects": 3}
    check(labelled(boxes), boxes, np.full((4, 2), np.nan), np.zeros(4, int), params)


def test_a_radius_beyond_the_map():
    boxes = np.array([[3, 3, 0, 5000, 4000, 2, 0.3], [-51, 51, 0, 60, 60, 2, 0], [0, 0, 0, 3e38, 3e38, 1, 0]])
    params = {"grid": {"range": [-51.2, -25.6, -5, 51.2, 25.6, 3]}, "min_overlap": 0.7}
    built = build(ALL, labelled(boxes), {"gt_heatmap": params})
    assert np.isfinite(built["gt_heatmap"]).all()
    check(labelled(boxes[:1]), boxes[:1], np.full((1, 2), np.nan), np.zeros(1, int), params)


def test_reused_memory_holds_nothing_of_the_frame_before():
    builder = InputBuilder(ALL, training=True, params={"classes": "nuscenes"})
    frames = [labelled(*crowd(n, seed=n)) for n in (60, 3, 0, 25)] + [labelled(None)]
    alone = [InputBuilder(ALL, training=True, params={"classes": "nuscenes"}).build(frame) for frame in frames]
    for k in (0, 1, 0, 2, 3, 4, 0, 1):
        built = builder.build(frames[k])
        assert all(np.array_equal(built[name], alone[k][name]) for name in ALL)
        del built
    batch = builder.build_batch(frames)
    for name in ALL:
        assert np.array_equal(batch[name], np.stack([one[name] for one in alone]))


def test_a_draw_moves_the_map_with_its_boxes():
    boxes, names, velocity = crowd(30, seed=1, within_m=30)
    change = Augment(rotate=(0.3, 0.3), flip_x=1.0, scale=(1.2, 1.2))
    turn = 1.2 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) * [-1, 1]
    frame = labelled(boxes, names, velocity)
    params = {"classes": "nuscenes"}
    moved = build(["gt_boxes"], frame, params, change, Draw(0, 0, 0))["gt_boxes"].astype(np.float64)
    assert np.allclose(moved[:, :2], boxes[:, :2] @ turn.T, atol=1e-4)
    built = build(ALL, frame, {"gt_heatmap": params}, change, Draw(0, 0, 0))
    own = canonical().group("gt_heatmap").params.replace(params, "")
    velocity = np.where(np.isnan(velocity), np.nan, velocity @ turn.T)
    wanted = expected(moved, velocity, nuscenes_labels(names), own)
    assert np.array_equal(built["gt_heatmap"], wanted["gt_heatmap"])
    assert np.allclose(built["gt_reg"], wanted["gt_reg"], atol=1e-4)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"grid": {"outside": "clamp"}}, 'a map of boxes wants a grid with coordinates "xyz" and outside "drop"'),
        ({"stride": 2000}, "stride is 2000, and the grid has 1024 x 1024 cells"),
        ({"min_overlap": 1.5}, "min_overlap must be at most 1, got 1.5"),
        ({"columns": []}, "columns must be one or more names, each once, got []"),
    ],
)
def test_what_no_map_can_be_made_of_is_refused(params, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(["gt_heatmap"], params={"gt_heatmap": params}, training=True)
    assert message in str(error.value)


def test_a_box_as_wide_as_long_in_cells_has_a_radius_at_no_overlap():
    """Rounding brings a root's discriminant below 0: the Gaussian once covered the map."""
    box = [5, 5, 0, float(np.float32(2.8534062)), float(np.float32(1.0700274)), 1, 0]
    grid = {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.2, 0.075, 0.2]}
    params = {"gt_heatmap": {"min_overlap": 0.0, "stride": 8, "grid": grid}}
    built = build(["gt_heatmap"], labelled([box]), params)
    assert np.count_nonzero(built["gt_heatmap"]) == 25
