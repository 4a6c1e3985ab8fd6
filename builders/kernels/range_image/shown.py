"""Which cells show a point, and which point: what `project` found, as lists, and what is done about gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .cells import HEIGHT, STRIDE, WIDTH

__all__ = ["list_cells", "list_windows", "take_next_column"]

_NONE = np.uint64(2**64 - 1)


@kernel
def take_next_column(size: Any, is_round: bool, nearest: Any) -> None:
    """Lets each cell without a point show that of the next column in its row, where that has one of its own.

    size: as in `cells`. is_round: the column behind the last is the first. nearest: of `project`.
    """
    for row in range(size[HEIGHT]):
        begin = row * size[STRIDE]
        first, last = nearest[begin] if is_round else _NONE, begin + size[WIDTH] - 1
        for cell in range(begin, last):
            nearest[cell] = nearest[cell + 1] if nearest[cell] == _NONE else nearest[cell]
        nearest[last] = first if nearest[last] == _NONE else nearest[last]


@kernel
def list_windows(size: Any, is_round: bool, nearest: Any, windows: Any) -> int:
    """Lists the cells without a point that have one two rows above or below, or two columns beside; returns how many.

    From the last row to the first too, and from the last column to the first where the image `is_round`, as in
    RangeDet, which takes them for a car's windows. windows: (>= cells + 1,) int32.
    """
    height, width, stride = size[HEIGHT], size[WIDTH], size[STRIDE]
    count = np.uint64(0)
    for row in range(height):
        begin, above, below = row * stride, (row - 2) % height * stride, (row + 2) % height * stride
        for column in range(width):
            # a remainder takes longer than all the rest; behind an edge is nothing, as in an empty cell itself
            left = column - 2 if column > 1 else (column - 2) % width if is_round else column
            right = column + 2 if column < width - 2 else (column + 2) % width if is_round else column
            beside = (nearest[begin + left] != _NONE) | (nearest[begin + right] != _NONE)
            near = beside | (nearest[above + column] != _NONE) | (nearest[below + column] != _NONE)
            windows[count] = begin + column
            count += np.uint64((nearest[begin + column] == _NONE) & near)
    return int(count)


@kernel
def list_cells(nearest: Any, cells: Any, numbers: Any) -> int:
    """Lists the cells that have a point, and the numbers of their nearest ones; returns how many.

    nearest: of `project`, of which the last is not a cell. cells, numbers: of the same length, int32.
    """
    count = np.uint64(0)
    for cell in range(len(nearest) - 1):
        key = nearest[cell]
        # without a branch: the next takes the place of an empty one
        cells[count] = cell
        numbers[count] = np.int32(key & np.uint64(0xFFFFFFFF))
        count += np.uint64(key != _NONE)
    return int(count)
