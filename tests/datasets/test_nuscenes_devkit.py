"""nuScenes as its own devkit reads it: the devkit runs in an environment of its own, and both answers are compared."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.inputs.poses import inverse

from .made_nuscenes import RADAR_FIELDS, SENSORS, START_US, VERSION, change, make, radar_pcd, radar_points

pytestmark = pytest.mark.devkit

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-devkit"

SCENES = ("scene-0001", "scene-0002")
FAR = np.array([5e6, 4e6, 0.0])
"""How far scene-0002 is from the other, m."""
FIELDS = [name for name, *_ in RADAR_FIELDS]

RADARS = {
    # place, yaw in rad, and how long after the lidar a keyframe is, us: less than half a cycle, as it is the nearest
    "RADAR_FRONT": ([3.4, 0.0, 0.5], 0.0, -11_000),
    "RADAR_FRONT_LEFT": ([2.4, 0.8, 0.8], 1.6, -31_017),
    "RADAR_FRONT_RIGHT": ([2.4, -0.8, 0.8], -1.6, -3),
    "RADAR_BACK_LEFT": ([-0.5, 0.6, 0.5], 3.1, -33_000),
    "RADAR_BACK_RIGHT": ([-0.5, -0.6, 0.5], -3.1, 16_227),
}
LATE = "RADAR_BACK_RIGHT"
"""Measured after the lidar, as some of the published keyframes."""
# a little rolled and pitched, as a lidar is
LIDAR = ("lidar", [0.94, 0.0, 1.84], [0.7071, -0.008, 0.012, -0.7069], 5, 0)


def sensors():
    """Five radars, of which each has seven cycles a sample."""
    radars = {
        name: ("radar", place, [np.cos(yaw / 2), 0.01, -0.005, np.sin(yaw / 2)], 7, late_us)
        for name, (place, yaw, late_us) in RADARS.items()
    }
    return SENSORS | {"LIDAR_TOP": LIDAR} | radars


def make_root(root):
    """Two scenes; the second is far from the origin of its map, and its last sample comes late."""
    make(root, SCENES, sensors())
    # some records of a scene are before its first sample
    second_us = START_US + 59_000_000
    samples = []

    def put_off(rows):
        samples.extend(row["token"] for row in rows if row["timestamp"] >= second_us)
        rows[-1]["timestamp"] += 1_200_000

    def move(rows, is_second):
        for row in filter(is_second, rows):
            row["translation"] = (row["translation"] + FAR).tolist()

    change(root, "sample", put_off)
    change(root, "ego_pose", lambda rows: move(rows, lambda row: row["timestamp"] >= second_us))
    change(root, "sample_annotation", lambda rows: move(rows, lambda row: row["sample_token"] in samples))
    # the devkit wants the picture of the map to be there, and does not look at it
    (root / "maps" / "a.png").touch()
    for path in root.glob("s*/LIDAR_TOP/*.bin"):
        write_sweep(path)
    for path in root.glob("s*/RADAR*/*.pcd"):
        write_cycle(path)
    write_empty_cycle(max((root / "sweeps" / "RADAR_FRONT").iterdir()))


def write_sweep(path):
    """Points around the sensor, some of them close, at the very edge of that, or not finite."""
    rng = np.random.default_rng(int(path.name.split("__")[2].partition(".")[0]))
    xyz = rng.normal(0, 25, (1500, 3))
    xyz[:300] *= 0.03
    one = np.float32(1)
    below = np.nextafter(one, np.float32(0))
    xyz[300:304, :2] = [(one, 0), (below, -below), (-below, one), (0.5, 30)]
    xyz[400:403] = [(np.nan, 5, 0), (5, np.inf, 0), (9, 9, -np.inf)]
    points = np.column_stack([xyz, rng.integers(0, 256, len(xyz)), np.arange(len(xyz)) % 32])
    path.write_bytes(rng.permutation(points.astype("<f4")).tobytes())


def write_cycle(path):
    """Detections of every state, some of them close to the radar."""
    rng = np.random.default_rng(int(path.name.split("__")[2].partition(".")[0]))
    rows = radar_points(rng, 400)
    near = [(x * 0.02, y * 0.02, *rest) for x, y, *rest in rows[:100]]
    path.write_bytes(radar_pcd([*rows[100:], *near]))


def write_empty_cycle(path):
    nothing = (float("nan"), *radar_points(np.random.default_rng(0), 1)[0][1:])
    path.write_bytes(radar_pcd([nothing]))


@pytest.fixture(scope="module")
def devkit(once):
    """devkit(name, root): what the devkit makes of a root, asked once under that name; see devkit_oracle.py."""
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("nuScenes' devkit is not installed; `make devkit` does that, in an environment of its own")
    # matplotlib, which the devkit imports, keeps a list of the system's fonts
    env = os.environ | {"MPLCONFIGDIR": str(ENVIRONMENT / "matplotlib")}

    def ask(name, root):
        def write(folder):
            command = [ENVIRONMENT / "bin" / "python", "-I", HERE / "devkit_oracle.py", root, VERSION, folder / "npz"]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        with np.load(once(f"{name}-answers", write) / "npz") as answers:
            return dict(answers)

    return ask


@pytest.fixture(scope="module")
def made(devkit, once):
    """The made-up root, and what the devkit makes of it."""
    root = once("nuscenes-devkit", make_root)
    return root, devkit("nuscenes-devkit", root)


@pytest.fixture(params=SCENES)
def scene(request, made):
    root, answers = made
    return open_log(root, scene=request.param), answers


def lidar_points(frame):
    params = {
        "frame": "lidar",
        "columns": ["x", "y", "z", "intensity", "time_lag"],
        "num_sweeps": 10,
        "intensity_mode": "raw",
        "compensate": "per_sweep",
        "remove_close": 1.0,
    }
    return InputBuilder(["lidar_points"], params={"lidar_points": params}).build(frame)["lidar_points"]


def radar_points_of(radar, states):
    params = {
        "frame": "lidar",
        "sensors": [radar],
        "columns": [*FIELDS, "time_lag"],
        "num_sweeps": 6,
        # the devkit begins with the cycle of the sample, which may come after the lidar's stamp
        "newest": "nearest",
        "filter": states,
        "velocity_axes": "sensor",
        "remove_close": 1.0,
        "max_points": None,
    }
    return InputBuilder(["radar_points"], params={"radar_points": params})


def check_lags(ours, theirs):
    # the devkit subtracts seconds since 1970 in float64, which are 2.4e-7 apart; stamps are whole microseconds
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=2.7e-7)
    np.testing.assert_allclose(ours, np.rint(theirs * 1e6) * 1e-6, rtol=1e-7, atol=0)


def check_lidar(frame, answers):
    theirs = answers[f"{frame.id}/LIDAR_TOP"].T
    theirs = theirs[np.isfinite(theirs).all(axis=1)]
    ours = lidar_points(frame)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(ours[:, 3], theirs[:, 3])
    check_lags(ours[:, 4], theirs[:, 4])
    return ours


def check_labels(frame, answers):
    own, labels = frame.id, frame.labels
    order = [answers[f"{own}/tracks"].tolist().index(track) for track in labels.track_id]
    assert sorted(order) == list(range(len(answers[f"{own}/tracks"])))
    assert labels.category.tolist() == answers[f"{own}/categories"][order].tolist()
    assert labels.num_points.tolist() == answers[f"{own}/points"][order].tolist()
    # our boxes stand upright, and have no speed upwards, in the car's axes, against which the lidar is tilted;
    # the devkit divides by a difference of seconds since 1970, see check_lags
    for axes, atol in (("ego", 1e-8), ("lidar", 2e-3)):
        found, theirs = labels.in_frame(axes), answers[f"{own}/boxes/{axes}"][order]
        np.testing.assert_allclose(found.boxes[:, :6], theirs[:, :6], rtol=0, atol=1e-8)
        turned = found.boxes[:, 6] - theirs[:, 6]
        np.testing.assert_allclose(np.arctan2(np.sin(turned), np.cos(turned)), 0, rtol=0, atol=atol)
        np.testing.assert_allclose(found.velocity, theirs[:, 7:], rtol=1e-6, atol=max(atol, 3e-6))
    return labels


def projections(frame):
    """The tensor, from the lidar's axes to the pixels of the recorded pictures."""
    params = {"frame": "lidar", "augmented": False}
    row = {"name": "camera_projection", "dtype": "float64", "shape": ["k", 4, 4], "params": params}
    return dict(zip(frame.log.source.cameras, InputBuilder([row]).build(frame)["camera_projection"], strict=True))


def check_pixels(frame, answers, within_px=1e-6):
    """Returns how many points are ahead and not far beside the picture, of each camera."""
    counts, tensor = [], projections(frame)
    sweep = frame.lidar
    points = np.stack([sweep.x, sweep.y, sweep.z, np.ones(len(sweep))]).astype(np.float64)
    world_from_lidar = frame.world_from_ego @ sweep.ego_from_sensor
    for name, picture in frame.cameras.items():
        column, row, depth = answers[f"{frame.id}/{name}"]
        world_from_camera = frame.log.world_from_ego(picture.time_ns) @ picture.ego_from_camera
        with np.errstate(invalid="ignore"):
            seen = (inverse(world_from_camera) @ (world_from_lidar @ points))[:3].T
        pixels, valid = picture.lens.project(seen)
        near = (depth > 1) & (np.abs(column) < 5000) & (np.abs(row) < 5000)
        np.testing.assert_array_equal(valid[np.abs(depth) > 1e-6], depth[np.abs(depth) > 1e-6] > 0)
        np.testing.assert_allclose(seen[near, 2], depth[near], rtol=0, atol=1e-8)
        np.testing.assert_allclose(pixels[near], np.column_stack([column, row])[near], rtol=0, atol=within_px)
        q = tensor[name] @ points[:, near]
        np.testing.assert_allclose(q[2], depth[near], rtol=0, atol=1e-8)
        np.testing.assert_allclose(q[:2] / q[2], [column[near], row[near]], rtol=0, atol=within_px)
        counts.append(int(near.sum()))
    return counts


def test_the_pixels_of_points_are_the_devkits(scene):
    log, answers = scene
    # the devkit takes each point to the world, where float64 has steps of 1e-9 m at 5e6 m, 1e-6 pixels at 1 m
    within_px = 1e-6 if log.source.name == SCENES[0] else 5e-6
    counts = [check_pixels(frame, answers, within_px) for frame in log]
    assert [len(cameras) for cameras in counts] == [2] * len(log)
    assert np.min(counts) > 300


def test_ten_sweeps_are_the_devkits(scene):
    """The newest first, each in the order of its file, moved by the poses of both, without what is close."""
    log, answers = scene
    clouds = [check_lidar(frame, answers) for frame in log]
    assert [len(np.unique(points[:, 4])) for points in clouds] == [1, 6, 10, 10]


@pytest.mark.parametrize("states", ["devkit", "none"])
@pytest.mark.parametrize("radar", RADARS)
def test_six_cycles_of_a_radar_are_the_devkits(scene, radar, states):
    """All 18 fields; velocities stay in the axes of the radar, as the devkit leaves them."""
    log, answers = scene
    builder = radar_points_of(radar, states)
    lags = []
    for frame in log:
        theirs = answers[f"{frame.id}/{radar}/{states}"].T
        ours = builder.build(frame)["radar_points"]
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(ours[:, :3], theirs[:, :3], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(ours[:, 3:-1], theirs[:, 3:-1].astype(np.float32))
        check_lags(ours[:, -1], theirs[:, -1])
        lags.append(len(np.unique(ours[:, -1])))
    empty = radar == "RADAR_FRONT" and log.source.name == SCENES[-1]
    assert lags == [1, 6, 6, 5 if empty else 6]
    assert (ours[:, -1].min() < 0) == (radar == LATE)


def test_boxes_and_their_velocities_are_the_devkits(scene):
    log, answers = scene
    unknown = [int(np.isnan(check_labels(frame, answers).velocity).all(axis=1).sum()) for frame in log]
    # one is seen once; the last sample of the second scene is too late for a speed
    assert unknown == [0, 1, 0, 2 if log.source.name == SCENES[-1] else 0]


@pytest.mark.data
def test_the_real_sweep_and_its_box_are_the_devkits(real_nuscenes, devkit):
    answers = devkit("real-nuscenes-devkit", real_nuscenes)
    [frame] = open_log(real_nuscenes)
    points = check_lidar(frame, answers)
    assert len(points) > 20_000
    counts = check_pixels(frame, answers)
    assert len(counts) == 6
    assert min(counts) > 5000
    assert len(check_labels(frame, answers)) == 1
