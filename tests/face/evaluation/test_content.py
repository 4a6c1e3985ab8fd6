"""What a log holds is known without reading it, so that another one of the same name is noticed."""

from __future__ import annotations

import os
import shutil

import pytest

import perceptum as pc
from perceptum.evaluation.content import contents_of
from perceptum.inputs import Dataset


def content(path) -> str:
    return contents_of(pc.open_dataset(path), [0])[0]


def test_a_log_that_is_moved_or_copied_with_its_times_is_the_same(kitti, tmp_path):
    shutil.copytree(kitti, tmp_path / "copy")
    (tmp_path / "link").symlink_to(kitti)
    assert content(kitti) == content(tmp_path / "copy") == content(tmp_path / "link")
    # opened as one log, it is what it is among others
    assert contents_of(Dataset.of(pc.open_log(kitti)), [0])[0] == content(kitti)


@pytest.mark.parametrize("change", ["edited in place", "longer", "one more", "one less", "renamed"])
def test_a_file_that_is_not_as_it_was_is_noticed(kitti, change):
    before = content(kitti)
    file = kitti / "training" / "calib" / "000001.txt"
    status = file.stat()
    match change:
        case "edited in place":
            file.write_text(file.read_text().replace("700", "701"))
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        case "longer":
            file.write_text(file.read_text() + "\n")
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "one more":
            file.with_name("notes.txt").touch()
        case "one less":
            file.unlink()
        case "renamed":
            file.rename(file.with_name("000001.txt.old"))
    assert content(kitti) != before


def test_links_that_lead_back_end(kitti):
    (kitti / "training" / "back").symlink_to(kitti)
    (kitti / "training" / "self").symlink_to("self")
    assert len(content(kitti)) == 64


def test_a_made_up_log_is_what_it_is_made_with():
    small = "synthetic:frames=2,beams=8,azimuth_steps=60"
    one = contents_of(Dataset.of([pc.open_log(small), pc.open_log(f"{small},noise_m=0.5")]), [0, 1])
    assert one[0] != one[1]
    assert content(small) == one[0]
