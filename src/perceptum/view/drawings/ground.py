"""The ground from above, to draw on: x points up and y to the left, as a driver sees it on a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import box_corners

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BACKDROP", "Ground"]

BACKDROP = "#c4c4c4"
"""Of points that are there only to show where things are."""
_FRONT = np.array([0, 1, 2, 3, 0, 3])
"""Corners of a box in the order of its outline."""


class Ground:
    """Draws what is given by x and y, metres in the frame of reference, into one panel."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._named: dict[str, Any] = {}

    def cells(self, values: NDArray[Any], reach: tuple[float, float, float, float], **style: Any) -> Any:
        """Draws (Y, X) values, or (Y, X, 3 or 4) colours, row 0 at ymin and column 0 at xmin; returns the image."""
        x_min, y_min, x_max, y_max = reach
        image = np.swapaxes(values, 0, 1)
        extent = (y_min, y_max, x_min, x_max)
        return self._axes.imshow(image, extent=extent, origin="lower", interpolation="nearest", **style)

    def scale(self, image: Any, unit: str) -> None:
        """Draws the scale of the colours of `cells`."""
        place = self._axes.inset_axes((0.03, 0.05, 0.35, 0.02))
        bar = self._axes.figure.colorbar(image, cax=place, orientation="horizontal")
        bar.ax.tick_params(labelsize=7, length=2, pad=1)
        bar.ax.set_title(unit, fontsize=7, pad=2)

    def dots(self, xy: NDArray[Any], color: Any, size: float = 0.6, **style: Any) -> None:
        """Draws (n, >= 2) places; `color` one for all or (n,) numbers."""
        if len(xy):
            numbers = isinstance(color, np.ndarray) and color.ndim == 1
            shown = {"c": color} if numbers else {"color": color}
            self._axes.scatter(xy[:, 1], xy[:, 0], s=size, lw=0, **shown, **style)

    def lines(self, lines: Sequence[NDArray[Any]], color: Any, width: float = 1.0, **style: Any) -> None:
        """Draws lines (n, >= 2) each; `color` one for all, or one for each."""
        from matplotlib.collections import LineCollection

        turned = [line[:, 1::-1] for line in lines]
        if turned:
            self._axes.add_collection(LineCollection(turned, colors=color, linewidths=width, **style))

    def arrows(self, xy: NDArray[Any], along: NDArray[Any], color: Any, width: float = 1.0) -> None:
        """Draws from (n, 2) places the vectors (n, 2), metres; width in pixels."""
        if len(xy):
            given = (xy[:, 1], xy[:, 0], along[:, 1], along[:, 0])
            metres: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "dots"}
            self._axes.quiver(*given, color=color, width=width, **metres)

    def boxes(self, boxes: NDArray[Any], color: Any, width: float = 1.2, **style: Any) -> None:
        """Draws the outlines of (n, 7) boxes, with a line from the middle to the front."""
        corners = box_corners(boxes)[:, :4, :2]
        fronts = corners[:, [0, 3]].mean(axis=1)
        centres = corners.mean(axis=1)
        self.lines([*corners[:, _FRONT[:5]], *np.stack([centres, fronts], axis=1)], color, width, **style)

    def name(self, label: str, color: Any) -> None:
        """Puts a colour into the legend, once."""
        from matplotlib.patches import Patch

        self._named.setdefault(label, Patch(color=color, label=label))

    def finish(self, most: int = 12) -> None:
        """Draws the legend."""
        handles = list(self._named.values())
        if len(handles) > most:
            from matplotlib.patches import Patch

            handles = [*handles[:most], Patch(alpha=0, label=f"and {len(handles) - most} more")]
        if handles:
            self._axes.legend(handles=handles, loc="upper right", fontsize=7, framealpha=0.85, handlelength=1)
