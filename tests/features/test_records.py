"""Records: what a package stores of the schema it was made under, and whether that still holds."""

from __future__ import annotations

import json

import msgspec
import pytest

from perceptum.features import (
    Feature,
    Group,
    Params,
    Row,
    Schema,
    SchemaMismatch,
    SpecError,
    UnknownFeature,
    canonical,
    fingerprint,
)

POINTS = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}


def reworded(schema, **changes):
    """The schema with the same changes to every feature."""
    replace = msgspec.structs.replace
    groups = (replace(g, features=tuple(replace(f, **changes) for f in g)) for g in schema.groups)
    return Schema("canonical", "7", tuple(groups))


def stored(rows=(POINTS,), schema=None):
    """A record as a package holds it: through JSON."""
    return json.loads(json.dumps((schema or canonical()).record(rows)))


def test_a_record_tells_of_canonical_rows_and_leaves_out_the_models_own():
    record = stored([POINTS, {"name": "learned_queries", "dtype": "float32", "shape": [900, 256]}])
    assert list(record["features"]) == ["lidar_points"]
    schema = canonical()
    assert record["schema"] == {"name": schema.name, "version": schema.version, "fingerprint": schema.fingerprint}


class AcmeParams(Params, frozen=True, kw_only=True):
    """None."""


def acme(name):
    """A group as a plug-in brings it, with its filler."""
    feature = Feature(name=name, shape=(1,), dtypes=("float32",), units="m", frame="none", prose="One.")
    return Group(name=name, params=AcmeParams(), features=(feature,), filler=int)


def test_plug_ins_that_no_row_is_of_change_nothing_of_a_record():
    """A package made beside an installed plug-in had another fingerprint of the schema, and so other bytes."""
    ours = canonical()
    beside = Schema(ours.name, ours.version, (*ours.groups, acme("acme_a"), acme("acme_b")))
    assert stored(schema=beside) == stored()
    rows = (POINTS, {"name": "acme_a", "dtype": "float32", "shape": [1]})
    fewer = Schema(ours.name, ours.version, (*ours.groups, acme("acme_a")))
    assert stored(rows, beside) == stored(rows, fewer)
    assert stored(rows, beside)["schema"] != stored()["schema"]
    assert stored(rows, beside)["schema"]["fingerprint"] == fewer.fingerprint
    ours.check(stored(schema=beside))
    beside.check(stored())


@pytest.mark.parametrize(
    "params", [None, {"num_sweeps": 3}, {"columns": ["x", "y", "z"]}, {"range": [0, 0, 0, 1, 1, 1]}]
)
def test_a_record_agrees_with_the_schema_that_made_it_and_with_later_prose(params):
    shape = ["n", len(params.get("columns", range(5)))] if params else ["n", 5]
    record = stored([{**POINTS, "shape": shape, "params": params}])
    canonical().check(record)
    reworded(canonical(), prose="new words").check(record)
    assert record["features"]["lidar_points"]["params"] == params


def test_a_record_through_json_shows_only_what_really_differs():
    """Tuples came back as lists, and each stood there as a difference."""
    mine = canonical().with_params("mine", "2", {"lidar_points": {"num_sweeps": 3, "frame": "lidar"}})
    with pytest.raises(SchemaMismatch) as error:
        mine.check(stored())
    assert str(error.value) == (
        f"'lidar_points' was packed under schema canonical {canonical().version} "
        "and means something else under mine 2: params.frame was ego, is lidar; params.num_sweeps was 1, is 3; "
        "give the row its old params, or train and pack again"
    )


def test_a_row_that_says_all_its_parameters_survives_a_change_of_the_defaults():
    rows = [{**POINTS, "params": canonical().group("lidar_points").params.to_dict()}]
    mine = canonical().with_params("mine", "2", {"lidar_points": {"num_sweeps": 3, "frame": "lidar"}})
    record = stored(rows)
    mine.check(record)
    assert (
        fingerprint(record["features"]["lidar_points"]["meaning"]) == record["features"]["lidar_points"]["fingerprint"]
    )


def test_a_feature_or_parameter_that_is_gone_is_a_mismatch():
    fewer = Schema("fewer", "3", tuple(group for group in canonical().groups if group.name != "ego"))
    record = stored([{"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}])
    with pytest.raises(SchemaMismatch) as error:
        fewer.check(record)
    version = canonical().version
    assert str(error.value) == (
        f"'ego_pose' was packed under schema canonical {version}, but under fewer 3: "
        "no feature 'ego_pose'; did you mean 'ego_state'?"
    )
    gone = stored()
    gone["features"]["lidar_points"]["params"] = {"old": 1}
    with pytest.raises(SchemaMismatch, match="no parameter 'old'; there are frame"):
        canonical().check(gone)


@pytest.mark.parametrize(
    "record",
    [{}, {"schema": [], "features": {}}, {"schema": {"name": "a", "version": "1"}, "features": [1]}, None]
    + [
        {"schema": {"name": "a", "version": "1"}, "features": {"lidar_points": part}} for part in (5, {}, {"params": 5})
    ],
)
def test_a_record_that_is_none_is_a_mismatch_that_says_so(record):
    with pytest.raises(SchemaMismatch, match=r"^the record of the schema cannot be read \(.*\); pack the model again$"):
        canonical().check(record)


def test_a_row_means_the_same_whatever_else_stands_in_its_spec():
    alone = stored([POINTS])["features"]["lidar_points"]
    other = {**POINTS, "name": "lidar_points__b", "shape": ["m", 5], "params": {"num_sweeps": 9}}
    beside = stored([Row.of(other), POINTS])
    assert beside["features"]["lidar_points"] == alone


def test_what_no_builder_could_fill_is_refused_when_it_is_recorded():
    """A typo, or rows that contradict each other, are told to the one who packs, not to the one who runs."""
    typo = {**POINTS, "name": "lidar_point", "params": {"num_sweeps": 2}}
    with pytest.raises(UnknownFeature, match=r"^no feature 'lidar_point'; did you mean 'lidar_points'\?$"):
        canonical().record([typo])
    count = {"name": "lidar_num_points", "dtype": "int32", "shape": [1], "params": {"num_sweeps": 2}}
    with pytest.raises(SpecError, match="belong together but their params differ"):
        canonical().record([POINTS, count])
    assert canonical().record([{"name": "x", "dtype": "float32", "shape": [3]}])["features"] == {}


def test_a_parameter_that_was_added_since_is_no_difference_at_its_default():
    """Packages made before a cloud could have keyframes open still; the schema's own default counts as it is now."""
    record = stored()
    feature = record["features"]["lidar_points"]
    old = {name: value for name, value in feature["meaning"]["params"].items() if name not in ("sweeps", "ground")}
    feature["meaning"] = {**feature["meaning"], "params": old}
    feature["fingerprint"] = fingerprint(feature["meaning"])
    canonical().check(record)
    mine = canonical().with_params("mine", "2", {"lidar_points": {"sweeps": "keyframes"}})
    with pytest.raises(SchemaMismatch, match=r"params\.sweeps was all, is keyframes"):
        mine.check(record)
    # a record whose meaning is not what its fingerprint says is not completed
    feature["meaning"] = {**feature["meaning"], "fill": 1}
    with pytest.raises(SchemaMismatch, match="fill was 1, is 0"):
        canonical().check(record)
