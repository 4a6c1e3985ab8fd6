"""agent_raster."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.agent import AgentRasterParams

from ..kernels.agents import fill_boxes
from ..reference import Reference
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .tracks import EGO, Tracks

__all__ = ["AgentRaster"]


class AgentRaster(Filler):
    def __init__(self, params: AgentRasterParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = f"agents from above ({params.channels_count()} channels)"
        self.reference = stages.share(Reference, params.place_key())
        self.tracks = stages.share(Tracks, params.tracks, 0, params.tracks.dt)
        if params.ego:
            self.tracks.want_ego()
        self._boxes = np.zeros((0, 6))
        self._first = np.zeros(0, np.int64)
        self._values = np.zeros((0, 1))
        x_min, y_min, _, _ = params.range
        self._grid = np.array([x_min, y_min, params.cell])
        self._size_xy = np.array(params.size(), np.int64)
        self._place = _placed(params)

    def run(self, sample: Sample) -> None:
        tracks, params = self.tracks, self.params
        tracks.report_no_labels(sample.frame, params.required)
        is_ego = tracks.key == EGO
        # the vehicle's rows come after all others
        rows = np.argsort(tracks.step, kind="stable")
        rows = rows[((tracks.kind >= 0) & (~is_ego | params.ego))[rows]]
        steps = tracks.step[rows].astype(np.int64)
        self._boxes = self._from_above(rows)
        if params.colours is None:
            newest = tracks.steps - 1
            self._first = newest - steps + is_ego[rows] * tracks.steps
            self._values = np.ones((len(rows), 1))
        else:
            self._first = np.zeros(len(rows), np.int64)
            self._values = _faded(tracks.key[rows], tracks.kind[rows], params)

    def _from_above(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        vectors, size = self.tracks.vectors[rows], self.tracks.size[rows] * self.reference.scale
        heading = self.reference.directions(vectors[:, 1])[:, :2]
        length = np.hypot(heading[:, 0], heading[:, 1])[:, None]
        heading = np.divide(heading, length, out=np.zeros_like(heading), where=length > 0)
        return np.column_stack([self.reference.places(vectors[:, 0])[:, :2], heading, size[:, :2] / 2])

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = 0
        fill_boxes(self._boxes, self._first, self._values, self._grid, self._size_xy, self._place, out.reshape(-1))


def _placed(params: AgentRasterParams) -> NDArray[np.int64]:
    """Returns (4,) base and the strides of x, y and channels in the flat tensor."""
    sizes, strides, step = params.dims(), dict[str, int](), 1
    for axis in reversed(params.order()):
        strides[axis] = step
        step *= sizes[axis]
    base = 0
    for axis, flipped in (("X", params.flip_x), ("Y", params.flip_y)):
        if flipped:
            base += (sizes[axis] - 1) * strides[axis]
            strides[axis] = -strides[axis]
    return np.array([base, strides["X"], strides["Y"], strides["C"]], np.int64)


def _faded(key: NDArray[np.int64], kind: NDArray[np.int32], params: AgentRasterParams) -> NDArray[np.float64]:
    """Returns (N, 3) float64: the colour of each box, the rows of an agent from its oldest to its newest."""
    n = len(key)
    if not n:
        return np.zeros((0, 3))
    order = np.argsort(key, kind="stable")
    begins = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    many = np.diff(np.append(begins, n))
    count, place = np.empty(n, np.int64), np.empty(n, np.int64)
    count[order] = np.repeat(many, many)
    place[order] = np.arange(n) - np.repeat(begins, many)
    colours = params.colours or ()
    combined = np.column_stack([kind, count, place])
    different, which = np.unique(combined, axis=0, return_inverse=True)
    shown = [_shade(colours[k], p, c, params.fade_from) for k, c, p in different.tolist()]
    return np.array(shown, dtype=np.float64)[which.reshape(-1)]


@lru_cache(maxsize=1024)
def _shade(colour: tuple[int, int, int], place: int, count: int, fade_from: float) -> tuple[int, int, int]:
    """Returns the colour of box `place` of `count`: its value in HSV grows evenly from `fade_from` to its own."""
    if place == count - 1:
        return colour
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    shade = fade_from + place * (value / 255 - fade_from) / (count - 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, shade * 255)
    return int(red), int(green), int(blue)
