"""Published range images, by formulas of our own writing: lidar-bonnetal's, RangeDet's, Waymo's; and real frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.datasets.waymo_v2 import points as waymo
from perceptum.features import SpecError, canonical
from perceptum.inputs import BrokenRecord, MissingRecord
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

from .range_images import nearest_by_definition

NAMES = ["lidar_range_image", "lidar_range_image_mask", "lidar_range_image_index"]
FOLDERS = {
    "kitti_odometry": "kitti_odometry/dataset/sequences/00",
    "nuscenes": "nuscenes/scene-0061",
    "argoverse2": "argoverse2/sensor/val/*",
    "kitti_object": "kitti_object",
}


@pytest.fixture
def real_frame(real_data):
    """real_frame(name): the first frame of a real log."""
    return lambda name: open_log(next(real_data.glob(FOLDERS[name])))[0]


def params_of(name):
    group = canonical().group("lidar_range_image")
    return group.params.replace(group.preset(name).params, name)


def scan(n, seed=0):
    """(n, 4) points all around, most of them within the field of view."""
    random = np.random.default_rng(seed)
    azimuth, elevation = random.uniform(-np.pi, np.pi, n), np.deg2rad(random.uniform(-30, 6, n))
    ray = np.column_stack([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    return np.column_stack([random.uniform(2, 90, n)[:, None] * ray, random.uniform(0, 1, n)]).astype(np.float32)


# RangeNet++


def laser_scan(points, height, width, fov_up_deg, fov_down_deg):
    """lidar-bonnetal's projection in float32, as published, save that point 0 is not masked out.

    Returns range, x, y, z and remission (5, H, W), and the index (H, W).
    """
    up, down = fov_up_deg / 180 * np.pi, fov_down_deg / 180 * np.pi
    x, y, z = points[:, :3].T
    depth = np.linalg.norm(points[:, :3], 2, axis=1)
    column = np.floor(0.5 * (-np.arctan2(y, x) / np.float32(np.pi) + 1) * width)
    row = np.floor((1 - (np.arcsin(z / depth) + abs(down)) / (abs(up) + abs(down))) * height)
    column, row = (np.clip(at, 0, most - 1).astype(int) for at, most in ((column, width), (row, height)))
    # the farthest first, written over by the nearer; of equals the first last
    order = np.lexsort((-np.arange(len(depth)), -depth))
    index = np.full((height, width), -1)
    index[row[order], column[order]] = order
    shown = np.vstack([depth, points.T])
    return np.where(index >= 0, shown[:, index], -1), index


def assert_as_laser_scan(got, points, preset, most_different):
    params = params_of(preset)
    image, index = laser_scan(points, params.height, params.width, *params.fov)
    mean, std = (np.array(v)[:, None, None] for v in (params.norm.mean, params.norm.std))
    wanted = (image - mean) / std * (index >= 0)
    same = got["lidar_range_image_index"] == index
    # float32 angles put a point beside a border into the next cell
    assert (~same).sum() <= most_different
    np.testing.assert_allclose(got["lidar_range_image"][:, same], wanted[:, same], rtol=1e-5, atol=1e-5)
    assert np.array_equal(got["lidar_range_image_mask"] == 1, got["lidar_range_image_index"] >= 0)


@pytest.mark.parametrize("preset", ["rangenet_64x2048", "rangenet_64x1024", "rangenet_64x512"])
def test_rangenet_sees_what_lidar_bonnetal_projects(frame_of, build, preset):
    points = scan(20_000)
    got = build(NAMES, frame_of(points[:, :3], points[:, 3]), {"lidar_range_image": preset})
    assert_as_laser_scan(got, points, preset, most_different=40)


def test_rangenet_clamps_the_seam_and_does_not_lose_the_first_point(frame_of, build):
    """lidar-bonnetal masks the point of index 0 out, and fails on a point at the sensor's origin."""
    points = np.float32([[-10, -0.0, 0], [-10, 0.0, 0], [0, 0, 0], [10, 0, 5], [np.nan, 1, 1]])
    got = build(NAMES, frame_of(points), {"lidar_range_image": "rangenet_64x2048"})
    shown = np.argwhere(got["lidar_range_image_mask"]).tolist()
    assert shown == [[0, 1024], [6, 0], [6, 2047]]
    assert got["lidar_range_image_index"][6, 2047] == 0


@pytest.mark.data
@pytest.mark.parametrize("preset", ["rangenet_64x2048", "rangenet_64x512"])
def test_rangenet_sees_what_lidar_bonnetal_projects_of_a_real_sweep(real_frame, build, preset):
    frame = real_frame("kitti_odometry")
    points = np.column_stack([frame.lidar.x, frame.lidar.y, frame.lidar.z, frame.lidar.intensity])
    assert len(points) > 100_000
    assert_as_laser_scan(build(NAMES, frame, {"lidar_range_image": preset}), points, preset, most_different=400)


# Waymo's own images


def waymo_sweep(sweep_of, height=16, width=90, yaw=2.6, returns=1, missing=0.3, seed=0):
    """A sweep that was read from Waymo's range images of an upright lidar, and these: (returns, H, W, 4)."""
    random = np.random.default_rng(seed)
    images = np.empty((returns, height, width, 4), np.float32)
    images[..., 0] = random.uniform(1, 99, images.shape[:3])
    images[..., 1], images[..., 2] = random.exponential(0.5, images.shape[:3]), random.uniform(0, 1.5, images.shape[:3])
    images[random.random(images.shape[:3]) < missing] = -1
    ego_from_lidar = rigid(rotation_from_quaternion(quaternion_from_yaw(yaw)), [1.43, 0.2, 2.184])
    table = np.sort(np.r_[np.linspace(-0.31, -0.06, height // 2), np.linspace(-0.03, 0.04, height - height // 2)])
    beams, azimuth = waymo.inclinations(height, 0, 0, table), waymo.azimuths(width, ego_from_lidar)
    counts = [waymo.count(image, False) for image in images]
    columns, (ring, image_column) = np.empty((5, sum(counts)), np.float32), np.empty((2, sum(counts)), np.uint16)
    for image, start in zip(images, np.cumsum([0, *counts]), strict=False):
        still = (np.zeros((0, 0, 6), np.float32), np.eye(4))
        waymo.fill(image, False, beams, azimuth, ego_from_lidar, *still, start, columns, ring, image_column)
    sweep = sweep_of(
        columns[:3].T,
        columns[3],
        elongation=columns[4],
        ring=ring,
        image_column=image_column,
        return_index=np.repeat(np.arange(returns, dtype=np.uint8), counts),
        row_of_ring=np.arange(height, dtype=np.int32),
        origin=ego_from_lidar[:3, 3],
    )
    return sweep, images, beams


@pytest.mark.parametrize("yaw", [0.0, 2.6, -3.1])
@pytest.mark.parametrize("returns", [1, 2])
def test_rows_by_ring_give_waymos_own_image_back(memory_log, sweep_of, build, yaw, returns):
    sweep, images, beams = waymo_sweep(sweep_of, yaw=yaw, returns=returns)
    params = {"rows": "ring", "height": 16, "width": 90, "intensity_mode": "raw"}
    channels = ["range", "intensity", "elongation", "inclination"]
    got = build(NAMES, memory_log([sweep])[0], {"lidar_range_image": {**params, "channels": channels}})
    hit = images[0, ..., 0] > 0
    image = got["lidar_range_image"]
    assert np.array_equal(got["lidar_range_image_mask"] == 1, hit)
    np.testing.assert_allclose(image[0], images[0, ..., 0], rtol=1e-6)
    assert np.array_equal(image[1:3][:, hit], images[0, hit, 1:3].T)
    np.testing.assert_allclose(image[3][hit], np.broadcast_to(beams[:, None], hit.shape)[hit], atol=1e-5)
    assert got["lidar_range_image_index"].max() == hit.sum() - 1


def test_columns_of_the_record_are_taken_as_they_are_or_by_azimuth_where_a_log_has_none(memory_log, sweep_of, build):
    sweep, images, _ = waymo_sweep(sweep_of)
    by_azimuth = {"rows": "ring", "height": 16, "width": 90}
    params = {**by_azimuth, "column_of": "record"}
    turned = replace(sweep, image_column=(sweep.image_column.astype(np.int64) + 7) % 90)
    beyond = replace(sweep, image_column=sweep.image_column.astype(np.int64) - 5)
    hit = images[0, ..., 0] > 0
    for own, wanted in [(sweep, hit), (turned, np.roll(hit, 7, axis=1)), (replace(sweep, image_column=None), hit)]:
        got = build(NAMES, memory_log([own])[0], {"lidar_range_image": params})
        assert np.array_equal(got["lidar_range_image_mask"] == 1, wanted)
    spherical = build(NAMES, memory_log([turned])[0], {"lidar_range_image": {**params, "rows": "spherical"}})
    plain = build(NAMES, memory_log([sweep])[0], {"lidar_range_image": {**by_azimuth, "rows": "spherical"}})
    for name in NAMES:
        assert np.array_equal(spherical[name], np.roll(plain[name], 7, axis=-1))
    got = build(NAMES, memory_log([beyond])[0], {"lidar_range_image": params})
    assert np.array_equal(got["lidar_range_image_mask"][:, :85] == 1, hit[:, 5:])
    assert not got["lidar_range_image_mask"][:, 85:].any()
    with pytest.raises(BrokenRecord) as error:
        build(NAMES, memory_log([sweep])[0], {"lidar_range_image": {**params, "width": 80}})
    assert str(error.value) == (
        "top: points are in column 89 of the lidar's own image, and width is 80; take the width of that image, or "
        'column_of "azimuth"'
    )
    with pytest.raises(SpecError) as error:
        InputBuilder(NAMES, params={"lidar_range_image": {**params, "azimuth_fov": [90, -90]}})
    assert str(error.value) == (
        "input 'lidar_range_image': azimuth_fov must be (180.0, -180.0) where column_of is \"record\", for the columns "
        "are those of the lidar's own image, got (90.0, -90.0)"
    )
    without = memory_log([replace(sweep, image_column=None, source="drive/3.bin")])[0]
    with pytest.raises(MissingRecord, match=r"^drive/3\.bin: the sweep has no image_column, which a tensor takes;"):
        build(NAMES, without, {"lidar_range_image": {**params, "missing_columns": "error"}})


def test_a_ring_that_has_no_row_is_not_shown(memory_log, sweep_of, build):
    sweep, images, _ = waymo_sweep(sweep_of)
    params = {"rows": "ring", "height": 12, "width": 90}
    got = build(NAMES, memory_log([sweep])[0], {"lidar_range_image": params})
    assert np.array_equal(got["lidar_range_image_mask"] == 1, images[0, :12, :, 0] > 0)


# RangeDet


def range_det(image, xyz, beams, padded_width):
    """RangeDet's input (8, H, padded_width), of Waymo's image (H, W, 3), -1 where nothing, and its points (H, W, 3).

    By rangedet/core/input.py: ProcessMissValue, SepAndClipData, NormData, PadData, with the numbers of
    config/rangedet/rangedet_wo_aug_all_36e.py.
    """
    image, xyz = image.copy(), np.where(image[..., :1] == -1, 0, xyz)
    missing = image[..., 0] == -1
    image[missing], xyz[missing] = np.roll(image, -1, axis=1)[missing], np.roll(xyz, -1, axis=1)[missing]
    still = image[..., 0] == -1
    windows = still & np.any([np.roll(~still, by, axis) for axis in (0, 1) for by in (2, -2)], axis=0)
    image[still], xyz[still] = (80, 0, 0), 0
    image[windows] = 0
    x, y, z = np.moveaxis(xyz, -1, 0)
    rows = {
        "range": (image[..., 0], (0, 80), 20, 1500),
        "intensity": (image[..., 1], (0, 1), 0.1, 0.01),
        "elongation": (image[..., 2], (0, 1), 7.2558375e-02, 2.6764875e-02),
        "x": (x, (-80, 80), 1.56725, 3.0740625e02),
        "y": (y, (-80, 80), 9.8824875e-01, 2.1913250e02),
        "z": (z, (-5, 10), 1.4, 1.0),
        "inclination": (np.broadcast_to(beams[:, None], x.shape), (-0.5, 0.1), -8.8427375e-02, 9.9001750e-03),
        "azimuth": (np.arctan2(y, x), (-10, 10), -7.8061250e-03, 2.5494125),
    }
    out = np.zeros((8, len(image), padded_width))
    for k, (values, clip, mean, variance) in enumerate(rows.values()):
        out[k, :, : image.shape[1]] = (np.clip(values, *clip) - mean) / variance**0.5
    return out, ~still


@pytest.mark.parametrize("missing", [0.2, 0.9, 0.99])
def test_rangedet_sees_what_its_own_code_prepares(memory_log, sweep_of, build, missing):
    sweep, images, beams = waymo_sweep(sweep_of, 64, 2650, missing=missing)
    got = build(NAMES, memory_log([sweep])[0], {"lidar_range_image": "rangedet_waymo"})
    xyz = np.zeros((64, 2650, 3), np.float32)
    xyz[images[0, ..., 0] > 0] = np.column_stack([sweep.x, sweep.y, sweep.z])
    wanted, mask = range_det(images[0, ..., :3], xyz, beams, 2656)
    image = got["lidar_range_image"]
    assert image.shape == (8, 64, 2656)
    # the mean of a row's rays is its beam, but for the rounding of points to float32
    np.testing.assert_allclose(image, wanted, rtol=1e-5, atol=2e-5)
    assert np.array_equal(got["lidar_range_image_mask"][:, :2650] == 1, mask)
    assert not got["lidar_range_image_mask"][:, 2650:].any()


def test_rangedets_numbers_are_those_of_its_configuration():
    norm = params_of("rangedet_waymo").norm
    assert [round(std**2, 9) for std in norm.std] == pytest.approx(
        [1500, 0.01, 2.6764875e-02, 3.0740625e02, 2.1913250e02, 1, 9.9001750e-03, 2.5494125]
    )
    assert params_of("rangedet_waymo").dims() == {"C": 8, "H": 64, "W": 2656}


# LaserNet


def test_lasernet_has_its_five_channels_and_zeros_where_nothing_is(frame_of, build):
    points = scan(5000)
    ring = np.arange(len(points)) % 64
    frame = frame_of(points[:, :3], points[:, 3], ring=ring, row_of_ring=np.arange(64, dtype=np.int32)[::-1])
    got = build(NAMES, frame, {"lidar_range_image": "lasernet"})
    image, index = got["lidar_range_image"], got["lidar_range_image_index"]
    assert image.shape == (5, 64, 2048)
    hit = index >= 0
    assert (image[:, ~hit] == 0).all()
    x, y, z, intensity = np.float64(points[index[hit]]).T
    wanted = [np.sqrt(x * x + y * y + z * z), z, np.arctan2(y, x), intensity, np.ones(len(x))]
    np.testing.assert_allclose(image[:, hit], wanted, rtol=1e-6)
    assert np.array_equal(np.argwhere(hit)[:, 0], 63 - ring[index[hit]])


# real frames


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "preset", "more"),
    [
        ("kitti_object", "lasernet_kitti", {}),
        ("nuscenes", "lasernet", {"height": 32, "width": 1080}),
        ("argoverse2", "lasernet", {"width": 1800, "azimuth_fov": [0, 360], "returns": "all"}),
        ("kitti_odometry", "rangenet_64x1024", {"azimuth_fov": [100, -90], "outside_fov": "drop"}),
    ],
)
def test_real_frames_show_the_nearest_point_of_each_cell(real_frame, build, name, preset, more):
    """Property 6 of the reference, of the definition a point at a time."""
    frame = real_frame(name)
    sweep, params = frame.lidar, params_of(preset).replace(more, preset)
    got = build(NAMES, frame, {"lidar_range_image": {"preset": preset, **more}})
    points = np.column_stack([sweep.x, sweep.y, sweep.z]).astype(np.float64)
    by_ring = params.rows == "ring"
    best, index = nearest_by_definition(
        points,
        params.height,
        params.width,
        params.fov,
        drop=params.outside_fov == "drop",
        origin=np.asarray(sweep.origin),
        rows=sweep.row_of_ring[sweep.ring.astype(int)] if by_ring else None,
        azimuth_fov=params.azimuth_fov,
        seam=params.azimuth_seam,
    )
    # another arctangent: its last bit decides where a point lies on a border, as many of float16 do
    same = got["lidar_range_image_index"] == index
    assert (~same).sum() <= 2
    assert (index >= 0).sum() > 5000
    hit = same & (index >= 0)
    if params.norm is None:
        assert np.array_equal(got["lidar_range_image"][0][hit], best[hit])
