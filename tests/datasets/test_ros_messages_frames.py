"""Where the ego and the sensors are: transforms, odometry, frames that are missing."""

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, PoseUnknown
from perceptum.inputs.poses import inverse, quaternion_from_yaw, rigid, rotation_from_quaternion

from .made_recording import FIRST_NS, SPEED_MPS, STEP_NS, Maker, drive, ouster_points, write_mcap

MAKER = Maker()
LIDAR = "/lidar/points"
CLOUD = (LIDAR, FIRST_NS + 1, MAKER.cloud(FIRST_NS, ouster_points(0)))
LATER = (LIDAR, FIRST_NS + 2, MAKER.cloud(FIRST_NS + STEP_NS, ouster_points(1)))


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def opened(tmp_path):
    def make(*rows, **options):
        return open_log(write_mcap(tmp_path / "a.mcap", rows, MAKER), **options)

    return make


def static(*transforms):
    return ("/tf_static", FIRST_NS, MAKER.tf(*transforms))


def moving(parent, child, places, start_ns=FIRST_NS - STEP_NS, step_ns=STEP_NS // 2):
    return [
        ("/tf", t, MAKER.tf(MAKER.transform(t, parent, child, *place)))
        for t, place in ((start_ns + i * step_ns, place) for i, place in enumerate(places))
    ]


def test_the_ego_is_base_link_and_the_world_the_topmost_frame(opened):
    log = opened(*drive(MAKER))
    for i, frame in enumerate(log):
        np.testing.assert_allclose(frame.world_from_ego[:3, 3], [SPEED_MPS * i * 0.1, 0, 0], atol=1e-9)
        assert frame.lidar.ego_from_sensor[:3, 3].tolist() == [1, 0, 1.8]
        np.testing.assert_allclose(frame.lidar.ego_from_sensor[:3, :3], np.diag([-1, -1, 1]), atol=1e-12)
    first, last = log.source.poses.span_ns
    assert (first, last) == (FIRST_NS - 400_000_000, FIRST_NS + 59 * 20_000_000)
    with pytest.raises(PoseUnknown):
        log.world_from_ego(last + 1)


def test_chains_of_moving_frames_are_multiplied_at_the_fastest_ones_times(opened):
    yaw = quaternion_from_yaw(0.3)
    rows = [
        *moving("map", "odom", [((10, 0, 0), yaw)] * 3, step_ns=2 * STEP_NS),
        *moving("odom", "base_link", [((i, 1, 0),) for i in range(9)]),
        static(MAKER.transform(FIRST_NS, "base_link", "lidar", (0, 0, 2))),
    ]
    log = opened(*rows, CLOUD, LATER)
    wanted = rigid(rotation_from_quaternion(yaw), [10, 0, 0]) @ rigid(np.eye(3), [2, 1, 0])
    np.testing.assert_allclose(log[0].world_from_ego, wanted, atol=1e-12)
    assert len(log.source.poses.times_ns) == 9
    named = opened(*rows, CLOUD, LATER, world_frame="odom")
    np.testing.assert_allclose(named[0].world_from_ego, rigid(np.eye(3), [2, 1, 0]), atol=1e-12)


def test_a_gap_of_the_fastest_transform_stays_a_gap(opened):
    rows = [
        *moving("map", "odom", [((0, 0, 0),)] * 40, step_ns=STEP_NS),
        *moving(
            "odom", "base_link", [((i, 0, 0),) for i in range(100)], start_ns=FIRST_NS - STEP_NS, step_ns=1_000_000
        ),
        *moving("odom", "base_link", [((i, 0, 0),) for i in range(3)], start_ns=FIRST_NS + 20 * STEP_NS),
    ]
    log = opened(*rows, CLOUD, base_frame="base_link")
    with pytest.raises(PoseUnknown, match=r"none is recorded for 2\.001 s, more than the 0\.500 s"):
        log.world_from_ego(FIRST_NS + 5 * STEP_NS)
    log = opened(*rows, CLOUD, base_frame="base_link", max_pose_gap_ns=3 * 10**9)
    assert log.world_from_ego(FIRST_NS + 5 * STEP_NS).shape == (4, 4)


def test_without_base_link_the_ego_is_what_the_lidar_is_fixed_to(opened):
    log = opened(static(MAKER.transform(FIRST_NS, "rig", "lidar", (0, 0, 2))), CLOUD)
    assert log[0].lidar.ego_from_sensor[:3, 3].tolist() == [0, 0, 2]
    np.testing.assert_array_equal(log[0].world_from_ego, np.eye(4))


def test_without_any_transform_the_ego_is_the_lidar_and_stands_still(opened):
    log = opened(CLOUD, LATER)
    np.testing.assert_array_equal(log[0].lidar.ego_from_sensor, np.eye(4))
    np.testing.assert_array_equal(log[1].world_from_ego, np.eye(4))
    # a point may be measured after the last stamp
    np.testing.assert_array_equal(log.world_from_ego(log[1].time_ns + STEP_NS), np.eye(4))


def test_a_sensor_that_nothing_connects_to_the_ego_is_told_with_all_frames(opened):
    other = ("/other", FIRST_NS + 1, MAKER.cloud(FIRST_NS, ouster_points(0), frame="/alone"))
    log = opened(static(MAKER.transform(FIRST_NS, "base_link", "lidar")), CLOUD, other)
    assert said(lambda: log[0].sweeps(1, "/other"), MissingRecord) == (
        f"{log.source.location}: transforms: no transform from 'alone' to 'base_link'; the frames are base_link, lidar"
    )


def test_frames_that_are_asked_for_and_not_there_are_told(opened):
    log = opened(*drive(MAKER), base_frame="car", world_frame="map")
    assert "no transform from 'lidar' to 'car'; the frames are base_link, camera, lidar, odom, radar" in said(
        lambda: log[0].lidar, MissingRecord
    )
    log = opened(*drive(MAKER), world_frame="map")
    assert said(lambda: log[0].world_from_ego, MissingRecord).endswith(
        "world_frame 'map' is not above 'base_link', which is in base_link, odom"
    )
    log = opened(static(MAKER.transform(FIRST_NS, "map", "lidar")), CLOUD, base_frame="lidar", world_frame="map")
    assert said(lambda: log[0].world_from_ego, MissingRecord).endswith(
        "'lidar' never moves in 'map'; there are no poses over time"
    )


@pytest.mark.parametrize(
    ("transforms", "wanted"),
    [
        ([("a", "lidar"), ("c", "lidar")], "frame 'lidar' has two parents, 'a' and 'c'; wanted one"),
        ([("lidar", "b"), ("b", "lidar")], "form a ring"),
        ([("a", "lidar", (0, 0, 0), (0, 0, 0, 0))], "wanted a quaternion of length 1 and finite metres"),
        ([("a", "lidar", (np.nan, 0, 0))], "wanted a quaternion of length 1 and finite metres"),
        ([("a", "lidar", (1e12, 0, 0))], "wanted a quaternion of length 1 and finite metres"),
    ],
)
def test_transforms_that_are_none_are_refused_where_they_are_needed(opened, transforms, wanted):
    log = opened(static(*(MAKER.transform(FIRST_NS, *t) for t in transforms)), CLOUD)
    with pytest.warns(UserWarning, match="left out: "):
        assert wanted in said(lambda: log[0].lidar.ego_from_sensor)


def test_a_frame_said_both_once_and_over_time_moves(opened):
    rows = [static(MAKER.transform(FIRST_NS, "odom", "base_link", (99, 0, 0)))]
    rows += moving("odom", "base_link", [((i, 0, 0),) for i in range(9)])
    log = opened(*rows, static(MAKER.transform(FIRST_NS, "base_link", "lidar")), CLOUD)
    assert log[0].world_from_ego[0, 3] == 2


def test_a_leading_slash_in_a_frames_name_does_not_matter(opened):
    log = opened(static(MAKER.transform(FIRST_NS, "/base_link", "/lidar", (0, 0, 1))), CLOUD, base_frame="/base_link")
    assert log[0].lidar.ego_from_sensor[2, 3] == 1


def odometry(topic="/odom", child="base_link", n=5):
    return [
        (topic, FIRST_NS + i * STEP_NS, MAKER.odometry(FIRST_NS + i * STEP_NS, (i, 0, 0), child=child))
        for i in range(n)
    ]


def test_odometry_gives_the_poses_where_no_transform_does(opened):
    mount = MAKER.transform(FIRST_NS, "base_link", "lidar", (0, 0, 2))
    log = opened(*odometry(), static(mount), CLOUD, LATER)
    assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1]


def test_odometry_of_another_frame_is_carried_over_to_the_ego(opened):
    mounts = [
        MAKER.transform(FIRST_NS, "base_link", name, at) for name, at in (("lidar", (0, 0, 2)), ("imu", (1, 0, 0)))
    ]
    log = opened(*odometry(child="imu"), static(*mounts), CLOUD, LATER)
    wanted = rigid(np.eye(3), [1, 0, 0]) @ inverse(rigid(np.eye(3), [1, 0, 0]))
    np.testing.assert_allclose(log[1].world_from_ego, wanted, atol=1e-12)


def test_odometry_without_a_child_is_the_egos(opened):
    assert opened(*odometry(child=""), CLOUD, LATER)[1].world_from_ego[0, 3] == 1


def test_two_odometries_are_a_question(opened):
    mount = static(MAKER.transform(FIRST_NS, "base_link", "lidar"))
    log = opened(mount, *odometry("/a"), *odometry("/b", n=3), CLOUD)
    assert said(lambda: log[0].world_from_ego, LogError).endswith("odometry from /a, /b; say which with odometry='...'")
    assert len(opened(mount, *odometry("/a"), *odometry("/b", n=3), CLOUD, odometry="/b").source.poses.times_ns) == 3
    log = opened(mount, *odometry("/a"), CLOUD, odometry="/c")
    assert said(lambda: log[0].world_from_ego, MissingRecord).endswith(
        "odometry is '/c', the topics of nav_msgs/msg/Odometry are /a"
    )


def test_by_the_log_clock_the_transforms_are_taken_at_their_log_times(opened):
    log = opened(*drive(MAKER), clock="log")
    assert log.source.poses.span_ns[0] == FIRST_NS - 399_000_000
    # recorded 130 ms late, 1 ms after its own transform
    np.testing.assert_allclose(log[0].world_from_ego[0, 3], SPEED_MPS * 0.129, atol=1e-9)


def test_the_reference_is_first_and_gives_the_frames(opened):
    late = ("/a_lidar", FIRST_NS + 9, MAKER.cloud(FIRST_NS + 9, ouster_points(0)))
    assert list(opened(CLOUD, LATER, late).source.lidars) == ["/a_lidar", LIDAR]
    log = opened(CLOUD, LATER, late, reference=LIDAR)
    assert list(log.source.lidars) == [LIDAR, "/a_lidar"]
    assert len(log) == 2
    assert said(lambda: opened(CLOUD, reference="/x"), MissingRecord).endswith(
        f"reference is '/x', wanted one of the sensors {LIDAR}"
    )
    cameras = opened(*drive(MAKER), reference="/camera/image/compressed")
    assert cameras[0].time_ns == FIRST_NS + 7
    radars = opened(*drive(MAKER), reference="/radar/scan")
    assert radars[1].radars["/radar/scan"].time_ns == FIRST_NS + STEP_NS - 9
    assert said(lambda: opened(CLOUD, lidar_topics=[]), LogError).endswith(
        "no topic of PointCloud2, of a radar, or of pictures with a CameraInfo; "
        f"it has {LIDAR} (sensor_msgs/msg/PointCloud2)"
    )
