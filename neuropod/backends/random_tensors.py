"""Random tensors that a spec allows, in place of a model until there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Row

__all__ = ["Placeholder", "choose_sizes"]

MOST_FREE = 99
"""As in Uber's: a size that nothing decides is one of 1 to 99."""

Sizes = Mapping[str, int]


def choose_sizes(outputs: Sequence[Row], seed: int) -> dict[str, int]:
    """Returns a size for each free axis of the outputs, keyed "name:axis", and for each symbol, keyed by its name."""
    random = np.random.default_rng(seed)
    keys = [_key(row, axis) for row in outputs for axis, dim in enumerate(row.shape) if not isinstance(dim, int)]
    return {key: int(random.integers(1, MOST_FREE + 1)) for key in dict.fromkeys(keys)}


class Placeholder:
    """Outputs for inputs: a symbol that an input settles has that size, all else the size chosen when it was packed.

    The same seed, names and sizes give the same values, whatever was asked before.
    """

    def __init__(self, inputs: Sequence[Row], outputs: Sequence[Row], sizes: Sizes, seed: int) -> None:
        self._inputs = tuple(inputs)
        self._outputs = {row.name: row for row in outputs}
        self._sizes = dict(sizes)
        self._seed = seed

    def outputs(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Returns the wanted outputs: numbers of [0, 1), integers from 0 to half their type's greatest, or digits."""
        sizes = {**self._sizes, **self._given(inputs)}
        return {name: self._random(self._outputs[name], sizes) for name in wanted}

    def _given(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        return {
            dim: inputs[row.name].shape[axis]
            for row in self._inputs
            if row.name in inputs
            for axis, dim in enumerate(row.shape)
            if isinstance(dim, str) and axis < inputs[row.name].ndim
        }

    def _random(self, row: Row, sizes: Sizes) -> NDArray[Any]:
        shape = tuple(dim if isinstance(dim, int) else sizes[_key(row, axis)] for axis, dim in enumerate(row.shape))
        random = np.random.default_rng([self._seed, crc32(row.name.encode())])
        if row.dtype == "string":
            return np.asarray(random.integers(0, 10**6, shape)).astype(np.str_)
        dtype = np.dtype(row.dtype)
        if dtype.kind == "f":
            return np.asarray(random.random(shape, dtype=dtype.type))
        return np.asarray(random.integers(0, np.iinfo(dtype).max // 2, shape, dtype.type, endpoint=True))


def _key(row: Row, axis: int) -> str:
    dim = row.shape[axis]
    return dim if isinstance(dim, str) else f"{row.name}:{axis}"
