"""KITTI raw: stamps to the nanosecond, poses from GPS packets, rectified cameras, and broken files."""

import datetime
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.kitti.raw_oxts import read_stamps, world_from_imus
from perceptum.datasets.reading.files import numbered
from perceptum.inputs import BrokenRecord, MissingRecord, NotALog, PoseUnknown


def matrix(text, key, shape):
    line = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
    return np.array(line.split()[1:], dtype=float).reshape(shape)


def rigid_of(text):
    return np.vstack([np.column_stack([matrix(text, "R", (3, 3)), matrix(text, "T", 3)]), [0, 0, 0, 1]])


def slow_pose(packet, scale):
    """The development kit's formula, one packet at a time."""
    latitude, longitude, altitude, roll, pitch, yaw = packet
    x = scale * 6378137 * np.pi * longitude / 180
    y = scale * 6378137 * np.log(np.tan(np.pi * (90 + latitude) / 360))
    rx = [[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]]
    ry = [[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]]
    rz = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = np.array(rz) @ ry @ rx, [x, y, altitude]
    return out


def test_times_are_the_lines_of_each_sensor_to_the_nanosecond(kitti_raw, made):
    log, names = open_log(kitti_raw), made("kitti_raw")
    assert log.source.dataset == "kitti_raw"
    assert int(log.source.times_ns[0]) == names.FIRST_NS - 13_190_108
    assert int(log.source.cameras["image_02"][4]) == names.FIRST_NS + 4 * names.STEP_NS - 2_900_001
    day = datetime.datetime(2011, 9, 26, 13, 2, 25, tzinfo=datetime.UTC)
    assert int(day.timestamp()) == names.FIRST_NS // 1_000_000_000


def test_poses_are_the_packets_taken_to_the_velodyne(kitti_raw, made):
    poses, names = open_log(kitti_raw).source.poses, made("kitti_raw")
    scale = np.cos(np.radians(names.packet(0)[0]))
    from_imu = np.stack([slow_pose(names.packet(i), scale) for i in range(5)])
    from_imu[:, :3, 3] -= from_imu[0, :3, 3].copy()
    wanted = from_imu @ np.linalg.inv(rigid_of(names.IMU_TO_VELO))
    stamps = names.FIRST_NS + names.STEP_NS * np.arange(5)
    np.testing.assert_allclose(poses.at_many(stamps), wanted, atol=1e-6, rtol=0)


def test_a_first_sweep_before_the_first_packet_has_a_pose_and_no_more(kitti_raw):
    log = open_log(kitti_raw)
    here, there = log[0].world_from_ego, log.world_from_ego(log[0].time_ns + 13_190_108)
    # 10 m/s for 13 ms
    assert 0.10 < np.linalg.norm(there[:3, 3] - here[:3, 3]) < 0.16
    with pytest.raises(PoseUnknown, match="no pose at"):
        log.world_from_ego(log[0].time_ns - 1)


def test_a_first_sweep_long_before_the_first_packet_has_none(kitti_raw):
    path = kitti_raw / "oxts" / "timestamps.txt"
    path.write_text(path.read_text().replace("13:02:25", "13:02:24").replace("13:02:26", "13:02:27"))
    with pytest.raises(PoseUnknown):
        _ = open_log(kitti_raw)[-1].world_from_ego


def test_points_are_as_measured(kitti_raw):
    sweep = open_log(kitti_raw)[2].lidar
    stored = np.fromfile(kitti_raw / "velodyne_points" / "data" / "0000000002.bin", "<f4").reshape(-1, 4)
    assert sweep.y.tobytes() == stored[:, 1].tobytes()
    assert sweep.compensated_to_ns is None


@pytest.mark.parametrize("camera", ["image_00", "image_02"])
def test_cameras_project_as_the_files_matrices_do(kitti_raw, made, camera):
    names, picture = made("kitti_raw"), open_log(kitti_raw)[0].cameras[camera]
    rectified = np.eye(4)
    rectified[:3, :3] = matrix(names.CAM_TO_CAM, "R_rect_00", (3, 3))
    projection = matrix(names.CAM_TO_CAM, f"P_rect_{camera[-2:]}", (3, 4))
    wanted = projection @ rectified @ rigid_of(names.VELO_TO_CAM)
    np.testing.assert_allclose(picture.intrinsics @ np.linalg.inv(picture.ego_from_camera)[:3], wanted, atol=1e-9)


def test_a_missing_sweep_keeps_the_others_lines(kitti_raw):
    wanted = open_log(kitti_raw).source.times_ns
    (kitti_raw / "velodyne_points" / "data" / "0000000002.bin").unlink()
    path = kitti_raw / "velodyne_points" / "timestamps.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], "", *lines[3:]]))
    assert open_log(kitti_raw).source.times_ns.tolist() == wanted[[0, 1, 3, 4]].tolist()


def test_a_drive_without_gps_gives_frames_and_says_so_when_asked(kitti_raw):
    (kitti_raw / "oxts").rename(kitti_raw / "unused")
    log = open_log(kitti_raw)
    assert len(log[0].lidar) == 40
    with pytest.raises(PoseUnknown, match=r"no packets NNNNNNNNNN\.txt, so the drive has no poses"):
        log.world_from_ego(log[0].time_ns)


def test_calibration_in_the_drives_own_folder_is_read_too(kitti_raw):
    wanted = open_log(kitti_raw)[0].world_from_ego
    for path in kitti_raw.parent.glob("calib_*.txt"):
        path.rename(kitti_raw / path.name)
    np.testing.assert_array_equal(open_log(kitti_raw)[0].world_from_ego, wanted)


def test_an_unsynced_drive_is_refused(kitti_raw):
    for path in (kitti_raw / "velodyne_points" / "data").glob("*.bin"):
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(NotALog) as caught:
        open_log(kitti_raw)
    assert str(caught.value) == (
        f"{kitti_raw}: an unsynced drive (points as text, raw pictures); open the _sync drive instead"
    )


def refused(drive, file, content, ask, kind=BrokenRecord):
    path = drive / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(kind) as caught:
        ask(open_log(drive))
    text = str(caught.value)
    assert "\n" not in text
    # files of the date lie in the folder above
    return text.removeprefix(f"{(drive / file).parent.resolve() / path.name}: ").removeprefix(f"{path}: ")


def ask_pose(log):
    return log[0].world_from_ego


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (
            "1970-01-01 00:00:00.000000000\n" * 5,
            "line 1 is '1970-01-01 00:00:00.000000000', the first day of all clocks: it was never set",
        ),
        ("", "0 lines, but 0000000000.bin needs line 1"),
        ("\n" * 5, "line 1 is '', wanted a time such as 2011-09-26 13:02:25.964389445"),
        (
            "2011-13-26 13:02:25.0\n" * 5,
            "line 1 is '2011-13-26 13:02:25.0', wanted a time such as 2011-09-26 13:02:25.964389445",
        ),
        (
            "99999-01-01 00:00:00\n" * 5,
            "line 1 is '99999-01-01 00:00:00', wanted a time such as 2011-09-26 13:02:25.964389445",
        ),
    ],
)
def test_broken_stamps_are_named(kitti_raw, content, wanted):
    assert refused(kitti_raw, "velodyne_points/timestamps.txt", content, len) == wanted


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("1 2 3", "3 numbers, wanted 30"),
        (" ".join(["x"] * 30), "'x' is not a number"),
        (
            " ".join(["90"] + ["0"] * 29),
            "[90.0, 0.0, 0.0, 0.0, 0.0, 0.0] are no latitude, longitude (degrees), altitude (m), "
            "roll, pitch, yaw (rad)",
        ),
    ],
)
def test_broken_packets_are_named(kitti_raw, content, wanted):
    said = refused(kitti_raw, "oxts/data/0000000001.txt", content, lambda log: log[1].world_from_ego, PoseUnknown)
    assert said.endswith(f" ns: {kitti_raw}/oxts/data/0000000001.txt: {wanted}")


def test_broken_calibration_is_named(kitti_raw):
    said = refused(kitti_raw, "../calib_imu_to_velo.txt", "R: 1 0 0 0 1 0 0 0 1\n", ask_pose, MissingRecord)
    assert said == "no T; found R"
    assert refused(kitti_raw, "../calib_imu_to_velo.txt", None, ask_pose, MissingRecord) == (
        "no such file; poses need the date's calibration"
    )


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(max_size=80)
    | st.lists(st.sampled_from(["49", "nan", "1e400", "\n", "2011-09-26 13:02:25.9"])).map(" ".join)
)
def test_garbage_is_read_or_refused_in_one_line(tmp_path_factory, said_of, text):
    folder = tmp_path_factory.mktemp("garbage")
    (folder / "0000000000.txt").write_text(text, errors="replace")
    files = numbered(folder, ".txt")
    for read in (lambda: read_stamps(files.paths[0], files), lambda: world_from_imus(files)):
        said_of(read)


def test_the_packets_are_the_signal_oxts(kitti_raw, made):
    log, names = open_log(kitti_raw), made("kitti_raw")
    assert log.signals == ("oxts",)
    found = log.signal("oxts")
    assert found.times_ns.tolist() == (names.FIRST_NS + names.STEP_NS * np.arange(5)).tolist()
    # by their published names, in their order
    words = np.array([*names.packet(3), *names.PACKET_TAIL.split()], dtype=np.float64)
    order = "lat lon alt roll pitch yaw vn ve vf vl vu ax ay az af al au wx wy wz wf wl wu pos_accuracy vel_accuracy"
    order += " navstat numsats posmode velmode orimode"
    for name, value in zip(order.split(), words, strict=True):
        assert found.columns[name][3] == value
    assert set(found.columns) == {*order.split(), "velocity", "specific_force", "angular_rate"}
    np.testing.assert_allclose(found.ego_from_sensor, rigid_of(names.IMU_TO_VELO), atol=1e-6)


def test_the_velocity_of_a_packet_is_in_the_inertial_units_axes(kitti_raw, made):
    """East, north and up of the development kit, turned back by its rotation."""
    found, names = open_log(kitti_raw).signal("oxts"), made("kitti_raw")
    vn, ve, _, _, vu = (float(word) for word in names.PACKET_TAIL.split()[:5])
    for i in range(5):
        world_from_imu = slow_pose(names.packet(i), 1.0)[:3, :3]
        np.testing.assert_allclose(found.columns["velocity"][i], world_from_imu.T @ [ve, vn, vu], atol=1e-12)
    assert found.columns["specific_force"][0].tolist() == [found.columns[name][0] for name in ("ax", "ay", "az")]
    assert found.columns["angular_rate"][0].tolist() == [found.columns[name][0] for name in ("wx", "wy", "wz")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3", "3 numbers, wanted 30"),
        (" ".join(["x"] * 30), "'x' is not a number"),
        (" ".join(["1"] * 29 + ["nan"]), "has a orimode that is not finite"),
    ],
)
def test_a_broken_packet_leaves_a_gap_in_the_signal(kitti_raw, text, said):
    (kitti_raw / "oxts" / "data" / "0000000002.txt").write_text(text)
    log = open_log(kitti_raw)
    assert len(log.signal("oxts")) == 4
    assert [said in line for line in log.skipped] == [True]


def test_a_packet_without_a_time_leaves_a_gap_too(kitti_raw):
    stamps = kitti_raw / "oxts" / "timestamps.txt"
    lines = stamps.read_text().splitlines()
    lines[1], lines[3] = "noon", lines[2]
    stamps.write_text("\n".join(lines))
    log = open_log(kitti_raw)
    assert len(log.signal("oxts")) == 3
    assert "line 2 is 'noon', wanted a time" in log.skipped[0]
    assert "is repeated or out of order" in log.skipped[1]


def test_a_drive_without_packets_has_no_signal(kitti_raw):
    shutil.rmtree(kitti_raw / "oxts")
    assert open_log(kitti_raw).signals == ()


def test_a_signal_without_its_calibration_names_the_file(kitti_raw):
    (kitti_raw.parent / "calib_imu_to_velo.txt").unlink()
    with pytest.raises(MissingRecord, match=r"calib_imu_to_velo\.txt"):
        open_log(kitti_raw).signal("oxts")
