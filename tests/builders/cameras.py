"""Pictures as tests make them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from perceptum.inputs import CameraImage
from perceptum.inputs.poses import rigid

T0 = 1_700_000_000_000_000_000
SIZE = (54, 96)
# x right, y down, z forward, of a camera that looks ahead
AHEAD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def mount(yaw_rad: float = 0.0, place: Any = (1.5, 0.0, 1.6)) -> np.ndarray:
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return rigid(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ AHEAD, place)


def intrinsics(size: tuple[int, int] = SIZE) -> np.ndarray:
    height, width = size
    return np.array([[0.8 * width, 0, width / 2 - 0.3], [0, 0.8 * width, height / 2 + 0.4], [0, 0, 1.0]])


def pixels(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: noise over a slope, so that no two places look the same."""
    height, width = size
    slope = np.linspace(0, 180, height * width * 3).reshape(height, width, 3)
    return (slope + np.random.default_rng(seed).integers(0, 76, slope.shape)).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def picture(
    camera: str = "front",
    time_ns: int = T0,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
    yaw_rad: float = 0.0,
    **more: Any,
) -> CameraImage:
    """A lossless picture, so that its pixels are known."""
    encoded = png(pixels(size, seed))
    given: dict[str, Any] = {
        "intrinsics": intrinsics(size),
        "ego_from_camera": mount(yaw_rad),
        "read": lambda: encoded,
        "source": f"{camera}.png",
        **more,
    }
    return CameraImage(camera, time_ns, **given)
