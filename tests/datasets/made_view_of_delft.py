"""Made-up frames of View-of-Delft, in the published layout: KITTI's, once per sensor, and pose files of three lines."""

import json

import numpy as np

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import quaternion_from_yaw, rigid, rotation_from_quaternion

NUMBERS = (544, 545, 546, 600)
OPTICAL = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], dtype=float)
CAMERA_FROM_LIDAR = rigid(OPTICAL @ rotation_from_quaternion([1.0, 0.001, 0.06, 0.004]), [0.15, -0.46, -0.92])
CAMERA_FROM_RADAR = rigid(OPTICAL @ rotation_from_quaternion([1.0, -0.003, 0.05, 0.007]), [0.05, 0.98, 1.44])
WORLDS = {
    "odomToCamera": [-25.0, -27.0, 1.3],
    "mapToCamera": [-1411.0, 1581.0, 1.3],
    "UTMToCamera": [593199.0, 5763066.5, 1.3],
}
LABELS = """Car 0 0 -1.33 333.28 177.65 489.60 277.55 1.50 1.78 3.69 -3.0 1.5 12.0 -1.57 1
bicycle 1 0 0.14 562.59 158.20 594.85 225.88 1.20 0.60 1.90 1.0 1.5 20.0 0.00 1
"""


def calibration(camera_from_sensor):
    projection = " ".join(map(str, [14.95, 0.0, 9.6, 0.0, 0.0, 14.95, 6.2, 0.0, 0.0, 0.0, 1.0, 0.0]))
    lines = [f"P{i}: {projection}" for i in range(4)]
    lines.append("R0_rect: 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 1.0")
    lines.append("Tr_velo_to_cam: " + " ".join(f"{value:.8f}" for value in camera_from_sensor[:3].ravel()))
    # published so, without a value
    return "\n".join([*lines, "Tr_imu_to_velo: "]) + "\n"


def world_from_camera(number, world):
    """Looking along the world's x at first, turning left at 1 m per frame."""
    yaw = rotation_from_quaternion(quaternion_from_yaw(0.02 * (number - NUMBERS[0])))
    return rigid(yaw @ OPTICAL.T, np.add(WORLDS[world], [number - NUMBERS[0], 0.1, 0]))


def make(root):
    """Four frames, the last with neither picture nor labels, as in the test split; returns the root."""
    rng = np.random.default_rng(0)
    sensors = {"lidar": (4, CAMERA_FROM_LIDAR), "radar": (7, CAMERA_FROM_RADAR)}
    sensors |= {f"radar_{n}frames": (7, CAMERA_FROM_RADAR) for n in (3, 5)}
    for sensor, (columns, camera_from_sensor) in sensors.items():
        training = root / sensor / "training"
        for folder in ("velodyne", "calib"):
            (training / folder).mkdir(parents=True)
        for number in NUMBERS:
            points = rng.normal(scale=10, size=(30, columns)).astype("<f4")
            if columns == 7:
                points[:, 6] = -rng.integers(0, 5 if "5" in sensor else 3 if "3" in sensor else 1, 30)
            (training / "velodyne" / f"{number:05}.bin").write_bytes(points.tobytes())
            (training / "calib" / f"{number:05}.txt").write_text(calibration(camera_from_sensor))
    for folder in ("image_2", "label_2", "pose"):
        (root / "lidar" / "training" / folder).mkdir()
    for number in NUMBERS:
        lines = [json.dumps({world: world_from_camera(number, world).ravel().tolist()}) for world in WORLDS]
        (root / "lidar" / "training" / "pose" / f"{number:05}.json").write_text("\n".join(lines))
    for number in NUMBERS[:-1]:
        picture = encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
        (root / "lidar" / "training" / "image_2" / f"{number:05}.jpg").write_bytes(picture)
        (root / "lidar" / "training" / "label_2" / f"{number:05}.txt").write_text(LABELS)
    return root
