"""A BEVFusion frame as its own loading pipeline makes it: mmdetection3d's and BEVFusion's steps, in numpy and Pillow.

Each step is the published one: sweeps moved one by one and concatenated, whole pictures resized, all points projected
into each camera. Only the voxels are spconv's, and files and tables are as in `bevfusion_peer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from bevfusion_peer import SIZE, Camera, Matrices, Record, matrix_of, ref_from_world_of
from numpy.typing import NDArray
from PIL import Image

__all__ = ["usual_depth_maps", "usual_pictures", "usual_sweeps"]

Points = NDArray[np.float32]
_RESIZED, _CROP = (768, 432), (32, 176, 736, 432)


def usual_sweeps(sweeps: Sequence[Record], nearest_m: float = 1.0) -> Points:
    """As LoadPointsFromMultiSweeps: (N, 5) x y z intensity and age, newest first."""
    newest = sweeps[0]
    found = []
    for record in sweeps:
        points = np.fromfile(record.path, np.float32).reshape(-1, 5)
        points[:, 4] = 0
        if record is not newest:
            close = (np.abs(points[:, 0]) < nearest_m) & (np.abs(points[:, 1]) < nearest_m)
            points = points[~close]
            move = reduce(np.dot, [ref_from_world_of(newest), matrix_of(record.pose), matrix_of(record.mount)])
            points[:, :3] = points[:, :3] @ move[:3, :3].T
            points[:, :3] += move[:3, 3]
            points[:, 4] = (newest.time_us - record.time_us) * 1e-6
        found.append(points)
    return np.concatenate(found)


def usual_pictures(cameras: Sequence[Camera], mean: Sequence[float], std: Sequence[float]) -> Points:
    """As ImageAug3D and ImageNormalize: (K, 3, 256, 704) float32 RGB."""
    shown = []
    for camera in cameras:
        picture = Image.open(camera.record.path).convert("RGB").resize(_RESIZED, Image.Resampling.BICUBIC)
        scaled = np.asarray(picture.crop(_CROP)).astype(np.float32) / 255
        shown.append(((scaled - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1))
    return np.stack(shown)


def usual_depth_maps(points: Points, given: Matrices, low_high: Sequence[float]) -> Points:
    """As PointsRangeFilter and BaseDepthTransform: (K, 1, 256, 704) float32, of the points on a pixel the last."""
    height, width = SIZE
    low, high = np.array(low_high, np.float32).reshape(2, 3)
    xyz = points[((points[:, :3] >= low) & (points[:, :3] < high)).all(axis=1), :3]
    out = np.zeros((len(given.projection), 1, height, width), np.float32)
    for own, projection, affine in zip(out, given.projection, given.affine, strict=True):
        places = projection[:3, :3] @ xyz.T + projection[:3, 3:]
        depth = places[2].copy()
        places[2] = np.clip(places[2], 1e-5, 1e5)
        places[:2] /= places[2:]
        u, v, _ = affine[:3, :3] @ places + affine[:3, 3:]
        seen = (v >= 0) & (v < height) & (u >= 0) & (u < width) & (depth > 0)
        own[0, v[seen].astype(np.int64), u[seen].astype(np.int64)] = depth[seen]
    return out
