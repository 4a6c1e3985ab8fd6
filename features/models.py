"""Which features the published models take: one line per model. Their input specs are in examples/specs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MODELS", "taken_by", "used_by"]

_HARD_VOXELS = ("lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points")
_MEANS = (*_HARD_VOXELS, "lidar_voxel_mean")
_PILLARS = ("lidar_pillar_features", "lidar_pillar_coords", "lidar_pillar_num_points")
_DYNAMIC_VOXELS = ("lidar_points", "lidar_point_voxel_id", "lidar_voxel_coords")
_OVER_TIME = ("lidar_bev_temporal", "lidar_sweep_valid")
_RANGE_IMAGE = ("lidar_range_image", "lidar_range_image_mask", "lidar_range_image_index")
_RADAR_VOXELS = ("radar_voxels", "radar_voxel_coords", "radar_voxel_num_points")
_PROJECTED = ("camera_images", "camera_projection")
_LIFTED = ("camera_images", "camera_intrinsics", "camera_extrinsics", "camera_image_affine")
_TRACKS = ("agent_history", "agent_mask")
_AGENTS = (*_TRACKS, "agent_type")
_PICTURE = ("agent_raster", "map_rgb", "ego_state")
_POLYLINES = ("map_polylines", "map_polyline_mask")
_LANE_GRAPH = (
    *("lane_ctrs", "lane_feats", "lane_turn", "lane_control", "lane_intersect"),
    *(f"lane_edges_{way}_{k}" for way in ("pre", "suc") for k in range(6)),
    *("lane_edges_left", "lane_edges_right"),
)

MODELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PointPillars": (*_HARD_VOXELS, *_PILLARS),
        "SECOND": _MEANS,
        "CenterPoint": (*_MEANS, *_PILLARS),
        "VoxelNeXt": _MEANS,
        "TransFusion": _MEANS,
        "BEVFusion": (
            *_MEANS,
            *_RADAR_VOXELS,
            "radar_points",
            *_LIFTED,
            "camera_projection",
            "camera_depth",
            "ref_from_ego",
            "gt_map",
        ),
        "PV-RCNN": (*_MEANS, "lidar_points"),
        "PointRCNN": ("lidar_points",),
        "DSVT": (*_DYNAMIC_VOXELS, "lidar_voxel_mean"),
        "PillarNet": (*_DYNAMIC_VOXELS, "lidar_voxel_mean"),
        "Cylinder3D": _DYNAMIC_VOXELS,
        "PIXOR": ("lidar_bev_occupancy", "lidar_bev_stats"),
        "HDNet": (
            "lidar_bev_occupancy",
            "lidar_bev_stats",
            "lidar_height_above_ground",
            "map_raster",
            "map_ground_height",
        ),
        "IntentNet": ("lidar_bev_occupancy", *_OVER_TIME, "map_raster"),
        "FaF": _OVER_TIME,
        "NMP": _OVER_TIME,
        "MultiXNet": (*_OVER_TIME, "map_raster", "map_lane_direction"),
        "MotionNet": _OVER_TIME,
        "RadarNet": (*_OVER_TIME, "radar_bev", "radar_points"),
        "MV3D": ("lidar_bev_stats",),
        "Complex-YOLO": ("lidar_bev_stats",),
        "RangeNet++": _RANGE_IMAGE,
        "SalsaNext": _RANGE_IMAGE,
        "RangeDet": _RANGE_IMAGE,
        "LaserNet": _RANGE_IMAGE,
        "CRN": ("radar_points", "radar_camera_points", "radar_camera_num_points", *_LIFTED, "camera_depth"),
        "PP-Radar": _RADAR_VOXELS,
        "LSS": _LIFTED,
        "BEVDet": _LIFTED,
        "BEVDet4D": (*_LIFTED, "ego_motion"),
        "BEVDepth": (*_LIFTED, "camera_depth"),
        "PETR": _PROJECTED,
        "DETR3D": _PROJECTED,
        "BEVFormer": (*_PROJECTED, "ego_state"),
        "CaDDN": ("camera_images", "camera_intrinsics", "camera_extrinsics"),
        "LaneGCN": (*_TRACKS, *_LANE_GRAPH),
        "VectorNet": (*_AGENTS, *_POLYLINES),
        "HiVT": _TRACKS,
        "QCNet": _AGENTS,
        "nuPlan": (*_AGENTS, "agent_raster", "map_raster", *_POLYLINES, "map_polyline_type"),
        "l5kit": (*_AGENTS, "agent_raster", "map_rgb", *_POLYLINES, "map_polyline_type"),
        "MTR": (*_AGENTS, *_POLYLINES, "map_polyline_center"),
        "MTP": _PICTURE,
        "CoverNet": _PICTURE,
        "PointPainting": ("lidar_points", "camera_images", "lidar_camera_pixels", "lidar_camera_index"),
    }
)
"""Model -> the features that its published versions take, by name; not every version takes all of them."""


def used_by(feature: str) -> tuple[str, ...]:
    """Returns the models that take a feature, by its name."""
    return tuple(model for model, features in MODELS.items() if feature in features)


def taken_by(model: str) -> tuple[str, tuple[str, ...]]:
    """Returns a model's own spelling and the features that it takes; ("", ()) where it is not known.

    Only letters and digits count, large or small: complex_yolo is Complex-YOLO.
    """
    return next(((name, taken) for name, taken in MODELS.items() if _bare(name) == _bare(str(model))), ("", ()))


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
