"""ego_pose and reference_stamp."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from perceptum.features.ego import EgoParams
from perceptum.inputs import Frame

from .stage import Dirty, Filler, Stages

__all__ = ["Ego"]


class Ego(Filler):
    group = "ego"

    def __init__(self, params: EgoParams, stages: Stages) -> None:
        super().__init__()
        self.title = "ego"
        self._frame: Frame | None = None

    def run(self, frame: Frame) -> None:
        self._frame = frame

    def fill(self, feature: str, out: NDArray[Any], dirty: Dirty) -> None:
        assert self._frame is not None
        out[...] = self._frame.world_from_ego if feature == "ego_pose" else self._frame.time_ns
