"""One pose that is broken leaves a gap, in every dataset: the frames that need it fail by name, the others go on."""

import json
import pickle

import numpy as np
import pytest

from perceptum import InputBuilder
from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import BrokenRecord, LidarSweep, LogError, Poses, PoseUnknown

NAN, INF = float("nan"), float("inf")


def kitti_odometry(broken):
    """Writes `broken` as the second line of the poses."""

    def write(sequence):
        path = sequence.parents[1] / "poses" / "04.txt"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], broken, *lines[2:]]) + "\n")
        return path

    return write


def kitti_raw(broken, file="data/0000000002.txt"):
    def write(drive):
        (drive / "oxts" / file).write_text(broken)
        return drive / "oxts" / file

    return write


def kitti_raw_stamp(drive):
    path = drive / "oxts" / "timestamps.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], "yesterday", *lines[3:]]))
    return path


def view_of_delft(broken):
    def write(root):
        path = root / "lidar" / "training" / "pose" / "00545.json"
        path.write_text(broken)
        return path

    return write


def feather(column, value):
    """Puts `value` into the row of the second sweep's stamp."""

    def write(log):
        from pyarrow import feather, table

        path = log / "city_SE3_egovehicle.feather"
        stored = feather.read_table(path)
        columns = stored.to_pydict()
        sweeps = sorted(int(p.stem) for p in (log / "sensors" / "lidar").iterdir())
        row = columns["timestamp_ns"].index(sweeps[1])
        for name in [column] if column != "quaternion" else ("qw", "qx", "qy", "qz"):
            columns[name][row] = value
        feather.write_feather(table(columns, schema=stored.schema), path)
        return path

    return write


def scenario(column, value):
    """Puts `value` into the row of the recording car's second step."""

    def write(folder):
        import pyarrow as pa
        from pyarrow import parquet

        path = folder / "scenario_s-1.parquet"
        stored = parquet.read_table(path)
        own = [
            car == "AV" and step == 1
            for car, step in zip(*(stored[c].to_pylist() for c in ("track_id", "timestep")), strict=True)
        ]
        values = [value if here else old for here, old in zip(own, stored[column].to_pylist(), strict=True)]
        at = stored.column_names.index(column)
        parquet.write_table(stored.set_column(at, column, pa.array(values, pa.float64())), path)
        return path

    return write


def nuscenes(change):
    """Changes the ego pose of the second keyframe of the lidar."""

    def write(root):
        tables = next(root.glob("v1.0-*"))
        records = json.loads((tables / "sample_data.json").read_text())
        keys = [r for r in records if r["is_key_frame"] and r["filename"].startswith("samples/LIDAR_TOP")]
        second = sorted(keys, key=lambda r: r["timestamp"])[1]
        path = tables / "ego_pose.json"
        poses = json.loads(path.read_text())
        at = next(i for i, pose in enumerate(poses) if pose["token"] == second["ego_pose_token"])
        poses[at] = change(poses[at])
        path.write_text(json.dumps([pose for pose in poses if pose is not None]))
        return path

    return write


def waymo_v2(change):
    def write(root):
        import pyarrow as pa
        from pyarrow import parquet

        path = next((root / "vehicle_pose").iterdir())
        stored = parquet.read_table(path)
        name = "[VehiclePoseComponent].world_from_vehicle.transform"
        rows = stored.column(name).to_pylist()
        rows[1] = change(rows[1])
        at = stored.column_names.index(name)
        parquet.write_table(stored.set_column(at, name, pa.array(rows, pa.list_(pa.float32()))), path)
        return path

    return write


def put(at, value):
    return lambda numbers: [*numbers[:at], value, *numbers[at + 1 :]]


IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0"
MIRRORED = [-1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
BROKEN = {
    "kitti_odometry": {
        "an empty line": kitti_odometry(""),
        "blanks": kitti_odometry("   "),
        "too few numbers": kitti_odometry("1 0 0 0"),
        "too many numbers": kitti_odometry(IDENTITY + " 0 0 0 1"),
        "nan": kitti_odometry(IDENTITY.replace("1", "nan")),
        "a word": kitti_odometry(IDENTITY.replace("1", "one", 1)),
        "leaning": kitti_odometry(IDENTITY.replace("1 0 0 0", "1 0.5 0 0", 1)),
        "all zero": kitti_odometry(" ".join("0" * 12)),
    },
    "kitti_raw": {
        "an empty file": kitti_raw(""),
        "too few numbers": kitti_raw("1 2 3"),
        "nan": kitti_raw(" ".join(["nan"] * 30)),
        "not text": lambda drive: [path := drive / "oxts/data/0000000002.txt", path.write_bytes(b"\xff\xfe")][0],
        "a stamp": kitti_raw_stamp,
    },
    "view_of_delft": {
        "an empty file": view_of_delft(""),
        "no such world": view_of_delft("{}"),
        "too few numbers": view_of_delft('{"odomToCamera": [1, 2]}'),
        "nan": view_of_delft(json.dumps({"odomToCamera": put(3, NAN)(np.eye(4).ravel().tolist())})),
        "not JSON": view_of_delft("{"),
        "mirrored": view_of_delft(json.dumps({"odomToCamera": MIRRORED})),
        "no calibration": lambda root: [
            path := root / "lidar" / "training" / "calib" / "00545.txt",
            path.unlink(),
        ][0],
    },
    "argoverse2": {
        "nan": feather("tx_m", NAN),
        "infinite": feather("ty_m", INF),
        "null": feather("tz_m", None),
        "far": feather("tx_m", 1e300),
        "a zero quaternion": feather("quaternion", 0.0),
        "a long quaternion": feather("qw", 9.0),
    },
    "argoverse2_forecasting": {
        "nan": scenario("heading", NAN),
        "infinite": scenario("position_x", INF),
        "null": scenario("position_y", None),
        "far": scenario("position_x", 1e300),
    },
    "nuscenes": {
        "a zero quaternion": nuscenes(lambda pose: pose | {"rotation": [0, 0, 0, 0]}),
        "nan": nuscenes(lambda pose: pose | {"translation": [NAN, 0, 0]}),
        "too few numbers": nuscenes(lambda pose: pose | {"rotation": [1, 0, 0]}),
        "null": nuscenes(lambda pose: pose | {"translation": None}),
        "a null among the numbers": nuscenes(lambda pose: pose | {"translation": [None, 0, 0]}),
        "not there": nuscenes(lambda pose: None),
        "empty": nuscenes(lambda pose: {}),
        "no such time": nuscenes(lambda pose: pose | {"timestamp": -5}),
    },
    "waymo_v2": {
        "null": waymo_v2(lambda row: None),
        "empty": waymo_v2(lambda row: []),
        "too few numbers": waymo_v2(lambda row: row[:12]),
        "nan": waymo_v2(put(3, NAN)),
        "all zero": waymo_v2(lambda row: [0.0] * 15 + [1.0]),
        "leaning": waymo_v2(put(1, 0.7)),
    },
}
CASES = [pytest.param(name, how, id=f"{name}: {how}") for name, hows in BROKEN.items() for how in hows]
# the packets of KITTI raw are stamped between the sweeps: two frames need each
NEEDED_BY = {"kitti_raw": [2, 3]}
OPTIONS = {"view_of_delft": {"first": 544, "last": 600}}


def pose_or_error(frame):
    try:
        return frame.world_from_ego.tolist()
    except LogError as error:
        return error


@pytest.mark.parametrize(("name", "how"), CASES)
def test_one_broken_pose_fails_the_frames_that_need_it_and_no_others(name, how, request):
    folder = request.getfixturevalue(name)
    options = OPTIONS.get(name, {})
    whole = [pose_or_error(frame) for frame in open_log(folder, **options)]
    path = BROKEN[name][how](folder)
    log = open_log(folder, **options)
    came = [pose_or_error(frame) for frame in log]
    needed_by = NEEDED_BY.get(name, [1])
    for at, (wanted, got) in enumerate(zip(whole, came, strict=True)):
        if at in needed_by:
            assert isinstance(got, PoseUnknown)
            assert str(got).startswith(f"no pose at {log[at].time_ns} ns: ")
            # one file a pose: it is named; else the file and the entry
            assert str(path) in str(got)
            assert "\n" not in str(got)
        else:
            assert got == wanted
    # it is told, once, whether or not a frame needs it
    assert len(log.poses.broken) == len(log.skipped) == 1
    assert log.skipped[0].startswith("poses: ")
    assert str(path) in log.skipped[0]


@pytest.mark.parametrize("name", BROKEN)
def test_frames_that_need_a_broken_pose_are_skipped_where_that_is_asked(name, request):
    folder = request.getfixturevalue(name)
    next(iter(BROKEN[name].values()))(folder)
    log = open_log(folder, on_error="skip", **OPTIONS.get(name, {}))
    builder = InputBuilder(["ego_pose"])
    built = [log.or_skip(str(frame), lambda frame=frame: builder.build(frame)) for frame in log]
    assert [at for at, tensors in enumerate(built) if tensors is None] == NEEDED_BY.get(name, [1])
    assert any(line.startswith("frame 2 " if name == "kitti_raw" else "frame 1 ") for line in log.skipped)


@pytest.mark.parametrize("name", BROKEN)
def test_a_store_keeps_the_gap(name, request, tmp_path):
    folder = request.getfixturevalue(name)
    path = next(iter(BROKEN[name].values()))(folder)
    text = f"{folder}:first=544,last=600" if name == "view_of_delft" else str(folder)
    convert(text, str(tmp_path / "store"), on_error="skip")
    log, original = open_log(tmp_path / "store"), open_log(folder, **OPTIONS.get(name, {}))
    assert log.poses.broken == original.poses.broken
    assert str(path) in log.poses.broken[0].why
    for ours, theirs in zip(log, original, strict=True):
        assert str(pose_or_error(ours)) == str(pose_or_error(theirs))
    assert any(line.startswith("poses: ") for line in log.source.index.about["skipped"])


STEP_NS = 100_000_000


def drive(rows, broken=None):
    """Four poses, one metre apart, with `rows` put in place of theirs."""
    wxyz, xyz = np.tile([1.0, 0, 0, 0], (4, 1)), np.arange(4.0)[:, None] * [1, 0, 0]
    for row, (quaternion, place) in rows.items():
        wxyz[row], xyz[row] = quaternion, place
    return Poses.leaving_gaps("mine", STEP_NS * np.arange(4), wxyz, xyz, broken)


@pytest.mark.parametrize(
    ("quaternion", "place"),
    [([0, 0, 0, 0], [1, 0, 0]), ([NAN, 0, 0, 0], [1, 0, 0]), ([1, 0, 0, 0], [INF, 0, 0]), ([1, 0, 0, 0], [1e12, 0, 0])],
)
def test_poses_in_memory_may_leave_gaps_too(quaternion, place):
    poses = drive({1: (quaternion, place)})
    sweeps = [LidarSweep("L", t * STEP_NS, np.eye(4), *np.ones((3, 5), np.float32)) for t in range(4)]
    log = memory_log(sweeps, poses=poses)
    assert [isinstance(pose_or_error(frame), PoseUnknown) for frame in log] == [False, True, False, False]
    assert log[3].world_from_ego[0, 3] == 3
    assert log.skipped[0].startswith("poses: mine: pose 1 has the quaternion [")
    assert pickle.loads(pickle.dumps(log)).poses.broken == poses.broken


def test_a_gap_reaches_to_the_recorded_poses_around_it_and_these_are_known():
    poses = drive({}, {1: "the second is lost", 2: "so is the third"})
    assert poses.at(0)[0, 3] == 0
    assert poses.at(3 * STEP_NS)[0, 3] == 3
    for t, why in ((1, "the second is lost"), (3 * STEP_NS - 1, "the second is lost")):
        with pytest.raises(PoseUnknown) as caught:
            poses.at(t)
        assert str(caught.value) == f"no pose at {t} ns: {why}"
    with pytest.raises(PoseUnknown, match="the second is lost"):
        poses.at_many([0, STEP_NS])


@pytest.mark.parametrize(("lost", "beyond"), [(0, STEP_NS - 1), (3, 2 * STEP_NS + 1)])
def test_no_motion_goes_on_over_a_broken_pose_at_an_end(lost, beyond):
    poses = drive({}, {lost: "an end is lost"})
    with pytest.raises(PoseUnknown, match="an end is lost"):
        poses.at_many([beyond], extrapolate_ns=STEP_NS)
    assert drive({}).at_many([3 * STEP_NS + 1], extrapolate_ns=STEP_NS)[0, 0, 3] > 3


def test_times_out_of_order_leave_a_gap_and_repeated_ones_none():
    one = np.tile([1.0, 0, 0, 0], (4, 1)), np.arange(4.0)[:, None] * [1, 0, 0]
    poses = Poses.leaving_gaps("mine", np.array([0, 900, 200, 300]), *one)
    assert poses.broken == ((100, "mine: the time of pose 1, 900 ns, is repeated or out of order"),)
    with pytest.raises(PoseUnknown):
        poses.at(150)
    poses = Poses.leaving_gaps("mine", np.array([0, 100, 100, 300]), *one)
    assert [broken.time_ns for broken in poses.broken] == [100]
    assert poses.at(200)[0, 3] == 2
    assert poses.at(100)[0, 3] == 1


def test_poses_that_are_all_broken_are_none():
    with pytest.raises(BrokenRecord, match=r"pose 0 has the quaternion .*; none of the 4 poses can be used"):
        drive(dict.fromkeys(range(4), ([0, 0, 0, 0], [0, 0, 0])))


def test_points_that_move_through_a_gap_are_refused_and_others_are_built():
    """Each point by its own time: a sweep whose points lie in a gap cannot be placed."""
    poses = drive({1: ([0, 0, 0, 0], [0, 0, 0])})
    offsets = np.linspace(0, STEP_NS // 2, 5).astype(np.int32)
    sweeps = [
        LidarSweep("L", t * STEP_NS, np.eye(4), *np.full((3, 5), 9, np.float32), offset_ns=offsets) for t in (0, 2)
    ]
    log, builder = memory_log(sweeps, poses=poses), InputBuilder(["lidar_points"])
    with pytest.raises(PoseUnknown, match="mine: pose 1 has the quaternion"):
        builder.build(log[0])
    assert len(builder.build(log[1])["lidar_points"]) == 5
