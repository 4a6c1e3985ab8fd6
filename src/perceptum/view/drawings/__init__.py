"""How each kind of tensor is drawn, by its group: one file and one line for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .agent_raster import AGENT_RASTER
from .agents import AGENT_HISTORY, GT_TRAJECTORY
from .boxes import GT_BOXES
from .drawing import Drawing, InWords, OnGround, Picture, Pictures
from .ego_motion import EGO_MOTION
from .ground import Ground
from .heatmap import GT_HEATMAP
from .heights import GROUND_HEIGHT
from .kind import Kind, NotDrawn
from .lane_direction import LANE_DIRECTION
from .lane_graph import LANE_GRAPH
from .layers import GT_MAP, MAP_RASTER
from .numbers import EGO_REFERENCE, EGO_STATE, MAP_VALID, POSE
from .on_pictures import GT_BOXES_2D, LIDAR_PIXELS, RADAR_PIXELS
from .pictures import CAMERA_DEPTH, CAMERA_IMAGES
from .pixor import GT_PIXOR
from .points import LIDAR_POINTS, RADAR_POINTS, SEGMENTATION
from .polylines import MAP_POLYLINES
from .range_image import RANGE_IMAGE
from .rgb import MAP_RGB
from .sums import OCCUPANCY, RADAR_BEV, STATS, TEMPORAL
from .voxels import LIDAR_PILLARS, LIDAR_VOXELS, RADAR_VOXELS

__all__ = ["DRAWINGS", "Drawing", "Ground", "InWords", "Kind", "NotDrawn", "OnGround", "Picture", "Pictures"]

DRAWINGS: Mapping[str, Drawing] = MappingProxyType(
    {
        "lidar_points": LIDAR_POINTS,
        "lidar_voxels": LIDAR_VOXELS,
        "lidar_pillars": LIDAR_PILLARS,
        "lidar_bev_occupancy": OCCUPANCY,
        "lidar_bev_stats": STATS,
        "lidar_bev_temporal": TEMPORAL,
        "lidar_range_image": RANGE_IMAGE,
        "radar_points": RADAR_POINTS,
        "radar_voxels": RADAR_VOXELS,
        "radar_bev": RADAR_BEV,
        "camera_images": CAMERA_IMAGES,
        "camera_depth": CAMERA_DEPTH,
        "lidar_camera_pixels": LIDAR_PIXELS,
        "radar_camera_points": RADAR_PIXELS,
        "map_raster": MAP_RASTER,
        "map_lane_direction": LANE_DIRECTION,
        "map_ground": GROUND_HEIGHT,
        "map_rgb": MAP_RGB,
        "map_valid": MAP_VALID,
        "map_polylines": MAP_POLYLINES,
        "map_lane_graph": LANE_GRAPH,
        "ego": POSE,
        "ego_motion": EGO_MOTION,
        "ego_state": EGO_STATE,
        "ego_reference": EGO_REFERENCE,
        "agent_history": AGENT_HISTORY,
        "agent_raster": AGENT_RASTER,
        "gt_boxes": GT_BOXES,
        "gt_boxes_2d": GT_BOXES_2D,
        "gt_heatmap": GT_HEATMAP,
        "gt_map": GT_MAP,
        "gt_pixor": GT_PIXOR,
        "gt_segmentation": SEGMENTATION,
        "gt_trajectory": GT_TRAJECTORY,
    }
)
