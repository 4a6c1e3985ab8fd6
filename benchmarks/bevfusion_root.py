"""A made-up nuScenes root with what BEVFusion takes: sweeps of 32 beams, six cameras' pictures, five radars' cycles, a
map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import simplejpeg
from bevfusion_map import write_town
from clouds import SWEEP, maker, radar_sensors, write_cycles
from numpy.typing import NDArray

from perceptum.datasets import open_log
from perceptum.inputs import Log
from perceptum.inputs.cache import Cache
from perceptum.inputs.poses import inverse, quaternion_from_rotation, rigid, rotation_from_quaternion

__all__ = ["CAMERAS", "SIZE", "encoded_pictures", "made_bevfusion", "open_reading"]

SIZE = (900, 1600)
CAMERAS = {
    # where it looks, degrees, its focal length, px, and when its picture is taken, us after the lidar: about as
    # nuScenes has them
    "CAM_FRONT": (0, 1266, -35_491),
    "CAM_FRONT_RIGHT": (-55, 1260, -27_612),
    "CAM_FRONT_LEFT": (55, 1272, -43_107),
    "CAM_BACK": (180, 809, -10_426),
    "CAM_BACK_LEFT": (110, 1256, -528),
    "CAM_BACK_RIGHT": (-110, 1259, -20_058),
}
_QUALITY = 80
Value = TypeVar("Value")


def made_bevfusion(folder: Path) -> Path:
    """Writes the root and returns it; sweeps and poses are those of one drive, so that what stands still does."""
    made = maker()
    cameras = {name: ("camera", *_place(azimuth), 3, delay_us) for name, (azimuth, _, delay_us) in CAMERAS.items()}
    root: Path = made.make(folder / "nuscenes", sensors=made.SENSORS | radar_sensors() | cameras)
    made.change(root, "calibrated_sensor", lambda rows: _calibrate(rows, made))
    made.change(root, "sample_data", _resize)
    _write_drive(root, made)
    write_cycles(root)
    _write_pictures(root)
    write_town(root, open_log(root)[-1].world_from_ego)
    return root


class _MapOnly(Cache):
    """Keeps the map alone, so that every build reads all other files again."""

    def get(self, key: Any, make: Callable[[], Value]) -> Value:
        return super().get(key, make) if key[0].startswith("map") else make()


def open_reading(root: Path) -> Log:
    """Returns the log of a root, which keeps nothing that it reads but the map."""
    log = open_log(root)
    log.cache = _MapOnly(log.cache.most_bytes)
    return log


def _write_drive(root: Path, made: Any) -> None:
    """Writes the sweeps of a synthetic drive in the axes of nuScenes' lidar, and its poses at all records' times."""
    paths = sorted(root.glob("s*/LIDAR_TOP/*.bin"), key=_time_us)
    drive = open_log("synthetic", frames=len(paths), seed=0, beams=32, azimuth_steps=1160)
    _, place, wxyz, *_ = made.SENSORS["LIDAR_TOP"]
    lidar_from_ego = inverse(rigid(rotation_from_quaternion(wxyz), place))
    for path, frame in zip(paths, drive, strict=True):
        sweep = frame.lidar
        assert sweep is not None
        assert sweep.intensity is not None
        assert sweep.ring is not None
        lidar_from_sensor = lidar_from_ego @ sweep.ego_from_sensor
        xyz = lidar_from_sensor[:3, :3] @ np.stack([sweep.x, sweep.y, sweep.z]) + lidar_from_sensor[:3, 3:]
        np.column_stack([*xyz, sweep.intensity, sweep.ring])[:SWEEP].astype("<f4").tofile(path)
    first_us, times_ns = _time_us(paths[0]), drive.source.times_ns

    def move(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            time_ns = int(times_ns[0]) + (row["timestamp"] - first_us) * 1000
            pose = drive.world_from_ego(min(max(time_ns, int(times_ns[0])), int(times_ns[-1])))
            row["translation"] = pose[:3, 3].tolist()
            row["rotation"] = quaternion_from_rotation(pose[:3, :3]).tolist()

    made.change(root, "ego_pose", move)


def _time_us(path: Path) -> int:
    return int(path.name.split("__")[-1].split(".")[0])


def _place(azimuth_deg: float) -> tuple[list[float], list[float]]:
    c, s = np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
    # x right, y down, z forward
    ego_from_camera = np.array([[s, 0, c], [-c, 0, s], [0, -1, 0]])
    return [0.5 + 0.8 * c, 0.8 * s, 1.5], quaternion_from_rotation(ego_from_camera).tolist()


def _calibrate(rows: list[dict[str, Any]], made: Any) -> None:
    focal_px = {made.token("calibration", name): focal for name, (_, focal, _) in CAMERAS.items()}
    for row in rows:
        if row["token"] in focal_px:
            focal = focal_px[row["token"]]
            row["camera_intrinsic"] = [[focal, 0.0, 816.25], [0.0, focal, 491.5], [0.0, 0.0, 1.0]]


def _resize(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["height"]:
            row["height"], row["width"] = SIZE


def _write_pictures(root: Path) -> None:
    """Each camera's always the same."""
    for camera, encoded in zip(CAMERAS, encoded_pictures(), strict=True):
        for path in root.glob(f"s*/{camera}/*.jpg"):
            path.write_bytes(encoded)


def encoded_pictures() -> list[bytes]:
    """Six different pictures, as JPEG bytes."""
    whole = _scene()
    scenes = (np.roll(whole, (137 * number, 211 * number), (0, 1)) for number in range(len(CAMERAS)))
    # nuScenes' own have this quality and halved colours too, and so about as many bytes
    return [
        simplejpeg.encode_jpeg(np.ascontiguousarray(scene), quality=_QUALITY, colorsubsampling="420")
        for scene in scenes
    ]


def _scene() -> NDArray[np.uint8]:
    """Clouds of grey with a little colour, whose fine detail is as weak as in photographs: about 1 / frequency."""
    rng = np.random.default_rng(0)
    grey, *colours = (_clouds(rng, slope) for slope in (1.5, 1.8, 1.8, 1.8))
    pixels = np.stack([110 + 50 * grey + 12 * colour for colour in colours], axis=-1)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, slope: float) -> NDArray[np.float64]:
    height, width = SIZE
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    made = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(SIZE)) / frequency**slope, SIZE)
    found: NDArray[np.float64] = made / made.std()
    return found
