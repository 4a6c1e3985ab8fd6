"""lidar_camera_pixels and radar_camera_points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import LidarPixelsParams, RadarCameraPointsParams
from perceptum.features.camera.points import SEEN

from ..kernels.camera import points as kernels
from ..kernels.camera.sight import BLOCK
from ..kernels.points import interleave
from ..lidar.cloud import Cloud
from ..radar.cloud import RadarCloud
from ..sample import Sample
from ..scratch import Scratch, address
from ..split import shares, split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .sight import CameraSight, Looked, Works

__all__ = ["LidarPixels", "RadarCameraPoints"]

_TAKES = {"first": kernels.FIRST, "middle": kernels.MIDDLE, "all": kernels.ALL}


class LidarPixels(Filler):
    def __init__(self, params: LidarPixelsParams, stages: Stages) -> None:
        super().__init__()
        self.title = "pixels of points"
        self.params: LidarPixelsParams = params
        self._stages = stages
        self.sight = stages.share(CameraSight, params.sight(), 1)
        self.cloud = stages.share(Cloud, params.cloud())
        self.cloud.want()
        self.needs = (self.sight, self.cloud)
        self._looked = Looked(params.range)
        self._index = Scratch(np.int32)
        self._pixels = Scratch(np.float32)
        self._works = Works()
        self._n = 0

    @property
    def nbytes(self) -> int:
        return self._looked.nbytes + self._index.array.nbytes + self._pixels.array.nbytes

    def run(self, sample: Sample) -> None:
        sight, points, most = self.sight, self.cloud.points, self.params.max_points
        self._looked.choose(points)
        n = self._n = self._looked.n if most is None else min(self._looked.n, most)
        self.dropped = {"points over max_points": self._looked.n - n}
        index, pixels = self._results()
        near, far, along_ray = sight.depths
        middles = self._middles()
        boxes, take = self._looked.boxes(), _TAKES[self.params.take]
        # whole blocks, whose boxes are known
        blocks = shares(-(-n // BLOCK), len(split(n, self._stages.threads)))
        parts = [(own.start * BLOCK, min(own.stop * BLOCK, n)) for own in blocks]

        def find(number: int) -> None:
            start, stop = parts[number]
            given: list[Any] = [self._looked.columns, self._looked.numbers, start, stop - start, boxes, sight.cameras]
            given += [sight.shown, sight.rule, near, far, along_ray, sight.within, take, middles]
            with self._works.take() as work:
                given += [*work, index, pixels]
                kernels.find_pixels(*given)

        self._stages.each(find, range(len(parts)))

    def _middles(self) -> NDArray[np.float64]:
        """(K, 2) u and v of the middle of each picture."""
        sizes = [view.transform.size if view and view.transform else (0, 0) for view in self.sight.views.views]
        return (np.array(sizes, np.float64).reshape(-1, 2)[:, ::-1] - 1) / 2

    def _results(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(1, n) int32 and (3, n) float32; with "all" (K, n) and (3 K, n)."""
        many, n = len(self.sight.cameras) if self.params.take == "all" else 1, self._n
        index = self._index.reserve(many * n)[: many * n].reshape(many, n)
        return index, self._pixels.reserve(3 * many * n)[: 3 * many * n].reshape(3 * many, n)

    def sizes(self) -> Mapping[str, int]:
        cameras = {"num_cameras": len(self.sight.cameras)} if self.params.take == "all" else {}
        return {"num_points": self._n, **cameras}

    def clearing(self, feature: str) -> Clearing:
        return "whole" if feature == "lidar_camera_index" else "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        index, pixels = self._results()
        rows, every = min(self._n, len(out)), self.params.take == "all"
        if feature == "lidar_camera_index":
            if every:
                many = min(out.shape[1], len(index))
                out[:rows, :many], out[:rows, many:] = index[:many, :rows].T, -1
            else:
                out[:rows] = index[0, :rows]
            out[rows:] = -1
            return
        if every:
            many = min(out.shape[1], len(index))
            out[:rows, :many] = pixels[: 3 * many, :rows].reshape(many, 3, rows).transpose(2, 0, 1)
            out[:rows, many:] = 0
        else:
            at = address(pixels) + pixels.strides[0] * np.arange(3)
            interleave(np.stack([at, np.full(3, 4)], axis=1), 0, out[:rows])
        written.clear_rows(rows, out)


class RadarCameraPoints(Filler):
    def __init__(self, params: RadarCameraPointsParams, stages: Stages) -> None:
        super().__init__()
        self.title = "radar points of cameras"
        self.params: RadarCameraPointsParams = params
        self.sight = stages.share(CameraSight, params.sight(), 1)
        self.cloud = stages.share(RadarCloud, params.cloud())
        self.needs = (self.sight, self.cloud)
        self._looked = Looked(params.range)
        self._listed = Scratch(np.int32)
        self._pixels = Scratch(np.float32)
        self._counts: list[int] = []
        self._works = Works()

    @property
    def nbytes(self) -> int:
        return self._looked.nbytes + self._listed.array.nbytes + self._pixels.array.nbytes

    def want(self, feature: str, dtype: str) -> None:
        self.cloud.want(self.params.radar_columns())

    def run(self, sample: Sample) -> None:
        sight, points, most = self.sight, self.cloud.points, self.params.max_points
        self._looked.choose(points)
        n, columns = self._looked.n, self._looked.columns
        near, far, along_ray = sight.depths
        found = dict.fromkeys(range(len(sight.cameras)), 0)
        with self._works.take() as (places, seen, depths, cells, _):
            for camera in sight.shown.tolist():
                given: list[Any] = [columns, self._looked.numbers, n, sight.cameras[camera], sight.rule, near, far]
                given += [along_ray, sight.within, places, seen, depths, cells, *self._lists(camera)]
                found[camera] = kernels.list_seen(*given)
        self._counts = [min(many, most) for many in found.values()]
        self.dropped = {"detections over max_points": sum(found.values()) - sum(self._counts)}

    def _lists(self, camera: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(n,) int32 and (3, n) float32 of a camera."""
        n, many = self._looked.n, len(self.sight.cameras)
        listed = self._listed.reserve(many * n)[camera * n : (camera + 1) * n]
        pixels = self._pixels.reserve(3 * many * n)[3 * camera * n : 3 * (camera + 1) * n]
        return listed, pixels.reshape(3, n)

    def sizes(self) -> Mapping[str, int]:
        return {"num_cameras": len(self.sight.cameras)}

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "radar_camera_num_points":
            many = min(len(out), len(self._counts))
            out[:many], out[many:] = self._counts[:many], 0
            return
        values = self.cloud.points.values
        for camera, rows in enumerate(out):
            count = self._counts[camera] if camera < len(self._counts) else 0
            rows[count:] = 0
            if count:
                listed, pixels = self._lists(camera)
                self._show(listed[:count], pixels, values, rows[:count])

    def _show(
        self,
        listed: NDArray[np.int32],
        pixels: NDArray[np.float32],
        values: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> None:
        at = 0
        for name in self.params.columns:
            if name == "u" or name == "v" or name == "depth":
                out[:, at], at = pixels[SEEN.index(name), : len(out)], at + 1
            else:
                picked = self.cloud.points.picks((name,))
                out[:, at : at + len(picked)] = values[picked[:, None], listed].T
                at += len(picked)
