"""ego_state by poses and by signals, against slow versions, and BEVFormer's can_bus as its code makes it."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.features.ego import EgoStateParams
from perceptum.inputs import LidarSweep, Log, MissingRecord, Poses, PoseUnknown, Signal
from perceptum.inputs.poses import rigid, rotation_from_quaternion

T0 = 1_700_000_000_000_000_123
TEN_MS = 10_000_000
GRAVITY = np.array([0, 0, 9.80665])
VECTORS = [
    f"{what}_{axis}" for what in ("velocity", "acceleration", "specific_force", "angular_rate") for axis in "xyz"
]
NAMES = ["ego_state", "ego_state_valid"]


def place(t):
    """Where something is that drives a curve and speeds up, and how it looks; t in seconds, (n,)."""
    yaw = 0.3 * t + 0.05 * t * t + 1.0
    return np.stack([5e5 + 8 * t + t * t, 4e6 + 3 * np.sin(0.5 * t), 100 + 0.2 * t], axis=1), yaw


def truth(t):
    """velocity, acceleration (world) and yaw rate, by calculus."""
    velocity = np.array([8 + 2 * t, 1.5 * np.cos(0.5 * t), 0.2])
    acceleration = np.array([2, -0.75 * np.sin(0.5 * t), 0])
    return velocity, acceleration, 0.3 + 0.1 * t


@pytest.fixture(scope="module")
def drive():
    """Six seconds, a pose every 10 ms and a frame every half second; the vehicle leans by 3 degrees."""
    t = np.arange(0, 601) * 0.01
    xyz, yaw = place(t)
    c, s = np.cos(0.026), np.sin(0.026)
    turns = np.stack([c * np.cos(yaw / 2), s * np.cos(yaw / 2), s * np.sin(yaw / 2), c * np.sin(yaw / 2)], axis=1)
    times = T0 + TEN_MS * np.arange(601)
    sweeps = [LidarSweep("top", int(time_ns), np.eye(4), *np.ones((3, 1))) for time_ns in times[::50]]
    return memory_log(sweeps, poses=Poses(times, turns, xyz))


def state(sample, columns, draw=None, augment=None, axes="ego", **params):
    params = {"columns": columns, "frame": axes, **params}
    builder = InputBuilder(NAMES, params={"ego_state": params}, augment=augment)
    tensors = builder.build(sample, draw=draw)
    return tensors["ego_state"], tensors["ego_state_valid"].tolist()


def slow(frame):
    """The definition: derivatives of the world's, in the axes of the ego frame."""
    velocity, acceleration, yaw_rate = truth((frame.time_ns - T0) * 1e-9)
    turn = frame.world_from_ego[:3, :3].T
    return np.concatenate([turn @ v for v in (velocity, acceleration, acceleration + GRAVITY, [0, 0, yaw_rate])])


@pytest.mark.parametrize(("index", "tolerance"), [(6, 2e-2), (0, 0.12), (12, 0.12)])
def test_poses_are_differentiated(drive, index, tolerance):
    """In the middle of a log by central differences, at its ends from one side, where they are less exact."""
    found, valid = state(drive[index], VECTORS, half_width_s=0.1)
    assert valid == [1] * 12
    np.testing.assert_allclose(found, slow(drive[index]), atol=tolerance)


def test_the_stencil_is_as_documented(drive):
    frame, h = drive[6], 0.25
    now = frame.world_from_ego
    before, after, twice = (drive.world_from_ego(frame.time_ns + round(by * 1e9)) for by in (-h, h, -2 * h))
    turn = now[:3, :3].T
    found, _ = state(frame, ["velocity_x", "acceleration_y"], half_width_s=h)
    velocity = turn @ (after - before)[:3, 3] / (2 * h)
    acceleration = turn @ (after - 2 * now + before)[:3, 3] / h**2
    np.testing.assert_allclose(found, [velocity[0], acceleration[1]], rtol=1e-6)
    found, _ = state(frame, ["velocity_x", "acceleration_y"], half_width_s=h, differences="backward")
    velocity = turn @ (3 * now - 4 * before + twice)[:3, 3] / (2 * h)
    acceleration = turn @ (now - 2 * before + twice)[:3, 3] / h**2
    np.testing.assert_allclose(found, [velocity[0], acceleration[1]], rtol=1e-5)


def test_backward_differences_never_look_ahead(drive):
    """The same frame in a log that ends there."""
    frame = drive[6]
    poses = drive.poses
    until = poses.times_ns <= frame.time_ns
    cut = memory_log(
        [drive.source.read_lidar("top", k) for k in range(7)],
        poses=Poses(poses.times_ns[until], poses.quaternions[until], poses.translations[until]),
    )
    for differences, same in (("backward", True), ("central", False)):
        one, other = (state(log[6], VECTORS, differences=differences)[0] for log in (drive, cut))
        assert np.array_equal(one, other) == same


def test_where_few_poses_are_known_some_columns_are_not(caplog):
    poses = Poses.fixed([T0, T0 + 250_000_000])
    frame = memory_log(times_ns=[T0], poses=poses)[0]
    found, valid = state(frame, ["velocity_x", "acceleration_x", "angular_rate_z"])
    assert valid == [1, 0, 1]
    assert not found.any()
    with caplog.at_level(logging.WARNING):
        found, valid = state(memory_log(times_ns=[T0], poses=Poses.fixed([T0]))[0], VECTORS)
    assert valid == [0] * 12
    assert "its velocity is not known: too few poses are known within 0.25 s" in caplog.text
    with pytest.raises(MissingRecord, match=r"its velocity is not known: too few poses .*; the spec requires it"):
        state(memory_log(times_ns=[T0], poses=Poses.fixed([T0]))[0], VECTORS, required=True)


def test_a_frame_without_a_pose_is_not_known_or_an_error(caplog):
    frame = memory_log(times_ns=[T0], poses=Poses.fixed([T0 + 10**12]))[0]
    with caplog.at_level(logging.WARNING):
        assert state(frame, [*VECTORS, "world_heading", "moved_x", "orientation_w"])[1] == [0] * 15
    assert "no pose at" in caplog.text
    with pytest.raises(PoseUnknown):
        state(frame, VECTORS, required=True)


def signals(drive, mount=None):
    """What a unit at `mount` would report: exact, 100 a second; an accelerometer's force, and a steering wheel."""
    times = drive.poses.times_ns
    mount = np.eye(4) if mount is None else mount
    rows = {"v": [], "f": [], "w": []}
    for time_ns in times.tolist():
        velocity, acceleration, rate = truth((time_ns - T0) * 1e-9)
        turn = drive.world_from_ego(time_ns)[:3, :3].T
        w, arm = turn @ [0, 0, rate], mount[:3, 3]
        back = mount[:3, :3].T
        rows["v"].append(back @ (turn @ velocity + np.cross(w, arm)))
        rows["f"].append(back @ (turn @ (acceleration + GRAVITY) + np.cross(w, np.cross(w, arm))))
        rows["w"].append(back @ w)
    columns = {name: np.array(values) for name, values in rows.items()}
    unit = Signal(
        "unit",
        times,
        columns,
        measures={"velocity": "v", "specific_force": "f", "angular_rate": "w"},
        ego_from_sensor=mount,
    )
    wheel = Signal("wheel", times, {"angle": np.full(len(times), 0.7)}, measures={"steering": "angle"})
    return [unit, wheel]


def with_signals(drive, given, **more):
    sweeps = [drive.source.read_lidar("top", k) for k in range(len(drive))]
    return Log(memory_log(sweeps, poses=drive.poses, signals=given).source, **more)


TILTED = rigid(rotation_from_quaternion([0.9, 0.1, 0.2, -0.3]), [1.5, -0.4, 0.8])


@pytest.mark.parametrize("mount", [None, TILTED], ids=["at the ego frame's origin", "elsewhere"])
@pytest.mark.parametrize("source", ["signals", "auto"])
def test_signals_are_taken_to_the_ego_frame(drive, mount, source):
    frame = with_signals(drive, signals(drive, mount))[6]
    found, valid = state(frame, [*VECTORS, "steering", "speed"], source=source)
    assert valid == [1] * 14
    np.testing.assert_allclose(found[:12], slow(frame), atol=2e-3)
    assert found[12:].tolist() == pytest.approx([0.7, float(np.linalg.norm(slow(frame)[:3]))], abs=2e-3)


def test_only_the_signals_that_are_needed_are_read(drive):
    log = with_signals(drive, signals(drive))
    state(log[6], ["steering"])
    assert log.reads == {"signal/wheel": 1}
    log = with_signals(drive, signals(drive))
    state(log[6], VECTORS)
    assert not any(what.startswith("signal") for what in log.reads)


def test_auto_takes_a_signal_where_there_is_one_and_else_poses(drive, caplog):
    by_poses, _ = state(drive[6], VECTORS)
    assert np.array_equal(state(drive[6], VECTORS, source="auto")[0], by_poses)
    with caplog.at_level(logging.WARNING):
        found, valid = state(drive[6], [*VECTORS, "steering"], source="signals")
    assert not found.any()
    assert valid == [0] * 13
    assert "its steering is not known: no signal measures it at that time, the log's signals are none" in caplog.text
    assert caplog.text.count("its velocity is not known") == 1
    with pytest.raises(MissingRecord, match="the log has no signal 'can', its signals are unit, wheel"):
        state(with_signals(drive, signals(drive))[6], VECTORS, source="signals", signal="can", required=True)


def test_one_signal_may_be_named(drive):
    slower = Signal(
        "slower", drive.poses.times_ns, {"v": np.ones((601, 3))}, measures={"velocity": "v"}, ego_from_sensor=np.eye(4)
    )
    frame = with_signals(drive, [*signals(drive), slower])[6]
    assert state(frame, ["velocity_x"], source="signals", signal="slower")[0].tolist() == [1]
    assert state(frame, ["velocity_x"], source="signals")[0].tolist() != [1]


def test_which_message_counts(drive):
    unit = Signal(
        "s", np.array([T0, T0 + 100], dtype=np.int64), {"a": np.array([1.0, 2.0])}, measures={"steering": "a"}
    )
    frame = memory_log(times_ns=[T0 + 25], poses=Poses.fixed([T0, T0 + 100]), signals=[unit])[0]
    for moment, wanted in (("interpolated", 1.25), ("before", 1.0), ("after", 2.0)):
        assert state(frame, ["steering"], moment=moment)[0].tolist() == [wanted]
    assert state(frame, ["steering"], moment="after", tolerance_s=50e-9)[1] == [0]
    assert state(frame, ["steering"], moment="after", tolerance_s=None)[1] == [1]


def test_a_number_beyond_float32_is_not_known(drive):
    huge = Signal(
        "s",
        np.array([T0, T0 + 100], dtype=np.int64),
        {"v": np.full((2, 3), 1e200)},
        measures={"velocity": "v"},
        ego_from_sensor=np.eye(4),
    )
    frame = memory_log(times_ns=[T0], signals=[huge], poses=Poses.fixed([T0]))[0]
    found, valid = state(frame, ["velocity_x", "speed"], source="signals")
    assert (found.tolist(), valid) == ([0, 0], [0, 0])


def test_a_broken_signal_is_an_error_or_not_known(drive, tmp_path):
    class Broken:
        def __init__(self, of):
            self.of = of

        def __getattr__(self, name):
            return getattr(self.of, name)

        def read_signal(self, name):
            raise pc.inputs.BrokenRecord("file: cut short")

    source = Broken(with_signals(drive, signals(drive)).source)
    with pytest.raises(pc.inputs.BrokenRecord, match="cut short"):
        state(Log(source)[6], ["velocity_x"], source="signals")
    log = Log(source, on_error="skip")
    assert state(log[6], ["velocity_x"], source="signals")[1] == [0]
    assert state(log[6], ["velocity_x"], source="auto")[1] == [1]
    assert log.skipped == ["signal unit: file: cut short"]


@pytest.mark.parametrize("axes", ["ego", "lidar"])
@pytest.mark.parametrize("source", ["poses", "signals"])
def test_a_draw_changes_the_motion_as_it_changes_the_road(drive, axes, source):
    """The same formulas on changed places give the changed vectors: by the definition, with det for what turns."""
    moment = with_signals(drive, signals(drive))[6]
    augment = Augment(rotate=2.0, flip_x=0.5, flip_y=0.5, scale=(0.8, 1.25), translate=1.0)
    columns = [*VECTORS, "speed", "steering", "world_heading", "moved_x"]
    plain, _ = state(moment, columns, source=source, axes=axes)
    for index in range(8):
        draw = Draw(5, 0, index)
        moved, _ = state(moment, columns, draw, augment, source=source, axes=axes)
        change = InputBuilder(
            ["ref_from_ego"], params={"ego_reference": {"part": "change", "frame": axes}}, augment=augment
        ).build(moment, draw=draw)["ref_from_ego"][:3, :3]
        scale = abs(np.linalg.det(change)) ** (1 / 3)
        sign = np.sign(np.linalg.det(change))
        for first in (0, 3, 6):
            np.testing.assert_allclose(moved[first : first + 3], change @ plain[first : first + 3], atol=1e-4)
        np.testing.assert_allclose(moved[9:12], sign * change @ plain[9:12] / scale, atol=1e-5)
        np.testing.assert_allclose(moved[12:14], [scale * plain[12], sign * plain[13]], atol=1e-4)
        assert np.array_equal(moved[14:], plain[14:])


def test_a_mirrored_left_turn_is_a_right_turn(drive):
    """The rate about z, the sideways velocity and the wheel change their signs, and the speed does not."""
    moment = with_signals(drive, signals(drive))[6]
    columns = ["velocity_x", "velocity_y", "angular_rate_x", "angular_rate_y", "angular_rate_z", "steering", "speed"]
    plain, _ = state(moment, columns, source="signals")
    flipped, _ = state(moment, columns, Draw(0, 0, 0), Augment(flip_y=1.0), source="signals")
    np.testing.assert_allclose(flipped, plain * [1, -1, -1, 1, -1, -1, 1], rtol=1e-6, atol=1e-9)


def test_the_synthetic_drive_says_the_same_by_poses_and_by_signals():
    log = pc.open_log("synthetic", frames=12, seed=3, beams=2, azimuth_steps=16)
    by_poses, by_signals = (state(log[6], VECTORS, source=source)[0] for source in ("poses", "signals"))
    np.testing.assert_allclose(by_poses, by_signals, atol=0.02)


def test_every_column_has_a_unit_and_a_meaning():
    from perceptum.builders.ego.state import _MADE_OF
    from perceptum.features import COLUMN_UNITS
    from perceptum.features.vocabulary import COLUMN_MEANINGS

    columns = set(_MADE_OF)
    assert columns <= set(COLUMN_UNITS)
    assert columns <= set(COLUMN_MEANINGS)
    every = EgoStateParams(columns=tuple(_MADE_OF))
    assert every.dims() == {"F": len(columns)}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"columns": []}, "columns must name one or more numbers"),
        ({"columns": ["velocity"]}, "velocity"),
        ({"half_width_s": 0}, "half_width_s must be from 0.001 to 1000 s, got 0"),
        ({"tolerance_s": -1}, "tolerance_s"),
        ({"frames_back": 0}, "frames_back"),
    ],
)
def test_what_cannot_be_is_refused(params, said):
    with pytest.raises(SpecError, match=said):
        InputBuilder(["ego_state"], params={"ego_state": params})


# BEVFormer


def can_bus(messages, samples):
    """What its code ends with for each sample: a plain version of what was read in it.

    samples: time in microseconds, translation, rotation (w x y z).
    """
    rows, before = [], None
    for time_us, translation, rotation in samples:
        row = np.zeros(18)
        if messages:
            later = [message for message in messages if message["utime"] > time_us]
            taken = later[0] if later else messages[-1]
            row[7:10], row[10:13], row[13:16] = taken["accel"], taken["rotation_rate"], taken["vel"]
        heading = rotation_from_quaternion(rotation) @ [1, 0, 0]
        degrees = np.arctan2(heading[1], heading[0]) / np.pi * 180
        degrees += 360 if degrees < 0 else 0
        row[3:7], row[16] = rotation, degrees / 180 * np.pi
        if before is not None:
            row[:3], row[17] = np.array(translation) - before[0], degrees - before[1]
        before = np.array(translation), degrees
        rows.append(row)
    return np.array(rows)


@pytest.fixture
def nuscenes(tmp_path, request):
    import runpy
    from pathlib import Path

    made = runpy.run_path(str(Path(__file__).parents[1] / "datasets" / "made_nuscenes.py"))
    return made, made["make"](tmp_path / "nuscenes")


@pytest.mark.parametrize("first_us", [-500_000, 7_000, None])
def test_bevformers_can_bus(nuscenes, first_us):
    """CAN messages from before the first sample on, from after it, and none at all."""
    made, root = nuscenes
    random = np.random.default_rng(0)
    start, messages = made["START_US"], []
    if first_us is not None:
        for utime in range(start + first_us, start + 1_300_000, 19_000):
            accel, rate, vel = random.normal(size=(3, 3)).tolist()
            numbers = ([0.7, 0, 0, 0.7], [1.0, 2.0, 0.0])
            messages.append(
                {
                    "accel": accel,
                    "orientation": numbers[0],
                    "pos": numbers[1],
                    "rotation_rate": rate,
                    "utime": utime,
                    "vel": vel,
                }
            )
        (root / "can_bus").mkdir()
        (root / "can_bus" / "scene-0001_pose.json").write_text(json.dumps(messages))
    log = pc.open_log(root)
    samples = []
    for frame in log:
        own = made["ego_pose"]("", frame.time_ns // 1000, start)
        samples.append((frame.time_ns // 1000, own["translation"], own["rotation"]))
    wanted = can_bus(messages, samples)
    builder = InputBuilder(NAMES, params={"ego_state": "bevformer"})
    for index, frame in enumerate(log):
        tensors = builder.build(frame)
        # float32 of the same float64 numbers, but for the last bits of a rotation that went through a matrix
        np.testing.assert_allclose(tensors["ego_state"], wanted[index].astype(np.float32), rtol=1e-6, atol=2e-6)
        assert np.array_equal(tensors["ego_state"][7:16], wanted[index, 7:16].astype(np.float32))
        moved, can = int(index > 0), int(bool(messages))
        assert tensors["ego_state_valid"].tolist() == [moved] * 3 + [1] * 4 + [can] * 9 + [1, moved]
