"""A pipe, a device or a socket in place of any file of any dataset: refused at once, by name, or never opened."""

import re
import shutil

import pytest

from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.datasets.nuscenes.cache import open_index
from perceptum.inputs import LogError
from perceptum.inputs.source import ids_of

KINDS = ("pipe", "socket", "device")
FOLDERS = [
    "kitti",
    "kitti_odometry",
    "kitti_raw",
    "view_of_delft",
    "argoverse2",
    "argoverse2_forecasting",
    "nuscenes",
    "waymo_v2",
    "aimotive",
    "store",
]
# beside the log, and read with it
BESIDE = {"kitti_odometry": "poses/*.txt", "kitti_raw": "2011_09_26/calib_*.txt"}
# what nothing of a log is read from: a checksum for `check`, radar scans put together, a list of maps
NOT_READ = {
    "store": ("perceptum-index.xxh3_128",),
    "view_of_delft": ("radar_3frames", "radar_5frames"),
    "nuscenes": ("map.json", "maps"),
}


def everything(log):
    """Reads all that a log has, and returns what was wrong."""
    said = []

    def note(read):
        try:
            read()
        except LogError as error:
            said.append(str(error))

    source = log.source
    note(lambda: source.poses)
    note(source.read_map)
    note(lambda: ids_of(source))
    for name, times in source.lidars.items():
        for index in range(len(times)):
            note(lambda name=name, index=index: source.read_lidar(name, index))
    for name, times in source.radars.items():
        for index in range(len(times)):
            note(lambda name=name, index=index: source.read_radar(name, index))
    for name, times in source.cameras.items():
        for index in range(len(times)):
            note(lambda name=name, index=index: source.read_camera(name, index).decode())
    for time_ns in source.times_ns.tolist():
        note(lambda time_ns=time_ns: source.read_labels(time_ns))
    return said + [str(error) for error in getattr(source, "unreadable", ())] + [b.why for b in log.poses_or_none]


class Opened:
    """A log and its poses, where it has any."""

    def __init__(self, folder):
        log = open_log(folder, on_error="skip")
        self.source = log.source
        try:
            self.poses_or_none = self.source.poses.broken
        except LogError:
            self.poses_or_none = ()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_file_of_a_log_may_be_something_else(name, request, tmp_path, special):
    if name == "store":
        convert(str(request.getfixturevalue("kitti")), str(tmp_path / "store"))
        folder = tmp_path / "store"
    else:
        folder = request.getfixturevalue(name)
    whole = Opened(folder)
    assert everything(whole) == []
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    files += sorted(tmp_path.rglob(BESIDE[name])) if name in BESIDE else []
    # one of each folder and kind of name is enough; of a small log, all that is small
    chosen = {(path.parent, re.sub(r"\d+", "0", path.name)): path for path in files}
    chosen |= {("small", path): path for path in files if path.stat().st_size < 3000 and len(files) < 60}
    for number, path in enumerate(dict.fromkeys(chosen.values())):
        kind, kept = KINDS[number % 3], path.with_name("kept aside")
        shutil.move(path, kept)
        special(path, kind)
        try:
            said = everything(Opened(folder))
        except LogError as error:
            said = [str(error)]
        wanted = f"{path}: is a {kind}, wanted a file"
        assert all(len(line.splitlines()) == 1 for line in said)
        if not any(part in NOT_READ.get(name, ()) for part in path.parts):
            assert any(wanted in line for line in said), (path, said[:3])
        path.unlink()
        shutil.move(kept, path)


def test_a_pipe_in_place_of_a_kept_index_is_not_waited_for(nuscenes, special, tmp_path, monkeypatch):
    from perceptum.datasets.nuscenes import cache

    monkeypatch.setattr(cache, "SMALL_TABLES_BYTES", 0)
    tables, kept = next(nuscenes.glob("v1.0-*")), tmp_path / "kept"
    names = open_index(tables, kept).names
    for name in ("names.json", "record_start.npy"):
        special(next(kept.rglob(name)), "pipe")
        assert open_index(tables, kept).names == names
