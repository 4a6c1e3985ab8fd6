"""A made-up segment of Waymo v2: components in Parquet, with the published column names and types."""

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

SEGMENT = "1234567890_100_000_120_000"
FIRST_US, STEP_US = 1550083467346370, 99_987
SHAPES = {1: (12, 60), 2: (6, 20), 3: (6, 20), 4: (6, 20), 5: (6, 20)}
FRAMES = 4
FAR = np.array([860.0, 15_600.0, -651.0])
INCLINATIONS = np.sort(np.r_[np.linspace(-0.3, -0.05, 5), np.linspace(-0.03, 0.04, 7)])


def world_from_vehicle(time_s):
    """A left turn at 10 m/s, 15.6 km from the origin; `time_s` counts from the first frame."""
    yaw = 0.2 * np.asarray(time_s, dtype=float)
    where = np.stack([50 * np.sin(yaw), 50 * (1 - np.cos(yaw)), 0 * yaw], axis=-1) + FAR
    return rigid(rotation_from_quaternion(quaternion_from_yaw(yaw)), where)


def ego_from_lidar(laser):
    yaw = {1: 2.6, 2: 0.0, 3: 1.57, 4: -1.57, 5: 3.1}[laser]
    place = {1: [1.43, 0, 2.184], 2: [4.07, 0, 0.691], 3: [3.2, 1, 0.98], 4: [3.2, -1, 0.98], 5: [-1.15, 0, 0.46]}
    lean = rotation_from_quaternion([1.0, 0.002, -0.004, 0])
    return rigid(rotation_from_quaternion(quaternion_from_yaw(yaw)) @ lean, place[laser])


def image(rng, shape):
    """(H, W, 4) range, intensity, elongation, in a no-label zone; a fifth of the pixels are missing."""
    out = np.empty((*shape, 4), np.float32)
    out[..., 0] = rng.uniform(1, 75, shape)
    out[..., 1], out[..., 2] = rng.exponential(0.3, shape), rng.uniform(0, 1, shape)
    out[..., 3] = np.where(rng.random(shape) < 0.1, 1, -1)
    out[rng.random(shape) < 0.2] = -1
    return out


def pixel_poses(frame):
    """(H, W, 6) roll pitch yaw x y z: a column is measured at one moment, from 50 ms before the frame to after."""
    height, width = SHAPES[1]
    seconds = frame * STEP_US * 1e-6 + (np.arange(width) / width - 0.5) * 0.1
    pose = world_from_vehicle(seconds)
    row = np.column_stack([np.full(width, 0.003), np.full(width, -0.002), 0.2 * seconds, pose[:, :3, 3]])
    return np.broadcast_to(row.astype(np.float32), (height, width, 6)).copy()


def lists(images, channels):
    """The two columns of an image: values, shape."""
    values = pa.array([None if i is None else i.ravel() for i in images], pa.list_(pa.float32()))
    shapes = [None if i is None else list(i.shape) for i in images]
    return values, pa.array(shapes, pa.list_(pa.int32(), 3))


def write(root, component, columns, **options):
    (root / component).mkdir(parents=True, exist_ok=True)
    named = {"key.segment_context_name": [SEGMENT] * len(next(iter(columns.values()))), **columns}
    parquet.write_table(pa.table(named), root / component / f"{SEGMENT}.parquet", **options)


def matrices(transforms, kind):
    return pa.array([np.asarray(t).ravel().tolist() for t in transforms], pa.list_(kind, 16))


def make(root, row_group_size=None):
    """Four frames; returns the folder of components."""
    rng = np.random.default_rng(0)
    stamps = FIRST_US + STEP_US * np.arange(FRAMES)
    poses = world_from_vehicle(STEP_US * 1e-6 * np.arange(FRAMES))
    frame_key = {"key.frame_timestamp_micros": pa.array(stamps, pa.int64())}
    pose_column = {"[VehiclePoseComponent].world_from_vehicle.transform": matrices(poses, pa.float32())}
    write(root, "vehicle_pose", frame_key | pose_column)
    _make_lidar(root, rng, stamps, row_group_size)
    _make_lidar_calibration(root)
    _make_cameras(root, rng, stamps)
    _make_boxes(root, stamps)
    return root


def _make_lidar(root, rng, stamps, row_group_size):
    # the lidars of a frame in no order of their own, as published
    keys = [(frame, laser) for frame in range(FRAMES) for laser in rng.permutation(5) + 1]
    columns = {
        "key.frame_timestamp_micros": pa.array([stamps[frame] for frame, _ in keys], pa.int64()),
        "key.laser_name": pa.array([laser for _, laser in keys], pa.int8()),
    }
    for which in (1, 2):
        images = [image(rng, SHAPES[laser]) if which == 1 or laser == 1 else None for _, laser in keys]
        name = f"[LiDARComponent].range_image_return{which}"
        columns[f"{name}.values"], columns[f"{name}.shape"] = lists(images, 4)
    write(root, "lidar", columns, row_group_size=row_group_size)
    backwards = list(reversed(range(FRAMES)))
    poses = {
        "key.frame_timestamp_micros": pa.array(stamps[backwards], pa.int64()),
        "key.laser_name": pa.array([1] * FRAMES, pa.int8()),
    }
    name = "[LiDARPoseComponent].range_image_return1"
    poses[f"{name}.values"], poses[f"{name}.shape"] = lists([pixel_poses(frame) for frame in backwards], 6)
    write(root, "lidar_pose", poses, row_group_size=row_group_size)


def _make_lidar_calibration(root):
    name = "[LiDARCalibrationComponent]"
    columns = {
        "key.laser_name": pa.array(range(1, 6), pa.int8()),
        f"{name}.extrinsic.transform": matrices([ego_from_lidar(laser) for laser in range(1, 6)], pa.float64()),
        f"{name}.beam_inclination.min": [INCLINATIONS[0], -1.5, -1.5, -1.5, -1.5],
        f"{name}.beam_inclination.max": [INCLINATIONS[-1], 0.5, 0.5, 0.5, 0.5],
        f"{name}.beam_inclination.values": pa.array([INCLINATIONS, *[None] * 4], pa.list_(pa.float64())),
    }
    write(root, "lidar_calibration", columns)


LENS = {
    "f_u": 30.0,
    "f_v": 31.0,
    "c_u": 10.5,
    "c_v": 6.25,
    "k1": 0.04,
    "k2": -0.3,
    "p1": 0.001,
    "p2": 0.002,
    "k3": 0.01,
}
EGO_FROM_WAYMO_CAMERA = rigid(rotation_from_quaternion([1.0, 0.01, -0.02, 0.3]), [1.5, 0.2, 2.1])


def _make_cameras(root, rng, stamps):
    name = "[CameraCalibrationComponent]"
    columns = {"key.camera_name": pa.array([1, 2], pa.int8())}
    columns |= {f"{name}.intrinsic.{part}": [value] * 2 for part, value in LENS.items()}
    columns[f"{name}.extrinsic.transform"] = matrices([EGO_FROM_WAYMO_CAMERA] * 2, pa.float64())
    columns |= {f"{name}.width": pa.array([20, 20], pa.int32()), f"{name}.height": pa.array([12, 12], pa.int32())}
    write(root, "camera_calibration", columns)
    keys = [(frame, camera) for frame in range(FRAMES) for camera in (2, 1)]
    pictures = [encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8)) for _ in keys]
    name = "[CameraImageComponent]"
    columns = {
        "key.frame_timestamp_micros": pa.array([stamps[frame] for frame, _ in keys], pa.int64()),
        "key.camera_name": pa.array([camera for _, camera in keys], pa.int8()),
        f"{name}.image": pa.array(pictures, pa.binary()),
        f"{name}.pose_timestamp": [stamps[frame] * 1e-6 + 0.01 * camera for frame, camera in keys],
    }
    write(root, "camera_image", columns)


SPEED = (3.0, -1.0)


def _make_boxes(root, stamps):
    keys = [(frame, name) for frame in range(FRAMES) for name in ("car", "sign")]
    name = "[LiDARBoxComponent]"
    columns = {
        "key.frame_timestamp_micros": pa.array([stamps[frame] for frame, _ in keys], pa.int64()),
        "key.laser_object_id": [track for _, track in keys],
        f"{name}.type": pa.array([1 if track == "car" else 3 for _, track in keys], pa.int8()),
        f"{name}.num_lidar_points_in_box": pa.array([10 + frame for frame, _ in keys], pa.int64()),
        f"{name}.box.heading": [3.5 if track == "car" else -0.5 for _, track in keys],
    }
    for axis, centre, size in zip("xyz", (12.0, -3.0, 0.8), (4.5, 1.9, 1.6), strict=True):
        columns[f"{name}.box.center.{axis}"] = [centre] * len(keys)
        columns[f"{name}.box.size.{axis}"] = [size] * len(keys)
    for axis, speed in zip("xyz", (*SPEED, 0.0), strict=True):
        columns[f"{name}.speed.{axis}"] = pa.array([speed if track == "car" else None for _, track in keys])
    write(root, "lidar_box", columns)
