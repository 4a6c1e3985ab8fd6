"""map_raster and map_raster_valid; gt_map and gt_map_valid are made the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.features.map.raster import RasterParams

from ..kernels.map.writing import write_bits, write_eights
from ..lidar.bev import Placement
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .bits import MapBits

__all__ = ["MapRaster"]


class MapRaster(Filler):
    def __init__(self, params: RasterParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"map raster ({len(params.layers)} channels)"
        x, y, _ = params.grid.size
        kind = (params.layers, params.rule, params.line_width, params.required)
        self.bits = stages.share(MapBits, params.reference(), params.range, params.cell, (x, y), *kind)
        placement = Placement(params)
        self._places = np.array([placement.channel(k) for k in range(len(params.layers))])
        one_each = [plane.channel for plane in self.bits.planes] == list(range(len(params.layers)))
        steps = self._places[:, [0, 2]]
        self._in_eights = one_each and self._places[0, 1] == 1 and x % 8 == 0 and not (steps % 8).any()
        low, span = (0.0, 1.0) if params.values == "0/1" else (-1.0, 2.0)
        self._values = [(low, low + span * plane.value) for plane in self.bits.planes]
        self._eight: dict[np.dtype[Any], list[NDArray[Any]]] = {}

    def want(self, feature: str, dtype: str) -> None:
        if feature.endswith("_valid"):
            return
        if dtype == "uint8" and not self.params.is_whole:
            raise SpecError(
                f"'{feature}' as uint8 holds 0 and 1: take float32 for values -1/+1 and for layers with values of "
                "their own"
            )
        own = np.dtype(dtype)
        self._eight[own] = [eight_of(*pair, own) for pair in self._values]

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature.endswith("_valid"):
            out[:] = self.bits.valid
            return
        flat, channel = out.reshape(-1), -1
        if self._in_eights and out.dtype == np.uint8:
            eight = self._eight[out.dtype][0].view(np.uint64).reshape(-1)
            write_eights(self.bits.bits, self._places, self.bits.columns, eight, flat.view(np.uint64))
            return
        for plane, eight in zip(self.bits.planes, self._eight[out.dtype], strict=True):
            is_first = plane.channel != channel
            channel = plane.channel
            write_bits(plane.bits, self._places[channel], self.bits.columns, is_first, eight, flat)


def eight_of(unset: float, set_: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Returns (256, 8), the values of eight cells by their bits."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.where(bits == 1, set_, unset).astype(dtype)
