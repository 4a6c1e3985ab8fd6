"""One broken row, time or calibration spoils what needs it and no more, in every dataset that has tables of them."""

import json

import numpy as np
import pytest

from perceptum import open_dataset
from perceptum.datasets import open_log
from perceptum.inputs import BrokenRecord, LogError

NAN = float("nan")


def said(ask, kind=LogError):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def boxes(log):
    """How many boxes each frame has; None where they are broken."""
    return [None if frame.labels is None else len(frame.labels) for frame in log]


@pytest.fixture
def waymo_v2(made, tmp_path):
    return made("waymo_v2").make(tmp_path / "waymo")


@pytest.fixture
def nuscenes(made, tmp_path):
    return made("nuscenes").make(tmp_path / "nuscenes")


@pytest.fixture
def aimotive(made, tmp_path):
    return made("aimotive").make(tmp_path)


def put_in_parquet(root, component, column, row, value):
    import pyarrow as pa
    from pyarrow import parquet

    path = next((root / component).iterdir())
    table = parquet.read_table(path)
    values = table[column].to_pylist()
    for at in range(len(values)) if row is None else [row]:
        values[at] = value
    kind = table.schema.field(column).type
    parquet.write_table(table.set_column(table.column_names.index(column), column, pa.array(values, kind)), path)
    return path


def put_in_feather(path, column, row, value):
    import pyarrow as pa
    from pyarrow import feather

    table = feather.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    kind = table.schema.field(column).type
    feather.write_feather(table.set_column(table.column_names.index(column), column, pa.array(values, kind)), path)
    return path


@pytest.mark.parametrize("value", [NAN, None, -2.0])
def test_a_broken_box_of_waymo_v2_fails_its_frame_alone(waymo_v2, value):
    path = put_in_parquet(waymo_v2, "lidar_box", "[LiDARBoxComponent].box.size.x", 0, value)
    assert said(lambda: open_log(waymo_v2)[0].labels, BrokenRecord).startswith(f"{path}: row 0 is not a box: [")
    assert boxes(open_log(waymo_v2, on_error="skip")) == [None, 2, 2, 2]


def test_a_box_of_waymo_v2_that_does_not_say_its_points_or_kind_is_there(waymo_v2):
    for column in ("num_lidar_points_in_box", "type"):
        put_in_parquet(waymo_v2, "lidar_box", f"[LiDARBoxComponent].{column}", 0, None)
    labels = open_log(waymo_v2)[0].labels
    assert (labels.num_points.tolist(), labels.category.tolist()) == ([-1, 10], ["UNKNOWN", "SIGN"])


@pytest.mark.parametrize("value", [NAN, None])
def test_a_broken_box_of_argoverse2_fails_its_frame_alone(argoverse2, value):
    wanted = boxes(open_log(argoverse2))
    path = put_in_feather(argoverse2 / "annotations.feather", "tx_m", 0, value)
    assert said(lambda: open_log(argoverse2)[0].labels, BrokenRecord) == (
        f"{path}: tx_m in row 0 is nan, wanted a finite number within 1e9"
    )
    assert boxes(open_log(argoverse2, on_error="skip")) == [None, *wanted[1:]]


@pytest.mark.parametrize("value", [NAN, None])
def test_a_sensor_of_argoverse2_that_is_mounted_nowhere_spoils_no_other(argoverse2, value):
    path = argoverse2 / "calibration" / "egovehicle_SE3_sensor.feather"
    from pyarrow import feather

    row = feather.read_table(path)["sensor_name"].to_pylist().index("ring_front_center")
    put_in_feather(path, "qw", row, value)
    frame = open_log(argoverse2)[0]
    assert len(frame.lidar)
    assert said(lambda: frame.cameras["ring_front_center"], BrokenRecord).startswith(f"{path}: qw in row {row} is nan")


def test_a_calibration_of_waymo_v2_that_is_broken_spoils_no_other(waymo_v2):
    path = put_in_parquet(
        waymo_v2, "lidar_calibration", "[LiDARCalibrationComponent].extrinsic.transform", 4, [NAN] * 12 + [0, 0, 0, 1]
    )
    lens = put_in_parquet(waymo_v2, "camera_calibration", "[CameraCalibrationComponent].intrinsic.f_u", 1, NAN)
    log = open_log(waymo_v2)
    assert [len(log[0].sweeps(1, name)) for name in ("TOP", "FRONT", "SIDE_LEFT", "SIDE_RIGHT")] == [1] * 4
    assert said(lambda: log[0].sweeps(1, "REAR"), BrokenRecord) == (
        f"{path}: the extrinsic transform in row 4 is not a rotation and translation"
    )
    assert log[0].cameras["FRONT"].intrinsics[0, 0] == 30
    assert said(lambda: log[0].cameras["FRONT_LEFT"], BrokenRecord) == (
        f"{lens}: the lens in row 1 is wrong; wanted finite numbers and focal lengths above 0"
    )


@pytest.mark.parametrize("value", [None, [1.0, None, 2.0], [1.0]])
def test_a_sensor_of_nuscenes_that_is_mounted_nowhere_spoils_no_other(made, nuscenes, value):
    names = made("nuscenes")
    channels = list(names.SENSORS)
    own = channels.index("CAM_BACK")
    names.change(nuscenes, "calibrated_sensor", lambda rows: rows[own].update(translation=value))
    frame = open_log(nuscenes)[0]
    assert len(frame.lidar) == 80
    assert frame.cameras["CAM_FRONT"].intrinsics[0, 0] == 1200
    assert "wanted a quaternion of length 1 and finite metres" in said(lambda: frame.cameras["CAM_BACK"])


@pytest.mark.parametrize(
    "value", [[[1.0, 0, 0], [0, 1.0, 0]], [[1.0, None, 0], [0, 1.0, 0], [0, 0, 1.0]], [[], [], []]]
)
def test_intrinsics_of_nuscenes_that_are_none_spoil_no_other(made, nuscenes, value):
    names = made("nuscenes")
    own = list(names.SENSORS).index("CAM_BACK")
    names.change(nuscenes, "calibrated_sensor", lambda rows: rows[own].update(camera_intrinsic=value))
    frame = open_log(nuscenes)[0]
    assert frame.cameras["CAM_FRONT"].intrinsics[0, 0] == 1200
    assert "wanted a camera's 3 x 3" in said(lambda: frame.cameras["CAM_BACK"], BrokenRecord)


@pytest.mark.parametrize("value", [None, {"RT_body_from_sensor": "nan"}])
def test_a_sensor_of_aimotive_that_is_not_as_the_others_spoils_none(aimotive, value):
    path = aimotive / "sensor" / "calibration" / "calibration.json"
    sensors = json.loads(path.read_text()) | {"M_FISHEYE_L": value}
    path.write_text(json.dumps(sensors))
    frame = open_log(aimotive)[0]
    assert len(frame.lidar) == 400
    assert frame.cameras["F_MIDLONGRANGECAM_CL"].distortion_model == "brown"
    text = said(lambda: frame.cameras["M_FISHEYE_L"], BrokenRecord)
    assert text.startswith(f"{path}: M_FISHEYE_L is not the expected JSON")


# times that were never set


@pytest.mark.parametrize("value", [0.0, NAN, None])
def test_pictures_of_waymo_v2_without_a_time_are_left_out_and_reported(waymo_v2, value):
    column = "[CameraImageComponent].pose_timestamp"
    path = put_in_parquet(waymo_v2, "camera_image", column, 2, value)
    text = f"{path}: {column} of FRONT_LEFT in row 2 is 0 or no time, which was never set; "
    assert said(lambda: open_log(waymo_v2), BrokenRecord).startswith(text)
    log = open_log(waymo_v2, on_error="skip")
    assert [list(frame.cameras) for frame in log] == [
        ["FRONT", "FRONT_LEFT"],
        ["FRONT"],
        *[["FRONT", "FRONT_LEFT"]] * 2,
    ]
    assert [line.startswith(text) for line in log.skipped] == [True]


def test_a_camera_of_waymo_v2_that_has_no_times_is_left_out_and_reported(waymo_v2):
    put_in_parquet(waymo_v2, "camera_image", "[CameraImageComponent].pose_timestamp", None, 0.0)
    log = open_log(waymo_v2, on_error="skip")
    assert (len(log), dict(log.source.cameras)) == (4, {})
    assert ["FRONT in row 1 and 3 more is 0" in log.skipped[0], "FRONT_LEFT in row 0 and 3" in log.skipped[1]] == [
        True
    ] * 2


@pytest.mark.parametrize("value", [0, None])
def test_sweeps_of_waymo_v2_without_a_time_are_left_out_and_reported(waymo_v2, value):
    put_in_parquet(waymo_v2, "lidar", "key.frame_timestamp_micros", 0, value)
    log = open_log(waymo_v2, on_error="skip")
    assert sorted(len(times) for times in log.source.lidars.values()) == [3, 4, 4, 4, 4]
    assert "key.frame_timestamp_micros" in log.skipped[0]


@pytest.mark.parametrize("value", [0, None])
def test_a_record_of_nuscenes_without_a_time_is_left_out_and_reported(made, nuscenes, value):
    names = made("nuscenes")
    before = len(open_log(nuscenes).source.cameras["CAM_BACK"])
    lost = []

    def alter(rows):
        row = next(row for row in rows if row["filename"].startswith("sweeps/CAM_BACK"))
        row["timestamp"] = value
        lost.append(row["filename"])

    names.change(nuscenes, "sample_data", alter)
    table = nuscenes / names.VERSION / "sample_data.json"
    text = (
        f"{table}: the timestamp of {lost[0]} is 0 or null, which was never set; leave such records out with "
        "on_error='skip'"
    )
    assert said(lambda: open_log(nuscenes), BrokenRecord) == text
    log = open_log(nuscenes, on_error="skip")
    assert (len(log.source.cameras["CAM_BACK"]), log.skipped) == (before - 1, [text])


def test_a_message_of_the_can_bus_without_a_time_is_left_out_and_reported(made, nuscenes):
    start = made("nuscenes").START_US
    (nuscenes / "can_bus").mkdir()
    path = nuscenes / "can_bus" / "scene-0001_steeranglefeedback.json"
    path.write_text(json.dumps([{"utime": utime, "value": 0.1} for utime in (0, start, start + 10_000)]))
    found = open_log(nuscenes).signal("can/steeranglefeedback")
    assert found.times_ns.tolist() == [start * 1000, (start + 10_000) * 1000]
    assert found.broken == (f"{path}: message 0 has the utime '0', wanted whole microseconds since 1970, above 0",)


def test_a_stamp_of_0_of_aimotive_was_never_set(made, aimotive):
    wanted = open_log(aimotive).source.times_ns
    number = made("aimotive").NUMBERS[1]
    path = aimotive / "dynamic" / "box" / "3d_body" / f"frame_{number:07}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Timestamp": "0"}))
    log = open_log(aimotive, on_error="skip")
    np.testing.assert_allclose(log.source.times_ns, wanted, atol=1_000_000)
    assert log.skipped == [f"{path}: Timestamp is '0', wanted nanoseconds above 0"]


@pytest.mark.parametrize("some", [True, False])
def test_points_of_aimotive_whose_times_were_never_set(made, aimotive, some):
    import laspy

    number = made("aimotive").NUMBERS[0]
    path = aimotive / "dynamic" / "raw-revolutions" / f"frame_{number:07}.laz"
    wanted = open_log(aimotive)[0].lidar.offset_ns
    points = laspy.read(path)
    points.gps_time = np.where(np.arange(len(wanted)) < 3, 0, points.gps_time) if some else np.zeros(len(wanted))
    points.write(str(path), laz_backend=laspy.LazBackend.Lazrs)
    if some:
        np.testing.assert_array_equal(open_log(aimotive)[0].lidar.offset_ns, [0, 0, 0, *wanted[3:]])
        return
    with pytest.warns(UserWarning, match="gps_time is 0 for all points, which was never set"):
        assert open_log(aimotive)[0].lidar.offset_ns is None


def put_in_line(path, line, text):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:line], *([] if text is None else [text]), *lines[line + 1 :]]) + "\n")
    return path


@pytest.mark.parametrize(("line", "text", "kept"), [(2, "x", [0, 1, 3, 4]), (4, None, [0, 1, 2, 3])])
def test_a_sweep_of_kitti_raw_without_a_time_is_left_out_and_reported(made, tmp_path, line, text, kept):
    drive = made("kitti_raw").make(tmp_path)
    points = [frame.lidar.x for frame in open_log(drive)]
    path = put_in_line(drive / "velodyne_points" / "timestamps.txt", line, text)
    why = said(lambda: open_log(drive), BrokenRecord)
    assert why.startswith(f"{path}: ")
    log = open_log(drive, on_error="skip")
    assert ([int(id) for id in log.ids], log.skipped) == (kept, [why])
    for frame, row in zip(log, kept, strict=True):
        np.testing.assert_array_equal(frame.lidar.x, points[row])


def test_a_picture_of_kitti_raw_without_a_time_spoils_no_other(made, tmp_path):
    drive = made("kitti_raw").make(tmp_path)
    put_in_line(drive / "image_02" / "timestamps.txt", 2, "1970-01-01 00:00:00.000000000")
    log = open_log(drive, on_error="skip")
    assert [list(frame.cameras) for frame in log][1:4] == [
        ["image_00", "image_02"],
        ["image_00"],
        ["image_00", "image_02"],
    ]


def test_stamps_of_kitti_raw_that_are_too_few_are_a_gap_in_poses_and_packets(made, tmp_path):
    drive = made("kitti_raw").make(tmp_path)
    path = put_in_line(drive / "oxts" / "timestamps.txt", 4, None)
    log = open_log(drive)
    assert np.isfinite(log[1].world_from_ego).all()
    assert len(log.signal("oxts")) == 4
    assert any(f"{path}: 4 lines, but 0000000004.txt needs line 5" in line for line in log.skipped)


@pytest.mark.parametrize("text", ["x", "", "nan"])
def test_a_frame_of_kitti_odometry_without_a_time_is_left_out_and_reported(made, tmp_path, text):
    sequence = made("kitti_odometry").make(tmp_path)
    wanted = [frame.world_from_ego for frame in open_log(sequence)]
    path = put_in_line(sequence / "times.txt", 1, text)
    log = open_log(sequence, on_error="skip")
    assert log.ids == ["000000", "000002", "000003"]
    assert log.skipped == [f"{path}: line 2 is {text!r}, wanted seconds since the start"]
    for frame, row in zip(log, (0, 2, 3), strict=True):
        np.testing.assert_array_equal(frame.world_from_ego, wanted[row])


# what is there and not read


def test_labels_of_points_without_the_table_that_names_them_are_said(made, nuscenes):
    folder = nuscenes / "lidarseg" / made("nuscenes").VERSION
    folder.mkdir(parents=True)
    (folder / "a_lidarseg.bin").write_bytes(b"\0")
    log = open_log(nuscenes)
    with pytest.warns(UserWarning, match=f"labels of points in {folder}, since lidarseg.json is not here"):
        assert log.point_classes is None


def test_a_name_of_a_recording_that_is_misspelt_is_told_from_those_beside_it(tmp_path):
    (tmp_path / "drive.bag.active").write_bytes(b"")
    text = said(lambda: open_log(tmp_path / "drive.bag"))
    assert text.endswith(
        f"/drive.bag: no such folder; in {tmp_path} beside it are drive.bag.active (rosbag); open one of them"
    )
    assert said(lambda: open_log(tmp_path / "other" / "drive.bag")).endswith("no such folder; check the path")


def test_packed_recordings_of_a_folder_are_named(made, tmp_path):
    names = made("recording")
    for name in ("a", "b"):
        names.write_mcap(tmp_path / f"{name}.mcap", names.drive(names.Maker()))
    (tmp_path / "c.mcap.zstd").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"not read: 1 packed recording, e.g. c.mcap.zstd; unpack them with `zstd -d`"):
        assert len(open_dataset(tmp_path).logs) == 2
