"""Whether tensors are what a spec says: compiled once when a model is loaded, then a few comparisons per tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Row

from .errors import NeuropodError

__all__ = ["compile_checks"]

Check = Callable[[Mapping[str, NDArray[Any]]], None]

_UBER_NAMES = {
    "float32": "FLOAT_TENSOR",
    "float64": "DOUBLE_TENSOR",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}_TENSOR" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_STRING_KINDS = "SUT"

Dims = tuple[tuple[int, int], ...]
Symbols = tuple[tuple[int, str], ...]


class _Checks:
    """The checks of one side. Every tensor is optional; symbols have one value per call and side."""

    def __init__(self, rows: Sequence[Row], side: str, sizes: bool) -> None:
        self._side = side
        self._names = frozenset(row.name for row in rows)
        self._rows = tuple((r.name, _dtype(r), len(r.shape), *(_dims(r) if sizes else ((), ()))) for r in rows)

    def __call__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Raises NeuropodError, in Uber's order: per row type, rank, sizes; then the names that no row has."""
        values: dict[str, int] = {}
        found = 0
        for name, dtype, rank, fixed, symbols in self._rows:
            array = tensors.get(name)
            if array is None:
                continue
            found += 1
            if array.dtype is not dtype:
                self._check_dtype(name, array, dtype)
            shape = array.shape
            if len(shape) != rank:
                raise NeuropodError(f"{self._tensor(name)} is expected to have {rank} dimensions, but had {len(shape)}")
            for axis, size in fixed:
                if shape[axis] != size:
                    raise NeuropodError(self._wrong_size(axis, name, size, shape[axis]))
            for axis, symbol in symbols:
                if values.setdefault(symbol, shape[axis]) != shape[axis]:
                    raise NeuropodError(self._wrong_symbol(axis, name, symbol, values[symbol], shape[axis]))
        if found != len(tensors):
            self._check_names(tensors)

    def _wrong_size(self, axis: int, name: str, wanted: int, found: int) -> str:
        return (
            f"Dim {axis} of tensor '{name}' in the {self._side} is expected to be of size {wanted}, "
            f"but was of size {found}"
        )

    def _wrong_symbol(self, axis: int, name: str, symbol: str, wanted: int, found: int) -> str:
        return (
            f"All dims with symbol '{symbol}' should be the same size. "
            f"Dim {axis} of tensor '{name}' in the {self._side} was expected to be of size {wanted}, "
            f"but was of size {found}"
        )

    def _tensor(self, name: str) -> str:
        return f"Tensor '{name}' in the {self._side}"

    def _check_dtype(self, name: str, array: NDArray[Any], dtype: np.dtype | None) -> None:
        if array.dtype == dtype if dtype is not None else array.dtype.kind in _STRING_KINDS:
            return
        wanted = "STRING_TENSOR" if dtype is None else _UBER_NAMES[dtype.name]
        raise NeuropodError(
            f"{self._tensor(name)} is expected to be of type {wanted}, but was of type {_type_name(array.dtype)}"
        )

    def _check_names(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        extra = sorted(str(name) for name in tensors if name not in self._names)
        if extra:
            names = [row[0] for row in self._rows] or ["none"]
            known = ", ".join([*names[:8], *(["..."] if names[8:] else [])])
            raise NeuropodError(
                f"Tensor name(s) '{{{', '.join(extra)}}}' are not found in the {self._side}; there are {known}"
            )


def compile_checks(rows: Sequence[Row], side: str, level: str) -> Check:
    """Returns the check for "full" (all), "cheap" (names, types and ranks, not sizes) or "off" (nothing).

    `side` is "input spec" or "output spec", for the messages.
    """
    if level == "off":
        return _nothing
    return _Checks(rows, side, sizes=level == "full")


def _nothing(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Looks at nothing."""


def _dtype(row: Row) -> np.dtype | None:
    return None if row.dtype == "string" else np.dtype(row.dtype)


def _dims(row: Row) -> tuple[Dims, Symbols]:
    fixed = tuple((axis, dim) for axis, dim in enumerate(row.shape) if isinstance(dim, int))
    return fixed, tuple((axis, dim) for axis, dim in enumerate(row.shape) if isinstance(dim, str))


def _type_name(dtype: np.dtype) -> str:
    """Returns Uber's name, or numpy's own for what no spec can hold: bool, float16, big-endian numbers."""
    if dtype.kind in _STRING_KINDS:
        return "STRING_TENSOR"
    return _UBER_NAMES.get(dtype.name, dtype.name) if dtype.isnative else dtype.str
