"""A made-up sequence of aiMotive, in the published layout: one frame number links all files."""

import json

import laspy
import numpy as np

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import rigid, rotation_from_quaternion

NUMBERS = (33643, 33644, 33646)
FIRST_NS, STEP_NS = 4_833_189_570_000, 66_666_000
OPTICAL = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
PLACES = {
    "M_LIDAR_M": rigid(rotation_from_quaternion([1, 0, 0, 0.01]), [1.2, 0, 1.7]),
    "F_LRR_C": rigid(rotation_from_quaternion([1, 0, 0.007, 0.006]), [3.8, 0, 0.4]),
    "B_LRR_C": rigid(rotation_from_quaternion([0, 0, 0, 1]), [-1.1, 0, 0.6]),
    "F_MIDLONGRANGECAM_CL": rigid(OPTICAL, [1.9, 0.1, 1.2]),
    "M_FISHEYE_L": rigid(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), [1.1, 0.6, 1.4]),
}
LENS = {"focal_length_px": [11.7, 10.0], "principal_point_px": [10.0, 6.0], "image_resolution_px": [20, 12]}
TARGETS = [(21.6, 0.157, -0.011, -29.76, 2.57), (40.0, -0.3, 0.02, 3.5, 0.25)]


def stamp(number):
    return FIRST_NS + (number - NUMBERS[0]) * STEP_NS


def calibration():
    sensors = {name: {"RT_body_from_sensor": place.tolist(), "rpm": "nan"} for name, place in PLACES.items()}
    pinhole = {"model": "opencv_pinhole", "distortion_coeffs": [-0.3, 0.08, 0.002, 0.0006, 0.01]}
    sensors["F_MIDLONGRANGECAM_CL"] |= LENS | pinhole
    sensors["M_FISHEYE_L"] |= LENS | {"model": "mei", "distortion_coeffs": [0.03, -0.08, 0.001, 0.002, 0], "xi": 1.02}
    return sensors


def box(number, x, quaternion=(1, 0, 0, 0)):
    out = {"ActorName": f"CAR {number:02}", "ObjectId": number, "ObjectType": "CAR", "Occluded": 0, "Truncated": 0}
    for axis, at, size in zip("XYZ", (x, -2.0, 0.5), (4.5, 1.9, 1.6), strict=True):
        out |= {f"BoundingBox3D Origin {axis}": at, f"BoundingBox3D Extent {axis}": size}
        out[f"Relative Velocity {axis}"] = 1.0
    out |= {f"BoundingBox3D Orientation Quat {k}": v for k, v in zip("WXYZ", quaternion, strict=True)}
    return out


def write_laz(path, number, n=400):
    rng = np.random.default_rng(number)
    las = laspy.LasData(laspy.LasHeader(point_format=1, version="1.2"))
    las.header.scales = [0.001] * 3
    las.x, las.y, las.z = rng.uniform(-100, 100, (3, n))
    las.intensity = rng.integers(0, 255, n)
    las.gps_time = stamp(number) + np.sort(rng.integers(-67_000_000, 33_000_000, n)).astype(float)
    las.write(str(path), laz_backend=laspy.LazBackend.Lazrs)


def make(root):
    """Three frames of lidar, cameras and boxes; the radars have one frame more, without boxes."""
    log = root / "20210901-194123-00.37.12-00.37.27@Yoda"
    rng = np.random.default_rng(0)
    for folder in ("dynamic/box/3d_body", "dynamic/raw-revolutions", "sensor/calibration"):
        (log / folder).mkdir(parents=True)
    (log / "sensor" / "calibration" / "calibration.json").write_text(json.dumps(calibration()))
    for number in NUMBERS:
        boxes = [box(4, 100.0), box(5, -20.0, (np.cos(0.15), 0, 0, np.sin(0.15)))]
        text = json.dumps({"CapturedObjects": boxes, "Timestamp": str(stamp(number))})
        (log / "dynamic" / "box" / "3d_body" / f"frame_{number:07}.json").write_text(text)
        write_laz(log / "dynamic" / "raw-revolutions" / f"frame_{number:07}.laz", number)
        for camera in ("F_MIDLONGRANGECAM_CL", "M_FISHEYE_L"):
            (log / "sensor" / "camera" / camera).mkdir(parents=True, exist_ok=True)
            picture = encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
            (log / "sensor" / "camera" / camera / f"{camera}_{number:07}.jpg").write_bytes(picture)
    keys = ("range", "azimuth", "elevation", "speed", "rcs")
    targets = [dict(zip(keys, target, strict=True)) | {"power": 139.8, "noise": 103.7} for target in TARGETS]
    for radar in ("B_LRR_C", "F_LRR_C"):
        (log / "sensor" / "radar" / radar).mkdir(parents=True)
        for number in (*NUMBERS, 33647):
            text = json.dumps({"id": "?", "targets": targets})
            (log / "sensor" / "radar" / radar / f"{radar}_{number:07}.json").write_text(text)
    return log
