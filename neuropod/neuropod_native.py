"""What Uber's compiled bindings offered under this name, for code that uses them directly."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import serialization
from .errors import NeuropodError
from .frameworks.strings import is_string, to_list
from .model import Model
from .package.package import open_package
from .package.trust import Trust
from .serialization import serialize
from .uber.opening import open_with
from .uber.runtime_options import Device, OpeOptions, RuntimeOptions

__all__ = [
    "BackendLoadSpec",
    "Device",
    "Dimension",
    "Neuropod",
    "OpeOptions",
    "RuntimeOptions",
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


class _About(NamedTuple):
    """What a package says of its model."""

    name: str
    platform: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


class Neuropod:
    """A package, and its model.

    `default_backend_overrides` name compiled backends: here are none, so none may be given.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        default_backend_overrides: Iterable[BackendLoadSpec] = (),
        visible_gpu: int | None = 0,
        use_ope: bool | None = None,
        options: RuntimeOptions | None = None,
    ) -> None:
        """options: all of Uber's options, in place of `visible_gpu` and `use_ope`. Raises NeuropodError."""
        first = next(iter(default_backend_overrides), None)
        if first is not None:
            raise NeuropodError(
                f"the compiled backend '{first.path}' cannot be used: backends are Python here; leave it"
            )
        if options is None:
            options = RuntimeOptions.of(visible_gpu, use_ope)
        elif visible_gpu != 0 or use_ope is not None:
            raise NeuropodError("visible_gpu and use_ope are among the options; give them there, or no options")
        self._path = path
        self._options = options
        self._model: Model | None = None
        self._loading = Lock()
        self._about: _About
        if options.load_model_at_construction or options.ope_options.control_queue_name:
            self.load_model()
        else:
            package = open_package(path, Trust.IMPLIED)
            package.files.close()
            config = package.config
            rows = [[row.to_dict() for row in side] for side in (config.inputs, config.outputs)]
            self._about = _About(config.name, config.platform, *rows)

    def load_model(self) -> None:
        """Loads the model where that was not done at once; raises NeuropodError the second time."""
        with self._loading:
            if self._model is not None:
                raise NeuropodError(
                    "The model has already been loaded. This usually means that `load_model_at_construction` was set "
                    "to true (default) or `load_model()` was already explicitly called"
                )
            model = open_with(self._path, Trust.IMPLIED, self._options)
            self._about = _About(model.name, model.platform, model.inputs, model.outputs)
            self._model = model

    def infer(
        self, inputs: Mapping[str, Any], requested_outputs: Iterable[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        if self._model is None:
            raise NeuropodError(
                "The model was not loaded before calling `infer`. This usually means that `load_model_at_construction` "
                "was set to false and `load_model()` was not explicitly called"
            )
        if self._options.disable_shape_and_type_checking:
            self._require_known(inputs)
        return self._model.infer(inputs, requested_outputs)

    def _require_known(self, inputs: Mapping[str, Any]) -> None:
        """Names are looked up whatever is not checked."""
        for name in inputs.keys() - {row["name"] for row in self._about.inputs}:
            raise NeuropodError(f"Tried to seal a tensor with name '{name}', but could not find it in the spec")

    def get_inputs(self) -> list[TensorSpec]:
        return [_spec(row) for row in self._about.inputs]

    def get_outputs(self) -> list[TensorSpec]:
        return [_spec(row) for row in self._about.outputs]

    def get_name(self) -> str:
        return self._about.name

    def get_platform(self) -> str:
        return self._about.platform


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
