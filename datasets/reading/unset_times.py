"""Times of points that were never set."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["offsets_where_set"]


def offsets_where_set(where: str, what: str, times: NDArray[Any], offsets: NDArray[Any]) -> NDArray[Any] | None:
    """Returns the offsets from a sweep's stamp of points whose absolute times are given, (N,) each.

    A time of 0 was never set, as of a ray without a return: that point is at the stamp. Where all are 0 there are no
    times: None, with a warning that says `where`, and `what` has them.
    """
    is_set = times != 0
    if len(is_set) and not is_set.any():
        warnings.warn(
            f"{where}: {what} is 0 for all points, which was never set; read without the points' own times",
            stacklevel=2,
        )
        return None
    return offsets if is_set.all() else np.where(is_set, offsets, 0)
