"""aiMotive: frame numbers and times, points at their own times, radar angles, two lenses, and broken files."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.aimotive.laz import read_laz
from perceptum.datasets.aimotive.records import read_boxes, read_stamp, read_targets
from perceptum.inputs import BrokenRecord, LogError, MissingRecord
from perceptum.install import install_command


def points_of(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


def test_a_frames_time_is_its_boxes_stamp(aimotive, made):
    log, names = open_log(aimotive), made("aimotive")
    assert log.source.dataset == "aimotive"
    assert log.source.times_ns.tolist() == [names.stamp(number) for number in names.NUMBERS]
    # the fourth cycle has no boxes: 15 frames per second go on
    assert log.source.radars["F_LRR_C"].tolist() == [*log.source.times_ns.tolist(), names.stamp(33646) + 66_666_666]


def test_a_log_without_boxes_has_the_numbers_as_times(aimotive):
    (aimotive / "dynamic" / "box").rename(aimotive / "unused")
    log = open_log(aimotive)
    assert log.source.times_ns.tolist() == [number * 1_000_000_000 // 15 for number in (33643, 33644, 33646)]
    assert log[0].labels is None


def test_each_frame_stands_alone_for_no_motion_is_read(aimotive):
    log = open_log(aimotive)
    assert not log.source.sequential
    assert [len(frame.sweeps(5)) for frame in log] == [1, 1, 1]
    np.testing.assert_array_equal(log.world_from_ego(log[1].time_ns + 50_000_000), np.eye(4))
    # a point's own time is within what is known
    for frame in log:
        log.world_from_ego(frame.time_ns + int(frame.lidar.offset_ns.min()))
        log.world_from_ego(frame.time_ns + int(frame.lidar.offset_ns.max()))


def test_points_are_the_files_to_the_millimetre_each_at_its_own_time(aimotive, made):
    import laspy

    sweep = open_log(aimotive)[1].lidar
    stored = laspy.read(aimotive / "dynamic" / "raw-revolutions" / "frame_0033644.laz")
    for axis in "xyz":
        assert getattr(sweep, axis).dtype == np.float32
        np.testing.assert_array_equal(getattr(sweep, axis), np.asarray(stored[axis], dtype=np.float32))
        np.testing.assert_array_equal(np.rint(getattr(sweep, axis) * 1000.0), np.asarray(stored[axis.upper()]))
    np.testing.assert_array_equal(sweep.time_ns + sweep.offset_ns.astype(np.int64), np.asarray(stored.gps_time))
    np.testing.assert_array_equal(sweep.intensity, stored.intensity)
    assert sweep.compensated_to_ns is None
    np.testing.assert_array_equal(sweep.origin, made("aimotive").PLACES["M_LIDAR_M"][:3, 3])


def test_radar_azimuth_is_positive_to_the_left(aimotive, made):
    names = made("aimotive")
    cycle = open_log(aimotive)[0].radars["F_LRR_C"]
    for i, (distance, azimuth, elevation, speed, rcs) in enumerate(names.TARGETS):
        wanted = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        np.testing.assert_allclose([cycle.x[i], cycle.y[i], cycle.z[i]], np.multiply(distance, wanted), atol=1e-12)
        assert cycle.v_radial[i] == speed
        assert cycle.rcs[i] == pytest.approx(10 * np.log10(rcs), abs=1e-12)
    assert cycle.y[0] > 0 > cycle.y[1]
    np.testing.assert_array_equal(cycle.ego_from_sensor, names.PLACES["F_LRR_C"])


def test_lenses_are_brown_or_mei(aimotive):
    cameras = open_log(aimotive)[0].cameras
    front, left = cameras["F_MIDLONGRANGECAM_CL"], cameras["M_FISHEYE_L"]
    assert (front.distortion_model, front.distortion.tolist()) == ("brown", [-0.3, 0.08, 0.002, 0.0006, 0.01])
    assert (left.distortion_model, left.distortion.tolist()) == ("mei", [1.02, 0.03, -0.08, 0.001, 0.002])
    assert front.intrinsics.tolist() == [[11.7, 0, 10], [0, 10, 6], [0, 0, 1]]
    assert front.decode().shape == (12, 20, 3)


def test_boxes_are_in_the_body_frame_with_no_velocity_over_ground(aimotive):
    labels = open_log(aimotive)[0].labels
    np.testing.assert_allclose(labels.boxes[0], [100, -2, 0.5, 4.5, 1.9, 1.6, 0])
    assert labels.boxes[1, 6] == pytest.approx(0.3)
    assert labels.category.tolist() == ["CAR", "CAR"]
    assert labels.track_id.tolist() == ["4", "5"]
    assert labels.velocity is None


def refused(log_folder, file, content, ask, kind=BrokenRecord):
    path = log_folder / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as caught:
        ask(open_log(log_folder)[0])
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


LAZ = "dynamic/raw-revolutions/frame_0033643.laz"


def ask_lidar(frame):
    return frame.lidar


def test_broken_points_are_named(aimotive):
    whole = (aimotive / LAZ).read_bytes()
    assert refused(aimotive, LAZ, b"", ask_lidar) == "starts with b'' in 0 bytes, wanted a LAS header, b'LASF'"
    assert "the file is cut short" in refused(aimotive, LAZ, whole[:-300], ask_lidar)
    many = bytearray(whole)
    struct.pack_into("<I", many, 107, 4_000_000_000)
    assert refused(aimotive, LAZ, bytes(many), ask_lidar) == (
        f"4000000000 points cannot be in {len(whole)} bytes; the file is cut short"
    )
    chunks = bytearray(whole)
    table_at = struct.unpack_from("<q", whole, struct.unpack_from("<I", whole, 96)[0])[0]
    struct.pack_into("<I", chunks, table_at + 4, 4_000_000_000)
    assert refused(aimotive, LAZ, bytes(chunks), ask_lidar) == f"4000000000 chunks cannot be in {len(whole)} bytes"


def test_points_of_another_time_are_refused(aimotive):
    other = (aimotive / "dynamic/raw-revolutions/frame_0033646.laz").read_bytes()
    assert "wanted a time within 0.11 s of the frame's 4833189570000 ns" in refused(aimotive, LAZ, other, ask_lidar)


def test_without_laspy_the_message_says_what_to_install(aimotive, monkeypatch):
    monkeypatch.setitem(sys.modules, "laspy", None)
    with pytest.raises(LogError) as caught:
        _ = open_log(aimotive)[0].lidar
    assert str(caught.value) == f"reading .laz points needs laspy and lazrs: {install_command('laz')}"


def test_broken_records_are_named(aimotive, made):
    names = made("aimotive")
    radar, boxes = "sensor/radar/F_LRR_C/F_LRR_C_0033643.json", "dynamic/box/3d_body/frame_0033643.json"
    said = refused(aimotive, radar, '{"targets": [{"range": 1}]}', lambda frame: frame.radars["F_LRR_C"])
    assert said.startswith("not the expected JSON (")
    target = {"range": 1, "azimuth": 0, "elevation": 0, "speed": 0, "rcs": -4}
    said = refused(aimotive, radar, json.dumps({"targets": [target]}), lambda frame: frame.radars["F_LRR_C"])
    assert said == "target 0 has an rcs of -4, wanted square metres, 0 or more"
    stamped = {"Timestamp": "4833189570000", "CapturedObjects": [names.box(1, 1e9)]}
    said = refused(aimotive, boxes, json.dumps(stamped), lambda frame: frame.labels)
    assert said == "box 0 holds a number that is not finite or beyond 1e6"
    stamped["CapturedObjects"] = [names.box(1, 1.0, (0, 0, 0, 0))]
    said = refused(aimotive, boxes, json.dumps(stamped), lambda frame: frame.labels)
    assert said == "box 0 has a negative size or a quaternion that is not of length 1"
    said = refused(aimotive, boxes, '{"Timestamp": "-1"}', lambda frame: frame.labels)
    assert said == "Timestamp is '-1', wanted nanoseconds above 0"


CALIBRATION = "sensor/calibration/calibration.json"


@pytest.mark.parametrize(
    ("change", "kind", "wanted"),
    [
        ({"model": "ftheta"}, BrokenRecord, "F_MIDLONGRANGECAM_CL has the lens model 'ftheta', wanted opencv_pinhole"),
        ({"focal_length_px": [1]}, BrokenRecord, "F_MIDLONGRANGECAM_CL has [1, 2, 5] focal lengths"),
        ({"focal_length_px": [0, 1]}, BrokenRecord, "F_MIDLONGRANGECAM_CL has focal lengths 0.0 and 1.0"),
        ({"RT_body_from_sensor": [[1]]}, BrokenRecord, "RT_body_from_sensor of F_MIDLONGRANGECAM_CL is not a 4x4"),
        ({"RT_body_from_sensor": None}, MissingRecord, "F_MIDLONGRANGECAM_CL has no RT_body_from_sensor"),
        (None, MissingRecord, "no sensor 'F_MIDLONGRANGECAM_CL', found M_LIDAR_M, F_LRR_C, B_LRR_C, M_FISHEYE_L"),
    ],
)
def test_broken_calibration_is_named(aimotive, made, change, kind, wanted):
    sensors = made("aimotive").calibration()
    if change is None:
        del sensors["F_MIDLONGRANGECAM_CL"]
    else:
        sensors["F_MIDLONGRANGECAM_CL"] |= change
    ask = lambda frame: frame.cameras["F_MIDLONGRANGECAM_CL"]  # noqa: E731
    assert refused(aimotive, CALIBRATION, json.dumps(sensors), ask, kind).startswith(wanted)


@pytest.fixture(scope="module")
def whole_laz(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("laz") / "frame_0033643.laz"
    made("aimotive").write_laz(path, 33643)
    return path.read_bytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_points_are_read_or_refused_in_one_line(whole_laz, tmp_path_factory, said_of, data):
    changed = bytearray(
        whole_laz[: data.draw(st.integers(len(whole_laz) - 600, len(whole_laz)) | st.just(len(whole_laz)))]
    )
    # the header, the records before the points, the chunk table
    places = st.integers(0, 420) | st.integers(len(changed) - 60, len(changed) - 1) | st.integers(0, len(changed) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        changed[at] = value
    path = tmp_path_factory.mktemp("changed") / "frame_0033643.laz"
    path.write_bytes(bytes(changed))
    said_of(lambda: read_laz(path))


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.fixed_dictionaries(
        {"targets": st.lists(st.dictionaries(st.sampled_from(["range", "azimuth"]), st.floats()))}
    ).map(json.dumps)
)
def test_garbage_is_read_or_refused_in_one_line(tmp_path_factory, said_of, text):
    path = tmp_path_factory.mktemp("garbage") / "frame_0000001.json"
    path.write_text(text, encoding="utf-8", errors="replace")
    for read in (
        lambda: read_stamp(path),
        lambda: read_boxes(path, 0),
        lambda: read_targets(path, "radar", 0, np.eye(4)),
    ):
        said_of(read)


@pytest.mark.data
def test_real_points_in_boxes_are_the_known_ones(real_aimotive):
    log = open_log(real_aimotive)
    assert [len(frame.lidar) for frame in log] == [129715, 129644]
    points, labels = points_of(log[0].lidar), log[0].labels
    counts = []
    for x, y, z, length, width, height, yaw in labels.boxes:
        offset = points - [x, y, z]
        along = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw)
        across = offset[:, 1] * np.cos(yaw) - offset[:, 0] * np.sin(yaw)
        flat = (np.abs(along) <= length / 2 + 0.2) & (np.abs(across) <= width / 2 + 0.2)
        counts.append(int((flat & (np.abs(offset[:, 2]) <= height / 2 + 0.2)).sum()))
    wanted = {"CAR": [17, 59, 46, 21, 1688], "TRUCK": [151], "VAN": [17827, 272]}
    for category, known in wanted.items():
        assert [n for n, of in zip(counts, labels.category, strict=True) if of == category] == known


@pytest.mark.data
def test_real_sweeps_share_a_third_of_their_points_unmoved(real_aimotive):
    first, second = (frame.lidar for frame in open_log(real_aimotive))
    times = [sweep.time_ns + sweep.offset_ns.astype(np.int64) for sweep in (first, second)]
    shared = [(t >= times[1].min()) & (t <= times[0].max()) for t in times]
    a, b = (points_of(sweep)[rows] for sweep, rows in zip((first, second), shared, strict=True))
    assert len(a) == len(b) == 47310
    # the same numbers in both, 67 ms and 2 m of driving apart: as measured, not moved to the frame's stamp
    order_a, order_b = np.lexsort(a.T), np.lexsort(b.T)
    np.testing.assert_array_equal(a[order_a], b[order_b])


@pytest.mark.data
@pytest.mark.parametrize(("radar", "speed", "away_m"), [("F_LRR_C", -30.14, 0.71), ("B_LRR_C", 30.14, 0.68)])
def test_real_radars_agree_with_the_ego_speed_and_the_lidar(real_aimotive, radar, speed, away_m):
    from scipy.spatial import cKDTree

    frame = open_log(real_aimotive)[0]
    cycle = frame.radars[radar]
    assert len(cycle) == {"F_LRR_C": 39, "B_LRR_C": 41}[radar]
    ahead = cycle.x / np.sqrt(cycle.x**2 + cycle.y**2 + cycle.z**2)
    assert abs(float(np.median(cycle.v_radial / ahead)) - speed) < 0.01
    place = cycle.ego_from_sensor
    here = np.stack([cycle.x, cycle.y, cycle.z], axis=1) @ place[:3, :3].T + place[:3, 3]
    nearest, _ = cKDTree(points_of(frame.lidar)[:, :2]).query(here[:, :2])
    assert abs(float(np.median(nearest)) - away_m) < 0.005


@pytest.mark.data
@pytest.mark.parametrize(("radar", "sign"), [("F_LRR_C", -1), ("B_LRR_C", 1)])
def test_what_stands_still_before_a_real_radar_approaches_and_behind_the_car_recedes(real_aimotive, radar, sign):
    source = open_log(real_aimotive).source
    for index in range(len(source.radars[radar])):
        cycle = source.read_radar(radar, index)
        # 9 of 10 or more stand still, or are slower than the car
        assert np.mean(np.sign(cycle.v_radial) == sign) > 0.9
        assert cycle.v_radial_comp is cycle.vx is None


@pytest.mark.data
def test_real_cross_sections_follow_the_radar_equation_in_decibels_of_square_metres(real_aimotive):
    targets, rcs = [], []
    source = open_log(real_aimotive).source
    for index in range(len(source.radars["F_LRR_C"])):
        cycle = source.read_radar("F_LRR_C", index)
        targets += json.loads(Path(cycle.source).read_text())["targets"]
        rcs += cycle.rcs.tolist()
    of = {name: np.array([target[name] for target in targets]) for name in ("azimuth", "range", "power", "rcs")}
    # received power times range to the fourth, by the antenna's gain, which depends on the angle
    powers = np.abs(of["azimuth"])[:, None] ** np.arange(7)
    given = np.column_stack([powers, of["power"] + 40 * np.log10(of["range"])])

    def explained(values):
        left = values - given @ np.linalg.lstsq(given, values, rcond=None)[0]
        return 1 - left.var() / np.var(values)

    assert explained(np.array(rcs)) > 0.85
    assert explained(of["rcs"]) < 0.5
    assert -11 < min(rcs) < max(rcs) < 26


@pytest.mark.data
@pytest.mark.parametrize(("camera", "seen"), [("F_MIDLONGRANGECAM_CL", 18036), ("B_MIDRANGECAM_C", 29821)])
def test_real_points_that_fall_into_a_picture_are_the_known_ones(real_aimotive, camera, seen):
    frame = open_log(real_aimotive)[0]
    picture = frame.cameras[camera]
    height, width = picture.decode().shape[:2]
    place = np.linalg.inv(picture.ego_from_camera)
    x, y, depth = (points_of(frame.lidar) @ place[:3, :3].T + place[:3, 3]).T
    # without distortion, as the known numbers are
    u, v, w = picture.intrinsics @ np.stack([x, y, depth])[:, depth > 1]
    assert int(((u >= 0) & (u < width * w) & (v >= 0) & (v < height * w)).sum()) == seen
