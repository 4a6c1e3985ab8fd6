"""What a draw does to everything made of points: as if a slow oracle had moved each of them by the change."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder, split
from perceptum.builders.augment.chances import PIECE, Chances, in_order
from perceptum.datasets import memory_log
from perceptum.inputs import LidarSweep

from .cameras import picture
from .radars import MS, T0, curve, cycle, mount

TIMES = T0 + np.arange(8) * 100 * MS
EVERYTHING = Augment(rotate=(-0.9, 0.7), flip_x=0.5, flip_y=0.5, scale=(0.8, 1.3), translate=(0.5, 0.3, 0.2))
RADAR = ["x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp", "v_radial", "v_radial_comp", "azimuth", "range"]
DRAWS = st.builds(Draw, st.integers(0, 2**64 - 1), st.integers(0, 99), st.integers(0, 2**64 - 1))
few = settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))


def change_of(augment: Augment, draw: Draw) -> np.ndarray:
    """(4, 4) from the words of Augment: mirrored, turned about z, scaled, shifted, each from a stream of its own."""
    flips = [name for name in ("flip_x", "flip_y") if draw.random(name).uniform() < getattr(augment, name)]
    mirror = np.diag([-1.0 if "flip_x" in flips else 1.0, -1.0 if "flip_y" in flips else 1.0, 1.0])
    angle = draw.random("rotate").uniform(*augment.rotate) if augment.rotate else 0.0
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    scale = draw.random("scale").uniform(*augment.scale) if augment.scale else 1.0
    out = np.eye(4)
    out[:3, :3] = scale * turn @ mirror
    if augment.translate:
        out[:3, 3] = draw.random("translate").normal(size=3) * augment.translate
    return out


def moved(xyz: np.ndarray, change: np.ndarray) -> np.ndarray:
    return xyz.astype(np.float64) @ change[:3, :3].T + change[:3, 3]


def scale_of(change: np.ndarray) -> float:
    return float(np.cbrt(abs(np.linalg.det(change[:3, :3]))))


@cache
def drive():
    """Two lidars, two radars and two cameras on a bend, each at times of its own; the last frame at T0 + 0.5 s."""
    random = np.random.default_rng(3)
    top, side = mount(-0.4, (0.9, 0.1, 1.8), 0.05), mount(1.2, (0.2, 0.9, 1.1), -0.1)
    sweeps = []
    for time_ns in TIMES[:6].tolist():
        for name, ego_from_sensor, n in (("top", top, 1500), ("side", side, 400)):
            xyz = (random.uniform((-40, -40, -2), (40, 40, 3), (n, 3))).astype(np.float32)
            xyz[::97] = np.nan
            columns = {"intensity": random.uniform(0, 1, n).astype(np.float32)}
            columns |= {name: random.integers(0, 64, n).astype(np.uint8) for name in ("ring", "return_index")}
            columns |= {"elongation": random.uniform(0, 1, n).astype(np.float32), "row_of_ring": np.arange(64)}
            columns["offset_ns"] = np.sort(random.integers(-50 * MS, 50 * MS, n))
            sweeps.append(LidarSweep(name, time_ns, ego_from_sensor, *xyz.T.copy(), **columns))
    radars = [cycle(60, int(t) - 7 * MS, seed=k) for k, t in enumerate(TIMES[:6])]
    # one that gives no more than speeds along its rays: what is over ground follows from how it moves
    poor = {"ego_from_sensor": mount(2.8, (-0.5, 0.6, 0.7), 0.05), "origin": np.array([0.1, 0.0, 0.2])}
    poor |= dict.fromkeys(("vx", "vy", "vx_comp", "vy_comp", "v_radial_comp"))
    radars += [cycle(40, int(t) - 31 * MS, "back", seed=90 + k, **poor) for k, t in enumerate(TIMES[:6])]
    pictures = [
        picture(name, int(TIMES[5]) - late * MS, yaw_rad=yaw)
        for name, yaw, late in (("front", 0.0, 11), ("left", 1.1, 35))
    ]
    return memory_log(sweeps, radars=radars, cameras=pictures, poses=curve(T0 + np.arange(-5, 15) * 50 * MS))


def both(names, params, draw, augment=EVERYTHING, log=None, **options):
    """Returns the tensors of the last frame as they are, and as the draw changes them."""
    frame = (log or drive())[-1 if log is None else 1]
    builder = InputBuilder(names, params=params, augment=augment, **options)
    plain = {name: array.copy() for name, array in builder.build(frame).items()}
    return plain, builder.build(frame, draw=draw)


@few
@given(
    draw=DRAWS,
    frame=st.sampled_from(["ego", "lidar"]),
    compensate=st.sampled_from(["per_point", "per_sweep"]),
    with_cells=st.booleans(),
)
def test_points_are_moved_and_nothing_else_of_them_changes(draw, frame, compensate, with_cells):
    columns = ["x", "y", "z", "intensity", "time_lag"]
    params = {"num_sweeps": 3, "frame": frame, "compensate": compensate, "columns": columns}
    # alone the points are written row by row, with others column by column
    names = ["lidar_points", *(["lidar_bev_occupancy"] if with_cells else [])]
    cells = {"num_sweeps": 3, "frame": frame, "compensate": compensate}
    given_params = {"lidar_points": params, **({"lidar_bev_occupancy": cells} if with_cells else {})}
    plain, got = both(names, given_params, draw)
    wanted = moved(plain["lidar_points"][:, :3], change_of(EVERYTHING, draw))
    np.testing.assert_allclose(got["lidar_points"][:, :3], wanted, atol=3e-5)
    assert np.array_equal(got["lidar_points"][:, 3:], plain["lidar_points"][:, 3:])


@few
@given(draw=DRAWS)
def test_heights_above_ground_are_scaled(draw):
    log = pc.open_log("synthetic", frames=2, seed=1)
    params = {"lidar_points": {"columns": ["x", "y", "z", "height_above_ground"]}}
    plain, got = both(["lidar_points"], params, draw, log=log)
    change = change_of(EVERYTHING, draw)
    np.testing.assert_allclose(got["lidar_points"][:, :3], moved(plain["lidar_points"][:, :3], change), atol=3e-5)
    wanted = plain["lidar_points"][:, 3] * scale_of(change)
    # the ground is known in cells: a place on a border, rounded to float32, may be in the next
    assert np.mean(~np.isclose(got["lidar_points"][:, 3], wanted, atol=2e-4)) < 1e-4
    # of the frame ego_ground the height is z, which is shifted too
    plain, got = both(["lidar_points"], {"frame": "ego_ground"}, draw, log=log)
    wanted = moved(plain["lidar_points"][:, :3], change)
    assert np.mean(~np.isclose(got["lidar_points"][:, :3], wanted, atol=2e-4)) < 1e-4


GRID = {"range": [-32, -32, -4, 32, 32, 4], "voxel": [0.5, 0.5, 1.0]}


@few
@given(draw=DRAWS, threads=st.sampled_from([1, 2]))
def test_cells_are_those_of_the_moved_points(draw, threads):
    """Voxels, pillars and views from above, by plain numpy from the points that the same draw gives."""
    names = ["lidar_points", "lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points", "lidar_bev_occupancy"]
    cloud = {"num_sweeps": 3, "frame": "lidar"}
    params = {
        "lidar_points": {**cloud, "columns": ["x", "y", "z"]},
        "lidar_voxels": {
            **cloud,
            "grid": GRID,
            "columns": ["x", "y", "z"],
            "max_points_per_voxel": 4,
            "max_voxels": 9000,
        },
        "lidar_bev_occupancy": {**cloud, "grid": GRID, "binary": True, "overflow_slices": False},
    }
    _, got = both(names, params, draw, threads=threads)
    low, voxel = np.float32(GRID["range"][:3]), np.float32(GRID["voxel"])
    points = got["lidar_points"]
    cells = np.floor((points - low) / voxel)
    inside = ((cells >= 0) & (cells < (128, 128, 8))).all(axis=1)
    rows: dict[tuple[int, ...], list[np.ndarray]] = {}
    for cell, point in zip(cells[inside].astype(int).tolist(), points[inside], strict=True):
        rows.setdefault(tuple(cell), []).append(point)
    assert [tuple(row[::-1]) for row in got["lidar_voxel_coords"].tolist()] == list(rows)
    assert got["lidar_voxel_num_points"].tolist() == [min(len(own), 4) for own in rows.values()]
    for found, own in zip(got["lidar_voxels"], rows.values(), strict=True):
        assert np.array_equal(found[: min(len(own), 4)], own[:4])
    assert int(np.count_nonzero(got["lidar_bev_occupancy"])) == len(rows)


@few
@given(draw=DRAWS)
def test_a_view_of_a_mirrored_world_is_the_mirrored_view(draw):
    augment = Augment(flip_x=0.5, flip_y=0.5)
    grid = {"range": [-40.0003, -40.0003, -4, 40.0003, 40.0003, 4], "voxel": [80.0006 / 64, 80.0006 / 64, 8]}
    plain, got = both(["lidar_bev_occupancy"], {"lidar_bev_occupancy": {"grid": grid}}, draw, augment)
    change = change_of(augment, draw)
    # a row is a y, a column an x
    wanted = plain["lidar_bev_occupancy"][..., :: int(change[1, 1]), :: int(change[0, 0])]
    assert np.count_nonzero(wanted != got["lidar_bev_occupancy"]) <= 2


@few
@given(
    draw=DRAWS,
    frame=st.sampled_from(["ego", "lidar", "radar"]),
    axes=st.sampled_from(["reference", "mount", "sensor"]),
    advance=st.booleans(),
)
def test_detections_and_their_velocities_are_moved(draw, frame, axes, advance):
    params = {"frame": frame, "velocity_axes": axes, "advance_by_velocity": advance, "filter": "none"}
    params |= {"columns": RADAR, "num_sweeps": 3, "max_points": None}
    plain, got = both(["radar_points"], {"radar_points": params}, draw)
    change = change_of(EVERYTHING, draw)
    wanted = detections_moved(plain["radar_points"], RADAR, change)
    found = got["radar_points"].astype(np.float64)
    at = RADAR.index("azimuth")
    found[:, at] = wanted[:, at] + np.angle(np.exp(1j * (found[:, at] - wanted[:, at])))
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-4)


def detections_moved(rows, columns, change):
    out, place = rows.astype(np.float64), {name: k for k, name in enumerate(columns)}
    out[:, :3] = moved(rows[:, :3], change)
    for pair in (("vx", "vy"), ("vx_comp", "vy_comp")):
        own = [place[name] for name in pair]
        out[:, own] = rows[:, own].astype(np.float64) @ change[:2, :2].T
    for name in ("v_radial", "v_radial_comp", "range"):
        out[:, place[name]] *= scale_of(change)
    azimuth = out[:, place["azimuth"]]
    ray = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1) @ change[:2, :2].T
    out[:, place["azimuth"]] = np.arctan2(ray[:, 1], ray[:, 0])
    return out


@few
@given(draw=DRAWS, frame=st.sampled_from(["ego", "lidar"]))
def test_a_moved_point_falls_on_the_pixel_that_it_had(draw, frame):
    image = {"cameras": ["front", "left"]}
    names = ["camera_projection", "camera_extrinsics"]
    params = {"image": image, "frame": frame, "camera_projection": {}, "camera_extrinsics": {}}
    rows = [{"name": name, "dtype": "float64", "shape": ["num_cameras", 4, 4]} for name in names]
    plain, got = both(rows, params, draw)
    change = change_of(EVERYTHING, draw)
    places = np.random.default_rng(0).uniform((-30, -30, -3), (30, 30, 3), (200, 3))
    ahead = np.concatenate([places, np.ones((200, 1))], axis=1)
    then = np.concatenate([moved(places, change), np.ones((200, 1))], axis=1)
    for was, now in zip(plain["camera_projection"], got["camera_projection"], strict=True):
        a, b = ahead @ was.T, then @ now.T
        seen = a[:, 2] > 1
        assert seen.any()
        np.testing.assert_allclose(b[seen, 2], a[seen, 2], atol=1e-9)
        np.testing.assert_allclose(b[seen, :2] / b[seen, 2:3], a[seen, :2] / a[seen, 2:3], atol=1e-6)


@few
@given(draw=DRAWS, frame=st.sampled_from(["ego", "lidar"]))
def test_depths_and_pixels_are_of_the_world_as_it_was(draw, frame):
    """Metres along the camera's axis, on the pixels of the picture: neither knows of the change."""
    image = {"cameras": ["front", "left"]}
    names = ["camera_depth", "lidar_camera_pixels", "lidar_camera_index", "radar_camera_points"]
    names += ["radar_camera_num_points"]
    own = {
        "camera_depth": {},
        "lidar_camera_pixels": {},
        "radar_camera_points": {"columns": ["u", "v", "depth"], "radar": {"filter": "none"}},
    }
    plain, got = both(names, {"image": image, "frame": frame, **own}, draw)
    assert np.count_nonzero(plain["camera_depth"]) > 50
    # points were rounded to float32 after they were moved: some fall beside a border
    close = np.isclose(got["camera_depth"], plain["camera_depth"], atol=1e-3)
    assert np.mean(~close) < 2e-3
    same = got["lidar_camera_index"] == plain["lidar_camera_index"]
    assert np.mean(~same) < 2e-3
    np.testing.assert_allclose(
        got["lidar_camera_pixels"][same], plain["lidar_camera_pixels"][same], rtol=1e-4, atol=5e-3
    )
    assert np.array_equal(got["radar_camera_num_points"], plain["radar_camera_num_points"])
    np.testing.assert_allclose(got["radar_camera_points"], plain["radar_camera_points"], rtol=1e-4, atol=5e-3)


@few
@given(draw=DRAWS)
def test_points_that_are_shown_at_other_heights_are_moved_after_that(draw):
    params = {"image": {"cameras": ["front", "left"]}, "camera_depth": {"source": "radar", "heights": [-0.5, 0.5, 1.5]}}
    plain, got = both(["camera_depth"], params, draw)
    assert np.count_nonzero(plain["camera_depth"]) > 20
    assert np.mean(~np.isclose(got["camera_depth"], plain["camera_depth"], atol=1e-3)) < 2e-3


@few
@given(draw=DRAWS)
def test_a_range_image_stays_as_the_sensor_saw_it_and_its_places_move(draw):
    channels = ["range", "x", "y", "z", "azimuth", "inclination", "height", "time_lag"]
    for xyz_frame in ("lidar", "ego"):
        params = {"returns": "all", "height": 16, "width": 128, "channels": channels, "xyz_frame": xyz_frame}
        names = ["lidar_range_image", "lidar_range_image_mask", "lidar_range_image_index"]
        plain, got = both(names, {"lidar_range_image": params}, draw)
        wanted, seen = plain["lidar_range_image"].copy(), plain["lidar_range_image_mask"] == 1
        assert seen.sum() > 300
        if xyz_frame == "ego":
            wanted[1:4, seen] = moved(wanted[1:4, seen].T, change_of(EVERYTHING, draw)).T
        np.testing.assert_allclose(got["lidar_range_image"], wanted, atol=3e-5)
        assert np.array_equal(got["lidar_range_image_mask"], plain["lidar_range_image_mask"])
        assert np.array_equal(got["lidar_range_image_index"], plain["lidar_range_image_index"])


def test_a_radar_speed_over_ground_is_that_of_the_road_whatever_the_scale():
    """What stands still has no speed over ground, also where the world is twice as large."""
    params = {"columns": ["v_radial", "v_radial_comp"], "sensors": ["back"], "filter": "none", "max_points": None}
    twice = Augment(scale=(2.0, 2.0))
    plain, got = both(["radar_points"], {"radar_points": params}, Draw(0, 0, 0), twice)
    assert np.abs(plain["radar_points"]).max() > 5
    np.testing.assert_allclose(got["radar_points"], 2 * plain["radar_points"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frame", ["ego", "lidar"])
def test_without_a_draw_a_builder_that_augments_makes_the_same_bytes(frame):
    names = ["lidar_points", "radar_points", "camera_projection", "camera_depth", "lidar_range_image"]
    params = {"frame": frame, "image": {"cameras": ["front", "left"]}}
    plain = InputBuilder(names, params=params).build(drive()[-1])
    for name, found in InputBuilder(names, params=params, augment=EVERYTHING).build(drive()[-1]).items():
        assert plain[name].tobytes() == found.tobytes(), name


EVERY_COLUMN = ["x", "y", "z", "intensity", "time_lag", "ring", "elongation", "return_index", "offset_ns"]


def slow_hash(rows, key):
    """(n,) uint64, a hash of 32 bits of each row's number and a key of 64, one after the other in whole numbers."""
    found = []
    for row in rows:
        x = row * 0x9E3779B1 % 2**32 ^ key % 2**32
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32 ^ key >> 32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        found.append(x ^ x >> 16)
    return np.array(found, np.uint64)


@few
@given(draw=DRAWS, share=st.sampled_from([0.05, 0.5, (0.2, 0.9)]), with_more=st.booleans())
def test_points_are_dropped_as_if_the_record_did_not_have_them(draw, share, with_more):
    augment = Augment(drop_points=share)
    columns = EVERY_COLUMN if with_more else EVERY_COLUMN[:5]
    params = {"lidar_points": {"num_sweeps": 3, "columns": columns}}
    frame = drive()[-1]
    builder = InputBuilder(["lidar_points"], params=params, augment=augment)
    plain = builder.build(frame)["lidar_points"].copy()
    got = builder.build(frame, draw=draw)
    chances = Chances.of(draw, augment.drop_points, False)
    sweeps = sorted((s for name in ("top", "side") for s in frame.sweeps(3, name)), key=lambda sweep: -sweep.time_ns)
    stays, finite = [], []
    for sweep in sweeps:
        key, below = chances.drop_of(sweep)
        stays.append(slow_hash(range(len(sweep)), key) >= below)
        finite.append(np.isfinite(sweep.x))
    stays, finite = np.concatenate(stays), np.concatenate(finite)
    assert got["lidar_points"].tobytes() == plain[stays[finite]].tobytes()
    assert got.dropped["points dropped by augmentation"] == np.count_nonzero(~stays)
    assert got.dropped["non-finite points"] == np.count_nonzero(stays & ~finite)


def test_the_share_that_is_dropped_is_the_one_asked_for():
    kept = []
    for index in range(40):
        chances = Chances.of(Draw(5, 0, index), (0.3, 0.3), False)
        keys = [chances.drop_of(sweep) for sweep in drive()[-1].sweeps(3)]
        assert len(set(keys)) == 6, "every record has a key of its own"
        stays = [slow_hash(range(500), key) >= below for key, below in keys]
        kept += stays
    kept = np.array(kept)
    # 120 000 points: a standard deviation is 0.0013
    assert abs(kept.mean() - 0.7) < 0.008
    for lag in (1, 2, 32, 64):
        assert abs(np.mean(kept[:, lag:] & kept[:, :-lag]) - 0.49) < 0.01, "a point says nothing of another"
    assert kept.mean(axis=0).std() < 0.06, "no row is dropped more often than others"
    shares = [Chances.of(Draw(5, 0, index), (0.2, 0.6), False).below / 2**32 for index in range(200)]
    assert min(shares) >= 0.2
    assert max(shares) <= 0.6
    assert abs(np.mean(shares) - 0.4) < 0.03


def test_all_may_be_dropped_and_none():
    names = ["lidar_points", "lidar_voxels", "lidar_range_image_mask"]
    _, got = both(names, {}, Draw(1, 2, 3), Augment(drop_points=1.0))
    assert len(got["lidar_points"]) == len(got["lidar_voxels"]) == got["lidar_range_image_mask"].sum() == 0
    assert Augment(drop_points=0.0).drop_points is None
    plain, got = both(names, {}, Draw(1, 2, 3), Augment(drop_points=(0.0, 1e-12)))
    assert plain["lidar_points"].tobytes() == got["lidar_points"].tobytes()
    assert "points dropped by augmentation" not in got.dropped


def test_every_tensor_drops_the_same_points():
    """Of one sweep: its points, its image, what cameras see of it; and in a cloud of more sweeps."""
    more = {"name": "lidar_points__more", "dtype": "float32", "shape": ["num_points__more", 3]}
    names = ["lidar_points", more, "lidar_range_image", "lidar_range_image_index"]
    names += ["lidar_range_image_mask", "lidar_camera_pixels", "lidar_camera_index"]
    one = {"sensors": ["top"], "compensate": "per_sweep", "frame": "lidar", "columns": ["x", "y", "z"]}
    more["params"] = {**one, "num_sweeps": 3}
    params = {
        "lidar_points": one,
        "lidar_range_image": {"sensor": "top", "height": 16, "width": 256, "returns": "all"},
        "lidar_camera_pixels": {"frame": "lidar", "lidar": {"sensors": ["top"], "compensate": "per_sweep"}},
        "image": {"cameras": ["front", "left"]},
    }
    for augment in (Augment(drop_points=0.4), Augment(drop_points=0.4, shuffle_points=True)):
        plain, got = both(names, params, Draw(3, 1, 4), augment)
        points = got["lidar_points"]
        assert {row.tobytes() for row in points} < {row.tobytes() for row in got["lidar_points__more"]}
        seen = got["lidar_range_image_mask"] == 1
        shown = got["lidar_range_image"][1:4, seen].T
        assert 0 < seen.sum() < np.sum(plain["lidar_range_image_mask"])
        assert shown.tobytes() == points[got["lidar_range_image_index"][seen]].tobytes()
        assert len(got["lidar_camera_index"]) == len(points)
        where = {
            row.tobytes(): pixel for row, pixel in zip(plain["lidar_points"], plain["lidar_camera_pixels"], strict=True)
        }
        assert all(
            np.array_equal(where[row.tobytes()], pixel)
            for row, pixel in zip(points, got["lidar_camera_pixels"], strict=True)
        )


@few
@given(draw=DRAWS, drops=st.booleans(), with_more=st.booleans(), with_cells=st.booleans())
def test_shuffled_points_are_the_same_points_in_an_order_of_the_draw(draw, drops, with_more, with_cells):
    share = 0.3 if drops else None
    params = {"lidar_points": {"num_sweeps": 3, "columns": EVERY_COLUMN if with_more else EVERY_COLUMN[:5]}}
    names = ["lidar_points", *(["lidar_bev_occupancy"] if with_cells else [])]
    frame = drive()[-1]
    in_place = InputBuilder(names, params=params, augment=Augment(drop_points=share)).build(frame, draw=draw)
    shuffles = Augment(drop_points=share, shuffle_points=True)
    builder = InputBuilder(names, params=params, augment=shuffles)
    one = builder.build(frame, draw=draw)
    assert one["lidar_points"].tobytes() != in_place["lidar_points"].tobytes()
    assert sorted(row.tobytes() for row in one["lidar_points"]) == sorted(
        row.tobytes() for row in in_place["lidar_points"]
    )
    assert one.dropped == in_place.dropped
    # column by column, or straight into rows; and by other threads
    others = InputBuilder(["lidar_points", "lidar_bev_occupancy"], params=params, augment=shuffles, threads=2)
    assert one["lidar_points"].tobytes() == others.build(frame, draw=draw)["lidar_points"].tobytes()


def test_no_thread_decides_an_order(monkeypatch):
    monkeypatch.setattr(split, "_FEWEST", 64)
    params = {"lidar_points": {"num_sweeps": 3, "columns": EVERY_COLUMN}}
    for names in (["lidar_points"], ["lidar_points", "lidar_bev_occupancy"]):
        for columns in (EVERY_COLUMN, EVERY_COLUMN[:5]):
            params["lidar_points"]["columns"] = columns
            for augment in (Augment(drop_points=0.3), Augment(drop_points=0.3, shuffle_points=True)):
                found = [
                    InputBuilder(names, params=params, augment=augment, threads=threads).build(
                        drive()[-1], draw=Draw(1, 0, 0)
                    )
                    for threads in (1, 2, 3, 5)
                ]
                assert len({tensors["lidar_points"].tobytes() for tensors in found}) == 1
                assert len({tuple(tensors.dropped.items()) for tensors in found}) == 1


def test_a_shuffled_order_is_of_all_sweeps_and_even():
    """Where a point comes says next to nothing of where it stood in its record, or in which."""
    sizes, places = [9000, 9000, 700], np.zeros((3, 9000))
    for index in range(150):
        pieces, words = Chances.of(Draw(0, 0, index), None, True).order(sizes)
        assert sorted(map(tuple, pieces.tolist())) == sorted(map(tuple, in_order(sizes)[0].tolist()))
        assert words.min() > 0
        ends = np.cumsum(pieces[:, 2])
        for (record, start, n), end in zip(pieces.tolist(), ends.tolist(), strict=True):
            places[record, start : start + n] += (end - n / 2) / ends[-1] / 150
    # the mean of 150 places between 0 and 1 is 0.5, give or take 0.024
    assert np.abs(places[:2] - 0.5).max() < 0.12


def test_the_points_of_a_piece_come_in_every_order():
    xyz = np.zeros((PIECE, 3), np.float32)
    xyz[:, 0] = np.arange(PIECE)
    log = memory_log([LidarSweep("top", T0, np.eye(4), *xyz.T.copy())])
    builder = InputBuilder(["lidar_points"], augment=Augment(shuffle_points=True))
    found = np.array([builder.build(log[0], draw=Draw(0, 0, k))["lidar_points"][:, 0].copy() for k in range(200)])
    assert all(np.array_equal(np.sort(own), np.arange(PIECE)) for own in found)
    # whether one comes before another: as often as not
    first = np.argsort(found, axis=1)
    for one, other in ((0, 1), (0, 2), (3, 300), (100, 101), (255, 256), (510, 511)):
        assert 0.35 < np.mean(first[:, one] < first[:, other]) < 0.65
    assert np.abs(first.mean(axis=0) - 255.5).max() < 60


@few
@given(draw=DRAWS, drops=st.booleans())
def test_voxels_and_pixels_are_those_of_the_shuffled_points(draw, drops):
    names = ["lidar_points", "lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
    cloud = {"num_sweeps": 3, "frame": "lidar"}
    voxels = {**cloud, "grid": GRID, "columns": ["x", "y", "z"], "max_points_per_voxel": 2, "max_voxels": 500}
    params = {"lidar_points": {**cloud, "columns": ["x", "y", "z"]}, "lidar_voxels": voxels}
    augment = Augment(rotate=0.5, drop_points=0.3 if drops else None, shuffle_points=True)
    _, got = both(names, params, draw, augment)
    low, voxel = np.float32(GRID["range"][:3]), np.float32(GRID["voxel"])
    rows: dict[tuple[int, ...], list[np.ndarray]] = {}
    for point in got["lidar_points"]:
        cell = np.floor((point - low) / voxel)
        if ((cell >= 0) & (cell < (128, 128, 8))).all():
            key = tuple(cell.astype(int).tolist())
            if key in rows or len(rows) < 500:
                rows.setdefault(key, []).append(point)
    assert [tuple(row[::-1]) for row in got["lidar_voxel_coords"].tolist()] == list(rows)
    for found, own in zip(got["lidar_voxels"], rows.values(), strict=True):
        assert np.array_equal(found[: len(own[:2])], own[:2])


def test_a_view_of_each_sweep_knows_of_no_order():
    params = {"lidar_bev_temporal": {"num_sweeps": 3}, "lidar_bev_occupancy": {"num_sweeps": 3}}
    names = ["lidar_bev_temporal", "lidar_sweep_valid", "lidar_bev_occupancy", "lidar_points"]
    plain, got = both(names, params, Draw(1, 2, 3), Augment(shuffle_points=True))
    for name in names[:3]:
        assert plain[name].tobytes() == got[name].tobytes()
    dropped, both_changed = (
        both(names, params, Draw(1, 2, 3), Augment(drop_points=0.5, shuffle_points=shuffles))[1]["lidar_bev_temporal"]
        for shuffles in (False, True)
    )
    assert dropped.tobytes() == both_changed.tobytes() != plain["lidar_bev_temporal"].tobytes()
