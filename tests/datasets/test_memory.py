"""A log of records that are in memory answers as one from disk does."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import (
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    LogError,
    MissingRecord,
    Poses,
    PoseUnknown,
    RadarSweep,
    encode_jpeg,
)

MS = 1_000_000
FIRST_NS = 1_700_000_000_000_000_000


def sweep(at_ms, sensor="TOP", points=3, **columns):
    xyz = {axis: np.full(points, float(at_ms), np.float32) for axis in "xyz"}
    return LidarSweep(sensor, FIRST_NS + at_ms * MS, np.eye(4), **{**xyz, **columns})


def cycle(at_ms, sensor="FRONT"):
    return RadarSweep(sensor, FIRST_NS + at_ms * MS, np.eye(4), *(np.full(2, float(at_ms)) for _ in "xyz"))


def picture(at_ms, camera="CAM", read=lambda: b""):
    return CameraImage(camera, FIRST_NS + at_ms * MS, np.eye(3), np.eye(4), read)


def labels(at_ms, n=1):
    names = np.array(["car"] * n), np.array([str(i) for i in range(n)])
    return Labels(FIRST_NS + at_ms * MS, np.ones((n, 7)), *names)


def times_ms(records):
    return [(record.time_ns - FIRST_NS) // MS for record in records]


def test_a_frame_stands_at_every_sweep_of_the_first_sensor():
    log = memory_log([sweep(0), sweep(100), sweep(50, "SIDE"), sweep(200)])
    assert times_ms(log) == [0, 100, 200]
    assert log.source.times_ns.dtype == np.int64
    assert [frame.lidar.sensor for frame in log] == ["TOP"] * 3


def test_records_in_any_order_are_put_in_order():
    log = memory_log([sweep(200), sweep(0), sweep(100)], radars=[cycle(50), cycle(0)])
    assert times_ms(log) == [0, 100, 200]
    assert times_ms(log[2].sweeps(3)) == [200, 100, 0]
    assert times_ms(log[1].radar_sweeps(5)) == [50, 0]


def test_the_given_records_are_handed_out_as_they_lie_in_memory():
    given = sweep(0)
    handed_out = memory_log([given])[0].lidar
    assert all(np.shares_memory(getattr(handed_out, name), getattr(given, name)) for name in "xyz")
    # what frames share cannot be written to; the caller's own arrays stay as they were
    assert not handed_out.x.flags.writeable
    assert given.x.flags.writeable


def test_frames_are_called_by_their_times_or_as_they_are_told():
    log = memory_log([sweep(0), sweep(100)])
    assert [frame.id for frame in log] == [str(frame.time_ns) for frame in log]
    log = memory_log([sweep(0), sweep(100)], ids=["first", "a/b"])
    assert [frame.id for frame in log] == ["first", "a/b"]
    assert str(log[1]) == "frame 1 (a/b)"


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a"], "memory: 1 names of frames, wanted 2, one each"),
        (["a", "a"], "memory: two frames have the name 'a'; each must have its own"),
    ],
)
def test_frames_must_be_told_apart(ids, said):
    with pytest.raises(LogError) as refused:
        _ = memory_log([sweep(0), sweep(100)], ids=ids)[0].id
    assert str(refused.value) == said


def test_the_list_given_is_not_changed():
    given = [sweep(100), sweep(0)]
    memory_log(given)
    assert times_ms(given) == [100, 0]


@pytest.mark.parametrize("kind", ["sweeps", "radars", "cameras"])
def test_two_records_of_one_sensor_at_one_time_are_refused(kind):
    make = {"sweeps": sweep, "radars": cycle, "cameras": picture}[kind]
    twice = [make(0), make(100), make(100)]
    name = {"sweeps": "TOP", "radars": "FRONT", "cameras": "CAM"}[kind]
    with pytest.raises(LogError) as refused:
        memory_log(times_ns=[FIRST_NS], **{kind: twice}) if kind != "sweeps" else memory_log(twice)
    assert str(refused.value) == (
        f"{name}: two records have the time {FIRST_NS + 100 * MS} ns; a sensor's times must differ"
    )


def test_two_labels_of_one_time_are_refused():
    with pytest.raises(LogError) as refused:
        memory_log([sweep(0)], labels=[labels(0), labels(0, n=2)])
    assert str(refused.value) == f"labels: two records have the time {FIRST_NS} ns; a sensor's times must differ"


def test_two_sensors_may_share_a_time():
    log = memory_log([sweep(0), sweep(0, "SIDE")])
    assert sorted(s.sensor for s in log[0].sweeps()) == ["SIDE", "TOP"]


def test_labels_belong_to_the_frame_of_their_time():
    log = memory_log([sweep(0), sweep(100), sweep(200)], labels=[labels(100, n=2), labels(150)])
    assert [None if f.labels is None else len(f.labels) for f in log] == [None, 2, None]


def test_radars_are_the_newest_up_to_the_frame():
    log = memory_log([sweep(0), sweep(100)], radars=[cycle(20), cycle(90), cycle(110), cycle(0, "BACK")])
    assert sorted(log[0].radars) == ["BACK"]
    assert {name: times_ms([r])[0] for name, r in log[1].radars.items()} == {"FRONT": 90, "BACK": 0}


def test_cameras_are_the_nearest_and_read_when_looked_at():
    reads = []

    def read():
        reads.append(1)
        return encode_jpeg(np.full((8, 12, 3), 90, np.uint8))

    log = memory_log([sweep(0), sweep(100)], cameras=[picture(30), picture(110, read=read)])
    seen = log[1].cameras["CAM"]
    assert (times_ms([seen]), reads) == ([110], [])
    assert seen.decode().shape == (8, 12, 3)
    assert reads == [1]
    assert times_ms(log[0].cameras.values()) == [30]


def test_without_sweeps_the_frames_need_times():
    with pytest.raises(LogError) as refused:
        memory_log(radars=[cycle(0)])
    assert str(refused.value) == "a memory log without lidar sweeps needs times_ns, the frames' reference times"


def test_frames_stand_at_the_times_that_are_given():
    log = memory_log(radars=[cycle(0), cycle(80)], times_ns=[FIRST_NS + 50 * MS, FIRST_NS + 100 * MS])
    assert times_ms(log) == [50, 100]
    assert log[0].lidar is None
    assert [times_ms(f.radar_sweeps())[0] for f in log] == [0, 80]


def test_times_between_sweeps_see_the_sweep_before():
    log = memory_log([sweep(0), sweep(100)], times_ns=[FIRST_NS + 99 * MS, FIRST_NS + 101 * MS])
    assert [times_ms([f.lidar])[0] for f in log] == [0, 100]


def test_times_that_do_not_increase_are_refused():
    with pytest.raises(LogError, match="the times of frames must increase"):
        memory_log([sweep(0)], times_ns=[FIRST_NS, FIRST_NS])


def test_times_are_not_rounded_from_float_seconds():
    # 1.7e18 ns has no exact float64: a float is a mistake, not a time
    with pytest.raises(LogError) as refused:
        memory_log([sweep(0)], times_ns=[1.7e18])
    assert str(refused.value) == "times_ns must be integers (nanoseconds), got float64"


def test_a_log_without_anything_has_no_frames():
    with pytest.raises(LogError, match="no frames"):
        memory_log(times_ns=[])


def test_without_poses_the_car_stands_still():
    log = memory_log([sweep(0), sweep(100)])
    for frame in log:
        np.testing.assert_array_equal(frame.world_from_ego, np.eye(4))


def test_the_standing_car_has_a_pose_at_every_record_however_far_apart():
    log = memory_log([sweep(0), sweep(60_000)], times_ns=[FIRST_NS + 90_000 * MS], radars=[cycle(100_000)])
    np.testing.assert_array_equal(log.world_from_ego(FIRST_NS + 95_000 * MS), np.eye(4))
    params = {"lidar_points": {"num_sweeps": 2, "columns": ["x", "time_lag"]}}
    built = InputBuilder(["lidar_points"], params=params).build(log[0])["lidar_points"]
    np.testing.assert_array_equal(built[:, 0], np.float32([60_000] * 3 + [0] * 3))


def test_the_times_given_are_copied():
    times = FIRST_NS + np.array([0, 100]) * MS
    log = memory_log([sweep(0)], times_ns=times)
    times[:] = 0
    assert times_ms(log) == [0, 100]


def test_times_of_two_dimensions_are_refused():
    with pytest.raises(LogError, match=r"^times_ns must have one dimension, got the shape \(1, 1\)$"):
        memory_log([sweep(0)], times_ns=[[FIRST_NS]])


def test_poses_move_the_car():
    level = np.tile([1.0, 0, 0, 0], (2, 1))
    poses = Poses(FIRST_NS + np.array([0, 100]) * MS, level, np.array([[0.0, 0, 0], [10, 0, 0]]))
    log = memory_log([sweep(0), sweep(100)], poses=poses)
    assert log[1].world_from_ego[0, 3] == 10
    assert log.world_from_ego(FIRST_NS + 50 * MS)[0, 3] == pytest.approx(5)
    with pytest.raises(PoseUnknown):
        log.world_from_ego(FIRST_NS + 101 * MS)


def test_the_map_is_handed_on():
    hdmap = HDMap({})
    assert memory_log([sweep(0)], hdmap=hdmap)[0].map is hdmap
    assert memory_log([sweep(0)])[0].map is None


def test_unrelated_moments_have_no_earlier_sweeps():
    moments = memory_log([sweep(0), sweep(100)], sequential=False)
    assert times_ms(moments[1].sweeps(2)) == [100]


def test_an_unknown_sensor_is_named():
    with pytest.raises(MissingRecord, match=r"^memory: no sensor 'ROOF'; the log has TOP$"):
        memory_log([sweep(0)])[0].sweeps(1, "ROOF")


def test_what_it_holds_is_told():
    told = memory_log([sweep(0), sweep(100)], radars=[cycle(0)], cameras=[picture(0)], name="garage").info()
    assert (told["dataset"], told["name"], told["frames"], told["sequential"]) == ("memory", "garage", 2, True)
    assert told["lidars"] == {"TOP": {"records": 2, "rate_hz": 10.0}}
    assert told["radars"] == {"FRONT": {"records": 1, "rate_hz": None}}
    assert list(told["cameras"]) == ["CAM"]


def test_tensors_are_built_from_it():
    points = InputBuilder(["lidar_points"], params={"lidar_points": {"columns": ["x", "y", "z"]}})
    built = points.build(memory_log([sweep(1), sweep(2, points=4)])[-1])["lidar_points"]
    np.testing.assert_array_equal(built, np.full((4, 3), 2, np.float32))


def test_an_empty_sweep_gives_no_points():
    built = InputBuilder(["lidar_points"]).build(memory_log([sweep(0, points=0)])[0])
    assert built["lidar_points"].shape == (0, 5)


def test_labels_know_where_the_lidar_is_and_outlive_their_frame(tmp_path):
    turn = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    top = LidarSweep("TOP", 0, turn, *[np.zeros(1)] * 3)
    boxes = np.array([[20.0, 10, 1, 4, 2, 1.5, 0.5]])
    own = Labels(0, boxes, np.array(["car"]), np.array(["a"]), velocity=np.array([[1.0, np.nan]]))
    labels = pickle.loads(pickle.dumps(memory_log([top], labels=[own])[0].labels))
    turned = labels.in_frame("lidar")
    np.testing.assert_allclose(turned.boxes, [[-10, 19.1, -0.8, 4, 2, 1.5, 0.5 + np.pi / 2]])
    # given to another log they are what they were
    again = memory_log([top], labels=[turned])[0].labels
    np.testing.assert_allclose(again.boxes, boxes)
    assert again.frame == "ego"
    with pytest.raises(LogError, match=r"^labels: no frame of reference 'world', wanted 'ego' or 'lidar'$"):
        labels.in_frame("world")
    with pytest.raises(
        LogError, match=r"^labels: it is not known where the lidar is mounted; take the labels of a log"
    ):
        own.in_frame("lidar")
    without = memory_log(labels=[own], times_ns=[0])[0].labels
    with pytest.raises(MissingRecord, match=r"^memory: frame 0 \(0\) has no sweep of the primary lidar, so its axes"):
        without.in_frame("lidar")


def test_a_box_stays_upright_in_the_axes_of_a_lidar_that_is_tilted():
    from perceptum.inputs.poses import moved_boxes, rigid, rotation_from_quaternion

    nose_down = rigid(rotation_from_quaternion([np.cos(0.05), 0, np.sin(0.05), 0]), [1.0, 0, 2])
    (ahead,) = moved_boxes([[10.0, 0, 1, 4, 2, 1.5, 0.0]], np.linalg.inv(nose_down))
    np.testing.assert_allclose(ahead[:3], np.linalg.inv(nose_down)[:3] @ [10, 0, 1, 1])
    assert ahead[6] == 0
    assert moved_boxes(np.zeros((0, 7)), nose_down).shape == (0, 7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sweeps": [sweep(0), cycle(0)]}, "sweeps[1] is a RadarSweep, wanted a LidarSweep; give it as radars=[...]"),
        ({"sweeps": [picture(0)]}, "sweeps[0] is a CameraImage, wanted a LidarSweep; give it as cameras=[...]"),
        ({"radars": [sweep(0)]}, "radars[0] is a LidarSweep, wanted a RadarSweep; give it as sweeps=[...]"),
        ({"cameras": [labels(0)]}, "cameras[0] is a Labels, wanted a CameraImage; give it as labels=[...]"),
        ({"sweeps": [sweep(0)], "labels": [None]}, "labels[0] is a NoneType, wanted a Labels"),
    ],
)
def test_a_record_of_another_kind_is_refused_by_name(given, said):
    with pytest.raises(LogError) as error:
        memory_log(**given)
    assert str(error.value) == said
