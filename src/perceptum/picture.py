"""A frame seen from above: points, labels, and the boxes of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import HDMap, Labels
from perceptum.inputs.poses import inverse
from perceptum.output_file import check_ending, whole_file

__all__ = ["LABEL_COLOR", "MODEL_COLORS", "RANGE_M", "Picture"]

RANGE_M = (-45.0, -45.0, 45.0, 45.0)
MODEL_COLORS = ("#e4572e", "#2e86ab", "#8a4fff", "#f3a712")
LABEL_COLOR = "#2a9d4a"


class Picture:
    """Draws into one PNG; x (forward) points up, y (left) to the left."""

    def __init__(self, range_m: tuple[float, float, float, float] = RANGE_M, title: str = "") -> None:
        """range_m: the ground that is shown, x_min y_min x_max y_max in the ego frame."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._range_m = x_min, y_min, x_max, y_max = range_m
        self._figure = Figure(figsize=(10, 10), dpi=110)
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0.06, 0.05, 0.92, 0.9))
        self._axes.set(xlim=(y_max, y_min), ylim=(x_min, x_max), aspect="equal", title=title)
        self._axes.set(xlabel="y, metres to the left", ylabel="x, metres ahead")
        # the vehicle itself
        self._axes.plot(0, 0, marker="^", color="black", ms=9)
        self._handles: list[Any] = []
        self._models = 0

    def points(self, xyz: NDArray[Any]) -> None:
        """Draws points (N, >= 3), ego frame, darker the higher they are."""
        near = xyz[self._inside(xyz)]
        shade = np.clip((near[:, 2] + 0.5) / 3.0, 0, 1)
        self._axes.scatter(near[:, 1], near[:, 0], c=1 - 0.8 * shade - 0.15, cmap="gray", vmin=0, vmax=1, s=0.4, lw=0)

    def map(self, hdmap: HDMap, world_from_ego: NDArray[np.float64]) -> None:
        """Draws the lines and polygons of the map."""
        ego_from_world = inverse(world_from_ego)
        x, y = world_from_ego[:2, 3]
        x_min, y_min, x_max, y_max = self._range_m
        corners = [[x_min, y_min], [x_min, y_max], [x_max, y_min], [x_max, y_max]] @ world_from_ego[:2, :2].T + [x, y]
        window = *corners.min(axis=0), *corners.max(axis=0)
        for name, layer in hdmap.layers.items():
            closed = layer.kind == "polygon"
            for index in layer.near(*window):
                world = layer[int(index)][:, :2]
                ego = (world - [x, y]) @ ego_from_world[:2, :2].T
                ego = np.vstack([ego, ego[:1]]) if closed else ego
                color = "#c9d6e3" if name != "crossing" else "#e3c9d6"
                self._axes.plot(ego[:, 1], ego[:, 0], color=color, lw=0.8, zorder=0)

    def _inside(self, xy: NDArray[Any]) -> NDArray[np.bool_]:
        """Returns (N,) which rows of (N, >= 2) begin with an x and y that are shown."""
        x_min, y_min, x_max, y_max = self._range_m
        x, y = xy[:, 0], xy[:, 1]
        return (x > x_min) & (x < x_max) & (y > y_min) & (y < y_max)

    def labels(self, labels: Labels) -> None:
        """Draws the true boxes."""
        self._draw(labels.in_frame("ego").boxes, LABEL_COLOR, "labels", 2.4, "-")

    def boxes(self, boxes: NDArray[Any], name: str) -> None:
        """Draws a model's boxes (N, 7), ego frame."""
        self._draw(boxes, MODEL_COLORS[self._models % len(MODEL_COLORS)], name, 1.3, "--")
        self._models += 1

    def _draw(self, boxes: NDArray[Any], color: str, name: str, width: float, style: str) -> None:
        from matplotlib.lines import Line2D

        near = boxes[self._inside(boxes)]
        shown = str(len(near)) if len(near) == len(boxes) else f"{len(near)} of {len(boxes)}, the rest lies outside"
        for outline in map(_outline, near):
            self._axes.plot(outline[:, 1], outline[:, 0], color=color, lw=width, ls=style)
        self._handles.append(Line2D([], [], color=color, lw=width, ls=style, label=f"{name} ({shown})"))

    def save(self, path: Path) -> None:
        """Writes the PNG completely or not at all; raises UsageError for a name that promises another format."""
        self._axes.legend(handles=self._handles, loc="upper right")
        check_ending(path, (".png",), "pictures are PNG files")
        with whole_file(path) as beside:
            self._figure.savefig(beside, format="png")


def _outline(box: NDArray[Any]) -> NDArray[np.float64]:
    """Returns (7, 2): from the front left corner round and back, then from the front's middle to the centre."""
    x, y, _, length, width, _, yaw = box
    along = np.array([0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 0.0]) * length
    across = np.array([0.5, 0.5, -0.5, -0.5, 0.5, 0.0, 0.0]) * width
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([x + cos * along - sin * across, y + sin * along + cos * across], axis=1)
