"""nuScenes' CAN bus expansion: its messages as signals, and what is broken of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perceptum.check import check_log
from perceptum.datasets import open_log
from perceptum.info import describe
from perceptum.inputs import BrokenRecord

POSE = ("accel", "orientation", "pos", "rotation_rate", "utime", "vel")


def pose(utime, k):
    """One message, its keys in the published order."""
    values = ([0.1 * k, 0.2, 9.5], [1.0, 0.0, 0.0, 0.0], [600.0 + k, 1600.0, 0.0], [0, 0.001, 0.2], utime, [10.0, 0, 0])
    return dict(zip(POSE, values, strict=True))


@pytest.fixture
def root(tmp_path, made):
    """A scene whose CAN messages come every 20 ms, the first 7 ms after its first sample."""
    names = made("nuscenes")
    folder = names.make(tmp_path / "nuscenes")
    start = names.START_US + 7_000
    write(folder, "pose", [pose(start + 20_000 * k, k) for k in range(80)])
    write(folder, "steeranglefeedback", [{"utime": start + 10_000 * k, "value": 0.01 * k} for k in range(160)])
    write(folder, "zoesensors", [{"brake_sensor": 0.4, "steering_sensor": 3, "utime": start + k} for k in range(4)])
    write(folder, "meta", {"pose": {"message_count": 80}})
    write(folder, "route", [[600.0, 1600.0], [601.0, 1600.0]])
    return folder


def write(root, kind, messages, scene="scene-0001"):
    (root / "can_bus").mkdir(exist_ok=True)
    text = messages if isinstance(messages, str) else json.dumps(messages)
    (root / "can_bus" / f"{scene}_{kind}.json").write_text(text)


def test_the_messages_are_signals_in_their_own_words(root, made):
    log, start = open_log(root), (made("nuscenes").START_US + 7_000) * 1000
    assert log.signals == ("can/pose", "can/steeranglefeedback", "can/zoesensors")
    assert log.reads == {}
    found = log.signal("can/pose")
    assert found.times_ns.tolist() == [start + 20_000_000 * k for k in range(80)]
    assert list(found.columns) == ["accel", "orientation", "pos", "rotation_rate", "vel"]
    assert found.columns["accel"][3].tolist() == pytest.approx([0.3, 0.2, 9.5])
    assert found.columns["orientation"].shape == (80, 4)
    assert found.measures == {"velocity": "vel", "specific_force": "accel", "angular_rate": "rotation_rate"}
    assert found.units["accel"] == "m/s2"
    assert found.ego_from_sensor.tolist() == np.eye(4).tolist()
    steering = log.signal("can/steeranglefeedback")
    assert (steering.measures, steering.columns["value"].shape) == ({"steering": "value"}, (160,))
    assert log.signal("can/zoesensors").measures == {}
    # what it measures is known before it is read
    assert log.source.signals["can/pose"] == tuple(found.measures)
    assert log.source.signals["can/zoesensors"] == ()


def test_a_scene_without_the_expansion_has_no_signals(tmp_path, made, root):
    bare = made("nuscenes").make(tmp_path / "bare")
    assert open_log(bare).signals == ()
    # the expansion is there, and has nothing of this scene, as of 21 published ones
    for file in (root / "can_bus").iterdir():
        file.rename(file.with_name(file.name.replace("scene-0001", "scene-0002")))
    assert open_log(root).signals == ()


def broken(root, change):
    messages = [pose(10**15 + 20_000 * k, k) for k in range(6)]
    change(messages)
    write(root, "pose", messages)
    log = open_log(root)
    return log.signal("can/pose"), log.skipped


@pytest.mark.parametrize(
    ("change", "kept", "said"),
    [
        (lambda m: m[2].update(vel=[1, float("nan"), 0]), [0, 1, 3, 4, 5], "has a vel that is not finite"),
        (lambda m: m[2].update(accel=[1, 2, float("inf")]), [0, 1, 3, 4, 5], "has a accel that is not finite"),
        (lambda m: m[2].update(vel=[1, 2]), [0, 1, 3, 4, 5], "message 2 has accel of 3, "),
        (lambda m: m[2].pop("vel"), [0, 1, 3, 4, 5], "message 2 has accel of 3, "),
        (lambda m: m[2].update(vel="fast"), [0, 1, 3, 4, 5], "message 2 has accel of 3, "),
        (lambda m: m[2].update(vel=[1, "2", 3]), [0, 1, 3, 4, 5], "message 2 has the vel [1, '2', 3], wanted numbers"),
        (
            lambda m: m[2].update(vel=[1, True, 3]),
            [0, 1, 3, 4, 5],
            "message 2 has the vel [1, True, 3], wanted numbers",
        ),
        (lambda m: m[2].update(vel=[1, 10**400, 3]), [0, 1, 3, 4, 5], "has a vel that is not finite"),
        (lambda m: m[2].update(utime=1.5), [0, 1, 3, 4, 5], "message 2 has the utime '1.5', wanted whole microseconds"),
        (lambda m: m[2].update(utime=10**20), [0, 1, 3, 4, 5], "wanted whole microseconds"),
        (lambda m: m[2].pop("utime"), [0, 1, 3, 4, 5], "message 2 has the utime 'None'"),
        (lambda m: m.__setitem__(2, "pose"), [0, 1, 3, 4, 5], "message 2 is 'pose', wanted an object"),
        (lambda m: m[2].update(utime=m[1]["utime"]), [0, 1, 3, 4, 5], "is repeated or out of order"),
        (lambda m: m[2].update(utime=m[0]["utime"] - 5), [0, 1, 3, 4, 5], "is repeated or out of order"),
    ],
)
def test_a_broken_message_leaves_a_gap_and_is_reported(root, change, kept, said):
    found, skipped = broken(root, change)
    assert found.columns["pos"][:, 0].tolist() == [600.0 + k for k in kept]
    assert len(skipped) == 1
    assert skipped[0].startswith(f"signal can/pose: {root}/can_bus/scene-0001_pose.json: ")
    assert said in skipped[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"utime": 1, "vel": [1,', "not the expected JSON"),
        ('{"utime": 1}', "wanted [, a list of messages"),
        ("[]", "has no messages"),
        ("[1, 2]", "message 0 is '1', wanted an object"),
        ("[" * 100_000, "not the expected JSON"),
        ('[{"utime": NaN, "vel": [1, 2, 3]}]', "message 0 has the utime 'nan'"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it_and_spoils_nothing_else(root, text, said):
    write(root, "pose", text)
    with pytest.raises(BrokenRecord) as error:
        open_log(root).signal("can/pose")
    assert str(error.value).startswith(f"{root}/can_bus/scene-0001_pose.json: ")
    assert said in str(error.value)
    log = open_log(root, on_error="skip")
    assert log.signal("can/pose") is None
    assert log.skipped[0].startswith("signal can/pose: ")
    assert len(log.signal("can/steeranglefeedback")) == 160
    assert log[0].lidar is not None


def test_a_scene_is_never_looked_for_outside_of_the_folder(root, made):
    made("nuscenes").change(root, "scene", lambda rows: rows[0].update(name="../scene"))
    assert open_log(root, cache=False).signals == ()


def test_info_lists_signals_and_check_what_is_broken_of_them(root):
    told = describe(open_log(root))["signals"]
    assert list(told) == ["can/pose", "can/steeranglefeedback", "can/zoesensors"]
    assert told["can/pose"] == {
        "measures": ["velocity", "specific_force", "angular_rate"],
        "records": 80,
        "rate_hz": 50.0,
        "left_out": 0,
        "columns": ["accel", "orientation", "pos", "rotation_rate", "vel"],
    }
    assert not [problem for problem in check_log(str(root)) if problem.kind == "signal"]
    write(root, "pose", [pose(10**15 + k, k) for k in (0, 1, 1)])
    write(root, "zoesensors", "[{")
    found = [problem.what for problem in check_log(str(root)) if problem.kind == "signal"]
    assert len(found) == 2
    assert "scene-0001_pose.json: the time of message 2" in found[0]
    assert "scene-0001_zoesensors.json: not the expected JSON" in found[1]
    assert "scene-0001_zoesensors.json: not the expected JSON" in describe(open_log(root))["unreadable"][0]
