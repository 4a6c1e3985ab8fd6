"""Which class fills which group of features, on which device: one line per filler."""

from __future__ import annotations

from perceptum.features import Group, Resolved, SpecError, agent, camera, ego, lidar, radar, targets
from perceptum.features import map as maps

from .agent.history import AgentHistory
from .agent.raster import AgentRaster
from .camera.depth import Depth
from .camera.images import CameraImages
from .camera.matrices import Affine, CameraProjection, Extrinsics, Intrinsics
from .camera.points import LidarPixels, RadarCameraPoints
from .ego.motion import EgoMotion
from .ego.pose import Ego
from .ego.reference import EgoReference
from .ego.state import EgoState
from .lidar.bev_occupancy import BevOccupancy
from .lidar.bev_stats import BevStats
from .lidar.bev_temporal import BevTemporal
from .lidar.pillars import Pillars
from .lidar.points import Points
from .lidar.range_image import RangeImage
from .lidar.voxels import Voxels
from .map.ground import GroundHeight
from .map.lane_direction import LaneDirection
from .map.lane_graph import MapLaneGraph
from .map.polylines import Polylines
from .map.raster import MapRaster
from .map.rgb import MapRgb
from .map.valid import MapValid
from .radar.bev import RadarBev
from .radar.points import RadarPoints
from .radar.voxels import RadarVoxels
from .stage import Filler
from .targets.boxes import TargetBoxes
from .targets.boxes_2d import TargetBoxes2d
from .targets.heatmap import TargetCentres
from .targets.map import TargetMap
from .targets.pixor import TargetPixor
from .targets.segmentation import TargetSegmentation
from .targets.trajectory import Trajectory

__all__ = ["filler_of"]

_OWN: tuple[tuple[str, type[Filler]], ...] = (
    ("lidar_points", Points),
    ("lidar_voxels", Voxels),
    ("lidar_pillars", Pillars),
    ("lidar_bev_occupancy", BevOccupancy),
    ("lidar_bev_stats", BevStats),
    ("lidar_bev_temporal", BevTemporal),
    ("lidar_range_image", RangeImage),
    ("radar_points", RadarPoints),
    ("radar_voxels", RadarVoxels),
    ("radar_bev", RadarBev),
    ("camera_images", CameraImages),
    ("camera_intrinsics", Intrinsics),
    ("camera_extrinsics", Extrinsics),
    ("camera_projection", CameraProjection),
    ("camera_image_affine", Affine),
    ("camera_depth", Depth),
    ("lidar_camera_pixels", LidarPixels),
    ("radar_camera_points", RadarCameraPoints),
    ("map_raster", MapRaster),
    ("map_lane_direction", LaneDirection),
    ("map_ground", GroundHeight),
    ("map_rgb", MapRgb),
    ("map_valid", MapValid),
    ("map_polylines", Polylines),
    ("map_lane_graph", MapLaneGraph),
    ("ego", Ego),
    ("ego_motion", EgoMotion),
    ("ego_state", EgoState),
    ("ego_reference", EgoReference),
    ("agent_history", AgentHistory),
    ("agent_raster", AgentRaster),
    ("gt_boxes", TargetBoxes),
    ("gt_heatmap", TargetCentres),
    ("gt_trajectory", Trajectory),
    ("gt_map", TargetMap),
    ("gt_segmentation", TargetSegmentation),
    ("gt_boxes_2d", TargetBoxes2d),
    ("gt_pixor", TargetPixor),
)
"""Group -> the class that fills it."""
_TABLE = {(group, filler.device): filler for group, filler in _OWN}
_FAMILIES = (lidar, radar, camera, maps, ego, agent, targets)
_GROUPS = {group.name: group for family in _FAMILIES for group in family.GROUPS}


def filler_of(row: Resolved, device: str = "cpu") -> type[Filler]:
    """Returns the class that fills a row: the one its group brings (a plug-in's), or ours.

    Raises SpecError where nothing fills it.
    """
    filler: type[Filler] | None = row.group.filler
    if filler is None and _is_ours(row.group):
        filler = _TABLE.get((row.group.name, device))
    if filler is None:
        raise SpecError(f"input '{row.name}': no installed builder fills the group '{row.group.name}'")
    return filler


def _is_ours(group: Group) -> bool:
    """Not every group that has the name of one of ours: ours write what our features say, and would write it into
    whatever other feature were put beside them."""
    own = _GROUPS.get(group.name)
    if own is None or type(own.params) is not type(group.params):
        return False
    return {feature.name for feature in own}.issuperset(feature.name for feature in group)
