"""What the frames of a log share: each record read once, whatever the threads, and safe from one frame's user."""

import os
import pickle
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perceptum.datasets import memory_log, open_log
from perceptum.inputs import BrokenRecord, CameraImage, HDMap, Labels, LidarSweep, Log, LogError, Poses, RadarSweep

STEP_NS = 100_000_000


class Slow:
    """Twenty frames with two lidars, a radar and two cameras, read slowly; `read` counts, `at_once` is the most side by
    side."""

    dataset, name, location, sequential = "slow", "drive", "slow/drive", True

    def __init__(self, frames=20, wait_s=0.0, broken=()):
        self.times_ns = np.arange(frames, dtype=np.int64) * STEP_NS
        self.lidars = {"TOP": self.times_ns, "SIDE": self.times_ns}
        self.radars = {"FRONT": self.times_ns}
        self.cameras = {"CAM_A": self.times_ns, "CAM_B": self.times_ns}
        self.wait_s, self.broken = wait_s, broken
        self.read, self.at_once, self._now, self._lock = Counter(), 0, 0, threading.Lock()

    def _count(self, *key):
        with self._lock:
            self.read[key] += 1
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        time.sleep(self.wait_s)
        with self._lock:
            self._now -= 1
        if key in self.broken:
            raise BrokenRecord(f"{key[0]} {key[-1]} is cut short")

    @property
    def poses(self):
        self._count("poses")
        return Poses.fixed(self.times_ns)

    def _xyz(self, index):
        return {axis: np.full(4, index, np.float32) for axis in "xyz"}

    def read_lidar(self, sensor, index):
        self._count("lidar", sensor, index)
        return LidarSweep(sensor, int(self.times_ns[index]), np.eye(4), **self._xyz(index))

    def read_radar(self, sensor, index):
        self._count("radar", sensor, index)
        return RadarSweep(sensor, int(self.times_ns[index]), np.eye(4), **self._xyz(index))

    def read_camera(self, camera, index):
        self._count("camera", camera, index)
        return CameraImage(
            camera, int(self.times_ns[index]), np.eye(3), np.eye(4), lambda: self._count("picture", camera, index)
        )

    def read_labels(self, time_ns):
        self._count("labels", time_ns)
        return Labels(time_ns, np.zeros((1, 7)), np.array(["car"]), np.array(["1"]))

    def read_map(self):
        self._count("map")
        return HDMap({}, None)


def test_the_sweeps_of_overlapping_windows_are_read_once_per_log():
    log = Log(Slow())
    for frame in log:
        assert [int(sweep.x[0]) for sweep in frame.sweeps(10, "TOP")] == list(
            range(frame.index, max(frame.index - 10, -1), -1)
        )
        frame.radar_sweeps(6)
        _ = frame.labels
    assert log.reads == {"lidar/TOP": 20, "radar/FRONT": 20, "labels": 20}
    assert sum(log.source.read.values()) == 60
    assert log[3].sweeps(2)[0] is log[4].sweeps(2, "TOP")[1]


def test_without_a_cache_a_frame_still_reads_each_record_once():
    log = Log(Slow(), cache_bytes=0)
    for frame in log:
        first = frame.sweeps(10, "TOP")
        assert all(a is b for a, b in zip(first, frame.sweeps(10, "TOP"), strict=True))
    assert log.reads == {"lidar/TOP": 155}
    assert len(log.cache) == 0


def test_a_frame_keeps_what_it_read_whatever_the_log_forgets():
    log = Log(Slow(), cache_bytes=3000)
    frame = log[19]
    first = frame.sweeps(10, "TOP")
    assert all(a is b for a, b in zip(first, frame.sweeps(10, "TOP"), strict=True))
    assert log.reads == {"lidar/TOP": 10}
    assert 0 < log.cache.nbytes <= 3000


def test_the_bound_is_an_option_of_a_log():
    assert open_log("synthetic", frames=1).cache.most_bytes == 512 * 2**20
    assert open_log("synthetic", frames=1, cache_bytes=5000).cache.most_bytes == 5000
    with pytest.raises(LogError, match=r"^cache_bytes must be 0 or more, got -5$"):
        open_log("synthetic", frames=1, cache_bytes=-5)


def test_a_broken_record_of_many_windows_is_read_and_reported_once():
    log = Log(Slow(broken=[("lidar", "TOP", 5)]), on_error="skip")
    assert [len(frame.sweeps(10, "TOP")) for frame in log] == [*range(1, 6), *range(5, 10), *[9] * 5, *[10] * 5]
    assert log.reads == {"lidar/TOP": 20}
    assert log.skipped == ["lidar/TOP 5: lidar 5 is cut short"]


def test_a_broken_record_is_read_again_where_it_is_an_error():
    log = Log(Slow(broken=[("lidar", "TOP", 5)]))
    for _ in range(2):
        with pytest.raises(BrokenRecord, match=r"^lidar 5 is cut short$"):
            log[5].sweeps()
    log.source.broken = ()
    assert len(log[5].sweeps()) == 2


LAZY = {
    "sweeps": lambda frame: frame.sweeps(1, "TOP")[0],
    "lidar": lambda frame: frame.lidar,
    "radars": lambda frame: frame.radars["FRONT"],
    "radar_sweeps": lambda frame: frame.radar_sweeps(1, "FRONT")[0],
    "cameras": lambda frame: frame.cameras["CAM_A"],
    "encoded": lambda frame: frame.cameras["CAM_A"].encoded,
    "labels": lambda frame: frame.labels,
    "map": lambda frame: frame.map,
    "world_from_ego": lambda frame: frame.world_from_ego,
}


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
@pytest.mark.parametrize("name", LAZY)
def test_whatever_is_lazy_in_a_frame_is_read_once_by_many_threads(name, cache_bytes):
    source = Slow(wait_s=0.01)
    for frame in Log(source, cache_bytes=cache_bytes).frames(0, 6):
        gate = threading.Barrier(8)

        def ask(_, frame=frame, gate=gate):
            gate.wait()
            return id(LAZY[name](frame))

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1
    assert set(source.read.values()) <= {1} or set(source.read) == {("poses",)}
    assert sum(source.read.values()) == {"map": 1, "world_from_ego": 1, "encoded": 12}.get(name, 6)


def test_different_records_of_a_frame_are_read_side_by_side():
    source = Slow(wait_s=0.2)
    frame = Log(source)[4]
    asks = [
        lambda: frame.sweeps(1, "TOP"),
        lambda: frame.sweeps(1, "SIDE"),
        lambda: frame.radars["FRONT"],
        lambda: frame.cameras["CAM_A"].encoded,
        lambda: frame.cameras["CAM_B"].encoded,
        lambda: frame.labels,
        lambda: frame.map,
        lambda: frame.world_from_ego,
    ]
    with ThreadPoolExecutor(len(asks)) as pool:
        list(pool.map(lambda ask: ask(), asks))
    assert source.at_once >= 6
    assert set(source.read.values()) == {1}


def test_two_frames_that_want_one_record_at_once_read_it_once():
    source = Slow(wait_s=0.05)
    log = Log(source)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda i: log[i].sweeps(10, "TOP"), range(9, 19)))
    assert set(source.read.values()) == {1}
    assert log.reads == {"lidar/TOP": 19}


def test_reads_and_skipped_records_are_counted_right_by_many_threads():
    source = Slow(frames=300, broken=[("lidar", "TOP", i) for i in range(0, 300, 3)])
    log = Log(source, on_error="skip", cache_bytes=0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: log[i % 300].sweeps(1, "TOP"), range(1200)))
    assert log.reads == {"lidar/TOP": 1200}
    assert len(log.skipped) == len(set(log.skipped)) == 100


@pytest.mark.parametrize(
    "record",
    [
        lambda frame: frame.lidar,
        lambda frame: frame.radars["FRONT"],
        lambda frame: frame.labels,
        lambda frame: frame.cameras["CAM_A"],
    ],
)
def test_one_frames_user_cannot_change_what_another_gets(record):
    log = Log(Slow())
    arrays = {name: value for name, value in vars(record(log[3])).items() if isinstance(value, np.ndarray)}
    assert arrays
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = array
    with pytest.raises(ValueError, match="read-only"):
        log[3].world_from_ego[0, 3] = 5


def test_a_view_of_a_mapped_store_is_kept_as_it_is(tmp_path):
    from perceptum.convert import convert

    convert(open_log("synthetic", frames=3, beams=8, azimuth_steps=90, image_size=(80, 48)), tmp_path / "store")
    log = open_log(tmp_path / "store")
    kept, again = log[2].sweeps(3), log[2].sweeps(3)
    assert all(a is b for a, b in zip(kept, again, strict=True))
    # no copy: the same memory as the reader's own views of the file
    assert np.shares_memory(kept[0].x, log.source.read_lidar("LIDAR_TOP", 2).x)


def test_records_from_memory_are_shared_and_a_picture_is_read_once():
    asked = []
    image = {"intrinsics": np.eye(3), "ego_from_camera": np.eye(4)}
    picture = CameraImage("CAM", STEP_NS, read=lambda: asked.append(1) or b"", **image)
    log = memory_log(cameras=[picture], times_ns=[STEP_NS - 5, STEP_NS, STEP_NS + 5])
    assert [frame.cameras["CAM"].encoded for frame in log] == [b""] * 3
    assert asked == [1]


def test_a_log_is_sent_without_what_it_remembers():
    log = memory_log([LidarSweep("top", 10, np.eye(4), *np.zeros((3, 50_000), np.float32))])
    log.source.read_map = None
    log[0].sweeps()
    log.cache.get("mine", lambda: np.zeros(10**6))
    _ = vars(log).setdefault("map", np.zeros(10**6))
    frame = pickle.loads(pickle.dumps(log[0]))
    assert len(pickle.dumps(log)) < 700_000
    assert (len(frame.log.cache), frame.log.cache.most_bytes) == (0, log.cache.most_bytes)
    assert "map" not in vars(frame.log)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_what_another_thread_was_reading():
    source = Slow(wait_s=0.5)
    log = Log(source)
    frame = log[3]
    thread = threading.Thread(target=lambda: (frame.sweeps(1, "TOP"), frame.labels))
    thread.start()
    while not source.read:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        source._lock = threading.Lock()
        os._exit(0 if len(frame.sweeps(2, "TOP")) == 2 and len(log[3].sweeps(1, "TOP")) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
