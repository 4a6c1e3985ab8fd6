"""MCAP recordings: the index, order, clocks, files that are cut, damaged or have no index."""

import pickle
import struct
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType
from mcap_ros2.decoder import DecoderFactory

from perceptum.datasets import open_log
from perceptum.datasets.ros.mcap_file import McapFile
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, NotALog

from .made_recording import FIRST_NS, STEP_NS, SWEEPS, Maker, drive, ouster_points, write_mcap

UNINDEXED = {"index_types": IndexType.NONE, "use_summary_offsets": False, "repeat_channels": False}
LIDAR = "/lidar/points"


@pytest.fixture(scope="module")
def rows():
    return drive(Maker())


@pytest.fixture
def recording(tmp_path, rows):
    return write_mcap(tmp_path / "drive.mcap", rows)


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def whole(log):
    """Every column of every lidar record, in order."""
    return [log.lidar(LIDAR, i).x.tobytes() for i in range(len(log))]


def test_a_file_is_a_log_of_its_sensor_topics(recording):
    log = open_log(recording)
    assert (log.source.dataset, log.source.name, len(log)) == ("mcap", "drive.mcap", SWEEPS)
    assert list(log.source.lidars) == [LIDAR]
    assert list(log.source.cameras) == ["/camera/image/compressed"]
    assert list(log.source.radars) == ["/radar/scan"]
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in range(SWEEPS)]


def test_records_agree_with_the_mcap_librarys_own_decoder(recording):
    log = open_log(recording, empty_returns="keep")
    with open(recording, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        messages = [m.decoded_message for m in reader.iter_decoded_messages(topics=[LIDAR])]
    assert len(messages) == len(log)
    for i, message in enumerate(messages):
        sweep, points = log.lidar(LIDAR, i), ouster_points(i)
        assert message.header.frame_id == "lidar"
        assert sweep.time_ns == message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        stored = np.frombuffer(bytes(message.data), points.dtype)
        for name, column in (("x", "x"), ("intensity", "intensity"), ("ring", "ring"), ("t", "offset_ns")):
            np.testing.assert_array_equal(getattr(sweep, column), stored[name])
            np.testing.assert_array_equal(stored[name], points[name])


@pytest.mark.parametrize("compression", list(CompressionType))
@pytest.mark.parametrize("chunk_size", [1, 1 << 12, 1 << 24])
def test_chunks_of_any_size_and_compression_give_the_same(tmp_path, rows, recording, compression, chunk_size):
    other = write_mcap(tmp_path / "other.mcap", rows, chunk_size=chunk_size, compression=compression)
    assert whole(open_log(other)) == whole(open_log(recording))


def test_messages_outside_of_chunks_are_read_too(tmp_path, rows, recording):
    loose = write_mcap(tmp_path / "loose.mcap", rows, use_chunking=False)
    with pytest.warns(UserWarning, match="loose.mcap: has no index; reading it once from start to end to make one"):
        log = open_log(loose)
    assert whole(log) == whole(open_log(recording))
    assert log[1].world_from_ego[0, 3] == pytest.approx(0.5)


def test_a_file_without_an_index_is_read_once(tmp_path, rows, recording):
    bare = write_mcap(tmp_path / "bare.mcap", rows, **UNINDEXED, repeat_schemas=False, use_statistics=False)
    with pytest.warns(UserWarning, match="has no index"):
        assert whole(open_log(bare)) == whole(open_log(recording))


def test_a_recording_with_its_index_warns_of_nothing(recording):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_log(recording)


def test_the_clock_is_the_users(recording):
    late_ns = 130_000_000
    assert open_log(recording, clock="log").source.times_ns[0] == FIRST_NS + late_ns
    assert open_log(recording, clock="publish").source.times_ns[0] == FIRST_NS + late_ns - 500
    # a point's time counts from the message's stamp whatever the clock
    np.testing.assert_array_equal(
        open_log(recording, clock="log")[0].lidar.offset_ns, open_log(recording)[0].lidar.offset_ns
    )
    assert said(lambda: open_log(recording, clock="wall"), LogError) == (
        "clock is 'wall', wanted 'header' or 'log' or 'publish'"
    )


def test_by_the_log_clock_opening_unpacks_no_chunk(recording, monkeypatch):
    monkeypatch.setattr("perceptum.datasets.ros.mcap_file.chunk_data", lambda *_: pytest.fail("a chunk was unpacked"))
    assert len(open_log(recording, clock="log")) == SWEEPS


def test_opening_reads_one_chunk_at_a_time_and_only_those_with_sensors(tmp_path, monkeypatch):
    maker = Maker()
    rows = [("/chat", FIRST_NS + i, maker.tf(maker.transform(FIRST_NS, "a", "b"))) for i in range(500)]
    path = write_mcap(tmp_path / "a.mcap", [*rows, (LIDAR, FIRST_NS + 10**9, maker.cloud(FIRST_NS, ouster_points(0)))])
    unpacked = []
    real = McapFile._chunk
    monkeypatch.setattr(
        McapFile, "_chunk", lambda self, file, offset: unpacked.append(offset) or real(self, file, offset)
    )
    open_log(path)
    assert len(set(unpacked)) == 1


def test_messages_out_of_order_stand_in_the_order_of_their_times(tmp_path):
    maker = Maker()
    stamps = [FIRST_NS + k * STEP_NS for k in (2, 0, 3, 1)]
    rows = [(LIDAR, FIRST_NS + i, maker.cloud(t, ouster_points(i))) for i, t in enumerate(stamps)]
    log = open_log(write_mcap(tmp_path / "a.mcap", rows))
    assert log.source.times_ns.tolist() == sorted(stamps)
    keep = open_log(log.source.location, empty_returns="keep")
    np.testing.assert_array_equal(keep.lidar(LIDAR, 0).x, ouster_points(1)["x"])


def test_two_records_of_one_time_are_told_and_the_first_written_may_be_kept(tmp_path):
    maker = Maker()
    # the same log time as well: the order in the file decides
    rows = [(LIDAR, FIRST_NS, maker.cloud(FIRST_NS, ouster_points(i))) for i in range(3)]
    path = write_mcap(tmp_path / "a.mcap", rows)
    assert said(lambda: open_log(path), LogError) == (
        f"{path}: {LIDAR} has 2 records at the time of another, the first at {FIRST_NS} ns, wanted one at a time; "
        "keep the first of each with duplicate_stamps='first'; if its stamps are not set, try clock='log'"
    )
    log = open_log(path, duplicate_stamps="first", empty_returns="keep")
    np.testing.assert_array_equal(log[0].lidar.x, ouster_points(0)["x"])


def test_a_stamp_that_is_none_is_told(tmp_path):
    maker = Maker()
    data = bytearray(maker.encode(maker.cloud(FIRST_NS, ouster_points(0))))
    struct.pack_into("<iI", data, 4, -1, 0)
    path = write_mcap(tmp_path / "a.mcap", [(LIDAR, 500, ("sensor_msgs/msg/PointCloud2", bytes(data)))])
    assert said(lambda: open_log(path)) == (
        f"{path}: {LIDAR} at 500 ns: its stamp is -1 s 0 ns, wanted one since 1970; try clock='log'"
    )


def test_a_file_that_is_cut_says_so_and_what_is_whole_can_be_read(tmp_path, rows, recording):
    cut = tmp_path / "cut.mcap"
    data = recording.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    assert said(lambda: open_log(cut)) == (
        f"{cut}: {len(data) * 2 // 3} bytes do not end with b'\\x89MCAP0\\r\\n'; the file is cut short; "
        "repair it with `mcap recover`, or read what is intact with damaged='skip'"
    )
    with pytest.warns(UserWarning, match="has no index|is cut short at") as told:
        log = open_log(cut, damaged="skip")
    assert "has no index" in str(told[0].message)
    assert "is cut short at" in str(told[1].message)
    assert 0 < len(log) < SWEEPS
    assert whole(log) == whole(open_log(recording))[: len(log)]


def test_what_is_no_mcap_says_so(tmp_path):
    path = tmp_path / "a.mcap"
    path.write_bytes(b"#ROSBAG V2.0\n")
    assert said(lambda: open_log(path)) == (
        f"{path}: starts with b'#ROSBAG ', wanted b'\\x89MCAP0\\r\\n' (MCAP); it is not an MCAP file"
    )
    path.write_bytes(b"")
    assert "starts with b''" in said(lambda: open_log(path))


def chunk_offset(path):
    with open(path, "rb") as file:
        return make_reader(file).get_summary().chunk_indexes


def test_a_chunk_with_a_wrong_checksum_is_named_and_the_rest_is_read(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows, chunk_size=1, compression=CompressionType.NONE)
    log = open_log(path)
    place = log.source._streams[LIDAR].place(1)
    data = bytearray(path.read_bytes())
    # the last byte of the second cloud
    index = next(c for c in chunk_offset(path) if c.chunk_start_offset == place[1])
    data[index.chunk_start_offset + index.chunk_length - 1] ^= 0xFF
    path.write_bytes(data)
    log = open_log(path, clock="log", on_error="skip")
    text = f"{path}: the chunk at byte {place[1]}: cannot be unpacked (crc validation failed in Chunk, expected: "
    assert said(lambda: open_log(path, clock="log")[1].lidar).startswith(text)
    assert [frame.lidar is None for frame in log] == [False, True, False, False]
    assert len(log.skipped) == 1


def test_a_damaged_chunk_is_left_out_of_the_index_where_that_is_wanted(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows, chunk_size=1, compression=CompressionType.NONE)
    whole_log = open_log(path)
    place = whole_log.source._streams[LIDAR].place(1)
    data = bytearray(path.read_bytes())
    data[place[1] + 200] ^= 0xFF
    path.write_bytes(data)
    assert "crc validation failed" in said(lambda: open_log(path))
    with pytest.warns(UserWarning, match=r"left out: .*a\.mcap: the chunk at byte \d+: cannot be unpacked \(crc"):
        log = open_log(path, damaged="skip")
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in (0, 2, 3)]
    assert [len(frame.lidar) for frame in log] == [56, 56, 56]


def test_an_unknown_compression_is_named(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x04\x00\x00\x00zstd", b"\x04\x00\x00\x00brtl"))
    first = chunk_offset(path)[0].chunk_start_offset
    assert said(lambda: open_log(path)) == (
        f"{path}: the chunk at byte {first}: compression 'brtl', wanted zstd, lz4 or none"
    )


def test_a_size_that_is_a_lie_allocates_nothing(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows)
    first = chunk_offset(path)[0].chunk_start_offset
    data = bytearray(path.read_bytes())
    # opcode 1, length 8, start 8, end 8, then the unpacked size
    struct.pack_into("<Q", data, first + 25, 1 << 62)
    path.write_bytes(data)
    assert f"says it unpacks to {1 << 62} bytes" in said(lambda: open_log(path))
    struct.pack_into("<Q", data, first + 1, 1 << 62)
    path.write_bytes(data)
    assert f"the record at byte {first} wants {1 << 62} bytes" in said(lambda: open_log(path))


def test_a_footer_that_points_astray_is_named(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows)
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, len(data) - 28, 1 << 60)
    path.write_bytes(data)
    assert said(lambda: open_log(path)) == (f"{path}: its footer says the summary is at byte {1 << 60} of {len(data)}")


def test_a_type_that_is_not_the_published_one_is_refused_with_both(tmp_path):
    maker = Maker()
    cloud = maker.encode(maker.cloud(FIRST_NS, ouster_points(0)))
    path = write_mcap(tmp_path / "a.mcap", [(LIDAR, FIRST_NS, ("sensor_msgs/msg/PointCloud2", cloud))])
    data = path.read_bytes()
    uncompressed = write_mcap(
        tmp_path / "b.mcap",
        [(LIDAR, FIRST_NS, ("sensor_msgs/msg/PointCloud2", cloud))],
        compression=CompressionType.NONE,
        enable_crcs=False,
    )
    data = uncompressed.read_bytes()
    assert data.count(b"uint32 point_step") >= 1
    uncompressed.write_bytes(data.replace(b"uint32 point_step", b"uint64 point_step"))
    text = said(lambda: open_log(uncompressed)[0].lidar)
    assert "the recording defines sensor_msgs/msg/PointCloud2 with sensor_msgs/msg/PointCloud2 as (header " in text
    assert "point_step uint64" in text
    assert "point_step uint32" in text


def test_a_message_that_is_cut_is_named(tmp_path):
    maker = Maker()
    cloud = maker.encode(maker.cloud(FIRST_NS, ouster_points(0)))
    path = write_mcap(tmp_path / "a.mcap", [(LIDAR, FIRST_NS, ("sensor_msgs/msg/PointCloud2", cloud[:200]))])
    text = said(lambda: open_log(path)[0].lidar)
    assert text.startswith(
        f"{path}: {LIDAR} at {FIRST_NS} ns: 200 bytes are not a complete sensor_msgs/msg/PointCloud2 ("
    )


def test_raw_packets_are_told_politely(tmp_path):
    rows = [("/velodyne_packets", FIRST_NS, ("velodyne_msgs/msg/VelodyneScan", b"\0\1\0\0abc"))]
    path = write_mcap(tmp_path / "a.mcap", rows)
    assert said(lambda: open_log(path), NotALog) == (
        f"{path}: holds a driver's raw packets, /velodyne_packets (velodyne_msgs/msg/VelodyneScan), "
        "which are not read; "
        "replay them through the driver and record its clouds"
    )


def test_other_encodings_are_told(tmp_path, rows):
    path = write_mcap(tmp_path / "a.mcap", rows)
    log = open_log(path)
    topic = log.source._recording.topics[LIDAR]
    object.__setattr__(topic, "encoding", "protobuf")
    text = said(lambda: log[0].lidar)
    assert text.endswith("messages are encoded as 'protobuf', wanted cdr (ROS 2) or ros1")


def test_options_are_checked_by_name(recording):
    text = said(lambda: open_log(recording, lidar_topic=[LIDAR]), LogError)
    assert text.startswith("mcap: no option 'lidar_topic'; it takes lidar_topics, radar_topics, ")
    assert text.endswith("; did you mean 'lidar_topics'?")
    assert said(lambda: open_log(recording, lidar_topics=LIDAR), LogError) == (
        f"lidar_topics is '{LIDAR}', wanted a list of topics"
    )
    assert said(lambda: open_log(recording, lidar_topics=["/lidar"]), MissingRecord) == (
        f"{recording}: lidar_topics has '/lidar', which is not there; "
        f"the topics of sensor_msgs/msg/PointCloud2 are {LIDAR}"
    )


def test_a_log_may_be_pickled_into_another_process(recording):
    log = open_log(recording)
    before = whole(log)
    assert whole(pickle.loads(pickle.dumps(log))) == before


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_anywhere_is_an_error_or_harmless(said_of, tmp_path, rows, data):
    path = write_mcap(tmp_path / "a.mcap", rows[:90], compression=data.draw(st.sampled_from(list(CompressionType))))
    encoded = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at : at + data.draw(st.integers(1, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(encoded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def read():
            log = open_log(
                path,
                damaged=data.draw(st.sampled_from(["raise", "skip"])),
                clock=data.draw(st.sampled_from(["header", "log"])),
            )
            _ = [frame.lidar for frame in log], log.source.poses

        said_of(read)
