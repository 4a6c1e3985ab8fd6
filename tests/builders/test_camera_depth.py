"""camera_depth against a slow version of its definition, by hand, and against what published code does."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
import pytest

from perceptum.builders import InputBuilder, split
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.features.camera import ImageParams
from perceptum.inputs.poses import rigid

from .cameras import AHEAD, SIZE, T0, intrinsics, mount, picture, png
from .radars import cycle

NAMES = ["front", "left", "gone", "back"]
YAWS = {"front": 0.0, "left": 1.1, "back": 3.0}
SMALLER = {"resize": [30, 60], "crop": [24, 40], "crop_at": [1.0, 0.5]}


def log_of(sweep, *pictures, **more):
    return memory_log([sweep], cameras=[p for p in pictures if p is not None], **more)


def around(**more):
    """A picture of each camera but one, which the frame lacks."""
    return [picture(name, yaw_rad=yaw, **more) for name, yaw in YAWS.items()]


def scene(n, seed=0):
    """(n, 3) float32 on all sides, near and far, in the order of a lidar that turns."""
    random = np.random.default_rng(seed)
    azimuth = np.sort(random.uniform(-np.pi, np.pi, n))
    distance = random.uniform(0.5, 80, n) ** 0.8
    return np.column_stack([distance * np.cos(azimuth), distance * np.sin(azimuth), random.uniform(-2, 4, n)]).astype(
        "f4"
    )


def build(frame, /, image=None, threads=1, **params):
    image = {"cameras": NAMES, **(image or {})}
    params = {"camera_depth": params, "image": image}
    return InputBuilder(["camera_depth"], params={k: v for k, v in params.items() if v}, threads=threads).build(frame)[
        "camera_depth"
    ]


def transform_of(image, size=SIZE):
    return msgspec.convert(image, ImageParams).transform(*size)


def seen(points, yaw_rad, image, along="axis", size=SIZE):
    """u, v and depth of (N, 3) points in the tensor's picture, and where in the recorded one: float64."""
    camera = (points.astype(np.float64) - mount()[:3, 3]) @ mount(yaw_rad)[:3, :3]
    q = camera @ intrinsics(size).T
    with np.errstate(all="ignore"):
        recorded = q[:, :2] / q[:, 2:]
    affine = transform_of(image, size).matrix()
    u, v = (recorded @ affine[:2, :2].T + affine[:2, 2]).T
    depth = np.linalg.norm(camera, axis=1) if along == "ray" else camera[:, 2]
    return u, v, np.where(camera[:, 2] > 0, depth, 0).astype(np.float32), recorded


RULES = {
    "edge": lambda u, s: np.floor((u + 0.5) / s),
    "floor": lambda u, s: np.floor(u / s),
    "round": lambda u, s: np.round(u / s),
    "truncate": lambda u, s: np.trunc(u / s),
}


def slow(
    points, image, stride=1, pixel="edge", collision="nearest", span=(1, 60), along="axis", margin=None, size=SIZE
):
    """The definition, point by point."""
    height, width = transform_of(image, size).size
    first = 1 if collision == "last_of_pixel" else stride
    out = np.zeros((len(NAMES), height // first, width // first), np.float32)
    for k, name in enumerate(NAMES):
        if name == "gone":
            continue
        u, v, depth, recorded = seen(points, YAWS[name], image, along, size)
        for i in range(len(points)):
            if not (depth[i] > 0 and span[0] <= depth[i] < span[1]):
                continue
            if margin is not None and not (
                margin < recorded[i, 0] < size[1] - margin and margin < recorded[i, 1] < size[0] - margin
            ):
                continue
            column, row = (int(RULES[pixel](at, first)) for at in (u[i], v[i]))
            if 0 <= column < out.shape[2] and 0 <= row < out.shape[1]:
                before = out[k, row, column]
                if collision != "nearest" or before == 0 or depth[i] < before:
                    out[k, row, column] = depth[i]
    if collision != "last_of_pixel":
        return out
    pooled = np.zeros((len(NAMES), height // stride, width // stride), np.float32)
    for k, row, column in np.ndindex(pooled.shape):
        square = out[k, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride]
        pooled[k, row, column] = min(square[square > 0], default=0)
    return pooled


@pytest.fixture(scope="module")
def points():
    return scene(3000)


@pytest.fixture(scope="module")
def frame(sweep_of, points):
    return log_of(sweep_of(points), *around())[0]


@pytest.mark.parametrize("pixel", list(RULES))
@pytest.mark.parametrize(("stride", "collision"), [(1, "nearest"), (4, "nearest"), (7, "last"), (4, "last_of_pixel")])
def test_it_is_what_the_definition_says(frame, points, pixel, stride, collision):
    got = build(frame, SMALLER, stride=stride, pixel=pixel, collision=collision)
    expected = slow(points, SMALLER, stride, pixel, collision)
    assert (expected > 0).any(axis=(1, 2)).tolist() == [True, True, False, True]
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "image", [{}, {"flip": True}, {"resize": 1.7}, {"crop": [20, 30], "pixel_convention": "published"}, SMALLER]
)
@pytest.mark.parametrize("along", ["axis", "ray"])
def test_it_follows_what_is_done_to_the_picture(frame, points, image, along):
    got = build(frame, image, depth_along=along, depth_range=[3.0, 21.5])
    assert got.tobytes() == slow(points, image, span=(3.0, 21.5), along=along).tobytes()


def test_a_margin_is_one_of_the_recorded_picture(frame, points):
    assert build(frame, SMALLER, margin=9).tobytes() == slow(points, SMALLER, margin=9).tobytes()
    assert build(frame, SMALLER, margin=9).tobytes() != build(frame, SMALLER).tobytes()


def test_one_channel_is_an_axis_of_its_own(frame):
    plain, with_channel = build(frame), build(frame, layout="K1HW")
    assert with_channel.shape == (4, 1, *SIZE)
    assert with_channel.tobytes() == plain.tobytes()


@pytest.mark.parametrize("order", ["turning", "by chance", "backwards"])
def test_the_nearest_is_shown_in_whatever_order_points_come(points, sweep_of, frame, order):
    turned = {"turning": points, "backwards": points[::-1], "by chance": np.random.default_rng(1).permutation(points)}
    other = log_of(sweep_of(turned[order]), *around())[0]
    assert build(other).tobytes() == build(frame).tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_no_point_is_missed_wherever_a_camera_looks(sweep_of, seed):
    """Most blocks of points are passed over by the box around them: of clouds and cameras of any kind."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    place, spread = random.normal(0, 20, 3), 10.0 ** random.uniform(-1, 2.5, 3)
    points = (random.normal(0, 1, (4000, 3)) * spread).astype(np.float32)
    points = points[np.argsort(points[:, random.integers(3)])] if seed % 3 else points
    focal_px, size = 10.0 ** random.uniform(0.7, 2.7), (40, 50)
    matrix = np.array([[focal_px, 0, random.uniform(-20, 70)], [0, focal_px, 20], [0, 0, 1]])
    one = picture(size=size, intrinsics=matrix, ego_from_camera=rigid(turn, place))
    got = build(log_of(sweep_of(points), one)[0], {"cameras": ["front"]}, depth_range=[0, None])[0]
    camera = (points.astype(np.float64) - place) @ turn
    with np.errstate(all="ignore"):
        u, v = np.floor((camera @ matrix.T)[:, :2] / camera[:, 2:] + 0.5).T
    sees = (camera[:, 2] > 0) & (u >= 0) & (u < 50) & (v >= 0) & (v < 40)
    expected = np.full(size, np.inf)
    np.minimum.at(expected, (v[sees].astype(int), u[sees].astype(int)), camera[sees, 2])
    expected[np.isinf(expected)] = 0
    assert np.allclose(got, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("collision", ["nearest", "last", "last_of_pixel"])
def test_no_byte_depends_on_the_threads(frame, monkeypatch, collision):
    monkeypatch.setattr(split, "_FEWEST", 64)
    one, two, nine = (build(frame, threads=n, collision=collision, stride=3) for n in (1, 2, 9))
    assert one.tobytes() == two.tobytes() == nine.tobytes()


def straight(sweep_of, xyz, **more):
    """A camera at the origin that looks along x, focal length 10 and middle (4, 3), 9 x 7 pixels."""
    matrix = np.array([[10.0, 0, 4], [0, 10, 3], [0, 0, 1]])
    ahead = np.eye(4)
    ahead[:3, :3] = AHEAD
    return log_of(sweep_of(xyz), picture(size=(7, 9), intrinsics=matrix, ego_from_camera=ahead), **more)[0]


def at(u, v, depth=10.0):
    """A place that is seen at a pixel."""
    return [depth, -(u - 4) * depth / 10, -(v - 3) * depth / 10]


@pytest.mark.parametrize(
    ("pixel", "u", "column"),
    [
        ("edge", -0.5, 0),
        ("edge", -0.5625, None),
        ("edge", 8.4375, 8),
        ("edge", 8.5, None),
        ("edge", 2.5, 3),
        ("floor", 0.0, 0),
        ("floor", -0.0625, None),
        ("floor", 8.9375, 8),
        ("floor", 9.0, None),
        ("round", -0.5, 0),
        ("round", -0.5625, None),
        ("round", 2.5, 2),
        ("round", 3.5, 4),
        ("round", 8.5, 8),
        ("truncate", -0.9375, 0),
        ("truncate", -1.0, None),
        ("truncate", 8.9375, 8),
    ],
)
def test_a_place_on_the_border_of_a_pixel(sweep_of, pixel, u, column):
    got = build(straight(sweep_of, [at(u, 3)]), {"cameras": ["front"]}, pixel=pixel)
    assert np.argwhere(got).tolist() == ([] if column is None else [[0, 3, column]])
    turned = build(straight(sweep_of, [at(4, 3 if u == 3 else u)]), {"cameras": ["front"]}, pixel=pixel)
    row = {8: None}.get(column, column) if u > 7 else column
    assert np.argwhere(turned).tolist() == ([] if row is None else [[0, row, 4]])


@pytest.mark.parametrize("along", ["axis", "ray"])
def test_what_is_not_ahead_is_not_shown(sweep_of, along):
    none = [[-10, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, -1], [-1e-30, 0, 0], [-1e30, 1, 1]]
    got = build(straight(sweep_of, none), {"cameras": ["front"]}, depth_along=along, depth_range=[0, None])
    assert not got.any()


def test_far_and_near_places(sweep_of):
    huge = [[1e30, 0, 0], [1e-30, 0, 0], [1e20, 1e30, 1e30], [np.nan, 0, 0], [np.inf, 0, 0]]
    got = build(straight(sweep_of, huge), {"cameras": ["front"]}, depth_range=[0, None], collision="last")
    assert got[0, 3, 4] == np.float32(1e-30)
    assert np.count_nonzero(got) == 1
    got = build(straight(sweep_of, huge[:1]), {"cameras": ["front"]}, depth_range=[0, None])
    assert got[0, 3, 4] == np.float32(1e30)


@pytest.mark.parametrize(("depth", "shown"), [(2.0, True), (1.9999999, False), (5.0, False), (4.9999995, True)])
def test_the_range_of_depths_is_half_open(sweep_of, depth, shown):
    got = build(straight(sweep_of, np.float32([at(4, 3, depth)])), {"cameras": ["front"]}, depth_range=[2, 5])
    assert (got[0, 3, 4] == np.float32(depth)) == shown
    assert got.any() == shown


def test_a_depth_that_becomes_the_end_of_the_range_as_float32_is_beyond_it(sweep_of):
    # 4.99999999 along the ray, of float32 numbers
    place = np.float32([at(4.0, 3.0, 4.999999)])
    ray = [place[0, 0], np.sqrt(25 - 2e-8 - float(place[0, 0]) ** 2), 0]
    got = build(straight(sweep_of, [ray]), {"cameras": ["front"]}, depth_range=[0, 5], depth_along="ray")
    assert not got.any()
    assert build(straight(sweep_of, [ray]), {"cameras": ["front"]}, depth_range=[0, 6], depth_along="ray").max() == 5


def test_nothing_falls_where_black_was_added(sweep_of):
    frame = straight(sweep_of, [at(2, 3), at(10, 3), at(4, 8), at(8.75, 3)])
    got = build(frame, {"cameras": ["front"], "pad": [16, 16]})
    assert got.shape == (1, 16, 16)
    assert np.argwhere(got).tolist() == [[0, 3, 2]]
    got = build(frame, {"cameras": ["front"], "crop": [7, 16], "crop_offset": [0, 0], "crop_beyond": "black"})
    assert np.argwhere(got).tolist() == [[0, 3, 2]]
    # a quarter turn brings what is beside the picture into it
    turned = build(straight(sweep_of, [at(4, -1), at(4, 1)]), {"cameras": ["front"], "rotate": 90})
    assert np.argwhere(turned).tolist() == [[0, 3, 2]]


@pytest.mark.parametrize("params", [{}, {"margin": 8.0}, {"pixel": "floor"}, {"stride": 4}])
@pytest.mark.parametrize("resize", [None, 0.7])
@pytest.mark.parametrize("rotate", [30.0, -17.0, 180.0, 720.0])
def test_nothing_falls_where_a_turned_crop_is_black(sweep_of, points, rotate, resize, params):
    """What lies beside a crop was recorded, but is not turned into the picture."""
    top, left, height, width = 9, 12, 20, 30
    image = {"crop": [height, width], "crop_offset": [top, left], "rotate": rotate}
    image |= {"resize": resize} if resize else {}
    resized = transform_of(image).resized
    recorded = seen(points, 0.0, image)[3]
    u, v = ((recorded[:, axis] + 0.5) * resized[1 - axis] / SIZE[1 - axis] for axis in range(2))
    cut_out = (left <= u) & (u < left + width) & (top <= v) & (v < top + height)
    frame = log_of(sweep_of(points), *around())[0]
    got = build(frame, image, **params)[0]
    turned = points[cut_out] if rotate % 360 else points
    assert got.tobytes() == slow(turned, image, **params)[0].tobytes()
    if rotate % 180:
        assert got.tobytes() != slow(points, image, **params)[0].tobytes()
    # through a lens they are found one by one
    lens = {"distortion": np.zeros(4), "distortion_model": "brown"}
    assert build(log_of(sweep_of(points), *around(**lens))[0], image, **params)[0].tobytes() == got.tobytes()


def test_a_turned_picture_is_black_where_no_depth_is(sweep_of):
    white = png(np.full((*SIZE, 3), 255, np.uint8))
    random = np.random.default_rng(0)
    u, v = random.uniform(-20, 116, 9000), random.uniform(-20, 74, 9000)
    rays = np.stack([u, v, np.ones_like(u)]).T @ np.linalg.inv(intrinsics()).T
    places = (9 * rays @ mount()[:3, :3].T + mount()[:3, 3]).astype(np.float32)
    frame = log_of(sweep_of(places), picture("front", read=lambda: white))[0]
    image = {"crop": [30, 40], "crop_offset": [9, 12], "rotate": 25.0}
    params = {"image": image, "camera_images": {"resampler": "cv2_linear"}}
    tensors = InputBuilder(["camera_images", "camera_depth"], params=params).build(frame)
    black, shown = tensors["camera_images"][0, 0] == 0, tensors["camera_depth"][0] > 0
    assert black.sum() > 100
    assert not (black & shown).any()
    assert shown[~black].mean() > 0.4


def test_rows_and_columns_that_are_no_whole_stride_are_left_out(sweep_of):
    frame = straight(sweep_of, [at(7, 3), at(8, 3), at(0, 6), at(0, 5)])
    assert np.argwhere(build(frame, {"cameras": ["front"]}, stride=2)).tolist() == [[0, 1, 3], [0, 2, 0]]


def test_a_spec_may_fix_another_size(sweep_of):
    frame = straight(sweep_of, [at(1, 1), at(8, 6)])
    larger, smaller = (
        InputBuilder([{"name": "camera_depth", "dtype": "float32", "shape": shape}]).build(frame)["camera_depth"]
        for shape in ([2, 10, 12], [1, 4, 5])
    )
    assert np.argwhere(larger).tolist() == [[0, 1, 1], [0, 6, 8]]
    assert np.argwhere(smaller).tolist() == [[0, 1, 1]]


def test_an_empty_cloud_and_no_cloud_at_all_are_empty_maps(sweep_of):
    assert not build(log_of(sweep_of(np.zeros((0, 3), np.float32)), *around())[0]).any()
    nothing = memory_log(cameras=around(), times_ns=[T0])[0]
    assert build(nothing).shape == (4, *SIZE)
    assert not build(nothing).any()


def test_a_reused_map_holds_nothing_of_the_frame_before(sweep_of, points):
    builder = InputBuilder(["camera_depth"], params={"image": {"cameras": NAMES}})
    log = memory_log(
        [sweep_of(points), sweep_of(points[:3], time_ns=T0 + 10**8)],
        cameras=[*around(), picture("left", T0 + 10**8, yaw_rad=YAWS["left"])],
    )
    log.camera_tolerance_ns = 10**7
    assert builder.build(log[0])["camera_depth"].any(axis=(1, 2)).tolist() == [True, True, False, True]
    assert builder.build(log[1])["camera_depth"].tobytes() == build(log[1]).tobytes()
    assert not build(log[1])[[0, 2, 3]].any()


@pytest.mark.parametrize("frame_of_reference", ["ego", "lidar"])
def test_depth_is_the_same_in_any_axes(sweep_of, points, frame_of_reference):
    tilted = np.eye(4)
    tilted[:3, :3] = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    tilted[:3, 3] = 1, 2, 3
    local = ((points.astype(np.float64) - tilted[:3, 3]) @ tilted[:3, :3]).astype(np.float32)
    frame = log_of(sweep_of(local, ego_from_sensor=tilted), *around())[0]
    got = build(frame, SMALLER, frame=frame_of_reference)
    placed = local.astype(np.float64) @ tilted[:3, :3].T + tilted[:3, 3]
    expected = slow(placed, SMALLER)
    same = np.abs(got - expected) < 1e-5
    # a point on a border may fall on the next pixel
    assert same.mean() > 0.998


def test_only_points_in_a_range_are_shown(frame, points):
    low, high = np.float32([-20, -10, -1]), np.float32([30, 25, 2])
    inside = points[((points >= low) & (points < high)).all(axis=1)]
    got = build(frame, SMALLER, range=[*low.tolist(), *high.tolist()])
    assert got.tobytes() == slow(inside, SMALLER).tobytes()


def test_detections_of_a_radar_stand_at_several_heights(sweep_of):
    radar = cycle(60, T0, "a", seed=3)
    log = log_of(sweep_of(np.zeros((0, 3), np.float32)), *around(), radars=[radar])
    heights = [0.25, 0.5, 1.75]
    own = {"source": "radar", "radar": {"filter": "none", "num_sweeps": 1}, "collision": "last"}
    builder = InputBuilder(["radar_points"], params={"radar_points": {**own["radar"], "columns": ["x", "y", "z"]}})
    xyz = builder.build(log[0])["radar_points"]
    assert build(log[0], SMALLER, **own).tobytes() == slow(xyz, SMALLER, collision="last").tobytes()
    raised = np.repeat(xyz, 3, axis=0)
    raised[:, 2] = np.tile(np.float32(heights), len(xyz))
    got = build(log[0], SMALLER, **own, heights=heights)
    assert got.tobytes() == slow(raised, SMALLER, collision="last").tobytes()
    assert np.count_nonzero(got) > np.count_nonzero(build(log[0], SMALLER, **own))
    cut = build(log[0], SMALLER, **own, heights=heights, range=[0, -1e4, -1e4, 1e4, 1e4, 1e4])
    assert cut.tobytes() == slow(raised[raised[:, 0] >= 0], SMALLER, collision="last").tobytes()


def test_the_cloud_is_that_of_lidar_points(sweep_of, points):
    builder = InputBuilder(["camera_depth", "lidar_points"], params={"camera_depth": {"lidar": {"remove_close": 2.0}}})
    assert len(_clouds(builder)) == 2
    params = {"frame": "lidar", "lidar_points": {"num_sweeps": 2}, "camera_depth": {"lidar": {"num_sweeps": 2}}}
    assert len(_clouds(InputBuilder(["camera_depth", "lidar_points"], params=params))) == 1


def _clouds(builder):
    return [line for line in str(builder.explain()).splitlines() if line.strip().startswith("cloud (")]


class TestPublished:
    """After the code that presets follow, written down again in numpy."""

    IMAGE: ClassVar = {"resize": 0.5, "crop": [24, 40], "crop_at": [1.0, 0.5], "pixel_convention": "published"}

    def test_bevdet(self, frame, points):
        """The rank of a cell plus a hundredth of the depth is sorted, and the first of each cell taken."""
        got = build(frame, self.IMAGE, pixel="round", stride=2)
        for k, name in enumerate(NAMES):
            if name == "gone":
                continue
            u, v, depth, _ = seen(points, YAWS[name], self.IMAGE)
            column, row = np.round(u / 2), np.round(v / 2)
            kept = (column >= 0) & (column < 20) & (row >= 0) & (row < 12) & (depth < 60) & (depth >= 1)
            column, row, depth = column[kept], row[kept], depth[kept]
            ranks = column + row * 20
            order = (ranks + depth / 100.0).argsort(kind="stable")
            ranks, depth = ranks[order], depth[order]
            first = np.append(True, ranks[1:] != ranks[:-1])
            expected = np.zeros(20 * 12, np.float32)
            expected[ranks[first].astype(int)] = depth[first]
            assert got[k].tobytes() == expected.tobytes()

    def test_bevfusion(self, frame, points):
        """Depths are written one after the other, without those behind, which it takes as being just ahead."""
        got = build(frame, self.IMAGE, pixel="floor", collision="last", depth_range=[0, None])
        for k, name in enumerate(NAMES):
            if name == "gone":
                continue
            u, v, depth, _ = seen(points, YAWS[name], self.IMAGE)
            on = (v < 24) & (v >= 0) & (u < 40) & (u >= 0) & (depth > 0)
            expected = np.zeros((24, 40), np.float32)
            for row, column, found in zip(v[on].astype(int), u[on].astype(int), depth[on], strict=True):
                expected[row, column] = found
            assert got[k].tobytes() == expected.tobytes()

    def test_crn(self, frame, points):
        """Within a pixel of the recorded border, truncated, the last of a pixel, then the least of a square."""
        got = build(
            frame, self.IMAGE, pixel="truncate", collision="last_of_pixel", stride=8, margin=1, depth_range=[0, 58]
        )
        for k, name in enumerate(NAMES):
            if name == "gone":
                continue
            u, v, depth, recorded = seen(points, YAWS[name], self.IMAGE)
            mask = (
                (depth > 0)
                & (depth < 58)
                & (recorded > 1).all(axis=1)
                & (recorded < np.array(SIZE[::-1]) - 1).all(axis=1)
            )
            u, v, depth = u[mask].astype(np.int16), v[mask].astype(np.int16), depth[mask]
            inside = (v < 24) & (u < 40) & (v >= 0) & (u >= 0)
            full = np.zeros((24, 40), np.float32)
            full[v[inside], u[inside]] = depth[inside]
            squares = full.reshape(3, 8, 5, 8).transpose(0, 2, 1, 3).reshape(3, 5, 64)
            least = np.where(squares == 0, 1e5, squares).min(axis=-1)
            expected = np.where(least == 1e5, 0, least).astype(np.float32)
            assert got[k].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"depth_range": [5, 5]}, "depth_range must be low before high"),
        ({"depth_range": [-1, 5]}, "depth_range must be low before high, from 0 on"),
        ({"margin": -1}, "margin must be at least 0"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"stride": 25, "image": {"crop": [24, 40]}}, "stride 25 is larger than the picture, 24 x 40"),
        ({"heights": []}, "heights must be one or more"),
        ({"radar": {"num_sweeps": 2}}, 'the parameters of radar change nothing: source is "lidar"'),
        ({"source": "radar", "lidar": {"num_sweeps": 2}}, "the parameters of lidar change nothing"),
        ({"lidar": {"frame": "lidar"}}, 'lidar.frame is "lidar", and frame is "ego": say it in `frame` alone'),
        ({"source": "radar", "frame": "radar", "radar": {"newest": "nearest"}}, "is the log's first radar"),
        ({"range": [0, 0, 0, 1, 1, 0]}, "a range must be min before max"),
    ],
)
def test_what_cannot_be_is_refused_when_planning(params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder(["camera_depth"], params={"camera_depth": params})
