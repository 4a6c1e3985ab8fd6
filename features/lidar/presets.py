"""Named parameters of published models: in testing, what differs in training, and the configuration they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["BEV_OCCUPANCY", "BEV_STATS", "PILLARS", "RANGE_IMAGE", "VOXELS"]

_PIXOR = "philip-huang/PIXOR srcs/datagen.py"
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


_PCDET = "OpenPCDet tools/cfgs/"
_MMDET3D = "mmdetection3d configs/_base_/models/"


def _voxels(
    follows: str,
    low_high: list[float],
    voxel: list[float],
    points: int,
    voxels: tuple[int, int],
    columns: list[str],
    **cloud: Any,
) -> Preset:
    """voxels: at most so many, in training and in testing."""
    in_training, in_testing = voxels
    params = {
        "grid": {"range": low_high, "voxel": voxel},
        "max_points_per_voxel": points,
        "max_voxels": in_testing,
        "columns": columns,
        **cloud,
    }
    return Preset(params, {"max_voxels": in_training} if in_training != in_testing else {}, follows)


def _nus_0075(follows: str) -> Preset:
    voxel, most = [0.075, 0.075, 0.2], (120_000, 160_000)
    return _voxels(follows, [-54, -54, -5, 54, 54, 3], voxel, 10, most, _XYZIT, **_NUS_CLOUD)


def _kitti_005(follows: str) -> Preset:
    voxel, most = [0.05, 0.05, 0.1], (16_000, 40_000)
    return _voxels(follows, [0, -40, -3, 70.4, 40, 1], voxel, 5, most, _XYZI, **_KITTI_CLOUD)


Presets = dict[str, Preset]

VOXELS: Presets = {
    "pointpillars_kitti": _voxels(
        f"{_PCDET}kitti_models/pointpillar.yaml",
        [0, -39.68, -3, 69.12, 39.68, 1],
        [0.16, 0.16, 4],
        32,
        (16_000, 40_000),
        _XYZI,
        **_KITTI_CLOUD,
    ),
    "second_kitti": _kitti_005(f"{_PCDET}kitti_models/second.yaml"),
    "pvrcnn_kitti": _kitti_005(f"{_PCDET}kitti_models/pv_rcnn.yaml"),
    "pointpillars_nus": _voxels(
        f"{_MMDET3D}pointpillars_hv_fpn_nus.py",
        [-50, -50, -5, 50, 50, 3],
        [0.25, 0.25, 8],
        64,
        (30_000, 40_000),
        ["x", "y", "z", "time_lag"],
        **_NUS_CLOUD,
    ),
    "centerpoint_pillar_nus": _voxels(
        f"{_MMDET3D}centerpoint_pillar02_second_secfpn_nus.py",
        [-51.2, -51.2, -5, 51.2, 51.2, 3],
        [0.2, 0.2, 8],
        20,
        (30_000, 40_000),
        _XYZIT,
        **_NUS_CLOUD,
    ),
    "centerpoint_voxel01_nus": _voxels(
        f"{_MMDET3D}centerpoint_voxel01_second_secfpn_nus.py",
        [-51.2, -51.2, -5, 51.2, 51.2, 3],
        [0.1, 0.1, 0.2],
        10,
        (90_000, 120_000),
        _XYZIT,
        **_NUS_CLOUD,
    ),
    "centerpoint_voxel0075_nus": _nus_0075(
        "mmdetection3d configs/centerpoint/centerpoint_voxel0075_second_secfpn_8xb4-cyclic-20e_nus-3d.py"
    ),
    "bevfusion": _nus_0075(f"{_PCDET}nuscenes_models/bevfusion.yaml"),
    "transfusion": _nus_0075(f"{_PCDET}nuscenes_models/transfusion_lidar.yaml"),
    "voxelnext_nus": _nus_0075(f"{_PCDET}nuscenes_models/cbgs_voxel0075_voxelnext.yaml"),
    "voxelnext_av2": _voxels(
        f"{_PCDET}argo2_models/cbgs_voxel01_voxelnext.yaml",
        [-200, -200, -20, 200, 200, 20],
        [0.1, 0.1, 0.2],
        20,
        (120_000, 160_000),
        _XYZI,
    ),
    "once_pillar": _voxels(
        f"{_PCDET}once_models/pointpillar.yaml",
        [-75.2, -75.2, -5, 75.2, 75.2, 3],
        [0.2, 0.2, 8],
        16,
        (60_000, 60_000),
        _XYZI,
        frame="lidar",
    ),
}


def _pillars(voxels: str, follows: str, **decoration: Any) -> Preset:
    """The pillars of a preset of voxels, decorated."""
    own = VOXELS[voxels]
    return Preset({**own.params, **decoration}, own.training, follows)


PILLARS: Presets = {
    "pointpillars_kitti": _pillars("pointpillars_kitti", f"{_PCDET}kitti_models/pointpillar.yaml, PillarVFE"),
    "pointpillars_kitti_legacy": _pillars(
        "pointpillars_kitti",
        f"{_MMDET3D}pointpillars_hv_secfpn_kitti.py, PillarFeatureNet with legacy=True, its default",
        legacy=True,
    ),
    "pointpillars_nus": _pillars("pointpillars_nus", f"{_MMDET3D}pointpillars_hv_fpn_nus.py, HardVFE"),
    "centerpoint_pillar_nus": _pillars(
        "centerpoint_pillar_nus",
        f"{_MMDET3D}centerpoint_pillar02_second_secfpn_nus.py, PillarFeatureNet with legacy=False",
    ),
    "once_pillar": _pillars("once_pillar", f"{_PCDET}once_models/pointpillar.yaml, PillarVFE"),
}

BEV_OCCUPANCY: Presets = {
    "pixor_kitti": Preset(
        {"grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 0.1]}, **_KITTI_CLOUD}, follows=_PIXOR
    ),
    "intentnet": Preset(
        {"grid": {"range": [-72, -40, -2, 72, 40, 3.8], "voxel": [0.2, 0.2, 0.2]}},
        follows="the paper (Casas et al. 2018, section 4), of which no configuration is public",
    ),
}

BEV_STATS: Presets = {
    "pixor_kitti": Preset(
        {
            "grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 3.5]},
            "channels": ["mean_i"],
            **_KITTI_CLOUD,
        },
        follows=_PIXOR,
    ),
}

RANGE_IMAGE: Presets = {
    "rangenet_64x2048": Preset(
        {
            "height": 64,
            "width": 2048,
            "fov": [3.0, -25.0],
            "norm": {"mean": [12.12, 10.88, 0.23, -1.04, 0.21], "std": [12.32, 11.47, 6.91, 0.86, 0.16]},
        },
        follows="lidar-bonnetal train/tasks/semantic/config/arch/darknet53.yaml",
    ),
}
