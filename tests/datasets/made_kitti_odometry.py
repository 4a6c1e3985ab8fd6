"""A made-up sequence of KITTI odometry, byte for byte in the published form."""

import numpy as np

from perceptum.inputs import encode_jpeg
from perceptum.inputs.poses import inverse, quaternion_from_yaw, rigid, rotation_from_quaternion

TR = np.array([[0, -1, 0, -0.02], [0, 0, -1, -0.06], [1, 0, 0, -0.33]], dtype=float)
TIMES_S = [0.0, 0.1023456, 0.2051234, 0.31]
CALIBRATION = """P0: 700 0 600 0 0 700 180 0 0 0 1 0
P1: 700 0 600 -380 0 700 180 0 0 0 1 0
P2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005
P3: 700 0 600 -335 0 700 180 2.3 0 0 1 0.003
Tr: 0 -1 0 -0.02 0 0 -1 -0.06 1 0 0 -0.33
"""


def first_from_velodynes():
    """(4, 4, 4): a left turn at about 10 m/s."""
    t = np.array(TIMES_S)
    where = np.stack([50 * np.sin(0.2 * t), 50 * (1 - np.cos(0.2 * t)), 0.01 * t], axis=1)
    return rigid(rotation_from_quaternion(quaternion_from_yaw(0.2 * t)), where)


def make(root):
    """Four frames; returns sequences/04."""
    sequence = root / "sequences" / "04"
    rng = np.random.default_rng(0)
    for folder in ("velodyne", "image_2", "image_3"):
        (sequence / folder).mkdir(parents=True)
    (root / "poses").mkdir()
    (sequence / "calib.txt").write_text(CALIBRATION)
    (sequence / "times.txt").write_text("".join(f"{t:.6e}\n" for t in TIMES_S))
    camera_from_velodyne = rigid(TR[:, :3], TR[:, 3])
    stored = camera_from_velodyne @ first_from_velodynes() @ inverse(camera_from_velodyne)
    lines = [" ".join(f"{value:.6e}" for value in pose[:3].ravel()) for pose in stored]
    (root / "poses" / "04.txt").write_text("\n".join(lines) + "\n")
    for number in range(len(TIMES_S)):
        (sequence / "velodyne" / f"{number:06}.bin").write_bytes(rng.normal(size=(50, 4)).astype("<f4").tobytes())
        for folder in ("image_2", "image_3"):
            picture = encode_jpeg(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8))
            # published as PNG; what the bytes are decides how they are read
            (sequence / folder / f"{number:06}.png").write_bytes(picture)
    return sequence
