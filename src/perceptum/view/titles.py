"""Titles no wider than what they are written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["fitted"]

_CUT = "…"


def fitted(figure: Figure | SubFigure, text: str, width_px: float, font_size: float) -> str:
    """Returns each line of a text, cut in its middle where it is wider: both ends say the most of ids and counts."""
    from matplotlib.font_manager import FontProperties

    canvas: Any = figure.canvas
    renderer, font = canvas.get_renderer(), FontProperties(size=font_size)

    def wide(line: str) -> float:
        return float(renderer.get_text_width_height_descent(line, font, False)[0])

    lines = []
    for whole in text.split("\n"):
        line, kept = whole, len(whole)
        while wide(line) > width_px and kept > 8:
            kept -= 1
            line = whole[: kept - kept // 2].rstrip() + _CUT + whole[len(whole) - kept // 2 :].lstrip()
        lines.append(line)
    return "\n".join(lines)
