"""The map around a frame: what all map tensors share."""

from __future__ import annotations

import logging
import weakref

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.inputs import Frame, HDMap, MissingRecord
from perceptum.inputs.poses import inverse

from ..reference import Reference
from ..sample import Sample
from ..stage import Stage, Stages

__all__ = ["MapAround"]

_log = logging.getLogger(__name__)


class MapAround(Stage):
    """Yields a frame's map, and how places of the world come into the frame of reference.

    Shared by all map tensors with these axes: stages.share(MapAround, params.reference()).
    """

    def __init__(self, params: ReferenceParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"map around ({params.frame})"
        self._stages = stages
        self.reference = stages.share(Reference, params)
        # weak: a lane that waits for its next frame must not keep the last one's records
        self._frame: weakref.ref[Frame] | None = None
        self._map: HDMap | None = None

    def run(self, sample: Sample) -> None:
        self._frame = weakref.ref(sample.frame)
        self._map = sample.frame.map

    @property
    def frame(self) -> Frame:
        frame = None if self._frame is None else self._frame()
        assert frame is not None, "asked outside of a build"
        return frame

    @property
    def map(self) -> HDMap | None:
        """The log's map; None where it has none."""
        return self._map

    @property
    def world_from_ego(self) -> NDArray[np.float64]:
        return self.frame.world_from_ego

    @property
    def ref_from_world(self) -> NDArray[np.float64]:
        """(4, 4) float64, a similarity; z as `Reference.ref_from_ego` says. Its translation is as large as the world's
        coordinates: right to 1e-8 m at 5e6 m."""
        return self.reference.ref_from_ego @ inverse(self.world_from_ego)

    @property
    def world_from_ref(self) -> NDArray[np.float64]:
        """(4, 4) float64, the inverse."""
        return self.world_from_ego @ self.reference.ego_from_ref

    def places(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns world points (P, 3) in the frame of reference, (P, 3) float64, z from the ground where that is asked.

        Where a map does not know z (NaN), it is that of its ground there, else of the level on which the ego stands.
        """
        world_from_ego, height = self.world_from_ego, points[:, 2]
        if np.isnan(height).any():
            known = np.full(len(points), np.nan) if self._map is None else self._map.ground_height(points[:, :2])
            level = self.reference.level_z
            known = np.where(np.isnan(known), world_from_ego[2, 3] + level, known)
            points = np.column_stack([points[:, :2], np.where(np.isnan(height), known, height)])
        ego = (points - world_from_ego[:3, 3]) @ world_from_ego[:3, :3]
        return self.reference.places(ego)

    def report_none(self, what: str, required: bool) -> None:
        """Raises MissingRecord where what is missing of the map is required; else reports it once. `what`: "no map",
        "a map without lanes"."""
        said = f"{self.frame.log.source.location}: the log has {what}"
        if required:
            raise MissingRecord(f'{said}, and the spec requires it (the param "required")')
        if self._stages.first_time((MapAround, what)):
            _log.warning(
                '%s: what is made of it is empty, and its mask 0 (reported once; the param "required" makes it an '
                "error)",
                said,
            )
