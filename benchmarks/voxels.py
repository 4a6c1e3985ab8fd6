"""Hard voxels against spconv's Point2VoxelCPU3d, on 160 000 points of the synthetic drive.

spconv: the object is reused, the result is copied out, since its buffers are overwritten by the next call.
Ours: the whole `build` of the three voxel tensors, from the sweep's columns; and the kernels alone, from the
cloud's columns, which is what spconv's call does from its (N, 4) array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Result, compare, ms, ratio
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log, open_log
from perceptum.inputs import Frame, LidarSweep

__all__ = ["run"]

POINTS = 160_000
# name, range, voxel, points per voxel, most voxels, wanted ratio
CASES = [
    (".16 m pillars", [0, -39.68, -3, 69.12, 39.68, 1], [0.16, 0.16, 4], 32, 40_000, 2.5),
    (".16 m pillars, all round", [-51.2, -51.2, -5, 51.2, 51.2, 3], [0.16, 0.16, 8], 32, 60_000, 2.5),
    (".075 m voxels", [-54, -54, -5, 54, 54, 3], [0.075, 0.075, 0.2], 10, 160_000, 2.0),
]
NAMES = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]


def run(rounds: int = 40) -> list[Result]:
    sweep = street_sweep()
    frame = memory_log([sweep])[0]
    points = np.stack([sweep.x, sweep.y, sweep.z, sweep.intensity], axis=1).astype(np.float32)
    return [line for case in CASES for line in _case(frame, points, rounds, *case)]


def street_sweep() -> LidarSweep:
    """Returns 160 000 points of the synthetic street in the ego frame, as a sweep in memory."""
    params = {"lidar_points": {"columns": ["x", "y", "z", "intensity"], "num_sweeps": 2}}
    frame = open_log("synthetic", frames=3, seed=0)[2]
    x, y, z, intensity = InputBuilder(["lidar_points"], params=params).build(frame)["lidar_points"][:POINTS].T.copy()
    assert len(x) == POINTS
    return LidarSweep("lidar", frame.time_ns, np.eye(4), x, y, z, intensity)


def _case(
    frame: Frame,
    points: NDArray[np.float32],
    rounds: int,
    name: str,
    low_high: list[float],
    voxel: list[float],
    per_voxel: int,
    most: int,
    wanted: float,
) -> list[Result]:
    params = {
        "grid": {"range": low_high, "voxel": voxel},
        "max_points_per_voxel": per_voxel,
        "max_voxels": most,
        "columns": ["x", "y", "z", "intensity"],
    }
    builder = InputBuilder(NAMES, params={"lidar_voxels": params})
    spconv = spconv_voxels(points, low_high, voxel, per_voxel, most)
    tensors = builder.build(frame)
    for ours, theirs in zip(tensors.values(), spconv(), strict=True):
        assert np.array_equal(ours, theirs), "not the same voxels: the comparison means nothing"
    work = {"build": lambda: builder.build(frame), "kernels": _kernels(builder, frame), "spconv": spconv}
    times = compare(rounds, work)
    return [
        _line(f"hard voxels, {name}, kernels", times, "kernels", wanted),
        _line(f"hard voxels, {name}, whole build", times, "build", None),
    ]


def _line(what: str, times: dict[str, list[float]], ours: str, wanted: float | None) -> Result:
    factor = ratio(times, "spconv", ours)
    met = wanted is None or factor >= wanted
    text = f"{factor:.2f} times as fast"
    return Result(
        what, ms(times[ours]), f"spconv {ms(times['spconv'])}", text, "-" if wanted is None else f"{wanted:g}", met
    )


def _kernels(builder: InputBuilder, frame: Frame) -> Callable[[], object]:
    """The stages after the cloud, and the filling: from columns to the three tensors."""
    cloud, *rest = builder.plan.stages

    def work() -> None:
        for stage in rest:
            stage.run(frame)
        for planned in builder.plan.tensors:
            array, buffer = builder.pool.take(planned.name, planned.name, planned.shape, planned.dtype)
            planned.fill(array, buffer.dirty)

    cloud.run(frame)
    return work


def spconv_voxels(
    points: NDArray[np.float32], low_high: list[float], voxel: list[float], per_voxel: int, most: int
) -> Callable[[], tuple[NDArray[Any], ...]]:
    """Returns a call of spconv's generator, made once, whose results are copied out."""
    from cumm import tensorview as tv
    from spconv.utils import Point2VoxelCPU3d

    generator = Point2VoxelCPU3d(
        vsize_xyz=voxel,
        coors_range_xyz=low_high,
        num_point_features=points.shape[1],
        max_num_voxels=most,
        max_num_points_per_voxel=per_voxel,
    )
    given = tv.from_numpy(points)
    return lambda: tuple(part.numpy().copy() for part in generator.point_to_voxel(given))
