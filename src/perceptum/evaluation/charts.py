"""Line charts and histograms as SVG, without a library: a page that has them needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from perceptum.picture import MODEL_COLORS
from perceptum.problems import Curve

__all__ = ["color", "histogram", "line_chart"]

_WIDTH, _HEIGHT = 300, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 26, 38
_BINS = 30
_TICKS = 4


def color(number: int) -> str:
    """Returns the colour of a model, the same in all charts and pictures of a page."""
    return MODEL_COLORS[number % len(MODEL_COLORS)]


def line_chart(title: str, lines: Mapping[str, Curve], colors: Mapping[str, str]) -> str:
    """Returns an SVG with a line per name; values that are not finite leave a gap."""
    some = next(iter(lines.values()))
    xs = np.concatenate([curve.x for curve in lines.values()])
    ys = np.concatenate([curve.y for curve in lines.values()])
    frame = _Frame(title, some.x_label, some.y_label, _span(xs), _span(ys))
    for name, curve in lines.items():
        frame.line(curve.x, curve.y, colors[name], name)
    return frame.svg()


def histogram(title: str, values: Mapping[str, Sequence[float]], colors: Mapping[str, str], label: str) -> str:
    """Returns an SVG with a stepped outline per name: how many values fall into each of 30 equal bins."""
    arrays = {name: np.asarray(own, np.float64) for name, own in values.items() if len(own)}
    low, high = _span(np.concatenate(list(arrays.values()) or [np.zeros(0)]))
    edges = np.linspace(low, high, _BINS + 1)
    heights = {name: np.histogram(own, edges)[0] for name, own in arrays.items()}
    most = max((int(own.max()) for own in heights.values()), default=1)
    frame = _Frame(title, label, "frames", (low, high), (0, most))
    for name, own in heights.items():
        x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(own, 2), [0]])
        frame.line(x, y.astype(np.float64), colors[name], name)
    return frame.svg()


class _Frame:
    """The axes of a chart, and what is drawn in them."""

    def __init__(self, title: str, x_label: str, y_label: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        middle = 'text-anchor="middle"'
        self._parts = [
            f'<text x="{_LEFT}" y="16" class="title">{escape(title)}</text>',
            f'<rect x="{_LEFT}" y="{_TOP}" width="{across}" height="{up}" class="plot"/>',
            f'<text x="{_LEFT + across / 2}" y="{_HEIGHT - 6}" {middle}>{escape(x_label)}</text>',
            f'<text transform="translate(11 {_TOP + up / 2}) rotate(-90)" {middle}>{escape(y_label)}</text>',
        ]
        for k in range(_TICKS + 1):
            part = k / _TICKS
            at, value = _LEFT + part * across, x[0] + part * (x[1] - x[0])
            self._parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 22}" {middle}>{value:.3g}</text>')
            at, value = _HEIGHT - _BOTTOM - part * up, y[0] + part * (y[1] - y[0])
            self._parts.append(f'<text x="{_LEFT - 4}" y="{at + 3:.1f}" text-anchor="end">{value:.3g}</text>')

    def line(self, x: NDArray[np.float64], y: NDArray[np.float64], stroke: str, name: str) -> None:
        across = _LEFT + (x - self._x[0]) / (self._x[1] - self._x[0]) * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - (y - self._y[0]) / (self._y[1] - self._y[0]) * (_HEIGHT - _TOP - _BOTTOM)
        there = np.isfinite(across) & np.isfinite(down)
        path, pen = [], "M"
        for one_x, one_y, is_there in zip(across, down, there, strict=True):
            if is_there:
                path.append(f"{pen}{one_x:.1f} {one_y:.1f}")
            pen = "L" if is_there else "M"
        if path:
            drawn = f'<path d="{"".join(path)}" fill="none" stroke="{stroke}" stroke-width="1.5">'
            self._parts.append(f"{drawn}<title>{escape(name)}</title></path>")

    def svg(self) -> str:
        size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        return f'<svg {size} role="img">{"".join(self._parts)}</svg>'


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the least and the greatest that is finite; never an empty span."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
