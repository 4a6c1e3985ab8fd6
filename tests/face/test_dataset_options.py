"""A bad option of a dataset is bad use: status 2, and the message spells options as they are typed behind the path."""

import pickle
import runpy
from pathlib import Path

import pytest

from perceptum.datasets import open_log
from perceptum.inputs import BadOption

MADE = Path(__file__).parents[1] / "datasets"


@pytest.fixture
def log(tmp_path):
    """log("nuscenes"): a made-up log of that dataset, at ./log."""

    def make(name):
        if not (tmp_path / "log").exists():
            runpy.run_path(str(MADE / f"made_{name}.py"))["make"](tmp_path / "log")
        return "log"

    return make


CASES = [
    (
        "nuscenes",
        "scen=scene-0001",
        "nuscenes: no option 'scen'; it takes version, scene, frames, radar_filter, cache, split; "
        "did you mean log:scene=...?",
    ),
    (
        "nuscenes",
        "scene=scene-0002",
        "log: no scene 'scene-0002' among 1 (scene-0001); did you mean log:scene=scene-0001?",
    ),
    ("nuscenes", "version=v9", "log: no version 'v9' among 1 (v1.0-mini)"),
    (
        "nuscenes",
        "frames=all",
        "nuscenes: frames is 'all', wanted 'keyframes' or 'sweeps'; e.g. log:frames=sweeps",
    ),
    (
        "nuscenes",
        "radar_filter=all",
        "nuscenes: radar_filter is 'all', wanted one of none, devkit, crn; e.g. log:radar_filter=devkit",
    ),
    ("nuscenes", "scene=a,scene=b", "nuscenes: option scene is given twice, a and b"),
    ("nuscenes", "scene=", "nuscenes: option 'scene=' is not of the form name=value, e.g. frames=sweeps"),
    (
        "view_of_delft",
        "radar_scans=2",
        "view_of_delft: option radar_scans is 2, wanted 1, 3 or 5; e.g. log:radar_scans=5",
    ),
    (
        "view_of_delft",
        "radar_scans=many",
        "view_of_delft: option radar_scans is 'many', wanted a number or a size such as 1600x900",
    ),
    ("view_of_delft", "first=1.5", "view_of_delft: option first is '1.5', wanted a whole number"),
    (
        "view_of_delft",
        "world=mars",
        "view_of_delft: option world is 'mars', wanted one of odom, map, utm; e.g. log:world=utm",
    ),
    ("waymo_v2", "returns=3", "waymo_v2: option returns is 3, wanted 1 or 2; e.g. log:returns=2"),
    ("waymo_v2", "compensate=maybe", "waymo_v2: option compensate is 'maybe', wanted true or false"),
]


@pytest.mark.parametrize("command_name", ["info", "check"])
@pytest.mark.parametrize(("dataset", "option", "wanted"), CASES)
def test_a_bad_option_is_bad_use(log, refusal, command_name, dataset, option, wanted):
    assert refusal(command_name, f"{log(dataset)}:{option}") == (2, wanted)


def test_which_one_is_said_as_it_is_typed(log, refusal, tmp_path):
    log("waymo_v2")
    for path in list((tmp_path / "log").rglob("*.parquet")):
        path.with_name("other.parquet").write_bytes(path.read_bytes())
    # info lists them
    status, said = refusal("check", "log")
    assert status == 2
    assert said.startswith("log: holds 2 logs, wanted one: log:segment=")
    first = said.partition("log:segment=")[2].partition(",")[0]
    assert open_log(f"log:segment={first}").source.name == first
    # in Python it is an argument
    with pytest.raises(BadOption) as caught:
        open_log("log")
    assert str(caught.value).endswith(f"; say which with segment='{first}'")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.typed("x")) == (str(caught.value), caught.value.typed("x"))


def test_options_of_the_synthetic_drive_are_spelled_so_too(refusal):
    assert refusal("info", "synthetic:frame=3") == (
        2,
        refusal("info", "synthetic:frame=3")[1].partition("; did")[0] + "; did you mean synthetic:frames=...?",
    )
    assert refusal("info", "synthetic:frames=0")[0] == 2
