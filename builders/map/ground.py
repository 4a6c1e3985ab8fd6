"""map_ground_height and map_ground_mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map.ground import GroundHeightParams
from perceptum.inputs import GroundGrid

from ..kernels.map.ground import read_ground
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .around import MapAround
from .laid import laid

__all__ = ["GroundHeight"]


class GroundHeight(Filler):
    def __init__(self, params: GroundHeightParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "ground heights"
        self.around = stages.share(MapAround, params.reference())
        x, y, _ = params.grid.size
        self._height, self._mask = np.zeros((1, y, x), np.float32), np.zeros((1, y, x), np.uint8)

    @property
    def nbytes(self) -> int:
        return self._height.nbytes + self._mask.nbytes

    def run(self, sample: Sample) -> None:
        hdmap = self.around.map
        if hdmap is None or hdmap.ground is None:
            self._height.fill(0)
            self._mask.fill(0)
            what = "no map" if hdmap is None else "a map without ground heights"
            self.around.report_none(what, self.params.required)
            return
        ground = hdmap.ground
        # its own array may be read-only, or of another type
        height = sample.frame.log.cache.get(("ground heights",), lambda: np.array(ground.height, dtype=np.float64))
        is_bilinear = self.params.interpolation == "bilinear"
        read_ground(height, *self._places(ground), is_bilinear, self._height[0], self._mask[0])

    def _places(self, ground: GroundGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns where the middle of cell x, y lies on the ground's grid, (2, 3), and what is found there, (4,)."""
        around, params = self.around, self.params
        reference, world_from_ego = around.reference, around.world_from_ego
        level = reference.ref_from_ego[2] @ [0, 0, reference.level_z, 1]
        # the ego's place is taken away from all, so that nothing is as large as the world
        ego_from_ref, origin = reference.ego_from_ref, world_from_ego[:3, 3]
        xmin, ymin, _, _ = params.range
        ref_from_cell = np.array(
            [
                [params.cell, 0, xmin + 0.5 * params.cell],
                [0, params.cell, ymin + 0.5 * params.cell],
                [0, 0, level],
                [0, 0, 1],
            ]
        )
        from_origin = world_from_ego[:3, :3] @ (ego_from_ref @ ref_from_cell)[:3]
        at_origin = ground.scale * (ground.rotation @ origin[:2] + ground.translation)
        place = ground.scale * (ground.rotation @ from_origin[:2])
        place[:, 2] += at_origin
        found = np.zeros(4)
        if params.relative_to == "ego_ground":
            below = float(ground.at(origin[:2]))
            below = below if np.isfinite(below) else origin[2] + reference.level_z
            found[2:] = reference.scale, -reference.scale * below
        else:
            up = reference.ref_from_ego[2, :3] @ world_from_ego[:3, :3].T
            found[:2] = up[:2] @ from_origin[:2, :2]
            found[2] = up[2]
            found[3] = up[:2] @ from_origin[:2, 2] - up[2] * origin[2] + reference.ref_from_ego[2, 3]
        return place, found

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = laid(self._mask if feature.endswith("_mask") else self._height, self.params)
