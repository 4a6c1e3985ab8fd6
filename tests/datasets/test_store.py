"""A log converted and read back: the same frames, whatever it was; opened from a folder, an address, a file system."""

import pickle
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log, store
from perceptum.inputs import (
    CameraImage,
    GroundGrid,
    HDMap,
    Labels,
    LaneGraph,
    LidarSweep,
    Log,
    NotALog,
    PointLabels,
    Poses,
    RadarSweep,
    Shapes,
)
from perceptum.inputs.poses import rigid
from perceptum.inputs.records import RADAR_COLUMNS

SMALL = "synthetic:frames=4,seed=2,beams=8,azimuth_steps=64,image_size=32x24"
LOGS = ["synthetic", "kitti", "argoverse2", "real_kitti", "real_argoverse2", "scenario"]
REAL = {name: pytest.mark.data for name in LOGS if name.startswith("real_") or name == "scenario"}
# where a record lies is another place; how a picture is read, another way
OTHER = ("source", "read", "ego_from_lidar")


def assert_same(a, b, where=""):
    """Equal to the last bit: types, dtypes, shapes and bytes, all the way down."""
    if isinstance(a, np.ndarray):
        assert a.shape == b.shape, where
        # numpy's text of nothing has a width that no one can see
        assert a.dtype == b.dtype or (a.dtype.kind == b.dtype.kind == "U" and a.size == 0), where
        assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes(), where
    elif isinstance(a, PointLabels):
        for one, other in zip(a.stored, b.stored, strict=True):
            assert_same(one, other, where)
    elif hasattr(a, "__dataclass_fields__"):
        assert type(a) is type(b), where
        for field in fields(a):
            if field.name not in OTHER:
                assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif hasattr(a, "keys"):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key}]")
    else:
        assert type(a) is type(b), where
        assert a == b, where


def assert_same_log(one, other):
    """Every record of every sensor, the labels of every frame, poses and map."""
    a, b = one.source, other.source
    assert (a.name, a.sequential) == (b.name, b.sequential)
    assert_same(a.times_ns, b.times_ns, "times")
    for kind in ("lidars", "radars", "cameras"):
        assert_same(dict(getattr(a, kind)), dict(getattr(b, kind)), kind)
        read = f"read_{kind.removesuffix('s')}"
        for sensor, times in getattr(a, kind).items():
            for index in range(len(times)):
                where = f"{sensor} {index}"
                first, second = getattr(a, read)(sensor, index), getattr(b, read)(sensor, index)
                assert_same(first, second, where)
                if kind == "cameras":
                    assert_same(first.encoded, second.encoded, where)
    for frame, same in zip(one, other, strict=True):
        assert_same(frame.labels, same.labels, f"labels of {frame.index}")
        assert_same(frame.world_from_ego, same.world_from_ego)
    assert_same(a.poses, b.poses, "poses")
    assert_same(one.map, other.map, "map")


@pytest.fixture
def scenario(real_data):
    return next((real_data / "argoverse2" / "forecasting_scenarios").iterdir())


@pytest.fixture(params=[pytest.param(name, marks=REAL.get(name, ())) for name in LOGS])
def path(request):
    return SMALL if request.param == "synthetic" else request.getfixturevalue(request.param)


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4", "shard_seconds": 0.15}])
def test_a_log_converted_and_read_back_gives_identical_frames(path, tmp_path, options):
    convert(path, tmp_path / "store", **options)
    assert_same_log(open_log(path), open_log(tmp_path / "store"))


def test_a_store_converts_to_the_same_store(tmp_path):
    convert(SMALL, tmp_path / "a", compression="zstd")
    convert(tmp_path / "a", tmp_path / "b")
    assert_same_log(open_log(SMALL), open_log(tmp_path / "b"))


FLOATS = st.sampled_from(["<f2", "<f4", "<f8", ">f4"])
NUMBERS = st.sampled_from(["u1", "i1", "<u2", "<i4", "<i8", "<f2", "<f4", "?", "<u8"])


@st.composite
def sweeps(draw, time_ns):
    """Any dtype, any absent column, NaN and infinity among the points, strided columns, empty clouds."""
    n = draw(st.integers(0, 20))
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def column(dtype):
        raw = rng.integers(0, 256, 2 * n * np.dtype(dtype).itemsize, dtype=np.uint8)
        values = (raw[: 2 * n] % 2).astype(bool) if dtype == "?" else raw.view(dtype)
        return values[::2]

    optional = {
        name: column(draw(NUMBERS))
        for name in ("intensity", "ring", "offset_ns", "elongation", "return_index", "image_column")
        if draw(st.booleans())
    }
    return LidarSweep(
        sensor="/lidar/../points",
        time_ns=time_ns,
        ego_from_sensor=rigid(np.eye(3), rng.normal(size=3)),
        **{axis: column(draw(FLOATS)) for axis in "xyz"},
        **optional,
        intensity_scale=draw(st.floats(0.1, 1e9)),
        compensated_to_ns=draw(st.none() | st.integers(-(2**62), 2**62)),
        row_of_ring=draw(st.none() | st.just(rng.permutation(5).astype(np.int32))),
        origin=rng.normal(size=3) * draw(st.sampled_from([1.0, 0.0, -0.0])),
    )


def native(sweep):
    """Arrow knows the machine's byte order only: the numbers stay, the order of their bytes does not."""
    columns = {f.name: getattr(sweep, f.name) for f in fields(sweep)}
    swapped = {k: v.astype(v.dtype.newbyteorder("=")) for k, v in columns.items() if isinstance(v, np.ndarray)}
    return LidarSweep(**columns | swapped)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_sweeps_come_back_to_the_last_bit(data, tmp_path):
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    made = [data.draw(sweeps(time_ns)) for time_ns in (5, 7, 30)]
    convert(memory_log(made), tmp_path / "store", shard_seconds=1.0)
    read = open_log(tmp_path / "store").source
    assert list(read.lidars) == ["/lidar/../points"]
    for index, sweep in enumerate(made):
        assert_same(native(sweep), read.read_lidar("/lidar/../points", index))


def full_log():
    """One record of each kind with every field set."""
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(size=4).astype(np.float32) for name in RADAR_COLUMNS}
    radar = RadarSweep("R", 3, np.eye(4), **columns, velocity_part="full", origin=np.array([1.0, np.nan, -0.0]))
    camera = CameraImage(
        "..", 4, np.eye(3) * 7, rigid(np.eye(3), (1, 2, 3)), lambda: b"not even a picture", rng.normal(size=5), "brown"
    )
    camera = replace(camera, size=(900, 1600))
    labels = Labels(
        3,
        rng.normal(size=(2, 7)),
        np.array(["car", "größer"]),
        np.array(["1", ""]),
        np.full((2, 2), np.nan),
        np.arange(2),
    )
    lines = Shapes.of("line", {"a": [(0, 1), (2, 3)], "b": [(4, 5, 6), (7, 8, 9)]})
    lanes = LaneGraph(
        *(lines, lines, lines),
        successors=np.array([[0, 1]]),
        neighbors=np.array([[-1, 1], [0, -1]]),
        is_intersection=np.array([True, False]),
        lane_type=np.array(["VEHICLE", "BIKE"]),
        turn=np.array(["", "uturn"]),
        has_traffic_control=np.array([False, True]),
        speed_limit_mps=np.array([np.nan, 13.5]),
    )
    ground = GroundGrid(rng.normal(size=(3, 4)).astype(np.float16), np.eye(2), np.array([1.0, 2.0]), 0.3)
    layers = {"area": Shapes.of("polygon", {"x": [(0, 0), (1, 0), (1, 1)]}), "none": Shapes.of("line", {})}
    hdmap = HDMap(layers, lanes, ground, unread=("signals/signal (2)",))
    poses = Poses(np.array([0, 9]), rng.normal(size=(2, 4)), rng.normal(size=(2, 3)), max_gap_ns=17)
    return memory_log(radars=[radar], cameras=[camera], labels=[labels], hdmap=hdmap, poses=poses, times_ns=[3, 9])


def test_every_field_of_every_record_comes_back(tmp_path):
    convert(full_log(), tmp_path / "store")
    read = open_log(tmp_path / "store")
    assert_same_log(full_log(), read)
    assert read[1].labels is None
    assert sorted(p.name for p in (tmp_path / "store").glob("*/*")) == ["%2E.", "0000.arrow", "R"]


def test_a_log_of_unrelated_frames_stays_one_and_its_road_where_it_was(kitti, tmp_path):
    convert(kitti, tmp_path / "store")
    assert open_log(tmp_path / "store").source.ground_z_m == -1.73
    assert open_log(tmp_path / "store").source.sequential is False


@pytest.fixture
def converted(tmp_path):
    convert(SMALL, tmp_path / "store")
    return tmp_path / "store"


def test_a_file_address_is_the_folder_it_names(converted, kitti):
    assert open_log(f"file://{converted}").source.location == str(converted)
    assert open_log(f"file://{kitti}").source.dataset == "kitti_object"
    with pytest.raises(NotALog, match="wanted file:///folder with three slashes"):
        open_log(f"file://nowhere{converted}")


def test_a_prefix_of_a_file_system_opens_as_the_folder_does(converted):
    from pyarrow import fs

    below = fs.SubTreeFileSystem(str(converted.parent), fs.LocalFileSystem())
    read = Log(store.open_source("store", below))
    assert_same_log(open_log(converted), read)


def test_an_address_of_another_kind_says_which_can_be_opened():
    with pytest.raises(NotALog, match=r"^ftp://b/log: no address that we can open .* wanted s3://, gs:// or file://$"):
        open_log("ftp://b/log")
    with pytest.raises(NotALog, match="kitti_object logs are read from a folder"):
        open_log("s3://b/log", format="kitti_object")


def test_a_store_reaches_another_process(converted):
    log = open_log(converted)
    assert_same_log(log, pickle.loads(pickle.dumps(log)))


def test_an_unfinished_conversion_is_no_log(converted):
    (converted / "perceptum-index.arrow").unlink()
    with pytest.raises(NotALog, match="no log of a format we know"):
        open_log(converted)
