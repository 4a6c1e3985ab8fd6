"""camera_depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import DepthParams

from ..kernels.camera.depth import draw, pool
from ..sample import Sample
from ..scratch import Scratch, address
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .sight import Chosen, Sight, Works, cloud_of

__all__ = ["Depth"]

_NO_NUMBERS = np.zeros(0, np.int32)


class Depth(Filler):
    def __init__(self, params: DepthParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"depth ({params.source}, stride {params.stride})"
        self.params: DepthParams = params
        self._stages = stages
        # of each pixel the last, then the nearest of the pixels: two steps
        self._pools = params.collision == "last_of_pixel" and params.stride > 1
        self.sight = stages.share(Sight, params.sight(), 1 if self._pools else params.stride)
        self.cloud = cloud_of(params.cloud(), stages)
        self.needs = (self.sight, self.cloud)
        self._chosen = Chosen(params.range)
        self._heights = None if params.heights is None else np.array(params.heights, np.float32)
        self._raised = Scratch(np.float32, rows=3)
        self._pixels = Scratch(np.float32)
        self._works = Works()
        self._size = (0, 0)

    @property
    def nbytes(self) -> int:
        return self._chosen.nbytes + self._raised.array.nbytes + self._pixels.array.nbytes

    def run(self, sample: Sample) -> None:
        height, width = self.sight.views.one_size()
        self._size = height // self.params.stride, width // self.params.stride

    def sizes(self) -> Mapping[str, int]:
        names = self.params.axes()
        return {"num_cameras": len(self.sight.cameras), **dict(zip(names, self._size, strict=True))}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        maps = out[:, 0] if self.params.layout == "K1HW" else out
        n = min(len(self.sight.cameras), len(maps))
        shown = self.sight.shown[self.sight.shown < n]
        for camera in set(range(n)).difference(shown.tolist()):
            maps[camera] = 0
        if self._pools:
            self._pool(maps, n)
        else:
            self._draw(maps)
        written.clear_rows(n, out)

    def _draw(self, maps: NDArray[np.float32]) -> None:
        """Writes the maps of the cameras that have a picture."""
        sight, points = self.sight, self.cloud.points
        self._chosen.choose(points)
        columns, chosen, n = points.lying[:3], self._chosen.numbers, self._chosen.n
        if self._heights is not None:
            columns, chosen, n = self._raise(self._heights), _NO_NUMBERS, n * len(self._heights)
        cameras = sight.cut(maps.shape[1:])
        parts = [own[own < len(maps)] for own in sight.parts(n)]
        near, far, along_ray = sight.depths
        last = self.params.collision != "nearest"

        def write(part: int) -> None:
            given: list[Any] = [columns, chosen, n, cameras, parts[part], sight.rule, float(sight.stride), near, far]
            given += [along_ray, sight.within, last, *self._works[part], maps]
            draw(*given)

        self._works.reserve(len(parts))
        self._stages.each(write, range(len(parts)))

    def _pool(self, maps: NDArray[np.float32], n: int) -> None:
        height, width = self.sight.views.one_size()
        pixels = self._pixels.reserve(n * height * width)[: n * height * width].reshape(n, height, width)
        self._draw(pixels)
        rows, columns = (min(a, b) for a, b in zip(self._size, maps.shape[1:], strict=True))

        def write(camera: int) -> None:
            maps[camera] = 0
            pool(pixels[camera], self.params.stride, rows, columns, maps[camera])

        self._stages.each(write, [k for k in self.sight.shown.tolist() if k < n])

    def _raise(self, heights: NDArray[np.float32]) -> NDArray[np.int64]:
        """Returns where the points are in memory that stand at all heights in the place of each."""
        numbers = self._chosen.numbers if self.params.range is not None else slice(None)
        x, y, _ = self.cloud.points.values[:3]
        many = self._chosen.n
        raised = self._raised.reserve(many * len(heights))
        wide = raised[:, : many * len(heights)].reshape(3, many, len(heights))
        wide[0], wide[1], wide[2] = x[numbers, None], y[numbers, None], heights
        at = address(raised) + raised.strides[0] * np.arange(3)
        return np.stack([at, np.full(3, 4)], axis=1)
