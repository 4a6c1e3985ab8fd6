"""ego_motion and ref_from_ego, against a slow version of their definition, under every draw."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.inputs import LidarSweep, Poses, PoseUnknown
from perceptum.inputs.poses import rigid, rotation_from_quaternion

T0 = 1_700_000_000_000_000_123
STEP_NS = 100_000_000
EVERYTHING = Augment(rotate=2.0, flip_x=0.5, flip_y=0.5, scale=(0.8, 1.25), translate=(1.0, 2.0, 0.5))
MOUNT = rigid(rotation_from_quaternion([0.7, 0.1, -0.05, -0.7]), [0.9, 0.1, 1.8])


def poses(n=12, far=5e6):
    """Turning left, nodding and climbing, 5000 km from the world's origin."""
    times = T0 + STEP_NS * np.arange(n)
    k = np.arange(n)
    turns = np.stack([np.cos(0.02 * k), 0.01 * np.sin(k), 0.02 * np.cos(k), np.sin(0.02 * k)], axis=1)
    return Poses(times, turns, np.stack([far + 1.1 * k, far + 0.1 * k * k, 0.05 * k], axis=1))


def log(motion=None, mount=MOUNT, **more):
    motion = motion or poses()
    points = np.ones((1, 3))
    sweeps = [LidarSweep("top", int(t), mount, *points.T) for t in motion.times_ns]
    return memory_log(sweeps, poses=motion, **more)


def built(frame, params=None, draw=None, **options):
    names = ["ego_motion", "ego_motion_valid", "ref_from_ego"]
    params = {"ego_motion": params or {}, "ego_reference": {"frame": (params or {}).get("frame", "ego")}}
    return InputBuilder(names, params=params, **options).build(frame, draw=draw)


def ref_from_past(frame, time_ns, mount=None):
    """By the definition, in float64."""
    motion = np.linalg.inv(frame.world_from_ego) @ frame.log.world_from_ego(time_ns)
    return motion if mount is None else np.linalg.inv(mount) @ motion @ mount


@pytest.mark.parametrize("frame", ["ego", "lidar", "ego_ground"])
def test_past_frames_are_taken_to_now(frame):
    moment = log()[6]
    tensors = built(moment, {"num_past": 3, "frame": frame, "step": 2})
    for k in range(3):
        wanted = ref_from_past(moment, T0 + STEP_NS * (6 - 2 * (k + 1)), MOUNT if frame == "lidar" else None)
        np.testing.assert_allclose(tensors["ego_motion"][k], wanted, atol=2e-6)
        assert tensors["ego_motion"].dtype == np.float32
    assert tensors["ego_motion_valid"].tolist() == [1, 1, 1]


def test_large_coordinates_cost_no_digits():
    near, far = (built(log(poses(far=by))[6])["ego_motion"] for by in (0.0, 5e6))
    np.testing.assert_allclose(near, far, atol=2e-6)


def test_the_start_of_a_log_is_not_known():
    tensors = built(log()[1], {"num_past": 3})
    assert tensors["ego_motion_valid"].tolist() == [1, 0, 0]
    assert np.array_equal(tensors["ego_motion"][1:], [np.eye(4)] * 2)
    assert not built(log()[0])["ego_motion_valid"].any()


def test_frames_that_are_unrelated_have_no_past():
    tensors = built(log(sequential=False)[6], {"num_past": 2, "include_now": True})
    assert tensors["ego_motion_valid"].tolist() == [1, 0]


def test_a_gap_of_the_poses_is_not_known():
    whole = poses()
    kept = np.array([0, 1, 2, 8, 9, 10, 11])
    gapped = Poses(whole.times_ns[kept], whole.quaternions[kept], whole.translations[kept], 300_000_000)
    found = memory_log(times_ns=whole.times_ns[kept], poses=gapped)[4]
    tensors = built(found, {"num_past": 5, "times": "seconds", "dt_s": 0.2})
    assert tensors["ego_motion_valid"].tolist() == [0, 0, 0, 1, 0]
    with pytest.raises(PoseUnknown):
        built(memory_log(times_ns=[int(T0) - 10**9], poses=gapped)[0])


def test_the_newest_is_first_or_last_and_may_be_now():
    moment = log()[6]
    params = {"num_past": 3, "include_now": True}
    forward = built(moment, params)["ego_motion"]
    assert np.array_equal(forward[0], np.eye(4))
    np.testing.assert_allclose(forward[1], ref_from_past(moment, T0 + STEP_NS * 5), atol=2e-6)
    assert np.array_equal(built(moment, {**params, "oldest_first": True})["ego_motion"], forward[::-1])


def test_moments_by_seconds_and_by_sweeps():
    moment = log()[6]
    by_seconds = built(moment, {"num_past": 2, "times": "seconds", "dt_s": 0.13})["ego_motion"]
    for k in (1, 2):
        np.testing.assert_allclose(
            by_seconds[k - 1], ref_from_past(moment, moment.time_ns - k * 130_000_000), atol=2e-6
        )
    # two sweeps in each frame: every second one is that of the frame before
    motion = poses(n=21)
    sweeps = [LidarSweep("top", int(t), MOUNT, *np.ones((3, 1))) for t in motion.times_ns]
    frames = memory_log(sweeps, poses=motion, times_ns=motion.times_ns[::2])
    by_frames = built(frames[6], {"num_past": 3})
    by_sweeps = built(frames[6], {"num_past": 3, "times": "sweeps", "step": 2})
    assert np.array_equal(by_frames["ego_motion"], by_sweeps["ego_motion"])
    assert built(frames[1], {"num_past": 4, "times": "sweeps"})["ego_motion_valid"].tolist() == [1, 1, 0, 0]
    assert frames[6].sweep_times_ns(2, step=2) == [T0 + STEP_NS * 12, T0 + STEP_NS * 10]
    assert frames.reads == {}
    assert not built(memory_log(times_ns=motion.times_ns, poses=motion)[3], {"times": "sweeps"})[
        "ego_motion_valid"
    ].any()


def test_the_other_direction_is_the_inverse():
    moment = log()[6]
    there, back = (built(moment, {"direction": way})["ego_motion"][0] for way in ("ref_from_past", "past_from_ref"))
    np.testing.assert_allclose(there.astype(np.float64) @ back, np.eye(4), atol=1e-6)


def test_a_planar_motion_keeps_the_plane():
    moment = log()[6]
    whole = ref_from_past(moment, T0 + STEP_NS * 5)
    yaw = np.arctan2(whole[1, 0], whole[0, 0])
    flat = built(moment, {"planar": "yaw"})["ego_motion"][0]
    wanted = rigid([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]], [*whole[:2, 3], 0])
    np.testing.assert_allclose(flat, wanted, atol=2e-6)
    dropped = built(moment, {"planar": "drop_z"})["ego_motion"][0]
    np.testing.assert_allclose(dropped[np.ix_([0, 1, 3], [0, 1, 3])], whole[np.ix_([0, 1, 3], [0, 1, 3])], atol=2e-6)
    assert dropped[2].tolist() == [0, 0, 1, 0]
    assert dropped[:, 2].tolist() == [0, 0, 1, 0]
    assert np.abs(dropped - flat).max() > 1e-5


def test_bevdet4ds_matrix_is_the_inverse_without_z():
    """l02l1: rows and columns of x, y and 1 of the inverse of the whole, as its code picks them."""
    moment = log()[6]
    found = InputBuilder(["ego_motion"], params={"ego_motion": "bevdet4d"}).build(moment)["ego_motion"][0]
    past_from_now = np.linalg.inv(moment.log.world_from_ego(T0 + STEP_NS * 5)) @ moment.world_from_ego
    picked = np.ix_([0, 1, 3], [0, 1, 3])
    np.testing.assert_allclose(found[picked], past_from_now[picked], atol=2e-6)


@pytest.mark.parametrize("frame", ["ego", "lidar"])
@pytest.mark.parametrize("planar", ["no", "yaw", "drop_z"])
def test_what_was_built_of_the_past_by_the_same_draw_comes_to_the_right_place(frame, planar):
    """A place of then, changed as the draw changes it, goes where the place of now is changed to."""
    moment = log()[6]
    place = np.array([[3.0, -2.0, 0.5, 1.0], [-20.0, 7.0, 1.5, 1.0]]).T
    for index in range(8):
        draw = Draw(3, 0, index)
        tensors = built(moment, {"frame": frame, "planar": planar}, draw, augment=EVERYTHING)
        plain = built(moment, {"frame": frame, "planar": planar})
        change = InputBuilder(
            ["ref_from_ego"], params={"ego_reference": {"part": "change", "frame": frame}}, augment=EVERYTHING
        ).build(moment, draw=draw)["ref_from_ego"]
        moved = tensors["ego_motion"][0].astype(np.float64) @ (change @ place)
        wanted = change @ (plain["ego_motion"][0].astype(np.float64) @ place)
        np.testing.assert_allclose(moved, wanted, atol=2e-4)
        assert not np.allclose(tensors["ego_motion"][0], plain["ego_motion"][0], atol=1e-3)


def test_ref_from_ego_takes_the_ego_frame_to_the_axes_of_tensors():
    moment = log()[6]
    for frame, wanted in (("ego", np.eye(4)), ("lidar", np.linalg.inv(MOUNT)), ("ego_ground", np.eye(4))):
        params = {"ego_reference": {"frame": frame}}
        found = InputBuilder(["ref_from_ego"], params=params).build(moment)["ref_from_ego"]
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        for index in range(4):
            both = InputBuilder(["ref_from_ego", "lidar_points"], params={**params, "lidar_points": {"frame": frame}})
            if frame != "ego_ground":
                both = InputBuilder(
                    ["ref_from_ego", "lidar_points"],
                    params={**params, "lidar_points": {"frame": frame}},
                    augment=EVERYTHING,
                )
            tensors = both.build(moment, draw=Draw(1, 0, index))
            point = tensors["ref_from_ego"] @ MOUNT @ [1, 1, 1, 1]
            np.testing.assert_allclose(tensors["lidar_points"][0, :2], point[:2], atol=1e-5)


def test_the_change_alone_is_bevfusions_lidar_aug_matrix():
    moment = log()[6]
    row = {"name": "ref_from_ego", "dtype": "float32", "shape": [4, 4], "params": {"preset": "bevfusion"}}
    assert np.array_equal(InputBuilder([row]).build(moment)["ref_from_ego"], np.eye(4, dtype=np.float32))
    builder = InputBuilder([row], augment=EVERYTHING)
    assert np.array_equal(builder.build(moment)["ref_from_ego"], np.eye(4, dtype=np.float32))
    change = builder.build(moment, draw=Draw(0, 0, 0))["ref_from_ego"].astype(np.float64)
    # a similarity about z: scaled, perhaps mirrored, turned, shifted
    scale = abs(np.linalg.det(change[:3, :3])) ** (1 / 3)
    np.testing.assert_allclose(change[:3, :3] @ change[:3, :3].T, np.eye(3) * scale**2, atol=1e-6)
    assert change[2].tolist()[:2] == [0, 0]
    back = InputBuilder(
        ["ref_from_ego"],
        params={"ego_reference": {"part": "change", "frame": "lidar", "inverse": True}},
        augment=EVERYTHING,
    ).build(moment, draw=Draw(0, 0, 0))["ref_from_ego"]
    np.testing.assert_allclose(back @ change, np.eye(4), atol=1e-6)
    whole = InputBuilder(["ref_from_ego"], params={"ego_reference": {"frame": "lidar"}}, augment=EVERYTHING)
    reverse = InputBuilder(
        ["ref_from_ego"], params={"ego_reference": {"frame": "lidar", "inverse": True}}, augment=EVERYTHING
    )
    forth = whole.build(moment, draw=Draw(0, 0, 0))["ref_from_ego"]
    np.testing.assert_allclose(forth, change @ np.linalg.inv(MOUNT), atol=1e-6)
    np.testing.assert_allclose(reverse.build(moment, draw=Draw(0, 0, 0))["ref_from_ego"] @ forth, np.eye(4), atol=1e-9)


def test_the_pose_and_the_stamp_stay_what_they_are():
    moment, names = log()[6], ["ego_pose", "reference_stamp"]
    plain = InputBuilder(names).build(moment)
    given = InputBuilder(names, augment=EVERYTHING).build(moment, draw=Draw(0, 0, 0))
    assert all(np.array_equal(plain[name], given[name]) for name in names)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"dt_s": 0}, "dt_s must be above 0 s and at most 1000 s, got 0"),
        ({"dt_s": 1e30}, "dt_s must be above 0 s and at most 1000 s"),
        ({"num_past": 0}, "num_past"),
        ({"times": "frame"}, "times"),
    ],
)
def test_what_cannot_be_is_refused(params, said):
    with pytest.raises(SpecError, match=said):
        InputBuilder(["ego_motion"], params={"ego_motion": params})
