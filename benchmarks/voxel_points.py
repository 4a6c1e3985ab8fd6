"""What is made of voxels, whole builds: decorated pillars, means, and which voxel each point is in."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from clouds import one_sweep, recorded, ten_sweeps
from harness import Result, compare, lines, ms, ratio

from perceptum.builders import InputBuilder

__all__ = ["run"]

VOXELS = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
PILLARS = ["lidar_pillar_features", "lidar_pillar_coords", "lidar_pillar_num_points"]
NEAR, WIDE = [-51.2, -51.2, -5, 51.2, 51.2, 3], [-54, -54, -5, 54, 54, 3]
PILLAR_CASES = [
    (".16 m pillars, one sweep", one_sweep, [0, -39.68, -3, 69.12, 39.68, 1], [0.16, 0.16, 4], 32, 40_000),
    (".2 m pillars, ten sweeps", ten_sweeps, NEAR, [0.2, 0.2, 8], 20, 60_000),
]
VOXEL_CASES = [
    (".1 m voxels, ten sweeps", ten_sweeps, NEAR, [0.1, 0.1, 0.2], 10, 120_000),
    (".075 m voxels, ten sweeps", ten_sweeps, WIDE, [0.075, 0.075, 0.2], 10, 160_000),
]
SLOWER_PILLARS, SHARE_OF_MEANS, QUICKER_IDS = 1.25, 0.8, 5.0


def run(rounds: int = 40) -> list[Result]:
    found = []
    for name, cloud, low_high, voxel, per_voxel, most in PILLAR_CASES:
        rows = _rows(low_high, voxel, per_voxel, most)
        found += _compare(rounds, cloud(), f"decorated pillars, {name}", PILLARS, VOXELS, rows, SLOWER_PILLARS)
        found += _point_ids(rounds, cloud(), f"pillar of each point, {name}", {**rows, "max_voxels": None})
    for name, cloud, low_high, voxel, per_voxel, most in VOXEL_CASES:
        rows = _rows(low_high, voxel, per_voxel, most)
        what = f"voxel means alone, {name}"
        found += _compare(rounds, cloud(), what, ["lidar_voxel_mean"], VOXELS[:1], rows, SHARE_OF_MEANS)
        found += _point_ids(rounds, cloud(), f"voxel of each point, {name}", {**rows, "max_voxels": None})
    return found


def _rows(low_high: list[float], voxel: list[float], per_voxel: int, most: int) -> dict[str, Any]:
    grid = {"range": low_high, "voxel": voxel}
    columns = ["x", "y", "z", "intensity"]
    return {"grid": grid, "max_points_per_voxel": per_voxel, "max_voxels": most, "columns": columns}


def _builder(names: list[str], rows: dict[str, Any], threads: int) -> InputBuilder:
    group = "lidar_pillars" if names[0].startswith("lidar_pillar") else "lidar_voxels"
    return InputBuilder(names, params={group: rows}, threads=threads)


def _compare(
    rounds: int, points: Any, what: str, names: list[str], plain: list[str], rows: dict[str, Any], most: float
) -> list[Result]:
    """Lines of what a build takes, as a share of what one of plain voxels takes."""
    frame, found = recorded(points), []
    for threads, said in ((1, "one thread"), (2, "two threads")):
        work = {"ours": partial(_builder(names, rows, threads).build, frame)}
        work["voxels"] = partial(_builder(plain, rows, threads).build, frame)
        times = compare(rounds, work)
        share = ratio(times, "ours", "voxels")
        numbers = ms(times["ours"]), f"voxels {ms(times['voxels'])}", f"{share:.2f} times the time"
        found.append(Result(f"{what}, {said}", *numbers, f"at most {most:g}", share <= most))
    return found


def _point_ids(rounds: int, points: Any, what: str, rows: dict[str, Any]) -> list[Result]:
    """Against torch's unique of the ids of all points' cells, -1 outside, which are given to it."""
    import torch

    low, voxel = np.float32(rows["grid"]["range"][:3]), np.float32(rows["grid"]["voxel"])
    size = np.round((np.float32(rows["grid"]["range"][3:]) - low) / voxel).astype(np.int64)
    cells = np.floor((points[:, :3] - low) / voxel).astype(np.int64)
    inside = ((cells >= 0) & (cells < size)).all(axis=1)
    ids = torch.from_numpy(np.where(inside, (cells[:, 2] * size[1] + cells[:, 1]) * size[0] + cells[:, 0], -1))
    frame, builders = recorded(points), [_builder(["lidar_point_voxel_id"], rows, threads) for threads in (1, 2)]
    _, wanted = torch.unique(ids, return_inverse=True)
    for builder in builders:
        own = builder.build(frame)["lidar_point_voxel_id"]
        pairs = len(np.unique(np.column_stack([own, wanted.numpy()]), axis=0))
        assert pairs == own.max() + 1 + (own < 0).any(), "not the same voxels: the comparison means nothing"
    one, two = (partial(builder.build, frame) for builder in builders)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        unique = partial(torch.unique, ids, return_inverse=True)
        times = compare(rounds // 2, {"one thread": one, "two threads": two, "torch.unique": unique})
    finally:
        torch.set_num_threads(threads)
    return lines(what, times, "torch.unique", {"one thread": QUICKER_IDS, "two threads": QUICKER_IDS})
