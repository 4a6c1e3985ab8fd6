"""What every dataset keeps to, whatever it reads: names, shapes, dtypes, order, times and laziness of the contract."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.inputs import Frame, HDMap, Labels, LogError, MissingRecord, PoseUnknown
from perceptum.plural import counted

SMALL = {"frames": 4, "seed": 1, "beams": 8, "azimuth_steps": 180, "image_size": (80, 48)}
LOGS = [
    *("synthetic", "kitti", "argoverse2", "real_kitti", "real_argoverse2"),
    *("kitti_odometry", "kitti_raw", "view_of_delft", "aimotive", "waymo_v2", "real_kitti_odometry", "real_aimotive"),
    *("nuscenes", "real_nuscenes"),
    *("mcap_recording", "ros1_bag", "rosbag2", "real_mcap"),
    "store",
]
WITHOUT_LABELS = {"kitti_odometry", "kitti_raw", "mcap", "rosbag"}
# the rectified pictures of KITTI's benchmarks differ in size, and their calibration does not say
WITHOUT_SIZES = {"kitti_object", "kitti_odometry", "view_of_delft"}
WITHOUT_MAP = {
    "kitti_object",
    "kitti_odometry",
    "kitti_raw",
    "view_of_delft",
    "aimotive",
    "waymo_v2",
    "nuscenes",
    "mcap",
    "rosbag",
}
REAL = {name: pytest.mark.data for name in LOGS if name.startswith("real_")}


@pytest.fixture(params=[pytest.param(name, marks=REAL.get(name, ())) for name in LOGS])
def opened(request):
    """Opens the same log again each time it is called."""
    if request.param == "synthetic":
        return lambda: open_log("synthetic", **SMALL)
    path = request.getfixturevalue(request.param)
    return lambda: open_log(path)


@pytest.fixture
def store(tmp_path):
    from perceptum.convert import convert

    convert(open_log("synthetic", **SMALL), tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def log(opened):
    return opened()


def assert_rigid(transform):
    assert transform.shape == (4, 4)
    assert transform.dtype == np.float64
    # KITTI publishes rotations of 7 digits
    np.testing.assert_allclose(transform[:3, :3] @ transform[:3, :3].T, np.eye(3), atol=1e-6)
    assert np.linalg.det(transform[:3, :3]) > 0
    np.testing.assert_array_equal(transform[3], [0, 0, 0, 1])


def assert_columns(record, names):
    for name in names:
        column = getattr(record, name)
        if column is not None:
            assert column.shape == (len(record),), name
            assert column.dtype.kind in "fiu", name
    for name in "xyz":
        assert getattr(record, name).dtype.kind == "f"


def test_frames_stand_in_order_at_int64_times(log):
    assert log.source.times_ns.dtype == np.int64
    times = [frame.time_ns for frame in log]
    assert all(type(time_ns) is int for time_ns in times)
    assert times == sorted(set(times))
    assert len(times) == len(log) > 0


def test_every_sensor_stands_in_order_at_int64_times(log):
    source = log.source
    streams = {**source.lidars, **source.radars, **source.cameras}
    assert streams
    for times in streams.values():
        assert times.dtype == np.int64
        assert (np.diff(times) > 0).all()


def test_indices_count_from_both_ends_and_stop(log):
    assert log[-1].time_ns == log[len(log) - 1].time_ns == log[np.int64(-1)].time_ns
    for index in (len(log), -len(log) - 1):
        with pytest.raises(IndexError) as caught:
            log[index]
        assert str(caught.value) == f"{log.source.location}: no frame {index}, the log has {len(log)}"
    assert [frame.index for frame in log.frames(None, None, 2)] == list(range(0, len(log), 2))
    assert [frame.index for frame in log.frames(-1)] == [len(log) - 1]


def test_names_and_info_are_plain(log):
    info = json.loads(json.dumps(log.info()))
    assert info["frames"] == len(log)
    assert info["dataset"] == log.source.dataset
    assert info["start_ns"] == log[0].time_ns
    assert set(info["cameras"]) == set(log.source.cameras)
    assert repr(log) == f"<Log {log.source.dataset} {log.source.name}: {counted(len(log), 'frame')}>"
    frame = log[0]
    assert repr(frame) == f"<Frame 0 ({frame.id}) of {log.source.name} at {frame.time_ns} ns>"
    assert str(frame) == f"frame 0 ({frame.id})"
    assert (info["first_id"], info["last_id"]) == (log[0].id, log[-1].id)


FIRST_IDS = {
    **dict.fromkeys(("synthetic", "store", "kitti_odometry", "real_kitti_odometry"), "000000"),
    **dict.fromkeys(("aimotive", "real_aimotive"), "0033643"),
    "kitti": "000003",
    "kitti_raw": "0000000000",
    "real_kitti": "000134",
    "view_of_delft": "00544",
    "waymo_v2": "1550083467346370",
    "real_nuscenes": "ca9a282c9e77460f8360f564131a8af5",
}
"""Of the others it is the stamp, or, of the made-up nuScenes, any token."""


def test_a_frame_has_the_datasets_own_name(log, request):
    ids = [frame.id for frame in log]
    assert all(type(id) is str and id for id in ids)
    assert len(set(ids)) == len(log)
    case = request.node.callspec.params["opened"]
    if case == "nuscenes":
        assert ids == [log.source.sample_token(frame.time_ns) for frame in log]
    else:
        assert ids[0] == FIRST_IDS.get(case, str(log[0].time_ns))


def test_nothing_is_read_before_it_is_asked_for(log):
    frames = [log[i] for i in range(len(log))]
    for frame in frames:
        assert isinstance(frame, Frame)
        assert len(frame.cameras) <= len(log.source.cameras)
        assert len(frame.radars) <= len(log.source.radars)
    assert dict(log.reads) == {}


def test_printing_reads_no_record(log):
    frame = log[0]
    for it in (log, frame, frame.cameras, frame.radars, frame.sync("cameras"), frame.poses, log.cache):
        assert "object at" not in repr(it)
        assert len(str(it).splitlines()) == 1
    assert dict(log.reads) == {}


def test_a_record_is_read_once_per_frame(log):
    frame = log[-1]
    for _ in range(2):
        _ = frame.lidar, frame.labels, frame.map, [frame.cameras[name] for name in frame.cameras]
        _ = [frame.radars[name] for name in frame.radars], frame.sweeps(1), frame.radar_sweeps(1)
    assert set(log.reads.values()) == {1}
    assert {kind.split("/")[0] for kind in log.reads} <= {"lidar", "radar", "camera", "labels", "map"}


def test_sweeps_are_newest_first_and_none_is_of_the_future(log):
    frame = log[-1]
    sweeps = frame.sweeps(3)
    times = [sweep.time_ns for sweep in sweeps]
    assert times == sorted(times, reverse=True)
    assert times[0] == frame.time_ns
    assert frame.lidar is sweeps[0]
    assert len(sweeps) <= 3 * len(log.source.lidars)
    assert frame.sweeps(0) == []
    if log.source.sequential and len(log) > 1:
        assert len(frame.sweeps(2)) == 2 * len(log.source.lidars)
    else:
        assert len(sweeps) == 1


def test_lidar_is_columns_of_one_length_in_the_sensors_frame(log):
    sweep = log[0].lidar
    assert len(sweep) > 0
    assert_columns(sweep, ("x", "y", "z", "intensity", "ring", "offset_ns"))
    assert_rigid(sweep.ego_from_sensor)
    assert sweep.origin.shape == (3,)
    assert sweep.intensity_scale > 0
    if sweep.offset_ns is not None:
        assert sweep.offset_ns.dtype.kind == "i"
    if sweep.ring is not None and sweep.row_of_ring is not None:
        assert int(sweep.ring.max()) < len(sweep.row_of_ring)
        assert sorted(sweep.row_of_ring.tolist()) == list(range(len(sweep.row_of_ring)))
    assert sweep.sensor in log.source.lidars


def test_radars_are_columns_of_one_length(log):
    for frame in (log[0], log[-1]):
        for name, cycle in frame.radars.items():
            assert cycle.sensor == name
            assert cycle.time_ns <= frame.time_ns
            names = ("vx", "vy", "vx_comp", "vy_comp", "rcs", "v_radial", "v_radial_comp", "dyn_prop", "ambig_state")
            assert_columns(cycle, (*"xyz", *names, "invalid_state", "pdh0", "scan"))
            assert (cycle.velocity_part, cycle.origin.shape) == ("radial", (3,))
            assert_rigid(cycle.ego_from_sensor)
        times = [cycle.time_ns for cycle in frame.radar_sweeps(3)]
        assert times == sorted(times, reverse=True)
    assert frame.radar is frame.radars


def test_cameras_are_pictures_with_a_lens_and_a_place(log):
    for name, picture in log[0].cameras.items():
        image = picture.decode()
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        assert picture.decode(out=np.empty_like(image)).tobytes() == image.tobytes()
        assert isinstance(picture.encoded, bytes)
        assert picture.camera == name
        assert picture.intrinsics.shape == (3, 3)
        assert picture.intrinsics[0, 0] > 0
        assert picture.intrinsics[2].tolist() == [0, 0, 1]
        assert picture.lens.model == ("none" if picture.distortion is None else picture.distortion_model)
        assert picture.size == (None if log.source.dataset in WITHOUT_SIZES else image.shape[:2])
        assert_rigid(picture.ego_from_camera)
        assert abs(picture.time_ns - log[0].time_ns) <= log.camera_tolerance_ns
    assert set(log[0].cameras) <= set(log.source.cameras)


def test_labels_are_boxes_of_seven_numbers(log):
    for frame in (log[0], log[-1]):
        labels = frame.labels
        if labels is None:
            # View-of-Delft has none in its test split
            assert log.source.dataset in WITHOUT_LABELS or log[0].labels is not None
            continue
        assert isinstance(labels, Labels)
        n = len(labels)
        assert labels.time_ns == frame.time_ns
        assert labels.boxes.shape == (n, 7)
        assert labels.boxes.dtype == np.float64
        assert np.isfinite(labels.boxes).all()
        assert (labels.boxes[:, 3:6] >= 0).all()
        assert (np.abs(labels.boxes[:, 6]) <= np.pi).all()
        assert labels.category.shape == labels.track_id.shape == (n,)
        assert labels.category.dtype.kind == labels.track_id.dtype.kind == "U"
        assert len(set(labels.track_id.tolist())) == n
        assert labels.velocity is None or labels.velocity.shape == (n, 2)
        assert labels.num_points is None or (labels.num_points.shape == (n,) and labels.num_points.dtype == np.int64)


def test_poses_are_rigid_and_end_where_the_record_ends(log):
    for frame in (log[0], log[-1]):
        assert_rigid(frame.world_from_ego)
        np.testing.assert_array_equal(frame.world_from_ego, log.world_from_ego(frame.time_ns))
    assert frame.poses is log.source.poses
    first, last = log.source.poses.span_ns
    with pytest.raises(PoseUnknown) as caught:
        log.world_from_ego(last + 1)
    assert str(caught.value) == f"no pose at {last + 1} ns: poses are recorded from {first} to {last} ns"


def test_the_map_is_shapes_a_lane_graph_and_ground(log):
    hd_map = log.map
    assert hd_map is log[0].map
    if hd_map is None:
        assert log.source.dataset in WITHOUT_MAP
        return
    assert isinstance(hd_map, HDMap)
    for layer in hd_map.layers.values():
        assert layer.kind in ("polygon", "line")
        assert layer.bounds.shape == (len(layer), 4)
        assert layer.points.shape[1:] == (3,)
    n = len(hd_map.lanes)
    assert n == len(hd_map.lanes.left_boundaries) == len(hd_map.lanes.right_boundaries)
    assert hd_map.lanes.neighbors.shape == (n, 2)
    assert hd_map.lanes.successors.size == 0 or hd_map.lanes.successors.max() < n
    here = log[0].world_from_ego[:2, 3]
    assert hd_map.ground_height(np.tile(here, (5, 1))).shape == (5,)


def test_an_unknown_sensor_lists_those_there_are(log):
    known = ", ".join(log.source.lidars)
    with pytest.raises(MissingRecord) as caught:
        log[0].sweeps(1, "LIDAR_NOWHERE")
    assert str(caught.value) == f"{log.source.location}: no sensor 'LIDAR_NOWHERE'; the log has {known}"
    with pytest.raises(KeyError, match="no camera 'CAM_NOWHERE' at this frame; there are "):
        log[0].cameras["CAM_NOWHERE"]
    with pytest.raises(LogError):
        log[0].radar_sweeps(1, "RADAR_NOWHERE")


def everything_of(frame):
    """The bytes of all that a frame has, by name."""
    pictures = {name: picture.encoded for name, picture in frame.cameras.items()}
    records = {f"lidar {s.sensor} {s.time_ns}": s for s in frame.sweeps(2)}
    records |= {f"radar {s.sensor} {s.time_ns}": s for s in frame.radar_sweeps(2)}
    records |= {f"camera {name}": picture for name, picture in frame.cameras.items()}
    records |= {"labels": frame.labels} if frame.labels is not None else {}
    arrays = {(key, k): v for key, r in records.items() for k, v in vars(r).items() if isinstance(v, np.ndarray)}
    assert not any(array.flags.writeable for array in arrays.values())
    return {key: (array.dtype, array.tobytes()) for key, array in arrays.items()} | pictures


def test_threads_read_the_same_bytes_and_each_record_once(opened):
    alone, log = opened(), opened()
    asks = [
        *(lambda frame, name=name: frame.sweeps(2, name) for name in log.source.lidars),
        *(lambda frame, name=name: frame.radar_sweeps(2, name) for name in log.source.radars),
        *(
            lambda frame, name=name: name in frame.cameras and frame.cameras[name].encoded
            for name in log.source.cameras
        ),
        lambda frame: frame.labels,
        lambda frame: frame.map,
        lambda frame: frame.world_from_ego,
    ]
    frames = list(log)
    with ThreadPoolExecutor(8) as pool:
        # the same twice, side by side
        list(pool.map(lambda job: job[1](job[0]), [(frame, ask) for frame in frames for ask in asks for _ in range(2)]))
        together = list(pool.map(everything_of, frames))
    assert together == [everything_of(frame) for frame in alone]
    assert log.reads == alone.reads | ({"map": 1})


def test_the_same_log_gives_the_same_bytes_whatever_was_asked_before(opened):
    one, other = opened(), opened()
    backwards = {i: other[i].lidar for i in reversed(range(len(other)))}
    for i in range(len(one)):
        for name in ("x", "y", "z", "intensity", "offset_ns"):
            a, b = getattr(one[i].lidar, name), getattr(backwards[i], name)
            assert (a is None and b is None) or a.tobytes() == b.tobytes()
