"""Where things in space lie in a camera's picture, by the matrices that a builder made for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.lenses import Lens
from perceptum.inputs.poses import inverse

__all__ = ["NEAR_M", "Bent", "Lines", "Projector"]

NEAR_M = 0.1
"""What is nearer to the camera's plane is not drawn: a line that crosses the plane is cut there. Divided by a depth
below 0, what lies behind a camera would appear before it, upside down."""

_PARTS = 32
"""A straight line is a curve in a picture that is not straight: it is drawn in so many parts."""

Matrix = NDArray[np.float64]


class Lines(NamedTuple):
    """What of lines in space is to be seen in a picture."""

    pixels: Matrix
    """(m, 2, 2): where each part begins and ends, u and v."""
    of: NDArray[np.int64]
    """(m,) the number of the line that each is a part of."""


class Bent(NamedTuple):
    """What a matrix cannot hold: a lens, for pictures from which it was not taken out."""

    lens: Lens
    pixel_from_recorded: Matrix
    """(3, 3): camera_image_affine, applied before division: from the pixels of the recorded picture."""


@dataclass(frozen=True, eq=False)
class Projector:
    """One camera's way from the ego frame to the pixels of its picture. Pixel centres are whole numbers."""

    size: tuple[int, int]
    """Height and width of the picture, px."""
    pixel_from_ego: Matrix
    """(4, 4): camera_projection, from a point to (u d, v d, d, 1)."""
    ego_from_camera: Matrix
    """(4, 4): camera_extrinsics, at the reference time."""
    bent: Bent | None = None
    """None: the picture is that of a pinhole."""

    def pixels(self, points: NDArray[Any]) -> tuple[Matrix, NDArray[np.bool_]]:
        """Returns (n, 2) u and v of points (n, 3), ego frame, and (n,) which of them lie in the picture."""
        pixels, seen = self._project(np.asarray(points, dtype=np.float64))
        (low, high), (u, v) = self._edges, pixels.T
        return pixels, seen & (u >= low[0]) & (v >= low[1]) & (u < high[0]) & (v < high[1])

    def frustum(self, depth_m: float) -> Matrix:
        """Returns (5, 3) the camera and the corners of its picture that far ahead, ego frame; as of a pinhole."""
        (low, high), centre = self._edges, self.ego_from_camera[:3, 3]
        u, v = np.array([low[0], high[0], high[0], low[0]]), np.array([low[1], low[1], high[1], high[1]])
        rays = np.linalg.solve(self.pixel_from_ego[:3, :3], np.stack([u, v, np.ones(4)])).T
        return np.vstack([centre, centre + depth_m * rays])

    def distances_m(self, points: NDArray[Any]) -> Matrix:
        """Returns (n,) how far points (n, 3), ego frame, are from the camera."""
        return np.asarray(np.linalg.norm(points - self.ego_from_camera[:3, 3], axis=1))

    def lines(self, ends: NDArray[Any]) -> Lines:
        """Returns what is seen of straight lines (n, 2, 3), ego frame: cut at the camera's plane and at the picture."""
        ends = np.asarray(ends, dtype=np.float64).reshape(-1, 2, 3)
        of = np.arange(len(ends))
        if self.bent is not None:
            return self._curves(ends, of)
        homogeneous = ends @ self.pixel_from_ego[:3, :3].T + self.pixel_from_ego[:3, 3]
        ahead = _cut(homogeneous, np.array([-np.inf, -np.inf, NEAR_M]), np.full(3, np.inf))
        of, homogeneous = of[ahead.kept], ahead.parts
        pixels = homogeneous[..., :2] / homogeneous[..., 2:]
        shown = _cut(pixels, *self._edges)
        return Lines(shown.parts, of[shown.kept])

    def _curves(self, ends: Matrix, of: NDArray[np.int64]) -> Lines:
        """The same through a lens, which may see what is beside and behind the camera's plane."""
        shares = np.linspace(0, 1, _PARTS + 1)[:, None]
        points = ends[:, None, 0] + shares * (ends[:, None, 1] - ends[:, None, 0])
        pixels, seen = self._project(points.reshape(-1, 3))
        pixels, seen = pixels.reshape(-1, _PARTS + 1, 2), seen.reshape(-1, _PARTS + 1)
        whole = seen[:, :-1] & seen[:, 1:]
        parts = np.stack([pixels[:, :-1], pixels[:, 1:]], axis=2)[whole]
        shown = _cut(parts, *self._edges)
        return Lines(shown.parts, np.broadcast_to(of[:, None], whole.shape)[whole][shown.kept])

    def _project(self, points: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
        if self.bent is not None:
            camera_from_ego = inverse(self.ego_from_camera)
            recorded, seen = self.bent.lens.project(points @ camera_from_ego[:3, :3].T + camera_from_ego[:3, 3])
            q = recorded @ self.bent.pixel_from_recorded[:, :2].T + self.bent.pixel_from_recorded[:, 2]
            return q[:, :2] / q[:, 2:], seen
        homogeneous = points @ self.pixel_from_ego[:3, :3].T + self.pixel_from_ego[:3, 3]
        seen = homogeneous[:, 2] >= NEAR_M
        depth = np.where(seen, homogeneous[:, 2], np.nan)
        return homogeneous[:, :2] / depth[:, None], seen

    @property
    def _edges(self) -> tuple[Matrix, Matrix]:
        height, width = self.size
        return np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])


class _Cut(NamedTuple):
    kept: NDArray[np.bool_]
    parts: Matrix


def _cut(lines: Matrix, low: Matrix, high: Matrix) -> _Cut:
    """Returns of lines (n, 2, k) those parts that lie between `low` and `high` (k,) in every axis, after Liang and
    Barsky. Lines with an end that is not finite are left out."""
    begin, way = lines[:, 0], lines[:, 1] - lines[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.stack([(low - begin) / way, (high - begin) / way])
    level = way == 0
    between = (begin >= low) & (begin <= high)
    enter = np.where(level, np.where(between, -np.inf, np.inf), at.min(axis=0)).max(axis=1).clip(min=0)
    leave = np.where(level, np.where(between, np.inf, -np.inf), at.max(axis=0)).min(axis=1).clip(max=1)
    kept = (enter <= leave) & np.isfinite(lines).all(axis=(1, 2))
    shares = np.stack([enter, leave], axis=1)[kept]
    return _Cut(kept, begin[kept, None] + shares[..., None] * way[kept, None])
