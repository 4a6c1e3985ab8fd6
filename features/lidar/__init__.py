"""The lidar family: what each tensor is. How they are made is in builders/lidar, file by file the same."""

from . import bev, bev_temporal, pillars, points, range_image, voxels
from .bev import BevOccupancyParams, BevParams, BevStatsParams
from .bev_temporal import BevTemporalParams
from .cloud import CloudParams, PointColumn
from .pillars import PillarsParams
from .points import PointsParams
from .range_image import Normalization, RangeChannel, RangeImageParams
from .voxels import VoxelRowsParams, VoxelsParams

__all__ = [
    "GROUPS",
    "BevOccupancyParams",
    "BevParams",
    "BevStatsParams",
    "BevTemporalParams",
    "CloudParams",
    "Normalization",
    "PillarsParams",
    "PointColumn",
    "PointsParams",
    "RangeChannel",
    "RangeImageParams",
    "VoxelRowsParams",
    "VoxelsParams",
]

GROUPS = (
    *points.GROUPS,
    *voxels.GROUPS,
    *pillars.GROUPS,
    *bev.GROUPS,
    *bev_temporal.GROUPS,
    *range_image.GROUPS,
)
