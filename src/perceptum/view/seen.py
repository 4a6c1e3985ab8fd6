"""What falls into a camera's picture: points, radar returns, boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import box_lines
from .cameras import CameraView
from .projector import Lines

__all__ = ["RADAR_COLUMNS", "Seen"]

RADAR_COLUMNS = ("x", "y", "z", "vx_comp", "vy_comp")
_MOVES_M_PER_S = 0.5
"""What is slower stands still: radars measure no better."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One camera's picture and what falls into it, in its pixels."""

    view: CameraView
    points: NDArray[np.float64]
    """(n, 2) of the lidar, the farthest first."""
    distances_m: NDArray[np.float64]
    """(n,) from the camera."""
    radar: NDArray[np.float64]
    """(n, 2)."""
    motion: Lines
    """From a radar return to where it is a second later."""
    labels: Lines | None
    """None where the frame has no labels."""
    boxes: Mapping[str, Lines]
    """Model -> its boxes."""

    @classmethod
    def of(
        cls,
        view: CameraView,
        points: NDArray[Any],
        radar: NDArray[Any],
        labels: NDArray[Any] | None,
        boxes: Mapping[str, NDArray[Any]],
    ) -> Seen:
        """Everything in the ego frame: points (n, 3), radar (n, 5) as RADAR_COLUMNS, labels and boxes (n, 7).

        Nothing falls into a picture that is missing.
        """
        look = view.projector
        if view.missing:
            points, radar, labels = points[:0], radar[:0], None if labels is None else labels[:0]
            boxes = {name: own[:0] for name, own in boxes.items()}
        pixels, inside = look.pixels(points)
        distances = look.distances_m(points[inside])
        far_first = np.argsort(-distances)
        returns, there = look.pixels(radar[:, :3])
        moves = radar[there & (np.hypot(radar[:, 3], radar[:, 4]) > _MOVES_M_PER_S)]
        later = moves[:, :3] + np.pad(moves[:, 3:5], ((0, 0), (0, 1)))
        return cls(
            view,
            pixels[inside][far_first],
            distances[far_first],
            returns[there],
            look.lines(np.stack([moves[:, :3], later], axis=1)),
            None if labels is None else _boxes(view, labels),
            {name: _boxes(view, own) for name, own in boxes.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns what is drawn, as plain data: how many points, returns and boxes fall into the picture."""
        view = self.view
        return {
            "camera": view.camera,
            "number": view.number,
            "channel_order": view.channel_order,
            "yaw_rad": None if view.missing else round(view.azimuth_rad, 6),
            "height": view.projector.size[0],
            "width": view.projector.size[1],
            "missing": view.missing or None,
            "time_lag_s": round(view.time_lag_s, 6),
            "points": len(self.points),
            "radar": len(self.radar),
            "labels": None if self.labels is None else count_boxes(self.labels),
            "boxes": {name: count_boxes(lines) for name, lines in self.boxes.items()},
        }


def _boxes(view: CameraView, boxes: NDArray[Any]) -> Lines:
    """Returns the lines of boxes (n, 7), each by the number of its box."""
    lines = box_lines(boxes)
    found = view.projector.lines(lines)
    return Lines(found.pixels, found.of // lines.shape[1])


def count_boxes(lines: Lines) -> int:
    """Returns how many boxes are to be seen, in whole or in part."""
    return len(np.unique(lines.of))
