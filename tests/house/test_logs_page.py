"""docs/logs.md lists everything that a frame, a log and their records have, and nothing that they do not have."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from perceptum.datasets import memory_log
from perceptum.inputs import (
    CameraImage,
    Dataset,
    Frame,
    GroundGrid,
    HDMap,
    Labels,
    LaneGraph,
    LidarSweep,
    Log,
    Poses,
    RadarSweep,
    Shapes,
    Signal,
    Source,
    Sync,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "logs.md").read_text(encoding="utf-8")
SECTION = {
    Log: "A log",
    Source: "A log",
    Dataset: "Datasets",
    Frame: "A frame",
    Sync: "A frame",
    LidarSweep: "A lidar sweep",
    RadarSweep: "A radar sweep",
    CameraImage: "A picture",
    Labels: "Labels",
    Poses: "Poses",
    HDMap: "The map",
    Shapes: "The map",
    LaneGraph: "The map",
    Signal: "Signals",
    GroundGrid: "The map",
}
INSIDE = {
    Log: {"at_hand", "camera", "labels", "lidar", "opened", "opened_by", "opening", "radar", "or_skip", "sensor_times"},
    Source: {"poses", "read_camera", "read_labels", "read_lidar", "read_map", "read_radar"},
    Poses: {"fixed", "leaving_gaps"},
    Shapes: {"of"},
    Signal: {"leaving_gaps"},
}
"""What is for those who read or make records, and not for those who use a log."""


def public(of):
    """The names that an object of a class has for whoever uses it."""
    log = memory_log(times_ns=[5])
    made = {Log: log, Frame: log[0]}.get(of)
    names = set(vars(made)) if made is not None else set()
    names |= {field.name for field in fields(of)} if hasattr(of, "__dataclass_fields__") else set()
    names |= set(getattr(of, "__annotations__", ())) if of is Source else set()
    names |= {name for name, _ in inspect.getmembers(of) if name not in dir(object)}
    return {name for name in names if not name.startswith("_")} - INSIDE.get(of, set())


def section(title):
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    # without its examples, whose fences are backticks too
    return re.sub(r"^```.*?^```$", "", found[1], flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("of", SECTION, ids=lambda of: of.__name__)
def test_the_page_lists_all_that_there_is(of):
    shown = set(re.findall(r"\b[a-zA-Z_]\w*", " ".join(re.findall(r"`([^`]+)`", section(SECTION[of])))))
    assert public(of) - shown == set()


@pytest.mark.parametrize("of", [LidarSweep, RadarSweep, CameraImage, Labels], ids=lambda of: of.__name__)
def test_the_page_lists_nothing_that_is_not_there(of):
    rows = re.findall(r"^\| (`[^|]+`) \|", section(SECTION[of]), re.MULTILINE)
    shown = {re.match(r"\w+", name)[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert shown - public(of) == set()
    assert len(rows) > 5
