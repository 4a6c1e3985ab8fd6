"""What the range image shows beside the nearest points: every channel, gaps, other views, clipping and padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.features import Spec, SpecError, canonical
from perceptum.inputs import BrokenRecord, MissingRecord, Poses
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

from .conftest import T0
from .range_images import image_by_definition, nearest_by_definition

NAMES = ["lidar_range_image", "lidar_range_image_mask", "lidar_range_image_index"]
ALL = ["range", "x", "y", "z", "intensity", "elongation", "azimuth", "inclination", "height", "time_lag", "occupancy"]
SIZE = {"height": 16, "width": 120, "fov": [15, -15]}
MS = 1_000_000
POSES = Poses(
    T0 + np.arange(3) * 50 * MS, quaternion_from_yaw(0.05 * np.arange(3)), np.outer(np.arange(3), [0.5, 0.1, 0])
)
MOUNT = rigid(rotation_from_quaternion(quaternion_from_yaw(0.7)), [1, 2, 1.5])


def image_params(**params):
    return {"lidar_range_image": {"intensity_mode": "raw", **SIZE, **params}}


def scan(n, seed=0):
    """(n, 4) points all around, some equally near, some not numbers, half of the directions empty."""
    random = np.random.default_rng(seed)
    points = random.normal(0, (20, 20, 3, 0), (n, 4))
    points[:, 3] = random.uniform(0, 1, n)
    points[n // 2 :: 7, :3] = points[: len(points[n // 2 :: 7]), :3]
    points[::11, 1] = np.nan
    return points.astype(np.float32)


def exact(wanted):
    """float64 numbers as float32, and how far the last bit of another arctangent may be from them."""
    return pytest.approx(np.float64(np.float32(wanted)), rel=2e-7, abs=1e-12)


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "u1", "i4", ">f4", "u8"])
@pytest.mark.parametrize("origin", [(0, 0, 0), (1.5, -0.5, 1.9)])
def test_every_channel_is_that_of_the_definition(memory_log, sweep_of, build, kind, origin):
    points, random = scan(900), np.random.default_rng(1)
    elongation = random.uniform(0, 200, len(points)).astype(kind)
    offset_ns = random.integers(-30 * MS, 30 * MS, len(points))
    more = {"elongation": elongation, "offset_ns": offset_ns, "origin": np.float64(origin), "intensity": points[:, 3]}
    log = memory_log([sweep_of(points[:, :3], **more), sweep_of([[1, 1, 1]], sensor="other", time_ns=T0 + 50 * MS)])
    frame = log[-1]
    got = build(NAMES, frame, image_params(channels=ALL, sensor="top"))
    wanted, mask, index = image_by_definition(points, 16, 120, (15, -15), origin=origin)
    image, hit, of = got["lidar_range_image"], mask == 1, index[index >= 0]
    assert np.array_equal(got["lidar_range_image_index"], index)
    assert np.array_equal(image[:5], wanted)
    assert (image[5:, ~hit] == -1).all()
    finite = np.isfinite(points[:, :3]).all(axis=1)
    x, y, z = (np.float64(points[finite, :3]) - origin)[of].T
    assert np.array_equal(image[5][hit], elongation[finite][of].astype(np.float32))
    assert image[6][hit] == exact(np.arctan2(y, x))
    assert image[7][hit] == exact(np.arctan2(z, np.hypot(x, y)))
    assert np.array_equal(image[8][hit], z.astype(np.float32))
    lag_ns = frame.time_ns - T0 - offset_ns[finite][of]
    assert np.array_equal(image[9][hit], (lag_ns * 1e-9).astype(np.float32))
    assert (image[10][hit] == 1).all()


def test_a_ray_is_shown_as_measured_whatever_becomes_of_its_point(memory_log, sweep_of, build):
    points = scan(600)
    offset_ns = np.random.default_rng(0).integers(-40 * MS, 40 * MS, len(points))
    sweep = sweep_of(points[:, :3], time_ns=T0 + 50 * MS, ego_from_sensor=MOUNT, offset_ns=offset_ns)
    frame = memory_log([sweep], POSES)[0]
    lidar, ego, moved = (
        build(NAMES, frame, image_params(channels=ALL, **more))["lidar_range_image"]
        for more in ({}, {"xyz_frame": "ego"}, {"xyz_frame": "ego", "azimuth_of": "point"})
    )
    same = [k for k, name in enumerate(ALL) if name not in "xyz"]
    assert np.array_equal(lidar[same], ego[same])
    assert not np.array_equal(lidar[1:4], ego[1:4])
    hit = ego[0] != -1
    assert moved[6][hit] == exact(np.arctan2(np.float64(ego[2][hit]), np.float64(ego[1][hit])))
    others = [k for k, name in enumerate(ALL) if name != "azimuth"]
    assert np.array_equal(moved[others], ego[others])


def test_the_azimuth_of_a_point_is_that_of_its_ray_where_nothing_moves_it(frame_of, build):
    points = scan(600)
    frame = frame_of(points[:, :3], origin=np.array([0.5, 1, 1.5]))
    ray, point = (
        build(NAMES, frame, image_params(channels=["azimuth"], azimuth_of=of))["lidar_range_image"]
        for of in ("ray", "point")
    )
    assert ray == pytest.approx(point, abs=1e-6)


@pytest.mark.parametrize("norm", [None, {"mean": [0.1], "std": [2], "clip": [[-0.1, 0.1]]}])
def test_the_inclination_of_a_row_is_in_its_empty_cells_too(frame_of, build, norm):
    points, ring = scan(300), np.arange(300) % 12
    frame = frame_of(points[:, :3], ring=ring, row_of_ring=np.arange(12, dtype=np.int32))
    common = {"channels": ["inclination"], "fill": 7, "width_multiple": 50}
    image = {}
    for rows in ("spherical", "ring"):
        ray = build(NAMES, frame, image_params(**common, rows=rows))
        got = build(NAMES, frame, image_params(**common, rows=rows, inclination_of="row", norm=norm))
        assert not got["lidar_range_image"][0, :, 120:].any()
        image[rows] = got["lidar_range_image"][0, :, :120]
        hit = ray["lidar_range_image_mask"] == 1
    of_rows = {"spherical": np.deg2rad(15 - 30 * (np.arange(16) + 0.5) / 16)}
    of_rows["ring"] = [
        np.mean(v[h], dtype=np.float64) if h.any() else 7 for v, h in zip(ray["lidar_range_image"][0], hit, strict=True)
    ]
    for rows, wanted in of_rows.items():
        wanted = np.float32(wanted)
        wanted = wanted if norm is None else (np.clip(wanted, -0.1, 0.1) - np.float32(0.1)) / np.float32(2)
        assert image[rows] == pytest.approx(np.broadcast_to(wanted[:, None], (16, 120)), abs=1e-6)


def test_five_thousand_kilometres_from_the_origin_a_ray_has_its_own_direction(frame_of, build):
    points = np.random.default_rng(0).normal(0, (20, 20, 3), (400, 3))
    far = np.array([388_096.125, 4_948_996.375, 111.0])
    params = image_params(channels=["range", "azimuth", "inclination", "height"])
    near, there = (
        build(NAMES, frame_of(points + where, origin=where), params)["lidar_range_image"]
        for where in (np.zeros(3), far)
    )
    assert there == pytest.approx(near, abs=1e-6)


# columns that a sweep lacks


def test_columns_that_a_sweep_lacks_are_0_and_its_age_is_that_of_the_sweep(memory_log, sweep_of, build):
    log = memory_log([sweep_of([[5, 0, 0]]), sweep_of([[1, 1, 1]], sensor="other", time_ns=T0 + 50 * MS)])
    params = image_params(channels=["intensity", "elongation", "time_lag"], sensor="top")
    got = build(NAMES, log[-1], params)
    shown = got["lidar_range_image"][:, got["lidar_range_image_mask"] == 1]
    assert shown.ravel().tolist() == [0, 0, np.float32(0.05)]


@pytest.mark.parametrize(
    ("channels", "more", "lacks", "has"),
    [
        (["range", "elongation"], {}, "elongation", "nothing"),
        (["intensity", "elongation"], {"ring": [1]}, "intensity and no elongation", "ring"),
        (["time_lag"], {"intensity": [1], "elongation": [1]}, "offset_ns", "intensity, elongation"),
    ],
)
def test_or_they_are_an_error_that_says_what_there_is(frame_of, build, channels, more, lacks, has):
    more = {name: np.float32(column) for name, column in more.items()}
    frame = frame_of([[5, 0, 0]], source="drive/3.bin", **more)
    with pytest.raises(MissingRecord) as error:
        build(NAMES, frame, image_params(channels=channels, missing_columns="error"))
    assert str(error.value) == (
        f"drive/3.bin: the sweep has no {lacks}, which a tensor takes; beside x, y, z there is {has} "
        '(missing_columns "fill" does without)'
    )
    build(NAMES, frame, image_params(channels=["range"], missing_columns="error"))


def test_ages_far_from_the_sweep_are_refused_as_in_the_cloud(frame_of, build):
    frame = frame_of(np.ones((2, 3)), offset_ns=np.array([0, 10**15]), source="drive/3.bin")
    with pytest.raises(BrokenRecord, match=r"^drive/3\.bin: the points' offset_ns go from 0 to 1000000000000000"):
        build(NAMES, frame, image_params(channels=["time_lag"]))
    build(NAMES, frame, image_params(channels=["range"]))


# returns


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("rows", ["spherical", "ring"])
def test_only_first_returns_are_shown_where_the_log_says_which_they_are(frame_of, build, kind, rows):
    """Section 3.3. The second return of a ray may be the nearer one."""
    points, random = scan(900), np.random.default_rng(2)
    index, ring = random.integers(0, 3, len(points)).astype(kind), random.integers(0, 16, len(points))
    more = {"return_index": index, "ring": ring, "row_of_ring": np.arange(16, dtype=np.int32)}
    frame = frame_of(points[:, :3], points[:, 3], **more)
    finite = np.isfinite(points[:, :3]).all(axis=1)
    own = None if rows == "spherical" else ring[finite]
    channels = ["range", "x", "y", "z", "intensity"]
    every = build(NAMES, frame, image_params(channels=channels, rows=rows, returns="all"))
    for name, wanted in zip(NAMES, image_by_definition(points, 16, 120, (15, -15), rows=own), strict=True):
        assert np.array_equal(every[name], wanted)
    first = build(NAMES, frame, image_params(channels=channels, rows=rows))
    # counted over all points
    hidden = points.copy()
    hidden[:, :3] = np.where((index == 0)[:, None], points[:, :3], np.where(finite[:, None], 1e-3, np.nan))
    for name, wanted in zip(NAMES, image_by_definition(hidden, 16, 120, (15, -15), rows=own), strict=True):
        assert np.array_equal(first[name], wanted)


# views


VIEWS = [(180, -180), (-180, 180), (45, -45), (-45, 45), (0, -360), (360, 0), (-135, -225), (270, 90), (100, 99.5)]
awkward = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-7, -1e-7, 1.0, -1.0, np.nan, np.inf, 1e30]), st.floats(-9, 9, width=32)
)


@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(awkward, awkward, awkward), max_size=30),
    view=st.sampled_from(VIEWS),
    seam=st.sampled_from(["wrap", "clamp"]),
)
def test_awkward_points_go_where_the_definition_says_in_every_view(frame_of, build, points, view, seam):
    cloud = np.float32([(*p, 5.0) for p in points]).reshape(-1, 4)
    size = {"height": 8, "width": 36, "fov": [20, -20]}
    got = build(NAMES, frame_of(cloud[:, :3]), image_params(**size, azimuth_fov=list(view), azimuth_seam=seam))
    _, index = nearest_by_definition(cloud, 8, 36, (20, -20), azimuth_fov=view, seam=seam)
    assert np.array_equal(got["lidar_range_image_index"], index)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_what_is_in_it(frame_of, build, view):
    points = scan(3000)
    params = image_params(channels=["range", "x", "y", "z", "intensity"], azimuth_fov=list(view))
    got = build(NAMES, frame_of(points[:, :3], points[:, 3]), params)
    for name, wanted in zip(NAMES, image_by_definition(points, 16, 120, (15, -15), azimuth_fov=view), strict=True):
        assert np.array_equal(got[name], wanted)


@pytest.mark.parametrize(
    ("view", "ahead", "left", "behind", "right"),
    [
        ((180, -180), 1024, 512, 0, 1536),
        ((-180, 180), 1024, 1536, 0, 512),
        ((0, -360), 0, 1536, 1024, 512),
        ((0, 360), 0, 512, 1024, 1536),
        ((90, -270), 512, 0, 1536, 1024),
        ((45, -45), 1024, None, None, None),
        ((-45, 45), 1024, None, None, None),
        ((270, 90), None, None, 1024, 0),
    ],
)
def test_the_first_azimuth_is_the_left_edge_and_columns_go_towards_the_second(
    frame_of, build, view, ahead, left, behind, right
):
    for point, column in [((9, 0, 0), ahead), ((0, 9, 0), left), ((-9, 0, 0), behind), ((0, -9, 0), right)]:
        # in the middle of a column where that is not an edge
        x, y, z = np.float64(point) + 1e-4 * np.array([-point[1], point[0], 0]) * np.sign(view[1] - view[0])
        got = build(NAMES, frame_of([[x, y, z]]), image_params(width=2048, azimuth_fov=list(view)))
        columns = np.argwhere(got["lidar_range_image_mask"])[:, 1].tolist()
        assert columns == ([] if column is None else [column])


@pytest.mark.parametrize(
    ("view", "y", "wrapped", "clamped"),
    [
        ((180, -180), 0.0, 0, 0),
        ((180, -180), -0.0, 0, 119),
        ((180, -180), -1e-30, 0, 119),
        ((-180, 180), 0.0, 0, 119),
        ((-180, 180), -0.0, 0, 0),
        ((0, -360), -0.0, 60, 60),
        ((270, 90), -0.0, 60, 60),
    ],
)
def test_what_is_right_behind_goes_to_the_first_column_or_as_published_to_the_last(
    frame_of, build, view, y, wrapped, clamped
):
    """Section 3.4: atan2 of -0 is -pi, which rounds to the whole turn."""
    for seam, column in (("wrap", wrapped), ("clamp", clamped)):
        params = image_params(azimuth_fov=list(view), azimuth_seam=seam)
        got = build(NAMES, frame_of(np.float32([[-10, y, 0]])), params)
        assert np.argwhere(got["lidar_range_image_mask"])[:, 1].tolist() == [column]


# gaps


def filled_by_definition(image, mask, index, windows, is_round=True):
    """Gaps as RangeDet fills them; image (C, H, W). Returns the three, and which cells are windows."""
    image, mask, index = image.copy(), mask.copy(), index.copy()
    missing = mask == 0
    missing[:, -1] &= is_round
    for array in (image, mask, index):
        array[..., missing] = np.roll(array, -1, axis=-1)[..., missing]
    still = mask == 0
    beside = np.roll(mask, 2, 0) + np.roll(mask, -2, 0)
    across = np.pad(mask, ((0, 0), (2, 2)), mode="wrap" if is_round else "constant")
    beside = (beside + across[:, :-4] + across[:, 4:]) > 0
    return image, mask, index, still & beside if windows else np.zeros_like(still)


@pytest.mark.parametrize("gaps", ["next_column", "windows"])
@pytest.mark.parametrize("n", [0, 1, 40, 700, 9000])
@pytest.mark.parametrize("size", [{}, {"height": 1, "width": 1}, {"height": 2, "width": 3}, {"width_multiple": 50}])
def test_gaps_show_what_the_next_column_shows_and_windows_hold_0(frame_of, build, gaps, n, size):
    points = scan(n)
    frame = frame_of(points[:, :3], points[:, 3], elongation=points[:, 3] / 2)
    plain, got = (build(NAMES, frame, image_params(channels=ALL, **size, gaps=g)) for g in ("fill", gaps))
    width = size.get("width", 120)
    image, mask, index, windows = filled_by_definition(*(plain[name][..., :width] for name in NAMES), gaps == "windows")
    image[:, windows] = 0
    for name, wanted in zip(NAMES, (image, mask, index), strict=True):
        assert np.array_equal(got[name][..., :width], wanted), name


@pytest.mark.parametrize("gaps", ["next_column", "windows"])
@pytest.mark.parametrize("width", [1, 2, 3, 60])
@pytest.mark.parametrize("view", [[60, -60], [-100, 150], [0, 360]])
def test_gaps_join_the_edges_only_of_an_image_that_goes_all_round(frame_of, build, gaps, width, view):
    points = scan(700)
    # nothing ahead of the last column, much at the first
    points = points[(np.arctan2(points[:, 1], points[:, 0]) > -0.6) | (np.arange(700) % 3 == 0)]
    frame = frame_of(points[:, :3], points[:, 3])
    params = {"channels": ["range", "x"], "width": width, "azimuth_fov": view}
    plain, got = (build(NAMES, frame, image_params(**params, gaps=g)) for g in ("fill", gaps))
    is_round = view == [0, 360]
    image, mask, index, windows = filled_by_definition(*plain.values(), gaps == "windows", is_round)
    image[:, windows] = 0
    for name, wanted in zip(NAMES, (image, mask, index), strict=True):
        assert np.array_equal(got[name], wanted), name


# clipping, padding, and what is empty


@pytest.mark.parametrize("fill", [-1.0, [80.0, 0.5, -3.0]])
def test_values_are_clipped_before_they_are_normalised_and_empty_cells_too_where_wanted(frame_of, build, fill):
    points = scan(500)
    frame = frame_of(points[:, :3], points[:, 3])
    channels, mean, std = ["range", "occupancy", "z"], [20, 0.25, 1], [3, 0.5, 2]
    norm = {"mean": mean, "std": std, "clip": [[0, 30], [0, 1], None]}
    plain = build(NAMES, frame, image_params(channels=channels, fill=fill, gaps="windows"))
    mask = plain["lidar_range_image_mask"] == 1
    image = plain["lidar_range_image"].copy()
    image[0], image[1] = image[0].clip(0, 30), image[1].clip(0, 1)
    image = (image - np.float32(mean)[:, None, None]) / np.float32(std)[:, None, None]
    zero, full = (
        build(NAMES, frame, image_params(channels=channels, fill=fill, gaps="windows", norm={**norm, "empty": empty}))
        for empty in ("zero", "fill")
    )
    assert np.array_equal(zero["lidar_range_image"], np.where(mask, image, np.float32(0)))
    assert np.array_equal(full["lidar_range_image"], image)


def test_each_channel_has_its_own_fill(frame_of, build):
    got = build(NAMES, frame_of(np.zeros((0, 3))), image_params(channels=["range", "x", "z"], fill=[80, 0, -5]))
    assert got["lidar_range_image"][:, 3, 7].tolist() == [80, 0, -5]


@pytest.mark.parametrize("norm", [None, {"mean": [1, 2], "std": [3, 4], "empty": "fill"}])
def test_the_width_is_padded_on_the_right_with_what_shows_nothing(frame_of, build, norm):
    points = scan(2000)
    frame, common = frame_of(points[:, :3]), {"channels": ["range", "z"], "norm": norm}
    plain = build(NAMES, frame, image_params(**common))
    got = build(NAMES, frame, image_params(**common, width_multiple=32))
    assert got["lidar_range_image"].shape == (2, 16, 128)
    for name, nothing in zip(NAMES, (0, 0, -1), strict=True):
        assert np.array_equal(got[name][..., :120], plain[name])
        assert (got[name][..., 120:] == nothing).all()


def test_the_padded_width_is_what_a_spec_row_says():
    for shape, multiple in (([5, 64, 2650], 1), ([5, 64, 2656], 16)):
        params = {"width": 2650, "width_multiple": multiple}
        row = {"name": "lidar_range_image", "dtype": "float32", "shape": shape, "params": params}
        canonical().resolve(Spec.of([row]))
        with pytest.raises(SpecError, match=str(shape[2])):
            canonical().resolve(Spec.of([{**row, "shape": [5, 64, 2672]}]))


def test_an_image_whose_cells_have_no_number_in_int32_is_refused():
    with pytest.raises(SpecError) as error:
        InputBuilder(["lidar_range_image_mask"], params=image_params(height=50_000, width=50_000))
    assert str(error.value) == (
        "input 'lidar_range_image_mask': an image of 50000 x 50000 has more than 2147483647 cells; take a smaller "
        "height or width"
    )
    canonical().group("lidar_range_image").params.replace({"height": 1, "width": 2**31 - 1}, "")
    with pytest.raises(SpecError, match="2147483648 has more than"):
        canonical().group("lidar_range_image").params.replace(
            {"height": 1, "width": 2**31 - 1, "width_multiple": 16}, ""
        )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("gaps", ["fill", "windows"])
def test_nothing_stays_of_the_frame_before_in_any_channel(frame_of, threads, gaps):
    of = {"inclination_of": "row" if gaps == "windows" else "ray"}
    params = image_params(channels=ALL, gaps=gaps, fill=-7, width_multiple=50, xyz_frame="ego", **of)
    frames = []
    for n in (40, 9000, 300, 0, 200, 1, 8000, 40, 60):
        points = scan(n, seed=n)
        frames.append(frame_of(points[:, :3], points[:, 3], elongation=points[:, 3]))
    builder = InputBuilder(NAMES, params=params, threads=threads)
    for frame in [*frames, *frames[::-1]]:
        wanted = InputBuilder(NAMES, params=params).build(frame)
        got = builder.build(frame)
        assert {name: got[name].tobytes() for name in NAMES} == {name: wanted[name].tobytes() for name in NAMES}
