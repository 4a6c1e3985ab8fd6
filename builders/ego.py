"""ego_pose and reference_stamp."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from perceptum.features.ego import EgoParams
from perceptum.inputs import Frame

from .sample import Sample
from .stage import Clearing, Filler, Stages
from .written import Written

__all__ = ["Ego"]


class Ego(Filler):
    group = "ego"

    def __init__(self, params: EgoParams, stages: Stages) -> None:
        super().__init__()
        self.title = "ego"
        self._frame: Frame | None = None

    def run(self, sample: Sample) -> None:
        self._frame = sample.frame

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        assert self._frame is not None
        out[...] = self._frame.world_from_ego if feature == "ego_pose" else self._frame.time_ns
