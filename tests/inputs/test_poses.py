"""Rotations and poses against scipy, and the edges of the record."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from perceptum.inputs import LogError, Poses, PoseUnknown
from perceptum.inputs.poses import (
    inverse,
    quaternion_from_rotation,
    quaternion_from_yaw,
    rigid,
    rotation_from_quaternion,
    yaw_from_rotation,
)

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def scipy_of(wxyz):
    return Rotation.from_quat(np.roll(np.asarray(wxyz), -1, axis=-1))


def wander(n=20, seed=0, step_ns=10 * MS):
    """Poses that turn every way, far from the origin, at uneven times."""
    rng = np.random.default_rng(seed)
    times = START_NS + np.cumsum(rng.integers(1, step_ns, n))
    wxyz = rng.normal(size=(n, 4)) * rng.uniform(0.5, 2, (n, 1))
    return Poses(times, wxyz, rng.normal((5e5, 5e6, 100), size=(n, 3)))


def test_rotations_are_scipys():
    wxyz = np.random.default_rng(0).normal(size=(500, 4)) * 3
    np.testing.assert_allclose(rotation_from_quaternion(wxyz), scipy_of(wxyz).as_matrix(), atol=1e-14)


@pytest.mark.parametrize("angle_rad", [0, 1e-9, 1e-4, 1, np.pi / 2, np.pi - 1e-9, np.pi])
def test_quaternions_come_back_at_every_angle(angle_rad):
    for axis in np.vstack([np.eye(3), np.random.default_rng(1).normal(size=(20, 3))]):
        rotation = Rotation.from_rotvec(angle_rad * axis / np.linalg.norm(axis)).as_matrix()
        wxyz = quaternion_from_rotation(rotation)
        assert wxyz[0] >= 0
        np.testing.assert_allclose(np.linalg.norm(wxyz), 1, atol=1e-14)
        np.testing.assert_allclose(rotation_from_quaternion(wxyz), rotation, atol=1e-12)


@given(st.floats(-np.pi, np.pi))
def test_yaw_goes_there_and_back(yaw_rad):
    back = float(yaw_from_rotation(rotation_from_quaternion(quaternion_from_yaw(yaw_rad))))
    assert abs(np.angle(np.exp(1j * (back - yaw_rad)))) < 1e-12


def test_inverse_undoes_a_transform_far_away():
    rng = np.random.default_rng(2)
    transforms = rigid(Rotation.random(50, random_state=3).as_matrix(), rng.normal(size=(50, 3)) * 5e6)
    np.testing.assert_allclose(inverse(transforms) @ transforms, np.tile(np.eye(4), (50, 1, 1)), atol=1e-8)
    np.testing.assert_array_equal(inverse(np.eye(4)), np.eye(4))


def test_between_stamps_it_is_scipys_slerp_and_a_line():
    poses = wander()
    first, last = poses.span_ns
    asked = np.random.default_rng(4).integers(first, last, 500)
    got = poses.at_many(asked)
    # scipy interpolates over floats: small ones, from the first stamp on
    slerp = Slerp((poses.times_ns - first).astype(float), scipy_of(poses.quaternions))
    np.testing.assert_allclose(got[:, :3, :3], slerp((asked - first).astype(float)).as_matrix(), atol=1e-9)
    for axis in range(3):
        line = np.interp(asked - first, poses.times_ns - first, poses.translations[:, axis])
        np.testing.assert_allclose(got[:, axis, 3], line, atol=1e-8, rtol=0)


def test_a_recorded_pose_comes_back_to_the_last_bit_also_the_last_one():
    poses = wander()
    for index, time_ns in enumerate(poses.times_ns.tolist()):
        np.testing.assert_array_equal(poses.at(time_ns)[:3, 3], poses.translations[index])
        wanted = rotation_from_quaternion(poses.quaternions[index])
        np.testing.assert_allclose(poses.at(time_ns)[:3, :3], wanted, atol=1e-15)


def test_the_sign_of_a_quaternion_means_nothing():
    poses = wander()
    signs = np.where(np.arange(20) % 2, -1.0, 1.0)[:, None]
    flipped = Poses(poses.times_ns, poses.quaternions * signs, poses.translations)
    asked = np.linspace(*poses.span_ns, 101).astype(np.int64).clip(*poses.span_ns)
    np.testing.assert_allclose(flipped.at_many(asked), poses.at_many(asked), atol=1e-12)


def test_one_nanosecond_is_seen_at_an_epoch_time():
    poses = Poses(np.array([START_NS, START_NS + 2]), np.tile([1.0, 0, 0, 0], (2, 1)), np.array([[0.0] * 3, [2.0] * 3]))
    assert poses.at(START_NS + 1)[0, 3] == 1.0


@settings(max_examples=200, deadline=None)
@given(st.integers(-50 * MS, 300 * MS), st.integers(0, 50 * MS))
def test_every_answer_is_rigid_or_an_error(offset_ns, extrapolate_ns):
    poses = wander()
    first, last = poses.span_ns
    time_ns = first + offset_ns
    if first - extrapolate_ns <= time_ns <= last + extrapolate_ns:
        rotation = poses.at_many([time_ns], extrapolate_ns)[0, :3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    else:
        with pytest.raises(PoseUnknown):
            poses.at_many([time_ns], extrapolate_ns)


def test_outside_the_record_is_an_error():
    poses = wander()
    first, last = poses.span_ns
    for time_ns in (first - 1, last + 1):
        with pytest.raises(PoseUnknown) as caught:
            poses.at(time_ns)
        assert str(caught.value) == f"no pose at {time_ns} ns: poses are recorded from {first} to {last} ns"


def test_the_last_motion_goes_on_where_that_is_allowed():
    wxyz = quaternion_from_yaw([0.0, 0.1])
    poses = Poses(np.array([0, 100]), wxyz, np.array([[0.0, 0, 0], [1, 0, 0]]))
    after = poses.at_many([150], extrapolate_ns=50)[0]
    np.testing.assert_allclose([after[0, 3], yaw_from_rotation(after)], [1.5, 0.15], atol=1e-12)
    before = poses.at_many([-50], extrapolate_ns=50)[0]
    np.testing.assert_allclose([before[0, 3], yaw_from_rotation(before)], [-0.5, -0.05], atol=1e-12)


def test_a_gap_is_an_error_but_its_ends_are_not():
    times = np.array([0, 600 * MS, 700 * MS])
    poses = Poses.fixed(times)
    for time_ns in times.tolist():
        np.testing.assert_array_equal(poses.at(time_ns), np.eye(4))
    with pytest.raises(PoseUnknown) as caught:
        poses.at(300 * MS)
    assert str(caught.value) == (
        "no pose at 300000000 ns: between 0 and 600000000 ns none is recorded for 0.600 s, "
        "more than the 0.500 s that are interpolated"
    )


@pytest.mark.parametrize(("row", "gap"), [(1, (1, 9)), (2, (11, 19))])
def test_a_broken_pose_at_the_time_of_its_neighbour_leaves_a_gap(row, gap):
    """It left none: nothing lies between a time and itself, so the motion was made up across it."""
    times, where = np.array([0, 10, 10, 20]), np.zeros((4, 3))
    where[row, 1] = np.nan
    poses = Poses.leaving_gaps("poses.csv", times, np.tile(ONE, (4, 1)), where)
    for time_ns in (0, 10, 20):
        np.testing.assert_array_equal(poses.at(time_ns), np.eye(4))
    for time_ns in gap:
        with pytest.raises(PoseUnknown, match=rf"^no pose at {time_ns} ns: poses.csv: pose {row} has the quaternion"):
            poses.at(time_ns)
    np.testing.assert_array_equal(poses.at(20 - gap[0]), np.eye(4))


def test_a_broken_pose_at_the_time_of_the_first_or_last_leaves_what_is_beyond_unknown():
    wxyz, where = np.tile(ONE, (4, 1)), np.zeros((4, 3))
    where[[0, 3]] = np.nan
    poses = Poses.leaving_gaps("poses.csv", np.array([5, 5, 9, 9]), wxyz, where)
    np.testing.assert_array_equal(poses.at_many([5, 7, 9]), np.tile(np.eye(4), (3, 1, 1)))
    for time_ns in (4, 10):
        with pytest.raises(PoseUnknown, match="has the quaternion"):
            poses.at_many([time_ns], extrapolate_ns=5)


def test_a_whole_pose_that_repeats_a_time_leaves_no_gap():
    poses = Poses.leaving_gaps("poses.csv", np.array([0, 10, 10, 20]), np.tile(ONE, (4, 1)), np.zeros((4, 3)))
    assert [pose.time_ns for pose in poses.broken] == [10]
    np.testing.assert_array_equal(poses.at_many([5, 10, 15]), np.tile(np.eye(4), (3, 1, 1)))


def test_a_single_pose_holds_at_its_time_alone():
    poses = Poses.fixed([5])
    np.testing.assert_array_equal(poses.at(5), np.eye(4))
    with pytest.raises(PoseUnknown):
        poses.at(6)


ONE = np.array([[1.0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("times", "wxyz", "where", "wanted"),
    [
        ([], np.zeros((0, 4)), np.zeros((0, 3)), "a log needs at least one pose, got none"),
        (
            [0, 1],
            ONE,
            np.zeros((2, 3)),
            "2 pose times need quaternions (2, 4) and translations (2, 3), got (1, 4) and (2, 3)",
        ),
        (
            [7, 7],
            np.tile(ONE, (2, 1)),
            np.zeros((2, 3)),
            "pose times must increase: 7 ns is followed by 7 ns",
        ),
        (
            [2**62, -(2**62) - 5],
            np.tile(ONE, (2, 1)),
            np.zeros((2, 3)),
            f"pose times must increase: {2**62} ns is followed by {-(2**62) - 5} ns",
        ),
        (
            [3],
            ONE * 0,
            np.zeros((1, 3)),
            "the pose at 3 ns is not a pose: quaternion [0.0, 0.0, 0.0, 0.0], translation [0.0, 0.0, 0.0]; "
            "wanted finite numbers and a rotation",
        ),
        (
            [3],
            ONE,
            np.array([[0, np.nan, 0]]),
            "the pose at 3 ns is not a pose: quaternion [1.0, 0.0, 0.0, 0.0], translation [0.0, nan, 0.0]; "
            "wanted finite numbers and a rotation",
        ),
    ],
)
def test_poses_that_are_none_are_refused(times, wxyz, where, wanted):
    with pytest.raises(LogError) as caught:
        Poses(np.array(times, dtype=np.int64), wxyz, where)
    assert str(caught.value) == wanted
