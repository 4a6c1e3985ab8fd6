"""Whether a model whose spec leaves sizes open takes others than those of its test data, as far as trying shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NeuropodError

__all__ = ["Tried", "try_other_sizes"]

Arrays = Mapping[str, NDArray[Any]]
Rows = Sequence[Mapping[str, Any]]
Open = tuple[str, int] | str
"""A symbol, or an axis of a tensor whose row has no word for it."""


@dataclass(frozen=True)
class Tried:
    """What came of it; both None where all went well."""

    refused: str | None = None
    """Why the spec is wrong: an output that had an input's size no longer has it."""
    failed: str | None = None
    """What a model said that may have its reasons: a size that must be even, a most."""


def try_other_sizes(
    inputs: Rows, outputs: Rows, given: Arrays, answer: Arrays, infer: Callable[[Arrays], Arrays]
) -> Tried:
    """Runs the model once more on its test data, each open size doubled; where that goes wrong, size by size."""
    given = {name: np.asarray(value) for name, value in given.items()}
    open_sizes = dict.fromkeys(_open(inputs, given))
    found = _try(open_sizes, inputs, outputs, given, answer, infer) if open_sizes else Tried()
    if found == Tried() or len(open_sizes) == 1:
        return found
    each = (_try([size], inputs, outputs, given, answer, infer) for size in open_sizes)
    return next((one for one in each if one != Tried()), found)


def _open(rows: Rows, given: Arrays) -> Iterator[Open]:
    for row, axis, dim in _axes(rows, given):
        if not isinstance(dim, int) and given[row].shape[axis]:
            yield (row, axis) if dim is None else dim


def _axes(rows: Rows, tensors: Arrays) -> Iterator[tuple[str, int, Any]]:
    for row in rows:
        if row["name"] in tensors and tensors[row["name"]].ndim == len(row["shape"]):
            for axis, dim in enumerate(row["shape"]):
                yield row["name"], axis, dim


def _try(
    sizes: Iterable[Open],
    inputs: Rows,
    outputs: Rows,
    given: Arrays,
    answer: Arrays,
    infer: Callable[[Arrays], Arrays],
) -> Tried:
    doubled = set(sizes)
    arrays = dict(given)
    before: dict[str, int] = {}
    for name, axis, dim in _axes(inputs, given):
        if isinstance(dim, str):
            before[dim] = given[name].shape[axis]
        if dim in doubled or (dim is None and (name, axis) in doubled):
            # what points into rows by their number goes on doing so
            arrays[name] = np.concatenate([arrays[name], arrays[name]], axis)
    try:
        after = infer(arrays)
    except NeuropodError as error:
        shapes = ", ".join(f"'{name}' {arrays[name].shape}" for name in arrays if arrays[name] is not given[name])
        return Tried(failed=f"with {shapes}: {error}")
    for name, axis, dim in _axes(outputs, answer):
        size, agreed = answer[name].shape[axis], before.get(dim) == answer[name].shape[axis]
        if dim in doubled and agreed and name in after and after[name].shape[axis] != 2 * size:
            return Tried(
                f"'{dim}' is an open size of inputs and of the output '{name}', but with {2 * size} in place of {size} "
                f"the output's axis {axis} is {after[name].shape[axis]}: the model was made for one size; write it in "
                "the spec, or make the model with open sizes"
            )
    return Tried()
