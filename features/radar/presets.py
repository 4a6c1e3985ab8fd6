"""Named parameters of published models: in testing, what differs in training, and the configuration they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["BEV", "POINTS", "VOXELS"]

Presets = dict[str, Preset]

_BEVFUSION_CLOUD: dict[str, Any] = {
    "num_sweeps": 6,
    "newest": "nearest",
    "frame": "lidar",
    "filter": "none",
    "advance_by_velocity": True,
    "lag_from": "newest_cycle",
}
_BEVFUSION_COLUMNS = [
    *("x", "y", "z", "rcs", "vx_comp", "vy_comp", "time_lag"),
    *("dyn_prop_onehot", "ambig_state_onehot", "invalid_state_onehot", "pdh0_ordinal"),
]
_BEVFUSION = (
    "BEVFusion configs/nuscenes/det/centerhead/lssfpn/camera+radar/default.yaml (mit-han-lab), 45 columns; it picks by "
    "chance where a frame has more than 2500 detections, here the first ones are kept"
)
_CRN = (
    "CRN scripts/gen_radar_bev.py (youngskkim), which advances places by their velocity and keeps distances between "
    "0.1 and 100 m in the lidar's xy plane"
)
_VOD_CLOUD: dict[str, Any] = {"num_sweeps": 1, "frame": "radar", "filter": "none"}
_VOD_COLUMNS = ["x", "y", "z", "rcs", "v_radial", "v_radial_comp", "scan"]
_VOD = "view-of-delft-dataset PP-Radar.md, whose seventh column is the number of the scan"

POINTS: Presets = {
    "bevfusion_radar": Preset(
        {"columns": _BEVFUSION_COLUMNS, "max_points": 2500, **_BEVFUSION_CLOUD}, follows=_BEVFUSION
    ),
    "crn": Preset(
        {
            "columns": ["x", "y", "z", "rcs", "vx_comp", "vy_comp", "sweep"],
            "max_points": None,
            "num_sweeps": 8,
            "newest": "nearest",
            "frame": "lidar",
            "filter": "crn",
            "advance_by_velocity": True,
            "velocity_axes": "mount",
            "min_distance": 0.1,
            "max_distance": 100.0,
        },
        follows=_CRN,
    ),
    "radarnet": Preset(
        {
            "columns": ["x", "y", "vx_comp", "vy_comp", "dyn_prop", "time_lag"],
            "max_points": None,
            "num_sweeps": 6,
            "filter": "none",
        },
        follows="in the style of the paper (Yang et al. 2020, section 3.2, late fusion), of which no configuration is "
        "public: place, radial velocity, whether it moves, age",
    ),
    "pp_radar_vod": Preset({"columns": _VOD_COLUMNS, "max_points": None, **_VOD_CLOUD}, follows=_VOD),
}

VOXELS: Presets = {
    "bevfusion_radar": Preset(
        {
            "columns": _BEVFUSION_COLUMNS,
            "grid": {"range": [-51.2, -51.2, -5, 51.2, 51.2, 3], "voxel": [0.8, 0.8, 8]},
            "max_points": 2500,
            "max_points_per_voxel": 20,
            "max_voxels": 60_000,
            "coord_order": "xyz",
            **_BEVFUSION_CLOUD,
        },
        {"max_voxels": 30_000},
        follows=_BEVFUSION,
    ),
    "pp_radar_vod": Preset(
        {
            "columns": _VOD_COLUMNS,
            "grid": {"range": [0, -25.6, -3, 51.2, 25.6, 2], "voxel": [0.16, 0.16, 5]},
            "max_points_per_voxel": 10,
            "max_voxels": 40_000,
            **_VOD_CLOUD,
        },
        {"max_voxels": 16_000},
        follows=_VOD,
    ),
}

BEV: Presets = {
    "radarnet": Preset(
        {
            "grid": {"range": [-50, -50, -5, 50, 50, 3], "voxel": [0.25, 0.25, 8]},
            "num_sweeps": 6,
            "filter": "none",
        },
        follows="in the style of the paper (Yang et al. 2020, section 3.1), of which no configuration is public",
    ),
}
