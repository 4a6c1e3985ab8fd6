"""gt_map and gt_map_valid: as map_raster, on the same cells where the parameters are the same."""

from __future__ import annotations

from perceptum.features.map.raster import RasterParams

from ..map.raster import MapRaster
from ..stage import Stages

__all__ = ["TargetMap"]


class TargetMap(MapRaster):
    def __init__(self, params: RasterParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"target map ({len(params.layers)} channels)"
