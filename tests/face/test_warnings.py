"""Warnings of a command: one line each, once, without the place in our code that gave them."""

from __future__ import annotations

import warnings

import pytest

from perceptum import info
from perceptum.datasets.reading.unread import NotRead

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"


@pytest.fixture
def warned(monkeypatch, command):
    """warned(*(message, category)): `perceptum info` of a log over which these are warned."""
    describe = info.describe

    def run(*given):
        def warn(log):
            for message, category in given:
                warnings.warn(message, category, stacklevel=2)
            return describe(log)

        monkeypatch.setattr(info, "describe", warn)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            return command("info", SMALL)

    return run


def test_what_is_not_read_is_one_line_and_said_once(warned):
    line = "map.osm: not read: layer crossing (3)"
    done = warned((line, NotRead), (line, NotRead), ("left out: 2 messages\n\x1b[31m", UserWarning))
    assert (done.status, done.err) == (0, f"warning: {line}\nwarning: left out: 2 messages \\x1b[31m\n")


def test_what_is_for_programmers_stays_as_it_is(warned):
    with pytest.warns(DeprecationWarning, match="old"):
        done = warned(("old", DeprecationWarning))
    assert (done.status, done.err) == (0, "")
