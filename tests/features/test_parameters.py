"""Parameters in words: what each may be, what is wrong with one, and what a preset says in testing and in training."""

from typing import Annotated, Literal

import msgspec
import pytest

from perceptum.features import (
    About,
    Params,
    Preset,
    Spec,
    SpecError,
    UnknownFeature,
    canonical,
    fingerprint,
    parameters_of,
)
from perceptum.features.parameter import shared_by


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[tuple[float, float], About("Of it.", "m")]
    names: tuple[str, ...] = ()


class Odd(Params, frozen=True, kw_only=True):
    word: Literal["a", "b", "c"] = "a"
    flag: bool = False
    count: Annotated[int | None, About("How many.", "count", least=2)] = None
    inner: Inner = Inner((1.0, 2.0))
    perhaps: Inner | None = None
    words: tuple[Literal["x", "y"], ...] = ()
    text: str = ""
    table: dict[str, int] = msgspec.field(default_factory=dict)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"word": "d"}, "word is 'd', wanted 'a', 'b' or 'c'"),
        ({"word": 1}, "word is 1, wanted 'a', 'b' or 'c'"),
        ({"flag": "yes"}, "flag is 'yes', wanted true or false"),
        ({"count": 1.5}, "count is 1.5, wanted a whole number of at least 2 or null"),
        ({"count": 1}, "count must be at least 2, got 1"),
        ({"inner": {"size": [1]}}, "inner.size is [1], wanted a list of 2, each a number"),
        ({"inner": {"size": [1, "2"]}}, "inner.size[1] is '2', wanted a number"),
        ({"inner": {"names": "x"}}, "inner.names is 'x', wanted a list, each a text"),
        ({"inner": {"sise": 1}}, "no parameter 'inner.sise'; did you mean {\"inner\": {\"size\": ...}}? there are "
                                 "inner.size, inner.names"),
        ({"inner": 5}, "inner is 5, wanted an object with size, names"),
        ({"perhaps": {"names": []}}, "perhaps.size is missing"),
        ({"perhaps": 5}, "perhaps is 5, wanted an object with size, names or null"),
        ({"words": ["x", "z"]}, "words[1] is 'z', wanted 'x' or 'y'"),
        ({"text": 5}, "text is 5, wanted a text"),
        ({"wrod": "a"}, "no parameter 'wrod'; did you mean 'word'? there are word, flag, count, inner, perhaps, words, "
                        "text, table"),
        ({"size": 1}, "no parameter 'size'; did you mean {\"inner\": {\"size\": ...}}? there are word, flag, count, "
                      "inner, perhaps, words, text, table"),
        ({"inner.size": 1}, "no parameter 'inner.size'; did you mean {\"inner\": {\"size\": ...}}? there are word, "
                            "flag, count, inner, perhaps, words, text, table"),
        ({"qqqq": "a"}, "no parameter 'qqqq'; there are word, flag, count, inner, perhaps, words, text, table"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named_with_what_it_may_be(changes, said):
    with pytest.raises(SpecError) as refused:
        Odd().replace(changes, "here")
    assert str(refused.value) == f"here: {said}"


def test_what_our_words_do_not_reach_is_said_as_it_came():
    with pytest.raises(SpecError, match=r"^here: Expected `int`, got `str` - at `\$\.table\[\.\.\.\]`$"):
        Odd().replace({"table": {"a": "b"}}, "here")


def test_every_parameter_of_ours_says_what_it_means_and_may_be():
    for group in canonical().groups:
        shown = parameters_of(group.params)
        for parameter in shown:
            assert parameter.prose.endswith("."), (group.name, parameter.name)
            assert "own kind" not in parameter.allowed
        fields = {parameter.name.partition(".")[0] for parameter in shown}
        assert fields == set(group.params.__struct_fields__)


def test_what_a_parameter_says_of_its_least_value_is_what_is_checked():
    for group in canonical().groups:
        for parameter in parameters_of(group.params):
            if " of at least " in parameter.allowed:
                least = float(parameter.allowed.rpartition(" of at least ")[2].removesuffix(" or null"))
                kind = int if "whole" in parameter.allowed else float
                # of points of two kinds one is taken
                source = {"source": "radar"} if parameter.name.startswith("radar.") else {}
                beside = source if "source" in group.params.__struct_fields__ else {}
                group.params.replace({**beside, **nested(parameter.name, kind(least))}, "")
                name = parameter.name.replace(".", r"(\.|: )")
                with pytest.raises(SpecError, match=f"{name} must be at least"):
                    group.params.replace({**beside, **nested(parameter.name, kind(least - 1))}, "")


def nested(name, value):
    """{"image": {"pad_multiple": 1}} of image.pad_multiple."""
    outer, dot, inner = name.partition(".")
    return {outer: nested(inner, value) if dot else value}


def test_fields_of_a_field_are_shown_with_a_dot():
    shown = {p.name: (p.allowed, p.default, p.unit, p.prose) for p in parameters_of(Odd())}
    assert list(shown)[:4] == ["word", "flag", "count", "inner.size"]
    assert shown["inner.size"] == ("a list of 2, each a number", (1.0, 2.0), "m", "Of it.")
    assert shown["perhaps"][1] is None
    assert shown["perhaps.size"][1] is None
    assert shown["count"] == ("a whole number of at least 2 or null", None, "count", "How many.")


class OddCloudParams(Params, frozen=True, kw_only=True):
    """Where points come from.

    More on it.
    """

    reach: Annotated[int, About("How far.", "m", least=1)] = 5
    deep: Inner = Inner((1.0, 2.0))
    near: int = 1


class OddGridParams(OddCloudParams, frozen=True, kw_only=True):
    cells: int = 4


class OddRowsParams(OddGridParams, frozen=True, kw_only=True):
    near: int = 1
    most: int = 9


def shared(params):
    return {parameter.name: parameter.shared for parameter in parameters_of(params)}


def test_a_parameter_says_with_which_others_it_is_shared():
    own = {"most": None, "near": None}
    cloud = {"reach": "odd cloud", "deep.size": "odd cloud", "deep.names": "odd cloud"}
    assert shared(OddRowsParams()) == {**cloud, "cells": "odd grid", **own}
    assert shared(OddCloudParams()) == dict.fromkeys(("reach", "deep.size", "deep.names", "near"))
    # another default is the group's own
    assert shared(OddRowsParams(reach=7)) == {**cloud, "reach": None, "cells": "odd grid", **own}
    found = {one.name: one for one in shared_by(OddRowsParams())}
    assert list(found) == ["odd grid", "odd cloud"]
    assert found["odd cloud"].prose == "Where points come from."
    assert [parameter.name for parameter in found["odd cloud"].parameters] == ["reach", "deep.size", "deep.names"]
    assert found["odd grid"].prose == ""
    assert shared_by(OddCloudParams()) == ()


def test_the_features_of_lidar_share_the_parameters_of_the_cloud():
    groups = [canonical().group(name) for name in ("lidar_points", "lidar_voxels", "lidar_bev_stats")]
    cloud = [next(one for one in shared_by(group.params) if one.name == "cloud") for group in groups]
    assert cloud[0] == cloud[1] == cloud[2]
    assert {"num_sweeps", "intensity_mode"} <= {parameter.name for parameter in cloud[0].parameters}
    assert "grid.voxel" not in {parameter.name for parameter in cloud[0].parameters}


def test_a_field_that_is_a_word_or_an_object_shows_both():
    shown = {p.name: (p.allowed, p.default) for p in parameters_of(canonical().group("radar_points").params)}
    allowed = "'crn', 'devkit' or 'none' or an object with invalid_state, dyn_prop, ambig_state"
    assert shown["filter"] == (allowed, "devkit")
    assert shown["filter.dyn_prop"] == ("a list, each a whole number, or null", None)
    params = canonical().group("radar_points").params.replace({"filter": {"dyn_prop": [1]}}, "")
    shown = {p.name: p.default for p in parameters_of(params)}
    assert "filter" not in shown
    assert list(shown["filter.dyn_prop"]) == [1]


# ---- presets


def voxels(spec):
    (resolved, *_) = canonical().resolve(spec)
    return resolved.params


ROW = {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": {"preset": "pointpillars_kitti"}}


@pytest.mark.parametrize("rows", [[ROW], [{**ROW, "params": "pointpillars_kitti"}]])
def test_one_spec_serves_testing_and_training(rows):
    assert voxels(canonical().spec(rows)).max_voxels == 40_000
    spec = canonical().spec(rows, training=True)
    assert voxels(spec).max_voxels == 16_000
    # the row says it, and stands alone
    assert spec.rows[0].params == {"preset": "pointpillars_kitti", "max_voxels": 16_000}
    assert voxels(Spec.from_json(spec.to_json())).max_voxels == 16_000
    assert voxels(canonical().spec(spec, training=True)).max_voxels == 16_000


def test_a_preset_from_params_has_its_training_values_too():
    spec = canonical().spec(["lidar_voxels"], {"lidar_voxels": "second_kitti"}, training=True)
    assert voxels(spec).max_voxels == 16_000
    assert spec.rows[0].shape == ("num_voxels", 5, 4)


def test_what_a_row_says_itself_holds_in_training():
    row = {**ROW, "params": {"preset": "pointpillars_kitti", "max_voxels": 5}}
    assert voxels(canonical().spec([row], training=True)).max_voxels == 5


def test_rows_without_a_preset_are_the_same_in_training():
    rows = [
        {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]},
        {"name": "x", "dtype": "int8", "shape": []},
    ]
    assert canonical().spec(rows, training=True) == canonical().spec(rows)
    once = [{**ROW, "params": {"preset": "once_pillar"}, "shape": ["n", 16, 4]}]
    assert canonical().spec(once, training=True) == canonical().spec(once)


def test_a_fingerprint_says_which_values_were_taken():
    testing, training = (canonical().record(canonical().spec([ROW], training=yes)) for yes in (False, True))
    assert testing["features"]["lidar_voxels"]["meaning"]["params"]["max_voxels"] == 40_000
    assert training["features"]["lidar_voxels"]["meaning"]["params"]["max_voxels"] == 16_000
    prints = {record["features"]["lidar_voxels"]["fingerprint"] for record in (testing, training)}
    assert len(prints) == 2
    assert fingerprint(testing["features"]["lidar_voxels"]["meaning"]) in prints


def test_the_fingerprint_of_a_spec_covers_what_is_built():
    def of(*rows, **options):
        return canonical().fingerprint_of(canonical().spec(rows, **options))

    stamp, voxels = "reference_stamp", {**ROW, "shape": ["voxels", *ROW["shape"][1:]]}
    assert of(ROW) == of(voxels)  # a symbol's name
    assert of(ROW, stamp) == of(stamp, ROW)
    others = {of(stamp), of({**ROW, "shape": [4000, *ROW["shape"][1:]]}), of(ROW, training=True), of(ROW, stamp)}
    assert len({of(ROW), *others}) == 5
    # a row that says the training values itself means the same
    row = canonical().spec([ROW], training=True).rows[0]
    assert of(row.to_dict()) == of(ROW, training=True)


def test_training_values_nest_as_parameters_do():
    group = canonical().group("lidar_voxels")
    grid = Preset({"max_voxels": 9}, {"grid": {"voxel": [1, 1, 1]}})
    mine = msgspec.structs.replace(group, presets={"mine": grid, "plain": {"max_voxels": 3}})
    assert mine.preset("mine").values() == {"max_voxels": 9}
    assert mine.preset("mine").values(training=True) == {"max_voxels": 9, "grid": {"voxel": [1, 1, 1]}}
    assert mine.preset("plain") == Preset({"max_voxels": 3})
    with pytest.raises(
        SpecError, match=r"^group 'lidar_voxels': the preset 'p' in training: no parameter 'rows'; did you"
    ):
        msgspec.structs.replace(group, presets={"p": Preset({}, {"rows": 5})})


def test_every_preset_of_ours_says_what_it_follows():
    for group in canonical().groups:
        for name in group.presets:
            assert group.preset(name).follows, name


# ---- features that are not there


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("radar_zzzzzz", "for radar there are radar_points, radar_num_points, "),
        ("camera_zzzzzz", "for camera there are camera_images, camera_valid, "),
        ("map_zzzzzz", "for map there are map_raster, map_raster_valid, "),
        ("gt_zzzzzz", "for gt there are gt_boxes, gt_labels, "),
        ("lidar_zzzzzz", "for lidar there are lidar_points, lidar_num_points, "),
    ],
)
def test_a_feature_of_another_family_is_never_meant(name, said):
    with pytest.raises(UnknownFeature) as refused:
        canonical()[name]
    text = str(refused.value)
    assert text.startswith(f"no feature '{name}'; {said}")
    assert text.endswith("docs/builder.md shows how to add one (A feature of your own)")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("lidar_point", "lidar_points"),
        ("ego_pos", "ego_pose"),
        ("lidr_points", "lidar_points"),
        ("camera_image", "camera_images"),
        ("images", "camera_images"),
    ],
)
def test_a_slip_within_the_family_is_put_right(name, near):
    with pytest.raises(UnknownFeature, match=f"^no feature '{name}'; did you mean '{near}'"):
        canonical()[name]


def test_params_of_another_family_are_never_meant():
    with pytest.raises(UnknownFeature, match=r"^no group or part 'map_zzzzzz'; for map there are map_raster, "):
        canonical().spec(["lidar_points"], {"map_zzzzzz": {}})
