"""The boxes of pixels that a picture shows of boxes in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.inputs import CameraImage
from perceptum.inputs.poses import box_corners

__all__ = ["picture_boxes"]


def picture_boxes(boxes: ArrayLike, picture: CameraImage) -> NDArray[np.float64]:
    """Returns (n, 4) float64, u_min v_min u_max v_max in pixels, of (n, 7) boxes in the ego frame; NaN of a box of
    which the picture shows nothing, or that is not finite.

    They are around the corners in front of the camera, brought to the middles of the picture's outermost pixels, as
    boxes of KITTI's results are. Raises BrokenRecord where the picture, or its lens, is broken.
    """
    corners = box_corners(boxes)
    n, (height, width) = len(corners), picture.picture_size()
    # a general inverse: published rotations have few digits
    camera_from_ego = np.linalg.inv(picture.ego_from_camera)
    with np.errstate(invalid="ignore", over="ignore"):
        places = corners.reshape(-1, 3) @ camera_from_ego[:3, :3].T + camera_from_ego[:3, 3]
    pixels, seen = picture.lens.project(places)
    seen &= places[:, 2] > 0
    pixels, seen = pixels.reshape(n, 8, 2), seen.reshape(n, 8, 1)
    least = np.where(seen, pixels, np.inf).min(axis=1, initial=np.inf)
    most = np.where(seen, pixels, -np.inf).max(axis=1, initial=-np.inf)
    last = np.array([width - 1, height - 1], np.float64)
    found = np.concatenate([np.clip(least, 0, last), np.clip(most, 0, last)], axis=1)
    shown = (found[:, 2:] > found[:, :2]).all(axis=1) & np.isfinite(corners).all(axis=(1, 2))
    found[~shown] = np.nan
    return found
