"""Cells and points of each class, by what was said of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["confuse", "count_levels"]


_BLOCK = 2048


@kernel
def confuse(truth: Any, said: Any, first: int, classes: int, no_class: int, out: Any) -> None:
    """Counts points by their class and by the class that was said of them.

    truth: (N,) int32, said: (N,) int64: classes from `first` on. out: (4, (classes + 1) * (classes + 2)) int64, four
    tables to be added to, whose sum counts: the last row is of points of no class, the last columns of what was said to
    be of none, `no_class`, and to be of a class that does not exist. At most 253 classes.
    """
    # two loops: the cells of a block, several at a time; and counting, by turns into four tables, since neighbours are
    # often of one class, and a count that was just written is waited for: 0.9 ns a point, 1.6 in one loop
    rows, base, none = np.int64(classes), np.int64(first), np.int64(no_class)
    width = rows + 2
    one, two, three, four = out[0], out[1], out[2], out[3]
    cells = np.empty(_BLOCK, np.uint16)
    for start in range(0, len(truth), _BLOCK):
        m = min(_BLOCK, len(truth) - start)
        own, answers = truth[start : start + m], said[start : start + m]
        for i in range(m):
            of, answer = np.int64(own[i]) - base, answers[i] - base
            row = rows if (of < 0) | (of >= rows) else of
            column = rows + 1 if (answer < 0) | (answer >= rows) else answer
            column = rows if answers[i] == none else column
            cells[i] = np.uint16(row * width + column)
        whole = m - m % 4
        for i in range(0, whole, 4):
            one[cells[i]] += 1
            two[cells[i + 1]] += 1
            three[cells[i + 2]] += 1
            four[cells[i + 3]] += 1
        for i in range(whole, m):
            one[cells[i]] += 1


@kernel
def count_levels(truth: Any, said: Any, levels: Any, out: Any) -> int:
    """Counts the cells of one channel by how many levels what was said of them reaches, and whether they are of it;
    returns the number of the first that is not from 0 to 1, -1 where there is none.

    truth: (N,) bool. said: (N,) float32. levels: (T,) float32, rising. out: (2, T + 1) int64, to be added to.
    """
    for i in range(len(said)):
        share = said[i]
        # also what is not a number
        if not (share >= 0 and share <= 1):
            return i
        reached = 0
        for level in levels:
            reached += share >= level
        out[1 if truth[i] else 0, reached] += 1
    return -1
