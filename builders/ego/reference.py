"""ref_from_ego."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.ego import EgoReferenceParams

from ..reference import Reference, inverse_of_similarity
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written

__all__ = ["EgoReference"]


class EgoReference(Filler):
    def __init__(self, params: EgoReferenceParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"ref_from_ego ({params.frame})" if params.part == "whole" else "what the draw does to places"
        self._params = params
        self._reference = stages.share(Reference, params.reference())
        self._matrix = np.eye(4)

    def run(self, sample: Sample) -> None:
        reference = self._reference
        if self._params.part == "whole":
            self._matrix = reference.ego_from_ref if self._params.inverse else reference.ref_from_ego
            return
        change = reference.change
        if change is None:
            self._matrix = np.eye(4)
        else:
            self._matrix = inverse_of_similarity(change, reference.scale) if self._params.inverse else change

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = self._matrix
