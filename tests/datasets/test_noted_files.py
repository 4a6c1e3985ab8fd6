"""Files by which a cache sees that a log is as it was: none of them may change, come or go without being noticed."""

import os
import random
from pathlib import Path

import pytest

from perceptum.builders.cache.answers import answers_of
from perceptum.builders.cache.bundle import Answer, Head
from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.inputs import LogError, opened
from perceptum.inputs.source import opens_noted, sensor_streams

SMALL = {"frames": 2, "seed": 1, "beams": 4, "azimuth_steps": 90, "image_size": (40, 24)}
NOTED = [
    *("kitti", "argoverse2", "argoverse2_forecasting", "kitti_odometry", "kitti_raw", "view_of_delft", "aimotive"),
    *("waymo_v2", "nuscenes", "store", "waymo_motion"),
]


@pytest.fixture
def store(tmp_path):
    convert(open_log("synthetic", **SMALL), tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture(params=NOTED)
def folder(request, monkeypatch):
    path = request.getfixturevalue(request.param)
    # what was read to make it, next to it, is gone
    monkeypatch.setattr(opened, "_nobodys", {opened._FOLDERS: opened._NONE})
    return path


@pytest.fixture(autouse=True)
def by_time_of_writing(monkeypatch):
    """A test sets the time of writing back, which nobody can do with the time of the last change; see the next one."""
    monkeypatch.setattr(opened, "_SETTLED_NS", 0)
    # what other tests opened for no log in particular lies beside this one's
    monkeypatch.setattr(opened, "_nobodys", {opened._FOLDERS: opened._NONE})
    usual = opened._state
    monkeypatch.setattr(opened, "_state", lambda status: usual(status)._replace(changed_ns=0))


def asks_of(log):
    """Returns all that stages can ask of a log's records."""
    asks = [
        ("source", "lidars"),
        ("source", "radars"),
        ("source", "cameras"),
        ("poses",),
        ("map",),
        *(("signal", name) for name in log.signals),
    ]
    for kind, sensor, times in sensor_streams(log.source):
        for index in range(min(len(times), 3)):
            asks.append((kind, sensor, index))
            if kind == "camera":
                asks.append(("picture", sensor, index))
            if kind == "lidar" and log.lidar(sensor, index).point_labels is not None:
                asks.append(("point labels", sensor, index))
    return [*asks, *(("labels", frame.time_ns) for frame in log)]


def answered(log, ask):
    """Returns what stands for an answer, or for why there is none."""
    try:
        with log.opened.reading("source"):
            return answers_of(log).digest(ask, log[0], False)
    except LogError as error:
        return type(error).__name__


def head_of(log):
    answers = answers_of(log)
    return Head("", 0, 0, log.opening, answers.reader, answers.streams, answers.shared(), (), (), {})


def test_no_file_changes_an_answer_unseen(folder):
    log = open_log(folder)
    assert opens_noted(log.source)
    with log.opened.reading("source"):
        asks = asks_of(log)
    # of a log that is already in use, in another order than the next process has
    log = open_log(folder)
    noted = {}
    for ask in random.Random(0).sample(asks, len(asks)):
        digest = answered(log, ask)
        noted[ask] = head_of(log), Answer(ask, digest, answers_of(log).files(ask))
    assert any(answer.files is not None for _, answer in noted.values())
    root = folder if folder.is_dir() else folder.parent
    for path in two_of_a_kind(root):
        for change in (flip, remove):
            times = os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns
            above = os.stat(path.parent).st_atime_ns, os.stat(path.parent).st_mtime_ns
            whole = path.read_bytes()
            change(path, whole)
            try:
                assert_seen(folder, noted, path)
            finally:
                if not path.exists():
                    os.rename(path.with_name("taken-away"), path)
                with path.open("r+b") as file:
                    file.write(whole)
                os.utime(path, ns=times)
                os.utime(path.parent, ns=above)
    # and as it was, all is known without reading
    log = open_log(folder)
    answers = answers_of(log)
    for head, answer in noted.values():
        assert answer.files is None or answers.same_reader(head)


def two_of_a_kind(root):
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        # tables, and other files of which each is of its own kind, all
        kind = (path.parent, path.suffix) if path.stem[-1:].isdigit() else path
        found.setdefault(kind, []).append(path)
    return [path for paths in found.values() for path in paths[:2]]


def assert_seen(folder, noted, path):
    try:
        log, other = open_log(folder), open_log(folder)
    except LogError:
        return
    for ask, (head, answer) in noted.items():
        answers = answers_of(log)
        # who asks for a picture has asked for its camera's record, and for its lidar's who asks for points' labels
        record = {"picture": ("camera", *ask[1:]), "point labels": ("lidar", *ask[1:])}.get(ask[0], ask)
        both = [(head, answer), noted[record]]
        # and the number of a record comes from its sensor's times, which are compared themselves
        times = ("source", f"{record[0]}s")
        if record[0] in ("lidar", "radar", "camera") and answered(log, times) != noted[times][1].digest:
            continue
        if all(answers.by_files(answer, log[0], answers.same_reader(head)) for head, answer in both):
            assert answered(other, ask) == answer.digest, f"{ask} changed with {path}, unseen"


def flip(path: Path, whole: bytes) -> None:
    at = len(whole) // 2
    # a digit stays a digit, so that a text is read on
    other = bytes([49 + (whole[at] - 48 + 1) % 9]) if whole[at : at + 1].isdigit() else bytes([whole[at] ^ 1])
    status = os.stat(path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def remove(path: Path, whole: bytes) -> None:
    os.rename(path, path.with_name("taken-away"))
