"""The clouds that lidar benchmarks work on: streets of the synthetic drive, seen by a lidar of 64 beams and one of 32.

Points come in the order in which a spinning lidar fires: all beams of one direction, then the next direction.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import Frame, LidarSweep, Log, RadarSweep
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["CYCLES", "ONE", "SWEEP", "SWEEPS", "TEN", "made_nuscenes", "made_nuscenes_radars", "maker", "one_sweep"]
__all__ += ["past_of_ten", "radar_sensors", "recorded", "ten_sweeps", "write_cycles"]

ONE = 160_640
"""Points of one sweep of 64 beams."""
TEN = 322_970
"""Points of ten sweeps of 32 beams that were brought into one frame and recorded as one."""
CYCLES = 6
"""Cycles of each of five radars that are taken together."""
SWEEP, SWEEPS = 34_720, 10
"""Points of a sweep of 32 beams, as nuScenes records it, and how many are taken together."""


@cache
def one_sweep() -> NDArray[np.float32]:
    """Returns (ONE, 4) x y z intensity, in the ego frame."""
    return _points(open_log("synthetic", frames=2, seed=0, beams=64, azimuth_steps=2640)[1], 1)[:ONE]


@cache
def ten_sweeps() -> NDArray[np.float32]:
    """Returns (TEN, 4) x y z intensity, in the ego frame, newest sweep first."""
    return _points(_of_32_beams()[SWEEPS + 1], SWEEPS)[:TEN]


def past_of_ten() -> list[Frame]:
    """Returns two frames that follow each other, each with ten sweeps of 32 beams up to it, as they were recorded."""
    log = _of_32_beams()
    return [log[SWEEPS], log[SWEEPS + 1]]


def _of_32_beams() -> Log:
    return open_log("synthetic", frames=SWEEPS + 2, seed=0, beams=32, azimuth_steps=1160)


def _points(frame: Frame, sweeps: int) -> NDArray[np.float32]:
    params = {"columns": ["x", "y", "z", "intensity"], "num_sweeps": sweeps}
    return InputBuilder(["lidar_points"], params={"lidar_points": params}).build(frame)["lidar_points"]


def recorded(points: NDArray[np.float32]) -> Frame:
    """Returns a frame of a log in memory: its one sweep lies in the car's own axes, with a column for each quantity."""
    x, y, z, intensity = points.T.copy()
    return memory_log([LidarSweep("lidar", 10**18, np.eye(4), x, y, z, intensity)])[0]


def maker() -> Any:
    """Returns the tests' own maker of nuScenes roots."""
    tests = str(Path(__file__).parent.parent / "tests" / "datasets")
    sys.path.insert(0, tests)
    try:
        import made_nuscenes as made  # type: ignore[import-not-found]
    finally:
        sys.path.remove(tests)
    return made


def made_nuscenes_radars(folder: Path) -> Path:
    """Writes a made-up nuScenes root with cycles of five radars as the synthetic drive has them, and returns it."""
    made = maker()
    root: Path = made.make(folder / "nuscenes", sensors=made.SENSORS | radar_sensors())
    write_cycles(root)
    return root


def radar_sensors() -> dict[str, Any]:
    """Returns five radars as the maker of nuScenes roots takes them, where the synthetic drive has them."""
    found = {}
    for k, (name, cycle) in enumerate(_of_radars().radars.items()):
        place = cycle.ego_from_sensor
        # seven cycles in the half second of a sample, each radar at its own time
        timed = 7, -5_000 - 9_000 * k
        found[name] = ("radar", [*place[:3, 3]], [*quaternion_from_rotation(place[:3, :3])], *timed)
    return found


def write_cycles(root: Path) -> None:
    """Writes cycles of the synthetic drive over those of a made-up nuScenes root."""
    made, frame = maker(), _of_radars()
    cycles = {name: frame.radar_sweeps(CYCLES, name) for name in frame.radars}
    for number, path in enumerate(sorted(root.glob("s*/RADAR*/*.pcd"))):
        of_radar = cycles[path.parent.name]
        path.write_bytes(made.radar_pcd(_rows_of(of_radar[number % CYCLES])))


def _of_radars() -> Frame:
    return open_log("synthetic", frames=12, seed=0)[-1]


def _rows_of(cycle: RadarSweep) -> list[tuple[Any, ...]]:
    """A cycle as rows of nuScenes' 18 fields."""
    names = (
        "x",
        "y",
        "z",
        "dyn_prop",
        "id",
        "rcs",
        "vx",
        "vy",
        "vx_comp",
        "vy_comp",
        "is_quality_valid",
        "ambig_state",
    )
    names += ("x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms")
    columns = [getattr(cycle, name) for name in names]
    whole = [np.zeros(len(cycle), np.int8) if column is None else column for column in columns]
    return list(zip(*(column.tolist() for column in whole), strict=True))


def made_nuscenes(folder: Path) -> Path:
    """Writes a made-up nuScenes root with sweeps of SWEEP points, and returns it; the tests' own, with other points."""
    root: Path = maker().make(folder / "nuscenes")
    frames = [frame.lidar for frame in _of_32_beams()]
    for number, path in enumerate(sorted(root.glob("s*/LIDAR_TOP/*.bin"))):
        sweep = frames[number % len(frames)]
        assert sweep is not None
        assert sweep.intensity is not None
        assert sweep.ring is not None
        columns = (sweep.x, sweep.y, sweep.z, sweep.intensity, sweep.ring)
        np.column_stack([column[:SWEEP] for column in columns]).astype("<f4").tofile(path)
    return root
