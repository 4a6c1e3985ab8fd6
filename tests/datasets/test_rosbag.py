"""ROS 1 bags and rosbag2: the same drive gives the same records, and every way to be broken."""

import io
import pickle
import sqlite3

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode
from ruamel.yaml import YAML

from perceptum.datasets import open_log
from perceptum.inputs import BrokenRecord, LogError, MissingRecord

from .made_recording import FIRST_NS, SWEEPS, Maker, drive, write_mcap, write_rosbag1, write_rosbag2

MAKERS = {1: Maker(1), 2: Maker(2)}
MESSAGE = (CompressionMode.MESSAGE, CompressionFormat.ZSTD)
FILE = (CompressionMode.FILE, CompressionFormat.ZSTD)
LIDAR = "/lidar/points"

KINDS = {
    "bag": lambda folder: write_rosbag1(folder / "drive.bag", drive(MAKERS[1]), MAKERS[1]),
    "bag_bz2": lambda folder: write_rosbag1(
        folder / "drive.bag", drive(MAKERS[1]), MAKERS[1], Writer1.CompressionFormat.BZ2
    ),
    "bag_lz4": lambda folder: write_rosbag1(
        folder / "drive.bag", drive(MAKERS[1]), MAKERS[1], Writer1.CompressionFormat.LZ4
    ),
    "sqlite": lambda folder: write_rosbag2(folder / "drive", drive(MAKERS[2])),
    "sqlite_zstd": lambda folder: write_rosbag2(folder / "drive", drive(MAKERS[2]), compress=MESSAGE),
    "mcap": lambda folder: write_rosbag2(folder / "drive", drive(MAKERS[2]), storage="mcap"),
    "db3": lambda folder: write_rosbag2(folder / "drive", drive(MAKERS[2])) / "drive.db3",
}


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def content(log):
    """All that the frames hold, as bytes."""
    found = []
    for frame in log:
        sweep, camera = frame.lidar, frame.cameras["/camera/image/compressed"]
        radar = frame.radars.get("/radar/scan")
        found += [sweep.x, sweep.intensity, sweep.ring, sweep.offset_ns, sweep.ego_from_sensor, frame.world_from_ego]
        found += [camera.intrinsics, camera.distortion, camera.ego_from_camera, np.frombuffer(camera.encoded, np.uint8)]
        found += [] if radar is None else [radar.x, radar.v_radial, radar.rcs]
    return [np.asarray(part).tobytes() for part in found]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("clock", ["header", "log"])
def test_whatever_it_lies_in_a_drive_is_the_same(tmp_path, kind, clock):
    log = open_log(KINDS[kind](tmp_path), clock=clock)
    assert log.source.dataset == "rosbag"
    assert len(log) == SWEEPS
    assert content(log) == content(open_log(write_mcap(tmp_path / "as.mcap", drive(MAKERS[2])), clock=clock))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_log_may_be_pickled_into_another_process(tmp_path, kind):
    log = open_log(KINDS[kind](tmp_path))
    assert content(pickle.loads(pickle.dumps(log))) == content(log)


def test_ros1_messages_in_an_mcap_are_read(tmp_path):
    maker = MAKERS[1]
    log = open_log(write_mcap(tmp_path / "one.mcap", drive(maker), maker))
    assert content(log) == content(open_log(KINDS["bag"](tmp_path)))


def test_a_bag_without_definitions_is_read_by_the_published_ones(tmp_path):
    folder = KINDS["sqlite"](tmp_path)
    before = content(open_log(folder))
    with sqlite3.connect(folder / "drive.db3") as database:
        database.execute("DROP TABLE message_definitions")
    database.close()
    assert content(open_log(folder)) == before


def metadata(folder, change):
    path = folder / "metadata.yaml"
    yaml = YAML(typ="safe", pure=True)
    inner = yaml.load(path.read_text())
    change(inner["rosbag2_bagfile_information"])
    text = io.StringIO()
    yaml.dump(inner, text)
    path.write_text(text.getvalue())


def test_a_recording_in_several_files_is_one_log(tmp_path):
    rows = drive(MAKERS[2])
    whole = content(open_log(write_rosbag2(tmp_path / "whole", rows)))
    first = write_rosbag2(tmp_path / "first", rows[:60])
    second = write_rosbag2(tmp_path / "second", rows[60:])
    (second / "second.db3").rename(first / "second.db3")
    metadata(first, lambda m: m.update(relative_file_paths=["first.db3", "second.db3"]))
    assert content(open_log(first)) == whole


def test_a_path_in_the_metadata_does_not_leave_the_folder(tmp_path):
    folder = KINDS["sqlite"](tmp_path)
    (tmp_path / "outside.db3").write_bytes((folder / "drive.db3").read_bytes())
    metadata(folder, lambda m: m.update(relative_file_paths=["../outside.db3"]))
    assert said(lambda: open_log(folder), MissingRecord).startswith(
        f"{folder}/outside.db3: no such file; beside it is drive.db3, which metadata.yaml does not name; "
    )


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"relative_file_paths": []}, "relative_file_paths is [], wanted a list of file names"),
        ({"relative_file_paths": [3]}, "relative_file_paths is [3], wanted a list of file names"),
        ({"storage_identifier": "leveldb"}, "storage_identifier is 'leveldb', wanted sqlite3 or mcap"),
        (
            {"compression_mode": "MESSAGE", "compression_format": "lz4"},
            "compression message by 'lz4', wanted none, or ",
        ),
    ],
)
def test_metadata_that_does_not_say_is_refused(tmp_path, change, wanted):
    folder = KINDS["sqlite"](tmp_path)
    metadata(folder, lambda m: m.update(change))
    assert said(lambda: open_log(folder)).startswith(f"{folder}/metadata.yaml: {wanted}")


def test_files_compressed_as_a_whole_are_told_politely(tmp_path):
    folder = write_rosbag2(tmp_path / "drive", drive(MAKERS[2]), compress=FILE)
    assert said(lambda: open_log(folder)) == (
        f"{folder}/metadata.yaml: its files are compressed as a whole; unpack them with `ros2 bag convert`"
    )


@pytest.mark.parametrize(
    "text", ["", "[1, 2", "a: [", "- 1", "rosbag2_bagfile_information: 3", "!!python/object:os.x {}"]
)
def test_metadata_that_is_none_is_refused(tmp_path, text):
    folder = KINDS["sqlite"](tmp_path)
    (folder / "metadata.yaml").write_text(text)
    assert said(lambda: open_log(folder)).startswith(f"{folder}/metadata.yaml: ")


def test_a_bag_that_is_none_or_is_cut_is_refused(tmp_path):
    path = tmp_path / "a.bag"
    path.write_bytes(b"#ROSBAG V1.2\n")
    assert said(lambda: open_log(path)) == (
        f"{path}: starts with b'#ROSBAG V1.2\\n', wanted b'#ROSBAG V2.0\\n'; it is not a ROS 1 bag of 2.0"
    )
    data = KINDS["bag"](tmp_path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "not a complete ROS 1 bag (" in said(lambda: open_log(path))


def test_a_database_that_is_none_is_refused(tmp_path):
    folder = KINDS["sqlite"](tmp_path)
    (folder / "drive.db3").write_bytes(b"SQLite format 3\0" + bytes(100))
    assert said(lambda: open_log(folder)).startswith(f"{folder}/drive.db3: not a complete rosbag2 database (")
    (folder / "drive.db3").write_bytes(b"")
    assert said(lambda: open_log(folder)) == (
        f"{folder}/drive.db3: not a complete rosbag2 database (no such table: topics)"
    )


@pytest.mark.parametrize("text", ["X'2fbd62'", "'/a' || char(10) || 'b'", "X''"])
def test_a_database_whose_texts_are_none_is_refused_in_one_line(tmp_path, text):
    path = KINDS["db3"](tmp_path)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE topics SET name = CAST({text} AS TEXT), type = CAST({text} AS TEXT)")
        database.execute("DROP TABLE IF EXISTS message_definitions")
    database.close()
    said(lambda: open_log(path), LogError)


def test_a_row_without_nanoseconds_is_refused(tmp_path):
    folder = KINDS["sqlite"](tmp_path)
    with sqlite3.connect(folder / "drive.db3") as database:
        database.execute("UPDATE messages SET timestamp = 'noon' WHERE id = 60")
    database.close()
    text = said(lambda: open_log(folder).source.poses)
    assert text == f"{folder}/drive.db3: row 60 has the timestamp 'noon', wanted nanoseconds"


def test_reading_a_database_writes_nothing_beside_it(tmp_path):
    folder = KINDS["sqlite"](tmp_path)
    before = sorted(path.name for path in folder.iterdir())
    content(open_log(folder))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_of_anything_else_is_no_bag(tmp_path):
    (tmp_path / "metadata.yaml").write_text("a: 1")
    with pytest.raises(LogError, match="no log of a format we know"):
        open_log(tmp_path)


def test_a_time_beyond_int64_is_refused(tmp_path):
    maker = MAKERS[2]
    rows = [(LIDAR, 2**64 - 1, next(m for t, _, m in drive(maker) if t == LIDAR))]
    path = write_mcap(tmp_path / "a.mcap", rows)
    text = said(lambda: open_log(path, clock="log"), LogError)
    assert text == f"{path}: {LIDAR} has the log time {2**64 - 1} ns, which does not fit int64"
    assert open_log(path).source.times_ns.tolist() == [FIRST_NS]


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Kind -> the bytes of a whole file of it."""
    kinds = ("bag", "bag_bz2", "bag_lz4", "db3")
    return {kind: KINDS[kind](tmp_path_factory.mktemp(kind)).read_bytes() for kind in kinds}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["bag", "bag_bz2", "bag_lz4", "db3"]), st.data())
def test_damage_anywhere_is_an_error_or_harmless(said_of, tmp_path, bags, kind, data):
    encoded = bytearray(bags[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bags[kind]) - 1))
        encoded[at : at + data.draw(st.integers(1, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path / f"a.{'db3' if kind == 'db3' else 'bag'}"
    path.write_bytes(encoded)

    def read():
        log = open_log(path)
        _ = [frame.lidar for frame in log], log.source.poses

    said_of(read)
