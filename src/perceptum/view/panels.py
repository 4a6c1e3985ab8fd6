"""Panels of one picture: the ground from above side by side, on the same stretch; pictures and numbers below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptum.output_file import check_ending, whole_file

from .drawings import Drawing, Ground, InWords, Kind, NotDrawn, OnGround, Picture, Pictures
from .titles import fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "Range", "draw_panels"]

Range = tuple[float, float, float, float]
"""x_min y_min x_max y_max, metres."""
_AROUND: Range = (-50.0, -50.0, 50.0, 50.0)
"""Where no tensor says what ground it shows."""
_DPI = 100
_WIDE_PX, _HIGHEST_PX, _LEAST_PX = 620, 900, 380
"""A panel of the ground."""
_EDGE_PX, _LEFT_PX, _FOOT_PX, _TITLE_PX, _TOP_PX = 14, 34, 26, 40, 34
_COLUMNS = 3
_FAR_M = 60.0
_LETTER_PX = 8


@dataclass(frozen=True, eq=False)
class Panel:
    kind: Kind
    drawing: Drawing


def draw_panels(
    panels: Sequence[Panel], path: Path, title: str, range_m: Range | None = None
) -> tuple[list[str | None], dict[str, str]]:
    """Writes a PNG completely or not at all; returns what each panel shows, None where it does not, and why not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_ending(path, (".png",), "pictures are PNG files")
    failed: dict[str, str] = {}
    shown = {i: pictures for i, panel in enumerate(panels) if (pictures := _pictures_of(panel, failed))}
    grounds = [i for i, panel in enumerate(panels) if isinstance(panel.drawing, OnGround)]
    words = [i for i, panel in enumerate(panels) if isinstance(panel.drawing, InWords)]
    places = len(grounds) + bool(words)
    reach = range_m or _shared(panels)
    columns = _columns(places, bool(shown))
    x_min, y_min, x_max, y_max = reach
    high = min(max(round(_WIDE_PX * (x_max - x_min) / (y_max - y_min)), _LEAST_PX), _HIGHEST_PX)
    pitch_x, pitch_y = _WIDE_PX + _LEFT_PX + _EDGE_PX, high + _TITLE_PX + _FOOT_PX
    width = columns * pitch_x + _EDGE_PX
    strips = {i: _rows_of(pictures, width) for i, pictures in shown.items()}
    rows = math.ceil(places / columns)
    height = (
        _TOP_PX + rows * pitch_y + sum(_TITLE_PX + sum(h + _TITLE_PX // 2 for _, h in own) for own in strips.values())
    )
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    shown_title = fitted(figure, title, width - 2 * _EDGE_PX, 11)
    figure.text(_EDGE_PX / width, 1 - _TOP_PX / 2 / height, shown_title, va="center", fontsize=11)
    said: list[str | None] = [None] * len(panels)
    for place in range(places):
        left = _EDGE_PX + (place % columns) * pitch_x + _LEFT_PX
        bottom = height - _TOP_PX - (place // columns + 1) * pitch_y + _FOOT_PX
        axes = figure.add_axes((left / width, bottom / height, _WIDE_PX / width, high / height))
        if place < len(grounds):
            said[grounds[place]] = _draw_ground(axes, panels[grounds[place]], reach, failed)
        else:
            for i, text in zip(words, _write_all(axes, [panels[i] for i in words]), strict=True):
                said[i] = text
    top = float(_TOP_PX + rows * pitch_y)
    for i, own in strips.items():
        top = _draw_strip(figure, panels[i].kind, own, top, (width, height))
        said[i] = ", ".join(picture.title for picture in shown[i])
    with whole_file(path) as beside:
        figure.savefig(beside, format="png", pil_kwargs={"compress_level": 3})
    return said, failed


def _columns(grounds: int, pictures: bool) -> int:
    most = _COLUMNS if grounds != 4 else 2
    return max(min(grounds, most), 2 if pictures else 1)


def _shared(panels: Sequence[Panel]) -> Range:
    """Returns the least ground that holds what each tensor of cells shows; where there is none, each of the others."""
    drawings = [(panel.drawing, panel.kind.params) for panel in panels]
    on_ground = [(one.cells, one.reach(params)) for one, params in drawings if isinstance(one, OnGround)]
    each = [reach for cells, reach in on_ground if cells and reach is not None]
    each = each or [reach for _, reach in on_ground if reach is not None]
    if not each:
        return _AROUND
    x_min, y_min, x_max, y_max = zip(*each, strict=True)
    return min(x_min), min(y_min), max(x_max), max(y_max)


def _pictures_of(panel: Panel, failed: dict[str, str]) -> Sequence[Picture]:
    if not isinstance(panel.drawing, Pictures):
        return ()
    try:
        _check_whole(panel)
        return panel.drawing.pictures(panel.kind)
    except NotDrawn as why:
        failed[panel.kind.title] = str(why)
        return ()


def _check_whole(panel: Panel) -> None:
    """Raises NotDrawn where what the drawing needs could not be built beside the spec's rows."""
    missing = [name for name in panel.drawing.needs if name not in panel.kind.tensors]
    if missing:
        raise NotDrawn(f"that needs {', '.join(missing)} too, and rows of the sizes that the spec fixes cannot have it")


def _write_all(axes: Axes, panels: Sequence[Panel]) -> list[str]:
    """Writes the numbers of all kinds below each other, and returns those of each in a line."""
    axes.set_axis_off()
    texts = []
    for panel in panels:
        assert isinstance(panel.drawing, InWords)
        frame = f", {panel.kind.frame} axes" if panel.kind.frame else ""
        texts.append((f"{panel.kind.title}{frame}", list(panel.drawing.lines(panel.kind))))
    whole = "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in texts)
    axes.text(0, 1, whole, family="monospace", fontsize=8, va="top", transform=axes.transAxes)
    return ["; ".join(" ".join(line.split()) for line in lines) for _, lines in texts]


def _draw_ground(axes: Axes, panel: Panel, reach: Range, failed: dict[str, str]) -> str | None:
    kind, drawing = panel.kind, panel.drawing
    assert isinstance(drawing, OnGround)
    x_min, y_min, x_max, y_max = reach
    ground = Ground(axes)
    try:
        _check_whole(panel)
        words: str | None = drawing.draw(ground, kind)
    except NotDrawn as why:
        words, failed[kind.title] = None, str(why)
    axes.set(xlim=(y_max, y_min), ylim=(x_min, x_max), aspect="equal", facecolor="white")
    axes.tick_params(labelsize=7, length=2, pad=1)
    axes.plot(0, 0, marker="+", color="black", ms=10, mew=1.5)
    axes.annotate("x up, y left", (0.01, 0.985), xycoords="axes fraction", fontsize=7, va="top", color="#555555")
    ground.finish()
    where = f", {kind.frame} axes" if kind.frame else ""
    title = f"{kind.title}{where}\n{words or failed[kind.title]}"
    axes.set_title(_over(axes, title, 9), loc="left", fontsize=9, pad=3)
    return words


def _over(axes: Axes, title: str, font_size: float) -> str:
    """Returns a title that does not run over the next panel."""
    return fitted(axes.figure, title, axes.get_window_extent().width, font_size)


def _rows_of(pictures: Sequence[Picture], width: int) -> list[tuple[Sequence[Picture], int]]:
    """Returns the rows of pictures, and how high each is, px."""
    aspect = max(one.pixels.shape[0] / one.pixels.shape[1] if one.pixels.size else 9 / 16 for one in pictures)
    # long ones, such as range images, have a row of their own
    most = 1 if aspect < 0.2 else min(len(pictures), 3)
    each = (width - _EDGE_PX) / most - _EDGE_PX
    high = max(round(each * aspect), 60) if any(one.pixels.size for one in pictures) else 60
    return [(pictures[k : k + most], high) for k in range(0, len(pictures), most)]


def _draw_strip(
    figure: Figure, kind: Kind, rows: Sequence[tuple[Sequence[Picture], int]], top: float, size: tuple[int, int]
) -> float:
    """Draws the pictures of a kind, and returns where the next ones may begin."""
    width, height = size
    frame = f", {kind.frame} axes" if kind.frame else ""
    figure.text(_EDGE_PX / width, 1 - (top + _TITLE_PX / 3) / height, f"{kind.title}{frame}", va="center", fontsize=9)
    top += _TITLE_PX
    most = max(len(pictures) for pictures, _ in rows)
    each = (width - _EDGE_PX) / most - _EDGE_PX
    for pictures, high in rows:
        for place, picture in enumerate(pictures):
            left = _EDGE_PX + place * (each + _EDGE_PX)
            axes = figure.add_axes((left / width, 1 - (top + high) / height, each / width, high / height))
            _draw_picture(axes, picture)
        top += high + _TITLE_PX // 2
    return top


def _draw_picture(axes: Axes, picture: Picture) -> None:
    from matplotlib.collections import LineCollection

    rows, columns = picture.pixels.shape[:2]
    axes.set(xticks=[], yticks=[], facecolor="black")
    axes.set_title(_over(axes, picture.title, 8), loc="left", fontsize=8, pad=2)
    if not picture.pixels.size:
        # no camera of the tensor has a picture, and no size is known
        return
    # the middle of the first pixel is (0, 0)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    style: dict[str, Any] = {} if picture.pixels.ndim == 3 else {"cmap": "turbo_r"}
    axes.imshow(picture.pixels, extent=extent, aspect="auto", interpolation="nearest" if style else None, **style)
    if len(picture.points):
        u, v, depth = np.asarray(picture.points).T
        axes.scatter(u, v, c=depth, cmap="turbo_r", vmin=0, vmax=_FAR_M, s=picture.point_size, lw=0)
    for lines, color in picture.lines:
        axes.add_collection(LineCollection(list(lines), colors="white", linewidths=2.0, alpha=0.6))
        axes.add_collection(LineCollection(list(lines), colors=color, linewidths=1.1))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
