"""How a bird's-eye view lies in its tensor: parameters that the views of lidar and radar have."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from .feature import Axes
from .parameter import About

__all__ = ["BevLayout", "FlipX", "FlipY", "birds_eye_axes"]

BevLayout = Annotated[
    Literal["CYX", "CXY", "YXC", "XYC"],
    About("The order of the axes. Row 0 is at ymin and column 0 at xmin, unless flipped."),
]
FlipX = Annotated[bool, About("true: column 0 is at xmax.")]
FlipY = Annotated[bool, About("true: row 0 is at ymax.")]


class _Laid(Protocol):
    @property
    def bev_layout(self) -> str: ...


def birds_eye_axes(params: _Laid) -> Axes:
    """Returns the axes of a tensor that is laid out as `bev_layout` says."""
    return tuple(params.bev_layout)
