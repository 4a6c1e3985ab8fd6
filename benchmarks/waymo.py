"""A frame of Waymo Open v2, five lidars from Parquet to points: the frames of a made-up segment in their order.

Written as published: brotli, row groups of 256, images of the true sizes, about 0.8 MB a frame. Half of the half minute
that it takes goes into writing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from harness import Result, compare, ms, ratio
from numpy.typing import NDArray

from perceptum.datasets import open_log
from perceptum.inputs import Log

__all__ = ["run", "write_segment"]

FRAMES, WARM = 24, 3
SHAPES = {1: (64, 2650), 2: (200, 600), 3: (200, 600), 4: (200, 600), 5: (200, 600)}
STEP_US = 100_000
RANGE_STEP_M, ELONGATION_STEP = 0.00585532144, 0.0294
IMAGE, POSES = "[LiDARComponent].range_image_return", "[LiDARPoseComponent].range_image_return1"
Image = NDArray[np.float32]
Frames = Iterator[list[Any]]


def run(frames: int = FRAMES) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        write_segment(Path(folder), frames)
        ours, peer = _sweeps(open_log(folder)), _sweeps(open_log(folder))
        # read from first to last by what the first row began with
        with patch("perceptum.datasets.waymo_v2.parquet.rows_of", _by_arrow):
            theirs = next(peer)
        if not all(np.array_equal(a.x, b.x) for a, b in zip(next(ours), theirs, strict=True)):
            raise SystemExit("the points are not those that pyarrow reads")
        work: dict[str, Callable[[], object]] = {"ours": lambda: next(ours), "arrow": lambda: next(peer)}
        times = compare(frames - 1 - WARM, work, WARM)
    took_ms = float(np.median(times["ours"])) * 1e3
    return [
        Result(
            "Waymo v2: the next frame, five lidars from Parquet to points",
            ms(times["ours"]),
            f"its lists decoded by pyarrow {ms(times['arrow'])}",
            f"{ratio(times, 'arrow', 'ours'):.1f} times as fast",
            "under 30 ms",
            took_ms < 30,
        )
    ]


def _sweeps(log: Log) -> Frames:
    return (frame.sweeps() for frame in log)


def _by_arrow(file: Any, _: object, groups: Sequence[int], columns: Sequence[str]) -> Any:
    return file.iter_batches(1, row_groups=list(groups), columns=list(columns), use_threads=False)


def write_segment(root: Path, frames: int) -> None:
    """Writes the components that points need."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    stamps = 1_550_083_467_346_370 + STEP_US * np.arange(frames)
    keys = [(frame, laser) for frame in range(frames) for laser in SHAPES]
    lidar: dict[str, Any] = {
        "key.frame_timestamp_micros": [stamps[frame] for frame, _ in keys],
        "key.laser_name": pa.array([laser for _, laser in keys], pa.int8()),
    }
    first = [_image(rng, laser, frame) for frame, laser in keys]
    second = [np.where(rng.random((*image.shape[:2], 1)) < 0.1, image, np.float32(-1)) for image in first]
    lidar |= _lists(f"{IMAGE}1", first) | _lists(f"{IMAGE}2", second)
    _write(root, "lidar", lidar)
    top = {"key.frame_timestamp_micros": stamps, "key.laser_name": pa.array([1] * frames, pa.int8())}
    _write(root, "lidar_pose", top | _lists(POSES, [_pixel_poses(rng, frame) for frame in range(frames)]))
    flat = np.stack([_pose(frame * STEP_US * 1e-6) for frame in range(frames)]).reshape(frames, 16)
    transforms = pa.array(flat.astype(np.float32).tolist(), pa.list_(pa.float32(), 16))
    pose = {"[VehiclePoseComponent].world_from_vehicle.transform": transforms}
    _write(root, "vehicle_pose", {"key.frame_timestamp_micros": stamps} | pose)
    _write(root, "lidar_calibration", _calibration())


def _write(root: Path, component: str, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (root / component).mkdir()
    parquet.write_table(pa.table(columns), root / component / "made.parquet", row_group_size=256, compression="brotli")


def _lists(name: str, images: list[Image]) -> dict[str, Any]:
    import pyarrow as pa

    ends = np.cumsum([0, *(image.size for image in images)]).astype(np.int32)
    values = pa.ListArray.from_arrays(ends, np.concatenate([image.ravel() for image in images]))
    shapes = pa.array([list(image.shape) for image in images], pa.list_(pa.int32(), 3))
    return {f"{name}.values": values, f"{name}.shape": shapes}


def _image(rng: np.random.Generator, laser: int, frame: int) -> Image:
    """(H, W, 4): ground and walls with 2 cm of noise, in steps as published; short lidars see a quarter, to 20 m."""
    height, width = SHAPES[laser]
    inclination = np.linspace(0.04, -0.31, height) if laser == 1 else np.linspace(0.5, -1.5, height)
    azimuth = np.linspace(-np.pi, np.pi, width)
    ground = (2.2 if laser == 1 else 0.8) / np.maximum(np.sin(-inclination), 1e-3)
    walls = 23 + 15 * np.sin(3 * azimuth + 0.05 * frame) + 10 * np.sin(7 * azimuth) ** 2
    range_m = np.minimum(ground[:, None], walls) + rng.normal(0, 0.02, (height, width))
    seen = rng.random((height, width)) < (0.93 if laser == 1 else 0.5)
    seen &= (range_m > 0) & (range_m < 75) if laser == 1 else (range_m < 20) & (np.abs(azimuth) < np.pi / 4)
    out = np.empty((height, width, 4), np.float32)
    out[..., 0] = np.rint(range_m / RANGE_STEP_M) * RANGE_STEP_M
    # the upper half of a float32's bits
    out[..., 1] = (rng.exponential(0.15, seen.shape).astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    out[..., 2] = np.maximum(0, rng.integers(-12, 6, seen.shape)) * ELONGATION_STEP
    out[..., 3] = np.where(np.abs(azimuth) < 0.2, 1, -1)
    out[~seen] = -1
    return out


def _pose(time_s: float) -> NDArray[np.float64]:
    yaw = 0.2 * time_s
    out = np.eye(4)
    out[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    out[:3, 3] = 860 + 50 * np.sin(yaw), 15_600 + 50 * (1 - np.cos(yaw)), -651
    return out


def _pixel_poses(rng: np.random.Generator, frame: int) -> Image:
    """(H, W, 6) roll pitch yaw x y z, one pose a column."""
    height, width = SHAPES[1]
    seconds = frame * STEP_US * 1e-6 + (np.arange(width) / width - 0.5) * 0.1
    place = np.array([_pose(time)[:3, 3] for time in seconds]) + rng.normal(0, 1e-3, (width, 3))
    angles = np.column_stack([rng.normal(0, 1e-3, (width, 2)), 0.2 * seconds])
    row = np.column_stack([angles, place]).astype(np.float32)
    return np.broadcast_to(row, (height, width, 6))


def _calibration() -> dict[str, Any]:
    import pyarrow as pa

    name, lasers = "[LiDARCalibrationComponent]", len(SHAPES)
    beams = np.linspace(-0.31, 0.04, SHAPES[1][0]).tolist()
    return {
        "key.laser_name": pa.array(SHAPES, pa.int8()),
        f"{name}.extrinsic.transform": pa.array([np.eye(4).ravel().tolist()] * lasers, pa.list_(pa.float64(), 16)),
        f"{name}.beam_inclination.min": [beams[0]] + [-1.5] * (lasers - 1),
        f"{name}.beam_inclination.max": [beams[-1]] + [0.5] * (lasers - 1),
        f"{name}.beam_inclination.values": pa.array([beams] + [None] * (lasers - 1), pa.list_(pa.float64())),
    }
