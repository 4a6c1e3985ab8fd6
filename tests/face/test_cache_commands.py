"""perceptum cache ls | verify | gc."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

import perceptum as pc
from perceptum.builders.cache import code
from perceptum.cli.commands import app
from perceptum.errors import UsageError

NAMES = ["lidar_bev_occupancy", "ego_motion"]


@pytest.fixture
def folder(tmp_path):
    builder = pc.InputBuilder(NAMES, cache=tmp_path / "tensors")
    for _ in range(2):
        for frame in pc.open_log("synthetic", frames=3, beams=8, azimuth_steps=90, image_size=(40, 24)):
            builder.build(frame)
    builder.cache.counts.save(at_once=True)
    return tmp_path / "tensors"


def run(*arguments, status=0):
    done = CliRunner().invoke(app, ["cache", *map(str, arguments)])
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


def test_ls_says_what_is_kept_and_what_was_found(folder):
    found = json.loads(run("ls", folder, "--json"))
    parts = {part["name"]: part for part in found["features"]}
    assert list(parts) == NAMES
    assert {(part["tensors"], part["hits"], part["misses"]) for part in parts.values()} == {(3, 3, 3)}
    (log,) = found["logs"]
    assert (log["name"], log["tensors"], found["bundles"]) == ("synthetic street-0", 6, 3)
    said = run("ls", folder)
    assert "50.0% of 6" in said
    assert "3 bundles" in said


def test_ls_of_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path))
    assert run("ls") == f"{tmp_path / 'tensors'}: 0 bundles, 0.0 MB\n"


def test_verify_finds_what_is_not_as_it_was_written(folder):
    assert "6 tensors in 3 bundles" in run("verify", folder)
    path = sorted(folder.rglob("*.tensors"))[1]
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 1
    path.write_bytes(whole)
    said = run("verify", folder, status=1)
    assert f"broken: {path}: " in said
    assert "is not as it was written" in said
    assert len(json.loads(run("verify", folder, "--json", status=1))["broken"]) == 1


def test_gc_keeps_what_fits(folder):
    paths = sorted(folder.rglob("*.tensors"), key=lambda path: path.name)
    for age, path in enumerate(paths):
        os.utime(path, (1e9 + age, 1e9 + age))
    size = paths[0].stat().st_size
    found = json.loads(run("gc", folder, "--most", f"{2 * size + 10}B", "--json"))
    assert (found["bundles"], found["kept_bundles"]) == (1, 2)
    assert not paths[0].exists()
    assert "2 bundles removed" in run("gc", folder, "--older-than", "30d")


def test_gc_removes_what_other_code_made(folder, monkeypatch):
    assert "0 bundles removed" in run("gc", folder, "--stale")
    monkeypatch.setattr(code, "_ALWAYS", (*code._ALWAYS, "msgspec", "xxhash"))
    forget = [value for value in vars(code).values() if hasattr(value, "cache_clear")]
    for value in forget:
        value.cache_clear()
    assert "3 bundles removed" in run("gc", folder, "--stale")
    for value in forget:
        value.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--most", "much"), "--most must be a size such as 500MB or 200GB, got 'much'"),
        (("--older-than", "3"), "--older-than must be an age such as 90m, 12h or 30d, got '3'"),
    ],
)
def test_bad_use_is_named(folder, arguments, said):
    done = CliRunner().invoke(app, ["cache", "gc", str(folder), *arguments])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == said


def test_a_folder_that_is_not_there_is_named(tmp_path):
    done = CliRunner().invoke(app, ["cache", "ls", str(tmp_path / "nothing")])
    assert str(done.exception) == f"{tmp_path / 'nothing'}: is not a folder"
