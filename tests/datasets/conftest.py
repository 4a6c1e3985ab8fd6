"""Logs to test with: small made-up folders in each dataset's form, and the real data where it is there."""

import functools
import json
import os
import runpy
import signal
import socket
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest

from perceptum.inputs import LogError, encode_jpeg
from perceptum.inputs.poses import inverse, quaternion_from_yaw, rigid, rotation_from_quaternion

DATA = Path(__file__).parents[3] / "shared" / "data"
KITTI_CALIBRATION = """P0: 700 0 600 0 0 700 180 0 0 0 1 0
P1: 700 0 600 -380 0 700 180 0 0 0 1 0
P2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005
P3: 700 0 600 -335 0 700 180 2.3 0 0 1 0.003
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 -0.02 0 0 -1 -0.06 1 0 0 -0.33
Tr_imu_to_velo: 1 0 0 -0.8 0 1 0 0.3 0 0 1 -0.8
"""
KITTI_LABELS = """Car 0.00 0 -1.33 333.28 177.65 489.60 277.55 1.50 1.78 3.69 -3.0 1.5 12.0 -1.57
DontCare -1 -1 -10 623.97 162.02 652.39 174.14 -1 -1 -1 -1000 -1000 -1000 -10
Pedestrian 0.00 0 0.14 562.59 158.20 594.85 225.88 1.80 0.60 1.00 1.0 1.5 20.0 0.00 0.75
"""
FIRST_NS = 315966265259836000
STEP_NS = 100_000_000
TRACK_VELOCITY = np.array([3.0, -1.0, 0.0])


def _real(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(
            f"the real data does not ship: no folder shared/data/{path.relative_to(DATA)} beside the repository"
        )
    return path


@pytest.fixture(scope="session")
def real_kitti() -> Path:
    return _real(DATA / "kitti_object")


@pytest.fixture(scope="session")
def real_argoverse2() -> Path:
    return _real(DATA / "argoverse2" / "sensor" / "val" / "7fab2350-7eaf-3b7e-a39d-6937a4c1bede")


@pytest.fixture
def kitti(tmp_path) -> Path:
    return make_kitti(tmp_path / "kitti")


@pytest.fixture
def argoverse2(tmp_path) -> Path:
    return make_argoverse2(tmp_path / "log-0001")


@pytest.fixture
def argoverse2_forecasting(made, tmp_path) -> Path:
    return made("argoverse2_forecasting").make(tmp_path / "s-1")


@pytest.fixture(scope="session")
def made():
    """made("kitti_raw"): the names of made_kitti_raw.py, a dataset's form in code; `make` among them."""
    folder = Path(__file__).parent
    return functools.cache(lambda name: types.SimpleNamespace(**runpy.run_path(str(folder / f"made_{name}.py"))))


@pytest.fixture(scope="session")
def said_of():
    """said_of(read): what the LogError said that `read()` raised, checked to be short and one line; "" for none."""

    def said_of(read) -> str:
        try:
            read()
        except LogError as error:
            said = str(error)
        else:
            return ""
        assert len(said.splitlines()) == 1
        assert len(said) < 500
        return said

    return said_of


@pytest.fixture
def special(tmp_path):
    """special(path, kind): a pipe, socket or device in place of a file; a test that waits for one is ended."""

    def waited(*_):
        raise TimeoutError("waited for what is not a file")

    open_sockets = []

    def put(path, kind):
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            # a socket's name has at most 100 characters: bound elsewhere, and moved
            server = socket.socket(socket.AF_UNIX)
            name = tempfile.mktemp(dir="/tmp")
            server.bind(name)
            os.rename(name, path)
            open_sockets.append(server)

    before = signal.signal(signal.SIGALRM, waited)
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield put
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    for server in open_sockets:
        server.close()


@pytest.fixture
def kitti_odometry(made, tmp_path) -> Path:
    return made("kitti_odometry").make(tmp_path / "kitti")


@pytest.fixture
def kitti_raw(made, tmp_path) -> Path:
    return made("kitti_raw").make(tmp_path / "kitti")


@pytest.fixture
def view_of_delft(made, tmp_path) -> Path:
    return made("view_of_delft").make(tmp_path / "vod")


@pytest.fixture
def aimotive(made, tmp_path) -> Path:
    return made("aimotive").make(tmp_path)


@pytest.fixture
def waymo_motion(made, tmp_path) -> Path:
    return made("waymo_motion").make(tmp_path / "waymo_motion")


@pytest.fixture
def waymo_v2(made, tmp_path) -> Path:
    return made("waymo_v2").make(tmp_path / "waymo")


@pytest.fixture
def nuscenes(made, tmp_path) -> Path:
    return made("nuscenes").make(tmp_path / "nuscenes")


@pytest.fixture
def mcap_recording(made, tmp_path) -> Path:
    return made("recording").write_mcap(tmp_path / "drive.mcap", made("recording").drive(made("recording").Maker()))


@pytest.fixture
def ros1_bag(made, tmp_path) -> Path:
    maker = made("recording").Maker(1)
    return made("recording").write_rosbag1(tmp_path / "drive.bag", made("recording").drive(maker), maker)


@pytest.fixture
def rosbag2(made, tmp_path) -> Path:
    return made("recording").write_rosbag2(tmp_path / "drive", made("recording").drive(made("recording").Maker()))


@pytest.fixture(scope="session")
def real_mcap() -> Path:
    return _real(DATA / "robot_logs") / "os1_first_scan.mcap"


@pytest.fixture(scope="session")
def real_nuscenes() -> Path:
    return _real(DATA / "nuscenes" / "scene-0061")


@pytest.fixture(scope="session")
def real_kitti_odometry() -> Path:
    return _real(DATA / "kitti_odometry" / "dataset" / "sequences" / "00")


@pytest.fixture(scope="session")
def real_aimotive() -> Path:
    return next(_real(DATA / "aimotive" / "train" / "nighttime").iterdir())


def make_kitti(root: Path) -> Path:
    """Three frames, numbers 3, 4 and 10."""
    split = root / "training"
    for folder in ("velodyne", "calib", "label_2", "image_2", "image_3"):
        (split / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in (3, 4, 10):
        points = rng.normal(size=(50, 4)).astype("<f4")
        (split / "velodyne" / f"{number:06}.bin").write_bytes(points.tobytes())
        (split / "calib" / f"{number:06}.txt").write_text(KITTI_CALIBRATION)
        (split / "label_2" / f"{number:06}.txt").write_text(KITTI_LABELS)
        for folder in ("image_2", "image_3"):
            picture = encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
            (split / folder / f"{number:06}.jpg").write_bytes(picture)
    return root


def write_feather(path: Path, columns: dict[str, object], **options: object) -> None:
    import pyarrow as pa
    from pyarrow import feather

    path.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(pa.table(columns), path, **options)


def pose_columns(transforms: np.ndarray, wxyz: np.ndarray) -> dict[str, np.ndarray]:
    names = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
    return dict(zip(names, np.concatenate([wxyz, transforms[:, :3, 3]], axis=1).T.copy(), strict=True))


def city_from_ego(times_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A left turn at 10 m/s."""
    t = (times_ns - FIRST_NS) * 1e-9
    yaw = 0.2 * t
    wxyz = quaternion_from_yaw(yaw)
    where = np.stack([5000 + 50 * np.sin(yaw), 2000 + 50 * (1 - np.cos(yaw)), np.full_like(t, 60.0)], axis=1)
    return rigid(rotation_from_quaternion(wxyz), where), wxyz


def make_argoverse2(log: Path) -> Path:
    """Four sweeps, two cameras, three tracks: one moves at TRACK_VELOCITY, one stands, one is seen once."""
    sweeps = FIRST_NS + STEP_NS * np.arange(4)
    for index, time_ns in enumerate(sweeps):
        _make_sweep(log / "sensors" / "lidar" / f"{time_ns}.feather", index)
    stamps = np.unique(np.concatenate([sweeps, sweeps + 7_000_001, FIRST_NS + np.arange(-20, 60) * 10_000_000]))
    transforms, wxyz = city_from_ego(stamps)
    write_feather(log / "city_SE3_egovehicle.feather", {"timestamp_ns": stamps, **pose_columns(transforms, wxyz)})
    _make_calibration(log / "calibration")
    picture = encode_jpeg(np.full((15, 20, 3), 90, np.uint8))
    for camera in ("ring_front_center", "ring_side_left"):
        (log / "sensors" / "cameras" / camera).mkdir(parents=True)
        for time_ns in sweeps + 7_000_001:
            (log / "sensors" / "cameras" / camera / f"{time_ns}.jpg").write_bytes(picture)
    _make_annotations(log / "annotations.feather", sweeps)
    _make_map(log / "map")
    return log


def _make_sweep(path: Path, index: int) -> None:
    rng = np.random.default_rng(index)
    n = 200
    columns = {name: rng.normal(scale=20, size=n).astype(np.float16) for name in "xyz"}
    columns["intensity"] = rng.integers(0, 256, n, dtype=np.uint8)
    columns["laser_number"] = rng.integers(0, 64, n, dtype=np.uint8)
    columns["offset_ns"] = np.sort(rng.integers(0, STEP_NS, n)).astype(np.int32)
    write_feather(path, columns, chunksize=64)


def _make_calibration(folder: Path) -> None:
    names = ["ring_front_center", "ring_side_left", "up_lidar", "down_lidar"]
    wxyz = np.array([[0.5, -0.5, 0.5, -0.5], [0.5, -0.5, 0.5, -0.5], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=float)
    where = np.array([[1.6, 0, 1.4], [1.3, 0.3, 1.4], [1.35, 0, 1.64], [1.35, 0, 1.52]])
    transforms = rigid(rotation_from_quaternion(wxyz), where)
    write_feather(folder / "egovehicle_SE3_sensor.feather", {"sensor_name": names, **pose_columns(transforms, wxyz)})
    numbers = {"fx_px": 1700.0, "fy_px": 1690.0, "cx_px": 1020.0, "cy_px": 770.0, "k1": -0.2, "k2": -0.1, "k3": 0.1}
    sizes = {name: np.array([size] * 2, dtype=np.uint16) for name, size in (("height_px", 15), ("width_px", 20))}
    write_feather(
        folder / "intrinsics.feather", {"sensor_name": names[:2], **{k: [v] * 2 for k, v in numbers.items()}, **sizes}
    )


def _make_annotations(path: Path, sweeps: np.ndarray) -> None:
    transforms, _ = city_from_ego(sweeps)
    rows = []
    for i, time_ns in enumerate(sweeps):
        seconds = i * STEP_NS * 1e-9
        tracks = {"moving": [5010.0, 2005, 60.5] + TRACK_VELOCITY * seconds, "standing": np.array([4990.0, 1995, 60])}
        if i == 1:
            tracks["once"] = np.array([5000.0, 2010, 60])
        for track, in_city in tracks.items():
            in_ego = inverse(transforms[i]) @ [*in_city, 1]
            rows.append((time_ns, track, *in_ego[:3]))
    times, tracks, x, y, z = zip(*rows, strict=True)
    n = len(rows)
    size = {"length_m": [4.0] * n, "width_m": [2.0] * n, "height_m": [1.5] * n}
    quaternion = {"qw": [np.cos(0.25)] * n, "qx": [0.0] * n, "qy": [0.0] * n, "qz": [np.sin(0.25)] * n}
    columns = {"timestamp_ns": np.array(times), "track_uuid": tracks, "category": ["REGULAR_VEHICLE"] * n}
    centre = {"tx_m": x, "ty_m": y, "tz_m": z, "num_interior_pts": np.arange(n)}
    write_feather(path, {**columns, **size, **quaternion, **centre})


def _points(*xyz: tuple[float, float, float]) -> list[dict[str, float]]:
    return [{"x": x, "y": y, "z": z} for x, y, z in xyz]


def vector_map() -> dict[str, object]:
    lane = {"is_intersection": False, "lane_type": "VEHICLE", "left_lane_mark_type": "DASHED_WHITE"}
    lane |= {"right_lane_mark_type": "NONE", "predecessors": [], "left_neighbor_id": None, "right_neighbor_id": None}
    first = {
        **lane,
        "id": 11,
        "successors": [12, 99],
        "right_neighbor_id": 13,
        "left_lane_boundary": _points((5000, 2002, 60), (5010, 2002, 60)),
        "right_lane_boundary": _points((5000, 1998, 60), (5004, 1998, 60), (5010, 1998, 60)),
    }
    second = {
        **lane,
        "id": 12,
        "successors": [],
        "left_lane_boundary": _points((5010, 2002, 60), (5020, 2002, 60)),
        "right_lane_boundary": _points((5010, 1998, 60), (5020, 1998, 60)),
        "centerline": _points((5010, 2000.5, 0), (5020, 2000.5, 0)),
    }
    third = {
        **lane,
        "id": 13,
        "successors": [],
        "left_neighbor_id": 11,
        "left_lane_mark_type": "NONE",
        # the dashed line of lane 11, drawn the other way
        "right_lane_mark_type": "DASHED_WHITE",
        "right_lane_boundary": _points((5010, 2002, 60), (5000, 2002, 60)),
        "left_lane_boundary": _points((5010, 1994, 60), (5000, 1994, 60)),
    }
    area = {"id": 7, "area_boundary": _points((4990, 1990, 60), (5030, 1990, 60), (5030, 2010, 60), (4990, 1990, 60))}
    crossing = {"id": 5, "edge1": _points((1, 0, 0), (1, 4, 0)), "edge2": _points((3, 0, 0), (3, 4, 0))}
    return {
        "lane_segments": {"11": first, "12": second, "13": third},
        "drivable_areas": {"7": area},
        "pedestrian_crossings": {"5": crossing},
    }


def _make_map(folder: Path) -> None:
    folder.mkdir()
    (folder / "log_map_archive_log-0001____PIT_city_1.json").write_text(json.dumps(vector_map()))
    height = np.arange(12, dtype=np.float16).reshape(3, 4)
    height[0, 0] = np.nan
    np.save(folder / "log-0001_ground_height_surface____PIT.npy", height)
    sim2 = {"R": [1.0, 0.0, 0.0, 1.0], "t": [-5000.0, -2000.0], "s": 0.5}
    (folder / "log-0001___img_Sim2_city.json").write_text(json.dumps(sim2))
