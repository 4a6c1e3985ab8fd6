"""camera_depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.camera import DepthParams

from ..kernels.camera.depth import draw, pool
from ..reference import Reference
from ..sample import Sample
from ..scratch import Scratch, address
from ..split import is_much
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .sight import CameraSight, Looked, Works, cloud_of

__all__ = ["Depth"]


class Depth(Filler):
    def __init__(self, params: DepthParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"depth ({params.source}, stride {params.stride})"
        self.params: DepthParams = params
        self._stages = stages
        # of each pixel the last, then the nearest of the pixels: two steps
        self._pools = params.collision == "last_of_pixel" and params.stride > 1
        self.sight = stages.share(CameraSight, params.sight(), 1 if self._pools else params.stride)
        self.cloud = cloud_of(params.cloud(), stages)
        self._reference = stages.share(Reference, ReferenceParams(frame=params.frame))
        self.needs = (self.sight, self.cloud, self._reference)
        self._looked = Looked(params.range)
        self._heights = None if params.heights is None else np.array(params.heights, np.float32)
        self._raised = Scratch(np.float32, rows=3)
        self._pixels = Scratch(np.float32)
        self._works = Works()
        self._boxes = np.zeros((0, 3, 2), np.float32)
        self._maps = np.zeros((0, 0, 0), np.float32)
        self._size = (0, 0)

    @property
    def nbytes(self) -> int:
        return self._looked.nbytes + self._raised.array.nbytes + self._pixels.array.nbytes

    def run(self, sample: Sample) -> None:
        height, width = size = self.sight.views.one_size()
        self._size = height // self.params.stride, width // self.params.stride
        self._looked.choose(self.cloud.points)
        if self._heights is not None:
            self._raise(self._heights)
        self._boxes = self._looked.boxes()
        if self._pools:
            many = len(self.sight.cameras)
            pixels = self._pixels.reserve(many * height * width)[: many * height * width]
            self._maps = pixels.reshape(many, *size)
            self._draw(self._maps)

    def sizes(self) -> Mapping[str, int]:
        names = self.params.axes()
        return {"num_cameras": len(self.sight.cameras), **dict(zip(names, self._size, strict=True))}

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        maps = out[:, 0] if self.params.layout == "K1HW" else out
        n = min(len(self.sight.cameras), len(maps))
        for camera in set(range(n)).difference(self.sight.shown.tolist()):
            maps[camera] = 0
        if self._pools:
            self._pool(maps)
        else:
            self._draw(maps)
        written.clear_rows(n, out)

    def _each(self, work: Callable[[int], object], maps: NDArray[np.float32]) -> None:
        """Calls `work` for each camera of the maps that has a picture."""
        shown = [k for k in self.sight.shown.tolist() if k < len(maps)]
        if is_much(self._looked.n * len(shown), self._stages.threads):
            self._stages.each(work, shown)
        else:
            for camera in shown:
                work(camera)

    def _draw(self, maps: NDArray[np.float32]) -> None:
        sight, looked, boxes = self.sight, self._looked, self._boxes
        cameras, last = sight.cut(maps.shape[1:]), self.params.collision != "nearest"
        near, far, along_ray = sight.depths

        def write(camera: int) -> None:
            with self._works.take() as (places, seen, depths, cells, _):
                given: list[Any] = [looked.columns, looked.numbers, looked.n, boxes, cameras[camera]]
                given += [sight.rule, float(sight.stride), near, far, along_ray, sight.within, last]
                given += [places, seen, depths, cells, maps[camera]]
                draw(*given)

        self._each(write, maps)

    def _pool(self, maps: NDArray[np.float32]) -> None:
        rows, columns = (min(a, b) for a, b in zip(self._size, maps.shape[1:], strict=True))

        def write(camera: int) -> None:
            maps[camera] = 0
            pool(self._maps[camera], self.params.stride, rows, columns, maps[camera])

        self._each(write, maps)

    def _raise(self, heights: NDArray[np.float32]) -> None:
        """Puts points at all heights in the place of each that is looked at."""
        looked = self._looked
        numbers = looked.numbers if self.params.range is not None else slice(None)
        x, y, _ = self.cloud.points.values[:3]
        n = looked.n * len(heights)
        raised = self._raised.reserve(n)
        wide = raised[:, :n].reshape(3, looked.n, len(heights))
        wide[0], wide[1], wide[2] = x[numbers, None], y[numbers, None], self._changed(heights)
        at = address(raised) + raised.strides[0] * np.arange(3)
        looked.replace(np.stack([at, np.full(3, 4)], axis=1), n)

    def _changed(self, heights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns where the heights come by what the draw does, which turns about z and shifts along it."""
        change = self._reference.change
        return heights if change is None else (heights * self._reference.scale + change[2, 3]).astype(np.float32)
