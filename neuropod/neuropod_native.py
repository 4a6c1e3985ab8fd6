"""What Uber's compiled bindings offered under this name, for code that uses them directly."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import serialization
from .errors import NeuropodError
from .frameworks.strings import is_string, to_list
from .loader import load_neuropod
from .serialization import serialize

__all__ = [
    "BackendLoadSpec",
    "Dimension",
    "Neuropod",
    "TensorSpec",
    "TensorType",
    "deserialize",
    "deserialize_dict",
    "serialize",
]

ANY, SYMBOL = -1, -2


class TensorType(IntEnum):
    """The types as config.json names them, at the codes of the wire format."""

    float32 = 0
    float64 = 1
    string = 2
    int8 = 3
    int16 = 4
    int32 = 5
    int64 = 6
    uint8 = 7
    uint16 = 8
    uint32 = 9
    uint64 = 10


@dataclass(frozen=True)
class Dimension:
    """A size; -1 is any, -2 a symbol, whose name stands beside it."""

    value: int
    symbol: str = ""

    @classmethod
    def of(cls, dim: int | str | None) -> Dimension:
        return cls(SYMBOL, dim) if isinstance(dim, str) else cls(ANY if dim is None else dim)


@dataclass(frozen=True)
class TensorSpec:
    name: str
    type: TensorType
    dims: tuple[Dimension, ...]


@dataclass(frozen=True)
class BackendLoadSpec:
    """A backend's library, as Uber's registry named it."""

    type: str
    version: str
    path: str


class Neuropod:
    """A loaded package. `default_backend_overrides` name compiled backends: here are none, so none may be given."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        default_backend_overrides: Iterable[BackendLoadSpec] = (),
        visible_gpu: int | None = 0,
        use_ope: bool = False,
    ) -> None:
        first = next(iter(default_backend_overrides), None)
        if first is not None:
            raise NeuropodError(
                f"the compiled backend '{first.path}' cannot be used: backends are Python here; leave it"
            )
        self._model = load_neuropod(path, visible_gpu=visible_gpu)

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        return self._model.infer(inputs)

    def get_inputs(self) -> list[TensorSpec]:
        return [_spec(row) for row in self._model.inputs]

    def get_outputs(self) -> list[TensorSpec]:
        return [_spec(row) for row in self._model.outputs]

    def get_name(self) -> str:
        return self._model.name

    def get_platform(self) -> str:
        return self._model.platform


def deserialize(data: bytes) -> NDArray[Any]:
    """Returns the array; strings are UTF-8 bytes of dtype S, as the bindings gave them."""
    return _as_bytes(serialization.deserialize(data))


def deserialize_dict(data: bytes) -> dict[str, NDArray[Any]]:
    """Returns name -> array; strings are UTF-8 bytes of dtype S."""
    return {name: _as_bytes(array) for name, array in serialization.deserialize_dict(data).items()}


def _spec(row: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(row["name"], TensorType[row["dtype"]], tuple(Dimension.of(dim) for dim in row["shape"]))


def _as_bytes(array: NDArray[Any]) -> NDArray[Any]:
    if not is_string(array):
        return array
    return np.array([text.encode() for text in to_list(array)], np.bytes_).reshape(array.shape)
