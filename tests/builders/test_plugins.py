"""Features and fillers of others come in by entry points and are built like our own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.builders.lidar.cloud import Cloud
from perceptum.builders.stage import Filler
from perceptum.features import Feature, Group, Schema, SpecError, canonical, plug_ins
from perceptum.features.lidar import CloudParams


class CentreParams(CloudParams, frozen=True, kw_only=True):
    scale: float = 1.0


class Centre(Filler):
    group = "acme_centre"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "centre"
        self.cloud = stages.share(Cloud, params.cloud())
        self.needs = (self.cloud,)
        self.scale = params.scale

    def fill(self, feature, out, written):
        out[:] = self.cloud.points.values[:3].mean(axis=1) * self.scale


def centre(name="acme_centre", **change):
    """The group that Centre fills, with changes to it or, under its own name, to its one feature."""
    feature = Feature(
        name=change.pop("feature", "acme_centre"),
        dtypes=("float32",),
        shape=(3,),
        units="m",
        frame="reference",
        prose="The middle of the points.",
    )
    fields = {"params": CentreParams(), "features": (feature,), "filler": Centre, "presets": {"double": {"scale": 2.0}}}
    return Group(name=name, **{**fields, **change})


@pytest.fixture
def plug_in(monkeypatch):
    """plug_in(module): installs a module under the entry points `perceptum.features`."""

    def install(**module):
        entry = SimpleNamespace(name="acme", value="acme", load=lambda: SimpleNamespace(**module))
        monkeypatch.setattr(plug_ins, "entry_points", lambda group: [entry] if group == "perceptum.features" else [])
        forget()

    yield install
    monkeypatch.undo()
    forget()


def forget():
    for kept in (plug_ins.plug_ins, canonical):
        kept.cache_clear()


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """distribution(name, source): a package of others on sys.path, installed as pip would."""

    def install(name, source):
        papers = tmp_path / f"{name}-1.0.dist-info"
        papers.mkdir()
        (papers / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (papers / "entry_points.txt").write_text(f"[perceptum.features]\n{name} = {name}\n")
        (tmp_path / f"{name}.py").write_text(source)
        forget()

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    monkeypatch.undo()
    forget()


def test_a_feature_of_others_is_built_beside_our_own_and_shares_their_cloud(plug_in, frame_of):
    plug_in(GROUPS=(centre(),))
    builder = InputBuilder(["lidar_points", "acme_centre"], params={"acme_centre": {"scale": 2.0}})
    tensors = builder.build(frame_of([[1, 2, 3], [3, 4, 5]]))
    assert tensors["acme_centre"].tolist() == [4, 6, 8]
    assert [stage.title for stage in builder.explain().stages] == [
        "frame of reference (ego)",
        "cloud (1 sweep, ego frame)",
        "points",
        "centre",
    ]
    assert np.array_equal(builder.build_batch([frame_of([[1, 1, 1]])] * 2)["acme_centre"], np.full((2, 3), 2))
    assert canonical().group("acme_centre") == centre()


def test_a_plug_in_has_presets_and_parts_like_ours(plug_in, frame_of):
    plug_in(GROUPS=(centre(),))
    frame = frame_of([[1, 2, 3], [3, 4, 5]])
    assert InputBuilder(["acme_centre"], params={"acme_centre": "double"}).build(frame)["acme_centre"][0] == 4
    both = InputBuilder(["lidar_points", "acme_centre"], params={"frame": "lidar"})
    assert [row.params for row in both.spec] == [{"frame": "lidar"}] * 2
    with pytest.raises(SpecError, match="'lidar_points' has the frame \"ego\" and 'acme_centre' \"lidar\""):
        InputBuilder(["lidar_points", "acme_centre"], params={"acme_centre": {"frame": "lidar"}})


def test_a_feature_that_nobody_fills_is_refused_when_planning(plug_in):
    plug_in(GROUPS=(centre(filler=None),))
    with pytest.raises(SpecError) as error:
        InputBuilder(["acme_centre"])
    assert str(error.value) == "input 'acme_centre': no installed builder fills the group 'acme_centre'"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
        (
            "class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute",
            "Mute: its message cannot be shown",
        ),
        ("FEATURES = ()", "AttributeError: module 'acme_broken' has no attribute 'GROUPS'"),
    ],
)
def test_a_broken_plug_in_is_named_and_stops_only_what_uses_it(distribution, frame_of, caplog, source, said):
    name = "acme_broken"
    sys.modules.pop(name, None)
    distribution(name, source)
    assert list(InputBuilder(["lidar_points"]).build(frame_of([[1, 2, 3]], np.ones(1)))) == ["lidar_points"]
    assert caplog.messages == [
        f"plug-in '{name}' ({name}) cannot be loaded, so its features are unknown: {said}; fix or uninstall it"
    ]
    with pytest.raises(SpecError, match="no feature 'acme_centre'"):
        InputBuilder(["acme_centre"])


def test_an_interrupt_while_a_plug_in_loads_is_not_swallowed(distribution):
    sys.modules.pop("acme_slow", None)
    distribution("acme_slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        canonical()


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ((centre(feature="ego_pose"),), "its group 'acme_centre' has the feature 'ego_pose', which is ours, "),
        ((centre("lidar_points"),), "its group 'lidar_points' has the name of one of ours, "),
        ((centre("ego", filler=None),), "its group 'ego' has the name of one of ours, "),
        ((centre("frame"),), "is left out: schema 'canonical': the group 'frame' has the name of a part; rename it; "),
        ((centre(), centre()), "is left out: schema 'canonical': the group 'acme_centre' is listed twice; "),
        (("acme_centre",), "TypeError: GROUPS holds 'acme_centre', which is not a Group; "),
    ],
)
def test_a_plug_in_whose_parts_do_not_fit_is_named_and_left_out(plug_in, caplog, groups, said):
    own = canonical()
    plug_in(GROUPS=groups)
    InputBuilder(["lidar_points"])
    assert canonical() == own
    (line,) = caplog.messages
    assert line.startswith("plug-in 'acme'")
    assert said in line
    assert line.endswith("fix or uninstall it")


def test_a_plug_in_keeps_the_groups_that_fit(plug_in, caplog):
    plug_in(GROUPS=(centre("ego", feature="acme_other"), centre()))
    assert "acme_centre" in canonical()
    assert "acme_other" not in canonical()
    assert len(caplog.messages) == 1


def test_a_stranger_to_one_of_our_groups_is_not_filled_with_our_numbers():
    """A feature put into a group of ours was filled with our counts, silently."""
    (counted,) = (feature for feature in centre().features)
    with pytest.raises(SpecError) as error:
        InputBuilder(["acme_centre"], schema=Schema("mine", "1", (centre("lidar_points", filler=None),)))
    assert str(error.value) == "input 'acme_centre': no installed builder fills the group 'lidar_points'"
    points = canonical().group("lidar_points")
    more = Group(name="lidar_points", params=points.params, features=(*points.features, counted))
    with pytest.raises(SpecError, match="no installed builder fills the group 'lidar_points'"):
        InputBuilder(["acme_centre"], schema=Schema("mine", "1", (more,)))


def test_a_schema_of_ones_own_brings_its_fillers(frame_of):
    mine = Schema("mine", "1", (*canonical().groups, centre()))
    tensors = InputBuilder(["acme_centre"], schema=mine).build(frame_of([[1, 2, 3], [3, 4, 5]]))
    assert tensors["acme_centre"].tolist() == [2, 3, 4]


def test_without_plug_ins_the_schema_is_our_own():
    assert "acme_centre" not in canonical()
    InputBuilder([feature.name for feature in canonical()], training=True)
