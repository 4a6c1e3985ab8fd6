"""Which points cameras see, and on which pixels: what depth maps and lists of seen points share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageTransform, SightParams
from perceptum.features.lidar import CloudParams
from perceptum.features.radar import RadarCloudParams
from perceptum.inputs.lenses import Lens

from ..cells import Points
from ..kernels.camera import sight as kernels
from ..kernels.points import crop
from ..lidar.cloud import Cloud
from ..radar.cloud import RadarCloud
from ..sample import Sample
from ..scratch import Scratch
from ..split import split
from ..stage import Stage, Stages
from .projection import Projection
from .views import View

__all__ = ["Chosen", "HasPoints", "Sight", "Works", "cloud_of"]

_RULES = {"edge": kernels.EDGE, "floor": kernels.FLOOR, "round": kernels.ROUND, "truncate": kernels.TRUNCATE}
_ALL = np.zeros(0, np.int32)
_SLACK_M = 1e-6
"""By how much planes lie farther out than what they bound, and by which share of their distance from the origin: what
float64 may lose is a millionth of it."""
_MOST_KEPT = 64
"""Lenses, each in pictures of one size."""
_ALONG_A_SIDE = 17
"""Rays along each side of a picture that say what a lens sees."""
_WIDER = 0.05
_LEAST_AHEAD = 0.1
"""Of a ray of length 1: what looks farther to the side is no pinhole's."""
_JUST_BELOW = np.nextafter(-0.5, -1)


class HasPoints(Protocol):
    """A stage of points, the lidar's or the radar's."""

    @property
    def points(self) -> Points:
        """The points of the frame."""


def cloud_of(params: CloudParams | RadarCloudParams, stages: Stages) -> Cloud | RadarCloud:
    """Returns the stage of the points that the parameters mean, and says that x, y, z are needed."""
    if isinstance(params, RadarCloudParams):
        radar = stages.share(RadarCloud, params)
        radar.want()
        return radar
    lidar = stages.share(Cloud, params)
    lidar.want()
    return lidar


class Works:
    """What a filler's threads work with: fillers that share a sight may run side by side."""

    def __init__(self) -> None:
        self._works: list[tuple[NDArray[Any], ...]] = []

    def reserve(self, threads: int) -> None:
        """Called before so many threads begin."""
        while len(self._works) < threads:
            self._works.append(_work())

    def __getitem__(self, thread: int) -> tuple[NDArray[Any], ...]:
        """The arrays of a thread, in the order in which kernels take them."""
        return self._works[thread]


def _work() -> tuple[NDArray[Any], ...]:
    block = kernels.BLOCK
    places, box = np.zeros((3, block), np.float32), np.zeros((3, 2), np.float32)
    return places, box, np.zeros((3, block)), np.zeros(block, np.float32), np.zeros(block, np.int32)


class Chosen:
    """The points that lie in a box, by their numbers; all points without one."""

    def __init__(self, range_m: tuple[float, ...] | None) -> None:
        self._box = None if range_m is None else np.array(range_m, dtype=np.float32)
        self._numbers = Scratch(np.int32)
        self.n = 0
        self.numbers: NDArray[np.int32] = _ALL
        """(n,) int32; empty: all points, or none."""

    @property
    def nbytes(self) -> int:
        return self._numbers.array.nbytes

    def choose(self, points: Points) -> None:
        """Called for each frame."""
        if self._box is None:
            self.n = points.n
            return
        # one element more: the kernel writes ahead of its count
        numbers = self._numbers.reserve(points.n + 1)
        self.n = crop(points.lying[:3], points.n, self._box, numbers)
        self.numbers = numbers[: self.n]


class Sight(Stage):
    """Yields per camera the numbers by which kernels find on which pixel, or square of `stride`, a point falls."""

    def __init__(self, params: SightParams, stride: int, stages: Stages) -> None:
        super().__init__()
        self.title = f"sight (stride {stride})"
        self.params = params
        self._stages = stages
        self._pinholes: dict[tuple[Lens, ImageTransform, int], NDArray[np.float64]] = {}
        shared = (params.image, params.required, params.frame, params.motion_compensated)
        self.projection = stages.share(Projection, *shared)
        self.views = self.projection.views
        self.views.measure()
        self.needs = (self.projection, self.views)
        self.stride = stride
        self.cameras: NDArray[np.float64] = np.zeros((0, kernels.NUMBERS))
        """(K, NUMBERS), see kernels.camera.sight; of a camera without a picture 0."""
        self.shown: NDArray[np.int64] = np.zeros(0, np.int64)
        """The numbers of the cameras that have a picture."""
        low, high = params.depth_range
        self.rule = _RULES[params.pixel]
        self.depths: tuple[float, float, bool] = (low, np.inf if high is None else high, params.depth_along == "ray")
        """From where and up to where points are shown, and whether that is along their rays."""
        self.within = False
        """Whether it is looked at what the recorded picture has, or what was cut out of it."""

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """Returns the cameras that have a picture, shared among the threads that n points are worth; at least one part.

        Neighbours go to different threads: what looks ahead sees more than what looks back.
        """
        many = len(split(n * len(self.shown), self._stages.threads))
        return [self.shown[k::many].copy() for k in range(many)]

    def cut(self, size: Sequence[int]) -> NDArray[np.float64]:
        """Returns `cameras` for maps of a height and width, of which more may not be shown."""
        cameras = self.cameras.copy()
        own = cameras[:, kernels.SIZE : kernels.SIZE + 2]
        np.minimum(own, size, out=own)
        return cameras

    def run(self, sample: Sample) -> None:
        self.cameras = np.zeros((len(self.views.views), kernels.NUMBERS))
        self.within, shown = self.params.margin is not None, []
        for k, view in enumerate(self.views.views):
            if view is not None and view.transform is not None and self._write(k, view, view.transform):
                shown.append(k)
                self.within |= _has_black(view.transform)
        self.shown = np.array(shown, np.int64)

    def _lens(self, view: View) -> Lens | None:
        """Returns the lens through which the tensor's picture was taken; None in a log that skips what is broken.

        Raises BrokenRecord.
        """
        if self.params.image.undistort or self.params.lens == "none":
            return _pinhole()
        frame, picture = self.views.frame, self.views.picture(view.camera)
        return self.views.or_skip(f"camera/{view.camera} of {frame}", lambda: picture.lens)

    def _write(self, k: int, view: View, transform: ImageTransform) -> bool:
        """Writes the numbers of a camera; returns whether they are known."""
        numbers, lens = self.cameras[k], self._lens(view)
        if lens is None:
            return False
        full, plain, camera = (
            self.projection.full[k],
            self.projection.plain[k],
            self.projection.poses.camera_from_ref[k],
        )
        numbers[kernels.PIXEL : kernels.PIXEL + 12] = full[:3].ravel()
        numbers[kernels.RECORDED : kernels.RECORDED + 8] = plain[:2].ravel()
        numbers[kernels.CAMERA : kernels.CAMERA + 12] = camera[:3].ravel()
        (height, width), (_, _, own_height, own_width) = self._size(transform), transform.crop
        affine = self.projection.pixels.affine[k]
        numbers[kernels.MODEL], numbers[kernels.LENS : kernels.AFFINE] = lens.code, lens.parameters
        numbers[kernels.AFFINE : kernels.AFFINE + 6] = affine[:2].ravel()
        if lens.model == "none":
            planes = self._planes(full, camera, transform)
        else:
            planes = self._planes(self._around(lens, transform) @ camera[:3], camera, transform)
        numbers[kernels.PLANES : kernels.PLANES + 24] = planes.ravel()
        half = 0.5 if self.params.pixel in ("edge", "round") else 0.0
        ends = (np.inf, np.inf) if transform.padded is None else (own_height - half, own_width - half)
        numbers[kernels.SIZE : kernels.SIZE + 4] = (height, width, *ends)
        numbers[kernels.WITHIN : kernels.WITHIN + 4] = self._within(transform)
        return True

    def _within(self, transform: ImageTransform) -> tuple[float, ...]:
        """Returns the least u, most u, least v and most v of the recorded picture, themselves outside."""
        margin, turns, ends = self.params.margin, transform.rotate_deg % 360 != 0, list[float]()
        for axis in (1, 0):
            recorded, first, many = transform.source[axis], transform.crop[axis], transform.crop[2 + axis]
            low, high = (_JUST_BELOW, recorded - 0.5) if margin is None else (margin, recorded - margin)
            if turns:
                # only what was cut out is turned: the corners that this leaves are black
                ratio = recorded / transform.resized[axis]
                low = max(low, np.nextafter(first * ratio - 0.5, -np.inf))
                high = min(high, (first + many) * ratio - 0.5)
            ends += [low, high]
        return tuple(ends)

    def _size(self, transform: ImageTransform) -> tuple[int, int]:
        """Returns the height and width of what is shown, in cells."""
        height, width = transform.size
        return height // self.stride, width // self.stride

    def _ends(self, transform: ImageTransform) -> tuple[float, float, float]:
        """Returns the least u and v, the most u and the most v of what is shown, a pixel and a cell farther out."""
        height, width = ((edge + 1) * self.stride + 1.0 for edge in self._size(transform))
        return -1.0 - self.stride, width, height

    def _planes(
        self, pixel: NDArray[np.float64], camera: NDArray[np.float64], transform: ImageTransform
    ) -> NDArray[np.float64]:
        """Returns (6, 4): planes around what can be seen. pixel: (3, 4), as kernels.PIXEL."""
        low, high, along_ray = self.depths
        (least, width, height), ahead = self._ends(transform), camera[2]
        # along a ray it is only known to be ahead, and no farther than the ray is long; a wide lens sees beside it too
        near = low if not along_ray else 0.0 if pixel[2].any() else -np.inf
        planes = np.array(
            [
                pixel[0] - least * pixel[2],
                width * pixel[2] - pixel[0],
                pixel[1] - least * pixel[2],
                height * pixel[2] - pixel[1],
                ahead - [0, 0, 0, near],
                [0, 0, 0, high] - ahead,
            ]
        )
        lengths = np.linalg.norm(planes[:, :3], axis=1)
        # a plane without a direction bounds nothing
        planes /= np.where(lengths > 0, lengths, np.inf)[:, None]
        planes[:, 3] += _SLACK_M * (1 + np.abs(planes[:, 3]))
        return planes

    def _around(self, lens: Lens, transform: ImageTransform) -> NDArray[np.float64]:
        """Returns (3, 3) of a pinhole that sees all that is shown through the lens, on the pixels of the same picture;
        0 where no pinhole does."""
        key = (lens, transform, self.stride)
        if key not in self._pinholes:
            if len(self._pinholes) >= _MOST_KEPT:
                self._pinholes.clear()
            self._pinholes[key] = self._pinhole_around(lens, transform)
        return self._pinholes[key]

    def _pinhole_around(self, lens: Lens, transform: ImageTransform) -> NDArray[np.float64]:
        least, width, height = self._ends(transform)
        along, none = np.linspace(0, 1, _ALONG_A_SIDE), np.zeros(_ALONG_A_SIDE)
        u = least + (width - least) * np.concatenate([along, along, none, none + 1])
        v = least + (height - least) * np.concatenate([none, none + 1, along, along])
        border = np.linalg.inv(transform.matrix()) @ np.stack([u, v, np.ones_like(u)])
        rays, known = lens.unproject(border[:2].T)
        if not known.all() or rays[:, 2].min() < _LEAST_AHEAD:
            return np.zeros((3, 3))
        # between two rays the border may bend outwards
        places = rays[:, :2] / rays[:, 2:]
        low, high = places.min(axis=0), places.max(axis=0)
        low, high = low - _WIDER * (high - low), high + _WIDER * (high - low)
        focal = ([width, height] - np.full(2, least)) / (high - low)
        middle = least - focal * low
        return np.array([[focal[0], 0, middle[0]], [0, focal[1], middle[1]], [0, 0, 1.0]])


@cache
def _pinhole() -> Lens:
    return Lens(np.eye(3))


def _has_black(transform: ImageTransform) -> bool:
    """Whether the tensor's picture shows places that were not recorded."""
    top, left, height, width = transform.crop
    inside = top >= 0 and left >= 0 and top + height <= transform.resized[0] and left + width <= transform.resized[1]
    return transform.rotate_deg % 360 != 0 or not inside
