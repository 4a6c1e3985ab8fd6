"""Outputs that onnxruntime writes where its caller wants them.

onnxruntime makes memory of its own for each output, unless it is bound to memory before the model runs: then its shape
must be known. It follows of the model's own words and the inputs' sizes, or from the last call with the same sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...frameworks.handoff import Empty, address
from ...frameworks.strings import is_string

__all__ = ["Binding"]

_WORTH_BYTES = 64 << 10
"""From here on a copy takes longer than to bind: 6 us more than a plain call of a small model."""
_MOST_KEPT = 64
_CPU = ("cpu", 0)

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""What onnxruntime calls the numbers of a spec."""

Dims = tuple[int | tuple[str, int], ...]
"""Each size: a number, or that of an axis of an input."""
Key = tuple[tuple[str, tuple[int, ...]], ...]


class Binding:
    """What is known of the sizes of a session's outputs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        axes: dict[str, tuple[str, int]] = {}
        for value in session.get_inputs():
            for axis, dim in enumerate(value.shape or ()):
                if isinstance(dim, str):
                    axes.setdefault(dim, (value.name, axis))
        names = {value.name for value in session.get_inputs()}
        # an output that is an input is not written anywhere
        numbers = [v for v in session.get_outputs() if v.type in DTYPES and v.name not in names]
        self._dtypes = {value.name: DTYPES[value.type] for value in numbers}
        self._said = {v.name: dims for v in numbers if (dims := _dims(v.shape, axes)) is not None}
        self._seen: dict[Key, dict[str, tuple[int, ...]]] = {}
        self._trusts_said = self._trusts_seen = True

    def places(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty) -> dict[str, Any]:
        """Returns room for the wanted outputs that are large and of a known shape."""
        if not all(name in self._dtypes for name in wanted) or any(is_string(array) for array in inputs.values()):
            return {}
        seen = self._seen.get(_key(inputs), {}) if self._seen and self._trusts_seen else {}
        places = {}
        for name in wanted:
            shape = seen.get(name)
            if shape is None and self._trusts_said and name in self._said:
                shape = _shape(self._said[name], inputs)
            if shape is not None and prod(shape) * self._dtypes[name].itemsize >= _WORTH_BYTES:
                places[name] = empty(name, shape, self._dtypes[name])
        return places

    def run(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], places: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]] | None:
        """Returns the outputs, those with a place in it, or None where onnxruntime does not run so: its plain call then
        says why, or does."""
        binding = self._session.io_binding()
        try:
            for name, array in inputs.items():
                binding.bind_input(name, *_CPU, array.dtype.type, array.shape, address(array))
            for name in wanted:
                place = places.get(name)
                if place is None:
                    binding.bind_output(name, _CPU[0])
                else:
                    binding.bind_output(name, *_CPU, place.dtype.type, place.shape, address(place))
            self._session.run_with_iobinding(binding)
            values = dict(zip(wanted, binding.get_outputs(), strict=True))
            return {
                name: places[name]
                if name in places and value.data_ptr() == address(places[name])
                else np.asarray(value.numpy())
                for name, value in values.items()
            }
        except Exception:  # onnxruntime has a class for each of its states
            return None

    def learn(self, inputs: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], failed: bool) -> None:
        """Notes the shapes of a plain call's outputs. failed: whether it did what `run` could not."""
        if failed and self._seen and self._trusts_seen:
            # they depend on more than the inputs' sizes
            self._trusts_seen = False
            self._seen.clear()
        elif failed:
            self._trusts_said = False
        if not self._trusts_seen:
            return
        large = {
            name: array.shape
            for name, array in found.items()
            if name in self._dtypes and array.nbytes >= _WORTH_BYTES and (name not in self._said or failed)
        }
        if large:
            if len(self._seen) >= _MOST_KEPT:
                self._seen.clear()
            self._seen[_key(inputs)] = large

    def close(self) -> None:
        self._session = None


def _key(inputs: Mapping[str, NDArray[Any]]) -> Key:
    return tuple((name, array.shape) for name, array in inputs.items())


def _dims(shape: Sequence[Any] | None, axes: Mapping[str, tuple[str, int]]) -> Dims | None:
    """Returns where each size of an output comes from; None where one is not known."""
    if shape is None:
        return None
    found = [dim if isinstance(dim, int) else axes.get(dim) for dim in shape]
    return None if None in found else tuple(dim for dim in found if dim is not None)


def _shape(dims: Dims, inputs: Mapping[str, NDArray[Any]]) -> tuple[int, ...] | None:
    shape = []
    for dim in dims:
        if isinstance(dim, int):
            shape.append(dim)
        elif dim[0] in inputs and dim[1] < inputs[dim[0]].ndim:
            shape.append(inputs[dim[0]].shape[dim[1]])
        else:
            return None
    return tuple(shape)
