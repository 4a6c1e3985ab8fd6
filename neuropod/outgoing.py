"""The outputs of `infer` as a framework's own tensors: on the same memory where `handoff` says that no copy is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .errors import NeuropodError
from .handoff import as_tensorflow, as_torch
from .strings import is_string, to_list
from .tensorflow_import import import_tensorflow

__all__ = ["FORMS", "converter"]

FORMS = ("numpy", "native", "torch", "tensorflow", "jax")
"""numpy arrays; tensors of the framework that ran the model; tensors of a framework that the caller prefers."""


def converter(form: str, framework: str) -> Callable[[NDArray[Any]], Any] | None:
    """Returns what makes an output of an array, or None where the array itself is it.

    Tensors lie in the CPU's memory. Strings are a list in torch, a string tensor in TensorFlow, and stay an array in
    JAX, which has none.
    """
    if form not in FORMS:
        raise NeuropodError(f"outputs must be {', '.join(FORMS[:-1])} or {FORMS[-1]}, got {form!r}")
    return _CONVERTERS.get(framework if form == "native" else form)


def _torch(array: NDArray[Any]) -> Any:
    return to_list(array) if is_string(array) else as_torch(array)


def _tensorflow(array: NDArray[Any]) -> Any:
    if not is_string(array):
        return as_tensorflow(array)
    return import_tensorflow().constant(to_list(array), shape=array.shape, dtype="string")


def _jax(array: NDArray[Any]) -> Any:
    if is_string(array):
        return array
    from .backends.jax import import_jax

    jax = import_jax()
    with jax.enable_x64(True):  # else it would read 64-bit numbers as 32 bits
        return jax.device_put(array, jax.devices("cpu")[0])


_CONVERTERS = {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}
