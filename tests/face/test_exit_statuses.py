"""The exit status says whose fault it is: of each kind of error one status, as the documentation's table has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perceptum import errors
from perceptum.cli.commands import _status

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command_line.md"
BAD_USE = {"BadOption", "NotALog", "NotAPackage", "SpecError", "UnknownFeature", "UsageError"}
FAILED = {
    *("BrokenRecord", "BuildError", "LogError", "MissingRecord", "NeuropodError", "NotTrusted"),
    *("PoseUnknown", "SchemaMismatch"),
}
OF_LOADERS = {"LoaderError", "StateMismatch", "WorkerDied"}
"""No command uses a loader."""


def test_every_kind_of_error_has_a_status():
    assert set(errors.__all__) == BAD_USE | FAILED | OF_LOADERS


@pytest.mark.parametrize("name", sorted(BAD_USE | FAILED))
def test_an_error_ends_with_the_status_of_its_kind(name):
    kind = getattr(errors, name)
    assert _status(kind.__new__(kind)) == (2 if name in BAD_USE else 1)


def test_the_table_has_every_status_once():
    part = PAGE.read_text(encoding="utf-8").partition("## Exit status")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", part, re.MULTILINE) == ["0", "1", "2", "3", "130", "143"]


def test_a_folder_is_not_written_where_a_file_is(refusal):
    Path("notes").write_text("mine")
    for out in ("notes", "notes/below"):
        said = f"cannot write {out}: notes is a file; name a folder"
        assert refusal("build", "synthetic:frames=1", "ego_pose", "--out", out) == (2, said)


def test_a_file_of_another_kind_is_not_a_package(refusal):
    Path("notes.txt").write_text("mine")
    said = "notes.txt: a package is a folder or a zip file, this is neither; get it again"
    assert refusal("inspect", "notes.txt") == (2, said)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_is_closed_is_no_fault(command, monkeypatch, closed):
    import sys

    monkeypatch.setattr(sys, closed, None)
    assert command("info", "synthetic:logs=2").status == 0
    assert command("info", "nowhere").status == 2


def test_nobody_is_asked_where_the_input_is_closed(command, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "stdin", None)
    done = command("env", "create", "mine", "--requirement", "numpy")
    assert done.status == 2
    assert "add --yes" in done.err
