"""The cameras: pinhole, without distortion, the whole picture at one instant; drawn when its bytes are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix

from . import surfaces
from .lidar import sensor_motion
from .rig import CAMERAS, ego_from_camera, intrinsics
from .scene import World
from .solids import Solids

__all__ = ["draw"]


_REACH_M = 200.0
_NEAREST_M = 0.05
# from the south-west, in the world; the third is up
_SUN = (-0.45, -0.55, 0.7036)
_CORNERS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_EDGES = np.array([(a, b) for a in range(8) for b in (a + 1, a + 2, a + 4) if a ^ b in (1, 2, 4) and b > a and b < 8]).T


def draw(world: World, camera: str, time_ns: int, width: int, height: int) -> NDArray[np.uint8]:
    """Returns the picture (height, width, 3) uint8 RGB."""
    from .picture_kernel import draw_ground, draw_solids

    mount = CAMERAS[camera]
    scene = world.scene(time_ns, _REACH_M)
    frames, eyes = sensor_motion(scene.ego.heading, scene.ego.centre, ego_from_camera(mount))
    k = intrinsics(mount, width, height)
    lens = (float(k[0, 0]), float(k[0, 2]), float(k[1, 2]))
    image, depths = np.empty((height, width, 3), np.uint8), np.full((height, width), np.inf)
    course = world.course
    ground = course.ground_for_kernels
    solids, near, boxes = _in_view(scene.solids, eyes[0], frames[0], lens, width, height)
    draw_solids(image, depths, lens, eyes[0], frames[0], solids, near, boxes, _sun(world))
    draw_ground(image, depths, lens, eyes[0], frames[0], ground, scene.table, surfaces.COLOURS)
    return image


def _sun(world: World) -> tuple[float, float, float]:
    (cos, sin), (x, y, z) = world.course.world_heading, _SUN
    return cos * x + sin * y, cos * y - sin * x, z


def _in_view(
    solids: Solids, eye: Matrix, axes: Matrix, lens: tuple[float, float, float], width: int, height: int
) -> tuple[Solids, Matrix, NDArray[np.int64]]:
    """Returns the solids that may show, nearest first, their least depth, and the pixels (n, 4) they may cover."""
    right, down, depth = _points_ahead(solids, eye, axes)
    near, far = depth.min(axis=1), depth.max(axis=1)
    u, v = lens[1] + lens[0] * right / depth, lens[2] + lens[0] * down / depth
    boxes = np.stack([np.floor(u.min(1)), np.ceil(u.max(1)), np.floor(v.min(1)), np.ceil(v.max(1))], axis=1)
    boxes = np.clip(boxes, (0, -1, 0, -1), (width, width - 1, height, height - 1)).astype(np.int64)
    seen = (far > _NEAREST_M) & (near < _REACH_M) & (boxes[:, 0] <= boxes[:, 1]) & (boxes[:, 2] <= boxes[:, 3])
    order = np.argsort(near, kind="stable")
    order = order[seen[order]]
    chosen = Solids(*(np.ascontiguousarray(column[order]) for column in solids))
    return chosen, near[order], np.ascontiguousarray(boxes[order])


def _points_ahead(solids: Solids, eye: Matrix, axes: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Returns right, down and depth (n, 20): the corners, and where edges cross the plane just before the camera.

    Corners behind that plane are replaced by a point on it, so that the points just hold what can be seen.
    """
    corners = _CORNERS[None] * solids.half[:, None]
    (cos, sin), centre = solids.heading.T[:, :, None], solids.centre[:, None] - eye
    x = centre[..., 0] + cos * corners[..., 0] - sin * corners[..., 1]
    y = centre[..., 1] + sin * corners[..., 0] + cos * corners[..., 1]
    z = centre[..., 2] + corners[..., 2]
    found = np.stack([x * axes[0, i] + y * axes[1, i] + z * axes[2, i] for i in range(3)])
    a, b = found[..., _EDGES[0]], found[..., _EDGES[1]]
    crosses = (a[2] - _NEAREST_M) * (b[2] - _NEAREST_M) < 0
    share = np.where(crosses, (_NEAREST_M - a[2]) / np.where(crosses, b[2] - a[2], 1.0), 0.0)
    points = np.concatenate([found, a + (b - a) * share], axis=-1)
    points[2, :, 8:] = np.where(crosses, _NEAREST_M, points[2, :, 8:])
    behind = points[2] < _NEAREST_M
    first = np.argmin(behind, axis=1)[None, :, None]
    points = np.where(behind, np.take_along_axis(points, np.broadcast_to(first, (3, len(x), 1)), axis=-1), points)
    points[2] = np.where(behind.all(axis=1)[:, None], _NEAREST_M, points[2])
    return points[0], points[1], points[2]
