"""Opening nuScenes tables of trainval's size: 1.2 million sample_data, 1.1 million annotations, 2 GB of JSON.

Each opening is a process of its own. Most of the half minute that it takes goes into writing the tables.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import Result

__all__ = ["run", "write_tables"]

SCENES, SAMPLES_A_SCENE, BOXES_A_SAMPLE, SAMPLES_A_TRACK = 857, 40, 32, 20
RECORDS = {
    "LIDAR_TOP": 10,
    **dict.fromkeys(("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT"), 2),
    "CAM_FRONT_LEFT": 2,
    **dict.fromkeys(("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT"), 3),
    **dict.fromkeys(("RADAR_BACK_LEFT", "RADAR_BACK_RIGHT"), 2),
}
"""Sensor -> records a sample; the last is the keyframe."""

_OPEN = """
import sys, time
import perceptum as pc
start = time.perf_counter()
log = pc.open_log(sys.argv[1], scene=sys.argv[3], cache=sys.argv[2])
took = time.perf_counter() - start
boxes, posed = len(log[0].labels), len(log.source.poses.times_ns)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(took, peak, len(log), boxes, posed)
"""


def run(scenes: int = SCENES, rounds: int = 5) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "nuscenes", Path(folder) / "cache"
        rows = write_tables(root, scenes)
        index_s, index_mb = _open(root, cache, 0)
        again = [_open(root, cache, number * (scenes - 1) // rounds) for number in range(1, rounds + 1)]
    open_s, open_mb = median(took for took, _ in again), max(peak for _, peak in again)
    name = (
        f"nuScenes tables, {rows['sample_data'] / 1e6:.1f} M sample_data, {rows['sample_annotation'] / 1e6:.1f} M boxes"
    )
    return [
        Result(f"{name}: open once indexed", f"{open_s * 1e3:.0f} ms", "-", f"{open_s:.3f} s", "under 2 s", open_s < 2),
        Result("peak memory of that", f"{open_mb:.0f} MB", "-", f"{open_mb:.0f} MB", "under 1 GB", open_mb < 1000),
        Result(
            "peak memory while indexing", f"{index_mb:.0f} MB", "-", f"{index_mb:.0f} MB", "under 1 GB", index_mb < 1000
        ),
        Result("index, once", f"{index_s:.1f} s", "-", f"{index_s:.1f} s", "-", True),
    ]


def _open(root: Path, cache: Path, scene: int) -> tuple[float, float]:
    """Returns seconds and the peak of resident megabytes of one opening in a fresh process."""
    command = [sys.executable, "-c", _OPEN, str(root), str(cache), f"scene-{scene:04}"]
    took, peak, frames, boxes, _ = subprocess.check_output(command, text=True).split()
    if (int(frames), int(boxes)) != (SAMPLES_A_SCENE, BOXES_A_SAMPLE):
        raise SystemExit(f"scene {scene} opened with {frames} frames and {boxes} boxes")
    return float(took), int(peak) / 1e3


def write_tables(root: Path, scenes: int) -> dict[str, int]:
    """Writes the tables of so many scenes, in the published form; returns the rows of each."""
    tables = root / "v1.0-trainval"
    tables.mkdir(parents=True)
    for folder in RECORDS:
        (root / "samples" / folder).mkdir(parents=True)
        (root / "sweeps" / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    writers: dict[str, Callable[[], Iterable[str]]] = {
        "sample_data": lambda: _records(rng, scenes),
        "ego_pose": lambda: _poses(scenes),
        "sample_annotation": lambda: _annotations(scenes),
    }
    small = _small_tables(scenes)
    counts = {name: _write(tables / f"{name}.json", map(json.dumps, rows)) for name, rows in small.items()}
    return counts | {name: _write(tables / f"{name}.json", rows()) for name, rows in writers.items()}


def _write(path: Path, rows: Iterable[str]) -> int:
    rows, count = iter(rows), 0
    with open(path, "w") as file:
        file.write("[\n")
        while part := list(islice(rows, 10_000)):
            file.write((",\n" if count else "") + ",\n".join(part))
            count += len(part)
        file.write("\n]")
    return count


def _token(kind: int, number: int) -> str:
    # any bijection will do, so long as neighbours do not look alike
    return f"{(number * 0x9E3779B97F4A7C15 + kind) % 2**64:016x}{kind:04x}{number:012x}"


SAMPLE, RECORD, BOX, TRACK = range(4)


def _small_tables(scenes: int) -> dict[str, list[dict[str, Any]]]:
    samples = scenes * SAMPLES_A_SCENE
    tracks = samples // SAMPLES_A_TRACK * BOXES_A_SAMPLE
    place = {"translation": [0.9, 0.0, 1.8], "rotation": [0.7071, 0.0, 0.0, -0.7071], "camera_intrinsic": []}
    modality = {"L": "lidar", "C": "camera", "R": "radar"}
    return {
        "sensor": [{"token": name, "channel": name, "modality": modality[name[0]]} for name in RECORDS],
        "calibrated_sensor": [{"token": f"c{name}", "sensor_token": name, **place} for name in RECORDS],
        "log": [{"token": "log", "location": "boston-seaport"}],
        "scene": [{"token": f"s{i}", "name": f"scene-{i:04}", "log_token": "log"} for i in range(scenes)],
        "sample": [
            {"token": _token(SAMPLE, i), "timestamp": i * 500_000, "scene_token": f"s{i // SAMPLES_A_SCENE}"}
            for i in range(samples)
        ],
        "category": [{"token": "car", "name": "vehicle.car"}],
        "attribute": [{"token": "parked", "name": "vehicle.parked"}],
        "visibility": [{"token": "4", "level": "v80-100"}],
        "instance": [{"token": _token(TRACK, i), "category_token": "car"} for i in range(tracks)],
    }


def _records(rng: np.random.Generator, scenes: int) -> Iterator[str]:
    """The rows of a scene in no order of time, as published."""
    numbers = list(_stamps(scenes))
    a_scene = len(numbers) // scenes
    for start in range(0, len(numbers), a_scene):
        for at in rng.permutation(a_scene):
            number, sample, sensor, time_us, key = numbers[start + at]
            folder, token = "samples" if key else "sweeps", _token(RECORD, number)
            suffix = "pcd.bin" if sensor == "LIDAR_TOP" else "jpg" if sensor.startswith("CAM") else "pcd"
            yield (
                f'{{\n"token": "{token}",\n"sample_token": "{_token(SAMPLE, sample)}",\n"ego_pose_token": "{token}",\n'
                f'"calibrated_sensor_token": "c{sensor}",\n"timestamp": {time_us},\n"fileformat": "{suffix}",\n'
                f'"is_key_frame": {"true" if key else "false"},\n"height": 900,\n"width": 1600,\n"filename": '
                f'"{folder}/{sensor}/n000-2018-01-01-00-00-00-0400__{sensor}__{1500000000000000 + time_us}.{suffix}",\n'
                f'"prev": "{_token(RECORD, max(number - 1, 0))}",\n"next": "{_token(RECORD, number + 1)}"\n}}'
            )


def _stamps(scenes: int) -> Iterator[tuple[int, int, str, int, bool]]:
    """Yields number, sample, sensor, microseconds, is a keyframe."""
    number = 0
    for sample in range(scenes * SAMPLES_A_SCENE):
        for sensor, records in RECORDS.items():
            for i in range(records):
                yield number, sample, sensor, (sample + 1) * 500_000 - (records - 1 - i) * 49_000, i == records - 1
                number += 1


def _poses(scenes: int) -> Iterator[str]:
    for number, _, _, time_us, _ in _stamps(scenes):
        yield (
            f'{{\n"token": "{_token(RECORD, number)}",\n"timestamp": {time_us},\n"rotation": [\n0.6000123456789012,\n'
            f"-0.0012345678901234567,\n0.012345678901234567,\n-0.7998765432109876\n],\n"
            f'"translation": [\n{1000.1234567890123 + time_us * 1e-6},\n1500.1234567890123,\n0.0\n]\n}}'
        )


def _annotations(scenes: int) -> Iterator[str]:
    number = 0
    for sample in range(scenes * SAMPLES_A_SCENE):
        for i in range(BOXES_A_SAMPLE):
            track = sample // SAMPLES_A_TRACK * BOXES_A_SAMPLE + i
            yield (
                f'{{\n"token": "{_token(BOX, number)}",\n"sample_token": "{_token(SAMPLE, sample)}",\n'
                f'"instance_token": "{_token(TRACK, track)}",\n"visibility_token": "4",\n'
                f'"attribute_tokens": [\n"parked"\n],\n"translation": [\n{1010.123 + i},\n1490.456,\n0.8\n],\n'
                '"size": [\n0.654,\n0.678,\n1.765\n],\n'
                '"rotation": [\n0.9800665778412416,\n0.0,\n0.0,\n-0.19866933079506122\n],\n'
                f'"prev": "{_token(BOX, number - 1)}",\n"next": "{_token(BOX, number + 1)}",\n'
                f'"num_lidar_pts": {number % 97},\n"num_radar_pts": 0\n}}'
            )
            number += 1
