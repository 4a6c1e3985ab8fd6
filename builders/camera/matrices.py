"""camera_intrinsics, camera_extrinsics, camera_projection and camera_image_affine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import AffineParams, ExtrinsicsParams, IntrinsicsParams, ProjectionParams

from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .projection import CameraPixels, CameraPoses, Projection
from .views import CameraViews

__all__ = ["Affine", "CameraProjection", "Extrinsics", "Intrinsics"]


class Matrices(Filler):
    """One matrix per camera; a subclass says which."""

    views: CameraViews

    def matrices(self) -> NDArray[np.float64]:
        """Returns (K, 3, 3), or (K, 4, 4) whose first rows are meant where fewer are wanted."""
        raise NotImplementedError

    def sizes(self) -> Mapping[str, int]:
        return {"num_cameras": len(self.views.cameras)}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        matrices = self.matrices()[: len(out)]
        n, (rows, columns) = len(matrices), out.shape[1:]
        given = min(rows, matrices.shape[1]), min(columns, matrices.shape[2])
        own = out[:n]
        if given != (rows, columns):
            # a matrix of 3 x 3 in one of 4 x 4: the identity around it
            own[:] = np.eye(rows, columns)
        own[:, : given[0], : given[1]] = matrices[:, : given[0], : given[1]]
        written.clear_rows(n, out)


class Intrinsics(Matrices):
    def __init__(self, params: IntrinsicsParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "camera intrinsics"
        self.pixels = stages.share(CameraPixels, params.image, params.required)
        self.views, self.needs = self.pixels.views, (self.pixels,)

    def matrices(self) -> NDArray[np.float64]:
        return self.pixels.augmented if self.params.augmented else self.pixels.intrinsics


class Extrinsics(Matrices):
    def __init__(self, params: ExtrinsicsParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "camera extrinsics"
        self.poses = stages.share(CameraPoses, params.image, params.required, params.frame, params.motion_compensated)
        self.views, self.needs = self.poses.views, (self.poses,)

    def matrices(self) -> NDArray[np.float64]:
        inward = self.params.direction == "camera_from_ref"
        return self.poses.camera_from_ref if inward else self.poses.ref_from_camera


class CameraProjection(Matrices):
    def __init__(self, params: ProjectionParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "camera projection"
        shared = (params.image, params.required, params.frame, params.motion_compensated)
        self.projection = stages.share(Projection, *shared)
        self.views, self.needs = self.projection.views, (self.projection,)

    def matrices(self) -> NDArray[np.float64]:
        return self.projection.full if self.params.augmented else self.projection.plain


class Affine(Matrices):
    def __init__(self, params: AffineParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "image affine"
        self.pixels = stages.share(CameraPixels, params.image, params.required)
        self.views, self.needs = self.pixels.views, (self.pixels,)
        self._of = self._made = np.empty((0, 3, 3))

    def run(self, sample: Sample) -> None:
        # the same array for as long as nothing changes; not in `fill`, which two tensors may call side by side
        if self._of is not self.pixels.affine:
            self._of = self.pixels.affine
            self._made = self._laid_out(self._of)

    def matrices(self) -> NDArray[np.float64]:
        return self._made

    def _laid_out(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.params.inverse:
            affine = np.linalg.inv(affine).astype(np.float64)
        if self.params.applied == "before_division":
            return affine
        after = np.tile(np.eye(4), (len(affine), 1, 1))
        after[:, :2, :2] = affine[:, :2, :2]
        after[:, :2, 3] = affine[:, :2, 2]
        return after
