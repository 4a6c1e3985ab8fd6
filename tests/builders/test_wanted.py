"""What InputBuilder takes, and what it refuses before a frame is seen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.features import SpecError, UnknownFeature, canonical

ROW = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}


def test_a_model_its_rows_or_feature_names_are_all_a_spec(frame_of):
    frame = frame_of([[1, 2, 3]])
    wanted = [SimpleNamespace(inputs=[ROW]), [ROW], (ROW,), iter([ROW]), canonical().spec([ROW]), ["lidar_points"]]
    for one in wanted:
        assert InputBuilder(one).build(frame)["lidar_points"].tolist() == [[1, 2, 3, 0, 0]]


def test_the_tensors_come_in_the_order_of_the_spec_and_the_spec_can_be_asked_for(frame_of):
    names = ["reference_stamp", "lidar_points", "ego_pose"]
    builder = InputBuilder(names)
    assert list(builder.build(frame_of([[1, 2, 3]]))) == names
    assert [row.name for row in builder.spec] == names


def test_a_schema_of_ones_own_gives_the_names_their_meaning(frame_of):
    mine = canonical().with_params("mine", "1", {"lidar_points": {"columns": ["z"]}})
    tensors = InputBuilder(["lidar_points"], schema=mine).build(frame_of([[1, 2, 3]]))
    assert tensors["lidar_points"].tolist() == [[3]]


def test_images_of_bits_may_be_bytes_or_floats(frame_of):
    grid = {"range": [0, 0, 0, 2, 2, 1], "voxel": [1, 1, 1]}
    built = []
    for dtype in ("uint8", "float32"):
        row = {"name": "lidar_bev_occupancy", "dtype": dtype, "shape": [1, 2, 2], "params": {"grid": grid}}
        built.append(InputBuilder([row]).build(frame_of([[1.5, 0.5, 0.5]]))["lidar_bev_occupancy"])
    assert [array.dtype for array in built] == [np.uint8, np.float32]
    assert np.array_equal(*built)


@pytest.mark.parametrize(
    ("wanted", "options", "message"),
    [
        ([], {}, "the spec has no rows: there is nothing to build"),
        (
            "lidar_points",
            {},
            "wanted a model, a list of spec rows or a list of feature names, got 'lidar_points'; "
            "one name is a list too: ['lidar_points']",
        ),
        (
            "specs/x.json",
            {},
            "wanted a model, a list of spec rows or a list of feature names, got 'specs/x.json'; "
            "the rows of that file are json.load(open('specs/x.json'))",
        ),
        (
            Path("x.json"),
            {},
            "wanted a model, a list of spec rows or a list of feature names, got PosixPath('x.json'); "
            "the rows of that file are json.load(open('x.json'))",
        ),
        (
            "m.neuropod",
            {},
            "wanted a model, a list of spec rows or a list of feature names, got 'm.neuropod'; "
            "a package is loaded first: load_neuropod('m.neuropod')",
        ),
        (b"abc", {}, "wanted a model, a list of spec rows or a list of feature names, got b'abc'"),
        (5, {}, "wanted a model, a list of spec rows or a list of feature names, got int"),
        (None, {}, "wanted a model, a list of spec rows or a list of feature names, got NoneType"),
        ({"a": 1}, {}, "wanted a model, a list of spec rows or a list of feature names, got {'a': 1}"),
        ([5], {}, "a spec row must be a dict with name, dtype and shape, got 5"),
        (
            ["lidar_points"] * 2,
            {},
            "'lidar_points' is listed twice in the spec; a second instance takes a suffix: lidar_points__b",
        ),
        (["lidar_points"], {"threads": 0}, "threads must be at least 1, got 0"),
        (["lidar_points"], {"threads": 10**6}, "threads must be at least 1 and at most 1024, got 1000000"),
        (["lidar_points"], {"threads": "2"}, "threads must be a number, got '2'"),
        (["lidar_points"], {"threads": True}, "threads must be a number, got True"),
        (["lidar_points"], {"writable": "no"}, "writable must be True or False, got 'no'"),
        (["lidar_points"], {"training": 1}, "training must be True or False, got 1"),
        (
            ["lidar_points"],
            {"params": "bevfusion"},
            "params must be a dict, {group: params or a preset's name} or {part: value}, got 'bevfusion'",
        ),
        (["lidar_point"], {}, "no feature 'lidar_point'; did you mean 'lidar_points'?"),
        (
            ["lidar_points"],
            {"params": {"lidar_points": {"num_sweeps": 0}}},
            "input 'lidar_points': num_sweeps must be at least 1, got 0",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(wanted, options, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(wanted, **options)
    assert str(error.value) == message


def test_the_error_of_an_unknown_feature_can_be_caught_by_its_own_name():
    with pytest.raises(UnknownFeature):
        InputBuilder(["nothing_like_it"])


def test_a_model_that_takes_what_is_no_feature_is_named():
    model = SimpleNamespace(name="joiner", inputs=[{"name": "words", "dtype": "string", "shape": [None]}])
    with pytest.raises(
        SpecError, match="model 'joiner' takes inputs that are not features, so no log has them; give it arr"
    ):
        InputBuilder(model)


def test_a_builder_for_training_takes_the_presets_training_values(frame_of):
    rows = [
        {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": "pointpillars_kitti"},
        {"name": "lidar_voxel_coords", "dtype": "int32", "shape": ["n", 3], "params": "pointpillars_kitti"},
    ]
    # a point in each of 20 000 cells
    x, y = np.divmod(np.arange(20_000), 200)
    frame = frame_of(np.stack([0.08 + 0.16 * x, 0.08 + 0.16 * (y - 100), np.zeros(20_000)], axis=1))
    model = SimpleNamespace(inputs=rows)
    for wanted in (rows, model, {"a": model}):
        built = [InputBuilder(wanted, training=yes).build(frame) for yes in (False, True)]
        shapes = [one.get("a", one)["lidar_voxel_coords"].shape for one in built]
        assert shapes == [(20_000, 3), (16_000, 3)]
    assert InputBuilder(rows, training=True).spec.rows[0].params == {
        "preset": "pointpillars_kitti",
        "max_voxels": 16_000,
    }
