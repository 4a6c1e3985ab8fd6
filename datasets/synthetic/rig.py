"""The car's sensors: where they sit (ego frame, metres, degrees), what they see, and when they measure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perceptum.inputs import Matrix
from perceptum.inputs.poses import rigid

from .trig import cosine, product, sine

__all__ = [
    "CAMERAS",
    "LIDAR",
    "LIDAR_MOUNT",
    "PERIOD_NS",
    "RADARS",
    "CameraMount",
    "RadarMount",
    "ego_from_camera",
    "intrinsics",
    "turned",
]


PERIOD_NS = 100_000_000
"""One lidar revolution."""
LIDAR = "LIDAR_TOP"
_DEGREE = 0.017453292519943295


def turned(yaw_deg: float, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Matrix:
    """Returns the (3, 3) rotation Rz(yaw) Ry(pitch) Rx(roll)."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.array([yaw_deg, pitch_deg, roll_deg]) * _DEGREE) for f in (cosine, sine))
    z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1.0]])
    y = np.array([[cp, 0, sp], [0, 1.0, 0], [-sp, 0, cp]])
    x = np.array([[1.0, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return product(product(z, y), x)


# slightly crooked, as real mounts are, so that a calibration left out shows
LIDAR_MOUNT = rigid(turned(0.6, 0.35, -0.25), (0.94, 0.0, 1.84))


class RadarMount(NamedTuple):
    position: tuple[float, float, float]
    yaw_deg: float
    phase_ns: int
    """Its first cycle after the drive's start; 13 cycles a second."""

    @property
    def ego_from_sensor(self) -> Matrix:
        return rigid(turned(self.yaw_deg), self.position)


RADARS = {
    "RADAR_FRONT": RadarMount((3.41, 0.0, 0.5), 0.0, 11_300_000),
    "RADAR_FRONT_LEFT": RadarMount((2.42, 0.8, 0.78), 90.0, 27_100_000),
    "RADAR_FRONT_RIGHT": RadarMount((2.42, -0.8, 0.77), -90.0, 41_900_000),
    "RADAR_BACK_LEFT": RadarMount((-0.56, 0.62, 0.53), 175.0, 56_700_000),
    "RADAR_BACK_RIGHT": RadarMount((-0.56, -0.62, 0.54), -175.0, 69_500_000),
}


class CameraMount(NamedTuple):
    position: tuple[float, float, float]
    yaw_deg: float
    down_deg: float
    focal: float
    """In widths of the picture; the pixels are square."""

    @property
    def phase_ns(self) -> int:
        """The lidar starts at the back and turns clockwise; the picture is taken when it looks along the camera."""
        return round((180.0 - self.yaw_deg) % 360.0 / 360.0 * PERIOD_NS)


CAMERAS = {
    "CAM_FRONT": CameraMount((1.70, 0.0, 1.51), 0.0, 1.0, 0.791),
    "CAM_FRONT_LEFT": CameraMount((1.52, 0.49, 1.51), 55.0, 1.2, 0.795),
    "CAM_FRONT_RIGHT": CameraMount((1.55, -0.49, 1.5), -56.0, 1.1, 0.788),
    "CAM_BACK": CameraMount((0.03, 0.0, 1.58), 179.5, 0.8, 0.506),
    "CAM_BACK_LEFT": CameraMount((1.04, 0.48, 1.59), 109.0, 1.0, 0.785),
    "CAM_BACK_RIGHT": CameraMount((1.01, -0.48, 1.56), -110.0, 1.3, 0.787),
}


def ego_from_camera(mount: CameraMount) -> Matrix:
    """Returns (4, 4); camera axes x right, y down, z forward."""
    axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return rigid(product(turned(mount.yaw_deg, mount.down_deg), axes), mount.position)


def intrinsics(mount: CameraMount, width: int, height: int) -> Matrix:
    """Returns (3, 3); the middle of the first pixel is (0, 0)."""
    focal = mount.focal * width
    return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1.0]])
