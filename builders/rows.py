"""Clearing the rows that an earlier frame left behind."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from .stage import Dirty

__all__ = ["clear_rows"]


def clear_rows(rows: int, out: NDArray[Any], dirty: Dirty) -> None:
    """Zeroes out[rows:] as far as it was written before, and remembers what is written now."""
    before = dirty.get("rows", 0)
    out[rows:before] = 0
    # rows beyond `out` belong to the same buffer, and keep what an earlier, longer tensor wrote
    dirty["rows"] = rows if before <= len(out) else before
