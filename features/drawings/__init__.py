"""How the axes of a family's tensors lie, drawn in plain ASCII for a group's parameters: for people only."""

from .agent import agent_history, agent_raster, future_trajectory
from .birds_eye import birds_eye, birds_eye_over_time, heatmap, radar_birds_eye
from .camera import camera_axes, camera_depth, camera_images, camera_pixels, lidar_camera_pixels, radar_camera_points
from .ego import ego_axes, ego_motion, ego_reference, ego_state
from .lidar import pillars, points, range_image, voxels
from .map import lane_graph, map_polylines
from .radar import radar_points
from .targets import boxes, segmentation

__all__ = [
    "agent_history",
    "agent_raster",
    "birds_eye",
    "birds_eye_over_time",
    "boxes",
    "camera_axes",
    "camera_depth",
    "camera_images",
    "camera_pixels",
    "ego_axes",
    "ego_motion",
    "ego_reference",
    "ego_state",
    "future_trajectory",
    "heatmap",
    "lane_graph",
    "lidar_camera_pixels",
    "map_polylines",
    "pillars",
    "points",
    "radar_birds_eye",
    "radar_camera_points",
    "radar_points",
    "range_image",
    "segmentation",
    "voxels",
]
