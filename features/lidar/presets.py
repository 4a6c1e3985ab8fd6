"""Named parameters of published models. Sources: the configurations that the models' authors publish.

Voxel limits are those for evaluation; training runs usually take fewer: {"preset": NAME, "max_voxels": N}.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BEV_OCCUPANCY", "BEV_STATS", "RANGE_IMAGE", "VOXELS"]

_XYZI = ["x", "y", "z", "intensity"]
_XYZIT = [*_XYZI, "time_lag"]
# nuScenes-trained checkpoints see ten sweeps in the LIDAR_TOP's axes, raw intensity, the car itself cut out
_NUS_CLOUD = {
    "num_sweeps": 10,
    "frame": "lidar",
    "intensity_mode": "raw",
    "remove_close": 1.0,
    "compensate": "per_sweep",
}
_KITTI_CLOUD = {"frame": "lidar", "intensity_mode": "unit"}


def _voxels(
    low_high: list[float], voxel: list[float], points: int, voxels: int, columns: list[str], **cloud: Any
) -> dict[str, Any]:
    return {
        "grid": {"range": low_high, "voxel": voxel},
        "max_points_per_voxel": points,
        "max_voxels": voxels,
        "columns": columns,
        **cloud,
    }


_NUS_0075 = _voxels([-54, -54, -5, 54, 54, 3], [0.075, 0.075, 0.2], 10, 160_000, _XYZIT, **_NUS_CLOUD)
_KITTI_005 = _voxels([0, -40, -3, 70.4, 40, 1], [0.05, 0.05, 0.1], 5, 40_000, _XYZI, **_KITTI_CLOUD)

Presets = dict[str, dict[str, Any]]
"""Preset -> parameters that differ from the schema's own."""

VOXELS: Presets = {
    "pointpillars_kitti": _voxels([0, -39.68, -3, 69.12, 39.68, 1], [0.16, 0.16, 4], 32, 40_000, _XYZI, **_KITTI_CLOUD),
    "second_kitti": _KITTI_005,
    "pvrcnn_kitti": _KITTI_005,
    "pointpillars_nus": _voxels(
        [-50, -50, -5, 50, 50, 3], [0.25, 0.25, 8], 64, 40_000, ["x", "y", "z", "time_lag"], **_NUS_CLOUD
    ),
    "centerpoint_pillar_nus": _voxels(
        [-51.2, -51.2, -5, 51.2, 51.2, 3], [0.2, 0.2, 8], 20, 40_000, _XYZIT, **_NUS_CLOUD
    ),
    "centerpoint_voxel01_nus": _voxels(
        [-51.2, -51.2, -5, 51.2, 51.2, 3], [0.1, 0.1, 0.2], 10, 120_000, _XYZIT, **_NUS_CLOUD
    ),
    "centerpoint_voxel0075_nus": _NUS_0075,
    "bevfusion": _NUS_0075,
    "transfusion": _NUS_0075,
    "voxelnext_nus": _NUS_0075,
    "voxelnext_av2": _voxels([-200, -200, -20, 200, 200, 20], [0.1, 0.1, 0.2], 20, 160_000, _XYZI),
    "once_pillar": _voxels([-75.2, -75.2, -5, 75.2, 75.2, 3], [0.2, 0.2, 8], 16, 60_000, _XYZI, frame="lidar"),
}

BEV_OCCUPANCY: Presets = {
    "pixor_kitti": {"grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 0.1]}, **_KITTI_CLOUD},
    "intentnet": {"grid": {"range": [-72, -40, -2, 72, 40, 3.8], "voxel": [0.2, 0.2, 0.2]}},
}

BEV_STATS: Presets = {
    "pixor_kitti": {
        "grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 3.5]},
        "channels": ["mean_i"],
        **_KITTI_CLOUD,
    },
}

RANGE_IMAGE: Presets = {
    "rangenet_64x2048": {
        "height": 64,
        "width": 2048,
        "fov": [3.0, -25.0],
        "norm": {"mean": [12.12, 10.88, 0.23, -1.04, 0.21], "std": [12.32, 11.47, 6.91, 0.86, 0.16]},
    },
}
