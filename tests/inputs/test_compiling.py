"""That kernels are compiled is said once: on a terminal to whoever waits, elsewhere to a log."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from perceptum.inputs import compiling
from perceptum.inputs.compiling import say_compiling


@pytest.fixture
def told(caplog, monkeypatch):
    """told(folder, ...): what each of these calls of a new process says, as (level, text)."""

    def tell(*folders, terminal=False):
        monkeypatch.setattr(compiling, "_said", [])
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        caplog.clear()
        with caplog.at_level(logging.INFO, compiling.__name__):
            for folder in folders:
                say_compiling(folder)
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return tell


def test_it_is_said_once_with_where_the_kernels_are_kept(told, tmp_path):
    text = f"compiling kernels for this machine, a minute or so, once, and kept in {tmp_path}"
    (tmp_path / "other").mkdir()
    assert told(str(tmp_path), str(tmp_path), str(tmp_path / "other")) == [("INFO", text)]
    # another process, such as a loader's worker, at the same time
    assert told(str(tmp_path), str(tmp_path / "other")) == []
    for folder in (tmp_path, tmp_path / "other"):
        os.utime(folder / ".compiling_said", (0, 0))
    assert told(str(tmp_path), terminal=True) == [("WARNING", text)]


def test_where_nothing_can_be_kept_it_says_what_would_help(told, tmp_path):
    for folder in (None, None):
        ((level, text),) = told(folder, folder)
        assert level == "INFO"
        assert text.endswith(
            "and again in every process: no folder can be written to keep them in; PERCEPTUM_CACHE names one"
        )
    assert len(told(str(tmp_path / "gone"))) == 1
