"""Which points cameras see, and on which pixels: what depth maps and lists of seen points share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import SightParams
from perceptum.features.lidar import CloudParams
from perceptum.features.radar import RadarCloudParams

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

__all__ = ["Chosen", "HasPoints", "Sight", "Work", "cloud_of"]

_RULES = {"edge": kernels.EDGE, "floor": kernels.FLOOR, "round": kernels.ROUND, "truncate": kernels.TRUNCATE}
_ALL = np.zeros(0, np.int32)
_SLACK_M = 1e-6
"""By how much planes lie farther out than what they bound, and by which share of their distance from the origin: what
float64 may lose is a millionth of it."""
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


class Work:
    """What one thread works with, in the order in which kernels take it."""

    def __init__(self) -> None:
        block = kernels.BLOCK
        self.arrays: tuple[NDArray[Any], ...] = (
            np.zeros((3, block), np.float32),
            np.zeros((3, 2), np.float32),
            np.zeros((3, block), np.float64),
            np.zeros(block, np.float32),
            np.zeros(block, np.int32),
        )


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
    """Yields per camera the numbers by which kernels find on which of its pixels, or squares of `stride`, points are."""

    def __init__(self, params: SightParams, stride: int, stages: Stages) -> None:
        super().__init__()
        self.title = f"sight (stride {stride})"
        self.params = params
        self._stages = stages
        self._works: list[Work] = []
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
        self.size = (0, 0)
        """Height and width of a map, in cells."""
        low, high = params.depth_range
        self.rule = _RULES[params.pixel]
        self.depths: tuple[float, float, bool] = (low, np.inf if high is None else high, params.depth_along == "ray")
        """From where and up to where points are shown, and whether that is along their rays."""
        self.within = False
        """Whether the recorded picture's border is looked at."""

    def work(self, number: int = 0) -> Work:
        """Returns what the thread of that number works with."""
        while len(self._works) <= number:
            self._works.append(Work())
        return self._works[number]

    def parts(self, n: int) -> list[NDArray[np.int64]]:
        """Returns the cameras that have a picture, shared among the threads that n points are worth; at least one part.

        Neighbours go to different threads: what looks ahead sees more than what looks back.
        """
        many = len(split(n * len(self.shown), self._stages.threads))
        return [self.shown[k::many].copy() for k in range(many)]

    def cut(self, size: Sequence[int]) -> NDArray[np.float64]:
        """Returns `cameras` for maps that are smaller than `size` here, which show no more than their own cells."""
        cameras = self.cameras.copy()
        own = cameras[:, kernels.SIZE : kernels.SIZE + 2]
        np.minimum(own, size, out=own)
        return cameras

    def run(self, sample: Sample) -> None:
        height, width = self.views.one_size()
        self.size = height // self.stride, width // self.stride
        views = self.views.views
        there = [k for k, view in enumerate(views) if view is not None and view.transform is not None]
        self.shown = np.array(there, np.int64)
        self.cameras = np.zeros((len(views), kernels.NUMBERS))
        self.within = self.params.margin is not None or any(_has_black(views[k]) for k in there)
        for k in there:
            self._write(k, views[k])

    def _write(self, k: int, view: View | None) -> None:
        assert view is not None
        assert view.transform is not None
        numbers, transform = self.cameras[k], view.transform
        full, plain, camera = (
            self.projection.full[k],
            self.projection.plain[k],
            self.projection.poses.camera_from_ref[k],
        )
        numbers[kernels.PIXEL : kernels.PIXEL + 12] = full[:3].ravel()
        numbers[kernels.RECORDED : kernels.RECORDED + 8] = plain[:2].ravel()
        numbers[kernels.CAMERA : kernels.CAMERA + 12] = camera[:3].ravel()
        (height, width), (_, _, own_height, own_width) = self.size, transform.crop
        planes = self._planes(full, camera)
        numbers[kernels.PLANES : kernels.PLANES + 24] = planes.ravel()
        half = 0.5 if self.params.pixel in ("edge", "round") else 0.0
        ends = (np.inf, np.inf) if transform.padded is None else (own_height - half, own_width - half)
        numbers[kernels.SIZE : kernels.SIZE + 4] = (height, width, *ends)
        numbers[kernels.WITHIN : kernels.WITHIN + 4] = self._within(transform.source)

    def _within(self, recorded: tuple[int, int]) -> tuple[float, float, float, float]:
        margin, (height, width) = self.params.margin, recorded
        if margin is None:
            return _JUST_BELOW, width - 0.5, _JUST_BELOW, height - 0.5
        return margin, width - margin, margin, height - margin

    def _planes(self, full: NDArray[np.float64], camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns (6, 4): planes around what can be seen, a pixel and a cell farther out."""
        low, high, _ = self.depths
        least, (height, width) = -1.0 - self.stride, ((edge + 1) * self.stride + 1.0 for edge in self.size)
        ahead = camera[2]
        # along a ray it is only known to be ahead, and no farther than the ray is long
        near = low if not self.depths[2] else 0.0
        planes = np.array(
            [
                full[0] - least * ahead,
                width * ahead - full[0],
                full[1] - least * ahead,
                height * ahead - full[1],
                ahead - [0, 0, 0, near],
                [0, 0, 0, high] - ahead,
            ]
        )
        lengths = np.linalg.norm(planes[:, :3], axis=1)
        # a plane without a direction bounds nothing
        planes /= np.where(lengths > 0, lengths, np.inf)[:, None]
        planes[:, 3] += _SLACK_M * (1 + np.abs(planes[:, 3]))
        return planes


def _has_black(view: View | None) -> bool:
    """Whether the tensor's picture shows places that were not recorded."""
    assert view is not None
    assert view.transform is not None
    top, left, height, width = view.transform.crop
    inside = top >= 0 and left >= 0 and top + height <= view.transform.resized[0]
    return view.transform.rotate_deg != 0 or not (inside and left + width <= view.transform.resized[1])
