"""lidar_bev_occupancy and lidar_bev_stats against slow loops in numpy."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder, split
from perceptum.features import SpecError
from perceptum.inputs import MissingRecord

GRID = {"range": [-4, -3, -1, 4, 3, 1], "voxel": [0.5, 0.75, 0.5]}
X, Y, Z = 16, 8, 4
CHANNELS = ["count", "density", "max_z", "slice_height", "min_z", "mean_z", "var_z", "height_ratio"]
CHANNELS += ["max_i", "mean_i", "top_i"]


def cells(points):
    """Section 2.5: yields ix, iy, iz, x, y, z, intensity of the points inside in x and y, in float32."""
    low, step = np.float32(GRID["range"][:3]), np.float32(GRID["voxel"])
    for p in points:
        if not np.isfinite(p[:3]).all():
            continue
        ix, iy, iz = (int(c) for c in np.floor((p[:3] - low) / step))
        if 0 <= ix < X and 0 <= iy < Y:
            yield ix, iy, iz, p


def occupancy(points, binary=True, overflow=False, most=2**24):
    counts = np.zeros((Z + 2 * overflow, Y, X))
    for ix, iy, iz, _ in cells(points):
        level = iz if 0 <= iz < Z else Z if iz < 0 else Z + 1
        if level < len(counts):
            counts[level, iy, ix] += 1
    return np.minimum(counts, 1 if binary else most)


def statistics(points, cap=63, channels=CHANNELS):
    """One list of points per column, everything in Python floats; heights above the grid in float32, as published."""
    columns = {}
    for ix, iy, iz, p in cells(points):
        if 0 <= iz < Z:
            columns.setdefault((iy, ix), []).append((float(p[2]), float(p[3]), iz))
    low, high = np.float32(GRID["range"][2]), np.float32(GRID["range"][5])
    out = {name: np.zeros((Z if name == "slice_height" else 1, Y, X), np.float32) for name in CHANNELS}
    for (iy, ix), own in columns.items():
        z, i = [p[0] for p in own], [p[1] for p in own]
        n, top = len(own), i[z.index(max(z))]
        mean, squares = sum(z) / n, 0.0
        for one in z:
            squares += (one - mean) ** 2
        ratio = (np.float32(max(z)) - low) / (high - low)
        numbers = {"count": n, "density": min(1.0, log(n + 1) / log(cap + 1)), "max_z": max(z), "min_z": min(z)}
        numbers |= {"mean_z": mean, "var_z": squares / n, "height_ratio": ratio}
        numbers |= {"max_i": max(i), "mean_i": sum(i) / n, "top_i": top}
        for name, number in numbers.items():
            out[name][0, iy, ix] = number
        for level in {p[2] for p in own}:
            out["slice_height"][level, iy, ix] = np.float32(max(p[0] for p in own if p[2] == level)) - low
    return np.concatenate([out[name] for name in channels])


def arrange(cyx, layout, flip_x, flip_y):
    cyx = cyx[:, ::-1] if flip_y else cyx
    cyx = cyx[:, :, ::-1] if flip_x else cyx
    return np.ascontiguousarray(cyx.transpose(["CYX".index(axis) for axis in layout]))


def cloud(n, seed=0):
    random = np.random.default_rng(seed)
    return np.column_stack([random.normal(0, (2, 1.5, 0.7), (n, 3)), random.uniform(0, 1, n)]).astype(np.float32)


@st.composite
def awkward_clouds(draw):
    """Points on and beside the grid's lines, far away, or not numbers."""
    along = st.one_of(
        st.integers(-20, 20).map(lambda k: k * 0.25),
        st.floats(-5, 5, width=32),
        st.sampled_from([np.nan, np.inf, -np.inf, -0.0, 1e30]),
    )
    points = st.tuples(along, along, along, st.floats(0, 1, width=32))
    return np.array(draw(st.lists(points, max_size=50)), np.float32).reshape(-1, 4)


@settings(max_examples=80, deadline=None)
@given(
    points=awkward_clouds(), binary=st.booleans(), overflow=st.booleans(), dtype=st.sampled_from(["uint8", "float32"])
)
def test_occupancy_is_that_of_the_definition(frame_of, points, binary, overflow, dtype):
    params = {"grid": GRID, "binary": binary, "overflow_slices": overflow}
    row = {"name": "lidar_bev_occupancy", "dtype": dtype, "shape": [Z + 2 * overflow, Y, X], "params": params}
    got = InputBuilder([row]).build(frame_of(points[:, :3]))["lidar_bev_occupancy"]
    assert got.dtype == dtype
    assert np.array_equal(got, occupancy(points, binary, overflow))


@settings(max_examples=80, deadline=None)
@given(points=awkward_clouds(), cap=st.sampled_from([1, 63, 255]))
def test_statistics_are_those_of_the_definition(frame_of, build, points, cap):
    params = {"lidar_bev_stats": {"grid": GRID, "intensity_mode": "raw", "density_cap": cap, "channels": CHANNELS}}
    got = build(["lidar_bev_stats"], frame_of(points[:, :3], points[:, 3]), params)["lidar_bev_stats"]
    assert np.array_equal(got, statistics(points, cap))


@pytest.mark.parametrize(
    ("layout", "flip_x", "flip_y"), list(product(["CYX", "CXY", "YXC", "XYC"], [False, True], [False, True]))
)
def test_every_layout_and_flip_is_the_same_view(frame_of, build, layout, flip_x, flip_y):
    points = cloud(300)
    view = {"grid": GRID, "bev_layout": layout, "flip_x": flip_x, "flip_y": flip_y}
    params = {
        "lidar_bev_occupancy": {**view, "overflow_slices": True, "binary": False},
        "lidar_bev_stats": {**view, "channels": CHANNELS, "intensity_mode": "raw"},
    }
    got = build(list(params), frame_of(points[:, :3], points[:, 3]), params)
    expected = arrange(occupancy(points, binary=False, overflow=True), layout, flip_x, flip_y)
    assert np.array_equal(got["lidar_bev_occupancy"], expected)
    assert np.array_equal(got["lidar_bev_stats"], arrange(statistics(points), layout, flip_x, flip_y))


@pytest.mark.parametrize("layout", ["CYX", "CXY", "YXC", "XYC"])
@pytest.mark.parametrize(("flip_x", "flip_y"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("threads", [1, 3])
def test_grids_need_not_be_multiples_of_a_cache_line(monkeypatch, frame_of, layout, flip_x, flip_y, threads):
    """Columns are kept sixteen at a time: here these end within rows, and the last lie beyond the grid."""
    monkeypatch.setattr(split, "_FEWEST", 1)
    for name, value in {
        "X": 21,
        "Y": 5,
        "Z": 2,
        "GRID": {"range": [-4, -3, -1, 6.5, 2, 1], "voxel": [0.5, 1, 1]},
    }.items():
        monkeypatch.setitem(globals(), name, value)
    view = {"grid": GRID, "bev_layout": layout, "flip_x": flip_x, "flip_y": flip_y}
    params = {"lidar_bev_stats": {**view, "channels": CHANNELS, "intensity_mode": "raw"}}
    builder = InputBuilder(["lidar_bev_stats"], params=params, threads=threads)
    for n in (1500, 20, 0, 700, 5):
        points = cloud(n, seed=n)
        got = builder.build(frame_of(points[:, :3], points[:, 3]))["lidar_bev_stats"]
        assert np.array_equal(got, arrange(statistics(points), layout, flip_x, flip_y))


def test_zeros_keep_the_sign_of_the_first(frame_of, build):
    """Of equal heights the first is shown, and a mean of nothing but -0 is -0."""
    heights = np.float32([-0.0, 0.0, 0.0, -0.0, -0.0, -0.0])
    xyz = np.column_stack([[0, 0, 1, 1, 2, 2], np.zeros(6), heights]).astype(np.float32)
    params = {"lidar_bev_stats": {"grid": GRID, "channels": ["max_z", "min_z", "mean_z"]}}
    got = build(["lidar_bev_stats"], frame_of(xyz), params)["lidar_bev_stats"]
    assert np.signbit(got[:, 4, [8, 10, 12]]).tolist() == [
        [True, False, True],
        [True, False, True],
        [False, False, True],
    ]


@pytest.mark.parametrize(
    "channels", [["density"], ["top_i", "count"], ["slice_height", "top_i", "density"], ["var_z"], CHANNELS[::-1]]
)
def test_statistics_come_in_the_order_asked_for(frame_of, build, channels):
    points = cloud(200)
    params = {"lidar_bev_stats": {"grid": GRID, "intensity_mode": "raw", "channels": channels}}
    got = build(["lidar_bev_stats"], frame_of(points[:, :3], points[:, 3]), params)["lidar_bev_stats"]
    assert np.array_equal(got, statistics(points, channels=channels))


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("float32", 300)])
def test_counts_stop_where_the_dtype_does(frame_of, dtype, most):
    row = {"name": "lidar_bev_occupancy", "dtype": dtype, "shape": [Z, Y, X], "params": {"grid": GRID, "binary": False}}
    got = InputBuilder([row]).build(frame_of(np.zeros((300, 3))))["lidar_bev_occupancy"]
    assert got.max() == got.sum() == most


@pytest.mark.parametrize(("n", "density"), [(1, 0.166667), (5, 0.430827), (31, 0.833333), (63, 1), (64, 1), (5000, 1)])
def test_density_is_the_published_curve(frame_of, build, n, density):
    """Golden vector 9 of the reference."""
    params = {"lidar_bev_stats": {"grid": GRID, "channels": ["density"]}}
    got = build(["lidar_bev_stats"], frame_of(np.zeros((n, 3))), params)["lidar_bev_stats"]
    assert got.max() == pytest.approx(density, abs=1e-6)


def test_of_two_points_equally_high_the_first_gives_its_intensity(frame_of, build):
    frame = frame_of([[0, 0, 0.5], [0.1, 0, 0.75], [0.2, 0, 0.75]], np.float32([1, 2, 3]))
    params = {"lidar_bev_stats": {"grid": GRID, "channels": ["top_i"], "intensity_mode": "raw"}}
    assert build(["lidar_bev_stats"], frame, params)["lidar_bev_stats"].max() == 2


@pytest.mark.parametrize("name", ["lidar_bev_occupancy", "lidar_bev_stats"])
def test_no_points_leave_the_view_all_zero(frame_of, build, name):
    for xyz in (np.zeros((0, 3)), [[np.nan, 0, 0]], [[100, 0, 0]], [[0, 0, 50]]):
        assert not build([name], frame_of(xyz), {name: {"grid": GRID}})[name].any()


@pytest.mark.parametrize(
    "grid",
    [
        GRID,
        {**GRID, "outside": "clamp"},
        {"range": [0, -3.1415926, -1, 6, 3.1415926, 1], "voxel": [0.5, 0.1, 0.5], "coordinates": "cylinder"},
    ],
    ids=["plain", "clamp", "cylinder"],
)
def test_occupancy_is_where_voxels_are_and_where_points_are_counted(frame_of, build, grid):
    """Property 5 of the reference's section 5.2."""
    points = cloud(800)
    names = ["lidar_bev_occupancy", "lidar_bev_temporal", "lidar_bev_stats", "lidar_voxel_coords"]
    groups = {"lidar_bev_occupancy": {"grid": grid}, "lidar_bev_temporal": {"grid": grid, "num_sweeps": 1}}
    groups |= {"lidar_bev_stats": {"grid": grid, "channels": ["count"]}, "lidar_voxels": {"grid": grid}}
    got = build(names, frame_of(points[:, :3]), groups)
    scattered = np.zeros(got["lidar_bev_occupancy"].shape, np.uint8)
    scattered[tuple(got["lidar_voxel_coords"].T)] = 1
    assert scattered.sum() == len(got["lidar_voxel_coords"]) > 100
    assert np.array_equal(got["lidar_bev_occupancy"], scattered)
    assert np.array_equal(got["lidar_bev_temporal"], scattered)
    assert np.array_equal(got["lidar_bev_stats"][0] > 0, scattered.any(axis=0))


def test_means_do_not_drift_with_many_points(frame_of, build):
    """Sums are float64: a float32 sum of 200 000 tenths is off by metres."""
    n = 200_000
    frame = frame_of(np.tile(np.float32([0.1, 0.1, 0.1]), (n, 1)), np.full(n, 0.1, np.float32))
    params = {"lidar_bev_stats": {"grid": GRID, "channels": ["mean_z", "mean_i", "count"], "intensity_mode": "raw"}}
    got = build(["lidar_bev_stats"], frame, params)["lidar_bev_stats"].max(axis=(1, 2))
    assert got.tolist() == [np.float32(0.1), np.float32(0.1), n]


def test_counts_want_no_intensity(frame_of, build):
    frame = frame_of([[1, 2, 0], [1, 2, 0.5]])
    params = {"lidar_bev_stats": {"channels": ["count", "max_z"], "missing_columns": "error"}}
    got = build(["lidar_bev_stats"], frame, params)["lidar_bev_stats"]
    assert got.max(axis=(1, 2)).tolist() == [2, 0.5]
    with pytest.raises(MissingRecord, match="the sweep has no intensity"):
        build(["lidar_bev_stats"], frame, {"lidar_bev_stats": {"channels": ["mean_i"], "missing_columns": "error"}})


@pytest.mark.parametrize(
    ("group", "params", "says"),
    [
        (
            "lidar_bev_stats",
            {"density_cap": 2**63 - 1},
            "density_cap must be at most 2147483647, got 9223372036854775807",
        ),
        ("lidar_bev_stats", {"density_cap": 2**21}, "density_cap must be at most 1048576, got 2097152"),
        ("lidar_voxels", {"max_points_per_voxel": 2**63}, "max_points_per_voxel must be at most 2147483647"),
        (
            "lidar_bev_occupancy",
            {"overflow_slices": True, "grid": {"outside": "clamp"}},
            "overflow_slices are for points above and below the grid, which a grid that clamps does not have",
        ),
    ],
)
def test_numbers_beyond_all_counting_are_refused_when_planning(group, params, says):
    with pytest.raises(SpecError, match=says):
        InputBuilder([group], params={group: params})
