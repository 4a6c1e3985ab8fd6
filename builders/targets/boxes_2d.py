"""gt_boxes_2d and its labels, cameras and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import Box2dColumn, Boxes2dParams

from ..camera.projection import Projection
from ..camera.views import CameraView
from ..kernels.targets import boxes_2d as kernels
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .labels import LabelBoxes

__all__ = ["TargetBoxes2d"]

_COLUMNS: dict[Box2dColumn, int] = {
    "u_min": 0,
    "v_min": 1,
    "u_max": 2,
    "v_max": 3,
    "visible": 4,
    "u": 5,
    "v": 6,
    "depth": 7,
}
_SIGNS = np.array([[i, j, k] for i in (1, -1) for j in (1, -1) for k in (1, -1)]) / 2
"""(8, 3): the corners of a box of size 1."""
_ROWS = {"gt_boxes_2d_label": 0, "gt_boxes_2d_camera": 1, "gt_boxes_2d_box": 2}


class TargetBoxes2d(Filler):
    def __init__(self, params: Boxes2dParams, stages: Stages) -> None:
        super().__init__()
        self.title = "target boxes in pictures"
        self.params: Boxes2dParams = params
        self.labels = stages.share(LabelBoxes, params.labels())
        shared = (params.image, params.required, params.frame, params.motion_compensated)
        self.projection = stages.share(Projection, *shared)
        self.views = self.projection.views
        self.views.measure()
        self.needs = (self.labels, self.projection)
        self._picks = [_COLUMNS[name] for name in params.columns]
        self._works = np.zeros((3, kernels.MOST, 2))
        self._numbers = np.zeros((3, 0), np.int32)
        """Label, camera and box of each row."""
        self._rows = np.zeros((0, len(_COLUMNS)))

    def run(self, sample: Sample) -> None:
        found, most = self.labels.found, self.params.max_boxes
        corners = _corners(found.boxes)
        rows, numbers = [self._rows[:0]], [self._numbers[:, :0]]
        for k, view in enumerate(self.views.views):
            if view is None or view.transform is None or not len(found):
                continue
            seen = self._look(k, view, corners)
            boxes = np.flatnonzero(~np.isnan(seen[:, 0]))
            rows.append(seen[boxes])
            numbers.append(np.stack([found.label[boxes], np.full(len(boxes), k), boxes]).astype(np.int32))
        self._rows, self._numbers = np.concatenate(rows)[:most], np.concatenate(numbers, axis=1)[:, :most]
        shown = np.unique(np.concatenate([own[2] for own in numbers]))
        self.dropped = {
            "boxes in no picture": len(found) - len(shown),
            "boxes over max_boxes": sum(map(len, rows)) - len(self._rows),
        }

    def _look(self, k: int, view: CameraView, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns (N, 8), the columns of each box in one picture; NaN where it shows none of it.

        corners: (N, 9, 3) in the frame of reference, the middle last.
        """
        n, transform, p = len(corners), view.transform, self.params
        assert transform is not None
        out = np.full((n, len(_COLUMNS)), np.nan)
        camera_from_ref = self.projection.poses.camera_from_ref[k]
        places = corners.reshape(-1, 3) @ camera_from_ref[:3, :3].T + camera_from_ref[:3, 3]
        pixels, seen = self._pixels(k, view, places)
        if pixels is None:
            return out
        pixels, seen = pixels.reshape(n, 9, 2), seen.reshape(n, 9)
        height, width = transform.size
        ends = np.array([0, 0, width, height], np.float64) - (0.5 if p.edges == "pixels" else 0)
        flat = np.ascontiguousarray(pixels[:, :8]), np.ascontiguousarray(seen[:, :8])
        shown = np.empty((n, 5))
        given: list[Any] = [*flat, ends, p.outline == "hull", float(p.min_size), *self._works, shown]
        kernels.outlines(*given)
        out[:, :5] = shown
        # a middle behind the camera is on no pixel
        out[:, 5:7] = np.where(seen[:, 8:], pixels[:, 8], 0)
        out[:, 7] = places.reshape(n, 9, 3)[:, 8, 2]
        return out

    def _pixels(
        self, k: int, view: CameraView, places: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
        """Returns (M, 2) pixels of places in camera axes, and which of them are seen; None where the lens is broken in
        a log that skips that. Raises BrokenRecord."""
        pixels, ahead = self.projection.pixels, places[:, 2] > 0
        affine = pixels.affine[k]
        if self.params.image.undistort or self.params.lens == "none":
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                flat = places @ pixels.intrinsics[k].T
                recorded = flat[:, :2] / flat[:, 2:]
        else:
            frame, picture = self.views.frame, self.views.picture(view.camera)
            lens = self.views.or_skip(f"camera/{view.camera} of {frame}", lambda: picture.lens)
            if lens is None:
                return None, ahead
            recorded, ahead = lens.project(places)
        seen = ahead & np.isfinite(recorded).all(axis=1)
        recorded[~seen] = 0
        return recorded @ affine[:2, :2].T + affine[:2, 2], seen

    def sizes(self) -> Mapping[str, int]:
        return {"num_boxes_2d": len(self._rows)}

    def clearing(self, feature: str) -> Clearing:
        return "own" if feature == "gt_boxes_2d" else "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "gt_num_boxes_2d":
            out[0] = len(self._rows)
            return
        n = min(len(self._rows), len(out))
        if feature == "gt_boxes_2d":
            out[:n] = self._rows[:n, self._picks]
            written.clear_rows(n, out)
            return
        out[:n], out[n:] = self._numbers[_ROWS[feature], :n], -1


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (N, 9, 3): the corners of each box, and its middle."""
    own = _SIGNS * boxes[:, None, 3:6]
    c, s = np.cos(boxes[:, 6])[:, None], np.sin(boxes[:, 6])[:, None]
    corners = np.zeros((len(boxes), 9, 3))
    corners[:, :8, 0] = c * own[..., 0] - s * own[..., 1]
    corners[:, :8, 1] = s * own[..., 0] + c * own[..., 1]
    corners[:, :8, 2] = own[..., 2]
    turned: NDArray[np.float64] = corners + boxes[:, None, :3]
    return turned
