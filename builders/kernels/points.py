"""The point list: cropping and interleaving columns."""

from __future__ import annotations

from typing import Any

from .jit import kernel

__all__ = ["crop", "interleave"]


@kernel
def crop(columns: Any, n: int, box: Any, out: Any) -> int:
    """Writes the numbers of the points in the half-open box to `out` (n,) int32; returns how many.

    box: (6,) float32 xmin ymin zmin xmax ymax zmax.
    """
    kept = 0
    for i in range(n):
        x, y, z = columns[0, i], columns[1, i], columns[2, i]
        out[kept] = i
        kept += (x >= box[0]) & (y >= box[1]) & (z >= box[2]) & (x < box[3]) & (y < box[4]) & (z < box[5])
    return kept


@kernel
def interleave(columns: Any, picks: Any, chosen: Any, out: Any) -> None:
    """Writes the picked columns of the chosen points row by row. out: (len(chosen), C) float32."""
    for row in range(len(chosen)):
        for c in range(len(picks)):
            out[row, c] = columns[picks[c], chosen[row]]
