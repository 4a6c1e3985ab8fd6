"""A BEVFusion frame composed of the best public parts that we know of, as by somebody who profiles, in one thread.

Files are read with numpy and parsed as they lie, every transform is one matrix, points are float32 columns. Voxels are
spconv's, pixels simplejpeg's and Pillow's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from map_raster_peer import Draw
from numpy.typing import NDArray
from peers import Pose
from PIL import Image

from perceptum.inputs.poses import rotation_from_quaternion

__all__ = ["Camera", "Matrices", "Record", "depth_maps", "matrices", "moved_cycles", "moved_sweeps"]
__all__ += ["SIZE", "map_of", "matrix_of", "pictures", "ref_from_world_of", "voxels"]

Points = NDArray[np.float32]
SIZE = (256, 704)
_CYCLE = np.dtype(
    [("xyz", "<f4", 3), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4"), ("v", "<f4", 2), ("v_comp", "<f4", 2)]
    + [
        (name, "i1")
        for name in ("quality", "ambig_state", "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms")
    ]
)
"""A detection as nuScenes' radar files have it, 43 bytes."""
_ONE_OF_8, _ONE_OF_5, _ONE_OF_18 = (np.eye(n, dtype=np.float32) for n in (8, 5, 18))
_UP_TO = np.tri(8, 7, -1, np.float32)
"""Row k has k ones, then zeros."""
_FACTOR, _ROW, _COLUMN = 0.48, 176, 32
"""How the pictures are made smaller, and the first row and column of what is cut out."""


@dataclass(frozen=True)
class Record:
    """What nuScenes' tables say of a file."""

    path: Path
    time_us: int
    pose: Pose
    mount: Pose


@dataclass(frozen=True)
class Camera:
    """The same of a picture."""

    record: Record
    intrinsics: NDArray[np.float64]


class Matrices(NamedTuple):
    """(K, 4, 4) float32 each."""

    intrinsics: Points
    extrinsics: Points
    projection: Points
    affine: Points


def matrix_of(pose: Pose) -> NDArray[np.float64]:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation_from_quaternion(pose[1]), pose[0]
    return out


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.eye(4)
    out[:3, :3] = matrix[:3, :3].T
    out[:3, 3] = -out[:3, :3] @ matrix[:3, 3]
    return out


def ref_from_world_of(reference: Record) -> NDArray[np.float64]:
    return _inverse(matrix_of(reference.pose) @ matrix_of(reference.mount))


def moved_sweeps(sweeps: Sequence[Record], nearest_m: float = 1.0) -> Points:
    """Returns (N, 5) x y z intensity and age, newest first, in the axes of the newest; past ones without what is
    close."""
    newest = sweeps[0]
    ref_from_world = ref_from_world_of(newest)
    out, n = np.empty((sum(record.path.stat().st_size for record in sweeps) // 20, 5), np.float32), 0
    for record in sweeps:
        points = np.fromfile(record.path, np.float32).reshape(-1, 5)
        age_s = (newest.time_us - record.time_us) * 1e-6
        if record is newest:
            own = out[: len(points)]
            own[:] = points
        else:
            close = np.flatnonzero((np.abs(points[:, 0]) < nearest_m) & (np.abs(points[:, 1]) < nearest_m))
            if len(close):
                points = np.delete(points, close, axis=0)
            own = out[n : n + len(points)]
            move = ref_from_world @ matrix_of(record.pose) @ matrix_of(record.mount)
            # whole rows by a matrix of 5 x 5: nothing is copied first, 5 ms for ten sweeps against 11 for x y z alone
            turn = np.zeros((5, 5), np.float32)
            turn[:3, :3], turn[3, 3] = move[:3, :3].T, 1
            np.matmul(points, turn, out=own)
            for axis in range(3):
                own[:, axis] += np.float32(move[axis, 3])
        own[:, 4] = age_s
        n += len(own)
    return out[:n]


def moved_cycles(reference: Record, radars: Sequence[Sequence[Record]], most: int) -> Points:
    """Returns (N, 45) of the first detections of all radars, newest cycle first, in the axes of the reference.

    x y z, moved on by their velocity since the newest cycle of their radar, rcs, vx and vy over ground, age, and the
    four states spread out. Files are taken apart by one structured type, not value by value.
    """
    ref_from_world = ref_from_world_of(reference)
    aged = [(record, (cycles[0].time_us - record.time_us) * 1e-6) for cycles in radars for record in cycles]
    found, moved, n = [], [], 0
    for record, age_s in sorted(aged, key=lambda one: -one[0].time_us):
        data = record.path.read_bytes()
        count = int(data[data.index(b"WIDTH ") + 6 :].split(b"\n", 1)[0])
        cycle = np.frombuffer(data, _CYCLE, count, data.index(b"DATA binary\n") + 12)
        move = (ref_from_world @ matrix_of(record.pose) @ matrix_of(record.mount)).astype(np.float32)
        velocity = cycle["v_comp"] @ move[:3, :2].T
        places = cycle["xyz"] @ move[:3, :3].T + move[:3, 3] + velocity * np.float32(age_s)
        ages = np.full((count, 1), age_s, np.float32)
        moved.append(np.hstack([places, cycle["rcs"][:, None], velocity[:, :2], ages]))
        found.append(cycle)
        n += count
        if n >= most:
            break
    cycle = np.concatenate(found)[:most]
    blocks = [_ONE_OF_8[cycle["dyn_prop"]], _ONE_OF_5[cycle["ambig_state"]]]
    blocks += [_ONE_OF_18[cycle["invalid_state"]], _UP_TO[cycle["pdh0"]]]
    return np.hstack([np.concatenate(moved)[:most], *blocks])


def voxels(low_high: Sequence[float], voxel: Sequence[float], columns: int, per_voxel: int, most: int) -> Any:
    """Returns a call from points (N, columns) to voxels, coords and counts; spconv's generator, made once."""
    from cumm import tensorview as tv
    from spconv.utils import Point2VoxelCPU3d

    generator = Point2VoxelCPU3d(
        vsize_xyz=list(voxel),
        coors_range_xyz=list(low_high),
        num_point_features=columns,
        max_num_voxels=most,
        max_num_points_per_voxel=per_voxel,
    )

    def call(points: Points) -> tuple[NDArray[Any], ...]:
        # copied out, since the next call overwrites them
        return tuple(part.numpy().copy() for part in generator.point_to_voxel(tv.from_numpy(points)))

    return call


def pictures(mean: Sequence[float], std: Sequence[float]) -> Callable[[Sequence[Camera]], Points]:
    """Returns a call from cameras to (K, 3, 256, 704) float32 RGB: Pillow's bicubic pixels of pictures of 900 x 1600.

    Only the part is resized that the crop needs. .48 is 12 / 25, so that it begins on a whole pixel before and after:
    rows from 350 and columns 50 to 1550 become 264 x 720, of which 256 x 704 are cut out.
    """
    height, width = SIZE
    rows, columns = _ROW // 12 * 12, _COLUMN // 12 * 12
    top, left, right = rows * 25 // 12, columns * 25 // 12, 1550
    size = (int((right - left) * _FACTOR), int((900 - top) * _FACTOR))
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    tables = [(scaled - np.float32(m)) / np.float32(s) for m, s in zip(mean, std, strict=True)]
    pixels = np.empty((900, 1600, 3), np.uint8)

    def call(cameras: Sequence[Camera]) -> Points:
        out = np.empty((len(cameras), 3, height, width), np.float32)
        for camera, own in zip(cameras, out, strict=True):
            simplejpeg.decode_jpeg(camera.record.path.read_bytes(), buffer=pixels)
            seen = Image.frombuffer("RGB", (1600, 900 - top), pixels[top:], "raw", "RGB", 0, 1)
            resized = np.asarray(seen.resize(size, Image.Resampling.BICUBIC, box=(left, 0, right, 900 - top)))
            cut = resized[_ROW - rows :, _COLUMN - columns : _COLUMN - columns + width]
            planes = np.ascontiguousarray(cut.transpose(2, 0, 1))
            for plane, table, channel in zip(planes, tables, own, strict=True):
                cv2.LUT(plane, table, dst=channel)
        return out

    return call


def matrices(reference: Record, cameras: Sequence[Camera]) -> Matrices:
    """Returns the intrinsics, lidar_from_camera, lidar2image and img_aug_matrix."""
    count = len(cameras)
    intrinsics, affine = np.tile(np.eye(4), (count, 1, 1)), np.tile(np.eye(4), (count, 1, 1))
    intrinsics[:, :3, :3] = [camera.intrinsics for camera in cameras]
    affine[:, 0, 0] = affine[:, 1, 1] = _FACTOR
    affine[:, :2, 3] = (-_COLUMN, -_ROW)
    ref_from_world = ref_from_world_of(reference)
    chains = ([ref_from_world, matrix_of(c.record.pose), matrix_of(c.record.mount)] for c in cameras)
    extrinsics = np.stack([reduce(np.dot, chain) for chain in chains])
    projection = intrinsics @ np.stack([_inverse(own) for own in extrinsics])
    return Matrices(*(own.astype(np.float32) for own in (intrinsics, extrinsics, projection, affine)))


def depth_maps(points: Points, given: Matrices, low_high: Sequence[float]) -> Points:
    """Returns (K, 1, 256, 704) float32: of the points of a box the last on each pixel, 0 where there is none.

    The columns of pixels are tested first, without a division: 0 <= u d < width d, which what is behind fails.
    """
    height, width = SIZE
    xyz = np.ascontiguousarray(points[:, :3].T)
    (x, y, z), (low, high) = xyz, np.array(low_high, np.float32).reshape(2, 3)
    inside = (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1]) & (z >= low[2]) & (z < high[2])
    xyz = xyz.take(np.flatnonzero(inside), axis=1)
    # the translation in the column of the depth, so that it is applied before the division
    affine = given.affine.copy()
    affine[:, :2, 2], affine[:, :2, 3] = affine[:, :2, 3], 0
    rows = affine @ given.projection
    out = np.zeros((len(rows), 1, height, width), np.float32)
    for own, pixel_from_ref in zip(out, rows, strict=True):
        row_u, _, row_d, _ = pixel_from_ref
        edges = np.stack([row_u, width * row_d - row_u])
        from_left, from_right = edges[:, :3] @ xyz
        seen = xyz.take(np.flatnonzero((from_left >= -edges[0, 3]) & (from_right > -edges[1, 3])), axis=1)
        u, v, depth = pixel_from_ref[:3, :3] @ seen + pixel_from_ref[:3, 3:]
        u /= depth
        v /= depth
        kept = np.flatnonzero((v >= 0) & (v < height) & (depth > 0) & (u >= 0) & (u < width))
        # of several at one place the last is kept
        own.reshape(-1)[v[kept].astype(np.int32) * width + u[kept].astype(np.int32)] = depth[kept]
    return out


def map_of(reference: Record, draw: Draw) -> NDArray[np.uint8]:
    """Returns (L, 200, 200) uint8, x first as BEVFusion turns it, of what `draw` makes around the reference's lidar."""
    world_from_ego = matrix_of(reference.pose)
    drawn = draw(world_from_ego @ matrix_of(reference.mount), world_from_ego[2, 3])
    return np.ascontiguousarray(drawn.transpose(0, 2, 1))
