"""lidar_points and lidar_num_points: which points, which columns, what padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import MissingRecord

BOTH = ["lidar_points", "lidar_num_points"]


def points_params(**params):
    return {"lidar_points": params}


def test_columns_come_in_the_order_asked_for(frame_of, build):
    frame = frame_of([[1, 2, 3], [4, 5, 6]], np.uint8([51, 255]), intensity_scale=255.0, ring=np.int16([7, 9]))
    params = points_params(columns=["ring", "time_lag", "intensity", "z", "y", "x"])
    assert build(["lidar_points"], frame, params)["lidar_points"].tolist() == [
        [7, 0, np.float32(0.2), 3, 2, 1],
        [9, 0, 1, 6, 5, 4],
    ]


def test_columns_that_the_lidar_does_not_give_are_zero_and_the_ring_is_minus_one(frame_of, build):
    params = points_params(columns=["intensity", "ring", "time_lag"])
    assert build(["lidar_points"], frame_of([[1, 2, 3]]), params)["lidar_points"].tolist() == [[0, -1, 0]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int16"])
def test_records_of_any_dtype_and_layout_give_the_same_points(frame_of, build, dtype):
    xyz = np.arange(30).reshape(10, 3)
    strided = np.zeros((20, 6), dtype)
    strided[::2, ::2] = xyz
    strided.flags.writeable = False
    points = build(["lidar_points"], frame_of(strided[::2, ::2]))["lidar_points"]
    assert points[:, :3].tobytes() == xyz.astype(np.float32).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.tuples(*[st.sampled_from([-1.0, np.nextafter(np.float32(-1), np.float32(-2)), 0.5, 1.0, -0.0, np.nan])] * 3),
        max_size=30,
    ),
    most=st.one_of(st.none(), st.integers(1, 5)),
)
def test_the_range_keeps_its_lower_edge_and_leaves_out_its_upper(frame_of, build, values, most):
    xyz = np.float32(values).reshape(-1, 3)
    inside = [p for p in xyz if all(np.float32(-1) <= v < np.float32(1) for v in p)]
    params = points_params(columns=["x", "y", "z"], range=[-1, -1, -1, 1, 1, 1], max_points=most)
    tensors = build(BOTH, frame_of(xyz), params)
    expected = np.float32(inside[:most]).reshape(-1, 3)
    assert tensors["lidar_points"].tobytes() == expected.tobytes()
    assert tensors["lidar_num_points"].tolist() == [len(expected)]


def test_a_range_thinner_than_a_metre_is_a_range(frame_of, build):
    params = points_params(columns=["z"], range=[-1, -1, 0, 1, 1, 0.25])
    assert build(["lidar_points"], frame_of([[0, 0, 0.1], [0, 0, 0.3]]), params)["lidar_points"].shape == (1, 1)


def test_a_fixed_number_of_rows_is_padded_with_zeros_and_counted(frame_of, street):
    points = street(40)[:, :3]
    spec = [
        {"name": "lidar_points", "dtype": "float32", "shape": [64, 3]},
        {"name": "lidar_num_points", "dtype": "int32", "shape": [1]},
    ]
    builder = InputBuilder(spec, params=points_params(columns=["x", "y", "z"], max_points=64))
    for n in (40, 0, 13, 40):
        tensors = builder.build(frame_of(points[:n]))
        assert tensors["lidar_points"][:n].tobytes() == points[:n].tobytes()
        assert not tensors["lidar_points"][n:].any()
        assert tensors["lidar_num_points"].tolist() == [n]


def test_points_over_the_limit_are_the_last_ones_and_are_counted(frame_of, street):
    points = street(100)
    builder = InputBuilder(BOTH, params=points_params(columns=["x", "y", "z"], max_points=30))
    tensors = builder.build(frame_of(points[:, :3]))
    assert tensors["lidar_points"].tobytes() == points[:30, :3].tobytes()
    assert tensors["lidar_num_points"].tolist() == [30]
    assert tensors.dropped == {"non-finite points": 0, "points over max_points": 70}


def test_remove_close_cuts_a_square_column_out_of_the_sensors_own_frame(frame_of, build):
    """Section 2.2: (0.5, 0.5) goes at any height, (0.5, 3) and (-1, 0) stay; before the points move."""
    ego_from_sensor = np.eye(4)
    ego_from_sensor[:3, 3] = 10, 0, 0
    xyz = [[0.5, 0.5, 30], [0.5, 3, 0], [-1, 0, 0], [-10, 0, 0], [-0.999, 0.999, -7]]
    params = points_params(columns=["x", "y", "z"], remove_close=1)
    points = build(["lidar_points"], frame_of(xyz, ego_from_sensor=ego_from_sensor), params)["lidar_points"]
    assert points.tolist() == [[10.5, 3, 0], [9, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("mode", "expected"), [("raw", [0, 51, 255]), ("unit", [0, 0.2, 1]), ("tanh", [0, np.tanh(51), np.tanh(255)])]
)
def test_intensity_comes_raw_or_scaled_or_squashed(frame_of, build, mode, expected):
    frame = frame_of(np.ones((3, 3)), np.uint8([0, 51, 255]), intensity_scale=255.0)
    params = points_params(columns=["intensity"], intensity_mode=mode)
    assert np.array_equal(build(["lidar_points"], frame, params)["lidar_points"][:, 0], np.float32(expected))


def test_an_intensity_that_is_not_finite_becomes_zero_or_takes_its_point_along(frame_of, build):
    frame = frame_of([[1, 1, 1], [2, 2, 2], [3, 3, 3]], np.float32([5, np.nan, -np.inf]))
    params = {"columns": ["x", "intensity"], "intensity_mode": "raw"}
    kept = build(["lidar_points"], frame, points_params(**params))["lidar_points"]
    dropped = build(["lidar_points"], frame, points_params(**params, nonfinite_features="drop"))["lidar_points"]
    assert kept.tolist() == [[1, 5], [2, 0], [3, 0]]
    assert dropped.tolist() == [[1, 5]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_that_are_not_finite_in_float32_are_dropped_and_counted(frame_of, bad, axis):
    xyz = np.ones((3, 3))
    xyz[1, axis] = bad
    builder = InputBuilder(["lidar_points"])
    tensors = builder.build(frame_of(xyz))
    assert tensors["lidar_points"].shape == (2, 5)
    assert tensors.dropped["non-finite points"] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_ring_that_is_not_finite_is_an_unknown_ring(frame_of, build, bad):
    frame = frame_of(np.ones((2, 3)), ring=np.float32([bad, 4]))
    assert build(["lidar_points"], frame, points_params(columns=["ring"]))["lidar_points"].tolist() == [[-1], [4]]


def test_a_frame_without_a_sweep_gives_no_points(memory_log, sweep_of, build):
    early = memory_log([sweep_of(np.ones((4, 3)), time_ns=2_000)], times_ns=[1_000, 2_000])
    tensors = build(BOTH, early[0])
    assert tensors["lidar_points"].shape == (0, 5)
    assert tensors["lidar_num_points"].tolist() == [0]
    assert build(BOTH, early[1])["lidar_num_points"].tolist() == [4]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("lidar_points", {}, "memory: frame 0 (1000) has no sweep of top, and the spec requires one"),
        ("lidar_range_image", {}, "memory: frame 0 (1000) has no sweep of top, and the spec requires one"),
    ],
)
def test_a_required_sweep_that_is_missing_is_an_error(memory_log, sweep_of, build, name, params, message):
    early = memory_log([sweep_of(np.ones((4, 3)), time_ns=2_000)], times_ns=[1_000, 2_000])
    with pytest.raises(MissingRecord) as error:
        build([name], early[0], {name: {"required": True, **params}})
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["lidar_points", "lidar_range_image"])
def test_a_log_without_a_lidar_gives_empty_tensors_or_an_error_where_one_is_required(memory_log, build, name):
    frame = memory_log([], times_ns=[5])[0]
    assert build(["lidar_points"], frame)["lidar_points"].shape == (0, 5)
    assert not build(["lidar_range_image_mask"], frame)["lidar_range_image_mask"].any()
    with pytest.raises(MissingRecord) as error:
        build([name], frame, {name: {"required": True}})
    assert str(error.value) == "memory: frame 0 (5) has no sweep of any lidar, and the spec requires one"


def test_a_lidar_that_the_log_lacks_is_named_with_those_it_has(frame_of, build):
    with pytest.raises(MissingRecord) as error:
        build(["lidar_points"], frame_of(np.ones((2, 3))), points_params(sensors=["roof"]))
    assert str(error.value) == "memory: no sensor 'roof'; the log has top"


def test_a_log_without_a_lidar_is_told_once_and_gives_empty_tensors(caplog):
    frame = memory_log(times_ns=[5])[0]
    builder = InputBuilder(["lidar_points", "lidar_range_image_mask"])
    with caplog.at_level("WARNING", logger="perceptum"):
        for _ in range(2):
            tensors = builder.build(frame)
    assert (len(tensors["lidar_points"]), int(tensors["lidar_range_image_mask"].sum())) == (0, 0)
    text = (
        "memory: frame 0 (5) has no sweep of any lidar: its lidar tensors are empty "
        '(reported once; the param "required" makes it an error)'
    )
    assert [record.getMessage() for record in caplog.records] == [text, text], "once by the cloud, once by the image"
