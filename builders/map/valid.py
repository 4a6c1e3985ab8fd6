"""map_valid."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from perceptum.features.map.valid import MapValidParams

from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written

__all__ = ["MapValid"]


class MapValid(Filler):
    def __init__(self, params: MapValidParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "map valid"
        self._is_there = False

    def run(self, sample: Sample) -> None:
        self._is_there = sample.frame.map is not None

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[:] = self._is_there
