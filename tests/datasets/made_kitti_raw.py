"""A made-up drive of KITTI raw, in the published form: the date's folder with calibration, and one synced drive."""

import numpy as np

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import rotation_from_quaternion

LEAN = rotation_from_quaternion([1.0, 0.004, -0.007, 0.001])
CAMERA_FROM_VELO = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]) @ rotation_from_quaternion([1.0, -0.002, 0.006, 0.003])
RECTIFIED = rotation_from_quaternion([1.0, 0.003, -0.002, -0.005])


def numbers(values):
    return " ".join(f"{value:.6e}" for value in np.ravel(values))


IMU_TO_VELO = f"""calib_time: 25-May-2012 16:47:16
R: {numbers(LEAN)}
T: {numbers([-0.8, 0.3, -0.85])}
"""
VELO_TO_CAM = f"""calib_time: 15-Mar-2012 11:37:16
R: {numbers(CAMERA_FROM_VELO)}
T: {numbers([-0.01, -0.08, -0.3])}
delta_f: 0.000000e+00 0.000000e+00
delta_c: 0.000000e+00 0.000000e+00
"""
CAM_TO_CAM = f"""calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_00: {numbers([24, 14])}
K_00: {numbers([900, 0, 12, 0, 890, 7, 0, 0, 1])}
D_00: {numbers([-0.3, 0.2, 0.001, 0.0005, -0.06])}
S_rect_00: {numbers([20, 12])}
R_rect_00: {numbers(RECTIFIED)}
P_rect_00: {numbers([700, 0, 10, 0, 0, 700, 6, 0, 0, 0, 1, 0])}
R_rect_01: {numbers(RECTIFIED)}
P_rect_01: {numbers([700, 0, 10, -380, 0, 700, 6, 0, 0, 0, 1, 0])}
S_rect_02: {numbers([20, 12])}
R_rect_02: {numbers(RECTIFIED)}
P_rect_02: {numbers([700, 0, 10, 45, 0, 700, 6, 0.2, 0, 0, 1, 0.003])}
R_rect_03: {numbers(RECTIFIED)}
P_rect_03: {numbers([700, 0, 10, -330, 0, 700, 6, 2, 0, 0, 1, 0.003])}
"""
PACKET_TAIL = "-0.1 0.2 9.9 0.0 0.0 0.5 0.2 9.8 0.4 0.1 9.8 0.01 0.0 0.2 0.01 0.0 0.2 0.05 0.03 4 10 5 5 6"
FIRST_NS = 1317042145_964000445  # 2011-09-26 13:02:25.964000445
STEP_NS = 103_000_123


def stamp(time_ns):
    return str(np.datetime64(int(time_ns), "ns")).replace("T", " ")


def packet(i):
    """Latitude, longitude, altitude, roll, pitch, yaw: about 10 m/s to the north-east, turning left."""
    return (48.2 + 6.4e-6 * i, 11.5 + 9.7e-6 * i, 116.4 + 0.01 * i, 0.02, -0.01, 0.78 + 0.02 * i)


def make(root):
    """Five frames; the sweeps are stamped 13 ms before the GPS packets. Returns the drive."""
    date = root / "2011_09_26"
    drive = date / "2011_09_26_drive_0001_sync"
    rng = np.random.default_rng(0)
    for name in ("velodyne_points", "oxts", "image_00", "image_02"):
        (drive / name / "data").mkdir(parents=True)
    for name, text in (("imu_to_velo", IMU_TO_VELO), ("velo_to_cam", VELO_TO_CAM), ("cam_to_cam", CAM_TO_CAM)):
        (date / f"calib_{name}.txt").write_text(text)
    times = FIRST_NS + STEP_NS * np.arange(5)
    early = {"velodyne_points": 13_190_108, "image_00": 3_000_000, "image_02": 2_900_001, "oxts": 0}
    for name, by_ns in early.items():
        (drive / name / "timestamps.txt").write_text("".join(f"{stamp(t - by_ns)}\n" for t in times))
    for i in range(5):
        points = rng.normal(size=(40, 4)).astype("<f4")
        (drive / "velodyne_points" / "data" / f"{i:010}.bin").write_bytes(points.tobytes())
        place = " ".join(repr(value) for value in packet(i))
        (drive / "oxts" / "data" / f"{i:010}.txt").write_text(f"{place} {PACKET_TAIL}\n")
        for name in ("image_00", "image_02"):
            picture = encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
            (drive / name / "data" / f"{i:010}.png").write_bytes(picture)
    return drive
