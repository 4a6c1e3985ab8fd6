"""The drawings of the catalogue say where things lie: the tensors are asked whether it is true."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import perceptum as pc
from perceptum.datasets import memory_log
from perceptum.features import Grid
from perceptum.features.drawings import birds_eye, birds_eye_over_time, pillars, radar_birds_eye, range_image, voxels
from perceptum.features.lidar import (
    BevOccupancyParams,
    BevTemporalParams,
    PillarsParams,
    RangeImageParams,
    VoxelsParams,
)
from perceptum.features.radar import RadarBevParams
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


def test_voxels_and_pillars_say_in_which_order_their_rows_are():
    assert "Voxel 0 is the one whose point came first" in voxels(VoxelsParams())
    assert "by x, then y, then z" in voxels(VoxelsParams(order="sorted_xyz", coord_order="xyz"))
    drawn = pillars(PillarsParams(order="sorted"))
    assert "pillar M-1" in drawn
    assert "by z, then y, then x" in drawn
    assert "cell [x y z]" in pillars(PillarsParams(coord_order="xyz"))


def test_a_view_over_time_says_which_channel_is_which():
    merged = birds_eye_over_time(BevTemporalParams(num_sweeps=5)).splitlines()
    assert merged[0].startswith("tensor[c, y, x], ")
    assert merged[1:3] == ["c = t * 20 + z", "t = 0 is the newest sweep, t = 4 the oldest; z = 0 is the lowest slice"]
    own = birds_eye_over_time(BevTemporalParams(num_sweeps=3, layout="ZT", time_axis="own", oldest_first=True))
    assert own.startswith("tensor[z, t, y, x], ")
    assert "\nt = 0 is the oldest sweep, t = 2 the newest" in own
    assert "c = z * 10 + t\n" in birds_eye_over_time(BevTemporalParams(layout="ZT"))


def test_a_view_of_radars_says_what_each_channel_holds():
    lines = radar_birds_eye(RadarBevParams(num_sweeps=2, velocity="relative")).splitlines()
    assert lines[1:3] == [
        "c = 0 to 1: occupancy of each cycle, from the newest to the oldest",
        "c = 2: rcs, c = 3: vx, c = 4: vy",
    ]
    assert lines[3:] == birds_eye(RadarBevParams(num_sweeps=2)).splitlines()[1:]
    assert "from the oldest to the newest" in radar_birds_eye(RadarBevParams(oldest_first=True))


def test_a_grid_of_a_cylinder_is_drawn_by_distance_and_azimuth():
    grid = Grid(range=(0, -3.0, -2, 50, 3.0, 2), voxel=(0.5, 0.1, 4), coordinates="cylinder")
    lines = birds_eye(BevOccupancyParams(grid=grid)).splitlines()
    assert lines[3].split() == ["distance", "=", "0", "distance", "=", "50"]
    assert lines[6].startswith("azimuth = -3 ")


@pytest.mark.parametrize("azimuth_fov", [(180.0, -180.0), (-180.0, 180.0), (45.0, -45.0), (60.0, 300.0), (-90.0, 90.0)])
def test_the_columns_of_a_range_image_look_where_they_are_drawn_to(azimuth_fov):
    params = {"height": 8, "width": 64, "width_multiple": 60, "fov": [20.0, -10.0], "azimuth_fov": list(azimuth_fov)}
    drawing = range_image(RangeImageParams().replace(params, ""))
    lines = drawing.splitlines()
    columns = lines[2].split()[1:]
    looks = [float(word) for word in lines[3].split()[1:] if word[1:] not in ("x", "y")]
    builder = pc.InputBuilder(["lidar_range_image_mask"], params={"lidar_range_image": params})
    inwards_deg = np.sign(azimuth_fov[1] - azimuth_fov[0]) * 0.1
    for column, azimuth_deg in zip(columns[:-1], looks[:-1], strict=True):
        ray = np.deg2rad(azimuth_deg + inwards_deg)
        mask = builder.build(seen(5 * np.cos(ray), 5 * np.sin(ray)))["lidar_range_image_mask"]
        assert list(np.flatnonzero(mask.any(axis=0))) == [int(column)]
    assert mask.shape[1] == 120
    assert "are 56 more, which show nothing" in drawing
    assert ("run clockwise" in lines[0]) == (azimuth_fov[0] > azimuth_fov[1])
    assert lines[4].endswith("+20 deg")
    assert lines[6].split()[1] == "7"


def test_a_range_image_names_the_axes_that_it_looks_along_and_its_beams():
    drawing = range_image(RangeImageParams(rows="ring"))
    assert drawing.splitlines()[3].split() == ["azimuth", "180", "-x", "90", "+y", "0", "+x", "-90", "-y", "-180", "-x"]
    assert "the highest beam" in drawing.splitlines()[4]
    assert "more, which show nothing" not in drawing
