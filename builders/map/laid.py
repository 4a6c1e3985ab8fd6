"""A picture from above in a tensor's layout."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from perceptum.features.map import SquareParams

__all__ = ["laid"]


def laid(planes: NDArray[Any], params: SquareParams) -> NDArray[Any]:
    """Returns (C, Y, X), row 0 at ymin and column 0 at xmin, as `bev_layout`, `flip_x` and `flip_y` say; a view."""
    turned = planes[:, :: -1 if params.flip_y else 1, :: -1 if params.flip_x else 1]
    return turned.transpose(["CYX".index(axis) for axis in params.bev_layout])
