"""Waymo v2: range images against the formulas written out, cameras in our axes, rows read one by one, broken files."""

import os
import pickle
import signal
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from perceptum import InputBuilder
from perceptum.datasets import open_log
from perceptum.datasets.waymo_v2 import float_lists, points
from perceptum.datasets.waymo_v2 import parquet as waymo_parquet
from perceptum.datasets.waymo_v2.parquet import Rows, read_table
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, NotALog
from perceptum.inputs.poses import inverse, quaternion_from_yaw, rigid, rotation_from_quaternion

LASERS = {"TOP": 1, "FRONT": 2, "SIDE_LEFT": 3, "SIDE_RIGHT": 4, "REAR": 5}


def stored(root, component, names):
    return parquet.read_table(next((root / component).iterdir())).to_pydict()


def stored_image(root, names, frame, laser, which=1):
    """(H, W, 4) as it is stored."""
    table = stored(root, "lidar", names)
    keys = zip(table["key.frame_timestamp_micros"], table["key.laser_name"], strict=True)
    row = list(keys).index((names.FIRST_US + frame * names.STEP_US, laser))
    name = f"[LiDARComponent].range_image_return{which}"
    return np.array(table[f"{name}.values"][row]).reshape(table[f"{name}.shape"][row])


def slow_points(root, names, frame, laser, which=1, compensate=True):
    """(N, 5) x y z intensity elongation by the published formulas, a pixel at a time in float64."""
    image = stored_image(root, names, frame, laser, which)
    height, width, _ = image.shape
    lowest, highest = (names.INCLINATIONS[0], names.INCLINATIONS[-1]) if laser == 1 else (-1.5, 0.5)
    even = lowest + (np.arange(height) + 0.5) / height * (highest - lowest)
    inclination = (names.INCLINATIONS if laser == 1 else even)[::-1]
    extrinsic = names.ego_from_lidar(laser)
    turned = np.arctan2(extrinsic[1, 0], extrinsic[0, 0])
    frame_pose = np.float32(names.world_from_vehicle(frame * names.STEP_US * 1e-6)).astype(float)
    poses = names.pixel_poses(frame).astype(float) if laser == 1 and compensate else None
    out = []
    for r, c in np.argwhere(image[..., 0] > 0):
        azimuth = ((width - c - 0.5) / width * 2 - 1) * np.pi - turned
        distance, incl = image[r, c, 0], inclination[r]
        at = distance * np.array([np.cos(azimuth) * np.cos(incl), np.sin(azimuth) * np.cos(incl), np.sin(incl)])
        point = extrinsic @ [*at, 1]
        if poses is not None:
            roll, pitch, yaw, *place = poses[r, c]
            rx = [[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]]
            ry = [[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]]
            rz = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
            world = np.array(rz) @ ry @ rx @ point[:3] + place
            point = np.linalg.inv(frame_pose) @ [*world, 1]
        out.append([*point[:3], *image[r, c, 1:3]])
    return np.array(out)


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z, sweep.intensity, sweep.elongation], axis=1)


@pytest.mark.parametrize("sensor", LASERS)
@pytest.mark.parametrize("frame", [0, 2])
def test_points_are_those_of_the_published_formulas(waymo_v2, made, sensor, frame):
    sweep = open_log(waymo_v2)[frame].sweeps(1, sensor)[0]
    wanted = slow_points(waymo_v2, made("waymo_v2"), frame, LASERS[sensor])
    assert len(sweep) == len(wanted)
    assert sweep.x.dtype == np.float32
    # 75 m in float32 and, for TOP, a frame pose that float32 makes orthonormal to 1e-7
    np.testing.assert_allclose(columns(sweep), wanted, atol=3e-5)
    np.testing.assert_array_equal(columns(sweep)[:, 3:], wanted[:, 3:].astype(np.float32))


def test_top_is_moved_to_the_frames_pose_and_the_others_are_not(waymo_v2, made):
    frame = open_log(waymo_v2)[1]
    assert frame.lidar.sensor == "TOP"
    assert [sweep.compensated_to_ns for sweep in frame.sweeps()] == [frame.time_ns, None, None, None, None]
    as_measured = open_log(waymo_v2, compensate=False)[1].lidar
    np.testing.assert_allclose(
        columns(as_measured), slow_points(waymo_v2, made("waymo_v2"), 1, 1, compensate=False), atol=1e-5
    )
    assert as_measured.compensated_to_ns is None
    # 50 ms at 10 m/s at either end
    assert 0.2 < np.abs(as_measured.x - frame.lidar.x).max() < 2


def test_each_pixel_may_have_a_pose_of_its_own():
    rng = np.random.default_rng(0)
    image, poses = rng.uniform(1, 75, (40, 300, 4)), rng.uniform(-3, 3, (40, 300, 6))
    image, poses = image.astype(np.float32), poses.astype(np.float32)
    poses[1, 5], poses[2, 6] = poses[0, 0], np.nan
    azimuth, world_from_ego = (
        np.linspace(3, -3, 300),
        rigid(rotation_from_quaternion(quaternion_from_yaw(0.3)), np.ones(3)),
    )

    def filled(rows):
        n = image[rows].size // 4
        columns, pixels = np.zeros((5, n), np.float32), np.zeros((2, n), np.uint16)
        beams = np.linspace(0.1, -0.3, 40)[rows]
        points.fill(image[rows], False, beams, azimuth, np.eye(4), poses[rows], world_from_ego, 0, columns, *pixels)
        return columns

    # more poses than are remembered, against few at a time
    by_row = [filled(slice(r, r + 1)) for r in range(40)]
    np.testing.assert_array_equal(filled(slice(40)), np.concatenate(by_row, axis=1))


def test_rings_are_image_rows_from_the_top(waymo_v2, made):
    sweep = open_log(waymo_v2, compensate=False)[0].lidar
    extrinsic = made("waymo_v2").ego_from_lidar(1)
    own = (columns(sweep)[:, :3] - extrinsic[:3, 3]) @ extrinsic[:3, :3]
    inclination = np.arctan2(own[:, 2], np.hypot(own[:, 0], own[:, 1]))
    np.testing.assert_allclose(inclination, made("waymo_v2").INCLINATIONS[::-1][sweep.ring], atol=1e-4)
    assert sweep.row_of_ring.tolist() == list(range(12))
    assert sweep.origin.tolist() == extrinsic[:3, 3].tolist()


@pytest.mark.parametrize("lidar", LASERS)
@pytest.mark.parametrize(("compensate", "column_of"), [(False, "azimuth"), (False, "record"), (True, "record")])
def test_a_range_image_by_ring_is_the_stored_image_of_the_first_returns(waymo_v2, made, lidar, compensate, column_of):
    """The lidars lean a little, by less than half a column. By azimuth what is compensated lies elsewhere."""
    names = made("waymo_v2")
    image = stored_image(waymo_v2, names, 1, LASERS[lidar])
    channels = ["range", "intensity", "elongation"]
    params = {"sensor": lidar, "rows": "ring", "column_of": column_of, "channels": channels}
    params |= {"height": len(image), "width": image.shape[1]}
    builder = InputBuilder(
        ["lidar_range_image", "lidar_range_image_mask"],
        params={"lidar_range_image": {**params, "intensity_mode": "raw"}},
    )
    tensors = builder.build(open_log(waymo_v2, returns=2, compensate=compensate)[1])
    assert np.array_equal(tensors["lidar_range_image_mask"] == 1, image[..., 0] > 0)
    moved_m = 1.5 if compensate and lidar == "TOP" else 1e-4
    np.testing.assert_allclose(tensors["lidar_range_image"][0], image[..., 0], atol=moved_m)
    np.testing.assert_array_equal(tensors["lidar_range_image"][1:], np.moveaxis(image[..., 1:3], -1, 0).astype("f4"))


def test_second_returns_come_after_the_first_when_asked_for(waymo_v2, made):
    sweep = open_log(waymo_v2, returns=2)[0].lidar
    first, second = (slow_points(waymo_v2, made("waymo_v2"), 0, 1, which) for which in (1, 2))
    assert sweep.return_index.tolist() == [0] * len(first) + [1] * len(second)
    np.testing.assert_allclose(columns(sweep), np.concatenate([first, second]), atol=3e-5)
    only = open_log(waymo_v2)[0].lidar
    assert set(only.return_index.tolist()) == {0}
    # the short lidars of this log have no second returns: a null is no points
    assert len(open_log(waymo_v2, returns=2)[0].sweeps(1, "REAR")[0]) == len(open_log(waymo_v2)[0].sweeps(1, "REAR")[0])


def test_points_in_no_label_zones_are_left_out_when_asked(waymo_v2):
    every, outside = (open_log(waymo_v2, drop_no_label_zones=drop)[0].lidar for drop in (False, True))
    assert 0.8 * len(every) < len(outside) < 0.95 * len(every)
    assert set(outside.x.tolist()) < set(every.x.tolist())


def test_poses_are_float32_widened_first(waymo_v2, made):
    log, names = open_log(waymo_v2), made("waymo_v2")
    for i, frame in enumerate(log):
        wanted = np.float32(names.world_from_vehicle(i * names.STEP_US * 1e-6)).astype(np.float64)
        np.testing.assert_array_equal(frame.world_from_ego[:3, 3], wanted[:3, 3])
        np.testing.assert_allclose(frame.world_from_ego, wanted, atol=1e-7)


def test_cameras_see_through_their_lens_as_waymos_own_model_does(waymo_v2, made):
    """In Waymo's axes: x forward, y left, z up."""
    names, picture = made("waymo_v2"), open_log(waymo_v2)[0].cameras["FRONT"]
    points = np.random.default_rng(0).uniform([10, -3, 0], [40, 3, 4], (50, 3))
    x, y, z = (np.linalg.inv(names.EGO_FROM_WAYMO_CAMERA) @ np.column_stack([points, np.ones(50)]).T)[:3]
    u, v, k1, k2, p1, p2, k3 = -y / x, -z / x, *(names.LENS[name] for name in ("k1", "k2", "p1", "p2", "k3"))
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent_u = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
    bent_v = v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v
    edge = np.column_stack(
        [bent_u * names.LENS["f_u"] + names.LENS["c_u"], bent_v * names.LENS["f_v"] + names.LENS["c_v"]]
    )
    camera_from_ego = inverse(picture.ego_from_camera)
    pixels, valid = picture.lens.project(points @ camera_from_ego[:3, :3].T + camera_from_ego[:3, 3])
    assert valid.all()
    np.testing.assert_allclose(pixels, edge - 0.5, rtol=0, atol=1e-9)
    assert picture.size == (12, 20)


def test_cameras_project_as_waymos_own_model_does(waymo_v2, made):
    names, picture = made("waymo_v2"), open_log(waymo_v2)[0].cameras["FRONT"]
    assert picture.decode().shape == (12, 20, 3)
    points = np.random.default_rng(0).uniform([5, -4, 0], [40, 4, 4], (50, 3))
    x, y, z = (np.linalg.inv(names.EGO_FROM_WAYMO_CAMERA) @ np.column_stack([points, np.ones(50)]).T)[:3]
    u, v = names.LENS["c_u"] - names.LENS["f_u"] * y / x, names.LENS["c_v"] - names.LENS["f_v"] * z / x
    ours = picture.intrinsics @ (np.linalg.inv(picture.ego_from_camera) @ np.column_stack([points, np.ones(50)]).T)[:3]
    # Waymo counts from the edge of the first pixel, we from its middle
    np.testing.assert_allclose(ours[:2] / ours[2], [u - 0.5, v - 0.5], atol=1e-9)
    assert picture.distortion_model == "brown"
    assert picture.distortion.tolist() == [names.LENS[k] for k in ("k1", "k2", "p1", "p2", "k3")]
    assert picture.time_ns == int(np.rint((names.FIRST_US * 1e-6 + 0.01) * 1e9))


def test_each_picture_is_its_own_row(waymo_v2, made):
    table = stored(waymo_v2, "camera_image", made("waymo_v2"))
    rows = dict(
        zip(
            zip(table["key.frame_timestamp_micros"], table["key.camera_name"], strict=True),
            table["[CameraImageComponent].image"],
            strict=True,
        )
    )
    log = open_log(waymo_v2)
    for frame in log:
        for camera, number in (("FRONT", 1), ("FRONT_LEFT", 2)):
            assert frame.cameras[camera].encoded == rows[frame.time_ns // 1000, number]


def test_boxes_have_their_velocity_in_ego_axes(waymo_v2, made):
    log, names = open_log(waymo_v2), made("waymo_v2")
    labels = log[2].labels
    assert labels.category.tolist() == ["VEHICLE", "SIGN"]
    assert labels.track_id.tolist() == ["car", "sign"]
    assert labels.num_points.tolist() == [12, 12]
    np.testing.assert_allclose(labels.boxes[0], [12, -3, 0.8, 4.5, 1.9, 1.6, 3.5 - 2 * np.pi])
    ego = log[2].world_from_ego[:3, :3]
    np.testing.assert_allclose(labels.velocity[0], (ego.T @ [*names.SPEED, 0])[:2])
    assert np.isnan(labels.velocity[1]).all()
    (waymo_v2 / "lidar_box").rename(waymo_v2 / "unused")
    assert open_log(waymo_v2)[0].labels is None


@pytest.mark.parametrize("group", [None, 1, 3, 7])
def test_rows_are_the_same_in_any_order_and_in_any_row_groups(made, tmp_path, group):
    names = made("waymo_v2")
    root = names.make(tmp_path / "waymo", row_group_size=group)
    path, column = next((root / "lidar").iterdir()), "[LiDARComponent].range_image_return1.values"
    wanted = parquet.read_table(path)[column].to_pylist()
    rows = Rows(path, (column,), "")
    for row in (0, 1, 19, 18, 3, 4, 12, 0):
        assert rows.at(row).column(0)[0].as_py() == wanted[row]
    assert pickle.loads(pickle.dumps(rows)).at(5).column(0)[0].as_py() == wanted[5]
    with pytest.raises(MissingRecord, match="no row 20, it has 20"):
        rows.at(20)


def test_going_forward_decodes_each_row_once(waymo_v2, monkeypatch):
    started = []
    kept = float_lists.pages
    monkeypatch.setattr(
        float_lists, "pages", lambda chunk, *a: (started.append(chunk.path_in_schema), kept(chunk, *a))[1]
    )
    log = open_log(waymo_v2)
    for frame in log:
        frame.sweeps()
    lidar = [path for path in started if "[LiDARComponent].range_image_return1.values" in path]
    assert len(lidar) == 1
    assert not any("return2" in path for path in started)


def test_a_forked_child_reads_rows_that_a_thread_of_the_parent_was_reading(waymo_v2, monkeypatch):
    path = waymo_v2 / "lidar" / f"{open_log(waymo_v2).source.name}.parquet"
    column = "[LiDARComponent].range_image_return1.shape"
    wanted = Rows(path, (column,), "no points").at(0)
    parent, reading, go_on = os.getpid(), threading.Event(), threading.Event()

    def slowly(*arguments, rows_of=waymo_parquet.rows_of):
        for row in rows_of(*arguments):
            if os.getpid() == parent:
                reading.set()
                go_on.wait(10)
            yield row

    monkeypatch.setattr(waymo_parquet, "rows_of", slowly)
    rows = Rows(path, (column,), "no points")
    thread = threading.Thread(target=lambda: rows.at(0))
    thread.start()
    reading.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if rows.at(0).equals(wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    thread.join()
    assert rows.at(0).equals(wanted)


def test_a_folder_of_several_segments_wants_one_named(waymo_v2, made):
    names = made("waymo_v2")
    other = names.SEGMENT.replace("1234567890", "9")
    for component in ("lidar", "vehicle_pose"):
        path = waymo_v2 / component / f"{names.SEGMENT}.parquet"
        (waymo_v2 / component / f"{other}.parquet").write_bytes(path.read_bytes())
    with pytest.raises(NotALog) as caught:
        open_log(waymo_v2)
    assert str(caught.value) == (
        f"{waymo_v2}: 2 segments, it has {names.SEGMENT}, {other}; say which with segment='{names.SEGMENT}'"
    )
    assert open_log(waymo_v2, segment=other).source.name == other
    with pytest.raises(NotALog, match=r"no segment '\.\./9', it has"):
        open_log(waymo_v2, segment="../9")


def test_a_download_of_poses_alone_has_frames_without_points(waymo_v2):
    for component in ("lidar", "camera_image"):
        (waymo_v2 / component).rename(waymo_v2 / f"unused_{component}")
    log = open_log(waymo_v2)
    assert len(log) == 4
    assert log[0].lidar is None
    assert log[0].world_from_ego[1, 3] > 15_000


def message(root, ask, kind=BrokenRecord, **options):
    with pytest.raises(kind) as caught:
        ask(open_log(root, **options)[0])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ask_lidar(frame):
    return frame.lidar


def test_top_without_pixel_poses_says_what_to_do(waymo_v2, made):
    path = waymo_v2 / "lidar_pose" / f"{made('waymo_v2').SEGMENT}.parquet"
    path.unlink()
    assert message(waymo_v2, ask_lidar, MissingRecord) == (
        f"{path}: no such file; TOP's points need each pixel's pose; without, open with compensate=False"
    )
    assert len(open_log(waymo_v2, compensate=False)[0].lidar) > 500
    assert len(open_log(waymo_v2)[0].sweeps(1, "REAR")[0]) > 0


def rewritten(root, component, change):
    """Writes a component again with columns changed; returns its path."""
    path = next((root / component).iterdir())
    table = parquet.read_table(path)
    arrays = dict(zip(table.column_names, table.columns, strict=True))
    change(arrays)
    parquet.write_table(pa.table(arrays), path)
    return path


SHAPE = "[LiDARComponent].range_image_return1.shape"


def test_an_image_that_is_not_its_shape_is_named(waymo_v2):
    def change(arrays):
        arrays[SHAPE] = pa.array([[1000, 1000, 4]] * 20, pa.list_(pa.int32(), 3))

    path = rewritten(waymo_v2, "lidar", change)
    assert message(waymo_v2, ask_lidar) == (
        f"{path}: [LiDARComponent].range_image_return1 is [1000, 1000, 4] in 2880 numbers, wanted [rows, columns, 4]"
    )


def test_a_table_of_other_beams_is_named(waymo_v2):
    def change(arrays):
        arrays["[LiDARCalibrationComponent].beam_inclination.values"] = pa.array([[0.1, 0.2]] * 5)

    rewritten(waymo_v2, "lidar_calibration", change)
    assert message(waymo_v2, ask_lidar).endswith("range images of [(12, 60, 4)] with 2 beams: they do not fit")


@pytest.mark.parametrize(
    ("component", "column", "ask"),
    [
        ("vehicle_pose", "[VehiclePoseComponent].world_from_vehicle.transform", lambda frame: frame.world_from_ego),
        ("lidar_calibration", "[LiDARCalibrationComponent].extrinsic.transform", ask_lidar),
        ("lidar_box", "[LiDARBoxComponent].box.heading", lambda frame: frame.labels),
        ("camera_calibration", "[CameraCalibrationComponent].intrinsic.f_u", lambda frame: frame.cameras["FRONT"]),
        ("lidar_pose", "[LiDARPoseComponent].range_image_return1.values", ask_lidar),
    ],
)
def test_a_missing_column_is_named(waymo_v2, component, column, ask):
    path = rewritten(waymo_v2, component, lambda arrays: arrays.pop(column))
    said = message(waymo_v2, ask, MissingRecord)
    assert said.startswith(f"{path}: no column {column}, which is needed; it has key.segment_context_name, ")


@pytest.mark.parametrize("component", ["lidar", "vehicle_pose", "lidar_pose"])
def test_a_cut_file_is_named(waymo_v2, component):
    path = next((waymo_v2 / component).iterdir())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BrokenRecord) as caught:
        _ = open_log(waymo_v2)[0].lidar
    assert str(caught.value).startswith(f"{path}: not a complete Parquet file (")


def test_wrong_options_are_refused(waymo_v2):
    assert message(waymo_v2, len, LogError, returns=3) == "waymo_v2: option returns is 3, wanted 1 or 2"


@pytest.fixture(scope="module")
def whole_poses(made, tmp_path_factory):
    root = made("waymo_v2").make(tmp_path_factory.mktemp("waymo"))
    return next((root / "vehicle_pose").iterdir()).read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_files_are_read_or_refused_in_one_line(whole_poses, tmp_path_factory, said_of, data):
    changed = bytearray(whole_poses)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), max_size=5)):
        changed[at] = value
    path = tmp_path_factory.mktemp("changed") / "s.parquet"
    path.write_bytes(bytes(changed))
    pose, stamp = "[VehiclePoseComponent].world_from_vehicle.transform", "key.frame_timestamp_micros"
    said_of(lambda: read_table(path, [stamp, pose], "").transforms_or_gaps(pose))
    said_of(lambda: [Rows(path, (pose,), "").at(row) for row in range(4)])


@pytest.mark.data
def test_the_real_poses_are_one_drive_at_15_km(real_data):
    log = open_log(real_data / "waymo" / "v2")
    assert log.source.name == "10023947602400723454_1120_000_1140_000"
    assert len(log) == 199
    assert log[0].time_ns == 1552440195362591000
    np.testing.assert_array_equal(log[0].world_from_ego[:3, 3], np.float32([860.5948, 15568.675, -651.441]))
    steps_m = np.linalg.norm(np.diff([frame.world_from_ego[:3, 3] for frame in log], axis=0), axis=1)
    # 1 mm steps of float32, and no jump
    assert steps_m.max() < 3


def test_a_component_that_looks_like_a_map_is_said(waymo_v2):
    (waymo_v2 / "map_features").mkdir()
    with pytest.warns(UserWarning, match="not read: component map_features"):
        assert open_log(waymo_v2).map is None
