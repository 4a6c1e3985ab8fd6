"""What users met in recordings, in every container: no index, committed data beside the file, several types, ..."""

import gc
import os
import shutil
import socket
import sqlite3
import stat
import struct
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from mcap.records import Message
from mcap.writer import CompressionType, IndexType
from rosbags.rosbag1 import Reader as Reader1

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.datasets.ros.frames import Edges
from perceptum.datasets.ros.mcap_file import McapFile
from perceptum.datasets.ros.recording import Topic
from perceptum.datasets.ros.rosbag_ros1 import Ros1Bag
from perceptum.datasets.ros.rosbag_sqlite import SqliteBag
from perceptum.datasets.ros.types import add_topic
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, NotALog, PoseUnknown, encode_jpeg

from .made_recording import (
    CONTAINERS,
    FIRST_NS,
    STEP_NS,
    SWEEPS,
    Maker,
    drive,
    ouster_points,
    picture,
    write_as,
    write_mcap,
    write_rosbag1,
    write_rosbag2,
)

LIDAR = "/lidar/points"
every_container = pytest.mark.parametrize("container", CONTAINERS)


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def quiet(ask):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ask()


def clouds(maker, count=3, topic=LIDAR, stamp=lambda t: t, frame="lidar"):
    return [
        (topic, FIRST_NS + i * STEP_NS, maker.cloud(stamp(FIRST_NS + i * STEP_NS), ouster_points(i), frame=frame))
        for i in range(count)
    ]


def mount(maker, child="lidar"):
    return ("/tf_static", FIRST_NS, maker.tf(maker.transform(FIRST_NS, "base_link", child, (1, 0, 1.5))))


def content(log):
    return [frame.lidar.x.tobytes() + frame.world_from_ego.tobytes() for frame in log]


# E: an optional index, count or summary that is missing is not 0


def without(part):
    """What takes a part out of an MCAP writer's summary."""

    def finishing(writer):
        if part == "chunk of the index":
            writer._Writer__finalize_chunk()
            writer._Writer__chunk_indices.pop(1)
        if part == "counts":
            writer._Writer__statistics.channel_message_counts.clear()
        if part == "a count":
            writer._Writer__statistics.channel_message_counts.pop(max(writer._Writer__channels))
        if part == "count of all":
            writer._Writer__statistics.channel_message_counts.clear()
            writer._Writer__statistics.message_count = 0
        if part == "message indexes of the index":
            writer._Writer__finalize_chunk()
            for index in writer._Writer__chunk_indices:
                index.message_index_offsets.clear()
                index.message_index_length = 0

    return finishing


LACKING = {
    "statistics": {"use_statistics": False},
    "summary offsets": {"use_summary_offsets": False},
    "channels": {"repeat_channels": False},
    "schemas": {"repeat_schemas": False},
    "message index": {"index_types": IndexType.ALL & ~IndexType.MESSAGE},
    "message index and statistics": {"index_types": IndexType.ALL & ~IndexType.MESSAGE, "use_statistics": False},
    "chunk index": {"index_types": IndexType.ALL & ~IndexType.CHUNK},
    "chunk index and statistics": {"index_types": IndexType.ALL & ~IndexType.CHUNK, "use_statistics": False},
    "all indexes": {"index_types": IndexType.NONE},
    **{
        part: {"finishing": without(part)}
        for part in ("chunk of the index", "counts", "a count", "count of all", "message indexes of the index")
    },
}


@pytest.mark.parametrize("lacking", list(LACKING))
@pytest.mark.parametrize("clock", ["header", "log"])
def test_an_mcap_without_an_optional_part_holds_the_same(tmp_path, lacking, clock):
    rows = drive(Maker())
    whole = open_log(write_mcap(tmp_path / "whole.mcap", rows), clock=clock)
    other = write_mcap(tmp_path / "other.mcap", rows, **LACKING[lacking])
    log = quiet(lambda: open_log(other, clock=clock))
    assert content(log) == content(whole)
    counts = {name: topic.count for name, topic in quiet(lambda: McapFile(other)).topics.items()}
    assert counts == {name: topic.count for name, topic in McapFile(tmp_path / "whole.mcap").topics.items()}
    assert counts[LIDAR] == SWEEPS


def test_a_chunk_that_the_index_leaves_out_is_read_and_reported(tmp_path):
    path = write_mcap(tmp_path / "a.mcap", drive(Maker()), finishing=without("chunk of the index"))
    with pytest.warns(UserWarning, match=r"a\.mcap: its index leaves out 1 chunks and 0 messages; read too"):
        open_log(path)


def test_messages_beside_indexed_chunks_are_read_and_reported(tmp_path):
    maker = Maker()
    path = write_mcap(tmp_path / "a.mcap", clouds(maker))
    data = path.read_bytes()
    message = maker.cloud(FIRST_NS + 9 * STEP_NS, ouster_points(9))
    loose = message_record(Message(1, FIRST_NS + 9 * STEP_NS, maker.encode(message), 0, 0))
    footer = len(data) - 8 - 20
    start, offsets, _ = struct.unpack_from("<QQI", data, footer)
    end = start - 13
    path.write_bytes(
        data[:end]
        + loose
        + data[end:footer]
        + struct.pack("<QQI", start + len(loose), offsets + len(loose), 0)
        + data[-8:]
    )
    with pytest.warns(UserWarning, match="its index leaves out 0 chunks and 1 messages"):
        log = open_log(path, empty_returns="keep")
    assert len(log) == 4
    np.testing.assert_array_equal(log[3].lidar.x, ouster_points(9)["x"])


def message_record(message):
    from mcap.data_stream import RecordBuilder

    builder = RecordBuilder()
    message.write(builder)
    return builder.end()


def unfinished(data, cut=None):
    """A bag as a recorder leaves it that is killed: the head says nothing yet, what follows the data is missing."""
    data = bytearray(data[:cut])
    for name, width in ((b"index_pos=", 8), (b"conn_count=", 4), (b"chunk_count=", 4)):
        at = data.index(name) + len(name)
        data[at : at + width] = bytes(width)
    return bytes(data)


def end_of_chunks(path):
    with Reader1(path) as reader:
        last = max(reader.chunks.values(), key=lambda chunk: chunk.datapos)
        return last.datapos + last.datasize


@pytest.mark.parametrize("compression", ["none", "bz2", "lz4"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_ros1_bag_without_an_index_is_read_once(tmp_path, compression, cut):
    from rosbags.rosbag1 import Writer as Writer1

    maker, forms = Maker(1), Writer1.CompressionFormat
    path = tmp_path / "whole.bag"
    write_rosbag1(path, drive(maker), maker, {"none": None, "bz2": forms.BZ2, "lz4": forms.LZ4}[compression])
    # a recorder that was killed leaves this name
    active = tmp_path / "drive.bag.active"
    active.write_bytes(unfinished(path.read_bytes(), end_of_chunks(path) if cut else None))
    with pytest.warns(UserWarning, match=r"drive\.bag\.active: has no index; reading it once from start to end"):
        log = open_log(active)
    assert content(log) == content(open_log(path))
    by_log = [open_log(place, clock="log").source.times_ns.tolist() for place in (path, active)]
    assert by_log[0] == by_log[1]


def test_a_ros1_bag_that_counts_no_chunks_is_read_once(tmp_path):
    path = write_as("bag", tmp_path, drive)
    whole, data = content(open_log(path)), bytearray(path.read_bytes())
    at = data.index(b"chunk_count=") + 12
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="has no index"):
        assert content(open_log(path)) == whole


@pytest.mark.parametrize("lost", [1, 700, 9000, 12345])
def test_a_ros1_bag_that_was_cut_within_its_last_chunk_says_so_and_what_is_whole_can_be_read(tmp_path, lost):
    path = write_as("bag", tmp_path, drive)
    whole, end = content(open_log(path)), end_of_chunks(path)
    data = unfinished(path.read_bytes(), end)
    with Reader1(path) as reader:
        last = max(reader.chunks)
        begin = max(reader.chunks.values(), key=lambda chunk: chunk.datapos).datapos
    # the head of a chunk is written again when it is closed: until then it says 0 bytes
    head = data[last:begin].replace(struct.pack("<I", end - begin), bytes(4))
    path.write_bytes(data[:last] + head + data[begin : end - lost])
    text = said(lambda: quiet(lambda: open_log(path)))
    assert f"{path}: the record at byte " in text
    assert text.endswith("repair it with `rosbag reindex`, or read what is intact with damaged='skip'")
    with pytest.warns(UserWarning, match="left out: .* is cut short, or is not one"):
        log = open_log(path, damaged="skip")
    assert content(log) == whole[: len(log)]
    assert len(log) == (SWEEPS if lost < 9000 else SWEEPS - 1 if lost == 9000 else SWEEPS - 2)


def test_a_ros1_bag_with_a_damaged_index_is_walked_where_that_is_wanted(tmp_path):
    path = write_as("bag", tmp_path, drive)
    whole, data = content(open_log(path)), bytearray(path.read_bytes())
    data[end_of_chunks(path) + 20 : -10] = bytes(len(data) - end_of_chunks(path) - 30)
    path.write_bytes(data)
    assert "not a complete ROS 1 bag" in said(lambda: open_log(path))
    assert content(quiet(lambda: open_log(path, damaged="skip"))) == whole


def edit_metadata(folder, *changes):
    path = folder / "metadata.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.mark.parametrize("container", ["sqlite", "rosbag2_mcap"])
def test_what_a_rosbag2s_metadata_counts_is_not_believed(tmp_path, container):
    folder = write_as(container, tmp_path, drive)
    whole = content(open_log(folder))
    edit_metadata(folder, (f"message_count: {SWEEPS}", "message_count: 0"))
    assert content(open_log(folder)) == whole


@pytest.mark.parametrize("container", ["sqlite", "rosbag2_mcap"])
def test_a_file_that_a_rosbag2s_metadata_does_not_name_is_reported(tmp_path, container):
    folder = write_as(container, tmp_path, drive)
    (file,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    shutil.copy(file, folder / f"later{file.suffix}")
    with pytest.warns(UserWarning, match=f"later{file.suffix} not read, since metadata.yaml does not name it"):
        open_log(folder)


def test_messages_packed_one_by_one_are_read_without_the_metadata_that_says_so(tmp_path):
    from rosbags.rosbag2 import CompressionFormat, CompressionMode

    folder = write_rosbag2(
        tmp_path / "made", drive(Maker()), compress=(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    )
    assert content(open_log(folder / "made.db3")) == content(open_log(folder))


def test_messages_of_a_topic_that_a_database_does_not_list_are_reported(tmp_path):
    path = write_as("sqlite", tmp_path, drive) / "made.db3"
    with sqlite3.connect(path) as changed:
        changed.execute("delete from topics where name = '/radar/scan'")
    changed.close()
    with pytest.warns(UserWarning, match=rf"left out: {SWEEPS} messages of 1 topics that it does not list"):
        open_log(path)


# F: what was committed beside the file


def database(path, journal):
    connection = sqlite3.connect(path)
    connection.executescript(
        f"""pragma journal_mode={journal}; pragma wal_autocheckpoint=0; pragma cache_size=5;
        create table topics(id integer primary key, name text not null, type text not null,
                            serialization_format text not null, offered_qos_profiles text not null);
        create table messages(id integer primary key, topic_id integer not null, timestamp integer not null,
                              data blob not null);
        insert into topics values (1, '{LIDAR}', 'sensor_msgs/msg/PointCloud2', 'cdr', '');"""
    )
    return connection


def insert(connection, i):
    maker = Maker()
    time_ns = FIRST_NS + i * STEP_NS
    row = (time_ns, maker.encode(maker.cloud(time_ns, ouster_points(i))))
    connection.execute("insert into messages(topic_id, timestamp, data) values (1, ?, ?)", row)


def state(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir())}


@pytest.fixture
def left_with_log(tmp_path):
    """A database whose last three messages are in its write-ahead log, as the disk had it when the recorder died."""
    live = database(tmp_path / "live.db3", "wal")
    insert(live, 0)
    live.commit()
    live.execute("pragma wal_checkpoint(truncate)")
    for i in (1, 2, 3):
        insert(live, i)
        live.commit()
    # one that was not committed
    insert(live, 4)
    folder = tmp_path / "rec"
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db3{suffix}", folder / f"rec_0.db3{suffix}")
    live.close()
    return folder / "rec_0.db3"


def test_a_recorder_keeps_what_it_is_about_to_commit(tmp_path):
    """Its log holds no committed message yet: SQLite would take that for a log that is done with, and delete it."""
    live = database(tmp_path / "live.db3", "wal")
    insert(live, 0)
    live.commit()
    live.execute("pragma wal_checkpoint(truncate)")
    for i in (1, 2, 3):
        insert(live, i)
    beside = (tmp_path / "live.db3-wal").stat()
    assert beside.st_size > 0, "the cache is small, so that what is not committed is in the log"
    log = open_log(tmp_path / "live.db3")
    assert len(log) == 1
    del log
    gc.collect()
    assert (tmp_path / "live.db3-wal").stat().st_ino == beside.st_ino
    live.commit()
    assert len(open_log(tmp_path / "live.db3")) == 4
    live.close()


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("closed", [False, True])
def test_what_is_in_the_write_ahead_log_is_read_and_nothing_is_written(left_with_log, index, closed):
    folder = left_with_log.parent
    if index:
        (folder / "rec_0.db3-shm").write_bytes(bytes(32768))
    if closed:
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
    before = state(folder)
    log = open_log(left_with_log, empty_returns="keep")
    assert len(log) == 4
    for i, frame in enumerate(log):
        np.testing.assert_array_equal(frame.lidar.x, ouster_points(i)["x"])
    # the same in the threads of a builder
    found = []
    threads = [threading.Thread(target=lambda: found.append(log.source.read_lidar(LIDAR, 3).x)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((x == ouster_points(3)["x"]).all() for x in found)
    assert len(found) == 4
    assert state(folder) == before
    folder.chmod(0o755)


def test_a_log_that_is_read_from_a_write_ahead_log_may_be_pickled_and_forked(left_with_log):
    import pickle

    log = open_log(left_with_log)
    before = content(log)
    assert content(pickle.loads(pickle.dumps(log))) == before
    process = os.fork()
    if process == 0:
        os._exit(0 if content(open_log(left_with_log)) == content(log) == before else 1)
    assert os.waitpid(process, 0)[1] == 0


def test_a_write_ahead_log_of_another_database_changes_nothing(said_of, left_with_log, tmp_path):
    other = database(tmp_path / "other.db3", "delete")
    insert(other, 7)
    other.commit()
    other.close()
    shutil.copy(f"{left_with_log}-wal", tmp_path / "other.db3-wal")
    before = state(tmp_path / "rec")
    # its pages would be those of a whole other file: by SQLite's own rules it may be read or refused, never written
    said_of(lambda: open_log(tmp_path / "other.db3"))
    assert (tmp_path / "other.db3-wal").exists()
    assert state(tmp_path / "rec") == before


@pytest.mark.parametrize("closed", [False, True])
def test_a_transaction_that_was_cut_off_is_taken_back_in_a_copy(tmp_path, closed):
    live = database(tmp_path / "live.db3", "delete")
    for i in range(2):
        insert(live, i)
        live.commit()
    # with a small cache the pages of the open transaction are in the file already
    live.execute("update messages set data = zeroblob(length(data))")
    for i in range(2, 40):
        insert(live, i)
    folder = tmp_path / "rec"
    folder.mkdir()
    for suffix in ("", "-journal"):
        shutil.copy(tmp_path / f"live.db3{suffix}", folder / f"rec_0.db3{suffix}")
    live.close()
    if closed:
        folder.chmod(0o555)
    before = state(folder)
    path = folder / "rec_0.db3"
    with pytest.warns(UserWarning, match=r"rec_0\.db3: was cut off within a transaction, which is in rec_0\.db3-jour"):
        log = open_log(path, empty_returns="keep")
    assert [len(log), *log[1].lidar.x] == [2, *ouster_points(1)["x"]]
    copy = log.source._recording._file._rolled_back
    assert copy.exists()
    assert copy.parent != folder
    assert state(folder) == before
    del log
    gc.collect()
    assert not copy.parent.exists()
    folder.chmod(0o755)


def test_a_journal_that_is_done_with_is_left_alone(tmp_path):
    path = tmp_path / "rec.db3"
    made = database(path, "persist")
    insert(made, 0)
    made.commit()
    made.close()
    assert (tmp_path / "rec.db3-journal").stat().st_size > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_log(path)) == 1


# G: recordings without their metadata


@pytest.mark.parametrize("container", ["sqlite", "rosbag2_mcap"])
def test_a_rosbag2_without_metadata_opens_and_says_so(tmp_path, container):
    folder = write_as(container, tmp_path, drive)
    whole = content(open_log(folder))
    (folder / "metadata.yaml").unlink()
    with pytest.warns(UserWarning, match=r"made: has no metadata\.yaml; reading by name: made\.(db3|mcap)"):
        log = open_log(folder)
    assert log.source.dataset == "rosbag"
    assert content(log) == whole


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_folder_with_one_recording_opens(tmp_path, container):
    path = write_as(container, tmp_path, drive)
    file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix != ".yaml")
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "notes.txt").write_text("rain")
    shutil.copy(file, folder)
    assert content(quiet(lambda: open_log(folder))) == content(open_log(path))


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_parts_of_a_recording_in_a_folder_are_one_log(tmp_path, container):
    whole = content(open_log(write_as(container, tmp_path, drive)))
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, rows in enumerate((slice(45), slice(45, 70), slice(70, None))):
        place = tmp_path / str(number)
        place.mkdir()
        path = write_as(container, place, lambda maker, rows=rows: drive(maker)[rows])
        file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix != ".yaml")
        # rosbag puts the time into the name of each part
        stamp = f"_2024-05-01-10-0{number}-00" if container == "bag" else ""
        shutil.copy(file, folder / f"drive{stamp}_{number}{file.suffix}")
    log = quiet(lambda: open_log(folder))
    assert content(log) == whole
    import pickle

    assert content(pickle.loads(pickle.dumps(log))) == whole
    next(folder.glob("*_1.*")).unlink()
    assert said(lambda: open_log(folder), LogError).startswith(f"{folder}: part 1 of the recording is missing beside ")


def test_several_recordings_in_a_folder_are_named(tmp_path):
    folder = tmp_path / "drives"
    folder.mkdir()
    rows = drive(Maker())
    write_mcap(folder / "monday.mcap", rows)
    write_mcap(folder / "tuesday.mcap", rows)
    assert said(lambda: open_log(folder), NotALog) == (
        f"{folder}: holds 2 recordings, monday.mcap, tuesday.mcap; open one of them, e.g. {folder}/monday.mcap"
    )


def test_a_folder_above_recordings_names_those_that_open(tmp_path):
    folder = tmp_path / "drives" / "monday"
    folder.mkdir(parents=True)
    write_mcap(folder / "a.mcap", drive(Maker()))
    assert said(lambda: open_log(tmp_path / "drives"), NotALog) == (
        f"{tmp_path}/drives: is not a log itself but holds monday (rosbag); open one of them, e.g. {folder}"
    )


def test_packed_files_in_a_folder_are_named(tmp_path):
    (tmp_path / "rec_0.db3.zstd").write_bytes(b"")
    assert said(lambda: open_log(tmp_path), NotALog) == (
        f"{tmp_path}: holds only packed files, e.g. rec_0.db3.zstd; unpack them with `zstd -d`"
    )


def test_metadata_that_was_never_written_names_what_opens(tmp_path):
    folder = write_as("sqlite", tmp_path, drive)
    (folder / "metadata.yaml").write_text("")
    assert said(lambda: open_log(folder)).endswith(
        f"write it again with `ros2 bag reindex {folder}`, or open {folder}/made.db3 itself"
    )
    assert len(open_log(folder / "made.db3")) == SWEEPS


# H: several types on one topic

OLD_TF = "tf/msg/tfMessage"


@every_container
def test_types_with_the_same_fields_are_one(tmp_path, container):
    def rows(maker):
        ahead = maker.transform(FIRST_NS + STEP_NS, "odom", "base_link", (1, 0, 0))
        return [
            ("/tf", FIRST_NS, maker.tf(maker.transform(FIRST_NS, "odom", "base_link"))),
            ("/tf", FIRST_NS + STEP_NS, maker.tf(ahead, kind=OLD_TF)),
            mount(maker),
            *clouds(maker, 2),
        ]

    log = open_log(write_as(container, tmp_path, rows))
    assert log[1].world_from_ego[:3, 3].tolist() == [1, 0, 0]
    assert log[1].lidar.ego_from_sensor[:3, 3].tolist() == [1, 0, 1.5]


@every_container
def test_other_types_on_a_topic_that_is_not_read_do_not_matter(tmp_path, container):
    def rows(maker):
        return [*clouds(maker), ("/chat", FIRST_NS, maker.text()), ("/chat", FIRST_NS + 1, maker.tf())]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_log(write_as(container, tmp_path, rows))) == 3


@every_container
def test_other_types_on_a_topic_that_is_read_leave_it_out(tmp_path, container):
    def rows(maker):
        other = ("/other/points", FIRST_NS, maker.text())
        return [*clouds(maker), *clouds(maker, topic="/other/points"), other]

    path = write_as(container, tmp_path, rows)
    text = said(lambda: open_log(path))
    assert "topic /other/points has messages of s" in text
    for kind in ("sensor_msgs/msg/PointCloud2", "std_msgs/msg/String"):
        assert kind in text
    log = open_log(path, on_error="skip")
    assert (len(log), list(log.source.lidars), log.skipped) == (3, [LIDAR], [text])
    assert len(open_log(path, lidar_topics=[LIDAR])) == 3


@every_container
def test_a_topic_of_transforms_with_other_types_fails_only_the_chains_that_need_it(tmp_path, container):
    def rows(maker):
        wheels = maker.tf(maker.transform(FIRST_NS, "base_link", "wheel"))
        apart = maker.cloud(FIRST_NS, ouster_points(0), frame="wheel")
        return [
            mount(maker),
            *clouds(maker),
            ("/wheels", FIRST_NS, wheels),
            ("/wheels", FIRST_NS + 1, maker.text()),
            ("/wheel/points", FIRST_NS, apart),
        ]

    log = open_log(write_as(container, tmp_path, rows))
    with pytest.warns(UserWarning, match="left out: .*topic /wheels has messages of "):
        assert log[0].lidar is not None
    text = said(lambda: log[0].sweeps(1, "/wheel/points"), MissingRecord)
    assert "no transform from 'wheel' to 'base_link'; the frames are base_link, lidar; left out: " in text


CLOUD = "sensor_msgs/msg/PointCloud2"


def test_two_definitions_of_a_type_are_one_where_their_fields_are():
    text = Maker().store.generate_msgdef(CLOUD, ros_version=2)[0]

    def found(*definitions):
        topics = {}
        for definition in definitions:
            add_topic(topics, Topic("/t", CLOUD, "cdr", 1, definition, "ros2msg"), "here")
        return topics["/t"]

    assert (found(text, text + "# more\n").conflict, found(text, "").conflict) == ("", "")
    changed = text.replace("uint32 point_step", "uint64 point_step")
    assert found(text, changed).conflict == f"here: topic /t has messages of two definitions of {CLOUD}, wanted one"
    assert found(text, text, text).count == 3


def test_a_definition_that_grows_without_bounds_takes_no_time():
    parts = [f"MSG: a/T{i}\na/T{i + 1} x\na/T{i + 1} y\n" for i in range(60)]
    text = ("=" * 80 + "\n").join(["a/T0 x\na/T0 y\n", *parts, "MSG: a/T60\nint8 x\n"])
    topics = {}
    add_topic(topics, Topic("/t", "a/msg/B", "cdr", 1, text, "ros2msg"), "here")
    add_topic(topics, Topic("/t", "a/msg/C", "cdr", 1, text + "# c\n", "ros2msg"), "here")
    assert topics["/t"].conflict == ""


def test_encodings_of_one_type_are_a_conflict_too():
    topics = {}
    for encoding in ("cdr", "ros1"):
        add_topic(topics, Topic("/t", CLOUD, encoding, 1), "here")
    assert topics["/t"].conflict == f"here: topic /t has messages of {CLOUD} as cdr and of {CLOUD} as ros1, wanted one"


# J: one transform that cannot be used

NAN = float("nan")
UNUSABLE = {
    "nan": [("base_link", "wheel", (NAN, NAN, NAN), (NAN, NAN, NAN, NAN))],
    "zero quaternion": [("base_link", "wheel", (0, 0, 0), (0, 0, 0, 0))],
    "itself": [("wheel", "wheel")],
    "two parents": [("base_link", "wheel"), ("lidar", "wheel")],
    "no parent": [("", "wheel")],
    "no child": [("base_link", "")],
    "only slashes": [("/", "wheel")],
    "ring": [("wheel", "hub"), ("hub", "wheel")],
}


@every_container
@pytest.mark.parametrize("wrong", list(UNUSABLE))
def test_an_unusable_transform_fails_only_the_chains_that_need_it(tmp_path, container, wrong):
    def rows(maker):
        wheel = [maker.transform(FIRST_NS, *edge) for edge in UNUSABLE[wrong]]
        apart = [("/wheel/points", t, m) for _, t, m in clouds(maker, 1, frame="wheel")]
        return [
            mount(maker),
            ("/tf", FIRST_NS, maker.tf(*wheel)),
            *moving(maker),
            *clouds(maker),
            *apart,
        ]

    log = open_log(write_as(container, tmp_path, rows), lidar_topics=[LIDAR, "/wheel/points"])
    with pytest.warns(UserWarning, match="left out: "):
        assert log[1].lidar.ego_from_sensor[:3, 3].tolist() == [1, 0, 1.5]
    assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1, 2]
    text = said(lambda: log[0].sweeps(1, "/wheel/points"), LogError)
    assert "wheel" in text
    skipping = open_log(log.source.location, lidar_topics=[LIDAR, "/wheel/points"], on_error="skip")
    assert [len(quiet(frame.sweeps)) for frame in skipping] == [1, 1, 1]
    assert len(skipping.skipped) == 1


def moving(maker, child="base_link", stamp=lambda t: t, step_m=1):
    return [
        (
            "/tf",
            FIRST_NS + i * STEP_NS,
            maker.tf(maker.transform(stamp(FIRST_NS + i * STEP_NS), "odom", child, (i * step_m, 0, 0))),
        )
        for i in range(4)
    ]


@every_container
def test_one_bad_transform_among_good_ones_is_left_out_and_reported(tmp_path, container):
    def rows(maker):
        bad = maker.tf(maker.transform(FIRST_NS + STEP_NS // 2, "odom", "base_link", (NAN, 0, 0)))
        return [mount(maker), *moving(maker), ("/tf", FIRST_NS + STEP_NS // 2, bad), *clouds(maker)]

    log = open_log(write_as(container, tmp_path, rows))
    with pytest.warns(UserWarning, match="left out: .*the transform of 'base_link' in 'odom' at .* is .*nan"):
        assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1, 2]
    # between those around it no pose is known, as in other datasets
    assert "the transform of 'base_link' in 'odom'" in said(lambda: log.world_from_ego(FIRST_NS + 9), PoseUnknown)
    assert log.world_from_ego(FIRST_NS + STEP_NS + STEP_NS // 2)[0, 3] == 1.5
    assert len(log.skipped) == 1


def test_a_world_above_an_unusable_transform_is_not_another_in_silence(tmp_path):
    def rows(maker):
        above = maker.tf(maker.transform(FIRST_NS, "map", "odom", (NAN, 0, 0)))
        return [mount(maker), ("/tf", FIRST_NS, above), *moving(maker), *clouds(maker)]

    path = write_as("mcap", tmp_path, rows)
    log = open_log(path)
    text = said(lambda: quiet(lambda: log[1].world_from_ego))
    assert text.endswith("finite metres; for poses in a frame below it say world_frame='odom'")
    assert quiet(lambda: open_log(path, world_frame="odom")[1].world_from_ego[0, 3]) == 1


@every_container
def test_a_message_of_transforms_that_is_cut_is_left_out_and_reported(tmp_path, container):
    def rows(maker):
        cut = maker.encode(maker.tf(maker.transform(FIRST_NS, "base_link", "wheel")))[:40]
        return [mount(maker), *moving(maker), ("/tf", FIRST_NS, ("tf2_msgs/msg/TFMessage", cut)), *clouds(maker)]

    log = open_log(write_as(container, tmp_path, rows))
    with pytest.warns(UserWarning, match="left out: .*are not a complete tf2_msgs/msg/TFMessage"):
        assert log[1].world_from_ego[0, 3] == 1


@every_container
def test_a_bad_odometry_message_is_left_out_and_reported(tmp_path, container):
    def rows(maker, places=((0, 0, 0), (NAN, 0, 0), (2, 0, 0))):
        odometry = [
            ("/odom", FIRST_NS + i * STEP_NS, maker.odometry(FIRST_NS + i * STEP_NS, place))
            for i, place in enumerate(places)
        ]
        return [mount(maker), *odometry, *clouds(maker)]

    log = open_log(write_as(container, tmp_path, rows))
    with pytest.warns(UserWarning, match="left out: .*/odom: the transform of 'base_link' in 'odom' at "):
        assert log[2].world_from_ego[0, 3] == 2
    assert "/odom: the transform of 'base_link'" in said(lambda: log[1].world_from_ego, PoseUnknown)
    other = tmp_path / "none"
    other.mkdir()
    log = open_log(write_as(container, other, lambda maker: rows(maker, ((NAN, 0, 0),))))
    assert "/odom: the transform of 'base_link'" in said(lambda: quiet(lambda: log[0].world_from_ego))


@every_container
def test_check_lists_what_was_left_out(tmp_path, container):
    from perceptum.check import check_log

    def rows(maker):
        wheel = maker.transform(FIRST_NS, *UNUSABLE["nan"][0])
        return [mount(maker), ("/tf", FIRST_NS, maker.tf(wheel)), *moving(maker), *clouds(maker)]

    (problem,) = check_log(str(write_as(container, tmp_path, rows)))
    assert problem.kind == "left out"
    assert "the transform of 'wheel' in 'base_link' at " in problem.what


def test_a_bad_transform_of_a_slow_frame_leaves_a_gap_between_those_around_it(tmp_path):
    def rows(maker):
        slow = [(0, 10.0), (STEP_NS, NAN), (2 * STEP_NS, 12.0), (4 * STEP_NS, 14.0)]
        above = [
            ("/tf", FIRST_NS + t, maker.tf(maker.transform(FIRST_NS + t, "map", "odom", (x, 0, 0)))) for t, x in slow
        ]
        return [mount(maker), *above, *moving(maker), *clouds(maker, 4)]

    log = quiet(lambda: open_log(write_as("mcap", tmp_path, rows), on_error="skip"))
    assert [quiet(lambda f=frame: f.world_from_ego[0, 3]) for frame in (log[0], log[2], log[3])] == [10, 14, 16]
    assert "the transform of 'odom' in 'map'" in said(lambda: log[1].world_from_ego, PoseUnknown)
    assert len(log.skipped) == 1


# K: what says the same at every stamp holds forever


@every_container
@pytest.mark.parametrize("flip", [False, True])
def test_a_mount_that_is_said_over_time_holds_before_and_after(tmp_path, container, flip):
    def rows(maker):
        # both signs are one rotation
        signs = [(0.6, 0, 0, 0.8), (-0.6, 0, 0, -0.8) if flip else (0.6, 0, 0, 0.8)]
        said_twice = [
            ("/tf", t, maker.tf(maker.transform(t, "base_link", "lidar", (1, 0, 1.5), wxyz)))
            for t, wxyz in zip((FIRST_NS + STEP_NS // 2, FIRST_NS + 3 * STEP_NS // 2), signs, strict=True)
        ]
        return [*clouds(maker), *said_twice]

    log = open_log(write_as(container, tmp_path, rows))
    for frame in log:
        np.testing.assert_allclose(
            frame.lidar.ego_from_sensor[:3], [[-0.28, -0.96, 0, 1], [0.96, -0.28, 0, 0], [0, 0, 1, 1.5]]
        )
    assert (log[0].world_from_ego == np.eye(4)).all()


def test_a_car_that_stands_still_stays_where_it_is_said_to_be(tmp_path):
    def rows(maker, child="base_link"):
        places = [
            (
                "/tf",
                FIRST_NS + i * STEP_NS,
                maker.tf(maker.transform(FIRST_NS + i * STEP_NS, "map", child, (100, 50, 0))),
            )
            for i in range(1, 3)
        ]
        other = ("/tf_static", FIRST_NS, maker.tf(maker.transform(FIRST_NS, child, "lidar", (0, 0, 2))))
        return [other, *places, *clouds(maker)]

    log = open_log(write_as("mcap", tmp_path, rows))
    assert [frame.world_from_ego[:3, 3].tolist() for frame in log] == [[100, 50, 0]] * 3
    # a point may be measured after the last stamp
    assert log.world_from_ego(log[2].time_ns + STEP_NS)[0, 3] == 100
    # and without the usual name of the ego it is not the map that is taken for it
    other = tmp_path / "rig"
    other.mkdir()
    log = open_log(write_as("mcap", other, lambda maker: rows(maker, "rig")))
    assert log[0].lidar.ego_from_sensor[:3, 3].tolist() == [0, 0, 2]
    assert log[0].world_from_ego[:3, 3].tolist() == [100, 50, 0]


def test_odometry_that_moves_is_believed_before_a_transform_that_never_does(tmp_path):
    def rows(maker):
        still = [
            ("/tf", t, maker.tf(maker.transform(t, "odom", "base_link")))
            for t in (FIRST_NS, FIRST_NS + STEP_NS, FIRST_NS + 2 * STEP_NS)
        ]
        odometry = [("/odom", t, maker.odometry(t, (i, 0, 0))) for i, (_, t, _) in enumerate(still)]
        return [mount(maker), *still, *odometry, *clouds(maker)]

    assert [frame.world_from_ego[0, 3] for frame in open_log(write_as("mcap", tmp_path, rows))] == [0, 1, 2]


# L: stamps that were never set


def pictures(maker, stamp):
    rows = []
    for i in range(3):
        t = FIRST_NS + i * STEP_NS
        rows.append(("/cam/image/compressed", t, maker.compressed(stamp(t), encode_jpeg(picture(i)), frame="lidar")))
        rows.append(("/cam/camera_info", t, maker.camera_info(stamp(t), frame="lidar")))
    return rows


@every_container
@pytest.mark.parametrize(
    ("stamp", "wanted"),
    [
        (0, "the stamps of all 3 records are 0, which was never set; "),
        (FIRST_NS - 5, f"all 3 records have the stamp {FIRST_NS - 5} ns, which was never updated; "),
    ],
)
def test_a_topic_whose_stamps_were_never_set_is_left_out_and_reported(tmp_path, container, stamp, wanted):
    path = write_as(container, tmp_path, lambda m: [mount(m), *clouds(m), *pictures(m, lambda t: stamp)])
    text = said(lambda: open_log(path))
    assert text == (
        f"{path}: /cam/image/compressed: {wanted}read the log by the times at which they were recorded with "
        "clock='log', or leave the topic out"
    )
    log = open_log(path, on_error="skip")
    assert (len(log), dict(log.source.cameras), log.skipped) == (3, {}, [text])
    assert len(open_log(path, camera_topics=[])) == 3
    by_log = open_log(path, clock="log")
    assert [list(frame.cameras) for frame in by_log] == [["/cam/image/compressed"]] * 3


@every_container
def test_records_whose_stamp_was_not_yet_set_are_left_out_and_reported(tmp_path, container):
    first = lambda t: 0 if t < FIRST_NS + STEP_NS else t  # noqa: E731
    path = write_as(container, tmp_path, lambda m: clouds(m, 4, stamp=first))
    text = said(lambda: open_log(path))
    assert text == (
        f"{path}: {LIDAR}: 1 of 4 records have the stamp 0, which was never set, the first recorded at {FIRST_NS} ns; "
        "leave them out with on_error='skip', or try clock='log'"
    )
    log = open_log(path, on_error="skip")
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in (1, 2, 3)]
    assert log.skipped == [text]


@every_container
def test_a_recording_without_any_stamps_is_read_by_the_times_at_which_it_was_recorded(tmp_path, container):
    path = write_as(
        container, tmp_path, lambda m: [mount(m), *moving(m, stamp=lambda t: 0), *clouds(m, stamp=lambda t: 0)]
    )
    with pytest.warns(UserWarning, match="no record of a sensor has a stamp; read by the times at which they"):
        log = open_log(path)
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in range(3)]
    assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1, 2]


@every_container
@pytest.mark.parametrize("stamp", [0, FIRST_NS - 5])
def test_transforms_whose_stamps_were_never_set_are_taken_when_they_were_recorded(tmp_path, container, stamp):
    path = write_as(container, tmp_path, lambda m: [mount(m), *moving(m, stamp=lambda t: stamp), *clouds(m)])
    log = open_log(path)
    with pytest.warns(UserWarning, match="no transform of 'base_link' in 'odom' has a stamp; each is taken when it"):
        assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1, 2]


@every_container
def test_records_at_one_time_are_left_out_and_reported(tmp_path, container):
    path = write_as(container, tmp_path, lambda m: [*clouds(m), *((t, s + 1, c) for t, s, c in clouds(m, 1))])
    text = said(lambda: open_log(path), LogError)
    assert " has 1 records at the time of another, the first at " in text
    log = open_log(path, on_error="skip")
    assert (len(log), log.skipped) == (3, [text])


@every_container
def test_a_stamp_that_is_none_leaves_out_its_record(tmp_path, container):
    def rows(maker):
        data = bytearray(maker.encode(maker.cloud(FIRST_NS, ouster_points(0))))
        struct.pack_into("<II", data, 4, 5, 3_000_000_000)
        return [(LIDAR, 500, (CLOUD, bytes(data))), *clouds(maker)]

    path = write_as(container, tmp_path, rows)
    text = said(lambda: open_log(path))
    assert text == f"{path}: {LIDAR} at 500 ns: its stamp is 5 s 3000000000 ns, wanted one since 1970; try clock='log'"
    log = open_log(path, on_error="skip")
    assert (len(log), log.skipped) == (3, [text])


# A: coordinates of float64


@every_container
def test_coordinates_far_from_the_sensor_keep_their_millimetres(tmp_path, container):
    points = np.zeros(50, [("x", "f8"), ("y", "f8"), ("z", "f8"), ("intensity", "f4")])
    rng = np.random.default_rng(5)
    near = rng.uniform(-40, 40, (50, 3))
    far = np.array([5_412_345.6, 431_234.5, 300.25])
    for i, name in enumerate("xyz"):
        points[name] = near[:, i] + far[i]

    def rows(maker):
        back = maker.transform(FIRST_NS, "base_link", "utm", tuple(-far))
        return [("/tf_static", FIRST_NS, maker.tf(back)), (LIDAR, FIRST_NS, maker.cloud(FIRST_NS, points, frame="utm"))]

    frame = open_log(write_as(container, tmp_path, rows))[0]
    assert frame.lidar.x.dtype == np.float64
    built = InputBuilder(["lidar_points"], params={"lidar_points": {"columns": ["x", "y", "z"]}}).build(frame)
    np.testing.assert_allclose(built["lidar_points"], near, atol=1e-5)


# pipes, devices and sockets

BIND = {
    "pipe": os.mkfifo,
    "device": lambda path: os.symlink("/dev/zero", path),
    "socket": lambda path: bind(path),
    "link to a pipe": lambda path: (os.mkfifo(path.with_name("p")), os.symlink("p", path)),
}


def bind(path):
    here = os.getcwd()
    # the name of a socket may have 107 bytes
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("kind", list(BIND))
@pytest.mark.parametrize("name", ["a.mcap", "a.bag", "a.db3", "a.bag.active"])
def test_what_is_not_a_file_is_refused_by_name_at_once(tmp_path, kind, name):
    BIND[kind](tmp_path / name)
    for format in (None, "mcap" if name == "a.mcap" else "rosbag"):
        assert str(tmp_path / name) in said(lambda f=format: open_log(tmp_path / name, format=f), LogError)
    assert name in said(lambda: quiet(lambda: open_log(tmp_path)), LogError)


@pytest.mark.parametrize("container", ["sqlite", "rosbag2_mcap"])
@pytest.mark.parametrize("kind", list(BIND))
def test_what_metadata_names_and_is_not_a_file_is_refused_by_name(tmp_path, container, kind):
    folder = write_as(container, tmp_path, drive)
    (file,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    file.unlink()
    BIND[kind](file)
    assert str(file) in said(lambda: open_log(folder))


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
@pytest.mark.parametrize("kind", list(BIND))
def test_what_lies_beside_a_database_and_is_not_a_file_is_refused_by_name(tmp_path, suffix, kind):
    folder = write_as("sqlite", tmp_path, drive)
    BIND[kind](folder / f"made.db3{suffix}")
    assert f"made.db3{suffix}: is not a regular file" in said(lambda: open_log(folder))


def test_metadata_that_is_a_pipe_is_refused_by_name(tmp_path):
    folder = write_as("sqlite", tmp_path, drive)
    (folder / "metadata.yaml").unlink()
    os.mkfifo(folder / "metadata.yaml")
    assert stat.S_ISFIFO((folder / "metadata.yaml").stat().st_mode)
    assert "metadata.yaml" in said(lambda: open_log(folder), LogError)


def test_the_readers_refuse_what_is_not_a_file_themselves(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for reader in (McapFile, Ros1Bag, SqliteBag):
        assert said(lambda r=reader: r(path)).startswith(f"{path}: is ")


def test_a_compression_does_not_matter_to_a_walk(tmp_path):
    rows = drive(Maker())
    for compression in CompressionType:
        path = write_mcap(
            tmp_path / f"{compression.name}.mcap", rows, compression=compression, **LACKING["all indexes"]
        )
        assert len(quiet(lambda p=path: open_log(p))) == SWEEPS


@pytest.mark.parametrize("stamp_ns", [0, 7])
def test_where_stamps_were_never_set_a_broken_transform_leaves_its_gap_where_it_was_recorded(stamp_ns):
    edges = Edges("made")
    for k in range(10):
        rotation = SimpleNamespace(w=float("nan") if k == 5 else 1.0, x=0.0, y=0.0, z=0.0)
        moved = SimpleNamespace(rotation=rotation, translation=SimpleNamespace(x=float(k), y=0.0, z=0.0))
        edges.add("odom", "base", stamp_ns, 1_000 + 100 * k, moved, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        poses = edges.tree().motions["base"]
    assert poses.at(1350)[0, 3] == 3.5
    with pytest.raises(PoseUnknown, match="wanted a quaternion of length 1"):
        poses.at(1550)


# what says something of a whole topic: one message that is broken spoils no others


def with_infos(maker, first, count=3):
    """Pictures of a camera, and as many CameraInfo, of which the first `first` are of a camera not yet calibrated."""
    rows = [mount(maker), *clouds(maker)]
    for i in range(count):
        t = FIRST_NS + i * STEP_NS
        info = {"k": [0.0] * 9} if i < first else {}
        rows.append(("/cam/camera_info", t, maker.camera_info(t, frame="lidar", **info)))
        rows.append(("/cam/image/compressed", t, maker.compressed(t, encode_jpeg(picture(i)), frame="lidar")))
    return rows


@every_container
def test_a_camera_has_the_first_lens_that_is_one(tmp_path, container):
    log = open_log(write_as(container, tmp_path, lambda maker: with_infos(maker, 1)))
    with pytest.warns(UserWarning, match="left out: 1 before the first that has a lens: .* is it calibrated"):
        assert log[0].cameras["/cam/image/compressed"].intrinsics[0, 0] == 700


def test_a_camera_that_was_never_calibrated_is_refused(tmp_path):
    log = open_log(write_as("mcap", tmp_path, lambda maker: with_infos(maker, 3)))
    assert "is it calibrated?" in said(lambda: log[0].cameras["/cam/image/compressed"])


def test_the_ego_frame_is_of_the_first_cloud_that_says_its_frame(tmp_path):
    def rows(maker):
        nameless, *others = clouds(maker)
        nameless[2].header.frame_id = ""
        moves = [("/tf", t, maker.tf(maker.transform(t, "odom", "lidar", (i, 0, 0)))) for i, (_, t, _) in times(maker)]
        return [nameless, *others, *moves]

    def times(maker):
        return enumerate(clouds(maker))

    log = open_log(write_as("mcap", tmp_path, rows), on_error="skip")
    assert [frame.world_from_ego[0, 3] for frame in log] == [0, 1, 2]
    assert [frame.lidar is None for frame in log] == [True, False, False]


def odometry(maker, names, xs=None):
    """One message for each (parent, child), 30 ms after a cloud, at x = 0, 1, 2 or `xs`."""
    xs = range(len(names)) if xs is None else xs
    stamps = [FIRST_NS + 30_000_000 + i * STEP_NS for i in range(len(names))]
    return [
        ("/odom", t, maker.odometry(t, (x, 0, 0), parent=parent, child=child))
        for t, x, (parent, child) in zip(stamps, xs, names, strict=True)
    ]


@pytest.mark.parametrize(
    "names",
    [
        [("map", "base_link"), ("", "base_link"), ("map", "base_link"), ("map", "base_link")],
        [("map", ""), ("map", "base_link"), ("map", "base_link"), ("map", "base_link")],
    ],
)
def test_an_odometry_message_without_a_name_means_what_the_others_say(tmp_path, names):
    log = open_log(write_as("mcap", tmp_path, lambda m: [mount(m), *clouds(m, 4), *odometry(m, names)]))
    assert log[2].world_from_ego[0, 3] == pytest.approx(1.7)


def test_a_car_that_its_odometry_says_stands_still_is_there_before_and_after_it(tmp_path):
    """K: a constant pose is no motion; the first cloud is older than the first odometry."""
    names = [("odom", "base_link")] * 3
    log = open_log(write_as("mcap", tmp_path, lambda m: [mount(m), *clouds(m, 4), *odometry(m, names, [5, 5, 5])]))
    assert [frame.world_from_ego[0, 3] for frame in log] == [5, 5, 5, 5]


def test_one_pose_of_an_odometry_is_known_at_its_time_alone(tmp_path):
    log = open_log(write_as("mcap", tmp_path, lambda m: [mount(m), *clouds(m, 4), *odometry(m, [("odom", "")])]))
    with pytest.raises(PoseUnknown):
        _ = log[0].world_from_ego


TIMED = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("timestamp", "f8")])


def timed_clouds(maker, timestamps):
    rows = []
    for i in range(3):
        t = FIRST_NS + i * STEP_NS
        points = np.zeros(len(timestamps), TIMED)
        points["x"], points["timestamp"] = np.arange(1, len(timestamps) + 1), timestamps
        points["timestamp"] += (points["timestamp"] > 0) * i * STEP_NS * 1e-9
        rows.append((LIDAR, t, maker.cloud(t, points)))
    return rows


@every_container
def test_point_times_that_were_never_set_are_no_times(tmp_path, container):
    log = open_log(write_as(container, tmp_path, lambda m: [mount(m), *timed_clouds(m, [0.0, 0.0])]))
    with pytest.warns(UserWarning, match=f"{LIDAR}: field timestamp is 0 for all points, which was never set"):
        assert log[1].lidar.offset_ns is None
    assert log[1].lidar.x.tolist() == [1, 2]


def test_a_ray_whose_time_was_never_set_is_at_the_stamp_of_the_cloud(tmp_path):
    stamps = [FIRST_NS * 1e-9 + 0.01, 0.0, FIRST_NS * 1e-9 + 0.03]
    log = open_log(write_as("mcap", tmp_path, lambda m: [mount(m), *timed_clouds(m, stamps)]))
    np.testing.assert_allclose(log[1].lidar.offset_ns, [10_000_000, 0, 30_000_000], atol=500)


def test_publish_times_that_were_never_set_are_those_of_recording(tmp_path):
    maker = Maker()
    path = tmp_path / "made.mcap"
    write_mcap(path, clouds(maker), maker, publish_ns=0)
    with pytest.warns(UserWarning, match="no record of a sensor has a publish time; read by the times at which they"):
        log = open_log(path, clock="publish")
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in range(3)]


def test_log_times_that_were_never_set_are_said(tmp_path):
    maker = Maker()
    path = tmp_path / "made.mcap"
    write_mcap(path, [(topic, 0, message) for topic, _, message in clouds(maker)], maker, publish_ns=0)
    assert said(lambda: open_log(path, clock="log")) == (
        f"{path}: {LIDAR}: the log times of all 3 records are 0, which was never set; read the log by the times of "
        "their headers with clock='header', or leave the topic out"
    )
    assert len(open_log(path)) == 3


def test_a_point_step_that_the_data_does_not_have_is_said_with_the_one_that_fits(tmp_path):
    def rows(maker):
        wrong = clouds(maker)
        for _, _, message in wrong:
            message.point_step, message.row_step = 2 * message.point_step, 2 * message.row_step
        return wrong

    text = said(lambda: open_log(write_as("mcap", tmp_path, rows))[0].lidar)
    assert text.endswith("its points seem to have 32 bytes each: point_step is wrong")


# damaged='skip': what is whole of a file is read, whatever the container


def damaged_sqlite(tmp_path, at):
    """Twelve clouds in a .db3 of which a page is zeros, as a disk may leave it."""
    path = write_as("sqlite", tmp_path, lambda maker: [mount(maker), *clouds(maker, 12)])
    file = next(iter(path.rglob("*.db3"))) if path.is_dir() else path
    data = bytearray(file.read_bytes())
    page = int(len(data) * at) // 4096 * 4096
    data[page : page + 4096] = bytes(4096)
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("at", [0.5, 0.75])
def test_what_is_whole_of_a_damaged_database_can_be_read(tmp_path, at):
    file = damaged_sqlite(tmp_path, at)

    def content(**options):
        return [len(frame.lidar) for frame in open_log(file, **options)]

    assert str(file) in said(content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        whole = content(damaged="skip")
    assert 0 < len(whole) < 12
    assert any(str(one.message).startswith(f"left out: {file}: ") for one in told)


def test_a_row_without_a_time_is_left_out_of_a_damaged_database(tmp_path):
    file = write_as("sqlite", tmp_path, lambda maker: [mount(maker), *clouds(maker, 4)])
    file = next(iter(file.rglob("*.db3"))) if file.is_dir() else file
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET timestamp = 'late' WHERE id = 3")
    database.close()
    assert "row 3 has the timestamp 'late'" in said(lambda: open_log(file))
    with pytest.warns(UserWarning, match="left out: .* row 3 has the timestamp 'late'"):
        assert len(open_log(file, damaged="skip")) == 3


def parts_of_a_recording(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    for number in range(3):
        maker, late_ns = Maker(), number * 10**9
        rows = [
            (topic, log_ns + late_ns, message)
            for topic, log_ns, message in [mount(maker), *clouds(maker, stamp=lambda t, late_ns=late_ns: t + late_ns)]
        ]
        write_mcap(folder / f"drive_{number}.mcap", rows, maker)
    return folder


def test_a_part_that_is_damaged_is_left_out_where_that_is_asked(tmp_path):
    folder = parts_of_a_recording(tmp_path)
    wanted = quiet(lambda: [frame.lidar.x.tobytes() for frame in open_log(folder)])
    (folder / "drive_1.mcap").write_bytes(b"nothing")
    assert "drive_1.mcap: starts with" in said(lambda: quiet(lambda: open_log(folder)))
    with pytest.warns(UserWarning, match=r"left out: .*drive_1.mcap: starts with"):
        log = open_log(folder, damaged="skip")
    assert [frame.lidar.x.tobytes() for frame in log] == [*wanted[:3], *wanted[6:]]


def test_zeros_behind_the_end_of_an_mcap_are_no_part_of_it(tmp_path):
    maker = Maker()
    path = write_mcap(tmp_path / "a.mcap", [mount(maker), *clouds(maker)], maker)
    path.write_bytes(path.read_bytes() + bytes(3 << 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert len(open_log(path)) == 3


def test_files_that_were_renamed_under_their_metadata_are_named(tmp_path):
    maker = Maker()
    folder = write_rosbag2(tmp_path / "drive", [mount(maker), *clouds(maker)], maker, storage="mcap")
    file = next(folder.glob("*.mcap"))
    file.rename(folder / "other.mcap")
    assert said(lambda: open_log(folder), MissingRecord) == (
        f"{file}: no such file; beside it is other.mcap, which metadata.yaml does not name; open that itself, or write "
        f"the metadata again with `ros2 bag reindex {folder}`"
    )


def test_recordings_in_the_folder_above_are_named(tmp_path):
    folder = parts_of_a_recording(tmp_path)
    (folder / "notes").mkdir()
    assert said(lambda: open_log(folder / "notes"), NotALog).endswith(f"it is in {folder} (rosbag); open that")
