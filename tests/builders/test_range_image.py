"""The range image, its mask and its index, against a slow numpy oracle and the reference's numbers."""

from __future__ import annotations

from itertools import product
from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.builders.columns import HALVES, Recorded
from perceptum.builders.kernels.range_image.angles import arctangent2
from perceptum.builders.kernels.range_image.cells import look_again, project
from perceptum.builders.kernels.record import ABSENT, BLOCK
from perceptum.builders.lidar.range_image import _view
from perceptum.features.lidar import RangeImageParams
from perceptum.inputs import BrokenRecord, Poses
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

from .range_images import image_by_definition

NAMES = ["lidar_range_image", "lidar_range_image_mask", "lidar_range_image_index"]
CHANNELS = ["range", "x", "y", "z", "intensity"]


def image_params(**params):
    return {"lidar_range_image": {"intensity_mode": "raw", **params}}


def assert_same(tensors, expected):
    for name, wanted in zip(NAMES, expected, strict=True):
        assert tensors[name].dtype == wanted.dtype
        assert np.array_equal(tensors[name], wanted), name


def scan(n, seed=0):
    """(n, 4) points all around, some equally near, some not numbers."""
    random = np.random.default_rng(seed)
    points = random.normal(0, (20, 20, 3, 0), (n, 4))
    points[:, 3] = random.uniform(0, 1, n)
    points[n // 2 :: 7, :3] = points[: len(points[n // 2 :: 7]), :3]
    points[::11, 1] = np.nan
    return points.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outside", ["clamp", "drop"])
@pytest.mark.parametrize(("height", "width", "fov"), [(64, 2048, (3, -25)), (16, 100, (15, -15)), (1, 1, (90, -90))])
def test_the_image_is_that_of_the_definition(frame_of, build, seed, outside, height, width, fov):
    points = scan(1500, seed)
    params = image_params(height=height, width=width, fov=list(fov), outside_fov=outside, channels=CHANNELS)
    got = build(NAMES, frame_of(points[:, :3], points[:, 3]), params)
    assert_same(got, image_by_definition(points, height, width, fov, drop=outside == "drop"))


# No other is nearer to zero than 1e-7: a point 1e-16 beside a border lies on it as far as float64 can say, and two ways
# to work out an arctangent may each take another side. On the border itself, at zero, they agree.
awkward = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-7, -1e-7, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e30]),
    st.floats(-9, 9, width=32).filter(lambda value: value == 0 or abs(value) >= 1e-7),
)


@settings(max_examples=150, deadline=None)
@given(points=st.lists(st.tuples(awkward, awkward, awkward), max_size=30), drop=st.booleans())
def test_awkward_points_go_where_the_definition_says(frame_of, build, points, drop):
    cloud = np.float32([(*p, 5.0) for p in points]).reshape(-1, 4)
    params = image_params(height=8, width=36, fov=[20, -20], outside_fov="drop" if drop else "clamp", channels=CHANNELS)
    got = build(NAMES, frame_of(cloud[:, :3], cloud[:, 3]), params)
    assert_same(got, image_by_definition(cloud, 8, 36, (20, -20), drop))


@pytest.mark.parametrize(
    ("point", "cell"),
    [
        ((10, 0, 0), (6, 1024)),
        ((0, 10, 0), (6, 512)),
        ((-10, 0, 0), (6, 0)),
        ((0, -10, 0), (6, 1536)),
        ((10, 0, 5), (0, 1024)),
        ((-10, -1e-7, 0), (6, 2047)),
        ((-10, -0.0, 0), (6, 0)),
    ],
)
def test_points_fall_into_the_published_cells(frame_of, build, point, cell):
    """Golden vector 3 of the reference; what it clamps at the seam is periodic here, so -0.0 lies with +0.0."""
    index = build(NAMES, frame_of(np.float32([point])))["lidar_range_image_index"]
    assert [tuple(c) for c in np.argwhere(index >= 0)] == [cell]


def test_the_origin_of_the_rays_may_lie_beside_the_origin_of_the_points(frame_of, build):
    points, origin = scan(800), np.array([1.5, -0.5, 1.9])
    params = image_params(height=32, width=360, channels=CHANNELS)
    got = build(NAMES, frame_of(points[:, :3], points[:, 3], origin=origin), params)
    assert_same(got, image_by_definition(points, 32, 360, (3, -25), origin=origin))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_rows_by_ring_follow_the_table_of_elevations(frame_of, build, dtype):
    points, random = scan(800), np.random.default_rng(9)
    table = random.permutation(16).astype(np.int32)
    ring = random.integers(0, 18, len(points))
    finite = np.isfinite(points[:, :3]).all(axis=1)
    rows = [table[r] if r < 16 else -1 for r in ring[finite]]
    params = image_params(height=12, width=360, rows="ring", channels=CHANNELS)
    frame = frame_of(points[:, :3], points[:, 3], ring=ring.astype(dtype), row_of_ring=table)
    assert_same(build(NAMES, frame, params), image_by_definition(points, 12, 360, (3, -25), rows=rows))


@pytest.mark.parametrize(
    ("more", "lacks"),
    [({"ring": np.zeros(3, np.uint8)}, "table of its rings by elevation"), ({}, "ring column")],
)
def test_rows_by_ring_need_a_ring_and_its_table(frame_of, build, more, lacks):
    frame = frame_of(np.ones((3, 3)), source="drive/3.bin", **more)
    with pytest.raises(BrokenRecord) as error:
        build(NAMES, frame, image_params(rows="ring"))
    assert str(error.value) == f'drive/3.bin: the lidar gives no {lacks}, which rows "ring" need; use rows "spherical"'


def test_normalised_channels_are_shifted_and_scaled_and_empty_cells_are_zero(frame_of, build):
    points = scan(500)
    frame = frame_of(points[:, :3], points[:, 3])
    mean, std = [12.12, 10.88, 0.23, -1.04, 0.21], [12.32, 11.47, 6.91, 0.86, 0.16]
    size = {"height": 16, "width": 128, "channels": CHANNELS}
    plain = build(NAMES, frame, image_params(**size))
    got = build(NAMES, frame, image_params(**size, norm={"mean": mean, "std": std}))["lidar_range_image"]
    shifted = (plain["lidar_range_image"] - np.float32(mean)[:, None, None]) / np.float32(std)[:, None, None]
    assert np.array_equal(got, np.where(plain["lidar_range_image_mask"], shifted, np.float32(0)))


def test_empty_cells_hold_the_fill_value(frame_of, build):
    got = build(NAMES, frame_of(np.zeros((0, 3))), image_params(fill=-7))
    assert (got["lidar_range_image"] == -7).all()
    assert not got["lidar_range_image_mask"].any()
    assert (got["lidar_range_image_index"] == -1).all()


@pytest.mark.parametrize(("distance", "kept"), [(0.0, 0), (0.4999, 0), (0.5, 1), (2, 1)])
def test_points_nearer_than_min_range_leave_no_trace(frame_of, build, distance, kept):
    got = build(NAMES, frame_of(np.float32([[distance, 0, 0]])), image_params(min_range=0.5))
    assert got["lidar_range_image_mask"].sum() == kept


def test_of_two_points_equally_near_the_first_is_shown(frame_of, build):
    frame = frame_of(np.float32([[5, 0, 0], [4, 0, 0], [4, 0, 0]]), np.float32([1, 2, 3]))
    got = build(NAMES, frame, image_params(channels=["intensity"]))
    assert got["lidar_range_image"].max() == 2
    assert got["lidar_range_image_index"].max() == 1


def test_the_index_leads_back_to_the_points_that_the_image_shows(frame_of, build):
    """Property 6 of the reference: each cell shows the nearest of all points that fall into it."""
    points = scan(2000)
    finite = points[np.isfinite(points[:, :3]).all(axis=1)]
    got = build(NAMES, frame_of(points[:, :3], points[:, 3]), image_params(channels=CHANNELS, height=16, width=64))
    image, index = got["lidar_range_image"], got["lidar_range_image_index"]
    hit = index >= 0
    assert np.array_equal(hit, got["lidar_range_image_mask"] == 1)
    assert np.array_equal(image[1:4][:, hit], finite[index[hit], :3].T)
    distance = np.sqrt((np.float64(finite[:, :3]) ** 2).sum(axis=1)).astype(np.float32)
    assert np.array_equal(image[0][hit], distance[index[hit]])


def test_a_spec_may_take_another_lidar_of_the_log(memory_log, sweep_of):
    log = memory_log([sweep_of([[10, 0, 0]], sensor="top"), sweep_of([[0, 10, 0], [0, 10, 0]], sensor="side")])
    shown = {}
    for sensor in (None, "top", "side"):
        image = InputBuilder(NAMES, params=image_params(sensor=sensor)).build(log[0])["lidar_range_image_mask"]
        shown[sensor] = np.argwhere(image)[:, 1].tolist()
    assert shown == {None: [1024], "top": [1024], "side": [512]}


def test_x_y_z_may_be_told_in_the_ego_frame_without_changing_what_is_shown(memory_log, sweep_of, build):
    points, times = scan(600), 1_700_000_000_000_000_000 + np.arange(3) * 50_000_000
    poses = Poses(times, quaternion_from_yaw(0.05 * np.arange(3)), np.outer(np.arange(3), [0.5, 0.1, 0]))
    mount = rigid(rotation_from_quaternion(quaternion_from_yaw(0.7)), [1, 2, 1.5])
    offsets = np.random.default_rng(0).integers(-40_000_000, 40_000_000, len(points))
    sweep = sweep_of(points[:, :3], points[:, 3], time_ns=int(times[1]), ego_from_sensor=mount, offset_ns=offsets)
    frame = memory_log([sweep], poses)[0]
    size = {"height": 16, "width": 128, "channels": CHANNELS}
    lidar, ego = (build(NAMES, frame, image_params(**size, xyz_frame=f)) for f in ("lidar", "ego"))
    cloud = build(["lidar_points"], frame, {"lidar_points": {"columns": ["x", "y", "z"]}})["lidar_points"]
    index = ego["lidar_range_image_index"]
    hit = index >= 0
    assert np.array_equal(index, lidar["lidar_range_image_index"])
    assert np.array_equal(ego["lidar_range_image"][[0, 4]], lidar["lidar_range_image"][[0, 4]])
    assert np.array_equal(ego["lidar_range_image"][1:4][:, hit], cloud[index[hit]].T)


def test_arctangent2_is_numpys_to_fourteen_digits_save_for_the_sign_of_zero():
    """Positive and negative zero are one value here: a point on the seam has one column, not two."""
    steps = np.concatenate([np.linspace(-3, 3, 401), [0.0, -0.0, 1e-300, -1e-300, 1e-12, 1e30, -1e30]])
    angles = [(arctangent2(y, x), np.arctan2(y + 0.0, x + 0.0)) for y in steps for x in steps]
    got, expected = np.array(angles).T
    assert np.abs(got - expected).max() <= 1e-14
    turn = np.linspace(-np.pi, np.pi, 20_011)
    got = np.array([arctangent2(s, c) for s, c in zip(np.sin(turn), np.cos(turn), strict=True)])
    assert np.abs(got - np.arctan2(np.sin(turn), np.cos(turn))).max() <= 1e-14


ALL_ROUND = (180, -180)
SIZES = [
    (64, 2048, (3, -25), True, ALL_ROUND),
    (32, 1000, (15, -15), False, ALL_ROUND),
    (180, 360, (90, -90), False, ALL_ROUND),
    (400, 20_000, (2, -2), True, ALL_ROUND),
    (7, 3, (0.01, 0), False, ALL_ROUND),
    (64, 512, (3, -25), True, (45, -45)),
    (32, 2000, (15, -15), False, (-180, 180)),
    (32, 999, (15, -15), False, (70, -290)),
    (16, 300, (15, -15), True, (-190, -170.5)),
]


def view_of(height, width, fov, azimuth_fov, min_range):
    """What the kernels take."""
    params = RangeImageParams(height=height, width=width, fov=fov, azimuth_fov=azimuth_fov, min_range=min_range)
    return np.array([height, width, width]), _view(params)


def cells_of(sweep, height, width, fov, clamp, azimuth_fov, origin=(0, 0, 0), min_range=0.1):
    """Each point's own cell, row * width + column, and how many are not finite, as the kernel has them."""
    recorded, found, bad = Recorded(sweep, with_times=False), [], 0
    fine = np.float64 if recorded.is_fine else np.float32
    # which points win their cells is not asked here
    nearest = np.full(height * width + 1, 2**64 - 1, np.uint64)
    for start in range(0, len(sweep), BLOCK):
        own = recorded.places.copy()
        own[:3, 0] += start * own[:3, 1]
        n = min(BLOCK, len(sweep) - start)
        cells, ranges = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
        what = (own, n, np.float64(origin), *view_of(height, width, fov, azimuth_fov, min_range), clamp, False)
        columns = (np.zeros(0, np.int32), np.array([0, 0, ABSENT]), np.array([0, 0, ABSENT]))
        work = (np.empty((3, BLOCK), fine), np.empty(BLOCK, np.float32), np.empty((3, BLOCK), np.float32))
        bad += project(*what, *columns, HALVES, *work, np.empty(BLOCK), cells, ranges, nearest)
        found.append(np.where(cells[:n] < 0, -1, cells[:n]))
    return np.concatenate(found), bad


def cells_looked_at_twice(xyz, height, width, fov, clamp, azimuth_fov, origin=(0, 0, 0), min_range=0.1):
    """The same, every point in float64, by the kernel."""
    cells = np.empty(len(xyz), np.int32)
    what = (np.float64(origin), *view_of(height, width, fov, azimuth_fov, min_range), clamp, False, False)
    look_again(len(xyz), len(xyz), np.ascontiguousarray(xyz.T), *what, cells)
    return cells


def cells_by_definition(xyz, height, width, fov, clamp, azimuth_fov, origin=(0, 0, 0), min_range=0.1):
    """The same in numpy, in float64 throughout."""
    finite = (np.abs(xyz) < 2.0**100).all(axis=1)
    with np.errstate(all="ignore"):
        x, y, z = (np.where(finite[:, None], xyz, 0).astype(np.float64) - origin + 0.0).T
        upper, lower = np.deg2rad(np.float64(fov))
        row = np.floor((upper - np.arctan2(z, np.sqrt(x * x + y * y))) / (upper - lower) * height)
        row = np.clip(row, 0, height - 1) if clamp else row
        turn = width / (abs(azimuth_fov[0] - azimuth_fov[1]) / 360)
        along = np.sign(azimuth_fov[0] - azimuth_fov[1])
        column = np.floor(along * (azimuth_fov[0] / 360 - np.arctan2(y, x) / (2 * pi)) * turn % turn) % turn
        seen = finite & (np.sqrt(x * x + y * y + z * z) >= min_range) & (row >= 0) & (row < height) & (column < width)
    return np.where(seen, row * width + column, -1).astype(np.int64), int((~finite).sum())


def beside_borders(height, width, fov, azimuth_fov, n=3000):
    """Points as near to the borders of cells as float32 can say, on both sides."""
    random = np.random.default_rng(4)
    left, right = np.deg2rad(azimuth_fov)
    azimuth = left + random.integers(-1, width + 2, n) * ((right - left) / width)
    upper, lower = np.deg2rad(fov)
    elevation = upper - random.integers(-1, height + 2, n) * ((upper - lower) / height)
    azimuth[: n // 2] = random.uniform(-pi, pi, n // 2)
    elevation[n // 3 :: 2] = random.uniform(lower, upper, len(elevation[n // 3 :: 2]))
    distance = 10 ** random.uniform(-1, 3, n)
    flat = np.cos(elevation)
    xyz = distance[:, None] * np.column_stack([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(elevation)])
    xyz = xyz.astype(np.float32)
    for _ in range(3):
        towards = np.where(random.integers(0, 2, xyz.shape), np.float32(np.inf), np.float32(-np.inf))
        xyz = np.concatenate([xyz, np.nextafter(xyz, np.where(random.integers(0, 3, xyz.shape), xyz, towards))])
    return xyz


@pytest.mark.parametrize(("height", "width", "fov", "clamp", "azimuth_fov"), SIZES)
@pytest.mark.parametrize(("origin", "dtype"), [((0, 0, 0), np.float32), ((1.5, -0.5, 1.9), np.float64)])
def test_no_estimate_says_another_cell_than_float64(sweep_of, height, width, fov, clamp, azimuth_fov, origin, dtype):
    """Cells are found in float32 first; what lies near a border is looked at again."""
    random = np.random.default_rng(3)
    anywhere = random.normal(0, (30, 30, 4), (20_000, 3)).astype(np.float32)
    strange = [0.0, -0.0, 1e-45, -1e-40, 1e-30, -1e-19, 0.1, -1.0, 1e10, -1e19, 1e25, 3e38, np.inf, -np.inf, np.nan]
    for xyz in (
        anywhere,
        beside_borders(height, width, fov, azimuth_fov) + np.float32(origin),
        np.float32([*product(strange, repeat=3)]),
    ):
        sweep, image = sweep_of(xyz.astype(dtype)), (height, width, fov, clamp, azimuth_fov)
        got = cells_of(sweep, *image, origin)
        wanted = cells_by_definition(xyz.astype(dtype), *image, origin)
        assert got[1] == wanted[1]
        # another arctangent: within 1e-14 of a border the last bit decides
        assert (got[0] != wanted[0]).sum() <= len(xyz) * 1e-4
        assert np.array_equal(got[0], cells_looked_at_twice(xyz.astype(dtype), *image, origin))


@pytest.mark.parametrize("norm", [None, {"mean": [1, 2, 3, 4, 5], "std": [2, 3, 4, 5, 6]}])
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_stays_of_the_frame_before_however_full_it_was(frame_of, norm, threads):
    """Where few cells are written they are cleared one by one."""
    params = image_params(height=16, width=128, fill=-7, norm=norm, channels=CHANNELS)
    frames = [frame_of(p[:, :3], p[:, 3]) for p in (scan(n, seed=n) for n in (40, 9000, 300, 0, 200, 1, 8000, 40, 60))]
    builder = InputBuilder(NAMES, params=params, threads=threads)
    for frame in [*frames, *frames[::-1]]:
        wanted = InputBuilder(NAMES, params=params).build(frame)
        got = builder.build(frame)
        assert {name: got[name].tobytes() for name in NAMES} == {name: wanted[name].tobytes() for name in NAMES}
