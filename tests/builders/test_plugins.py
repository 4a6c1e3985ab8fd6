"""Features and fillers of others come in by entry points and are built like our own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from perceptum.builders import InputBuilder, table
from perceptum.builders.lidar.cloud import Cloud
from perceptum.builders.stage import Filler
from perceptum.features import Feature, SpecError, canonical, plug_ins
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

    def fill(self, feature, out, dirty):
        out[:] = self.cloud.points.values[:3].mean(axis=1) * self.scale


CENTRE = Feature(
    name="acme_centre",
    group="acme_centre",
    dtypes=("float32",),
    shape=(3,),
    units="m",
    frame="ego",
    params=CentreParams(),
    prose="The middle of the points.",
)


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
    for kept in (plug_ins.plug_ins, canonical, table.fillers):
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
    plug_in(FEATURES=(CENTRE,), FILLERS=(Centre,))
    builder = InputBuilder(["lidar_points", "acme_centre"], params={"acme_centre": {"scale": 2.0}})
    tensors = builder.build(frame_of([[1, 2, 3], [3, 4, 5]]))
    assert tensors["acme_centre"].tolist() == [4, 6, 8]
    assert [stage.title for stage in builder.explain().stages] == ["cloud (1 sweep, ego frame)", "points", "centre"]
    assert np.array_equal(builder.build_batch([frame_of([[1, 1, 1]])] * 2)["acme_centre"], np.full((2, 3), 2))
    assert canonical()["acme_centre"] == CENTRE


def test_a_feature_that_nobody_fills_is_refused_when_planning(plug_in):
    plug_in(FEATURES=(CENTRE,), FILLERS=())
    with pytest.raises(SpecError) as error:
        InputBuilder(["acme_centre"])
    assert str(error.value) == "input 'acme_centre': no installed builder fills the group 'acme_centre'"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("FEATURES = ()", "AttributeError: module 'acme_broken' has no attribute 'FILLERS'"),
    ],
)
def test_a_broken_plug_in_is_named_and_stops_only_what_uses_it(distribution, frame_of, caplog, source, said):
    name = "acme_broken"
    sys.modules.pop(name, None)
    distribution(name, source)
    assert list(InputBuilder(["lidar_points"]).build(frame_of([[1, 2, 3]]))) == ["lidar_points"]
    assert caplog.messages == [
        f"plug-in '{name}' ({name}) cannot be loaded, so that its features are unknown: {said}; mend or uninstall it"
    ]
    with pytest.raises(SpecError, match="no feature 'acme_centre'"):
        InputBuilder(["acme_centre"])


@pytest.mark.parametrize(
    ("features", "fillers", "said"),
    [
        (
            (CENTRE, canonical()["ego_pose"]),
            (),
            "is left out: schema 'canonical': the feature 'ego_pose' stands twice; ",
        ),
        (("acme_centre",), (), "TypeError: FEATURES holds 'acme_centre', which is no Feature; "),
        ((CENTRE,), ("Centre",), "TypeError: FILLERS holds 'Centre', which has no group; "),
    ],
)
def test_a_plug_in_whose_parts_do_not_fit_is_named_and_left_out(plug_in, caplog, features, fillers, said):
    plug_in(FEATURES=features, FILLERS=fillers)
    InputBuilder(["lidar_points"])
    assert "acme_centre" not in canonical()
    (line,) = caplog.messages
    assert line.startswith("plug-in 'acme' ")
    assert line.endswith(f"{said}mend or uninstall it")


def test_our_own_features_are_filled_by_us(plug_in):
    own = table.fillers()["ego"]
    plug_in(FEATURES=(), FILLERS=(type("Other", (Centre,), {"group": "ego"}),))
    assert table.fillers()["ego"] is own


def test_without_plug_ins_the_schema_is_our_own():
    assert "acme_centre" not in canonical()
    assert set(table.fillers()) == {feature.group for feature in canonical()}
