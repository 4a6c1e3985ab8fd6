"""The made-up drive: the same bytes for the same options, and answers that agree with each other."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from perceptum.datasets.synthetic import START_NS, SyntheticSource, open_source, recognises
from perceptum.inputs import Log, LogError, MissingRecord
from perceptum.inputs.poses import inverse

SMALL = {"frames": 8, "beams": 16, "azimuth_steps": 360, "image_size": (160, 90)}
EXACT = {**SMALL, "noise_m": 0.0, "dropout": 0.0}
KINDS = ("read_lidar", "read_radar", "read_camera")


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return open_source(**EXACT)


@pytest.fixture(scope="module")
def log(source):
    return Log(source)


def fingerprint(source, order) -> dict:
    """What each record holds, as digests, read in the given order of frames."""
    found = {}
    for index in order:
        records = {
            "lidar": source.read_lidar("LIDAR_TOP", index),
            "labels": source.read_labels(int(source.times_ns[index])),
        }
        records |= {name: source.read_radar(name, index) for name in source.radars}
        for name, record in records.items():
            arrays = [v for v in vars(record).values() if isinstance(v, np.ndarray)]
            found[name, index] = hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
        for name in source.cameras:
            found[name, index] = hashlib.sha256(source.read_camera(name, index).encoded).hexdigest()
    return found


def in_ego(sweep) -> np.ndarray:
    """The points (n, 3) in the ego frame of the moment at which each was measured."""
    points = np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)
    return points @ sweep.ego_from_sensor[:3, :3].T + sweep.ego_from_sensor[:3, 3]


def in_world(log, sweep) -> np.ndarray:
    poses = log.source.poses.at_many(sweep.time_ns + sweep.offset_ns.astype(np.int64))
    return np.einsum("nij,nj->ni", poses[:, :3, :3], in_ego(sweep)) + poses[:, :3, 3]


def inside(points, box, slack=0.0) -> np.ndarray:
    """How deep (n, 3) points are within a 7-number box, along its axes; negative outside."""
    c, s = np.cos(box[6]), np.sin(box[6])
    away = points - box[:3]
    own = np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0], away[:, 2]], axis=1)
    return (np.abs(own) <= box[3:6] / 2 + slack).all(axis=1)


def test_the_same_options_give_the_same_bytes_in_any_order_of_reading():
    forward = fingerprint(open_source(**SMALL), [0, 1, 5])
    assert fingerprint(open_source(**SMALL), [5, 1, 0, 1]) == forward


def test_another_process_gives_the_same_bytes(source):
    code = (
        "import hashlib, pickle, sys; s = pickle.load(sys.stdin.buffer); w = s.read_lidar('LIDAR_TOP', 4);"
        "r = s.read_radar('RADAR_FRONT', 3);"
        "print(hashlib.sha256(w.x.tobytes() + w.intensity.tobytes() + r.v_radial.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(source), capture_output=True, check=True)
    sweep, radar = source.read_lidar("LIDAR_TOP", 4), source.read_radar("RADAR_FRONT", 3)
    here = hashlib.sha256(sweep.x.tobytes() + sweep.intensity.tobytes() + radar.v_radial.tobytes()).hexdigest()
    assert done.stdout.decode().strip() == here


@pytest.mark.slow
def test_a_processor_without_vector_and_fused_instructions_gives_the_same_bytes(source, tmp_path):
    plain = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    }
    code = (
        "import hashlib, pickle, sys; from perceptum.datasets.synthetic.camera import draw;"
        "s = pickle.load(sys.stdin.buffer);"
        "w, r = s.read_lidar('LIDAR_TOP', 4), s.read_radar('RADAR_FRONT', 3); l = s.read_labels(int(s.times_ns[2]));"
        "p = draw(s.world, 'CAM_BACK', int(s.times_ns[3]), 160, 90);"
        "poses = (s.poses.quaternions, s.poses.translations);"
        "arrays = (w.x, w.z, w.intensity, r.x, r.v_radial, r.rcs, l.boxes, *poses, p);"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            input=pickle.dumps(source),
            env={**os.environ, **extra},
            capture_output=True,
            check=True,
        ).stdout
        for extra in ({}, plain)
    ]
    assert len(runs[0]) == 65
    assert runs[0] == runs[1]


def test_the_length_of_the_drive_changes_no_frame():
    short, long = open_source(**SMALL), open_source(**{**SMALL, "frames": 700})
    assert fingerprint(short, [3]) == fingerprint(long, [3])


def test_another_seed_is_another_street():
    a, b = fingerprint(open_source(**SMALL), [2]), fingerprint(open_source(**SMALL, seed=1), [2])
    assert all(a[key] != b[key] for key in a)


def test_changing_a_record_that_was_handed_out_changes_no_later_reading(source):
    first = source.read_lidar("LIDAR_TOP", 0)
    before = first.x.copy()
    first.x[:] = np.nan
    first.ego_from_sensor[:] = 0
    again = source.read_lidar("LIDAR_TOP", 0)
    assert np.array_equal(again.x, before)
    assert again.ego_from_sensor[3, 3] == 1


def test_defaults_have_realistic_sizes():
    log = Log(open_source())
    frame = log[25]
    assert len(log) == 50
    assert 140_000 < len(frame.lidar) <= 64 * 2400
    assert frame.lidar.row_of_ring.tolist() == list(range(63, -1, -1))
    assert 40 < len(frame.labels) < 200
    assert set(frame.labels.category) == {"car", "truck", "pedestrian", "cyclist"}
    assert all(30 < len(radar) < 200 for radar in frame.radars.values())


def test_opening_a_long_drive_is_fast_and_imports_no_numba(least):
    code = (
        "import sys, time; from perceptum.datasets.synthetic import open_source; from perceptum.inputs import Log;"
        "start = time.perf_counter(); log = Log(open_source(frames=10_000)); log[5000].time_ns;"
        "took_s = time.perf_counter() - start; print('numba' in sys.modules, len(log), took_s)"
    )

    def took_s():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        numba, frames, took_s = done.stdout.split()
        assert (numba, frames) == ("False", "10000")
        return float(took_s)

    assert least(took_s, 0.1) < 0.1


def test_stamps_are_whole_nanoseconds_in_order_and_poses_cover_them_all(source):
    first, last = source.poses.span_ns
    for times in [source.times_ns, *source.lidars.values(), *source.radars.values(), *source.cameras.values()]:
        assert times.dtype == np.int64
        assert (np.diff(times) > 0).all()
        assert first + 500_000_000 <= START_NS < times[0]
        assert times[-1] + 500_000_000 <= last


def test_a_sweep_is_stamped_at_the_end_of_its_revolution_and_fires_column_by_column(source):
    sweep = source.read_lidar("LIDAR_TOP", 3)
    assert sweep.compensated_to_ns is None
    assert sweep.offset_ns.dtype == np.int32
    assert -100_000_000 < sweep.offset_ns.min() < -99_000_000
    assert sweep.offset_ns.max() == 0
    assert (np.diff(sweep.offset_ns) >= 0).all()
    azimuth = np.unwrap(np.arctan2(sweep.y, sweep.x).astype(np.float64))
    assert np.allclose(np.diff(azimuth).sum(), -2 * np.pi, atol=0.03)


def test_rings_count_from_the_lowest_beam(source):
    sweep = source.read_lidar("LIDAR_TOP", 3)
    elevation = np.arctan2(sweep.z, np.hypot(sweep.x, sweep.y))
    by_ring = np.array([elevation[sweep.ring == ring].mean() for ring in range(16)])
    assert (np.diff(by_ring) > 0).all()
    assert np.isclose(np.degrees(by_ring[0]), -25, atol=0.01)
    assert np.isclose(np.degrees(by_ring[-1]), 3, atol=0.01)


def test_points_that_belong_to_no_label_lie_on_the_ground_or_on_what_stands_there(source, log):
    sweep, (scene, cast) = source.read_lidar("LIDAR_TOP", 2), source._cast(2)
    course = source.world.course
    local = course.to_local(in_world(log, sweep)[cast.owner < 0])
    distance = np.abs(local[:, 2] - course.ground(local[:, 0], local[:, 1]))
    solids = scene.solids
    for i in np.flatnonzero((solids.owner < 0) & (solids.velocity == 0).all(axis=1)):
        away, (c, s), half = local - solids.centre[i], solids.heading[i], solids.half[i]
        own = np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0], away[:, 2]], axis=1) / half
        flat, high = np.hypot(own[:, 0], own[:, 1]), np.abs(own[:, 2])
        size = {0: np.abs(own).max(axis=1), 1: np.maximum(flat, high), 2: np.hypot(flat, high)}[int(solids.kind[i])]
        distance = np.minimum(distance, np.abs(size - 1) * half.max())
    # the poses between which `in_world` goes in straight lines are 10 ms apart
    assert distance.max() < 2e-3
    assert (distance < 2e-4).mean() > 0.9


def test_lidar_noise_is_what_was_asked_for():
    plain = open_source(**EXACT).read_lidar("LIDAR_TOP", 0)
    noisy = open_source(**{**EXACT, "noise_m": 0.02}).read_lidar("LIDAR_TOP", 0)
    difference = np.hypot(np.hypot(noisy.x, noisy.y), noisy.z) - np.hypot(np.hypot(plain.x, plain.y), plain.z)
    assert abs(difference.mean()) < 0.001
    assert 0.018 < difference.std() < 0.022
    assert np.abs(difference).max() < 0.0601


def test_label_boxes_hold_their_points_at_the_moment_each_was_measured(source):
    time_ns = int(source.times_ns[4])
    labels, sweep, (scene, cast) = source.read_labels(time_ns), source.read_lidar("LIDAR_TOP", 4), source._cast(4)
    names, points = scene.things.name[cast.owner], in_ego(sweep)
    held = dict.fromkeys(labels.track_id, 0)
    for offset in np.unique(sweep.offset_ns):
        now = source.read_labels(time_ns + int(offset))
        here = sweep.offset_ns == offset
        for box, name in zip(now.boxes, now.track_id, strict=True):
            own = here & (cast.owner >= 0) & (names == name)
            if name in held:
                held[name] += int(inside(points[own], box, 0.01).sum())
    assert [held[name] for name in labels.track_id] == labels.num_points.tolist()
    assert (labels.num_points > 20).sum() >= 5


def test_nothing_but_the_object_lies_in_its_box_above_the_ground(source):
    labels, sweep = source.read_labels(int(source.times_ns[4])), source.read_lidar("LIDAR_TOP", 4)
    points, parked = in_ego(sweep), np.array(["parked" in name for name in labels.track_id])
    poses = source.poses.at_many(sweep.time_ns + sweep.offset_ns.astype(np.int64))
    moved = np.einsum("ij,njk->nik", inverse(source.poses.at(sweep.time_ns)), poses)
    points = np.einsum("nij,nj->ni", moved[:, :3, :3], points) + moved[:, :3, 3]
    for box, count in zip(labels.boxes[parked], labels.num_points[parked], strict=True):
        above = box.copy()
        above[2], above[5] = box[2] + 0.05, box[5] - 0.1  # the lowest 10 cm may hold ground
        assert inside(points, above, 0.01).sum() == count


def test_parked_cars_stand_still_in_the_world_and_the_others_move_with_their_velocity(source):
    before, after = (source.read_labels(int(source.times_ns[i])) for i in (2, 3))
    poses = [source.poses.at(int(source.times_ns[i])) for i in (2, 3)]
    where = [
        {n: p[:3, :3] @ b[:3] + p[:3, 3] for n, b in zip(labels.track_id, labels.boxes, strict=True)}
        for p, labels in zip(poses, (before, after), strict=True)
    ]
    speeds = []
    for name, velocity in zip(before.track_id, before.velocity, strict=True):
        if name not in where[1]:
            continue
        moved, told = where[1][name] - where[0][name], poses[0][:2, :2] @ velocity
        if "parked" in name:
            assert np.abs(moved).max() < 1e-8
            assert not velocity.any()
        else:
            assert np.allclose(moved[:2] / 0.1, told, atol=0.1)
            speeds.append(np.hypot(*velocity))
    assert min(speeds) < 2
    assert max(speeds) > 8


def test_the_ego_drives_at_about_ten_metres_a_second_and_turns_smoothly():
    poses = open_source(frames=300).poses
    speed = np.linalg.norm(np.diff(poses.translations, axis=0), axis=1) * 100
    yaw = np.unwrap(2 * np.arctan2(poses.quaternions[:, 3], poses.quaternions[:, 0]), period=2 * np.pi)
    assert 8.5 < speed.min() < speed.max() < 13
    assert np.abs(np.diff(yaw)).max() * 100 < 0.15
    assert np.ptp(yaw) > 0.1
    assert (poses.translations[:, :2] > (400_000, 4_900_000)).all()


def test_doppler_of_what_stands_still_is_minus_the_sensors_own_speed_along_the_ray(source):
    for name in source.radars:
        radar = source.read_radar(name, 4)
        dt = 10_000_000
        ends = [(source.poses.at(radar.time_ns + t) @ radar.ego_from_sensor)[:3, 3] for t in (-dt, dt)]
        own = (source.poses.at(radar.time_ns) @ radar.ego_from_sensor)[:3, :3].T @ (ends[1] - ends[0]) / 0.02
        u = np.stack([radar.x, radar.y, radar.z], axis=1) / np.hypot(radar.x, radar.y)[:, None]
        still = np.isin(radar.dyn_prop, (1, 7))
        assert still.sum() > 10
        assert np.allclose(radar.v_radial[still], -(u @ own)[still], atol=0.01)
        assert not radar.v_radial_comp[still].any()
        assert np.allclose(radar.v_radial_comp - radar.v_radial, u @ own, atol=0.01)


def test_radar_velocity_vectors_are_the_radial_speed_along_the_ray(source):
    radar = source.read_radar("RADAR_FRONT", 2)
    reach = np.hypot(radar.x, radar.y)
    for vx, vy, radial in ((radar.vx, radar.vy, radar.v_radial), (radar.vx_comp, radar.vy_comp, radar.v_radial_comp)):
        assert np.allclose(vx, radial * radar.x / reach, atol=1e-4)
        assert np.allclose(vy, radial * radar.y / reach, atol=1e-4)
    assert not radar.z.any()


def test_radar_detections_of_moving_things_lie_on_their_boxes_and_move_with_them(source):
    seen = 0
    for name in source.radars:
        radar = source.read_radar(name, 5)
        labels, to_ego = source.read_labels(radar.time_ns), radar.ego_from_sensor
        sensor = np.stack([radar.x, radar.y, radar.z], axis=1).astype(np.float64)
        points, u = sensor @ to_ego[:3, :3].T + to_ego[:3, 3], sensor @ to_ego[:3, :3].T
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        for box, velocity in zip(labels.boxes, labels.velocity, strict=True):
            hit = inside(points, box, 0.02) & ~np.isin(radar.dyn_prop, (1, 7))
            assert np.allclose(radar.v_radial_comp[hit], u[hit, :2] @ velocity, atol=0.35)  # the rest is its turning
            seen += int(hit.sum())
    assert seen > 10


def test_lidar_points_on_parked_cars_have_the_cars_colour_in_the_pictures():
    source = open_source(frames=8, beams=48, azimuth_steps=900, image_size=(800, 450), noise_m=0.0)
    sweep, (scene, cast) = source.read_lidar("LIDAR_TOP", 4), source._cast(4)
    world, agreed, total = in_world(Log(source), sweep), 0, 0
    # not to the left: cars that pass there hide others from the cameras, which sit lower than the lidar
    for camera in ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_RIGHT"):
        picture = source.read_camera(camera, 4)
        to_camera = inverse(source.poses.at(picture.time_ns) @ picture.ego_from_camera)
        points = world @ to_camera[:3, :3].T + to_camera[:3, 3]
        pixel = points @ picture.intrinsics.T
        col, row = (np.rint(pixel[:, k] / np.maximum(pixel[:, 2], 0.1)).astype(int) for k in (0, 1))
        shown = (points[:, 2] > 3) & (col >= 0) & (col < 800) & (row >= 0) & (row < 450)
        for i in np.flatnonzero(np.char.find(scene.things.name, "parked") >= 0):
            mine = shown & painted(source, scene, cast, i, world)
            depth, got = points[mine, 2], picture.decode()[row[mine], col[mine]].astype(np.float64)
            haze = np.outer(depth / 500, [196.0, 208, 222])
            lit = np.linspace(0.62, 1.0, 12)[:, None, None] * scene.things.colour[i] * (1 - depth / 500)[:, None]
            agreed += int((np.abs(lit + haze - got).max(axis=2).min(axis=0) < 30).sum())
            total += int(mine.sum())
    assert total > 100
    assert agreed / total > 0.95


def painted(source, scene, cast, i, world) -> np.ndarray:
    """Which points are on the sides of car i, between its wheels and its windows, away from its lights."""
    motion, size = scene.things.motion, scene.things.size[i]
    away = source.world.course.to_local(world) - motion.centre[i]
    ahead = np.abs(away[:, :2] @ motion.heading[i])
    high = away[:, 2] / size[2]
    return (cast.owner == i) & (ahead < 0.45 * size[0]) & (high > 0.44) & (high < 0.56)


def test_a_picture_is_drawn_only_when_its_bytes_are_asked_for(log, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "perceptum.datasets.synthetic.camera.draw", lambda *a: drawn.append(a) or np.zeros((8, 8, 3), "u1")
    )
    cameras = log[3].cameras
    assert len(cameras) == 6
    assert all(
        camera.intrinsics.shape == (3, 3) and camera.ego_from_camera.shape == (4, 4) for camera in cameras.values()
    )
    assert not drawn
    assert cameras["CAM_FRONT"].encoded.startswith(b"\xff\xd8")
    assert len(drawn) == 1


def test_pictures_have_the_size_that_was_asked_for(source):
    image = source.read_camera("CAM_BACK", 1).decode()
    assert image.shape == (90, 160, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 500


def test_successors_begin_where_a_lane_ends_and_neighbours_share_a_line(log):
    lanes = log.map.lanes
    for before, after in lanes.successors:
        for lines in (lanes.centerlines, lanes.left_boundaries, lanes.right_boundaries):
            assert np.array_equal(lines[before][-1], lines[after][0])
    for lane, (left, right) in enumerate(lanes.neighbors):
        if left >= 0:
            assert np.array_equal(lanes.left_boundaries[lane], lanes.right_boundaries[left])
            assert lanes.neighbors[left, 1] == lane
        if right >= 0:
            assert np.array_equal(lanes.right_boundaries[lane], lanes.left_boundaries[right])
    assert len(lanes) > 30
    assert set(lanes.lane_type) == {"VEHICLE", "BIKE"}


def test_the_map_has_its_layers_and_the_drive_stays_on_it(source, log):
    shapely = pytest.importorskip("shapely")
    layers = log.map.layers
    assert set(layers) == {"drivable_area", "lane", "crossing", "walkway", "lane_divider", "road_boundary"}
    for name in ("drivable_area", "lane", "crossing", "walkway"):
        polygons = [shapely.Polygon(layers[name][i][:, :2]) for i in range(len(layers[name]))]
        assert all(p.is_valid and p.exterior.is_ccw for p in polygons)
        assert layers[name].kind == "polygon"
        if name == "lane":
            road = shapely.union_all(polygons)
    assert all(road.contains(shapely.Point(p[:2])) for p in source.poses.translations[::20])


def test_the_ground_of_the_map_is_the_ground_of_the_world(source, log):
    course, grid = source.world.course, log.map.ground
    rng = np.random.default_rng(0)
    row, col = rng.integers(0, grid.height.shape[0], 500), rng.integers(0, grid.height.shape[1], 500)
    middle = np.stack([(col + 0.5) / grid.scale, (row + 0.5) / grid.scale], axis=1)
    xy = (middle - grid.translation) @ grid.rotation
    local = course.to_local(np.column_stack([xy, np.zeros(500)]))
    told = course.ground(local[:, 0], local[:, 1]) + course.world_origin[2]
    assert np.allclose(log.map.ground_height(xy), told, atol=1e-5)
    assert 0.3 < np.ptp(grid.height) < 2.5


def test_the_ego_stands_on_the_ground_of_the_map(source, log):
    for pose in source.poses.at_many(source.times_ns):
        assert abs(log.map.ground_height(pose[:2, 3]) - pose[2, 3]) < 0.01


@pytest.mark.parametrize(
    "extreme",
    [
        {"beams": 2, "azimuth_steps": 16, "image_size": (8, 8), "frames": 1},
        {"max_range_m": 5.0, "ground_wave_m": 2.0},
        {"max_range_m": 250.0, "noise_m": 1.0},
        {"frames": 3, "seed": 2**63 - 1, "image_size": (8, 90)},
    ],
)
def test_extreme_drives_have_whole_and_finite_records(extreme):
    frame = Log(open_source(**{**SMALL, **extreme}))[-1]
    assert len(frame.cameras) == 6
    assert all(camera.decode().ndim == 3 for camera in frame.cameras.values())
    for record in (frame.lidar, *frame.radars.values()):
        assert all(np.isfinite(column).all() for column in (record.x, record.y, record.z))
    assert len(frame.radars) == 5
    assert np.isfinite(frame.labels.boxes).all()


def test_a_lidar_that_loses_everything_gives_empty_sweeps():
    log = Log(open_source(**{**SMALL, "dropout": 1.0}))
    assert len(log[0].lidar) == 0
    assert not log[0].labels.num_points.any()


def test_a_flat_street_is_flat():
    source = open_source(**EXACT, ground_wave_m=0.0)
    assert np.ptp(source.poses.translations[:, 2]) == 0
    ground = in_ego(source.read_lidar("LIDAR_TOP", 0))
    assert ground[:, 2].min() > -1e-4
    assert (ground[:, 2] < 1e-4).mean() > 0.4


def test_things_never_run_into_each_other_or_into_the_ego(source):
    shapely = pytest.importorskip("shapely")
    for seed in range(3):
        labels = open_source(frames=900, seed=seed).read_labels(START_NS + 61_234_567_890)
        boxes = [shapely.box(-b[3] / 2, -b[4] / 2, b[3] / 2, b[4] / 2) for b in labels.boxes]
        turned = [
            shapely.affinity.translate(shapely.affinity.rotate(p, b[6], (0, 0), use_radians=True), b[0], b[1])
            for p, b in zip(boxes, labels.boxes, strict=True)
        ]
        turned.append(shapely.box(-1.0, -0.95, 3.7, 0.95))
        assert shapely.STRtree(turned).query(turned, "intersects").shape[1] == len(turned)


def test_labels_reach_80_m_and_count_points_only_at_a_frames_time(source):
    labels = source.read_labels(int(source.times_ns[3]) - 1)
    assert labels.num_points is None
    assert 70 < np.hypot(labels.boxes[:, 0], labels.boxes[:, 1]).max() <= 80
    assert len(set(labels.track_id)) == len(labels)
    assert source.read_labels(START_NS - 1) is None
    assert source.read_labels(int(source.times_ns[-1]) + 1) is None


def test_no_folder_is_a_made_up_drive(tmp_path):
    assert not recognises(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "synthetic: frames must be a whole number from 1 to 100000, got 0"),
        ({"beams": 1}, "synthetic: beams must be a whole number from 2 to 256, got 1"),
        ({"seed": -1}, "synthetic: seed must be a whole number from 0 to 9223372036854775807, got -1"),
        ({"image_size": (160,)}, "synthetic: image_size must be (width, height), got (160,)"),
        ({"image_size": (160, 4)}, "synthetic: image_size must be a whole number from 8 to 8192, got 4"),
        ({"noise_m": float("nan")}, "synthetic: noise_m must be a number from 0 to 1, got nan"),
        ({"dropout": "a"}, "synthetic: dropout must be a number from 0 to 1, got 'a'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, message):
    with pytest.raises(LogError) as error:
        open_source(**options)
    assert str(error.value) == message


def test_a_record_that_is_not_there_is_named(source):
    with pytest.raises(MissingRecord) as error:
        source.read_lidar("LIDAR_TOP", 8)
    assert str(error.value) == "synthetic(frames=8, seed=0): LIDAR_TOP has no record 8, it has 8 from 0 on"
    with pytest.raises(MissingRecord) as error:
        source.read_radar("RADAR_TOP", 0)
    assert str(error.value).startswith("synthetic(frames=8, seed=0): no sensor 'RADAR_TOP'; the log has RADAR_FRONT, ")
