"""The drawings of the catalogue say where things lie: the tensors are asked whether it is true."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import perceptum as pc
from perceptum.datasets import memory_log
from perceptum.features.drawings import birds_eye, range_image
from perceptum.features.lidar import BevOccupancyParams, RangeImageParams
from perceptum.inputs import LidarSweep

GRID = {"range": [-8, -4, -2, 8, 4, 2], "voxel": [0.5, 0.5, 4]}


def seen(x, y):
    """A frame of one point, by a lidar in the vehicle's origin."""
    one = [np.array([number], np.float32) for number in (x, y, 0.0)]
    return memory_log([LidarSweep("lidar", 0, np.eye(4), *one)], times_ns=[0])[0]


@pytest.mark.parametrize("frame", ["ego", "lidar"])
@pytest.mark.parametrize(
    ("layout", "flip_x", "flip_y"), list(itertools.product(["CYX", "CXY", "YXC"], [False, True], [False, True]))
)
def test_the_corners_of_a_birds_eye_view_are_where_they_are_drawn(layout, flip_x, flip_y, frame):
    params = {"grid": GRID, "bev_layout": layout, "flip_x": flip_x, "flip_y": flip_y, "frame": frame}
    drawing = birds_eye(BevOccupancyParams().replace(params, ""))
    columns, at_columns = (re.findall(r"(\w) ?=? ?(-?\d+)", line) for line in drawing.splitlines()[2:4])
    assert columns[0][1] == "0"
    (across, first), (_, last) = at_columns
    (down, top), (_, bottom) = re.findall(r"^(\w) = (-?\d+)", drawing, re.MULTILINE)
    # half a cell from each corner, inwards
    inner = {axis: [np.sign(float(v)) * (abs(float(v)) - 0.25) for v in ends]
             for axis, ends in ((across, (first, last)), (down, (top, bottom)))}  # fmt: skip
    builder = pc.InputBuilder(["lidar_bev_occupancy"], params={"lidar_bev_occupancy": params})
    for row, column in itertools.product((0, -1), (0, -1)):
        point = {down: inner[down][row], across: inner[across][column]}
        picture = builder.build(seen(point["x"], point["y"]))["lidar_bev_occupancy"]
        picture = picture[..., 0] if layout == "YXC" else picture[0]
        assert picture[row, column] == 1, (point, drawing)
    assert f"row {picture.shape[0] - 1}" in drawing
    assert f"column {picture.shape[1] - 1}" in drawing
    assert ("ahead" in drawing) == (frame == "ego")
    grows = {across: float(last) > float(first), down: float(bottom) > float(top)}
    assert (f"o--> {across}" if grows[across] else f"{across} <--o") in drawing
    assert (f"v {down}" if grows[down] else f"^ {down}") in drawing


def test_the_columns_of_a_range_image_look_where_they_are_drawn_to():
    params = {"height": 8, "width": 64, "fov": [20.0, -10.0]}
    drawing = range_image(RangeImageParams().replace(params, ""))
    columns, looks = (line.split()[1:] for line in drawing.splitlines()[2:4])
    builder = pc.InputBuilder(["lidar_range_image_mask"], params={"lidar_range_image": params})
    for column, way in zip(columns[:-1], looks[:-1], strict=True):
        sign = float(f"{way[0]}5")
        mask = builder.build(seen(*((sign, 0.0) if way[1] == "x" else (0.0, sign))))["lidar_range_image_mask"]
        assert list(np.flatnonzero(mask.any(axis=0))) == [int(column)]
    assert drawing.splitlines()[4].endswith("+20 deg")
    assert drawing.splitlines()[6].split()[1] == "7"
    by_ring = range_image(RangeImageParams(rows="ring"))
    assert "the highest beam" in by_ring.splitlines()[4]
