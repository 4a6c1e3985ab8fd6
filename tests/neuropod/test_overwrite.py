"""Packing again: a package takes the place of another when it is whole, and of nothing else."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perceptum.exchange import exchanged
from perceptum.neuropod import NeuropodError, create_placeholder_neuropod, load_neuropod
from perceptum.neuropod.pack.packing import pack

ROWS = {
    "input_spec": [{"name": "x", "dtype": "float32", "shape": ["n"]}],
    "output_spec": [{"name": "y", "dtype": "float32", "shape": ["n"]}],
}


def put(path, name, **options):
    create_placeholder_neuropod(neuropod_path=path, model_name=name, **ROWS, **options)


def name_of(path):
    with load_neuropod(path) as model:
        return model.name


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr("perceptum.neuropod.package.package.exchanged", lambda one, other: False)


@pytest.mark.parametrize("first", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize("second", [True, False], ids=["zip", "folder"])
def test_a_package_is_replaced_whatever_form_it_has(tmp_path, first, second, way):
    path = tmp_path / "m"
    put(path, "old", package_as_zip=first)
    with pytest.raises(
        NeuropodError, match=r"already exists! Aborting\.\.\. overwrite=True \(--overwrite\) replaces it$"
    ):
        put(path, "new", package_as_zip=second)
    assert name_of(path) == "old"
    put(path, "new", package_as_zip=second, overwrite=True)
    assert name_of(path) == "new"
    assert path.is_file() is second
    assert os.listdir(tmp_path) == ["m"]


def test_nothing_need_be_there(tmp_path):
    put(tmp_path / "m", "new", overwrite=True)
    assert name_of(tmp_path / "m") == "new"


@pytest.mark.parametrize("as_zip", [True, False])
def test_the_old_one_stays_where_the_new_one_fails(tmp_path, as_zip):
    path = tmp_path / "m"
    put(path, "old", package_as_zip=as_zip)

    def fail(folder, config):
        raise SystemExit(3)

    common = {"neuropod_path": path, "model_name": "new", "overwrite": True, **ROWS}
    with pytest.raises(NeuropodError, match="the model cannot be packed: SystemExit: 3"):
        pack("placeholder", common, fail)
    with pytest.raises(NeuropodError):
        put(path, "new", overwrite=True, test_input_data={"z": np.ones(2, np.float32)})  # it fails its test
    assert name_of(path) == "old"
    assert os.listdir(tmp_path) == ["m"]


def test_a_model_that_is_loaded_goes_on_with_its_own_files(tmp_path):
    put(tmp_path / "m", "old")
    with load_neuropod(tmp_path / "m") as model:
        put(tmp_path / "m", "new", overwrite=True)
        assert (model.name, model.infer({"x": np.ones(2, np.float32)})["y"].shape) == ("old", (2,))


@pytest.mark.parametrize("what", ["a file", "a folder", "an empty folder", "a link", "a pipe", "a zip", "nowhere"])
def test_what_is_not_a_package_is_left_alone(tmp_path, what):
    path = tmp_path / "m"
    if what == "a file":
        path.write_text("thesis")
    elif what == "a folder":
        path.mkdir()
        (path / "thesis.txt").write_text("")
    elif what == "an empty folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a zip":
        np.savez(tmp_path / "m.npz", a=1)
        (tmp_path / "m.npz").rename(path)
    elif what == "a link":
        put(tmp_path / "real", "old")
        path.symlink_to(tmp_path / "real")
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(NeuropodError, match=r"/m: exists and is not a package, so it is not overwritten; name another"):
        put(path, "new", overwrite=True)
    assert os.path.lexists(path)


def test_what_has_a_config_json_and_is_no_package_is_left_alone(tmp_path):
    """Checkpoints of other software have one at their root, and .keras files."""
    folder, file = tmp_path / "checkpoint", tmp_path / "model.keras"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["Bert"], "name": "x"}')
    (folder / "weights.bin").write_bytes(b"much work")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", '{"module": "keras"}')
        archive.writestr("model.weights.h5", b"much work")
    for path in (folder, file):
        with pytest.raises(NeuropodError, match="exists and is not a package, so it is not overwritten"):
            put(path, "new", overwrite=True)
    assert (folder / "weights.bin").read_bytes() == b"much work"
    assert zipfile.is_zipfile(file)


def test_a_folder_is_replaced_in_one_step_where_the_file_system_can(tmp_path, monkeypatch):
    """Between two renames nothing was there, for whoever loaded it just then."""
    path, rename = tmp_path / "m", Path.rename
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.write_text("")
    if not exchanged(one, other):
        pytest.skip("this file system cannot exchange two names")
    assert (one.is_file(), other.is_dir()) == (True, True)
    put(path, "old", package_as_zip=False)

    def watched(source, target):
        assert source != path
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", watched)
    put(path, "new", package_as_zip=False, overwrite=True)
    assert name_of(path) == "new"


def test_what_cannot_be_exchanged_stays(tmp_path):
    (tmp_path / "one").mkdir()
    assert not exchanged(tmp_path / "one", tmp_path / "nothing")
    assert os.listdir(tmp_path) == ["one"]


def test_an_interrupt_between_the_two_renames_loses_nothing(tmp_path, monkeypatch):
    path, rename = tmp_path / "m", Path.rename
    monkeypatch.setattr("perceptum.neuropod.package.package.exchanged", lambda one, other: False)
    put(path, "old", package_as_zip=False)

    def interrupted(source, target):
        found = rename(source, target)
        if source == path:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(path, "new", package_as_zip=False, overwrite=True)
    monkeypatch.undo()
    assert name_of(path) == "old"
    assert os.listdir(tmp_path) == ["m"]
