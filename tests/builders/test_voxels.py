"""Hard voxels against a slow oracle written from the definition, on clouds that try to break it."""

from __future__ import annotations

from math import isfinite

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder

NAMES = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
XYZI = ["x", "y", "z", "intensity"]


def voxel_params(low_high, voxel, points, voxels, **more):
    return {
        "lidar_voxels": {
            "grid": {"range": list(low_high), "voxel": list(voxel)},
            "max_points_per_voxel": points,
            "max_voxels": voxels,
            "columns": XYZI,
            "intensity_mode": "raw",
            **more,
        }
    }


def hard_voxels(points, low_high, voxel, most_points, most_voxels, overflow="continue"):
    """Section 2.3 of the reference, one point at a time, every operation in float32."""
    low, high = np.float32(low_high[:3]), np.float32(low_high[3:])
    size = np.round((high - low) / np.float32(voxel)).astype(int)
    rows: dict[tuple[int, ...], list[np.ndarray]] = {}
    for point in points:
        if not all(isfinite(v) for v in point[:3]):
            continue
        with np.errstate(over="ignore"):
            cell = tuple(float(np.floor((point[k] - low[k]) / np.float32(voxel[k]))) for k in range(3))
        if not all(0 <= c < n for c, n in zip(cell, size, strict=True)):
            continue
        if cell not in rows and len(rows) == most_voxels:
            if overflow == "break":
                break
            continue
        rows.setdefault(cell, []).append(np.where(np.isfinite(point), point, np.float32(0)))
    voxels = np.zeros((len(rows), most_points, points.shape[1]), np.float32)
    for row, own in enumerate(rows.values()):
        voxels[row, : min(len(own), most_points)] = own[:most_points]
    coords = np.array([[int(c) for c in cell[::-1]] for cell in rows], np.int32).reshape(-1, 3)
    counts = np.array([min(len(own), most_points) for own in rows.values()], np.int32)
    return voxels, coords, counts


def assert_equal_bytes(tensors, expected):
    for name, wanted in zip(NAMES, expected, strict=True):
        got = tensors[name]
        assert got.shape == wanted.shape, name
        assert got.dtype == wanted.dtype, name
        assert got.tobytes() == wanted.tobytes(), name


# small grids use the id table, the third is beyond it, the last beyond int32
GRIDS = [
    ((-2, -2, -1, 2, 2, 1), (0.5, 0.5, 0.5)),
    ((0, -39.68, -3, 69.12, 39.68, 1), (0.16, 0.16, 4)),
    ((-51.2, -51.2, -5, 51.2, 51.2, 3), (0.1, 0.1, 0.2)),
    ((-200, -200, -20, 200, 200, 20), (0.1, 0.1, 0.2)),
]


@st.composite
def awkward_clouds(draw):
    """A grid and a cloud with NaN, infinities, grid edges, voxel multiples and their neighbours in float32."""
    low_high, voxel = draw(st.sampled_from(GRIDS))

    def along(axis):
        low, high, step = np.float32(low_high[axis]), np.float32(low_high[axis + 3]), np.float32(voxel[axis])
        special = [np.nan, np.inf, -np.inf, -0.0, 3e38, low, high, np.nextafter(low, np.float32(-1e9))]
        special += [np.nextafter(high, np.float32(-1e9)), np.nextafter(high, np.float32(1e9))]
        multiple = st.integers(-2, 8).map(lambda k: np.float32(low + np.float32(k) * step))
        return st.one_of(
            st.floats(float(low) - 1, float(low) + 3, width=32), multiple, st.sampled_from([float(s) for s in special])
        )

    intensity = st.one_of(st.integers(0, 255).map(float), st.sampled_from([np.nan, np.inf]))
    points = draw(st.lists(st.tuples(along(0), along(1), along(2), intensity), max_size=60))
    return low_high, voxel, np.array(points, np.float32).reshape(-1, 4)


@settings(max_examples=150, deadline=None)
@given(
    cloud=awkward_clouds(),
    most_points=st.integers(1, 4),
    most_voxels=st.integers(1, 12),
    overflow=st.sampled_from(["continue", "break"]),
)
def test_voxels_are_those_of_the_definition(frame_of, build, cloud, most_points, most_voxels, overflow):
    low_high, voxel, points = cloud
    params = voxel_params(low_high, voxel, most_points, most_voxels, overflow=overflow)
    tensors = build(NAMES, frame_of(points[:, :3], points[:, 3]), params)
    assert_equal_bytes(tensors, hard_voxels(points, low_high, voxel, most_points, most_voxels, overflow))


@pytest.mark.parametrize("grid", GRIDS, ids=["tiny", "pillars", "hash", "int64"])
@pytest.mark.parametrize("most_voxels", [50, 100_000])
@pytest.mark.parametrize("overflow", ["continue", "break"])
def test_voxels_of_a_dense_cloud_are_those_of_the_definition(frame_of, build, street, grid, most_voxels, overflow):
    points = street(3000, seed=3)
    params = voxel_params(*grid, 3, most_voxels, overflow=overflow)
    tensors = build(NAMES, frame_of(points[:, :3], points[:, 3]), params)
    assert_equal_bytes(tensors, hard_voxels(points, *grid, 3, most_voxels, overflow))


def test_voxels_keep_the_published_boundaries(frame_of, build):
    """Golden vector 1 of the reference."""
    below = np.float32(69.12) - np.float32(1e-5)
    points = [(0, 0, 0), (69.12, 0, 0), (below, 0, 0), (10, -39.68, 0)]
    points += [(10, 39.68, 0), (10, 0, 1), (10, 0, -3), (-1e-9, 0, 0)]
    low_high, voxel = GRIDS[1]
    tensors = build(NAMES, frame_of(np.float32(points)), voxel_params(low_high, voxel, 8, 100))
    assert tensors["lidar_voxel_coords"].tolist() == [[0, 248, 0], [0, 248, 431], [0, 0, 62], [0, 248, 62]]
    assert tensors["lidar_voxel_num_points"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("edge", "step", "x", "index"),
    [
        (54, 0.075, np.nextafter(np.float32(54), np.float32(0)), None),
        (39.68, 0.16, np.nextafter(np.float32(39.68), np.float32(0)), None),
        (51.2, 0.1, np.nextafter(np.float32(51.2), np.float32(0)), 1023),
        (75.2, 0.1, np.nextafter(np.float32(75.2), np.float32(0)), 1503),
        (70.4, 0.05, np.nextafter(np.float32(70.4), np.float32(0)), 1407),
        (74.88, 0.32, np.nextafter(np.float32(74.88), np.float32(0)), 467),
    ],
)
def test_the_last_float_below_the_edge_lands_where_float32_puts_it(frame_of, build, edge, step, x, index):
    """Golden vector 12: the grid decides, not the range. 70.4 is the edge of [0, 70.4], the others of [-e, e]."""
    low = 0 if edge == 70.4 else -edge
    params = voxel_params((low, -1, -1, edge, 1, 1), (step, 1, 2), 1, 10)
    coords = build(NAMES, frame_of(np.float32([[x, 0, 0]])), params)["lidar_voxel_coords"]
    assert [row[2] for row in coords.tolist()] == ([] if index is None else [index])


def test_coordinates_can_be_asked_for_in_x_y_z_order(frame_of, build, street):
    frame = frame_of(street(500)[:, :3])
    zyx = build(NAMES, frame, voxel_params(*GRIDS[2], 3, 1000))
    xyz = build(NAMES, frame, voxel_params(*GRIDS[2], 3, 1000, coord_order="xyz"))
    assert np.array_equal(xyz["lidar_voxel_coords"], zyx["lidar_voxel_coords"][:, ::-1])
    assert xyz["lidar_voxels"].tobytes() == zyx["lidar_voxels"].tobytes()


@pytest.mark.parametrize(("points", "rows"), [(0, 3), (1, 3), (200, None)])
def test_min_rows_adds_zero_rows_that_hold_no_point(frame_of, build, street, points, rows):
    params = voxel_params(*GRIDS[2], 4, 1000, min_rows=3)
    tensors = build(NAMES, frame_of(street(200)[:points, :3]), params)
    real = int(np.count_nonzero(tensors["lidar_voxel_num_points"]))
    assert len(tensors["lidar_voxels"]) == (rows or real)
    assert not tensors["lidar_voxels"][real:].any()
    assert not tensors["lidar_voxel_coords"][real:].any()
    assert real == min(points, 1) if points < 2 else real > 3


def test_an_empty_cloud_gives_no_rows(frame_of, build):
    for cloud in (np.zeros((0, 3)), np.full((7, 3), np.nan)):
        tensors = build(NAMES, frame_of(cloud), voxel_params(*GRIDS[2], 10, 100))
        assert [tensors[name].shape for name in NAMES] == [(0, 10, 4), (0, 3), (0,)]


def test_a_fixed_number_of_rows_pads_with_zeros_or_keeps_the_first(frame_of, street):
    frame = frame_of(street(400)[:, :3])
    params = voxel_params(*GRIDS[2], 5, 1000)["lidar_voxels"]
    whole = InputBuilder(NAMES, params={"lidar_voxels": params}).build(frame)
    real = len(whole["lidar_voxels"])
    for rows in (7, real + 40):
        spec = [
            {"name": "lidar_voxels", "dtype": "float32", "shape": [rows, 5, 4], "params": params},
            {"name": "lidar_voxel_coords", "dtype": "int32", "shape": [rows, 3], "params": params},
            {"name": "lidar_voxel_num_points", "dtype": "int32", "shape": [rows], "params": params},
        ]
        fixed = InputBuilder(spec).build(frame)
        for name in NAMES:
            expected = np.zeros_like(fixed[name])
            expected[: min(rows, real)] = whole[name][:rows]
            assert fixed[name].tobytes() == expected.tobytes()


@pytest.mark.parametrize(("voxels", "lost"), [(1, 3), (2, 0)])
@pytest.mark.parametrize("overflow", ["continue", "break"])
def test_points_lost_to_max_voxels_are_counted(frame_of, voxels, lost, overflow):
    frame = frame_of([[0.1, 0.1, 0.1], [1.1, 0, 0], [1.2, 0, 0], [1.3, 0, 0], [np.nan, 0, 0]])
    builder = InputBuilder(NAMES, params=voxel_params((0, -1, -1, 4, 1, 1), (1, 1, 2), 1, voxels, overflow=overflow))
    tensors = builder.build(frame)
    assert tensors.dropped == {"non-finite points": 1, "points over max_voxels": lost}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.tuples(*[st.integers(-8, 8)] * 3))
def test_moving_points_and_range_by_whole_cells_changes_no_cell(frame_of, build, seed, shift):
    xyz = (np.random.default_rng(seed).integers(-64, 64, (200, 3)) / 16).astype(np.float32)
    move = np.array(shift) * 0.25
    low_high = np.array([-4, -4, -4, 4, 4, 4.0])
    moved = (low_high + np.tile(move, 2)).tolist()
    here = build(NAMES, frame_of(xyz), voxel_params(low_high.tolist(), (0.25,) * 3, 4, 500))
    there = build(NAMES, frame_of(xyz + np.float32(move)), voxel_params(moved, (0.25,) * 3, 4, 500))
    assert here["lidar_voxel_coords"].tobytes() == there["lidar_voxel_coords"].tobytes()
    assert here["lidar_voxel_num_points"].tobytes() == there["lidar_voxel_num_points"].tobytes()


def test_shuffled_points_give_the_same_set_of_voxels(frame_of, build, street):
    points = street(2000)
    shuffled = points[np.random.default_rng(1).permutation(len(points))]
    found = []
    for cloud in (points, shuffled):
        tensors = build(NAMES, frame_of(cloud[:, :3]), voxel_params(*GRIDS[2], 1000, 10_000))
        rows = zip(tensors["lidar_voxel_coords"].tolist(), tensors["lidar_voxel_num_points"].tolist(), strict=True)
        found.append({(tuple(coord), count) for coord, count in rows})
        assert tensors["lidar_voxel_num_points"].sum() == len(points)
        assert len(found[-1]) == len(tensors["lidar_voxels"])
    assert found[0] == found[1]


def test_voxels_beyond_the_limit_are_told_once(frame_of, caplog):
    frame = frame_of([[1, 1, 0], [5, 5, 0], [9, 9, 0], [9, 9, 0]], np.ones(4))
    builder = InputBuilder(["lidar_voxels"], params={"lidar_voxels": {"max_voxels": 1}})
    with caplog.at_level("WARNING", logger="perceptum"):
        builder.build(frame)
        tensors = builder.build(frame)
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "lidar_voxels: 3 points are in voxels beyond max_voxels=1 and are dropped"
    ]
    assert tensors.dropped["points over max_voxels"] == 3
