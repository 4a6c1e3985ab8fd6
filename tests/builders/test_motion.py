"""Sweeps brought into one frame of reference, against the reference's numbers and a slow float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from perceptum.builders.motion import ref_from_sensors
from perceptum.inputs import BrokenRecord, MissingRecord, Poses, PoseUnknown
from perceptum.inputs.poses import quaternion_from_yaw

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
XYZT = ["x", "y", "z", "time_lag"]


def rigid(rotation, translation):
    out = np.eye(4)
    out[:3, :3] = rotation.as_matrix()
    out[:3, 3] = translation
    return out


def world_from_ego(poses, time_ns):
    """Slerp and lerp of one time by scipy, relative to the first translation."""
    t = (poses.times_ns - poses.times_ns[0]) * 1e-9
    at = (time_ns - poses.times_ns[0]) * 1e-9
    rotation = Slerp(t, Rotation.from_quat(poses.quaternions, scalar_first=True))(at)
    shift = poses.translations - poses.translations[0]
    return rigid(rotation, [np.interp(at, t, shift[:, k]) for k in range(3)])


def moved(xyz, times_ns, poses, ref_ns, ego_from_sensor, out_from_ego=None):
    """Each point by the pose of its own time, in float64."""
    out_from_ego = np.eye(4) if out_from_ego is None else out_from_ego
    ego_from_world = np.linalg.inv(world_from_ego(poses, ref_ns))
    out = []
    for p, t in zip(np.float64(xyz), times_ns, strict=True):
        out.append((out_from_ego @ ego_from_world @ world_from_ego(poses, t) @ ego_from_sensor @ [*p, 1])[:3])
    return np.array(out).reshape(-1, 3)


def drive(n=6, step_ms=50, origin=(0.0, 0.0, 0.0), turn=0.02):
    """Poses on a curve, 10 m/s and 0.4 rad/s, pitching and rolling a little."""
    k = np.arange(n)
    turns = Rotation.from_euler("zyx", turn * np.column_stack([k, 0.02 * np.sin(k), 0.1 * k]))
    shift = np.column_stack([0.5 * k, 0.002 * k**2, 0.01 * k])
    return Poses(T0 + k * step_ms * MS, turns.as_quat(scalar_first=True), shift + np.array(origin))


MOUNT = rigid(Rotation.from_euler("zyx", [0.3, 0.1, -0.2]), [1.2, -0.3, 1.8])


def test_three_sweeps_stand_where_the_devkit_puts_them(memory_log, sweep_of, build):
    """Golden vector 4 of the reference."""
    mount = rigid(Rotation.from_euler("z", -np.pi / 2), [1, 0, 1.8])
    times = T0 + np.arange(3) * 50 * MS
    translations = np.column_stack([600.0 + np.arange(3), np.full(3, 1600.0), np.zeros(3)])
    poses = Poses(times, quaternion_from_yaw(0.1 * np.arange(3)), translations)
    xyz = np.float32([[5, 5, 0], [0.5, 3, 0], [-1, 0, 0], [0.5, 0.5, 0]])
    log = memory_log([sweep_of(xyz, time_ns=int(t), ego_from_sensor=mount) for t in times], poses)
    params = {"num_sweeps": 3, "frame": "lidar", "remove_close": 1, "columns": XYZT}
    points = build(["lidar_points"], log[2], {"lidar_points": params})["lidar_points"]
    expected = [
        *[[5, 5, 0], [0.5, 3, 0], [-1, 0, 0]],
        *[[5.3754, 3.4908, 0], [0.6982, 1.95, 0], [-1.0938, -0.8852, 0]],
        *[[5.6950, 1.9269, 0], [0.8874, 0.8608, 0], [-1.1787, -1.7814, 0]],
    ]
    assert np.allclose(points[:, :3], expected, atol=6e-5)
    assert points[:, 3].tolist() == np.float32([0, 0, 0, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1]).tolist()
    assert points[:3, :3].tobytes() == xyz[:3].tobytes()


# metres; poses a quarter of a millisecond apart are blended, which cuts the corners of the recorded motion
@pytest.mark.parametrize(("turn", "tolerance"), [(0.02, 1e-5), (0.2, 1e-4)], ids=["car", "spin"])
@pytest.mark.parametrize("frame", ["ego", "lidar"])
@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("compensate", ["per_point", "per_sweep"])
def test_every_point_moves_by_the_pose_of_its_own_time(
    memory_log, sweep_of, build, frame, sweeps, compensate, turn, tolerance
):
    poses, random = drive(turn=turn), np.random.default_rng(5)
    clouds = [random.uniform(-60, 60, (80, 3)).astype(np.float32) for _ in range(4)]
    offsets = [np.sort(random.integers(-40 * MS, 45 * MS, 80)) for _ in range(4)]
    stamps = [T0 + 50 * MS * (k + 1) for k in range(4)]
    records = [
        sweep_of(c, time_ns=t, ego_from_sensor=MOUNT, offset_ns=o)
        for c, t, o in zip(clouds, stamps, offsets, strict=True)
    ]
    params = {"num_sweeps": sweeps, "frame": frame, "compensate": compensate, "columns": XYZT}
    points = build(["lidar_points"], memory_log(records, poses)[3], {"lidar_points": params})["lidar_points"]
    out_from_ego = np.linalg.inv(MOUNT) if frame == "lidar" else np.eye(4)
    for k in range(sweeps):
        own = points[80 * k : 80 * (k + 1)]
        times = stamps[3 - k] + (offsets[3 - k] if compensate == "per_point" else np.zeros(80, np.int64))
        expected = moved(clouds[3 - k], times, poses, stamps[3], MOUNT, out_from_ego)
        assert np.abs(own[:, :3] - expected).max() < tolerance
        assert own[:, 3].tobytes() == ((stamps[3] - times) * 1e-9).astype(np.float32).tobytes()


def test_points_keep_their_own_time_and_ring_when_others_before_them_are_dropped(memory_log, sweep_of, build):
    poses, random = drive(), np.random.default_rng(8)
    xyz = random.uniform(-30, 30, (120, 3)).astype(np.float32)
    xyz[::5, 0] = np.nan
    xyz[1::7, :2] = 0.25
    offsets = random.integers(-20 * MS, 20 * MS, 120)
    sweep = sweep_of(xyz, np.arange(120.0), T0 + 100 * MS, offset_ns=offsets, ring=np.arange(120))
    params = {"remove_close": 1, "intensity_mode": "raw", "columns": ["x", "y", "z", "intensity", "time_lag", "ring"]}
    points = build(["lidar_points"], memory_log([sweep], poses)[0], {"lidar_points": params})["lidar_points"]
    kept = [i for i in range(120) if np.isfinite(xyz[i, 0]) and (abs(xyz[i, :2]) >= 1).any()]
    expected = moved(xyz[kept], T0 + 100 * MS + offsets[kept], poses, T0 + 100 * MS, np.eye(4))
    assert np.abs(points[:, :3] - expected).max() < 1e-5
    assert points[:, 3].tolist() == points[:, 5].tolist() == kept
    assert points[:, 4].tobytes() == (-offsets[kept] * 1e-9).astype(np.float32).tobytes()


def test_the_axes_of_a_primary_lidar_that_has_no_sweep_yet_are_an_error_and_not_the_cars(memory_log, sweep_of, build):
    """The points stood in the ego frame without a word."""
    side = sweep_of(np.ones((2, 3)), time_ns=T0, sensor="side", ego_from_sensor=MOUNT)
    top = sweep_of(np.ones((2, 3)), time_ns=T0 + 50 * MS, sensor="top")
    log = memory_log([top, side], drive())
    with pytest.raises(MissingRecord) as error:
        build(["lidar_points"], log[0], {"lidar_points": {"frame": "lidar"}})
    assert str(error.value) == (
        f'memory: frame 0 ({T0}) has no sweep of the primary lidar, which frame "lidar" needs; take frame "ego"'
    )
    assert len(build(["lidar_points"], log[1], {"lidar_points": {"frame": "lidar"}})["lidar_points"]) == 4


def test_a_point_newer_than_the_reference_has_a_negative_lag(frame_of, build):
    frame = frame_of(np.ones((3, 3)), offset_ns=np.int64([-5 * MS, 0, 20 * MS]))
    lag = build(["lidar_points"], frame, {"lidar_points": {"columns": ["time_lag"]}})["lidar_points"][:, 0]
    assert lag.tolist() == np.float32([0.005, 0, -0.02]).tolist()


def test_points_that_the_log_has_compensated_move_as_one_from_that_moment(memory_log, sweep_of, build):
    poses, xyz = drive(), np.random.default_rng(0).uniform(-50, 50, (30, 3)).astype(np.float32)
    to_ns = T0 + 20 * MS
    sweep = sweep_of(xyz, time_ns=T0 + 100 * MS, offset_ns=np.arange(30) * MS, compensated_to_ns=to_ns)
    points = build(["lidar_points"], memory_log([sweep], poses)[0])["lidar_points"]
    expected = moved(xyz, [to_ns] * 30, poses, T0 + 100 * MS, np.eye(4))
    assert np.abs(points[:, :3] - expected).max() < 1e-5


def test_points_already_in_the_frame_of_reference_keep_their_bytes(memory_log, sweep_of, build):
    xyz = np.random.default_rng(0).uniform(-50, 50, (200, 3)).astype(np.float32)
    ego = memory_log([sweep_of(xyz, time_ns=T0 + 50 * MS)], drive())[0]
    lidar = memory_log([sweep_of(xyz, time_ns=T0 + 50 * MS, ego_from_sensor=MOUNT)], drive())[0]
    for frame, name in ((ego, "ego"), (lidar, "lidar")):
        points = build(["lidar_points"], frame, {"lidar_points": {"frame": name, "columns": ["x", "y", "z"]}})
        assert points["lidar_points"].tobytes() == xyz.tobytes()


def test_two_lidars_meet_in_one_cloud_newest_first(memory_log, sweep_of, build):
    poses = drive()
    front = [sweep_of([[1, 0, 0]], time_ns=T0 + t * MS, sensor="front", ego_from_sensor=MOUNT) for t in (0, 100)]
    rear = [sweep_of([[2, 0, 0]], time_ns=T0 + t * MS, sensor="rear") for t in (50, 80)]
    frame = memory_log([*front, *rear], poses, times_ns=[T0 + 100 * MS])[0]
    points = build(["lidar_points"], frame, {"lidar_points": {"num_sweeps": 2, "columns": XYZT}})["lidar_points"]
    assert points[:, 3].tolist() == np.float32([0, 0.02, 0.05, 0.1]).tolist()
    expected = [
        moved([[x, 0, 0]], [T0 + t * MS], poses, T0 + 100 * MS, mount)[0]
        for x, t, mount in ((1, 100, MOUNT), (2, 80, np.eye(4)), (2, 50, np.eye(4)), (1, 0, MOUNT))
    ]
    assert np.abs(points[:, :3] - expected).max() < 1e-5


def test_the_first_frames_of_a_log_have_fewer_sweeps(memory_log, sweep_of, build):
    log = memory_log([sweep_of([[1, 1, 1]], time_ns=T0 + 50 * MS * k) for k in range(3)], drive())
    params = {"lidar_points": {"num_sweeps": 10}}
    assert [len(build(["lidar_points"], frame, params)["lidar_points"]) for frame in log] == [1, 2, 3]


@settings(max_examples=25, deadline=None)
@given(east=st.floats(-5e6, 5e6), north=st.floats(-5e6, 5e6), up=st.floats(-5e3, 5e3), seed=st.integers(0, 99))
def test_world_coordinates_near_five_million_metres_change_nothing_above_a_micrometre(
    memory_log, sweep_of, build, east, north, up, seed
):
    random = np.random.default_rng(seed)
    # metres near the sensor, where float32 tells micrometres
    xyz = random.uniform(-4, 4, (50, 3)).astype(np.float32)
    offsets = random.integers(-20 * MS, 20 * MS, 50)
    found = []
    for origin in ((0, 0, 0), (east, north, up)):
        records = [sweep_of(xyz, time_ns=T0 + 50 * MS * k, ego_from_sensor=MOUNT, offset_ns=offsets) for k in (1, 2, 3)]
        log = memory_log(records, drive(origin=origin))
        found.append(build(["lidar_points"], log[2], {"lidar_points": {"num_sweeps": 3}})["lidar_points"])
    assert np.abs(found[0] - found[1]).max() <= 1e-6


@pytest.mark.parametrize("turn", [0.5, 3.0])
def test_turning_the_world_changes_nothing_above_ten_micrometres(memory_log, sweep_of, build, turn):
    poses, xyz = drive(), np.random.default_rng(2).uniform(-50, 50, (60, 3)).astype(np.float32)
    rotation = Rotation.from_euler("z", turn)
    turned = Poses(
        poses.times_ns,
        (rotation * Rotation.from_quat(poses.quaternions, scalar_first=True)).as_quat(scalar_first=True),
        rotation.apply(poses.translations),
    )
    found = []
    for world in (poses, turned):
        log = memory_log([sweep_of(xyz, time_ns=T0 + 50 * MS * k) for k in range(4)], world)
        found.append(build(["lidar_points"], log[3], {"lidar_points": {"num_sweeps": 4}})["lidar_points"])
    assert np.abs(found[0] - found[1]).max() <= 1e-5


@pytest.mark.parametrize("offset", [2**62, -(2**62), 10**13])
def test_a_point_time_far_from_its_sweep_is_a_broken_record(memory_log, sweep_of, build, offset):
    sweep = sweep_of(np.ones((2, 3)), offset_ns=np.int64([0, offset]), source="drive/0003.bin")
    span = sorted([0, offset])
    with pytest.raises(BrokenRecord) as error:
        build(["lidar_points"], memory_log([sweep])[0])
    assert str(error.value) == (
        f"drive/0003.bin: the points' offset_ns go from {span[0]} to {span[1]}, wanted at most 10 s from the sweep's "
        'stamp; take compensate "per_sweep" to do without them'
    )


def test_a_single_pose_holds_for_points_a_little_newer(memory_log, sweep_of, build):
    """One pose says nothing of motion: its numbers must come through exactly, however large."""
    poses = Poses(np.array([T0]), np.array([[1.0, 0, 0, 0]]), np.array([[4_712_345.678, 661_234.567, 100.1]]))
    xyz = np.float32([[1, 2, 3], [4, 5, 6]])
    frame = memory_log([sweep_of(xyz, time_ns=T0, offset_ns=np.int64([0, 40 * MS]))], poses)[0]
    points = build(["lidar_points"], frame, {"lidar_points": {"columns": ["x", "y", "z"]}})["lidar_points"]
    assert np.abs(points - xyz).max() <= 1e-6


def test_points_up_to_fifty_milliseconds_beyond_the_last_pose_go_on_with_its_motion(memory_log, sweep_of, build):
    poses = Poses(T0 + np.array([0, 50]) * MS, np.tile([1.0, 0, 0, 0], (2, 1)), np.array([[0.0, 0, 0], [1, 0, 0]]))
    offsets = np.int64([0, 25 * MS, 50 * MS])
    frame = memory_log([sweep_of(np.zeros((3, 3)), time_ns=T0 + 50 * MS, offset_ns=offsets)], poses)[0]
    points = build(["lidar_points"], frame, {"lidar_points": {"columns": ["x", "y", "z"]}})["lidar_points"]
    assert np.allclose(points, [[0, 0, 0], [0.5, 0, 0], [1, 0, 0]], atol=1e-6)


def test_lag_is_per_point_also_where_the_log_has_compensated_the_motion(frame_of, build):
    frame = frame_of(np.ones((2, 3)), offset_ns=np.int32([0, 40 * MS]), compensated_to_ns=T0)
    params = {"lidar_points": {"columns": ["x", "time_lag"]}}
    tensors = build(["lidar_points"], frame, params)["lidar_points"]
    assert tensors.tolist() == np.float32([[1, 0], [1, -0.04]]).tolist()
    per_sweep = {"lidar_points": {**params["lidar_points"], "compensate": "per_sweep"}}
    assert build(["lidar_points"], frame, per_sweep)["lidar_points"][:, 1].tolist() == [0, 0]


def relative(poses, ref_ns, times_ns):
    """As in numpy: translations subtracted before they are rotated."""
    ref, then = poses.at(ref_ns), poses.at_many(times_ns, extrapolate_ns=50 * MS)
    out = np.tile(np.eye(4), (len(then), 1, 1))
    out[:, :3, :3] = ref[:3, :3].T @ then[:, :3, :3]
    out[:, :3, 3] = (then[:, :3, 3] - ref[:3, 3]) @ ref[:3, :3]
    return out


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 6), far=st.sampled_from([0.0, 5e6]), small=st.booleans())
def test_compiled_motion_is_that_of_the_poses(seed, n, far, small):
    random = np.random.default_rng(seed)
    stamps = T0 + np.cumsum(random.integers(1, 100 * MS, n))
    # neighbours that hardly turn, and such as turn by any angle, with quaternions of either sign and any length
    turns = np.cumsum(random.normal(0, 1e-7 if small else 2, (n, 3)), axis=0)
    quaternions = Rotation.from_rotvec(turns).as_quat(scalar_first=True) * random.uniform(-3, 3, (n, 1))
    poses = Poses(stamps, quaternions, random.uniform(-9, 9, (n, 3)) + far)
    ref = int(random.integers(stamps[0], stamps[-1] + 1))
    times = np.append(random.integers(stamps[0] - 50 * MS, stamps[-1] + 50 * MS + 1, 9), stamps)
    mount = rigid(Rotation.from_rotvec(random.normal(size=3)), random.normal(size=3))
    out = rigid(Rotation.from_rotvec(random.normal(size=3)), random.normal(size=3))
    got = ref_from_sensors(poses, ref, [(times.tolist(), mount)], out)[0]
    wanted = out @ relative(poses, ref, times) @ mount
    assert got.shape == (len(times), 3, 4)
    assert np.abs(got - wanted[:, :3]).max() < 1e-7 * (far == 5e6) + 1e-9


@pytest.mark.parametrize(("ref_ms", "time_ms"), [(-1, 0), (0, -51), (0, 301), (0, 100), (100, 0)])
def test_motion_is_not_made_up_where_no_pose_is_known(ref_ms, time_ms):
    poses = Poses(T0 + np.array([0, 250]) * MS, np.tile([1.0, 0, 0, 0], (2, 1)), np.zeros((2, 3)), max_gap_ns=200 * MS)
    with pytest.raises(PoseUnknown, match=r"^no pose at \d+ ns: "):
        ref_from_sensors(poses, T0 + ref_ms * MS, [([T0, T0 + time_ms * MS], np.eye(4))], np.eye(4))


@pytest.mark.parametrize("far", [-(2**63), 2**62, 11 * 10**9])
def test_an_age_told_from_times_that_are_far_off_is_refused_too(sweep_of, memory_log, build, far):
    """The points of a compensated sweep are not moved each by its time, and their ages wrapped around."""
    offsets = np.array([0, far], dtype=np.int64)
    sweep = sweep_of(np.ones((2, 3)), time_ns=T0, offset_ns=offsets, compensated_to_ns=T0)
    with pytest.raises(BrokenRecord, match=r"the points' offset_ns go from .* take compensate \"per_sweep\""):
        build(["lidar_points"], memory_log([sweep])[0])
    assert build(["lidar_points"], memory_log([sweep])[0], {"lidar_points": {"columns": ["x"]}})["lidar_points"].shape
