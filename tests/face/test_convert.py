"""perceptum convert: whole or not at all, goes on where it stopped, the same bytes however it was done."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptum.convert import convert
from perceptum.datasets import memory_log, open_log
from perceptum.errors import UsageError
from perceptum.inputs import BrokenRecord, CameraImage, LidarSweep, LogError, NotALog
from perceptum.inputs.store import StoreSource

SMALL = "synthetic:frames=4,beams=8,azimuth_steps=64,image_size=32x24"
LONG = "synthetic:frames=40,beams=16,azimuth_steps=300,image_size=160x90"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def sweep(time_ns, **columns):
    xyz = {axis: np.arange(4, dtype=np.float64) + time_ns for axis in "xyz"}
    return LidarSweep("L", time_ns, np.eye(4), **xyz | columns)


def test_a_log_is_converted_and_told_in_a_line(command):
    done = command("convert", SMALL, "store")
    assert done.status == 0
    assert done.out.startswith("store: ")
    assert "records" in done.out
    assert done.err == ""
    assert command("info", "store", "--json").json["store"]["dataset"] == "synthetic"
    assert sorted(path.name for path in Path().iterdir()) == ["store"]


def test_json_tells_what_was_done(command):
    done = command("convert", SMALL, "store", "--json", "--compression", "zstd").json
    assert done["path"] == "store"
    assert (done["resumed"], done["skipped"]) == (0, [])
    assert done["records"] == sum(s.count for s in open_log("store").source.index.streams)


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    convert(SMALL, tmp_path / "one", shard_seconds=0.2)
    convert(SMALL, tmp_path / "two", shard_seconds=0.2, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_store_that_is_there_is_left_alone(refusal, command):
    command("convert", SMALL, "store")
    status, says = refusal("convert", SMALL, "store")
    assert (status, says) == (2, "store: already exists; name another folder, or replace it with --overwrite")


@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_overwrite_replaces_a_store_and_nothing_else(command, refusal, way, monkeypatch):
    if way == "two renames":
        monkeypatch.setattr("perceptum.exchange.exchanged", lambda one, other: False)
    command("convert", SMALL, "store")
    assert command("convert", SMALL.replace("frames=4", "frames=2"), "store", "--overwrite").status == 0
    assert len(open_log("store")) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["store"]
    Path("link").symlink_to("store")
    assert command("convert", SMALL, "link", "--overwrite").status == 0
    assert (len(open_log("link")), len(open_log("store"))) == (4, 2)
    assert sorted(path.name for path in Path().iterdir()) == ["link", "store"]
    Path("precious").mkdir()
    status, says = refusal("convert", SMALL, "precious", "--overwrite")
    assert (status, says) == (2, "precious: is not a store, so --overwrite leaves it alone; name another folder")


def test_a_store_can_be_written_over_itself(tmp_path):
    convert(SMALL, tmp_path / "store")
    x = open_log(tmp_path / "store")[0].lidar.x.copy()
    convert(tmp_path / "store", tmp_path / "store", compression="zstd", overwrite=True)
    assert open_log(tmp_path / "store")[0].lidar.x.tobytes() == x.tobytes()


def test_a_source_that_is_no_log_leaves_nothing_behind(refusal):
    Path("empty").mkdir()
    status, says = refusal("convert", "empty", "store")
    assert status == 2
    assert says.startswith("empty: no log of a format we know")


def test_a_place_that_cannot_be_written_is_told(refusal):
    Path("file").write_text("")
    assert refusal("convert", SMALL, "file/store") == (2, "cannot write file/store: file is a file; name a folder")
    status, says = refusal("convert", SMALL, "/proc/store")
    assert status == 2
    assert says.startswith("cannot write /proc/store.part: ")


def test_a_folder_of_another_that_stands_in_the_way_is_left_alone(refusal):
    Path("store.part").mkdir()
    Path("store.part/thesis.txt").write_text("")
    status, says = refusal("convert", SMALL, "store")
    assert (status, says) == (2, "store.part: is not an unfinished conversion; move it away, or name another folder")


class Stop(Exception):
    pass


def stop_after(count):
    """A progress bar that ends the conversion after so many shards."""

    def track(items, what, total):
        for number, item in enumerate(items):
            if what == "converting" and number == count:
                raise Stop
            yield item

    return track


def test_an_interrupted_conversion_is_no_log_and_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(Stop):
        convert(SMALL, tmp_path / "store", shard_seconds=0.2, track=stop_after(5))
    assert not (tmp_path / "store").exists()
    said = r"an unfinished conversion of street-0 \(synthetic\); run the same `perceptum convert` again to finish it$"
    for kind in (None, "store"):
        with pytest.raises(NotALog, match=rf"^{tmp_path}/store\.part: {said}"):
            open_log(tmp_path / "store.part", format=kind)
    with pytest.raises(NotALog, match=rf"^{tmp_path}/store: no such folder yet; {tmp_path}/store\.part is {said}"):
        open_log(tmp_path / "store")
    done = convert(SMALL, tmp_path / "store", shard_seconds=0.2)
    assert done.resumed in (5, 6)
    convert(SMALL, tmp_path / "whole", shard_seconds=0.2)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_finished_shard_whose_bytes_changed_is_written_anew(tmp_path):
    with pytest.raises(Stop):
        convert(SMALL, tmp_path / "store", shard_seconds=0.2, track=stop_after(5))
    shard = tmp_path / "store.part" / "lidar" / "LIDAR_TOP" / "0000.arrow"
    broken = bytearray(shard.read_bytes())
    broken[len(broken) // 2] ^= 1
    shard.write_bytes(bytes(broken))
    assert convert(SMALL, tmp_path / "store", shard_seconds=0.2).resumed in (4, 5)
    convert(SMALL, tmp_path / "whole", shard_seconds=0.2)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_log_that_has_changed_does_not_go_on_with_what_was_begun(tmp_path):
    with pytest.raises(Stop):
        convert(SMALL, tmp_path / "store", track=stop_after(1))
    with pytest.raises(
        LogError, match=r"\(other times or ids of lidar/LIDAR_TOP, radar/\w+, \S+, \.\.\., as of a log that"
    ):
        convert(SMALL.replace("frames=4", "frames=5"), tmp_path / "store")


def test_another_conversion_does_not_go_on_with_this_ones_shards(tmp_path):
    with pytest.raises(Stop):
        convert(SMALL, tmp_path / "store", shard_seconds=0.2, track=stop_after(5))
    for log, options, said in (
        (SMALL, {"shard_seconds": 0.3}, "shard seconds 0.2 there, 0.3 here"),
        (
            SMALL,
            {"shard_seconds": 0.2, "compression": "lz4", "float16": True},
            "compression none there, lz4 here; float16 no there, yes here",
        ),
        (f"{SMALL},seed=1", {"shard_seconds": 0.2}, "of street-0 (synthetic) there, of street-1 (synthetic) here"),
    ):
        with pytest.raises(LogError) as caught:
            convert(log, tmp_path / "store", **options)
        assert str(caught.value) == (
            f"{tmp_path}/store.part: holds the beginning of another conversion ({said}); finish that with its own "
            "options, or start again with --overwrite"
        )
    done = convert(SMALL, tmp_path / "store", shard_seconds=0.3, overwrite=True)
    assert done.resumed == 0
    convert(SMALL, tmp_path / "whole", shard_seconds=0.3)
    assert open_log(tmp_path / "store")[3].lidar.x.tobytes() == open_log(tmp_path / "whole")[3].lidar.x.tobytes()


def test_two_conversions_do_not_write_to_one_place(tmp_path):
    (tmp_path / "store.part").mkdir()
    held = os.open(tmp_path / "store.part", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="another conversion is writing there; wait for it, or name another"):
        convert(SMALL, tmp_path / "store")
    os.close(held)


def start(*words, cwd, **options):
    command = [sys.executable, "-m", "perceptum", "convert", *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def wait_for(condition, process):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def finished(folder):
    return list((folder / "store.part" / "unfinished").glob("*.index"))


def children(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(word) for word in listed.read_text().split()] if listed.exists() else []


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def assert_gone(pids):
    """The processes end, if not at once then soon."""
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))


@pytest.fixture
def whole(once):
    """The store of the long log, with shards of half a second, written without a stop."""
    return once("whole", lambda folder: convert(LONG, folder / "store", shard_seconds=0.5, workers=2)) / "store"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_conversion_leaves_no_log_and_no_process_and_goes_on(tmp_path, whole, workers):
    words = (LONG, "store", "--shard-seconds", "0.5", "--workers", workers)
    process = start(*words, cwd=tmp_path)
    wait_for(lambda: len(finished(tmp_path)) >= 5, process)
    below = children(process)
    process.kill()
    process.wait()
    assert_gone(below)
    assert not (tmp_path / "store").exists()
    with pytest.raises(NotALog):
        open_log(tmp_path / "store.part")
    done = convert(LONG, tmp_path / "store", shard_seconds=0.5)
    assert done.resumed >= 5
    assert contents(tmp_path / "store") == contents(whole)


def test_a_stop_says_how_to_go_on(command, monkeypatch):
    import perceptum.convert

    def write(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(perceptum.convert, "convert", write)
    # what a process keeps of its one signal
    monkeypatch.setattr("perceptum.cli._status", [])
    before = signal.getsignal(signal.SIGTERM)
    done = command("convert", SMALL, "store")
    signal.signal(signal.SIGTERM, before)
    assert (done.status, done.err) == (143, "store: not finished; run it again to go on where it stopped\n")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_it_in_a_line_with_all_its_processes(tmp_path, workers):
    process = start(LONG, "store", "--shard-seconds", "0.5", "--workers", workers, cwd=tmp_path)
    wait_for(lambda: len(finished(tmp_path)) >= 2, process)
    below = children(process)
    # as a terminal does: to the whole group
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip().splitlines()[-2:] == [
        "store: not finished; run it again to go on where it stopped",
        "perceptum: interrupted",
    ]
    assert "Traceback" not in said
    assert_gone(below)
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_in_a_line(tmp_path):
    process = start(LONG, "store", "--shard-seconds", "0.5", "--workers", 2, cwd=tmp_path)
    wait_for(lambda: len(finished(tmp_path)) >= 2, process)
    # the last child is a worker; the first is multiprocessing's own
    os.kill(children(process)[-1], signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == (
        "perceptum: store.part: a worker process was killed, perhaps for lack of memory; "
        "run again to go on, with fewer --workers\n"
    )


@pytest.mark.slow
def test_a_full_disk_is_a_line_and_what_is_finished_stays(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = start(LONG, "store", "--workers", "2", cwd=tmp_path, preexec_fn=small_files)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith("perceptum: store.part/")
    assert said.endswith(": cannot be written (File too large)\n")
    assert not (tmp_path / "store").exists()
    assert convert(LONG, tmp_path / "store").path == str(tmp_path / "store")
    assert [path.name for path in (tmp_path / "store").rglob(".*")] == []


def test_a_full_disk_here_is_told_with_the_file(tmp_path, monkeypatch):
    import errno

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        LogError, match=r"store\.part/calibration\.arrow: cannot be written \(No space left on device\)"
    ):
        convert(SMALL, tmp_path / "store")


def broken_log():
    def lost():
        raise BrokenRecord("cam.jpg: cut short")

    pictures = [CameraImage("C", t, np.eye(3), np.eye(4), lost if t == 2 else lambda: b"jpeg") for t in (1, 2, 3)]
    return memory_log([sweep(t) for t in (1, 2, 3)], cameras=pictures)


def test_a_broken_record_stops_the_conversion_and_names_itself(tmp_path):
    with pytest.raises(BrokenRecord, match=r"^cam\.jpg: cut short$"):
        convert(broken_log(), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_broken_record_can_be_left_out_and_is_told(tmp_path):
    with pytest.raises(BrokenRecord):
        convert(broken_log(), tmp_path / "store")
    done = convert(broken_log(), tmp_path / "store", on_error="skip")
    assert done.skipped == ["cam.jpg: cut short"]
    assert done.resumed == 1
    source = open_log(tmp_path / "store").source
    assert source.read_camera("C", 2).encoded == b"jpeg"
    with pytest.raises(BrokenRecord) as caught:
        source.read_camera("C", 1)
    assert str(caught.value) == (
        f"{tmp_path}/store: camera C record 1 was broken when the log was converted: cam.jpg: cut short"
    )


def test_skipped_records_are_counted_on_the_command_line(command, kitti):
    (kitti / "training" / "velodyne" / "000001.bin").write_bytes(b"cut")
    done = command("convert", kitti, "store")
    assert done.status == 1
    assert "3 bytes is not a multiple of 16" in done.err
    done = command("convert", kitti, "store", "--on-error", "skip")
    assert done.status == 0
    assert done.err.endswith("1 broken record was left out\n")
    assert command("info", "store", "--json").json["store"]["skipped_records"] == 1


def kitti_drive(folder, sweeps_s):
    """A drive of KITTI raw that stands still; the x of a sweep's only point is its number."""
    for name, suffix, seconds in (("velodyne_points", "bin", sweeps_s), ("oxts", "txt", np.arange(5) / 10)):
        (folder / name / "data").mkdir(parents=True)
        stamps = [f"2011-09-26 13:02:{second:012.9f}\n" for second in seconds]
        (folder / name / "timestamps.txt").write_text("".join(stamps))
        for number in range(len(seconds)):
            point = np.array([number, 0, 0, 0], "<f4").tobytes()
            packet = "49 8 " + "0 " * 28
            (folder / name / "data" / f"{number:010}.{suffix}").write_bytes(
                point if suffix == "bin" else packet.encode()
            )
    (folder / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
    return folder


def test_a_sensor_without_times_is_named_by_check_and_can_be_left_out(command, tmp_path):
    drive = kitti_drive(tmp_path / "drive", [0, 0.1])
    (drive / "image_02" / "data").mkdir(parents=True)
    (drive / "image_02" / "data" / "0000000000.png").touch()
    said = f"{drive}/image_02/timestamps.txt: no such file; the records have no times"
    assert f"open: {said}\n" in command("check", drive).out
    done = command("convert", drive, "store", "--on-error", "skip")
    assert (done.status, f"skipped: {said}\n" in done.err) == (0, True)
    assert command("info", "store", "--json").json["cameras"] == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_records_out_of_order_are_named_by_check_and_can_be_left_out(command, tmp_path, workers):
    drive = kitti_drive(tmp_path / "drive", [0, 0.1, 0.1, 0.2, 59, 0.05, 0.3])
    assert command("check", drive).status == 1
    stopped = command("convert", drive, "store")
    assert (stopped.status, "the times of frames must increase" in stopped.err) == (1, True)
    done = command("convert", drive, "store", "--on-error", "skip", "--shard-seconds", 0.15, "--workers", workers)
    assert done.status == 0, done.err
    assert done.err.endswith("6 broken records were left out\n")
    assert "skipped: lidar/velodyne 4: its time, 1317042179000000000 ns, is out of order" in done.err
    log = open_log("store")
    assert [int(sweep.x[0]) for sweep in log[3].sweeps(4)] == [6, 3, 1, 0]
    assert command("info", "store", "--json").json["store"]["skipped"][0].startswith("frames 2: its time")


def test_a_library_that_is_not_installed_is_never_a_skipped_record(tmp_path):
    def locked():
        raise LogError("reading these needs lib: pip install 'perceptum[lib]'")

    log = memory_log([sweep(1)], cameras=[CameraImage("C", 1, np.eye(3), np.eye(4), locked)])
    with pytest.raises(LogError, match="pip install"):
        convert(log, tmp_path / "store", on_error="skip")


def test_float16_points_are_lossy_and_said_to_be(tmp_path, command):
    convert(memory_log([sweep(1, intensity=np.arange(4, dtype=np.float32))]), tmp_path / "store", float16=True)
    read = open_log(tmp_path / "store")[0].lidar
    assert {read.x.dtype, read.y.dtype, read.z.dtype} == {np.dtype(np.float16)}
    assert read.intensity.dtype == np.float32
    assert command("info", tmp_path / "store", "--json").json["store"]["lossy"] == "lidar x y z are float16"


def test_a_cloud_far_from_its_origin_is_not_made_float16_and_one_stray_point_is_no_matter(tmp_path):
    far = replace(sweep(1), x=np.full(4, 3000.0) + np.arange(4))
    with pytest.raises(BrokenRecord) as caught:
        convert(memory_log([far]), tmp_path / "store", float16=True)
    assert str(caught.value) == ("L: x is 3000 and more, where float16 has steps of 1 m and more; convert without it")
    stray = replace(sweep(1), x=np.array([1.0, 2.0, np.nan, 3000.0]))
    convert(memory_log([stray]), tmp_path / "stray", float16=True)
    assert open_log(tmp_path / "stray")[0].lidar.x[[0, 1, 3]].tolist() == [1, 2, 3000]


def test_a_point_that_float16_cannot_hold_is_refused_not_made_infinite(tmp_path):
    far = sweep(1, x=np.array([0.0, np.nan, np.inf, 70_000.0]))
    with pytest.raises(BrokenRecord, match=r"^L: x is 70000\.0, which float16 cannot hold; convert without it$"):
        convert(memory_log([far]), tmp_path / "store", float16=True)


def test_frames_keep_the_names_of_the_log_they_came_from(tmp_path):
    sweeps, store = [sweep(1), sweep(2)], tmp_path / "store"
    convert(memory_log(sweeps, ids=["000134", "\xdf/2"]), store)
    assert [frame.id for frame in open_log(store)] == ["000134", "\xdf/2"]
    assert (store / "ids.arrow").is_file()
    # and once more, from the store
    convert(open_log(store), tmp_path / "again")
    assert (tmp_path / "again" / "ids.arrow").read_bytes() == (store / "ids.arrow").read_bytes()
    (store / "ids.arrow").write_bytes(b"cut short")
    with pytest.raises(BrokenRecord, match=r"store/ids\.arrow: not a complete Arrow file .*; convert again$"):
        _ = open_log(store)[0].id
    convert(memory_log(sweeps), tmp_path / "times")
    assert [frame.id for frame in open_log(tmp_path / "times")] == ["1", "2"]
    assert not (tmp_path / "times" / "ids.arrow").exists()


def test_shards_are_cut_at_the_same_moments_for_every_sensor(tmp_path):
    second = 1_000_000_000
    log = memory_log([sweep(t * second) for t in (0, 1, 2, 7)], times_ns=[0, 5 * second])
    convert(log, tmp_path / "store", shard_seconds=2.5)
    assert [f.path for f in open_log(tmp_path / "store").source.index.files if f.path.startswith("lidar")] == [
        "lidar/L/0000.arrow",
        "lidar/L/0002.arrow",
    ]


def test_records_with_other_columns_than_their_neighbours_get_a_file_of_their_own(tmp_path):
    made = [sweep(1), sweep(2, ring=np.arange(4)), sweep(3), sweep(4, ring=np.arange(4, dtype=np.uint8))]
    convert(memory_log(made), tmp_path / "store")
    read = open_log(tmp_path / "store").source
    assert [file.path for file in read.index.files][:3] == [
        "lidar/L/0000.arrow",
        "lidar/L/0000-1.arrow",
        "lidar/L/0000-2.arrow",
    ]
    assert [None if s.ring is None else s.ring.dtype.name for s in (read.read_lidar("L", i) for i in range(4))] == [
        None,
        "int64",
        None,
        "uint8",
    ]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """An object store: s3:// addresses lead to a pyarrow file system of its own below a folder."""
    from pyarrow import fs

    from perceptum.convert import place as convert_place
    from perceptum.datasets import store

    (tmp_path / "bucket").mkdir()
    below = fs.SubTreeFileSystem(str(tmp_path / "bucket"), fs.LocalFileSystem())

    def found(url):
        return below, url.removeprefix("s3://")

    monkeypatch.setattr(convert_place, "filesystem_of", found)
    monkeypatch.setattr(store, "filesystem_of", found)
    return tmp_path / "bucket"


def test_a_log_is_converted_into_an_object_store_and_opened_there(bucket, tmp_path):
    convert(SMALL, "s3://drives/one")
    convert(SMALL, tmp_path / "local")
    assert contents(bucket / "drives" / "one") == contents(tmp_path / "local")
    log = open_log("s3://drives/one")
    assert isinstance(log.source, StoreSource)
    assert log.source.location == "s3://drives/one"
    assert log[1].lidar.x.tobytes() == open_log(tmp_path / "local")[1].lidar.x.tobytes()


def test_an_object_store_gets_its_index_last_and_a_second_run_goes_on(bucket, tmp_path):
    with pytest.raises(Stop):
        convert(SMALL, "s3://drives/one", shard_seconds=0.2, track=stop_after(5))
    with pytest.raises(LogError):
        open_log("s3://drives/one")
    assert convert(SMALL, "s3://drives/one", shard_seconds=0.2).resumed in (5, 6)
    with pytest.raises(UsageError, match="a store already exists here"):
        convert(SMALL, "s3://drives/one", shard_seconds=0.2)
    (bucket / "drives" / "one" / "notes.txt").write_text("mine")
    convert(SMALL, "s3://drives/one", overwrite=True)
    convert(SMALL, tmp_path / "local")
    left = contents(bucket / "drives" / "one")
    assert left.pop("notes.txt") == b"mine"
    assert left == contents(tmp_path / "local")
