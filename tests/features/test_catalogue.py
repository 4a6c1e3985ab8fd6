"""pc.features(): the catalogue."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

import perceptum as pc
from perceptum.features import (
    COLUMN_MEANINGS,
    COLUMN_UNITS,
    FRAMES,
    UNITS,
    Catalogue,
    Concat,
    Feature,
    Group,
    Schema,
    SpecError,
    UnknownFeature,
    canonical,
)
from perceptum.features.description import column_in_words, describe
from perceptum.features.lidar import PillarsParams
from perceptum.features.models import MODELS, used_by
from perceptum.features.plug_ins import PlugIn
from perceptum.features.vocabulary import CUTS


def test_the_catalogue_is_a_mapping_of_the_canonical_features():
    catalogue = pc.features()
    assert list(catalogue) == [feature.name for feature in canonical()]
    assert len(catalogue) == len(canonical())
    assert catalogue["lidar_voxels"] is canonical()["lidar_voxels"]
    assert "lidar_voxels" in catalogue
    assert "lidar_voxel" not in catalogue
    assert 5 not in catalogue


def test_a_name_that_is_none_has_a_hint_or_a_default():
    with pytest.raises(UnknownFeature, match=r"^no feature 'lidar_voxel'; did you mean 'lidar_voxels'\?$"):
        pc.features()["lidar_voxel"]
    assert pc.features().get("lidar_voxel") is None
    assert pc.features().get("lidar_voxel", 7) == 7
    assert pc.features().get("ego_pose") is canonical()["ego_pose"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "pointpillars_kitti",
            "it is a preset of lidar_voxels and lidar_pillars: "
            "perceptum features lidar_voxels --preset pointpillars_kitti",
        ),
        ("motionnet", "it is a preset of lidar_bev_temporal: perceptum features lidar_bev_temporal --preset motionnet"),
        (
            "PointPillars",
            "PointPillars is a model, versions of which take lidar_voxels, lidar_voxel_coords, lidar_voxel_num_points, "
            "lidar_pillar_features, lidar_pillar_coords, lidar_pillar_num_points",
        ),
        ("complex_yolo", "Complex-YOLO is a model, versions of which take lidar_bev_stats"),
    ],
)
def test_a_preset_or_a_model_in_place_of_a_feature_is_said_to_be_one(name, said):
    with pytest.raises(UnknownFeature) as refused:
        pc.features()[name]
    assert str(refused.value) == f"no feature '{name}'; {said}"


def test_a_preset_of_another_group_is_said_to_be_of_that():
    said = "no preset 'motionnet' of lidar_voxels; it is a preset of lidar_bev_temporal"
    with pytest.raises(SpecError, match=f"^{said}$"):
        pc.features().describe("lidar_voxel_coords", "motionnet")
    with pytest.raises(SpecError, match=f"^input 'lidar_voxels': {said}$"):
        pc.InputBuilder(["lidar_voxels"], params={"lidar_voxels": "motionnet"})


def test_its_rows_are_plain_data_with_presets():
    rows = json.loads(json.dumps(pc.features().to_rows()))
    assert [row["name"] for row in rows] == list(pc.features())
    by_name = {row["name"]: row for row in rows}
    assert "bevfusion" in by_name["lidar_voxel_coords"]["presets"]
    assert by_name["lidar_bev_occupancy"]["dtypes"] == ["uint8", "float32"]
    assert by_name["ego_pose"]["shape"] == [4, 4]


def test_printed_it_shows_every_feature_and_the_fingerprint():
    text = str(pc.features())
    assert text.startswith(f"schema canonical {canonical().version} ({canonical().fingerprint})")
    for feature in canonical():
        assert f"\n{feature.name} " in text
        assert " ".join(feature.prose.partition(". ")[0].split()) in " ".join(text.split())


def test_shown_at_a_prompt_a_feature_takes_one_line():
    lines = repr(pc.features()).splitlines()
    assert len(lines) < len(canonical()) + 5 * len(pc.features().families)
    assert {line.split()[0] for line in lines if line.startswith(("lidar_", "ego_"))} <= set(pc.features())
    assert max(map(len, lines)) <= 100


def test_features_are_listed_by_family():
    families = pc.features().families
    assert families["ego"][:3] == ("ego_pose", "reference_stamp", "ego_motion")
    assert families["lidar"][:2] == ("lidar_points", "lidar_num_points")
    assert [name for names in families.values() for name in names] == list(pc.features())
    assert tuple(row["name"] for row in pc.features().to_rows("ego")) == families["ego"]
    with pytest.raises(SpecError, match=r"^no family 'lidr'; did you mean 'lidar'\?$"):
        pc.features().to_rows("lidr")
    with pytest.raises(SpecError, match=r"^no family 'sonar'; there are lidar, .*ego"):
        pc.features().text("sonar")


def test_the_features_of_a_plug_in_are_a_family_of_its_name(monkeypatch):
    ours = canonical().groups[0]
    feature = replace(ours.features[0], name="lidar_smoke")
    theirs = replace(ours, name="lidar_smoke", features=(feature,), presets={}, filler=object)
    monkeypatch.setattr("perceptum.features.family.plug_ins", lambda: (PlugIn("acme", (theirs,)),))
    catalogue = Catalogue(Schema("mine", "1", (ours, theirs)))
    assert catalogue.families == {"lidar": tuple(feature.name for feature in ours), "acme": ("lidar_smoke",)}
    assert catalogue.describe("lidar_smoke")["family"] == "acme"
    assert Catalogue(Schema("mine", "1", (replace(theirs, name="sonar_smoke"),))).families == {
        "sonar": ("lidar_smoke",)
    }


def test_a_feature_is_described_under_a_preset():
    own, fine = pc.features().describe("lidar_voxels"), pc.features().describe("lidar_voxels", "second_kitti")
    assert (own["shape"], own["sizes"]) == (("num_voxels", "P", "C"), ["num_voxels", 10, 5])
    assert (fine["sizes"], fine["caps"]) == (["num_voxels", 5, 4], {"num_voxels": 40_000})
    assert fine["params"]["frame"] == "lidar"
    assert [column["name"] for column in fine["columns"]] == ["x", "y", "z", "intensity"]
    assert fine["in_words"]["shape"] == (
        "(num_voxels, P, C) = (num_voxels, 5, 4); num_voxels: what the frame has, at most 40000"
    )
    # what there is to choose from stays
    said = [{key: one[key] for key in one.keys() - {"value"}} for one in fine["parameters"]]
    assert said == [{key: one[key] for key in one.keys() - {"value"}} for one in own["parameters"]]
    values = {one["name"]: (one["default"], one["value"]) for one in fine["parameters"]}
    assert values["frame"] == ("ego", "lidar")
    assert values["grid.coordinates"] == ("xyz", "xyz")
    assert all(one["value"] == one["default"] for one in own["parameters"])
    with pytest.raises(SpecError, match=r"^no preset 'second_kiti'; did you mean 'second_kitti'"):
        pc.features().describe("lidar_voxels", "second_kiti")


def test_no_word_of_the_code_is_left_unexplained():
    said = {row["name"]: row["in_words"] for row in pc.features().to_rows()}
    assert said["lidar_voxels"]["if cut"] == CUTS["first_rows"]
    assert said["lidar_voxels"]["fill"] == "0: what padding, and cells in which there is nothing, hold"
    assert said["lidar_voxels"]["frame of reference"].endswith("names (ego)")
    assert said["lidar_voxel_coords"]["in a batch"].endswith("; the frame's number becomes a first column")
    assert said["lidar_num_points"]["counts"] == "how many rows of lidar_points are real"
    assert said["lidar_bev_occupancy"]["dtype"] == "uint8; float32 where a spec says so"
    assert said["ego_pose"]["in a batch"] == "a new first axis, one place per frame"
    edges = Feature(
        name="a_edges", dtypes=("int64",), shape=(2, "n"), units="index", frame="none",
        collate=Concat(1, "offset", "a_nodes"),
    )  # fmt: skip
    row = describe(Group(name="a", params=canonical().group("ego").params, features=(edges,)), edges)
    assert row["in_words"]["in a batch"].endswith("raised by the rows that the frames before have in a_nodes")
    assert row["drawing"] == ""


def test_codes_are_said_with_what_they_mean():
    assert "0 moving, 1 stationary, 2 oncoming" in column_in_words("dyn_prop")
    assert column_in_words("x") == COLUMN_MEANINGS["x"]
    said = [column["name"] for column in pc.features().describe("radar_bev", "radarnet")["columns"]]
    assert said == ["occupancy", "rcs", "vx_comp", "vy_comp"]


@pytest.mark.parametrize(
    "params",
    [{}, {"center_offset": "xy", "with_distance": True}, {"center_offset": "none", "absolute_xyz": False}],
)
def test_a_decorated_pillar_has_a_name_for_each_of_its_columns(params):
    own = PillarsParams().replace(params, "")
    assert len(own.column_names()) == own.dims()["D"]
    assert set(own.column_names()) <= set(COLUMN_UNITS)
    assert "x_from_mean" not in PillarsParams(cluster_offset=False).column_names()


def test_every_column_says_what_it_holds():
    assert set(COLUMN_MEANINGS) == set(COLUMN_UNITS)
    for row in pc.features().to_rows():
        assert bool(row["columns"]) == (row["units"] == "mixed"), row["name"]


def test_the_models_name_features_that_are_there():
    assert {name for features in MODELS.values() for name in features} <= set(pc.features())
    assert used_by("lidar_range_image")[:2] == ("RangeNet++", "SalsaNext")
    assert pc.features().describe("lidar_range_image")["used_by"] == list(used_by("lidar_range_image"))
    assert used_by("ego_pose") == ()


@pytest.mark.parametrize("group", canonical().groups, ids=lambda group: group.name)
def test_every_group_of_ours_has_a_drawing_that_any_terminal_can_show(group):
    for preset in (None, *group.presets):
        drawing = Catalogue().describe(group.features[0].name, preset)["drawing"]
        assert drawing.isascii()
        assert drawing
        assert max(map(len, drawing.splitlines())) <= 80


def test_a_drawing_is_a_text_or_a_function_that_goes_to_workers():
    group = canonical().group("ego")
    assert replace(group, drawing="[x y]").draw(group.params) == "[x y]"
    with pytest.raises(
        SpecError, match=r"^group 'ego': the drawing must be a text or a module's function, got <function"
    ):
        replace(group, drawing=lambda params: "")
    with pytest.raises(SpecError, match=r"^group 'ego': the drawing must be a text or a module's function, got 5"):
        replace(group, drawing=5)


def test_every_feature_says_what_it_is():
    for feature in canonical():
        assert feature.prose.endswith(".")
        assert UNITS[feature.units]
        assert FRAMES[feature.frame]
        sizes = feature.sizes(canonical().group_of(feature.name).params)
        named = [size for size in sizes if isinstance(size, str)]
        assert all(size.startswith("num_") or size in ("image_height", "image_width") for size in named)
