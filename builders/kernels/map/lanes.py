"""Which way lanes run, cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .raster import fill_areas, fill_lines, is_beside, move

__all__ = ["direct_lanes"]

_ONE, _NONE = np.uint64(1), np.uint64(0)


@kernel
def direct_lanes(
    areas: Any,
    rings: Any,
    first_ring: Any,
    centres: Any,
    starts: Any,
    bounds: Any,
    chosen: Any,
    place: Any,
    columns: int,
    reach: float,
    us: Any,
    vs: Any,
    turns: Any,
    inside: Any,
    own: Any,
    pieces: Any,
    taken: Any,
    out: Any,
) -> None:
    """Writes the direction of each cell's lane, of several the first of `chosen`.

    areas, rings, first_ring: what lies between the boundaries of each lane, as in `fill_areas`; one without has a ring
    of fewer than 3 points, and reaches `reach` cells from its centreline. centres, starts: the centrelines,
    one part each, as the rings are. bounds: of
    each lane with its centreline. own: as `turns`. pieces: (0, 0) int32. taken: (Y, W) uint64, the cells that have a
    lane. out: (2, Y, X) float32, cosine and sine.
    """
    rows, words = taken.shape
    for i in range(len(chosen)):
        k = chosen[i]
        if is_beside(bounds, k, place):
            continue
        if rings[first_ring[k] + 1] - rings[first_ring[k]] >= 3:
            fill_areas(areas, rings, first_ring, bounds, chosen[i : i + 1], place, columns, us, vs, turns, inside, own)
        else:
            fill_lines(
                centres, starts, first_ring, bounds, chosen[i : i + 1], place, columns, reach, us, vs, own, pieces
            )
        begin = starts[k]
        n = starts[k + 1] - begin
        move(centres, begin, n, place, us, vs)
        for row in range(rows):
            for word in range(words):
                left = own[row, word] & ~taken[row, word]
                own[row, word] = _NONE
                column = word << 6
                while left != _NONE and column < columns:
                    if left & _ONE:
                        nearest, cosine, sine = np.inf, 0.0, 0.0
                        for j in range(n - 1):
                            du, dv = us[j + 1] - us[j], vs[j + 1] - vs[j]
                            square = du * du + dv * dv
                            # a piece without a length, or one that is not known, has no direction
                            if not square > 0:
                                continue
                            eu, ev = column - us[j], row - vs[j]
                            t = min(1.0, max(0.0, (eu * du + ev * dv) / square))
                            eu, ev = eu - t * du, ev - t * dv
                            distance = eu * eu + ev * ev
                            if distance < nearest:
                                length = np.sqrt(square)
                                nearest, cosine, sine = distance, du / length, dv / length
                        if nearest < np.inf:
                            out[0, row, column], out[1, row, column] = cosine, sine
                            taken[row, word] |= _ONE << np.uint64(column & 63)
                    left >>= _ONE
                    column += 1
