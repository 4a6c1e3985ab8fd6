"""The store as it is read: views of the map, only the bytes that are needed, old versions, and what is broken."""

import gc
import json
import pickle
import shutil
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Labels,
    LidarSweep,
    Log,
    LogError,
    MissingRecord,
    NotALog,
    RadarSweep,
)
from perceptum.inputs.store import INDEX, Index, LocalFiles, RemoteFiles, StoreSource
from perceptum.inputs.store import columns as store_columns
from perceptum.inputs.store.arrays import arrays_of
from perceptum.inputs.store.calibration import Calibrations, CalibrationTable
from perceptum.inputs.store.records import (
    LABEL_COLUMNS,
    LABEL_OWN,
    LIDAR_COLUMNS,
    LIDAR_OWN,
    POINT_LABELS,
    RADAR_COLUMNS,
    RADAR_OWN,
    label_columns,
    labels_of,
)

VERSION_1 = Path(__file__).parent / "fixtures" / "store_v1"
"""Made by `perceptum convert --compression zstd` from two frames of a synthetic drive, seed 4. Never made again."""


def opened(folder):
    return Log(StoreSource(LocalFiles(folder)))


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(VERSION_1, tmp_path / "store"))


@pytest.fixture
def plain(tmp_path, memory_log):
    """A store without compression: two sweeps of float32 and uint8."""
    import hashlib

    from perceptum.inputs.store import LocalTarget, ShardOptions, assemble, finished_shard, plan_shards, write_shard

    rng = np.random.default_rng(0)
    sweeps = [
        LidarSweep("L", t, np.eye(4), *rng.normal(size=(3, 1000)).astype(np.float32), np.arange(1000, dtype=np.uint8))
        for t in (10, 20)
    ]
    log, target = memory_log(sweeps), LocalTarget(tmp_path / "plain")
    shards = plan_shards(log.source, 1_000)
    for shard in shards:
        write_shard(log.source, shard, target, ShardOptions(), hashlib.md5)
    parts = {shard: finished_shard(target, shard) for shard in shards}
    about = {"name": "n", "dataset": "d", "location": "l", "sequential": True}
    assemble(target, log.source, shards, parts, about, hashlib.md5, False)
    target.remove("unfinished")
    return tmp_path / "plain"


def test_version_1_still_opens():
    log = opened(VERSION_1)
    sweep = log[0].lidar
    assert (len(log), len(sweep), sweep.x.dtype, sweep.intensity_scale) == (2, 241, np.float32, 255.0)
    assert (int(sweep.intensity.sum()), int(sweep.ring.sum()), int(sweep.offset_ns.sum())) == (15329, 799, -11906250000)
    assert sweep.x.sum(dtype=np.float64) == pytest.approx(55.120425313711166, abs=1e-12)
    assert sweep.row_of_ring.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    radar = log[0].radars["RADAR_FRONT"]
    assert (len(radar), radar.v_radial.sum(dtype=np.float64)) == (111, pytest.approx(-1095.8169198334217))
    picture = log[0].cameras["CAM_FRONT"]
    assert (len(picture.encoded), picture.encoded[:3], picture.distortion_model) == (1091, b"\xff\xd8\xff", "none")
    # that came later
    assert picture.size is None
    assert (len(log[0].labels), log[0].labels.category[0], log[1].labels) == (86, "car", None)
    assert log[0].world_from_ego[:3, 3].tolist() == [500979.3082032685, 5000631.574529488, 41.36987231494722]
    assert log.map.layers["crossing"].points[0].tolist() == [500963.2298843844, 5000550.898117835, 41.83131191637149]
    assert log.source.times_ns.tolist() == [1700000000223456789, 1700000000323456789]


@pytest.mark.parametrize("later", [[], ["size"], ["velocity_part", "size"]])
def test_calibrations_written_before_a_column_came_still_open(later):
    size, read = (900, 1600), partial(bytes, 3)
    picture = CameraImage("C", 0, np.eye(3), np.eye(4), read, np.arange(8.0), "brown", size=size)
    written = Calibrations()
    rows = [
        written.of_camera(one) for one in (picture, replace(picture, size=None), picture, replace(picture, size=(9, 6)))
    ]
    assert rows == [0, 1, 0, 2]
    read_again = CalibrationTable("here", written.to_batch().drop_columns(later))
    kept = [None if "size" in later else own for own in (size, None, (9, 6))]
    assert [read_again.camera(row)["size"] for row in range(3)] == kept
    assert CameraImage("C", 0, read=read, **read_again.camera(0)).lens == picture.lens


def test_a_newer_version_says_what_to_do(copy):
    encoded = (copy / INDEX).read_bytes()
    (copy / INDEX).write_bytes(encoded.replace(b'"version": 1', b'"version": 9'))
    with pytest.raises(NotALog) as caught:
        opened(copy)
    assert str(caught.value) == (
        f"{copy}/{INDEX}: format version 9, this Perceptum reads up to 1; "
        "install a newer Perceptum, or convert again with this one"
    )


def address_range(log, path):
    whole = log.source.files.whole(path)
    return range(whole.address, whole.address + whole.size)


def test_the_columns_of_a_frame_are_read_only_views_of_the_mapped_file(plain):
    log = opened(plain)
    # what earlier tests left behind
    gc.collect()
    before = pa.total_allocated_bytes()
    sweep = log[1].lidar
    mapped = address_range(log, "lidar/L/0000.arrow")
    for name in ("x", "y", "z", "intensity"):
        column = getattr(sweep, name)
        assert column.ctypes.data in mapped
        assert column.ctypes.data + column.nbytes - 1 in mapped
        assert column.flags.aligned
        assert not column.flags.writeable
    assert pa.total_allocated_bytes() == before


def test_the_labels_and_times_are_views_too(copy):
    log = opened(VERSION_1)
    index = address_range(log, INDEX)
    assert log.source.times_ns.ctypes.data in index
    poses = log.source.poses
    assert poses.translations.ctypes.data in address_range(log, "poses.arrow")
    layer = log.map.layers["crossing"]
    assert layer.points.ctypes.data in address_range(log, "map.arrow")
    assert layer.points.flags.aligned


def test_columns_outlive_the_log_they_came_from(plain):
    x = opened(plain)[0].lidar.x
    assert np.isfinite(x).all()


def test_opening_maps_the_index_and_nothing_else(copy):
    for path in copy.rglob("*.arrow"):
        if path.name != INDEX:
            path.unlink()
    log = opened(copy)
    assert len(log) == 2
    with pytest.raises(MissingRecord) as caught:
        _ = log[0].lidar
    assert str(caught.value) == f"{copy}/calibration.arrow: cannot be opened (No such file or directory); convert again"


class Counting(fs.FileSystemHandler):
    """A file system that counts what is read of it: pyarrow's own local one behind it."""

    def __init__(self, root):
        self.inner = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())
        self.read: dict[str, int] = {}

    def open_input_file(self, path):
        import io

        inner, read = self.inner.open_input_file(path), self.read

        class Counted(io.RawIOBase):
            def readable(self):
                return True

            def seekable(self):
                return True

            def seek(self, *where):
                return inner.seek(*where)

            def tell(self):
                return inner.tell()

            def size(self):
                return inner.size()

            def read(self, n=-1):
                found = inner.read(n if n >= 0 else None)
                read[path] = read.get(path, 0) + len(found)
                return found

        return pa.PythonFile(Counted(), mode="r")

    def get_type_name(self):
        return "counting"

    def get_file_info(self, paths):
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector):
        return self.inner.get_file_info(selector)

    def normalize_path(self, path):
        return path

    def _no(self, *_):
        raise NotImplementedError

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = move = _no
    open_append_stream = open_input_stream = open_output_stream = _no


def test_only_the_ranges_that_are_needed_are_read(plain):
    counting = Counting(plain.parent)
    source = StoreSource(RemoteFiles(fs.PyFileSystem(counting), "plain", "memory://plain"))
    log = Log(source)
    index_size = (plain / INDEX).stat().st_size
    assert counting.read == {f"plain/{INDEX}": index_size}
    sweep = log[1].lidar
    stream = source.index.streams[0]
    assert counting.read == {
        f"plain/{INDEX}": index_size,
        "plain/calibration.arrow": (plain / "calibration.arrow").stat().st_size,
        "plain/lidar/L/0000.arrow": source.index.row(stream.first + 1).size,
    }
    local = opened(plain)[1].lidar
    assert all(getattr(sweep, c).tobytes() == getattr(local, c).tobytes() for c in ("x", "y", "z", "intensity"))


def test_every_field_of_a_record_is_a_column_or_accounted_for():
    """A field that is added to a record and forgotten here would be lost in a conversion."""
    assert {*(f.name for f in fields(LidarSweep)), *POINT_LABELS} == {*LIDAR_COLUMNS, *LIDAR_OWN}
    assert {f.name for f in fields(RadarSweep)} == {*RADAR_COLUMNS, *RADAR_OWN}
    assert {f.name for f in fields(Labels)} == {*LABEL_COLUMNS, *LABEL_OWN}
    assert [f.name for f in fields(LidarSweep) if "Column" not in str(f.type)] == list(LIDAR_OWN_IN_ORDER)


@pytest.mark.parametrize("areas", [None, 0, 2])
@pytest.mark.parametrize("n", [0, 3])
def test_labels_come_back_with_the_areas_of_a_picture_that_nobody_labelled(n, areas):
    """These are further rows of the stored table."""
    of_picture = np.arange(12.0).reshape(3, 4)[:n]
    labels = Labels(
        7,
        np.arange(21.0).reshape(3, 7)[:n],
        np.array(["Car", "Van", "Pedestrian"])[:n],
        np.array(["a", "b", "c"])[:n],
        np.array([[1.0, np.nan]] * n).reshape(n, 2),
        num_radar_points=np.array([4, 0, 1])[:n],
        attributes=np.array(["vehicle.parked", "", "cycle.with_rider"])[:n],
        occlusion=np.array([0, 3, 1])[:n],
        truncation=np.array([0.0, np.nan, 1.0])[:n],
        boxes_2d=of_picture,
        unlabelled_2d=None if areas is None else np.arange(8.0).reshape(2, 4)[:areas],
        forecast_role=np.array([3, 2, 1])[:n],
    )
    stored = store_columns.batch_of("labels", label_columns(labels))
    assert len(stored) == n + (areas or 0)
    again = labels_of(7, store_columns.columns_of("labels", stored, LABEL_COLUMNS))
    for field in fields(Labels):
        there, back = getattr(labels, field.name), getattr(again, field.name)
        if isinstance(there, np.ndarray):
            np.testing.assert_array_equal(there, back, field.name)
            assert there.dtype.kind == back.dtype.kind, field.name
        else:
            assert there is back or there == back, field.name


LIDAR_OWN_IN_ORDER = (
    *(
        "sensor",
        "time_ns",
        "ego_from_sensor",
        "intensity_scale",
        "compensated_to_ns",
        "row_of_ring",
        "origin",
        "source",
        "point_labels",
    ),
)


def test_a_log_pickles_to_one_that_reads_the_same(copy):
    again = pickle.loads(pickle.dumps(opened(copy)))
    assert again[0].lidar.x.tobytes() == opened(copy)[0].lidar.x.tobytes()


def test_a_shard_that_is_cut_short_is_named(copy):
    path = copy / "lidar" / "LIDAR_TOP" / "0000.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[:4000])
    log = opened(copy)
    with pytest.raises(BrokenRecord) as caught:
        _ = log[1].lidar
    offset, size = log.source.index.row(1).offset, log.source.index.row(1).size
    assert str(caught.value) == (
        f"{path}: 4000 bytes, wanted {size} from {offset} on; the file is cut short or replaced"
    )
    path.write_bytes(b"")
    with pytest.raises(BrokenRecord, match="0 bytes, wanted"):
        _ = opened(copy)[0].lidar


def test_reading_goes_on_past_a_broken_record(copy):
    path = copy / "lidar" / "LIDAR_TOP" / "0000.arrow"
    path.write_bytes(path.read_bytes()[:4600])
    log = Log(StoreSource(LocalFiles(copy)), on_error="skip")
    assert log[0].lidar is not None
    assert log[1].lidar is None
    assert len(log.skipped) == 1


def test_an_index_that_names_no_file_for_a_picture_is_refused(copy):
    records, head = head_of(copy)
    first = next(s["first"] for s in head["streams"] if s["kind"] == "camera")
    camera = next(s["sensor"] for s in head["streams"] if s["kind"] == "camera")
    files = records.column("file").to_pylist()
    for file in (-1, -7, 99):
        files[first] = file
        at = records.schema.get_field_index("file")
        changed = records.set_column(at, records.schema.field("file"), pa.array(files, pa.int32()))
        write_head(copy, changed, head)
        with pytest.raises(BrokenRecord, match=rf"camera {camera} record 0: is in file {file}, the index names "):
            _ = opened(copy).source.read_camera(camera, 0).encoded


def head_of(folder):
    records = pa.ipc.open_file(folder / INDEX).read_all()
    return records, json.loads(records.schema.metadata[b"perceptum"])


def write_head(folder, records, head):
    schema = records.schema.with_metadata({b"perceptum": json.dumps(head).encode()})
    with pa.ipc.new_file(folder / INDEX, schema) as writer:
        writer.write_table(records.cast(schema).combine_chunks())


@pytest.mark.parametrize(
    "path", ["../secret.arrow", "/etc/passwd", "lidar/../../x", "a//b", "", ".hidden", "a\\b", "a/./b"]
)
def test_no_path_of_the_index_leads_outside(copy, path):
    records, head = head_of(copy)
    lidar = next(i for i, file in enumerate(head["files"]) if file[0].startswith("lidar"))
    head["files"][lidar][0] = path
    write_head(copy, records, head)
    with pytest.raises(BrokenRecord) as caught:
        _ = opened(copy)[0].lidar
    assert str(caught.value) == f"{copy}: the index names the file {path!r}, wanted one inside the store"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda head: head["streams"][0].update(first=-1), "stream 'LIDAR_TOP' has rows -1 and 2 more"),
        (lambda head: head["streams"][0].update(count=10**9), "has rows 0 and 1000000000 more"),
        (lambda head: head["streams"][0].update(kind="sonar"), "stream 'LIDAR_TOP'"),
        (lambda head: head["streams"].pop(), "it must have one stream of frames"),
        (lambda head: head.pop("files"), "'files'"),
        (lambda head: head["about"].pop("name"), "it has no name, dataset and location"),
        (lambda head: head.update(streams=7), "not the expected index"),
        (lambda head: head.update(schemas=["AAAA"]), "not the expected index"),
        (lambda head: head["files"][0].__setitem__(1, "large"), "is described by other than path, size and checksum"),
    ],
)
def test_an_index_that_would_mislead_is_refused(copy, change, says):
    records, head = head_of(copy)
    change(head)
    write_head(copy, records, head)
    with pytest.raises(BrokenRecord, match="convert the log again") as caught:
        opened(copy)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"), [("offset", -8), ("offset", 2**62), ("size", 2**62), ("size", -1), ("offset", 3)]
)
def test_a_record_outside_its_file_is_refused_before_anything_is_allocated(copy, column, value):
    records, head = head_of(copy)
    values = records.column(column).to_pylist()
    position = records.schema.get_field_index(column)
    field = records.schema.field(column)
    write_head(copy, records.set_column(position, field, pa.array([value] * len(values), field.type)), head)
    for files in (LocalFiles(copy), RemoteFiles(fs.LocalFileSystem(), str(copy), "x")):
        with pytest.raises(BrokenRecord, match="the file is cut short or replaced"):
            StoreSource(files).read_lidar("LIDAR_TOP", 0)


def test_another_arrow_file_is_no_index(copy):
    with pa.ipc.new_file(copy / INDEX, pa.schema([("a", pa.int64())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1])], names=["a"]))
    with pytest.raises(BrokenRecord, match=r"has the columns \['a'\], wanted \['time_ns', "):
        opened(copy)
    (copy / INDEX).write_bytes(b"")
    with pytest.raises(BrokenRecord, match="not a complete index of a store"):
        opened(copy)


def read_all(folder):
    """Everything that a store holds."""
    log = opened(folder)
    for kind in ("lidar", "radar", "camera"):
        for sensor, times in getattr(log.source, f"{kind}s").items():
            for index in range(len(times)):
                record = getattr(log.source, f"read_{kind}")(sensor, index)
                _ = record.encoded if kind == "camera" else record.x.sum()
    for frame in log:
        labels = frame.labels
        _ = None if labels is None else labels.category.tolist()
    return log.source.poses, log.map


FILES = sorted(str(path.relative_to(VERSION_1)) for path in VERSION_1.rglob("*.arrow"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FILES),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 2**20),
)
def test_whatever_is_broken_is_told_as_what_it_is(copy, name, changes, cut):
    original = (VERSION_1 / name).read_bytes()
    broken = bytearray(original)
    for at, value in changes:
        broken[at % len(broken)] = value
    (copy / name).write_bytes(bytes(broken[: None if cut is None else cut % len(broken)]))
    # anything but a LogError fails the test
    with suppress(LogError):
        read_all(copy)
    (copy / name).write_bytes(original)


def test_a_damaged_column_name_is_a_broken_record_wherever_pyarrow_looks_at_it(monkeypatch):
    """Found by damaging files at random: asking a batch for its columns decodes their names."""

    class Damaged:
        @property
        def columns(self):
            return b"na\xa4e".decode()

    monkeypatch.setattr(store_columns, "_opened", lambda *_: Damaged())
    with pytest.raises(BrokenRecord, match=r"^x\.arrow: a column's name is not text"):
        store_columns.read_batch("x.arrow", b"", None)


@given(encoded=st.binary(max_size=200))
def test_an_index_of_any_bytes_is_refused(encoded):
    with pytest.raises(BrokenRecord):
        Index.from_buffer("index", pa.py_buffer(encoded))


def test_a_column_name_that_is_no_text_is_reported_as_broken():
    """Found by damaging every byte in turn: pyarrow raised UnicodeDecodeError when the name was looked at."""
    damaged = SimpleNamespace(schema=[_Unreadable()])
    with pytest.raises(BrokenRecord, match=r"^map\.arrow: not the columns of named arrays; convert again$"):
        arrays_of("map.arrow", damaged)


class _Unreadable:
    type = "string"

    @property
    def name(self):
        return b"na\x81e".decode()
