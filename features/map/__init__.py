"""The map family: what each tensor is. How they are made is in builders/map, file by file the same."""

from ..group import Group
from . import ground, lane_direction, lane_graph, polylines, raster, rgb, valid
from .around import MapParams
from .ground import GroundHeightParams
from .lane_direction import LaneDirectionParams
from .lane_graph import LaneGraphParams
from .lanes import LaneParams
from .polylines import PolylinesParams
from .raster import RasterParams
from .rgb import RgbParams
from .square import SquareParams
from .valid import MapValidParams

__all__ = [
    "GROUPS",
    "GroundHeightParams",
    "LaneDirectionParams",
    "LaneGraphParams",
    "LaneParams",
    "MapParams",
    "MapValidParams",
    "PolylinesParams",
    "RasterParams",
    "RgbParams",
    "SquareParams",
]

GROUPS: tuple[Group, ...] = (
    *raster.GROUPS,
    *lane_direction.GROUPS,
    *ground.GROUPS,
    *rgb.GROUPS,
    *valid.GROUPS,
    *polylines.GROUPS,
    *lane_graph.GROUPS,
)
