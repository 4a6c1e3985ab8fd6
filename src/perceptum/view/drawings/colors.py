"""Colours that tell things apart."""

from __future__ import annotations

from typing import Any

__all__ = ["LAYER_COLORS", "color_of", "faded", "layer_color"]

_MANY = (
    *("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#17becf", "#e377c2", "#8c564b", "#bcbd22", "#003f5c"),
    *("#7f7f7f", "#aec7e8", "#ff9896", "#98df8a", "#ffbb78", "#c5b0d5", "#9edae5", "#f7b6d2", "#c49c94", "#dbdb8d"),
)
LAYER_COLORS = {
    "drivable_area": "#9aa7b5",
    "lane": "#6f9bd1",
    "lane_connector": "#7fc6c6",
    "intersection": "#d8a24a",
    "crossing": "#c2568f",
    "walkway": "#7fb069",
    "carpark_area": "#8d6cab",
    "stop_line": "#d62728",
    "lane_divider": "#1b4f9c",
    "road_divider": "#e07b00",
    "road_boundary": "#4d4d4d",
    "lane_centerline": "#2ca02c",
    "left_boundary": "#1b4f9c",
    "right_boundary": "#e07b00",
    "lane_boundary": "#1b4f9c",
}
"""Layers of a map that always look the same."""


def color_of(number: int) -> str:
    """Returns the colour of a class by its number; after twenty they come again."""
    return _MANY[number % len(_MANY)]


def layer_color(layer: str, number: int) -> str:
    """Returns the colour of a layer by its name; of one that has none, or of several in one, by its number."""
    return LAYER_COLORS.get(layer, color_of(number + 4))


def faded(color: Any, share: float) -> tuple[float, float, float]:
    """Returns the colour, the whiter the smaller the share, which is from 0 to 1."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - share * (1 - part) for part in to_rgb(color))
    return red, green, blue
