"""Points recorded far from the origin are moved before they are narrowed, out of memory and out of a store."""

from dataclasses import replace

import numpy as np
import pytest

from perceptum import InputBuilder
from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import Labels, LidarSweep, Poses, RadarSweep
from perceptum.inputs.poses import inverse, quaternion_from_yaw, rigid, rotation_from_quaternion

UTM = np.array([388096.125, 3948996.375, 60.0])
LOCAL = np.array([[1.23, 2.34, 0.5], [10.11, -5.07, 0.7], [-3.33, 8.88, 1.1], [20.02, 20.03, 1.4]])
STEP_NS = 100_000_000
TURN = rotation_from_quaternion(quaternion_from_yaw(0.7))
NAMES = ["lidar_points", "lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]


def map_frame_sweep(time_ns, **columns):
    """Points in the map's frame, whose mount takes them to the car."""
    x, y, z = (LOCAL @ TURN.T + UTM).T.copy()
    return LidarSweep("L", time_ns, inverse(rigid(TURN, UTM)), x, y, z, **columns)


@pytest.fixture(params=["memory", "store"])
def through(request, tmp_path):
    """through(log): the log itself, or what is read of it once it is converted."""

    def go(log):
        if request.param == "memory":
            return log
        convert(log, str(tmp_path / "store"))
        return open_log(tmp_path / "store")

    return go


@pytest.mark.parametrize("columns", [{}, {"offset_ns": np.arange(4, dtype=np.int32) * 1000}])
def test_points_in_a_map_frame_come_to_the_car_to_a_tenth_of_a_millimetre(through, columns):
    log = through(memory_log([map_frame_sweep(t * STEP_NS, **columns) for t in range(3)]))
    assert log[1].lidar.x.dtype == np.float64
    params = {"lidar_points": {"columns": ["x", "y", "z"]}}
    got = InputBuilder(["lidar_points"], params=params).build(log[1])["lidar_points"]
    np.testing.assert_allclose(got, LOCAL, atol=1e-4)


def test_voxels_of_points_in_a_map_frame_are_those_near_the_origin(through):
    far = through(memory_log([map_frame_sweep(0)]))
    near = memory_log(
        [replace(map_frame_sweep(0), ego_from_sensor=np.eye(4), **dict(zip("xyz", LOCAL.T, strict=True)))]
    )
    ours, theirs = (InputBuilder(NAMES).build(log[0]) for log in (far, near))
    for name in NAMES:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4, err_msg=name)


def test_poses_and_radars_and_boxes_far_away_lose_nothing(through):
    poses = Poses(STEP_NS * np.arange(3), np.tile([1.0, 0, 0, 0], (3, 1)), UTM + np.arange(3)[:, None] * [1 / 3, 0, 0])
    x, y, z = (LOCAL + UTM).T.copy()
    radar = RadarSweep("R", STEP_NS, rigid(np.eye(3), -UTM), x, y, z)
    boxes = np.column_stack([LOCAL + UTM, np.ones((4, 4))])
    labels = Labels(STEP_NS, boxes, np.array(["CAR"] * 4), np.array(list("abcd")))
    sweeps = [map_frame_sweep(t * STEP_NS) for t in range(3)]
    log = through(memory_log(sweeps, radars=[radar], labels=[labels], poses=poses))
    assert log[1].world_from_ego[0, 3] == UTM[0] + 1 / 3
    cycle = log[1].radars["R"]
    moved = np.column_stack([cycle.x, cycle.y, cycle.z]) + cycle.ego_from_sensor[:3, 3]
    np.testing.assert_allclose(moved, LOCAL, atol=1e-9)
    np.testing.assert_array_equal(log[1].labels.boxes, boxes)


def test_points_are_moved_through_poses_far_away_without_loss(through):
    """Two sweeps of a car that drives at UTM coordinates, the older moved to the newer."""
    poses = Poses(STEP_NS * np.arange(2), np.tile([1.0, 0, 0, 0], (2, 1)), np.array([[0, 0, 0], [1.25, 0, 0]]) + UTM)
    x, y, z = LOCAL.T.copy()
    sweeps = [LidarSweep("L", t * STEP_NS, np.eye(4), x, y, z) for t in range(2)]
    log = through(memory_log(sweeps, poses=poses))
    params = {"lidar_points": {"columns": ["x", "y", "z"], "num_sweeps": 2}}
    got = InputBuilder(["lidar_points"], params=params).build(log[1])["lidar_points"]
    np.testing.assert_allclose(got, np.concatenate([LOCAL, LOCAL - [1.25, 0, 0]]), atol=2e-6)
