"""ego_pose and reference_stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.ego import EgoParams

from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written

__all__ = ["Ego"]


class Ego(Filler):
    def __init__(self, params: EgoParams, stages: Stages) -> None:
        super().__init__()
        self.title = "ego"
        self._wanted: set[str] = set()
        self._values: dict[str, NDArray[np.float64] | int] = {}

    def want(self, feature: str, dtype: str) -> None:
        self._wanted.add(feature)

    def run(self, sample: Sample) -> None:
        self._values = {"reference_stamp": sample.frame.time_ns}
        # a pose that nobody wants may be unknown
        if "ego_pose" in self._wanted:
            self._values["ego_pose"] = sample.frame.world_from_ego

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = self._values[feature]
