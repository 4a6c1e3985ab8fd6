"""Which class fills which group of features, on which device: one line per filler."""

from __future__ import annotations

from perceptum.features import Group, Resolved, SpecError, camera, ego, lidar, radar

from .camera.depth import Depth
from .camera.images import CameraImages
from .camera.matrices import Affine, CameraProjection, Extrinsics, Intrinsics
from .camera.points import LidarPixels, RadarCameraPoints
from .ego import Ego
from .lidar.bev_occupancy import BevOccupancy
from .lidar.bev_stats import BevStats
from .lidar.bev_temporal import BevTemporal
from .lidar.pillars import Pillars
from .lidar.points import Points
from .lidar.range_image import RangeImage
from .lidar.voxels import Voxels
from .radar.bev import RadarBev
from .radar.points import RadarPoints
from .radar.voxels import RadarVoxels
from .stage import Filler

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
    ("ego", Ego),
)
"""Group -> the class that fills it."""
_TABLE = {(group, filler.device): filler for group, filler in _OWN}
_GROUPS = {group.name: group for group in (*lidar.GROUPS, *radar.GROUPS, *camera.GROUPS, *ego.GROUPS)}


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
