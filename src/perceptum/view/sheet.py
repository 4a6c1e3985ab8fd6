"""The pictures of a frame's cameras on one sheet, by where each looks, with what falls into them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptum.output_file import check_ending, whole_file
from perceptum.picture import LABEL_COLOR, MODEL_COLORS
from perceptum.plural import counted

from .cameras import CameraView
from .projector import Lines
from .seen import Seen, count_boxes
from .titles import fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["arrange", "draw_sheet", "title"]

_AHEAD_RAD = math.radians(105)
"""Cameras that look no further to the side are in the front row: those of Waymo's at 90 degrees, Argoverse 2's at 99.
nuScenes' rear ones look 110 to the side."""
_MOST_IN_A_ROW = 5
_FAR_M = 60.0
_COVERED = 0.1
"""The share of a picture that points may cover."""
_RADAR_COLOR = "#ff2fd0"
_DPI = 100
_COMPRESSION = 3
"""Of the PNG: a third larger than at the usual 6, and written in a quarter of the time."""
_EDGE_PX, _TITLE_PX, _TOP_PX, _FOOT_PX = 8, 38, 30, 46
_SHEET_PX, _LEAST_PX, _MOST_PX = 1980, 420, 1280
"""How wide a sheet is about, and a picture at least and at most."""


def arrange(views: Sequence[CameraView]) -> list[list[int]]:
    """Returns the numbers of the views row by row: those that look ahead from left to right, then those that look back.

    By their azimuth; of two that look the same way the one that is further to the left comes first. Where a camera
    without a picture looks is not known: it comes last.
    """
    where = {i: (view.azimuth_rad, view.projector.ego_from_camera[1, 3]) for i, view in enumerate(views)}
    known = [i for i, view in enumerate(views) if not view.missing]
    front = sorted(
        (i for i in known if abs(where[i][0]) <= _AHEAD_RAD), key=lambda i: (-_tenths(where[i][0]), -where[i][1])
    )
    rear = sorted(
        (i for i in known if abs(where[i][0]) > _AHEAD_RAD),
        key=lambda i: (_tenths(where[i][0] % (2 * math.pi)), -where[i][1]),
    )
    rear += [i for i, view in enumerate(views) if view.missing]
    rows = [row[k : k + _MOST_IN_A_ROW] for row in (front, rear) for k in range(0, len(row), _MOST_IN_A_ROW)]
    # two cameras that look to opposite sides of one car are seen side by side
    return [front + rear] if len(views) <= 2 else rows


def _tenths(angle_rad: float) -> float:
    """A stereo pair looks the same way, but for less than a degree."""
    return round(math.degrees(angle_rad) / 2)


def draw_sheet(seen: Sequence[Seen], path: Path, title: str) -> None:
    """Writes a PNG completely or not at all; raises UsageError for a name that promises another format."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_ending(path, (".png",), "pictures are PNG files")
    rows = arrange([one.view for one in seen])
    columns = max(map(len, rows))
    wide = min(max(_SHEET_PX // columns, _LEAST_PX), _MOST_PX)
    high = [max(round(wide * _aspect(seen[i].view)) for i in row) for row in rows]
    width, height = columns * (wide + _EDGE_PX) + _EDGE_PX, _TOP_PX + sum(h + _TITLE_PX for h in high) + _FOOT_PX
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    over = fitted(figure, title, width - 2 * _EDGE_PX, 11)
    figure.text(_EDGE_PX / width, 1 - _TOP_PX / 2 / height, over, va="center", fontsize=11)
    top = _TOP_PX
    for row, row_high in zip(rows, high, strict=True):
        left = (width - len(row) * (wide + _EDGE_PX)) / 2 + _EDGE_PX / 2
        for place, i in enumerate(row):
            own = round(wide * _aspect(seen[i].view))
            x, y = left + place * (wide + _EDGE_PX), height - top - _TITLE_PX - own
            _draw_one(figure.add_axes((x / width, y / height, wide / width, own / height)), seen[i])
        top += row_high + _TITLE_PX
    _draw_legend(figure, seen, width, height)
    with whole_file(path) as beside:
        figure.savefig(beside, format="png", pil_kwargs={"compress_level": _COMPRESSION})


def _aspect(view: CameraView) -> float:
    height, width = view.projector.size
    return height / width if height and width else 9 / 16


def _draw_one(axes: Axes, one: Seen) -> None:
    view = one.view
    height, width = view.projector.size
    axes.set(xticks=[], yticks=[], facecolor="black")
    over = fitted(axes.figure, title(one), axes.get_window_extent().width, 9)
    axes.set_title(over, loc="left", fontsize=9, pad=3)
    if view.missing:
        axes.text(
            0.5,
            0.5,
            view.missing,
            color="white",
            ha="center",
            va="center",
            wrap=True,
            fontsize=11,
            transform=axes.transAxes,
        )
        return
    # the middle of the first pixel is (0, 0)
    axes.imshow(view.picture, extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect="auto")
    size = _point_size(axes, len(one.points))
    (u, v), (radar_u, radar_v) = one.points.T, one.radar.T
    axes.scatter(u, v, c=one.distances_m, cmap="turbo_r", vmin=0, vmax=_FAR_M, s=size, lw=0)
    axes.scatter(radar_u, radar_v, color=_RADAR_COLOR, s=16, marker="D", lw=0.5, edgecolors="black")
    _draw_lines(axes, one.motion, _RADAR_COLOR, "-")
    if one.labels is not None:
        _draw_lines(axes, one.labels, LABEL_COLOR, "-")
    for color, lines in zip(_model_colors(one), one.boxes.values(), strict=True):
        _draw_lines(axes, lines, color, "--")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _point_size(axes: Axes, count: int) -> float:
    """Returns the area of a point, in square points of print: many small ones leave the picture to be seen."""
    box = axes.get_window_extent()
    px = _COVERED * box.width * box.height / max(count, 1)
    return float(min(max(px * (72 / _DPI) ** 2, 0.8), 6))


def _draw_lines(axes: Axes, lines: Lines, color: str, style: str) -> None:
    from matplotlib.collections import LineCollection

    # a rim, since a green box stands before green trees
    axes.add_collection(LineCollection(list(lines.pixels), colors="white", linewidths=2.2, alpha=0.6))
    axes.add_collection(LineCollection(list(lines.pixels), colors=color, linewidths=1.3, linestyles=style))


def _model_colors(one: Seen) -> list[str]:
    return [MODEL_COLORS[i % len(MODEL_COLORS)] for i in range(len(one.boxes))]


def title(one: Seen) -> str:
    """Returns what is written over a picture, in two lines: at its least width there is no room for one."""
    view = one.view
    who = f"{view.number} {view.camera}, {view.channel_order}"
    if view.missing:
        return who
    lag_ms = view.time_lag_s * 1e3
    when = f"{abs(lag_ms):.1f} ms {'before' if lag_ms > 0 else 'after'}" if abs(lag_ms) >= 0.05 else "at this time"
    labels = [] if one.labels is None else [counted(count_boxes(one.labels), "label")]
    counts = ", ".join([counted(len(one.points), "point"), *labels])
    return f"{who}, looks {_direction(view.azimuth_rad)}\n{when}: {counts}"


def _direction(azimuth_rad: float) -> str:
    """Returns 0 ahead, counterclockwise as words: a camera on the wrong side is seen at once."""
    degrees = round(math.degrees(azimuth_rad))
    side = "left" if degrees > 0 else "right"
    return "ahead" if degrees == 0 else "back" if abs(degrees) == 180 else f"{abs(degrees)}° {side}"


def _draw_legend(figure: Figure, seen: Sequence[Seen], width: int, height: int) -> None:
    from matplotlib.lines import Line2D

    scale = figure.add_axes((_EDGE_PX / width, 26 / height, 200 / width, 10 / height))
    scale.imshow(np.linspace(0, 1, 200)[None], cmap="turbo_r", aspect="auto", extent=(0, _FAR_M, 0, 1))
    scale.set(yticks=[], xticks=[0, 20, 40, _FAR_M])
    scale.tick_params(labelsize=7, length=2, pad=1)
    figure.text((_EDGE_PX + 212) / width, 31 / height, "metres from the camera", va="center", fontsize=9)
    handles: list[Any] = []
    if any(len(one.radar) for one in seen):
        handles.append(Line2D([], [], color=_RADAR_COLOR, marker="D", ms=4, label="radar; a second of its motion"))
    if any(one.labels is not None for one in seen):
        handles.append(Line2D([], [], color=LABEL_COLOR, label="labels"))
    names = list(seen[0].boxes) if seen else []
    handles += [
        Line2D([], [], color=MODEL_COLORS[i % len(MODEL_COLORS)], ls="--", label=name) for i, name in enumerate(names)
    ]
    if handles:
        figure.legend(handles=handles, loc="lower right", ncols=len(handles), fontsize=9, frameon=False)
