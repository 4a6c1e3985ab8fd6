"""The radar family: what each tensor is. How they are made is in builders/radar, file by file the same."""

from . import bev, points, voxels
from .bev import RadarBevParams
from .cloud import BLOCKS, CODES_OF, STATES, RadarCloudParams, RadarColumn, StateFilter, width_of
from .points import RadarPointsParams
from .voxels import RadarVoxelsParams

__all__ = [
    "BLOCKS",
    "CODES_OF",
    "GROUPS",
    "STATES",
    "RadarBevParams",
    "RadarCloudParams",
    "RadarColumn",
    "RadarPointsParams",
    "RadarVoxelsParams",
    "StateFilter",
    "width_of",
]

GROUPS = (*points.GROUPS, *voxels.GROUPS, *bev.GROUPS)
