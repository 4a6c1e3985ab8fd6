"""lidar_camera_pixels and radar_camera_points: which camera sees which point, and where."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder, split
from perceptum.datasets import memory_log
from perceptum.features import SpecError
from perceptum.inputs import BrokenRecord

from .cameras import SIZE, T0, mount, picture
from .radars import cycle
from .test_camera_depth import NAMES, SMALLER, around, log_of, scene, seen, straight, transform_of
from .test_camera_depth import at as place_at

PIXELS = ["lidar_camera_pixels", "lidar_camera_index"]
# the second sees a part of what the first one sees
OVERLAP = {"front": 0.0, "left": 0.5, "back": 3.0}


@pytest.fixture(scope="module")
def points():
    return scene(2500, seed=5)


@pytest.fixture(scope="module")
def frame(sweep_of, points):
    pictures = [picture(name, yaw_rad=yaw) for name, yaw in OVERLAP.items()]
    return log_of(sweep_of(points, np.arange(2500) % 7), *pictures)[0]


def build(frame, /, names=PIXELS, group="lidar_camera_pixels", threads=1, image=None, **params):
    params = {group: params, "image": {"cameras": NAMES, **(image or SMALLER)}}
    return InputBuilder(names, params=params, threads=threads).build(frame)


def slow(points, pixel="edge", span=(0, np.inf), margin=None):
    """(N, K, 3) u, v and depth, and (N, K) which camera sees which point."""
    height, width = transform_of(SMALLER).size
    pixels, sees = np.zeros((len(points), len(NAMES), 3), np.float32), np.zeros((len(points), len(NAMES)), bool)
    half = 0.5 if pixel == "edge" else 0.0
    for k, name in enumerate(NAMES):
        if name == "gone":
            continue
        u, v, depth, recorded = seen(points, OVERLAP[name], SMALLER)
        inside = (u >= -half) & (u < width - half) & (v >= -half) & (v < height - half)
        inside &= (depth > 0) & (depth >= span[0]) & (depth < span[1])
        if margin is not None:
            inside &= (recorded > margin).all(axis=1) & (recorded < np.array(SIZE[::-1]) - margin).all(axis=1)
        sees[:, k] = inside
        pixels[inside, k] = np.column_stack([u, v, depth])[inside]
    return pixels, sees


@pytest.mark.parametrize(
    ("pixel", "span", "margin"), [("edge", (0, None), None), ("floor", (2.5, 30), None), ("edge", (1, None), 6)]
)
def test_each_point_has_its_pixel_in_each_camera(frame, points, pixel, span, margin):
    got = build(frame, take="all", pixel=pixel, depth_range=list(span), margin=margin)
    pixels, sees = slow(points, pixel, (span[0], span[1] or np.inf), margin)
    assert sees.any(axis=0).tolist() == [True, True, False, True]
    assert (sees.sum(axis=1) > 1).any()
    assert np.array_equal(got["lidar_camera_index"], np.where(sees, np.arange(4), -1))
    assert np.abs(got["lidar_camera_pixels"] - pixels).max() < 1e-5
    assert np.array_equal(got["lidar_camera_pixels"][..., 2], pixels[..., 2])


@pytest.mark.parametrize("take", ["first", "middle"])
def test_one_camera_per_point(frame, points, take):
    got = build(frame, take=take)
    pixels, sees = slow(points)
    away = np.hypot(pixels[..., 0] - 19.5, pixels[..., 1] - 11.5) if take == "middle" else np.arange(4.0)
    best = np.where(sees, away, np.inf).argmin(axis=1)
    index = np.where(sees.any(axis=1), best, -1)
    assert np.array_equal(got["lidar_camera_index"], index)
    expected = np.where(sees.any(axis=1)[:, None], pixels[np.arange(len(points)), best], 0)
    assert np.abs(got["lidar_camera_pixels"] - expected).max() < 1e-5


def test_the_rows_are_those_of_lidar_points(frame, points):
    box = [-10, -30, -3, 40, 30, 4]
    params = {"range": box, "max_points": 700}
    rows = [
        {"name": "lidar_points", "dtype": "float32", "shape": ["num_points", 3]},
        {"name": "lidar_camera_pixels", "dtype": "float32", "shape": ["num_points", 3]},
        {"name": "lidar_camera_index", "dtype": "int32", "shape": ["num_points"]},
    ]
    wanted = {
        "lidar_points": {**params, "columns": ["x", "y", "z"]},
        "lidar_camera_pixels": params,
        "image": {"cameras": NAMES, **SMALLER},
    }
    builder = InputBuilder(rows, params=wanted)
    got = builder.build(frame)
    assert len(got["lidar_points"]) == 700
    _, sees = slow(got["lidar_points"])
    first = np.where(sees.any(axis=1), sees.argmax(axis=1), -1)
    assert np.array_equal(got["lidar_camera_index"], first)
    assert builder.build(frame).dropped["points over max_points"] > 0
    assert str(builder.explain()).count("cloud (1 sweep") == 1


def test_rows_that_are_not_those_of_lidar_points_do_not_share_their_symbol():
    rows = [
        {"name": "lidar_points", "dtype": "float32", "shape": ["num_points", 5]},
        {"name": "lidar_camera_index", "dtype": "int32", "shape": ["num_points"]},
    ]
    with pytest.raises(SpecError, match=r"lidar_points' has num_sweeps 1, 'lidar_camera_index' lidar\.num_sweeps 2;"):
        InputBuilder(rows, params={"lidar_camera_pixels": {"lidar": {"num_sweeps": 2}}})
    rows[1]["shape"] = ["other"]
    with pytest.raises(SpecError) as refused:
        InputBuilder(rows, params={"lidar_points": {"range": [0, -9, -3, 40, 9, 4]}})
    assert str(refused.value) == (
        "the rows of 'lidar_camera_index' belong to those of 'lidar_points', one by one, but 'lidar_points' has range "
        "[0.0,-9.0,-3.0,40.0,9.0,4.0], 'lidar_camera_index' null; give both the same, or a suffix to one: "
        "lidar_camera_index__b"
    )
    with pytest.raises(
        SpecError, match=r"lidar\.num_sweeps 2 and 'lidar_points' has max_points null, '.*' 9; give both"
    ):
        InputBuilder(rows, params={"lidar_camera_pixels": {"lidar": {"num_sweeps": 2}, "max_points": 9}})
    rows[1] = {**rows[1], "name": "lidar_camera_index__b"}
    InputBuilder(rows, params={"lidar_points": {"range": [0, -9, -3, 40, 9, 4]}})
    rows[1] = {**rows[1], "name": "lidar_camera_index", "shape": ["num_points"]}
    InputBuilder(rows, params={"lidar_camera_pixels": {"lidar": {"intensity_mode": "raw"}}})


@pytest.mark.parametrize("take", ["first", "middle", "all"])
def test_no_byte_of_pixels_depends_on_the_threads(frame, monkeypatch, take):
    monkeypatch.setattr(split, "_FEWEST", 64)
    one, two = (build(frame, threads=n, take=take) for n in (1, 7))
    assert all(one[name].tobytes() == two[name].tobytes() for name in PIXELS)


@pytest.mark.parametrize("take", ["first", "all"])
def test_a_spec_may_fix_how_many_points_and_cameras(frame, take):
    axes = [4] if take == "all" else []
    params = {"take": take, "image": {"cameras": NAMES, **SMALLER}}
    rows = [
        {"name": "lidar_camera_pixels", "dtype": "float32", "shape": [2600, *axes, 3], "params": params},
        {"name": "lidar_camera_index", "dtype": "int32", "shape": [2600, *axes], "params": params},
    ]
    got, whole = InputBuilder(rows).build(frame), build(frame, take=take)
    for name in PIXELS:
        assert np.array_equal(got[name][:2500], whole[name])
    assert (got["lidar_camera_index"][2500:] == -1).all()
    assert not got["lidar_camera_pixels"][2500:].any()


def test_no_points_and_no_pictures(sweep_of, points):
    empty = build(log_of(sweep_of(np.zeros((0, 3), np.float32)), *around())[0])
    assert empty["lidar_camera_pixels"].shape == (0, 3)
    blind = build(log_of(sweep_of(points))[0])
    assert (blind["lidar_camera_index"] == -1).all()
    assert not blind["lidar_camera_pixels"].any()


# radar_camera_points

RADAR = ["radar_camera_points", "radar_camera_num_points"]
COLUMNS = ["depth", "rcs", "u", "vx_comp", "dyn_prop_onehot", "v", "sweep"]
CLOUD = {"filter": "none", "num_sweeps": 2}


@pytest.fixture(scope="module")
def radar_frame():
    cycles = [cycle(80, T0 - 10**7 * k, name, seed=k) for k in range(2) for name in ("a", "b")]
    pictures = [picture(name, yaw_rad=yaw) for name, yaw in OVERLAP.items()]
    return memory_log(cameras=pictures, radars=cycles, times_ns=[T0])[0]


@pytest.mark.parametrize("most", [1536, 3])
@pytest.mark.parametrize("box", [None, [0.0, -1e4, -1e4, 1e4, 1e4, 1e4]])
def test_detections_are_listed_per_camera(radar_frame, most, box):
    plain = {**CLOUD, "columns": ["rcs", "vx_comp", "dyn_prop_onehot", "sweep"], "range": box, "max_points": None}
    known, xyz = (
        InputBuilder(["radar_points"], params={"radar_points": {**plain, **more}}).build(radar_frame)["radar_points"]
        for more in ({}, {"columns": ["x", "y", "z"]})
    )
    pixels, sees = slow(xyz)
    got = build(radar_frame, RADAR, "radar_camera_points", columns=COLUMNS, max_points=most, range=box, radar=CLOUD)
    assert got["radar_camera_points"].shape == (4, most, 14)
    counts = np.minimum(sees.sum(axis=0), most)
    assert counts.max() > 3 or most == 3
    assert got["radar_camera_num_points"].tolist() == counts.tolist()
    for k in range(4):
        own, where = known[sees[:, k]][:most], pixels[sees[:, k], k][:most]
        expected = np.column_stack([where[:, 2], own[:, 0], where[:, 0], own[:, 1:10], where[:, 1], own[:, 10]])
        assert np.abs(got["radar_camera_points"][k, : counts[k]] - expected).max(initial=0) < 1e-5
        assert not got["radar_camera_points"][k, counts[k] :].any()
    over = (sees.sum(axis=0) - counts).sum()
    assert got.dropped.get("detections over max_points", 0) == over


def test_a_builder_forgets_the_detections_of_the_frame_before(radar_frame):
    later = T0 + 10**9
    cycles = [cycle(80, T0, "a"), cycle(2, later, "a", seed=4)]
    pictures = [picture(name, time, yaw_rad=yaw) for name, yaw in OVERLAP.items() for time in (T0, later)]
    log = memory_log(cameras=pictures, radars=cycles, times_ns=[T0, later])
    params = {"radar_camera_points": {"radar": {"filter": "none", "num_sweeps": 1}}}
    builder = InputBuilder(RADAR, params=params)
    builder.build(log[0])
    got, fresh = builder.build(log[1]), InputBuilder(RADAR, params=params).build(log[1])
    assert all(got[name].tobytes() == fresh[name].tobytes() for name in RADAR)


LENSES = {
    "brown": [-0.35, 0.11, 0.001, -0.0008, -0.01],
    "fisheye": [0.02, -0.004, 0.001, -0.0002],
    "mei": [0.9, -0.1, 0.02, 0.001, 0.0005],
    "ftheta": [0, 1, 0.05, -0.02],
}


@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize("focal_px", [70.0, 14.0])
@pytest.mark.parametrize("along", ["axis", "ray"])
def test_places_are_seen_through_the_lens(sweep_of, points, model, focal_px, along):
    matrix = np.array([[focal_px, 0, 48.5], [0, focal_px, 27], [0, 0, 1.0]])
    lens = {"intrinsics": matrix, "distortion": np.array(LENSES[model]), "distortion_model": model}
    one = picture("front", **lens)
    frame = log_of(sweep_of(points), one, picture("back", yaw_rad=2.5, **lens))[0]
    image = {"cameras": ["front", "back"], **SMALLER}
    got = build(frame, image=image, take="all", depth_along=along)
    height, width = transform_of(SMALLER).size
    affine = transform_of(SMALLER).matrix()
    for k, yaw in enumerate([0.0, 2.5]):
        camera = (points.astype(np.float64) - mount()[:3, 3]) @ mount(yaw)[:3, :3]
        pixels, valid = one.lens.project(camera)
        u, v = (pixels @ affine[:2, :2].T + affine[:2, 2]).T
        depth = camera[:, 2] if along == "axis" else np.linalg.norm(camera, axis=1)
        with np.errstate(invalid="ignore"):
            sees = valid & (depth > 0) & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
        assert np.array_equal(got["lidar_camera_index"][:, k] == k, sees)
        expected = np.where(sees[:, None], np.column_stack([u, v, depth]), 0)
        assert np.abs(got["lidar_camera_pixels"][:, k] - expected).max() < 2e-5
        assert sees.sum() > 20
    # what a wide lens sees beside it has a distance, and no depth ahead
    beside = got["lidar_camera_index"][:, 0][(points[:, 0] < 1.4)] == 0
    assert beside.any() == (model != "brown" and focal_px == 14 and along == "ray")


def test_a_lens_may_be_left_out_and_undistorted_pictures_have_none(sweep_of, points):
    lens = {"distortion": np.array(LENSES["brown"]), "distortion_model": "brown"}
    bent = log_of(sweep_of(points), picture("front", **lens))[0]
    straight_one = log_of(sweep_of(points), picture("front"))[0]
    image = {"cameras": ["front"]}
    wanted = build(straight_one, image=image)
    for got in (build(bent, image=image, lens="none"), build(bent, image={**image, "undistort": True})):
        assert all(got[name].tobytes() == wanted[name].tobytes() for name in PIXELS)
    assert build(bent, image=image)["lidar_camera_index"].tobytes() != wanted["lidar_camera_index"].tobytes()


def test_a_camera_whose_lens_is_broken_sees_nothing_where_broken_records_are_skipped(sweep_of, points):
    lens = {"distortion": np.array([np.nan] * 5), "distortion_model": "brown"}
    log = log_of(sweep_of(points), picture("front", **lens), picture("back", yaw_rad=3.0))
    with pytest.raises(BrokenRecord, match=r"front.png: camera front: distortion of brown is \[nan"):
        build(log[0])
    log.on_error = "skip"
    assert set(np.unique(build(log[0])["lidar_camera_index"])) == {-1, 3}


def test_a_pixel_by_hand(sweep_of):
    frame = straight(sweep_of, [place_at(2.25, 5, 20.0), [-1, 0, 0]])
    got = InputBuilder(PIXELS).build(frame)
    assert got["lidar_camera_pixels"].tolist() == [[2.25, 5, 20], [0, 0, 0]]
    assert got["lidar_camera_index"].tolist() == [0, -1]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("radar_camera_points", {"columns": []}, "columns must be one or more names"),
        ("radar_camera_points", {"columns": ["u", "u"]}, "each once"),
        ("radar_camera_points", {"columns": ["intensity"]}, "columns"),
        ("radar_camera_points", {"radar": {"frame": "lidar"}}, "say it in `frame` alone"),
        ("radar_camera_points", {"frame": "radar", "radar": {"sensors": ["a"]}}, "is the log's first radar"),
        ("lidar_camera_pixels", {"take": "last"}, "take"),
        ("lidar_camera_pixels", {"lidar": {"frame": "ego_ground"}}, "say it in `frame` alone"),
        ("lidar_camera_pixels", {"frame": "ego_ground"}, "frame"),
    ],
)
def test_what_cannot_be_is_refused_when_planning(name, params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder([name], params={name: params})


def test_pictures_may_have_several_sizes(sweep_of, points):
    """Their places are looked for one by one; it is maps that need one size."""
    frame = log_of(sweep_of(points), picture("front"), picture("back", size=(20, 30), yaw_rad=3.0))[0]
    own = {"cameras": ["front", "back"]}
    both = InputBuilder(PIXELS, params={"image": own}).build(frame)
    for k, camera in enumerate(own["cameras"]):
        alone = InputBuilder(PIXELS, params={"image": {"cameras": [camera]}}).build(frame)
        sees = both["lidar_camera_index"] == k
        assert sees.any()
        assert np.array_equal(sees, alone["lidar_camera_index"] == 0)
        assert np.array_equal(both["lidar_camera_pixels"][sees], alone["lidar_camera_pixels"][sees])
    with pytest.raises(SpecError, match="2 pictures of one tensor have different sizes"):
        InputBuilder(["camera_depth"], params={"image": own}).build(frame)
