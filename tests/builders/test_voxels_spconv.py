"""Hard voxels against spconv's own, and against what the reference measured on a real sweep."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.feather
import pytest

NAMES = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
LOG = "argoverse2/sensor/val/7fab2350-7eaf-3b7e-a39d-6937a4c1bede/sensors/lidar"
SWEEPS = ["315966265259836000", "315966265360032000"]
NEAR, WIDE = (-51.2, -51.2, -5, 51.2, 51.2, 3), (-54, -54, -5, 54, 54, 3)
SETTINGS = [
    (NEAR, (0.1, 0.1, 0.2), 10, 120_000),
    (NEAR, (0.2, 0.2, 8), 20, 60_000),
    (WIDE, (0.075, 0.075, 0.2), 10, 160_000),
    (NEAR, (0.2, 0.2, 8), 20, 5_000),
    ((0, -39.68, -3, 69.12, 39.68, 1), (0.16, 0.16, 4), 32, 40_000),
]
# rows, points, sums of the coordinates z y x, first and last coordinate
MEASURED = [
    (40_009, 77_773, [1_198_825, 21_174_857, 21_914_784], [23, 542, 496], [23, 426, 583]),
    (11_130, 54_058, [0, 3_000_017, 3_029_314], [0, 271, 248], [0, 213, 291]),
    (46_869, 78_674, [1_402_055, 34_676_989, 35_815_434], [23, 760, 699], [23, 606, 815]),
]
# of coords and of voxels
SHA1 = [("d94aa86f627a", "005e522af9bb"), ("8fdd2deeea2d", "64d3fdd959a6"), ("4a7faed2158a", "433864f7a4e4")]


def sha1(array):
    return hashlib.sha1(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def params(low_high, voxel, points, voxels):
    grid = {"range": list(low_high), "voxel": list(voxel)}
    columns = {"columns": ["x", "y", "z", "intensity"], "intensity_mode": "raw"}
    return {"lidar_voxels": {"grid": grid, "max_points_per_voxel": points, "max_voxels": voxels, **columns}}


def spconv_voxels(points, low_high, voxel, most_points, most_voxels):
    utils = pytest.importorskip("spconv.utils", reason="spconv is not installed")
    from cumm import tensorview

    generator = utils.Point2VoxelCPU3d(
        vsize_xyz=list(voxel),
        coors_range_xyz=list(low_high),
        num_point_features=points.shape[1],
        max_num_voxels=most_voxels,
        max_num_points_per_voxel=most_points,
    )
    found = generator.point_to_voxel(tensorview.from_numpy(np.ascontiguousarray(points, np.float32)))
    return [part.numpy().copy() for part in found]


@pytest.fixture(scope="module", params=SWEEPS)
def real_points(request, real_data):
    """(N, 4) float32 x y z intensity of a real sweep, in the order of the file."""
    table = pyarrow.feather.read_table(real_data / LOG / f"{request.param}.feather")
    return np.column_stack([table[name].to_numpy().astype(np.float32) for name in ("x", "y", "z", "intensity")])


def assert_same(tensors, expected):
    for name, wanted in zip(NAMES, expected, strict=True):
        assert tensors[name].shape == wanted.shape, name
        assert tensors[name].tobytes() == wanted.tobytes(), name


@pytest.mark.data
@pytest.mark.parametrize("setting", SETTINGS, ids=["01", "pillars02", "0075", "overflow", "pillars016"])
def test_voxels_of_a_real_sweep_are_spconvs_to_the_byte(frame_of, build, real_points, setting):
    tensors = build(NAMES, frame_of(real_points[:, :3], real_points[:, 3]), params(*setting))
    expected = spconv_voxels(real_points, *setting)
    assert_same(tensors, expected)
    assert len(expected[0]) == 5_000 or setting[3] != 5_000


@pytest.mark.data
@pytest.mark.parametrize("case", range(3), ids=["01", "pillars02", "0075"])
def test_voxels_of_a_real_sweep_are_those_that_the_reference_measured(frame_of, build, real_data, case):
    table = pyarrow.feather.read_table(real_data / LOG / f"{SWEEPS[0]}.feather")
    xyz = np.column_stack([table[name].to_numpy() for name in "xyz"])
    tensors = build(NAMES, frame_of(xyz, table["intensity"].to_numpy()), params(*SETTINGS[case]))
    voxels, coords, counts = (tensors[name] for name in NAMES)
    ends = (coords[0].tolist(), coords[-1].tolist())
    assert (len(voxels), int(counts.sum()), coords.sum(axis=0).tolist(), *ends) == MEASURED[case]
    assert (sha1(coords), sha1(voxels)) == SHA1[case]


@pytest.mark.data
def test_a_grid_beyond_int32_gives_the_rows_that_the_reference_measured(frame_of, build, real_data):
    """3.2e9 cells: spconv's table would take 12.8 GB."""
    table = pyarrow.feather.read_table(real_data / LOG / f"{SWEEPS[0]}.feather")
    xyz = np.column_stack([table[name].to_numpy() for name in "xyz"])
    setting = ((-200, -200, -20, 200, 200, 20), (0.1, 0.1, 0.2), 5, 160_000)
    assert len(build(NAMES, frame_of(xyz), params(*setting))["lidar_voxels"]) == 56_118


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most_voxels", [300, 50_000])
def test_voxels_of_random_and_of_border_points_are_spconvs_to_the_byte(frame_of, build, seed, most_voxels):
    random = np.random.default_rng(seed)
    uniform = random.uniform((-60, -60, -6, 0), (60, 60, 4, 1), (3000, 4))
    multiples = random.integers(-1, 30, (3000, 4)) * [0.2, 0.2, 8, 1] + [-51.2, -51.2, -5, 0]
    points = random.permutation(np.concatenate([uniform, multiples]).astype(np.float32))
    setting = (NEAR, (0.2, 0.2, 8), 3, most_voxels)
    tensors = build(NAMES, frame_of(points[:, :3], points[:, 3]), params(*setting))
    assert_same(tensors, spconv_voxels(points, *setting))
