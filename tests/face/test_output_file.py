"""Files appear whole or not at all, and where none can be written that is said before any work is done."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from perceptum.errors import UsageError
from perceptum.output_file import whole_file
from perceptum.picture import Picture
from perceptum.results import ResultsWriter
from perceptum.tensors import write_tensors


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as error, whole_file(path):
        pytest.fail("nothing may be written there")
    return str(error.value)


def fail_with(error: type[BaseException], *_: object) -> None:
    raise error


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as beside:
        beside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_keeps_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as beside:
        fail_with(error, beside.write_text("hal"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_the_files_name(tmp_path):
    with pytest.raises(OSError, match="No space left on device") as error, whole_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "Error writing bytes to file")
    assert error.value.filename == str(tmp_path / "a.txt")


def test_a_folder_is_refused(tmp_path):
    assert refused(tmp_path) == f"cannot write {tmp_path}: it is a folder; name a file"


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "no" / "a.txt"
    assert refused(path) == f"cannot write {path}: there is no folder {path.parent}"


def test_a_file_is_no_folder_to_write_into(tmp_path):
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file" / "a.txt").endswith(f"there is no folder {tmp_path / 'file'}")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refused(path) == f"cannot write {path}: it is not a regular file; name another"
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_device_is_not_replaced_by_a_file():
    assert refused(Path(os.devnull)) == f"cannot write {os.devnull}: it is not a regular file; name another"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc, in which nobody can write")
def test_where_nobody_can_write_the_reason_is_told():
    assert refused(Path("/proc/a.txt")) == "cannot write /proc/a.txt: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert refused(tmp_path / "a.txt") == f"cannot write {tmp_path / 'a.txt'}: Permission denied"
    finally:
        tmp_path.chmod(0o700)


def test_a_name_that_is_too_long_is_told(tmp_path):
    path = tmp_path / ("a" * 255)
    assert refused(path) == f"cannot write {path}: File name too long"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "a.txt"
    link.symlink_to(Path("elsewhere", "real.txt"))
    with whole_file(link) as beside:
        beside.write_text("through")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "real.txt").read_text() == "through"


def test_tensors_come_back_from_their_file(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 5), np.uint8)}
    write_tensors(tmp_path / "t.npz", tensors)
    with np.load(tmp_path / "t.npz") as back:
        assert sorted(back) == ["a", "b"]
        for name, array in tensors.items():
            np.testing.assert_array_equal(back[name], array)
            assert back[name].dtype == array.dtype


def test_tensors_that_cannot_be_written_leave_the_old_file(tmp_path):
    write_tensors(tmp_path / "t.npz", {"a": np.ones(2)})
    with pytest.raises(ValueError, match="allow_pickle"):
        write_tensors(tmp_path / "t.npz", {"a": np.ones(2), "b": np.array([object()])})
    assert np.load(tmp_path / "t.npz")["a"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]


def test_a_picture_that_fails_leaves_nothing(tmp_path, monkeypatch):
    picture = Picture()
    monkeypatch.setattr(picture._figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        picture.save(tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.npz", "r.CSV", "r.json", "r.png"])
def test_results_are_not_written_under_the_name_of_another_format(tmp_path, name):
    with pytest.raises(
        UsageError,
        match=r"cannot write .*: results are an Arrow file, .* or a \.parquet file; name it .*r\.arrow$",
    ):
        ResultsWriter(tmp_path / name, [], {})


@pytest.mark.parametrize("name", ["r.arrow", "r.feather", "r.IPC", "r", "drive_0.5", "r.results"])
def test_a_name_that_says_nothing_else_is_taken(tmp_path, name):
    with ResultsWriter(tmp_path / name, [], {}):
        pass
    assert (tmp_path / name).is_file()


def test_nor_are_tensors_and_pictures(tmp_path):
    with pytest.raises(UsageError, match=r"tensors are an .npz file; name it .*t.npz$"):
        write_tensors(tmp_path / "t.parquet", {})
    with pytest.raises(UsageError, match=r"pictures are PNG files; name it .*p.png$"):
        Picture((0, 0, 1, 1), "a title").save(tmp_path / "p.jpg")
    assert list(tmp_path.iterdir()) == []
