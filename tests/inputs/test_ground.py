"""The ground under a frame: by the map, a plane, or the lidar's lowest points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from perceptum.datasets import memory_log
from perceptum.inputs import GroundGrid, HDMap, LidarSweep, LogError, MissingRecord, Poses, ground_of
from perceptum.inputs.ground import fill_holes
from perceptum.inputs.poses import quaternion_from_rotation

T0 = 1_700_000_000_000_000_000


def sweep(xyz, **more):
    x, y, z = np.asarray(xyz, np.float32).reshape(-1, 3).T
    return LidarSweep("top", T0, more.pop("ego_from_sensor", np.eye(4)), x, y, z, **more)


def posed(world_from_ego):
    quaternion = quaternion_from_rotation(world_from_ego[:3, :3])
    times_ns = np.array([T0 - 1, T0, T0 + 1])
    return Poses(times_ns, np.tile(quaternion, (3, 1)), np.tile(world_from_ego[:3, 3], (3, 1)))


def turned(yaw, pitch=0.0, at=(0.0, 0.0, 0.0)):
    c, s, d, e = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    out = np.eye(4)
    out[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[d, 0, e], [0, 1, 0], [-e, 0, d]])
    out[:3, 3] = at
    return out


@pytest.mark.parametrize(("shape", "share"), [((1, 9), 0.3), ((9, 1), 0.3), ((17, 40), 0.5), ((60, 61), 0.01)])
@pytest.mark.parametrize("seed", range(3))
def test_a_hole_takes_the_nearest_height_that_is_known(shape, share, seed):
    random = np.random.default_rng(seed)
    height = random.normal(size=shape)
    height[random.random(shape) > share] = np.nan
    height[0, 0] = 1.0
    height[-1, -1] = np.inf if shape[0] > 1 and shape[1] > 1 else height[-1, -1]
    filled, known = fill_holes(height), np.isfinite(height)
    away = ndimage.distance_transform_edt(~known)
    rows, columns = np.nonzero(known)
    for row, column in np.ndindex(shape):
        reach = (rows - row) ** 2 + (columns - column) ** 2
        # of several equally near ones any will do
        near = height[rows, columns][np.isclose(reach, away[row, column] ** 2)]
        assert filled[row, column] in near


def test_a_grid_without_any_known_height_fills_nothing():
    assert fill_holes(np.full((3, 4), np.nan)) is None


def test_heights_by_the_map_are_counted_along_the_worlds_z():
    grid = GroundGrid(np.array([[1.0, 2.0], [np.nan, 4.0]], np.float16), np.eye(2), np.zeros(2), 1.0)
    pose = turned(np.pi / 2, at=(0.5, 0.5, 3.0))
    frame = memory_log([sweep([[0, 0, 0]])], hdmap=HDMap(ground=grid), poses=posed(pose))[0]
    ground = ground_of(frame)
    assert ground.by == "map"
    # the ego stands in cell (0, 0); a metre to its right is a metre along the world's x
    np.testing.assert_allclose(ground.above([[0, 0, 0], [0, -1, 0.5]]), [3 - 1, 3.5 - 2])
    # beyond the edge the cell at the edge counts, and a hole is what is nearest to it
    np.testing.assert_allclose(ground.above([[-50, 0, 0], [1, 0, 0]]), [3 - 1, 3 - 1])
    assert np.isnan(ground.above([np.nan, 0, 0]))


def test_an_offset_of_city_coordinates_changes_no_height():
    heights = np.random.default_rng(0).normal(size=(40, 50))
    points = np.random.default_rng(1).uniform(-8, 8, (100, 3))
    found = []
    for shift in (np.zeros(2), np.array([5e6, 4e6])):
        grid = GroundGrid(heights, np.eye(2), 10 - shift, 2.0)
        pose = turned(0.3, 0.02, (*shift, 1.0))
        frame = memory_log([sweep([[0, 0, 0]])], hdmap=HDMap(ground=grid), poses=posed(pose))[0]
        found.append(ground_of(frame).above(points))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_the_height_of_a_place_comes_back():
    random = np.random.default_rng(0)
    slope = np.add.outer(0.05 * np.arange(40), 0.02 * np.arange(50))
    frame = memory_log(
        [sweep([[0, 0, 0]])],
        hdmap=HDMap(ground=GroundGrid(slope, np.eye(2), np.array([20.0, 20.0]), 1.0)),
        poses=posed(turned(1.0, 0.05, (2, 1, 0.7))),
    )[0]
    ground = ground_of(frame)
    xy, above = random.uniform(-8, 8, (50, 2)), random.uniform(-1, 3, 50)
    z = ground.ego_z(xy, above)
    # where the tilt moves a place over a border it may be off by a step of the grid
    assert np.median(np.abs(ground.above(np.column_stack([xy, z])) - above)) < 1e-6


def test_the_lidars_ground_is_the_lowest_point_of_each_cell_near_the_plane():
    xyz = [[1, 1, -0.4], [1.5, 1.5, 0.3], [1, 1, -9], [50, 0, 0.2], [np.nan, 0, -1], [500, 0, -1]]
    mount = turned(0.0, at=(0, 0, 0.1))
    frame = memory_log([sweep(xyz, ego_from_sensor=mount)])[0]
    ground = ground_of(frame, "lidar")
    assert ground.by == "lidar"
    np.testing.assert_allclose(ground.above([[0.1, 1.9, 0], [51, 1, 0], [90, 0, 1]]), [0.3, -0.3, 0.7], atol=1e-6)
    # nothing near the plane: the plane
    np.testing.assert_allclose(ground_of(frame, "lidar", -40.0).above([[0, 0, 0]]), [40])


@pytest.mark.parametrize(
    ("hdmap", "says"),
    [
        (None, "the log has no map, "),
        (HDMap(), "the log has a map without ground heights, "),
        (
            HDMap(ground=GroundGrid(np.full((2, 2), np.nan), np.eye(2), np.zeros(2), 1.0)),
            "the log has a map whose ground heights are all unknown, ",
        ),
    ],
)
def test_a_log_whose_map_has_no_ground_says_so(hdmap, says):
    frame = memory_log([sweep([[0, 0, 0]])], hdmap=hdmap)[0]
    with pytest.raises(MissingRecord) as caught:
        ground_of(frame, "map")
    assert str(caught.value) == (
        f"memory: {says}which ground 'map' needs; take 'plane', 'lidar', 'map_or_plane' or 'map_or_lidar'"
    )
    assert ground_of(frame, "map_or_plane", 0.25).above([0, 0, 1]) == 0.75
    assert ground_of(frame, "map_or_lidar").by == "lidar"


def test_a_frame_without_a_lidar_cannot_find_the_ground_by_it():
    frame = memory_log([], times_ns=[T0])[0]
    with pytest.raises(MissingRecord, match="has no sweep of the primary lidar, which ground 'map_or_lidar' needs"):
        ground_of(frame, "map_or_lidar")


def road(z, seed=0):
    """Points on level road, and walls up to 6 m above it in a tenth of the places."""
    random = np.random.default_rng(seed)
    xy = random.uniform(-25, 25, (4000, 2))
    walls = np.column_stack([random.uniform(-25, 25, (400, 2)), random.uniform(0, 6, 400)])
    return np.vstack([np.column_stack([xy, np.zeros(4000)]), walls]) + np.array([0, 0, z])


def test_the_plane_is_where_the_logs_dataset_has_level_ground():
    log = memory_log([sweep(road(-1.73))])
    assert ground_of(log[0], "plane").ego_z([0.0, 0.0]) == 0
    log.source.ground_z_m = -1.73
    assert ground_of(log[0], "plane").ego_z([0.0, 0.0]) == -1.73
    assert ground_of(log[0], "plane", 0.5).ego_z([0.0, 0.0]) == 0.5
    np.testing.assert_allclose(ground_of(log[0], "lidar").ego_z([[0.0, 0.0], [9.0, 9.0]]), -1.73, atol=1e-6)


@pytest.mark.parametrize("found", ["1.7 m", None, np.nan, 1j])
def test_a_source_that_has_the_ground_at_no_number_is_an_error(found):
    log = memory_log([sweep([[0, 0, 0]])])
    log.source.ground_z_m = found
    with pytest.raises(LogError, match="memory: the source's `ground_z_m` must be a finite number, got "):
        ground_of(log[0], "plane")


@pytest.mark.parametrize(
    ("z", "trusted"), [(0, True), (-1.3, True), (1.3, True), (-1.7, False), (2, False), (-9, False)]
)
def test_how_much_of_the_ground_the_lidar_found_near_the_plane_is_known(z, trusted):
    share = ground_of(memory_log([sweep(road(z))])[0], "lidar").share
    assert share > 0.95 if trusted else share < 0.1


def test_an_empty_sweep_says_nothing_against_the_plane():
    assert ground_of(memory_log([sweep(np.empty((0, 3)))])[0], "lidar").share == 1


def test_points_and_single_places_have_the_same_height():
    random = np.random.default_rng(2)
    grid = GroundGrid(random.normal(size=(60, 70)), turned(0.4)[:2, :2], np.array([30.0, 30.0]), 1.7)
    pose = turned(2.0, 0.03, (3, -2, 0.5))
    frame = memory_log([sweep([[0, 0, 0]])], hdmap=HDMap(ground=grid), poses=posed(pose))[0]
    ground, mount = ground_of(frame), turned(0.2, 0.01, (1, 0, 2))
    x, y, z = random.uniform(-30, 30, (3, 500)).astype(np.float32)
    out = np.empty(500, np.float32)
    ground.write_above(x, y, z, mount, out)
    in_ego = np.column_stack([x, y, z]).astype(np.float64) @ mount[:3, :3].T + mount[:3, 3]
    np.testing.assert_allclose(out, ground.above(in_ego), atol=1e-5)
