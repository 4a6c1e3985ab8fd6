"""Bird's-eye views against published code, in numpy of our own, and against scipy: on made-up and on real sweeps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binned_statistic_dd

import perceptum as pc
from perceptum.features import canonical

LOG = "argoverse2/sensor/val/7fab2350-7eaf-3b7e-a39d-6937a4c1bede/sensors/lidar"
STATS, OCCUPANCY, TEMPORAL = "lidar_bev_stats", "lidar_bev_occupancy", "lidar_bev_temporal"


def in_range(points, low_high):
    """Without the edges: published code differs there, in what it keeps of them."""
    low, high = np.float32(low_high[:3]), np.float32(low_high[3:])
    return points[((points[:, :3] > low) & (points[:, :3] < high)).all(axis=1)]


def complex_yolo(points):
    """After kitti_bev_utils.py: sorted by cell and falling height, the first of each cell is the highest."""
    size, step = 608, 50 / 608
    points = in_range(points, [0, -25, -2.73, 50, 25, 1.27]).copy()
    points[:, 2] -= np.float32(-2.73)
    points[:, 0] = np.floor(points[:, 0] / step).astype(int)
    points[:, 1] = (np.floor(points[:, 1] / step) + (size + 1) / 2).astype(int)
    points = points[np.lexsort((-points[:, 2], points[:, 1], points[:, 0]))]
    cells, first, counts = np.unique(points[:, :2], axis=0, return_index=True, return_counts=True)
    x, y = cells.astype(int).T
    maps = np.zeros((3, size + 1, size + 1))
    maps[0, x, y] = points[first, 3]
    maps[1, x, y] = points[first, 2] / 4.0
    maps[2, x, y] = np.minimum(1, np.log(counts + 1) / np.log(64))
    return maps[:, :size, :size]


def mv3d(points):
    """After data.py: heights above the lowest edge, slice by slice; intensity and density as in the paper."""
    low, cell = np.array([0, -40, -2]), np.array([0.1, 0.1, 0.4])
    points = in_range(points, [0, -40, -2, 70.4, 40, 0.4])
    x, y, z = ((points[:, :3] - low) // cell).astype(int).T
    maps = np.zeros((8, 800, 704))
    np.maximum.at(maps, (z, y, x), points[:, 2] + 2.0)
    # written in the order of height, of equals the first last
    order = np.lexsort((-np.arange(len(points)), points[:, 2]))
    maps[6, y[order], x[order]] = points[order, 3]
    np.add.at(maps[7], (y, x), 1)
    maps[7] = np.minimum(1, np.log(maps[7] + 1) / np.log(64))
    return maps


def motionnet(points):
    """After voxelize_occupy: cells at multiples of their edges."""
    cell = (0.25, 0.25, 0.4)
    points = in_range(points, [-32, -32, -3, 32, 32, 2])
    x, y, z = np.floor(points[:, :3] / cell).astype(int).T
    view = np.zeros((256, 256, 13))
    view[x + 128, y + 128, z + 8] = 1
    return view


def away_from_borders(points, low_high, cell, by=1e-3):
    """Where float64 and float32, and whatever is done first, agree on the cell."""
    steps = (points[:, :3].astype(np.float64) - low_high[:3]) / cell
    edges = np.abs(points[:, None, :3] - np.reshape(low_high, (1, 2, 3))).min(axis=1)
    return points[(np.abs(steps - np.round(steps)) > by).all(axis=1) & (edges > by).all(axis=1)]


def made_up(n=20_000):
    random = np.random.default_rng(0)
    xyz = random.normal((20, 0, -1), (18, 18, 1), (n, 3))
    return np.column_stack([xyz, random.uniform(0, 1, n)]).astype(np.float32)


@pytest.fixture(scope="module")
def real_kitti(real_data):
    sweep = pc.open_log(real_data / "kitti_object")[0].lidar
    return np.column_stack([sweep.x, sweep.y, sweep.z, sweep.intensity]).astype(np.float32)


@pytest.fixture(params=["made up", pytest.param("real", marks=pytest.mark.data)])
def points(request):
    return made_up() if request.param == "made up" else request.getfixturevalue("real_kitti")


@pytest.mark.parametrize(("preset", "published"), [("complex_yolo_kitti", complex_yolo), ("mv3d_kitti", mv3d)])
def test_statistics_are_those_of_published_code(frame_of, build, points, preset, published):
    grid = canonical().group(STATS).preset(preset).params["grid"]
    points = away_from_borders(points, grid["range"], grid["voxel"])
    got = build([STATS], frame_of(points[:, :3], points[:, 3]), {STATS: preset})[STATS]
    expected = published(points)
    assert got.shape == expected.shape
    assert (got > 0).sum() > 5_000
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_views_are_those_of_motionnet(frame_of, build, points):
    grid = canonical().group(TEMPORAL).preset("motionnet").params["grid"]
    points = away_from_borders(points, grid["range"], grid["voxel"])
    points = points[(points[:, 2] > -3) & ~((np.abs(points[:, :2]) < 1).all(axis=1))]
    got = build([TEMPORAL], frame_of(points[:, :3]), {TEMPORAL: "motionnet"})[TEMPORAL]
    assert not got[:4].any()
    assert got[4].sum() > 1_000
    assert np.array_equal(got[4], motionnet(points))


def binned(points, low_high, cell, values, statistic):
    edges = [
        np.arange(round((high - low) / step) + 1) * step + low
        for low, high, step in zip(low_high[:3], low_high[3:], cell, strict=True)
    ]
    found = binned_statistic_dd(points[:, :3].astype(np.float64), values, statistic, edges).statistic
    return found.transpose(2, 1, 0)


def test_statistics_are_scipys(frame_of, build, points):
    low_high, flat, cell = [0.0, -20, -2, 40, 20, 1], [0.5, 0.5, 3], [0.5, 0.5, 0.5]
    points = away_from_borders(away_from_borders(points, low_high, cell), low_high, flat)
    heights = points[:, 2].astype(np.float64)
    channels = {"count": "count", "max_z": "max", "min_z": "min", "mean_z": "mean", "var_z": np.var}
    params = {STATS: {"grid": {"range": low_high, "voxel": flat}, "channels": list(channels)}}
    params[OCCUPANCY] = {"grid": {"range": low_high, "voxel": cell}, "binary": False}
    rows = {"name": OCCUPANCY, "dtype": "float32", "shape": [6, 80, 80], "params": params[OCCUPANCY]}
    got = build([STATS], frame_of(points[:, :3]), {STATS: params[STATS]})[STATS]
    for own, (name, statistic) in zip(got, channels.items(), strict=True):
        expected = np.nan_to_num(binned(points, low_high, flat, heights, statistic)[0])
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    counts = build([rows], frame_of(points[:, :3]))[OCCUPANCY]
    assert np.array_equal(counts, binned(points, low_high, cell, heights, "count"))
    edges = [np.linspace(a, b, n + 1) for a, b, n in zip(low_high[:3], low_high[3:], (80, 80, 6), strict=True)]
    assert np.array_equal(counts, np.histogramdd(points[:, :3], edges)[0].transpose(2, 1, 0))


@pytest.mark.data
def test_two_real_sweeps_are_two_views_of_one_street(real_data, build):
    """Argoverse 2: brought into one frame, most of what one sweep hits the other hits too; not so without the poses."""
    log = pc.open_log((real_data / LOG).parents[1])
    grid = {"range": [-40, -40, -1, 40, 40, 3], "voxel": [0.5, 0.5, 0.5]}
    params = {"grid": grid, "num_sweeps": 2, "time_axis": "own"}
    got = build([TEMPORAL, "lidar_sweep_valid"], log[1], {TEMPORAL: params})
    assert got["lidar_sweep_valid"].tolist() == [1, 1]
    alone = [build([OCCUPANCY], log[k], {OCCUPANCY: {"grid": grid}})[OCCUPANCY] for k in (1, 0)]
    assert np.array_equal(got[TEMPORAL][0], alone[0])
    moved, as_it_was = got[TEMPORAL][1], alone[1]
    shared = [np.sum(alone[0] & other) / np.sum(alone[0] | other) for other in (moved, as_it_was)]
    assert shared[0] > shared[1]
    assert moved.sum() > 0.9 * as_it_was.sum()
