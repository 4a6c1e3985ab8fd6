"""Schemas: JSON both ways, fingerprints, parameters, and schemas that cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import get_args

import msgspec
import pytest

from perceptum.features import (
    DTYPES,
    Feature,
    Schema,
    SpecError,
    UnknownFeature,
    canonical,
    fingerprint,
)

GROUPS = ", ".join(group.name for group in canonical().groups)
POINTS = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}

# what cannot be found by trying
CHANGED = {
    "layers": ["lane"],
    "background": [1, 2, 3],
    "paints": [{"layer": "lane", "color": [1, 2, 3]}],
    "sensors": ["a"],
    "columns": ["x", "y", "z"],
    "sensor": "a",
    "range": [0, 0, 0, 1, 1, 1],
    "grid": {"voxel": [0.25, 0.25, 0.5]},
    "fov": [10, -10],
    "norm": {"mean": [0] * 5, "std": [1] * 5},
    "azimuth_fov": [90, -90],
    "rcs_range": [0, 50],
    "velocity_range": [-100, 100],
    "image": {"flip": True},
    "depth_range": [2, 30],
    "heights": [0.5],
    "lidar": {"num_sweeps": 2},
    "radar": {"num_sweeps": 2},
    "counts": [3, 4, 5, 6],
    "centre": [1, 2],
    "hops": [1, 2, 3, 4, 5, 6],
    "classes": ["a"],
    "box_range": [0, 0, 0, 1, 1, 1],
    "agents": {"max_agents": 3},
    "tracks": {"num_steps": 3},
    "colours": [[1, 2, 3]] * 3,
}
# what can only be changed together with others
BESIDE = {
    "camera_axis": {"image": {"cameras": ["a"]}},
    "norm_at": {"norm": "unit", "resampler": "cv2_linear"},
    "radar": {"source": "radar"},
}


def other_values(params, field):
    """Values that a parameter might have instead, of which one will do."""
    value = getattr(params, field.name)
    if field.name in CHANGED:
        yield CHANGED[field.name]
    if field.name == "range":
        # on a map it is an area
        yield [0, 0, 1, 1]
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value / 2)
    elif isinstance(value, tuple):
        yield from (value[:1], value[::-1], value[1:])
        if value and all(isinstance(one, float) for one in value):
            yield tuple(2 * one for one in value)
    yield from (9, 0.5, "a", ["a"], True)
    yield from words_of(field.type)


def words_of(kind):
    """The closed words among what a type allows: of a Literal, and of a list of them."""
    for inner in get_args(kind):
        yield from ([inner, [inner]] if isinstance(inner, str) else words_of(inner))


def changed(change):
    """The canonical schema with changes to its features: change(feature) is a dict of them."""
    replace = msgspec.structs.replace
    groups = (replace(g, features=tuple(replace(f, **change(f)) for f in g)) for g in canonical().groups)
    return Schema("canonical", "1", tuple(groups))


def test_a_schema_comes_back_from_json_as_it_was():
    again = canonical().from_json(canonical().to_json())
    assert again == canonical()
    assert again.fingerprint == canonical().fingerprint
    mine = canonical().with_params("mine", "2", {"lidar_voxels": {"max_voxels": 7}})
    assert canonical().from_json(mine.to_json()) == mine
    yxc = canonical().with_params("mine", "2", {"lidar_bev_stats": {"bev_layout": "YXC"}})
    assert canonical().from_json(yxc.to_json()) == yxc


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a schema: Input data was truncated"),
        ("[]", "not a schema: list indices must be integers or slices, not str"),
        ("{}", "not a schema: 'groups'"),
        ('{"groups": [{"name": "lidar_point"}]}', "no group 'lidar_point'; did you mean 'lidar_points'?"),
        ('{"groups": [{"name": "ego"}]}', "not a schema: 'params'"),
        (
            '{"groups": [{"name": "ego", "params": {}, "features": [{"name": "ego_poses"}]}]}',
            "group 'ego' has no feature 'ego_poses'; it has ego_pose, reference_stamp",
        ),
        (
            '{"groups": [{"name": "ego", "params": {}, "features": [{"name": "ego_pose"}]}]}',
            "not a schema: Missing required argument 'dtypes'",
        ),
        (
            '{"groups": [{"name": "ego", "params": {}, "features": [{"name": "ego_pose", "colour": 1}]}]}',
            "not a schema: 'colour'",
        ),
        (
            "\ud800",
            "not a schema: 'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
        ),
        ("[" * 100_000, "not a schema: maximum recursion depth exceeded while deserializing an object"),
    ],
)
def test_what_is_no_schema_is_refused(text, message):
    with pytest.raises(SpecError) as error:
        canonical().from_json(text)
    assert str(error.value) == message


@pytest.mark.parametrize("change", [{"name": 1}, {"version": None}, {"groups": {}}, {"groups": "abc"}, {"groups": [5]}])
def test_a_schema_with_a_part_of_another_type_is_refused(change):
    plain = {**json.loads(canonical().to_json()), **change}
    with pytest.raises(SpecError, match=r"^not a schema: "):
        canonical().from_json(json.dumps(plain))


def test_a_fingerprint_is_the_same_in_every_process():
    code = "from perceptum.features import canonical; print(canonical().fingerprint)"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == canonical().fingerprint


def test_a_fingerprint_does_not_know_prose_or_order():
    other = changed(lambda feature: {"prose": "other words"})
    assert Schema("other", "9", tuple(reversed(other.groups))).fingerprint == canonical().fingerprint
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": [1, (2.0,)]}) == fingerprint({"a": (1.0, [2])})
    assert len(fingerprint({})) == 16


@pytest.mark.parametrize("name", [group.name for group in canonical().groups])
def test_every_parameter_changes_the_fingerprint(name):
    params, seen = canonical().group(name).params, {canonical().fingerprint}
    for field in msgspec.structs.fields(params):
        for value in other_values(params, field):
            try:
                beside = {key: own for key, own in BESIDE.get(field.name, {}).items() if hasattr(params, key)}
                changes = {**beside, field.name: value}
                other = canonical().with_params("canonical", "1", {name: changes})
            except SpecError:
                continue
            if getattr(other.group(name).params, field.name) != getattr(params, field.name):
                break
        else:
            pytest.fail(f"no other value of {field.name} was found: add one to CHANGED")
        seen.add(other.fingerprint)
    assert len(seen) == 1 + len(params.__struct_fields__)


@pytest.mark.parametrize(
    "change",
    [{"definition": 2}, {"units": "s"}, {"frame": "ego"}, {"fill": 3.0}, {"shape": (1, 4)}, {"cut": "first_rows"}],
    ids=["definition", "units", "frame", "fill", "shape", "cut"],
)
def test_what_decides_the_bytes_changes_the_fingerprint(change):
    other = changed(lambda feature: change if feature.name == "ego_pose" else {})
    assert other.fingerprint != canonical().fingerprint


def test_with_params_changes_a_group_and_nothing_else():
    mine = canonical().with_params("mine", "2", {"lidar_voxels": {"grid": {"voxel": [0.2, 0.2, 8]}}})
    assert (mine.name, mine.version) == ("mine", "2")
    for group in canonical().groups:
        assert (mine.group(group.name) == group) == (group.name != "lidar_voxels")
    assert mine.group("lidar_voxels").params.grid.size == (512, 512, 1)
    assert mine.group("lidar_voxels").params.grid.range == canonical().group("lidar_voxels").params.grid.range


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lidar_voxel": {}}, "no group 'lidar_voxel'; did you mean 'lidar_voxels'?"),
        ({"qqqq": {}}, f"no group 'qqqq'; there are {GROUPS}"),
        ({"lidar_voxels": {"max_voxels": 0}}, "'lidar_voxels': max_voxels must be at least 1, got 0"),
    ],
)
def test_with_params_refuses_what_no_group_has(params, message):
    with pytest.raises(SpecError) as error:
        canonical().with_params("mine", "2", params)
    assert str(error.value) == message


def test_parameters_for_a_group_that_is_none_are_refused_and_not_forgotten():
    with pytest.raises(UnknownFeature) as error:
        canonical().spec(["lidar_points"], {"lidar_point": {"num_sweeps": 3}})
    assert str(error.value) == "no group or part 'lidar_point'; did you mean 'lidar_points'?"
    with pytest.raises(SpecError) as error:
        canonical().spec(["lidar_points"], {"lidar_points": 5})
    assert str(error.value) == "'lidar_points': params must be a dict or a preset's name, got 5"


def test_parameters_for_a_group_go_to_the_rows_that_bring_none():
    own = {**POINTS, "name": "lidar_points__b", "params": {"num_sweeps": 2}}
    spec = canonical().spec(["lidar_points", own, "ego_pose"], {"lidar_points": {"num_sweeps": 5}})
    assert [row.params for row in spec] == [{"num_sweeps": 5}, {"num_sweeps": 2}, None]
    assert canonical().spec(["lidar_voxels"], {"lidar_voxels": "bevfusion"}).rows[0].params == {"preset": "bevfusion"}


def test_names_alone_take_their_default_dtype_and_own_shape():
    spec = canonical().spec(["lidar_voxels__b", "lidar_bev_occupancy", "ego_pose"], {"lidar_voxels": "bevfusion"})
    assert [(row.name, row.dtype, row.shape) for row in spec] == [
        ("lidar_voxels__b", "float32", ("num_voxels__b", 10, 5)),
        ("lidar_bev_occupancy", "uint8", (40, 1024, 1024)),
        ("ego_pose", "float64", (4, 4)),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a b"}, "a feature's name must be an identifier without a double underscore, got 'a b'"),
        ({"name": "a__b"}, "a feature's name must be an identifier without a double underscore, got 'a__b'"),
        (
            {"dtypes": ("bool",)},
            f"feature 'a': dtypes must be of {', '.join(DTYPES)}, got ('bool',)",
        ),
    ],
)
def test_a_feature_that_cannot_be_is_refused(change, message):
    fields = {"name": "a", "dtypes": ("uint8",), "shape": (1,), "units": "none", "frame": "none"}
    with pytest.raises(SpecError) as error:
        Feature(**{**fields, **change})
    assert str(error.value) == message


def test_a_schema_holds_no_name_twice():
    (ego,) = (group for group in canonical().groups if group.name == "ego")
    with pytest.raises(SpecError) as error:
        Schema("mine", "1", (*canonical().groups, ego))
    assert str(error.value) == "schema 'mine': the group 'ego' is listed twice"
    with pytest.raises(SpecError) as error:
        Schema("mine", "1", (ego, msgspec.structs.replace(ego, name="other")))
    assert str(error.value) == "schema 'mine': the feature 'ego_pose' is listed twice"
