"""perceptum check lists everything that is wrong at once; perceptum info tells what a log holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from perceptum.check import check_log, gap_lines
from perceptum.convert import convert
from perceptum.datasets import detect, memory_log, open_log
from perceptum.datasets.maps.opendrive import read_opendrive
from perceptum.info import describe
from perceptum.inputs import (
    CameraImage,
    HDMap,
    Labels,
    LaneGraph,
    LidarSweep,
    LogError,
    Poses,
    RadarSweep,
    Shapes,
    encode_jpeg,
)
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion
from perceptum.install import install_command

SMALL = "synthetic:frames=4,beams=8,azimuth_steps=64,image_size=32x24"
STEP = 100_000_000


@pytest.fixture
def store(tmp_path):
    convert(SMALL, tmp_path / "store")
    return tmp_path / "store"


def found(folder):
    return [(problem.kind, problem.what) for problem in check_log(str(folder))]


def test_a_whole_log_has_nothing_wrong(command, store):
    done = command("check", store)
    assert (done.status, done.out) == (0, f"{store}: nothing wrong\n")
    assert command("check", SMALL, "--json").json == {"log": SMALL, "problems": [], "not_checked": [], "not_read": []}


def flip(path, at):
    encoded = bytearray(path.read_bytes())
    encoded[at] ^= 1
    path.write_bytes(bytes(encoded))


def test_everything_wrong_with_a_store_is_listed_at_once(command, store):
    index = open_log(store).source.index
    row = index.row(1)
    flip(store / "lidar/LIDAR_TOP/0000.arrow", row.offset + row.size - 100)
    radar = store / "radar/RADAR_FRONT/0000.arrow"
    size = radar.stat().st_size
    radar.write_bytes(radar.read_bytes()[:-5])
    (store / "camera/CAM_BACK/0000.arrow").unlink()
    flip(store / "poses.arrow", 900)
    (store / "lidar/notes.txt").write_text("mine")
    (store / "lost").symlink_to("nowhere")
    wrong = found(store)
    assert (
        "record",
        f"lidar LIDAR_TOP record 1 at {row.time_ns} ns: its bytes in lidar/LIDAR_TOP/0000.arrow "
        "are not those that were written",
    ) in wrong
    assert ("file", f"radar/RADAR_FRONT/0000.arrow: {size - 5} bytes, the index says {size}") in wrong
    assert ("file", "poses.arrow: its checksum is not the one in the index; convert again") in wrong
    assert ("file", "lidar/notes.txt: not in the index") in wrong
    assert ("path", f"{store}/lost: is a link to nowhere, which does not exist") in wrong
    lost = [what for kind, what in wrong if kind == "record" and "CAM_BACK record" in what]
    assert len(lost) == 5
    done = command("check", store)
    assert done.status == 1
    assert done.out.endswith(f"{store}: {len(wrong)} wrong\n")
    done = command("check", store, "--json")
    assert done.status == 1
    assert '"kind": "record"' in done.out


def test_a_changed_index_is_told(store):
    encoded = (store / "perceptum-index.arrow").read_bytes()
    (store / "perceptum-index.arrow").write_bytes(encoded.replace(b"street-0", b"street-1"))
    assert (
        "index",
        "perceptum-index.arrow: its checksum is not the one in perceptum-index.xxh3_128; convert again",
    ) in found(store)


def test_what_is_left_of_an_interrupted_conversion_is_told(store):
    (store / "unfinished").mkdir()
    (store / "unfinished/plan.json").write_text("{}")
    assert found(store) == [("file", "unfinished/plan.json: left over from an interrupted conversion")]


def test_a_log_that_cannot_be_opened_is_one_problem(store):
    (store / "perceptum-index.arrow").write_bytes(b"ARROW1")
    [(kind, what)] = found(store)
    assert kind == "open"
    assert "not a complete index of a store" in what


def test_no_log_is_bad_use(refusal):
    Path("empty").mkdir()
    assert refusal("check", "empty")[0] == 2


@pytest.fixture
def checked(monkeypatch):
    """checked(log or source) -> the lines of its check."""

    def run(source):
        monkeypatch.setattr("perceptum.check.open_source", lambda _: getattr(source, "source", source))
        return found("made")

    return run


def sweep(time_ns, x=(1.0, 2.0)):
    column = np.array(x, dtype=np.float64)
    return LidarSweep("L", time_ns, np.eye(4), column, column, column)


def poses(*times_ns):
    return Poses.fixed(np.array(times_ns))


def test_points_that_are_not_finite_and_empty_clouds_are_counted(checked):
    made = [sweep(0), sweep(STEP, (np.nan, 1.0)), sweep(2 * STEP, ()), sweep(3 * STEP, (np.inf, np.nan))]
    assert checked(memory_log(made)) == [
        ("points", "lidar L: 1 of 4 clouds are empty"),
        ("points", "lidar L: 2 of 4 clouds hold points that are not finite, 3 of 6 points (50 %)"),
    ]


def driving(sign=1, vectors=False, **changed):
    """A radar that looks back and to the left of a car at 10 m/s, past 12 poles and a few cars."""
    rng, times = np.random.default_rng(0), np.arange(5) * STEP
    mount = rigid(rotation_from_quaternion(quaternion_from_yaw(2.0)), (1, 0.5, 0.6))
    made = []
    for time_ns in times[1:-1].tolist():
        azimuth, reach = rng.uniform(-1, 1, 16), rng.uniform(5, 80, 16)
        own = -10 * np.cos(azimuth + 2.0)
        speed = own + np.where(np.arange(16) < 12, 0, rng.normal(0, 10, 16))
        columns = {"v_radial": sign * speed}
        if vectors:
            columns = {"vx": sign * speed * np.cos(azimuth), "vy": sign * speed * np.sin(azimuth)}
        x, y = reach * np.cos(azimuth), reach * np.sin(azimuth)
        made.append(RadarSweep("R", time_ns, mount, x, y, 0 * x, **columns, **changed))
    moving = Poses(times, quaternion_from_yaw(0 * times), np.column_stack([times * 1e-8, 0 * times, 0 * times]))
    return memory_log(radars=made, poses=moving, times_ns=times)


@pytest.mark.parametrize("vectors", [False, True])
def test_a_doppler_with_the_wrong_sign_is_found_by_the_motion_of_the_car(checked, vectors):
    assert [line for kind, line in checked(driving(1, vectors)) if kind == "points"] == []
    (line,) = [line for kind, line in checked(driving(-1, vectors)) if kind == "points"]
    assert line == (
        "radar R: its Doppler has the wrong sign: 28 detections of what stands still have it turned over, 0 as it must "
        "be, > 0 for what recedes (a recording is opened with doppler=approaching)"
    )


def test_without_a_place_or_a_motion_nothing_is_said_of_a_dopplers_sign(checked):
    of_several = driving(-1, origin=np.full(3, np.nan))
    assert [line for kind, line in checked(of_several) if kind == "points"] == []
    standing = memory_log(
        radars=[driving(-1).source.read_radar("R", i) for i in range(3)], times_ns=of_several.source.times_ns
    )
    assert [line for kind, line in checked(standing) if kind == "points"] == []


def test_velocities_that_are_not_finite_are_counted_and_a_cycle_that_saw_nothing_is_not(checked):
    none, three = np.zeros(0), np.array([1.0, 2.0, 3.0])
    seen = RadarSweep("R", STEP, np.eye(4), three, three, three, rcs=np.array([1, np.nan, -np.inf]), v_radial=three)
    nothing = RadarSweep("R", 2 * STEP, np.eye(4), none, none, none, rcs=none, v_radial=none)
    assert checked(memory_log(radars=[seen, nothing], times_ns=[STEP, 2 * STEP])) == [
        ("points", "radar R: rcs is not finite in 2 of 3 detections")
    ]
    assert checked(memory_log(radars=[nothing], times_ns=[2 * STEP])) == [
        ("points", "radar R: 1 of 1 clouds are empty")
    ]


def test_gaps_and_sensors_that_fall_silent_are_told(checked):
    times = [i * STEP for i in range(40) if i not in (10, 11, 20)]
    jpeg = [CameraImage("C", i * STEP, np.eye(3), np.eye(4), lambda: b"") for i in range(15, 25)]
    wrong = checked(memory_log([sweep(t) for t in times], cameras=jpeg, poses=poses(*times)))
    gap = "2 gaps, with about 3 records missing, the longest 0.300 s after 900000000 ns"
    assert [line for line in wrong if line[0] in ("times", "sensors", "poses")] == [
        ("times", f"frames: {gap}"),
        ("times", f"lidar L: {gap}"),
        ("sensors", "camera C: begins 1.500 s after the log's first frame"),
        ("sensors", "camera C: ends 1.500 s before the log's last frame"),
    ]
    assert next(what for kind, what in wrong if kind == "record").startswith(
        "camera C record 0: C: not a complete picture"
    )


def test_pictures_that_their_calibration_is_not_for_are_told(checked):
    def picture(time_ns, **more):
        return CameraImage("C", time_ns, np.eye(3), np.eye(4), lambda: jpeg, source=f"{time_ns}.jpg", **more)

    jpeg = encode_jpeg(np.zeros((12, 20, 3), np.uint8))
    pictures = [picture(0, size=(12, 20)), picture(STEP, size=(24, 40)), picture(2 * STEP)]
    pictures.append(picture(3 * STEP, distortion=np.array([0.1]), distortion_model="brown"))
    times = [i * STEP for i in range(4)]
    assert checked(memory_log([sweep(t) for t in times], cameras=pictures, poses=poses(*times))) == [
        ("record", "camera C record 1: 100000000.jpg: 20 x 12 pixels, its calibration is for 40 x 24"),
        (
            "record",
            "camera C record 3: 300000000.jpg: camera C: distortion of brown has shape (1,), "
            "wanted 4 or 5 or 8 or 12 or 14 numbers",
        ),
    ]


def test_jitter_is_no_gap():
    assert list(gap_lines(np.array([0, 100, 205, 290, 420, 500]))) == []
    assert list(gap_lines(np.array([0, 100]))) == []


def test_poses_with_gaps_and_records_outside_them_are_told(checked):
    times = [i * STEP for i in range(20)]
    wrong = checked(memory_log([sweep(t) for t in times], poses=poses(0, STEP, 9 * STEP, 15 * STEP)))
    assert wrong == [
        ("poses", "2 gaps longer than the 0.500 s that are interpolated, the longest 0.800 s after 100000000 ns"),
        ("poses", "frames: 4 of 20 records are outside the poses' span, 0 to 1500000000 ns"),
        ("poses", "lidar L: 4 of 20 records are outside the poses' span, 0 to 1500000000 ns"),
    ]


def test_times_that_do_not_increase_are_told(checked):
    source = memory_log([sweep(t * STEP) for t in range(5)]).source
    source.lidars = {"L": np.array([0, 2, 1, 1, 4]) * STEP}
    first = "first record 1 at 200000000 ns, then record 2 at 100000000 ns"
    assert ("times", f"lidar L: 2 of 5 times do not increase, {first}") in checked(source)


def test_labels_that_cannot_be_are_told(checked):
    boxes = np.array([[np.nan, 0, 0, 1, 1, 1, 0], [0, 0, 0, -1, 1, 1, 0], [0, 0, 0, 1, 1, 1, 0.0]])
    labels = Labels(0, boxes, np.array(["a", "b", "c"]), np.array(["1", "2", "2"]))
    assert checked(memory_log([sweep(0)], labels=[labels])) == [
        ("labels", "labels record 0: 1 of 3 boxes are not finite, first track 1"),
        ("labels", "labels record 0: 1 of 3 boxes have a negative size"),
        ("labels", "labels record 0: track 2 has 2 boxes at one time"),
    ]


def test_areas_that_cross_themselves_are_told(checked):
    pytest.importorskip("shapely")
    bow_tie = Shapes.of("polygon", {"bow": [(0, 0), (1, 1), (1, 0), (0, 1)], "box": [(0, 0), (1, 0), (1, 1), (0, 1)]})
    lines = Shapes.of("line", {"cross": [(0, 0), (1, 1), (1, 0), (0, 1)], "far": [(0, 0), (np.inf, 0)]})
    wrong = checked(memory_log([sweep(0)], hdmap=HDMap({"area": bow_tie, "lane_divider": lines})))
    assert wrong == [
        ("map", "area bow: is not a simple area (Self-intersection[0.5 0.5])"),
        ("map", "lane_divider far: has a corner that is not finite"),
    ]


def test_lane_lines_are_looked_at_and_a_lane_may_have_no_boundary(checked):
    lines = Shapes.of("line", {"a": [(0, 0), (1, 0)], "b": [(0, 0), (np.nan, 0)]})
    without = Shapes.of("line", {"a": [(np.nan, np.nan)], "b": [(0, 1), (1, 1)]})
    tables = (np.zeros((0, 2), np.int64), np.full((2, 2), -1), np.zeros(2, bool), np.array(["", ""]))
    wrong = checked(memory_log([sweep(0)], hdmap=HDMap(lanes=LaneGraph(lines, without, without, *tables))))
    assert wrong == [("map", "lane centerlines b: has a corner that is not finite")]


def test_without_shapely_a_check_says_that_areas_were_not_checked(checked, monkeypatch):
    monkeypatch.setattr("perceptum.check.map.find_spec", lambda name: None)
    area = Shapes.of("polygon", {"box": [(0, 0), (1, 0), (1, 1), (0, 1)]})
    wrong = checked(memory_log([sweep(0)], hdmap=HDMap({"area": area})))
    assert wrong == [("not checked", f"areas of the map: that needs shapely: {install_command('map')}")]


def test_records_that_no_library_here_reads_are_not_checked(checked, monkeypatch):
    wanting = f"reading pictures needs simplejpeg or Pillow: {install_command('camera')}"

    def fail(picture):
        raise LogError(wanting)

    monkeypatch.setattr("perceptum.check.records._decode", fail)
    pictures = [CameraImage("C", i * STEP, np.eye(3), np.eye(4), lambda: b"") for i in range(3)]
    log = memory_log([sweep(i * STEP) for i in range(3)], cameras=pictures)
    assert checked(log) == [("not checked", f"3 records: {wanting}")]


def test_a_map_or_a_log_that_no_library_here_reads_is_not_checked(checked, monkeypatch):
    wanting = f"reading Lanelet2 maps needs lanelet2: {install_command('lanelet2')}"
    source = memory_log([sweep(0)]).source

    def fail(*_):
        raise LogError(wanting)

    monkeypatch.setattr(source, "read_map", fail)
    assert checked(source) == [("not checked", wanting)]
    monkeypatch.setattr("perceptum.check.open_source", fail)
    assert found("made") == [("not checked", wanting)]


def test_what_is_not_checked_has_a_count_and_a_status_of_its_own(command, monkeypatch):
    pytest.importorskip("shapely")
    monkeypatch.setattr("perceptum.check.map.find_spec", lambda name: None)
    areas = f"areas of the map: that needs shapely: {install_command('map')}"
    done = command("check", SMALL)
    assert (done.status, done.out) == (3, f"not checked: {areas}\n{SMALL}: nothing wrong, 1 not checked\n")
    done = command("check", SMALL, "--json")
    assert (done.status, json.loads(done.out)) == (
        3,
        {"log": SMALL, "problems": [], "not_checked": [areas], "not_read": []},
    )
    monkeypatch.setattr("perceptum.check.pose_problems", lambda source: ["they are far off"])
    done = command("check", SMALL)
    assert (done.status, done.out.splitlines()[-1]) == (1, f"{SMALL}: 1 wrong, 1 not checked")


def test_a_broken_file_of_a_dataset_is_named(kitti):
    (kitti / "training/velodyne/000001.bin").write_bytes(b"cut")
    [(kind, what)] = found(kitti)
    assert kind == "record"
    assert what.startswith(f"lidar velodyne record 1: {kitti}/training/velodyne/000001.bin: 3 bytes is not a multiple")


def test_a_log_is_opened_for_checking_as_open_log_opens_it(store):
    assert detect.open_source(str(store)).times_ns.tolist() == open_log(store).source.times_ns.tolist()


def test_info_tells_sensors_gaps_map_and_classes():
    told = describe(open_log(SMALL))
    lidar = told["lidars"]["LIDAR_TOP"]
    assert (lidar["records"], lidar["gaps"], lidar["dropped"]) == (4, 0, 0)
    assert lidar["rate_hz"] == pytest.approx(10)
    assert lidar["columns"][0] == "x float32"
    assert lidar["points"] > 0
    assert "start_ns" in told["cameras"]["CAM_FRONT"]
    assert (told["cameras"]["CAM_FRONT"]["size"], told["cameras"]["CAM_FRONT"]["lens"]) == ([24, 32], "none")
    assert told["map"]["layers"]["crossing"]["kind"] == "polygon"
    assert told["map"]["lanes"] > 0
    assert told["labels"]["frames_looked_at"] == told["labels"]["frames_labelled"] == 4
    assert "car" in told["labels"]["boxes"]
    assert told["poses"]["gaps"] == 0
    assert told["size_bytes"] is None
    assert "store" not in told
    assert told["unreadable"] == []


def test_info_counts_what_is_missing_between_records():
    times = [i * STEP for i in range(20) if i not in (3, 4, 9)]
    told = describe(memory_log([sweep(t) for t in times]))
    assert (told["lidars"]["L"]["gaps"], told["lidars"]["L"]["dropped"]) == (2, 3)


def test_info_of_a_broken_log_tells_what_it_could_not_read(kitti):
    (kitti / "training/velodyne/000001.bin").write_bytes(b"cut")
    told = describe(open_log(kitti))
    assert len(told["unreadable"]) == 1
    assert told["lidars"]["velodyne"]["points"] == 500


def test_info_prints_tables_for_people(command, store):
    done = command("info", store)
    assert done.status == 0
    for word in ("LIDAR_TOP", "float32 x y z", "crossing: ", "converted_from", "car: "):
        assert word in done.out


def test_what_a_map_holds_and_is_not_read_is_said_and_not_wrong(command, tmp_path, monkeypatch):
    pytest.importorskip("shapely")
    path = tmp_path / "a.xodr"
    path.write_text("<OpenDRIVE><userData/></OpenDRIVE>")
    source = memory_log([sweep(0)]).source
    monkeypatch.setattr(source, "read_map", lambda: read_opendrive(path))
    monkeypatch.setattr("perceptum.check.open_source", lambda _: source)
    done = command("check", "made")
    assert (done.status, done.out) == (0, f"not read: {path}: OpenDRIVE/userData (1)\nmade: nothing wrong\n")
    found = command("check", "made", "--json").json
    assert found == {"log": "made", "problems": [], "not_checked": [], "not_read": [f"{path}: OpenDRIVE/userData (1)"]}
