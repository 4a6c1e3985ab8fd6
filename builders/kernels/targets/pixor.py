"""Which box each cell of a map is of."""

from __future__ import annotations

from math import ceil, cos, floor, sin
from typing import Any

from perceptum.inputs.kernel import kernel

__all__ = ["IGNORED", "NONE", "own_cells"]

NONE, IGNORED = -1, -2


@kernel
def own_cells(boxes: Any, low: Any, cell: Any, positive: float, ignored: float, out: Any) -> None:
    """Writes the number of the first box whose middle a cell's centre lies in, its edges included; IGNORED where it
    lies only near a box, and NONE.

    boxes: (N, 7) float64. low, cell: (2,) float64, where the map begins and how large its cells are, metres. positive,
    ignored: times a box's length and width. out: (Y, X) int32.
    """
    out[:] = NONE
    larger = max(positive, ignored)
    rows, columns = out.shape
    for box in range(len(boxes)):
        x, y, length, width = boxes[box, 0], boxes[box, 1], boxes[box, 3], boxes[box, 4]
        c, s = cos(boxes[box, 6]), sin(boxes[box, 6])
        half_x = larger * (abs(c) * length + abs(s) * width) / 2
        half_y = larger * (abs(s) * length + abs(c) * width) / 2
        # a cell more on each side, for what is rounded; far away in float64 before it is a whole number
        left = max((x - half_x - low[0]) / cell[0] - 1.5, 0.0)
        right = min((x + half_x - low[0]) / cell[0] + 0.5, columns - 1.0)
        below = max((y - half_y - low[1]) / cell[1] - 1.5, 0.0)
        above = min((y + half_y - low[1]) / cell[1] + 0.5, rows - 1.0)
        if not (left <= right and below <= above):
            continue
        for row in range(floor(below), ceil(above) + 1):
            dy = low[1] + (row + 0.5) * cell[1] - y
            for column in range(floor(left), ceil(right) + 1):
                dx = low[0] + (column + 0.5) * cell[0] - x
                along, across = abs(dx * c + dy * s), abs(dy * c - dx * s)
                if along <= positive * length / 2 and across <= positive * width / 2:
                    if out[row, column] < 0:
                        out[row, column] = box
                elif out[row, column] == NONE and along <= ignored * length / 2 and across <= ignored * width / 2:
                    out[row, column] = IGNORED
