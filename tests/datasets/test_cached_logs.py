"""What a cache gives of a log on disk: never what a changed file would change, and what nothing changed unread."""

from __future__ import annotations

import os
import shutil

import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs import opened

NAMES = ["lidar_voxels", "lidar_voxel_coords", "camera_images", "camera_intrinsics", "gt_boxes"]
LIDAR, PICTURES, LABELS = NAMES[:2], NAMES[2:4], NAMES[4:]


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files count as settled though they were written a moment ago."""
    monkeypatch.setattr(opened, "_SETTLED_NS", 0)
    # what other tests opened for no log in particular lies beside this one's
    monkeypatch.setattr(opened, "_nobodys", {opened._FOLDERS: opened._NONE})


class Cached:
    def __init__(self, folder, names=NAMES):
        self.names = names
        self.builder = InputBuilder(names, training=True, cache=folder)
        self.plain = InputBuilder(names, training=True)

    def build(self, path, **options):
        """Returns the names of what was built, and the log; what is found must be what is built."""
        stats = self.builder.cache.stats().features
        before = {name: one.misses for name, one in stats.items()}
        log = open_log(path, **options)
        found = self.builder.build(log[1])
        wanted = self.plain.build(open_log(path, **options)[1])
        for name, array in wanted.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
            assert found[name].tobytes() == array.tobytes(), name
        return [name for name in self.names if stats[name].misses > before.get(name, 0)], log


@pytest.fixture
def cached(tmp_path):
    return Cached(tmp_path / "tensors")


def test_only_what_a_file_is_of_is_built_again(cached, kitti):
    training = kitti / "training"
    assert cached.build(kitti)[0] == NAMES
    built, log = cached.build(kitti)
    assert (built, log.reads) == ([], {})
    frame = log[1].id
    labels = training / "label_2" / f"{frame}.txt"
    labels.write_text(labels.read_text().replace("3.69", "3.79"))
    assert cached.build(kitti)[0] == LABELS
    calibration = training / "calib" / f"{frame}.txt"
    calibration.write_text(calibration.read_text().replace("P2: 700", "P2: 710"))
    built, _ = cached.build(kitti)
    assert "camera_intrinsics" in built
    assert not set(built) & set(LIDAR)
    # and with all as it is now, nothing is read
    built, log = cached.build(kitti)
    assert (built, log.reads) == ([], {})


def test_a_file_that_is_changed_in_place_with_its_time_set_back_is_seen(cached, kitti):
    cached.build(kitti)
    sweep = next((kitti / "training").glob(f"velodyne/{open_log(kitti)[1].id}.bin"))
    times = os.stat(sweep).st_atime_ns, os.stat(sweep).st_mtime_ns
    whole = bytearray(sweep.read_bytes())
    # the exponent of the first point's x
    whole[2] ^= 0x80
    with sweep.open("r+b") as file:
        file.write(whole)
    os.utime(sweep, ns=times)
    assert set(cached.build(kitti)[0]) == set(LIDAR)


def test_files_of_the_same_content_are_the_same(cached, kitti, tmp_path):
    cached.build(kitti)
    for path in kitti.rglob("*.bin"):
        os.utime(path)
    built, log = cached.build(kitti)
    assert built == []
    # what was touched was read, to see that it is the same; the next time it is known
    assert log.reads
    built, log = cached.build(kitti)
    assert (built, log.reads) == ([], {})
    shutil.copytree(kitti, tmp_path / "elsewhere")
    built, log = cached.build(tmp_path / "elsewhere")
    assert built == []
    assert log.reads
    built, log = cached.build(tmp_path / "elsewhere")
    assert (built, log.reads) == ([], {})


def test_a_copy_that_differs_is_not_taken_for_the_other(cached, kitti, tmp_path):
    cached.build(kitti)
    shutil.copytree(kitti, tmp_path / "other" / "kitti")
    labels = tmp_path / "other" / "kitti" / "training" / "label_2" / f"{open_log(kitti)[1].id}.txt"
    labels.write_text(labels.read_text().replace("3.69", "3.99"))
    for _ in range(2):
        cached.build(tmp_path / "other" / "kitti")
        cached.build(kitti)


def test_options_of_a_reader_that_change_a_record_are_seen(tmp_path, nuscenes):
    names = ["radar_points"]
    builder, plain = InputBuilder(names, cache=tmp_path / "tensors"), InputBuilder(names)
    for option in ("none", "devkit", "none"):
        found, wanted = (one.build(open_log(nuscenes, radar_filter=option)[-1]) for one in (builder, plain))
        assert found["radar_points"].tobytes() == wanted["radar_points"].tobytes()


def test_labels_that_are_added_later_are_seen(tmp_path, argoverse2):
    cached = Cached(tmp_path / "tensors", ["lidar_points", "gt_boxes"])
    labels = argoverse2 / "annotations.feather"
    labels.rename(tmp_path / "annotations.feather")
    assert cached.build(argoverse2)[0] == ["lidar_points", "gt_boxes"]
    assert cached.build(argoverse2)[0] == []
    (tmp_path / "annotations.feather").rename(labels)
    assert cached.build(argoverse2)[0] == ["gt_boxes"]
    built, log = cached.build(argoverse2)
    assert (built, log.reads) == ([], {})


def test_an_open_log_goes_on_with_what_it_has_read(cached, kitti):
    """As without a cache: a record that the log keeps is not read again."""
    log = open_log(kitti)
    wanted = cached.plain.build(log[1])
    sweep = next((kitti / "training").glob(f"velodyne/{log[1].id}.bin"))
    whole = bytearray(sweep.read_bytes())
    whole[2] ^= 0x80
    sweep.write_bytes(whole)
    found = cached.builder.build(log[1])
    assert found["lidar_voxels"].tobytes() == wanted["lidar_voxels"].tobytes()
    # but another log does not take it for what the file says now
    assert set(cached.build(kitti)[0]) >= set(LIDAR)
    assert cached.build(kitti)[0] == []
    assert cached.builder.build(log[1])["lidar_voxels"].tobytes() == wanted["lidar_voxels"].tobytes()


def test_files_that_were_just_written_are_read_again(cached, kitti, monkeypatch):
    monkeypatch.setattr(opened, "_SETTLED_NS", 10**15)
    cached.build(kitti)
    built, log = cached.build(kitti)
    assert built == []
    assert log.reads
