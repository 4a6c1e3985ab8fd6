"""Voxels, their means and pillars against spconv and published encoders, and what the reference measured."""

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


@pytest.mark.data
@pytest.mark.parametrize("setting", SETTINGS[:3], ids=["01", "pillars02", "0075"])
def test_means_of_a_real_sweep_are_those_of_meanvfe(frame_of, build, real_points, setting):
    """OpenPCDet's MeanVFE in torch, of spconv's voxels; to the byte where a voxel's points are added one by one."""
    torch = pytest.importorskip("torch")
    voxels, _, counts = spconv_voxels(real_points, *setting)
    wanted = torch.from_numpy(voxels).sum(dim=1) / torch.from_numpy(counts).clamp_min(1).view(-1, 1).float()
    frame = frame_of(real_points[:, :3], real_points[:, 3])
    found = build(["lidar_voxel_mean"], frame, params(*setting))["lidar_voxel_mean"]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("order", ["sorted", "sorted_xyz"])
def test_dynamic_voxels_of_a_real_sweep_are_those_of_numpys_unique(frame_of, build, real_points, order):
    """What mmdetection3d and OpenPCDet sort by: z, y, x or x, y, z."""
    low, voxel = np.float32(NEAR[:3]), np.float32([0.1, 0.1, 0.2])
    cells = np.floor((real_points[:, :3] - low) / voxel)
    inside = ((cells >= 0) & (cells < [1024, 1024, 40])).all(axis=1)
    axes = [2, 1, 0] if order == "sorted" else [0, 1, 2]
    coords, back = np.unique(cells[inside][:, axes].astype(np.int32), axis=0, return_inverse=True)
    own = params(NEAR, (0.1, 0.1, 0.2), 10, None)["lidar_voxels"]
    names = ["lidar_voxel_coords", "lidar_point_voxel_id", "lidar_voxel_mean"]
    frame = frame_of(real_points[:, :3], real_points[:, 3])
    tensors = build(names, frame, {"lidar_voxels": {**own, "order": order, "mean_of": "all"}})
    wanted = coords if order == "sorted" else coords[:, ::-1]
    assert tensors["lidar_voxel_coords"].tobytes() == np.ascontiguousarray(wanted, np.int32).tobytes()
    ids = np.full(len(real_points), -1)
    ids[inside] = back.reshape(-1)
    assert np.array_equal(tensors["lidar_point_voxel_id"], ids)
    sums = np.zeros((len(coords), 4))
    np.add.at(sums, ids[inside], real_points[inside].astype(np.float64))
    means = (sums / np.bincount(ids[inside])[:, None]).astype(np.float32)
    assert tensors["lidar_voxel_mean"].tobytes() == means.tobytes()


@pytest.mark.data
def test_pillars_of_a_real_sweep_are_spconvs_voxels_decorated(frame_of, build, real_points):
    """OpenPCDet's PillarVFE in numpy."""
    low_high, voxel, most_points, _ = SETTINGS[4]
    voxels, coords, counts = spconv_voxels(real_points, *SETTINGS[4])
    mean = voxels[:, :, :3].sum(axis=1, keepdims=True) / counts[:, None, None].astype(np.float32)
    edge = np.float32(voxel)
    center = np.float32(coords[:, ::-1]) * edge + np.float32([v / 2 + m for v, m in zip(voxel, low_high, strict=False)])
    wanted = np.concatenate([voxels, voxels[:, :, :3] - mean, voxels[:, :, :3] - center[:, None]], axis=-1)
    wanted *= np.arange(most_points)[None, :, None] < counts[:, None, None]
    own = params(*SETTINGS[4])["lidar_voxels"]
    frame = frame_of(real_points[:, :3], real_points[:, 3])
    names = ["lidar_pillar_features", "lidar_pillar_coords", "lidar_pillar_num_points"]
    tensors = build(names, frame, {"lidar_pillars": own})
    assert np.array_equal(tensors["lidar_pillar_coords"], coords)
    assert np.array_equal(tensors["lidar_pillar_num_points"], counts)
    np.testing.assert_allclose(tensors["lidar_pillar_features"], wanted, rtol=1e-5, atol=2e-5)
