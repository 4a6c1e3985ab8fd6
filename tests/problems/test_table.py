"""Problems by name: with options, of plug-ins, and in a file of one's own."""

from __future__ import annotations

import sys

import pytest

from perceptum.errors import UsageError
from perceptum.problems import PROBLEMS, Detection3d, problem_named

OWN = """
from dataclasses import dataclass

from perceptum.problems import JudgedProblem, Scores


@dataclass(frozen=True)
class Counted(JudgedProblem):
    least: float = 0.5
    words: tuple[str, ...] = ()
    name = "counted"

    @property
    def targets(self):
        return ()

    def observe(self, model, outputs, targets, frame):
        return {}

    def score(self, observations):
        return Scores({"frames": float(len(observations))})
"""


@pytest.fixture
def own(tmp_path):
    def write(text=OWN, name="own.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_name_alone_is_the_problem_as_it_is():
    assert problem_named("detection3d") == Detection3d()


def test_every_problem_of_ours_can_be_made():
    for name in PROBLEMS:
        assert problem_named(name).name == name


def test_options_stand_behind_the_name():
    made = problem_named("detection3d:metric=nuscenes,range_m=40,classes=kitti")
    assert made == Detection3d(metric="nuscenes", range_m=(40,), classes="kitti")
    several = problem_named("detection3d:metric=argoverse2,classes=BUS+DOG,range_m=40+50.5,most_boxes=7")
    assert several == Detection3d(metric="argoverse2", classes="BUS+DOG", range_m=(40, 50.5), most_boxes=7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detektion3d", "no problem 'detektion3d'; there are "),
        ("detection3d:metric", "no problem 'detection3d:metric'; there are "),
        ("detection3d:metric=nuscene", "no metric 'nuscene' of 3D detection; there are "),
        (
            "detection3d:metric=nuscenes,range=4",
            "detection3d: no option 'range'; it takes metric, classes, range_m, min_p",
        ),
        ("detection3d:metric=nuscenes,range_m=far", "detection3d: option range_m is 'far', wanted a number or a size"),
        ("detection3d:metric=nuscenes,range_m=-4", "range_m must be more than 0, got "),
        ("detection3d:metric=kitti,metric=kitti", "detection3d: option metric is given twice, kitti and kitti"),
        ("detection3d:min_points=some", "detection3d: option min_points is 'some', wanted a number"),
        ("no.py", "no.py: no such file; a problem of your own is a Python file that defines a JudgedProblem"),
    ],
)
def test_what_cannot_be_made_is_said_with_what_can(name, message):
    with pytest.raises(UsageError) as refused:
        problem_named(name)
    assert str(refused.value).startswith(message)


def test_a_near_name_is_proposed():
    with pytest.raises(UsageError, match=r"did you mean 'detection3d'\?$"):
        problem_named("detektion3d")


def test_a_file_of_ones_own_is_a_problem_with_the_options_of_its_class(own):
    path = own()
    made = problem_named(str(path))
    assert (made.name, made.least, made.words) == ("counted", 0.5, ())
    again = problem_named(f"{path}:least=0.25,words=a+b")
    assert type(again) is type(made)
    assert (again.least, again.words) == (0.25, ("a", "b"))
    assert problem_named(f"{path}:Counted:least=1").least == 1
    with pytest.raises(UsageError, match=r"no option 'last'; it takes least, words; did you mean 'least'\?"):
        problem_named(f"{path}:last=1")


def test_a_file_that_was_edited_is_run_again(own):
    before = problem_named(str(own()))
    after = problem_named(str(own(OWN.replace("0.5", "0.75"))))
    assert (before.least, after.least) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("text", "of", "message"),
    [
        ("x = 1", "", "{path}: defines no problem; one is a class of perceptum.problems.JudgedProblem"),
        (OWN, ":Other", "{path}: defines no problem 'Other'; there are Counted"),
        (
            OWN + "\n\nclass Other(Counted):\n    pass\n",
            "",
            "{path}: defines several problems, Counted, Other; say which",
        ),
        (OWN.replace("def score", "def scores"), "", "{path}: problem Counted does not say its score"),
        ("import nothing_of_that_name", "", "{path}: cannot be run: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "", "{path}: cannot be run: SystemExit"),
        (
            OWN + "\n    def __post_init__(self):\n        raise RuntimeError('no')\n",
            "",
            "problem '{path}' cannot be made: R",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(own, text, of, message):
    path = own(text)
    before = set(sys.modules)
    with pytest.raises(UsageError) as refused:
        problem_named(f"{path}{of}")
    assert str(refused.value).startswith(message.format(path=path))
    assert "cannot be run" not in str(refused.value) or set(sys.modules) == before


def test_a_plug_in_brings_a_problem(own, tmp_path, monkeypatch):
    own(name="acme_problem.py")
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entries = "acme_counted = acme_problem:Counted\nacme_text = os:sep\nacme_gone = acme_nothing:X\n"
    (info / "entry_points.txt").write_text(f"[perceptum.problems]\n{entries}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert problem_named("acme_counted:least=2").least == 2
    with pytest.raises(UsageError, match=r"^problem 'acme_text' \(os:sep\) is not a JudgedProblem that says all"):
        problem_named("acme_text")
    with pytest.raises(UsageError, match=r"^problem 'acme_gone' \(acme_nothing:X\) cannot be imported: ModuleNotFound"):
        problem_named("acme_gone")
    with pytest.raises(UsageError, match=r"there are acme_counted, acme_gone, acme_text, .*detection3d"):
        problem_named("acme")

    from perceptum.plugged import plug_in_rows

    rows = {row["plug-in"]: row["not used"] for row in plug_in_rows() if row["kind"] == "problems"}
    assert rows["acme_counted"] is None
    assert rows["acme_text"].startswith("problem 'acme_text'")
