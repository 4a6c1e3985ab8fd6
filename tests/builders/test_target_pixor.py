"""PIXOR's targets against a slow loop over cells and boxes."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.features import SpecError, canonical

from .labelled import build, crowd, labelled

ALL = ["gt_pixor_cls", "gt_pixor_mask", "gt_pixor_reg"]


def expected(boxes, params):
    width, height = params.map_size()
    cls, mask = np.zeros((1, height, width), np.float32), np.ones((1, height, width), np.uint8)
    reg = np.zeros((6, height, width), np.float32)
    step = np.array(params.grid.voxel[:2]) * params.stride
    for row in range(height):
        for column in range(width):
            at = np.array(params.grid.range[:2]) + (np.array([column, row]) + 0.5) * step
            near = False
            for x, y, _, length, w, _, yaw in boxes:
                away = at - [x, y]
                c, s = np.cos(yaw), np.sin(yaw)
                along, across = abs(away[0] * c + away[1] * s), abs(away[1] * c - away[0] * s)
                if along <= params.positive_scale * length / 2 and across <= params.positive_scale * w / 2:
                    values = np.array([c, s, *(-away), np.log(w), np.log(length)])
                    cls[0, row, column] = 1
                    reg[:, row, column] = (values - params.mean) / params.std
                    near = False
                    break
                near |= along <= params.ignore_scale * length / 2 and across <= params.ignore_scale * w / 2
            mask[0, row, column] = not near
    return cls, mask, reg


@pytest.mark.parametrize(
    "params",
    [
        {"grid": {"range": [-30, -20, -3, 30, 20, 1], "voxel": [0.5, 0.25, 4]}, "stride": 2},
        {"grid": {"range": [-30, -20, -3, 30, 20, 1], "voxel": [0.7, 0.7, 4]}, "positive_scale": 1.3, "stride": 1},
        {"grid": {"range": [0, -20, -3, 30, 20, 1], "voxel": [0.4, 0.4, 4]}, "mean": [0] * 6, "std": [1] * 6},
    ],
)
def test_cells_are_of_the_boxes_they_lie_in(params):
    boxes, names, _ = crowd(25, seed=2, within_m=28)
    params = {"classes": "nuscenes", **params}
    built = build(ALL, labelled(boxes, names), {"gt_pixor": params})
    cls, mask, reg = expected(boxes, canonical().group("gt_pixor").params.replace(params, ""))
    assert cls.any()
    assert np.array_equal(built["gt_pixor_cls"], cls)
    assert np.array_equal(built["gt_pixor_mask"], mask)
    assert np.allclose(built["gt_pixor_reg"], reg, atol=1e-4)


def test_a_cell_in_one_box_is_not_ignored_for_being_near_another():
    one, other = [20, 0, 0, 8, 4, 1.5, 0.3], [20, 3, 0, 8, 4, 1.5, 0.3]
    alone = build(ALL, labelled([one]))["gt_pixor_cls"]
    for boxes in ([one, other], [other, one]):
        both = build(ALL, labelled(boxes))
        assert both["gt_pixor_cls"][alone == 1].all()
        assert both["gt_pixor_mask"][alone == 1].all()
    assert alone.any()


def test_frames_without_boxes_and_boxes_of_any_size():
    boxes = [[0, 0, 0, 1e30, 1e30, 1, 0], [1e30, 0, 0, 1, 1, 1, 0], [20, 0, 0, 1e-20, 1e-20, 1, 1]]
    built = build(ALL, labelled(boxes))
    assert all(np.isfinite(built[name]).all() for name in ALL)
    assert built["gt_pixor_cls"].all()
    frames = [labelled(boxes), labelled(None), labelled(np.empty((0, 7)))]
    batch = InputBuilder(ALL, training=True).build_batch(frames)
    assert not batch["gt_pixor_cls"][1:].any()
    assert batch["gt_pixor_mask"][1:].all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"std": [1, 1, 1, 0, 1, 1]}, "std must not be 0"),
        ({"stride": 5000}, "stride is 5000, and the grid has 700 x 800 cells"),
        ({"grid": {"outside": "clamp"}}, 'a map of boxes wants a grid with coordinates "xyz" and outside "drop"'),
    ],
)
def test_what_no_map_can_be_made_of_is_refused(params, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(["gt_pixor_cls"], params={"gt_pixor": params}, training=True)
    assert message in str(error.value)
