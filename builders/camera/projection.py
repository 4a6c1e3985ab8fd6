"""Where the cameras are, and which pixel a place falls on: what matrices, depth and overlays share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.camera import CameraFrame, ImageParams, ImageTransform
from perceptum.inputs import PoseUnknown

from ..motion import ref_from_sensors
from ..reference import Reference
from ..sample import Sample
from ..stage import Stage, Stages
from .views import CameraViews

__all__ = ["CameraPixels", "CameraPoses", "Projection"]

_EYE3, _EYE4 = np.eye(3), np.eye(4)


class CameraPoses(Stage):
    """Yields ref_from_camera (K, 4, 4) and its inverse, float64; the identity of a camera without a picture."""

    def __init__(
        self, image: ImageParams, required: bool, frame: CameraFrame, motion_compensated: bool, stages: Stages
    ) -> None:
        super().__init__()
        self.title = f"where the cameras are ({frame}{'' if motion_compensated else ', as mounted'})"
        self.views = stages.share(CameraViews, image, required)
        self._reference = stages.share(Reference, ReferenceParams(frame=frame))
        self.needs = (self.views, self._reference)
        self._moves = motion_compensated
        self.ref_from_camera = np.empty((0, 4, 4))
        self.camera_from_ref = np.empty((0, 4, 4))

    def run(self, sample: Sample) -> None:
        frame, views = sample.frame, self.views.views
        out = np.empty((len(views), 4, 4))
        out[:] = _EYE4
        there = [(k, view) for k, view in enumerate(views) if view is not None]
        if there:
            ref_from_ego = self._reference.ref_from_ego
            moving = [(k, view) for k, view in there if self._moves and view.time_ns != frame.time_ns]
            asked = [([view.time_ns], view.ego_from_camera) for _, view in moving]
            try:
                paths = ref_from_sensors(frame.poses, frame.time_ns, asked, ref_from_ego) if asked else []
            except PoseUnknown as error:
                raise PoseUnknown(
                    f"{frame}: where its cameras were when they took their pictures: {error}; the param "
                    '"motion_compensated": false takes them as mounted'
                ) from error
            if len(moving) < len(there):
                for k, view in there:
                    out[k] = ref_from_ego @ view.ego_from_camera
            for (k, _), path in zip(moving, paths, strict=True):
                out[k, :3] = path[0]
        self.ref_from_camera = out
        self.camera_from_ref = _inverses(out)


class Projection(Stage):
    """Yields per camera what takes a place to its pixel, float64: camera_from_ref, then the lens, then K, then the
    affine of what is done to the picture. Of a camera without a picture all are the identity."""

    def __init__(
        self, image: ImageParams, required: bool, frame: CameraFrame, motion_compensated: bool, stages: Stages
    ) -> None:
        super().__init__()
        self.title = f"projection ({frame}{'' if motion_compensated else ', as mounted'})"
        self.poses = stages.share(CameraPoses, image, required, frame, motion_compensated)
        self.pixels = stages.share(CameraPixels, image, required)
        self.views = self.poses.views
        self.needs = (self.poses, self.pixels)
        self.full = np.empty((0, 4, 4))
        """(K, 4, 4) from the frame of reference to (u d, v d, d, 1), augmented."""
        self.plain = np.empty((0, 4, 4))
        """The same to the pixels of the recorded pictures."""

    def run(self, sample: Sample) -> None:
        camera_from_ref = self.poses.camera_from_ref
        self.full, self.plain = camera_from_ref.copy(), camera_from_ref.copy()
        np.matmul(self.pixels.augmented, camera_from_ref[:, :3], out=self.full[:, :3])
        np.matmul(self.pixels.intrinsics, camera_from_ref[:, :3], out=self.plain[:, :3])


class CameraPixels(Stage):
    """Yields per camera K, the affine of what is done to its picture, and both together, (K, 3, 3) float64: the same
    arrays until a calibration or a picture's size changes."""

    def __init__(self, image: ImageParams, required: bool, stages: Stages) -> None:
        super().__init__()
        self.title = "pixels of the cameras"
        self.views = stages.share(CameraViews, image, required)
        self.needs = (self.views,)
        self.intrinsics, self.affine, self.augmented = np.empty((3, 0, 3, 3))
        self._of: list[_Seen] = []

    def run(self, sample: Sample) -> None:
        changes, views = self.views.changes, self.views.views
        # what is done to a picture of unknown size is not known, and so nothing of it
        seen = [
            (view.intrinsics, view.transform) if view is not None and (view.transform or not changes) else None
            for view in views
        ]
        if len(seen) == len(self._of) and all(map(_same, seen, self._of)):
            return
        self._of = seen
        self.intrinsics = np.array([_EYE3 if own is None else own[0] for own in seen]).reshape(-1, 3, 3)
        self.affine = np.array([_affine(own) for own in seen]).reshape(-1, 3, 3)
        self.augmented = self.affine @ self.intrinsics


_Seen = tuple[NDArray[np.float64], ImageTransform | None] | None


def _same(one: _Seen, other: _Seen) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] is other[0] and one[1] is other[1]


def _affine(own: _Seen) -> NDArray[np.float64]:
    return _EYE3 if own is None or own[1] is None else own[1].matrix()


_ROTATION = 1e-12
"""How far a rotation's product with its transpose may be from the identity, by rounding alone."""


def _inverses(rigid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inverses of (K, 4, 4) rotations and translations; exact where a rotation is one to a few digits only,
    as in calibrations that are written with seven: its transpose moved pixels of KITTI by 1e-4."""
    out = np.zeros_like(rigid)
    turned = rigid[:, :3, :3].transpose(0, 2, 1)
    if np.abs(turned @ rigid[:, :3, :3] - _EYE3).max(initial=0) > _ROTATION:
        turned = np.linalg.inv(rigid[:, :3, :3]).astype(np.float64)
    out[:, :3, :3] = turned
    out[:, :3, 3] = -(turned @ rigid[:, :3, 3:])[..., 0]
    out[:, 3, 3] = 1
    return out
