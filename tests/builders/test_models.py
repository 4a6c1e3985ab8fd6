"""Several models in one plan: stages shared by value, memory and names each model's own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from perceptum.builders import InputBuilder, Pool
from perceptum.features import SpecError

GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [2, 2, 2]}
FINE = {"grid": {**GRID, "voxel": [0.5, 0.5, 2]}}
BEV = {"name": "lidar_bev_occupancy", "dtype": "uint8", "shape": [3, 160, 160], "params": FINE}
FLOATS = {**BEV, "dtype": "float32"}
POINTS = {"name": "lidar_points", "dtype": "float32", "shape": ["n", 5]}
POSE = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3]) for n in (400, 20, 0, 350)]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_model_gets_what_it_would_get_alone(frames, threads):
    wanted = {"seer": SimpleNamespace(inputs=[BEV, POSE]), "joiner": [FLOATS, POINTS, POSE]}
    builder = InputBuilder(wanted, threads=threads)
    alone = {"seer": InputBuilder([BEV, POSE]), "joiner": InputBuilder([FLOATS, POINTS, POSE])}
    for frame in frames * 2:
        built = builder.build(frame)
        assert list(built) == ["seer", "joiner"]
        for name, own in alone.items():
            expected = own.build(frame)
            assert list(built[name]) == list(expected)
            assert all(np.array_equal(built[name][key], expected[key]) for key in expected)
            assert {key: a.dtype for key, a in built[name].items()} == {key: a.dtype for key, a in expected.items()}
    batches = builder.build_batch(frames)
    for name, own in alone.items():
        expected = own.build_batch(frames)
        assert list(batches[name]) == list(expected)
        assert all(np.array_equal(batches[name][key], expected[key]) for key in expected)


def test_stages_are_shared_across_models_and_memory_is_not(frames):
    builder = InputBuilder({"a": [BEV, POINTS], "b": [FLOATS, POSE]})
    stages = {stage.title: stage.serves for stage in builder.explain().stages}
    cloud = ("a/lidar_bev_occupancy", "a/lidar_points", "b/lidar_bev_occupancy")
    assert stages["cloud (1 sweep, ego frame)"] == cloud
    assert stages["occupancy"] == ("a/lidar_bev_occupancy", "b/lidar_bev_occupancy")
    assert stages["points"] == ("a/lidar_points",)
    built = builder.build(frames[0])
    assert not np.shares_memory(built["a"]["lidar_bev_occupancy"], built["b"]["lidar_bev_occupancy"])
    assert set(built["a"].times_s) == {*stages, *cloud, "b/ego_pose"}
    text = str(builder.explain())
    assert "b: 1 small tensor in one block of 128 B" in text
    assert "a/lidar_points" in text
    assert "rows of a agree on frame ego" in text


def test_what_was_dropped_is_each_models_own(frame_of):
    frame = frame_of([[1, 1, 0], [2, 2, 0], [np.nan, 0, 0]])
    few = {**POINTS, "params": {"max_points": 1}}
    built = InputBuilder({"a": [POINTS], "b": [few], "c": [POSE]}).build(frame)
    assert built["a"].dropped == {"non-finite points": 1, "points over max_points": 0}
    assert built["b"].dropped == {"non-finite points": 1, "points over max_points": 1}
    assert built["c"].dropped == {}


def test_a_model_that_owns_memory_keeps_it(frames):
    given = []

    class Owner:
        inputs = (BEV, POSE)

        def allocator(self, name, nbytes):
            given.append(name)
            raw = np.zeros(nbytes + 64, np.uint8)
            return memoryview(raw[-raw.ctypes.data % 64 :][:nbytes])

    builder = InputBuilder({"owner": Owner(), "other": [BEV]})
    builder.build(frames[0])
    assert given == ["small tensors", "lidar_bev_occupancy"]
    assert [line.owner for line in builder.explain().tensors] == ["model", "model", "builder's pool"]


def test_memory_may_be_given_for_one_build(frames):
    mine = Pool()
    builder = InputBuilder({"a": [BEV], "b": [BEV]})
    builder.build(frames[0], into={"a": mine})
    assert (mine.allocated, [pool.allocated for pool in builder.pools.values()]) == (1, [0, 1])
    mine, single = Pool(), InputBuilder([BEV, POSE])
    held = [single.build(frame, into=mine) for frame in frames]
    for frame, tensors in zip(frames, held, strict=True):
        assert np.array_equal(tensors["lidar_bev_occupancy"], single.build(frame)["lidar_bev_occupancy"])
    assert single.pool.allocated == 2
    assert single.build_batch(frames, into=mine)["ego_pose"].shape == (4, 4, 4)
    with pytest.raises(ValueError, match=r"^into: there is no model 'c'; there are a, b$"):
        builder.build(frames[0], into={"c": mine})
    with pytest.raises(ValueError, match=r"^into must be \{name: memory\} for a, b, got Pool$"):
        builder.build(frames[0], into=mine)


@pytest.mark.parametrize(
    ("wanted", "params", "message"),
    [
        ({}, None, "wanted a model, a list of spec rows or a list of feature names, got {}"),
        ({"a": [BEV], "b": 5}, None, "wanted a model, a list of spec rows or a list of feature names, got "),
        ({"a": [BEV], "": [BEV]}, None, "wanted a model, a list of spec rows or a list of feature names, got "),
        ({"a": ["lidar_points"], "b": []}, None, "model 'b': the spec has no rows: there is nothing to build"),
        ({"a": ["lidar_points"], "b": ["lidar_point"]}, None, "no feature 'lidar_point'; did you mean 'lidar_points'?"),
        ({"a": ["lidar_points"], "b": ["ego_pose"]}, {"lidar_voxels": {}}, "params for 'lidar_voxels', but no row"),
    ],
)
def test_what_cannot_be_planned_is_refused(wanted, params, message):
    with pytest.raises(SpecError) as error:
        InputBuilder(wanted, params=params)
    assert message in str(error.value)


def test_params_reach_the_models_that_have_the_group():
    wanted = {"a": ["lidar_points"], "b": ["ego_pose"], "c": ["lidar_points", "lidar_bev_stats"]}
    params = {"lidar_points": {"max_points": 7}, "lidar_bev_stats": {"grid": GRID}}
    builder = InputBuilder(wanted, params=params)
    assert [row.params for row in builder.specs["a"]] == [{"max_points": 7}]
    assert [row.params for row in builder.specs["c"]] == [{"max_points": 7}, {"grid": GRID}]
    with pytest.raises(SpecError, match=r"^this builder has the specs of a, b, c; take builder.specs\[model\]$"):
        _ = builder.spec


def test_a_part_reaches_the_models_that_have_it():
    """What "b" has not was refused on its account."""
    own = {**POINTS, "params": {"frame": "ego"}}
    builder = InputBuilder({"a": ["lidar_points"], "b": ["ego_pose"], "c": [own]}, params={"frame": "lidar"})
    assert [[row.params for row in spec] for spec in builder.specs.values()] == [
        [{"frame": "lidar"}],
        [None],
        [{"frame": "ego"}],
    ]
    with pytest.raises(SpecError):
        InputBuilder({"a": ["ego_pose"], "b": ["ego_pose"]}, params={"frame": "lidar"})
