"""Frames and logs over a source made up here, that counts what is read of it."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.datasets import memory_log
from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    Frame,
    Labels,
    LidarSweep,
    Log,
    LogError,
    MissingRecord,
    Poses,
    PoseUnknown,
    RadarSweep,
    encode_jpeg,
)
from perceptum.inputs.longest_rise import kept_of

MS = 1_000_000


def times(*ms):
    return np.array(ms, dtype=np.int64) * MS


class Made:
    """Two lidars, two radars, two cameras; every record says which it is in its x."""

    dataset = "made"
    name = "drive"
    location = "made/drive"
    sequential = True

    def __init__(self, **changed):
        self.times_ns = times(0, 100, 200, 300)
        self.lidars = {"TOP": times(0, 100, 200, 300), "SIDE": times(50, 100, 260)}
        self.radars = {"FRONT": times(10, 90, 170, 250, 330), "BACK": times(290, 310)}
        self.cameras = {"CAM_A": times(20, 130, 290), "CAM_B": times(900)}
        self.poses = Poses.fixed(times(0, 300))
        vars(self).update(changed)

    def _columns(self, index):
        return {name: np.full(3, index, np.float32) for name in "xyz"}

    def read_lidar(self, sensor, index):
        return LidarSweep(sensor, int(self.lidars[sensor][index]), np.eye(4), **self._columns(index))

    def read_radar(self, sensor, index):
        return RadarSweep(sensor, int(self.radars[sensor][index]), np.eye(4), **self._columns(index))

    def read_camera(self, camera, index):
        picture = encode_jpeg(np.full((4, 6, 3), 90, np.uint8))
        return CameraImage(camera, int(self.cameras[camera][index]), np.eye(3), np.eye(4), lambda: picture)

    def read_labels(self, time_ns):
        return Labels(time_ns, np.zeros((0, 7)), np.zeros(0, np.str_), np.zeros(0, np.str_)) if time_ns else None

    def read_map(self):
        return None


def stamps(records):
    return [(record.sensor, record.time_ns // MS) for record in records]


def test_sweeps_of_all_lidars_are_newest_first_and_the_primary_leads_a_tie():
    frame = Log(Made())[1]
    assert stamps(frame.sweeps(2)) == [("TOP", 100), ("SIDE", 100), ("SIDE", 50), ("TOP", 0)]
    assert stamps(frame.sweeps(2, "SIDE")) == [("SIDE", 100), ("SIDE", 50)]


def test_the_sweeps_of_a_window_may_be_read_side_by_side_and_come_in_the_same_order():
    met = Barrier(4)

    class Meeting(Made):
        def read_lidar(self, sensor, index):
            # nobody goes on before all four are being read
            met.wait(5)
            return super().read_lidar(sensor, index)

    log = Log(Meeting())
    with ThreadPoolExecutor(4) as pool:
        read = log[1].sweeps(2, each=lambda work, items: list(pool.map(work, items)))
    assert stamps(read) == stamps(Log(Made())[1].sweeps(2))
    assert log.reads == {"lidar/TOP": 2, "lidar/SIDE": 2}


def test_a_sweep_of_the_future_is_never_given():
    frame = Log(Made())[2]
    assert stamps(frame.sweeps(1, "SIDE")) == [("SIDE", 100)]


@pytest.mark.parametrize(("n", "wanted"), [(-1, 0), (0, 0), (1, 1), (3, 3), (99, 4)])
def test_at_the_start_there_are_fewer_sweeps(n, wanted):
    log = Log(Made())
    assert len(log[3].sweeps(n, "TOP")) == wanted
    assert len(log[0].sweeps(n, "TOP")) == min(wanted, 1)


def test_unrelated_frames_lend_each_other_nothing():
    log = Log(Made(sequential=False, radars={"FRONT": times(10, 200)}))
    assert stamps(log[2].sweeps(5)) == [("TOP", 200)]
    assert stamps(log[1].sweeps(5)) == [("TOP", 100), ("SIDE", 100)]
    assert list(log[1].radars) == []
    assert stamps(log[2].radar_sweeps(5)) == [("FRONT", 200)]
    assert log[2].sweeps(0) == []


def test_radar_cycles_are_newest_first_and_read_once():
    log = Log(Made())
    frame = log[3]
    assert stamps(frame.radar_sweeps(2)) == [("BACK", 290), ("FRONT", 250), ("FRONT", 170)]
    assert stamps(frame.radar_sweeps(9, "FRONT")) == [("FRONT", t) for t in (250, 170, 90, 10)]
    assert frame.radars["FRONT"] is frame.radar_sweeps(1, "FRONT")[0]
    assert log.reads == {"radar/FRONT": 4, "radar/BACK": 1}


def test_a_radar_that_did_not_speak_yet_is_left_out():
    log = Log(Made())
    assert list(log[0].radars) == []
    assert list(log[1].radars) == ["FRONT"]
    assert log[0].radar_sweeps(3) == []


@pytest.mark.parametrize(
    ("tolerance_ms", "wanted"),
    [
        (60, [20, 130, None, 290]),
        (9, [None, None, None, None]),
        (10, [None, None, None, 290]),
        (90, [20, 130, 130, 290]),
    ],
)
def test_a_picture_is_the_nearest_within_the_tolerance(tolerance_ms, wanted):
    log = Log(Made(), camera_tolerance_ns=tolerance_ms * MS)
    found = [frame.cameras["CAM_A"].time_ns // MS if "CAM_A" in frame.cameras else None for frame in log]
    assert found == wanted
    assert "CAM_B" not in log[0].cameras


def test_taking_a_picture_reads_it_once_and_listing_reads_none():
    log = Log(Made())
    cameras = log[0].cameras
    assert (list(cameras), len(cameras), "CAM_A" in cameras) == (["CAM_A"], 1, True)
    assert cameras.get("CAM_B") is None
    assert dict(log.reads) == {}
    assert cameras["CAM_A"] is cameras["CAM_A"]
    assert cameras["CAM_A"].decode().shape == (4, 6, 3)
    assert log.reads == {"camera/CAM_A": 1}


def test_a_camera_that_is_not_there_lists_those_that_are():
    with pytest.raises(KeyError) as caught:
        Log(Made())[0].cameras["CAM_Z"]
    assert caught.value.args == ("no camera 'CAM_Z' at this frame; there are CAM_A",)
    with pytest.raises(KeyError) as caught:
        Log(Made())[0].radars["FRONT"]
    assert caught.value.args == ("no radar 'FRONT' at this frame; there are none",)


def test_a_log_without_lidar_has_none():
    frame = Log(Made(lidars={}))[0]
    assert frame.lidar is None
    assert frame.sweeps(3) == []


def test_labels_are_asked_for_once_also_where_there_are_none():
    log = Log(Made())
    first = log[0]
    assert (first.labels, first.labels) == (None, None)
    assert log.reads == {"labels": 1}
    assert len(log[1].labels) == 0


def test_the_map_is_read_once_per_log():
    log = Log(Made())
    assert [frame.map for frame in log] == [None] * 4
    assert log.reads == {"map": 1}


def test_an_unknown_sensor_lists_those_there_are():
    with pytest.raises(MissingRecord) as caught:
        Log(Made())[0].sweeps(1, "BOTTOM")
    assert str(caught.value) == "made/drive: no sensor 'BOTTOM'; the log has TOP, SIDE"
    with pytest.raises(MissingRecord) as caught:
        Log(Made(radars={}))[0].radar_sweeps(1, "BOTTOM")
    assert str(caught.value) == "made/drive: no sensor 'BOTTOM'; the log has none"


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"times_ns": times()}, "no frames in this made log"),
        (
            {"times_ns": times(0, 5, 5)},
            "the times of frames must increase: 5000000 ns is followed by 5000000 ns",
        ),
        (
            {"cameras": {"CAM_A": times(3, 2)}},
            "the times of CAM_A must increase: 3000000 ns is followed by 2000000 ns",
        ),
        ({"lidars": {"TOP": np.array([0.5])}}, "the times of TOP are float64, wanted int64 nanoseconds"),
    ],
)
def test_a_source_whose_times_are_wrong_is_refused(changed, wanted):
    with pytest.raises(LogError) as caught:
        Log(Made(**changed))
    assert str(caught.value) == f"made/drive: {wanted}"


def test_an_index_is_a_whole_number():
    log = Log(Made())
    assert log[np.int64(-1)].index == 3
    for index in ("0", 1.0, slice(2)):
        with pytest.raises(TypeError):
            log[index]


def test_info_counts_records_and_rates():
    info = Log(Made()).info()
    assert info["lidars"]["TOP"] == {"records": 4, "rate_hz": 10.0}
    assert info["cameras"]["CAM_B"] == {"records": 1, "rate_hz": None}
    assert (info["frames"], info["start_ns"], info["sequential"]) == (4, 0, True)
    assert info["duration_s"] == pytest.approx(0.3)


def test_sync_tells_which_cameras_belong_to_a_frame_and_how_far_off_they_are():
    image = {"intrinsics": np.eye(3), "ego_from_camera": np.eye(4), "read": lambda: b""}
    cameras = [CameraImage("front", t, **image) for t in (80, 130)] + [CameraImage("back", 300, **image)]
    source = memory_log(cameras=cameras, times_ns=[100]).source
    nearest = Log(source, camera_tolerance_ns=50)[0].sync("cameras")
    assert nearest.sensors == ("front", "back")
    assert nearest.valid.tolist() == [1, 0]
    assert nearest.dt_ns.tolist() == [-20, 0]
    assert Log(source, camera_tolerance_ns=10)[0].sync("cameras").valid.tolist() == [0, 0]
    assert Log(source, camera_tolerance_ns=300)[0].sync("cameras").dt_ns.tolist() == [-20, 200]
    before = Log(source, camera_tolerance_ns=300, camera_sync="before")[0]
    assert before.sync("cameras").valid.tolist() == [1, 0]
    assert list(before.cameras) == ["front"]


def test_a_log_that_skips_leaves_broken_records_out_and_tells():
    good = LidarSweep("top", 10, np.eye(4), *np.zeros((3, 2), np.float32))
    source = memory_log([good, LidarSweep("top", 20, np.eye(4), *np.zeros((3, 2), np.float32))]).source

    def read_lidar(sensor, index):
        if index == 1:
            raise BrokenRecord("0001.bin: cut short")
        return good

    source.read_lidar = read_lidar
    with pytest.raises(BrokenRecord, match=r"^0001.bin: cut short$"):
        Log(source)[1].sweeps()
    log = Log(source, on_error="skip")
    assert [sweep.time_ns for sweep in log[1].sweeps(2)] == [10]
    assert log.skipped == ["lidar/top 1: 0001.bin: cut short"]


class Torn(Made):
    """Made, with a sweep that is missing, a radar cycle without pose, a broken map and labels."""

    def read_lidar(self, sensor, index):
        if (sensor, index) == ("TOP", 1):
            raise MissingRecord("0001.bin: no such file; the sweep is missing")
        return super().read_lidar(sensor, index)

    def read_radar(self, sensor, index):
        raise PoseUnknown("no pose at 10 ns")

    def read_labels(self, time_ns):
        raise BrokenRecord("boxes.json: not JSON")

    def read_map(self):
        raise BrokenRecord("map.json: cut short")


def test_a_log_that_skips_goes_on_without_missing_records_labels_and_map():
    log = Log(Torn(), on_error="skip")
    for _ in range(2):
        assert stamps(log[1].sweeps(2)) == [("SIDE", 100), ("SIDE", 50), ("TOP", 0)]
        assert (log[1].labels, log[1].map, log[1].radar_sweeps()) == (None, None, [])
    assert log.skipped == [
        "lidar/TOP 1: 0001.bin: no such file; the sweep is missing",
        "labels 100000000: boxes.json: not JSON",
        "map: map.json: cut short",
        "radar/FRONT 1: no pose at 10 ns",
    ]
    strict = Log(Torn())[1]
    for read in (strict.sweeps, lambda: strict.labels, lambda: strict.map, strict.radar_sweeps):
        with pytest.raises(LogError):
            read()


def test_a_library_that_is_not_installed_is_no_broken_record():
    class Locked(Made):
        def read_lidar(self, sensor, index):
            raise LogError("reading these needs lib: pip install 'perceptum[lib]'")

    with pytest.raises(LogError, match="pip install"):
        _ = Log(Locked(), on_error="skip")[0].lidar


def test_a_picture_that_does_not_decode_is_skipped_and_told_where_the_log_skips():
    image = {"intrinsics": np.eye(3), "ego_from_camera": np.eye(4)}
    source = memory_log(cameras=[CameraImage("front", 100, read=lambda: b"no picture", **image)], times_ns=[100]).source
    log = Log(source, on_error="skip")
    assert log.pixels(log[0].cameras["front"]) is None
    assert len(log.skipped) == 1
    assert log.skipped[0].startswith("camera/front at 100 ns: front: not a complete picture")
    with pytest.raises(BrokenRecord):
        Log(source).pixels(Log(source)[0].cameras["front"])
    good = Log(Made(), on_error="skip")
    assert good.pixels(good[0].cameras["CAM_A"]).shape == (4, 6, 3)
    scratch = np.empty(72, np.uint8)
    part = good.pixels(good[0].cameras["CAM_A"], rows=(1, 2), scratch=scratch)
    np.testing.assert_array_equal(part, good[0].cameras["CAM_A"].decode(rows=(1, 2)))
    assert good.pixels(good[0].cameras["CAM_A"], reduce=2).shape == (2, 3, 3)
    assert np.shares_memory(part, scratch)


def test_records_out_of_order_are_left_out_and_told_where_the_log_skips():
    top = times(0, 100, 100, 200, 9000, 50, 300)
    log = Log(Made(lidars={"TOP": top}, times_ns=top), on_error="skip")
    assert log.source.times_ns.tolist() == times(0, 100, 200, 300).tolist()
    assert log.skipped == [
        f"{name} {i}: its time, {ms * MS} ns, is out of order among those around it"
        for name in ("frames", "lidar/TOP")
        for i, ms in ((2, 100), (4, 9000), (5, 50))
    ]
    # record i of the log is the record of the source that was kept
    assert [(int(s.x[0]), s.time_ns) for s in log[3].sweeps(4)] == [(6, 300 * MS), (3, 200 * MS), (1, 100 * MS), (0, 0)]


def test_frames_that_are_kept_keep_their_names():
    top = times(0, 100, 100, 200)
    log = Log(Made(lidars={"TOP": top}, times_ns=top, ids=["a", "b", "c", "d"]), on_error="skip")
    assert [frame.id for frame in log] == ["a", "b", "d"]
    assert [frame.id for frame in Log(Made())] == [str(t) for t in times(0, 100, 200, 300)]


def test_names_that_cannot_be_read_spoil_no_frame_where_the_log_skips():
    class Nameless(Made):
        @property
        def ids(self):
            raise BrokenRecord("ids.arrow: cut short")

    log = Log(Nameless(), on_error="skip")
    assert [frame.id for frame in log] == [str(t) for t in times(0, 100, 200, 300)]
    assert log.skipped == ["ids: ids.arrow: cut short"]
    with pytest.raises(BrokenRecord):
        _ = Log(Nameless())[0].id


@given(st.lists(st.integers(-5, 12), max_size=12))
def test_as_many_times_as_possible_are_kept(given_times):
    kept = kept_of(np.array(given_times, dtype=np.int64))
    found = np.array(given_times)[kept]
    assert (np.diff(found) > 0).all()
    assert (np.diff(kept) > 0).all()
    best = [1] * len(given_times)
    for i, time in enumerate(given_times):
        best[i] = 1 + max((best[j] for j in range(i) if given_times[j] < time), default=0)
    assert len(kept) == max(best, default=0)


def test_a_lidar_or_radar_that_fell_silent_is_left_out_of_the_frame():
    log = Log(Made(), sweep_tolerance_ns=60 * MS)
    assert stamps(log[2].sweeps()) == [("TOP", 200)]
    assert stamps(Log(Made())[2].sweeps()) == [("TOP", 200), ("SIDE", 100)]
    sync = log[2].sync("lidars")
    assert (sync.valid.tolist(), sync.dt_ns.tolist()) == ([1, 0], [0, 0])
    assert Log(Made())[2].sync("lidars").dt_ns.tolist() == [0, -100 * MS]
    assert list(log[1].radars) == ["FRONT"]
    assert list(Log(Made(), sweep_tolerance_ns=5 * MS)[1].radars) == []


def test_rules_of_a_log_are_checked():
    source = memory_log(times_ns=[1]).source
    with pytest.raises(LogError, match=r"^camera_sync must be 'nearest' or 'before', got 'after'$"):
        Log(source, camera_sync="after")
    with pytest.raises(LogError, match=r"^on_error must be 'raise' or 'skip', got 'ignore'$"):
        Log(source, on_error="ignore")


def test_a_frame_can_be_sent_to_another_process_and_reads_there_for_itself():
    sweep = LidarSweep("top", 10, np.eye(4), *np.arange(6, dtype=np.float32).reshape(3, 2))
    frame = memory_log([sweep])[0]
    frame.sweeps()
    sent = pickle.loads(pickle.dumps(frame))
    assert (sent.index, sent.time_ns) == (0, 10)
    assert sent.sweeps()[0].x.tolist() == [0, 1]


def test_a_message_is_one_printable_line_whatever_a_file_calls_its_things():
    error = MissingRecord("log/a.parquet: no column x; it has \nk\x1b[31my, \u2028Stra\xdfe")
    assert str(error) == "log/a.parquet: no column x; it has \\nk\\x1b[31my, \\u2028Stra\xdfe"
    sent = pickle.loads(pickle.dumps(error))
    assert (type(sent), str(sent)) == (MissingRecord, str(error))
    assert str(LogError()) == ""


def test_radar_cycles_can_be_every_second_one_or_those_of_frames():
    frame = Log(Made())[3]
    assert stamps(frame.radar_sweeps(9, "FRONT")) == [("FRONT", t) for t in (250, 170, 90, 10)]
    assert stamps(frame.radar_sweeps(2, "FRONT", step=2)) == [("FRONT", t) for t in (250, 90)]
    # the newest at 300, 200 and 100 ms; at 0 there was none yet
    assert stamps(frame.radar_sweeps(9, "FRONT", keyframes=True)) == [("FRONT", t) for t in (250, 170, 90)]
    ranked = [(rank, *stamps([cycle])[0]) for rank, cycle in frame.ranked_radar_sweeps(2)]
    assert ranked == [(0, "BACK", 290), (0, "FRONT", 250), (1, "FRONT", 170)]
    with pytest.raises(ValueError, match=r"^step must be 1 or more, got 0$"):
        frame.radar_sweeps(1, step=0)
    with pytest.raises(MissingRecord, match="no sensor 'SIDE'; the log has FRONT, BACK"):
        frame.radar_sweeps(1, "SIDE")


@pytest.mark.parametrize("read", [Frame.sweeps, Frame.radar_sweeps], ids=["lidar", "radar"])
@pytest.mark.parametrize("at_hand", ["in memory", "kept by the log", "read by the frame"])
def test_sweeps_that_are_at_hand_are_not_handed_to_other_threads(at_hand, read):
    """Waking a thread takes longer than to look at memory."""
    source = Made()
    source.in_memory = at_hand == "in memory"
    log = Log(source, cache_bytes=2**20 if at_hand == "kept by the log" else 0)
    frame = log[2]
    if at_hand != "in memory":
        read(frame, 2)
    if at_hand == "kept by the log":
        frame = log[2]
    handed = []
    found = read(frame, 2, each=lambda work, items: handed.extend(items))
    assert handed == []
    assert stamps(found) == stamps(read(Log(Made())[2], 2))


@pytest.mark.parametrize("read", [Frame.sweeps, Frame.radar_sweeps], ids=["lidar", "radar"])
def test_sweeps_that_wait_for_a_file_are_read_side_by_side(read):
    handed = []

    def each(work, items):
        handed.extend(items)
        for item in reversed(items):
            work(item)

    frame = Log(Made())[2]
    found = read(frame, 2, each=each)
    assert len(handed) == len(found) >= 2
    assert sum(frame.log.reads.values()) == len(found)
    assert stamps(found) == stamps(read(Log(Made())[2], 2))
