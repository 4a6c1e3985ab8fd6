"""The outputs of `infer` as a framework's own tensors: on the same memory where `handoff` says that no copy is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ..errors import NeuropodError

__all__ = ["FORMS", "converter"]

FORMS = ("numpy", "native", "torch", "tensorflow", "jax")
"""numpy arrays; tensors of the framework that ran the model; tensors of a framework that the caller prefers."""
_FRAMEWORKS = FORMS[2:]


def converter(form: str, framework: str) -> Callable[[NDArray[Any]], Any] | None:
    """Returns what makes an output of an array, or None where the array itself is it.

    Tensors lie in the CPU's memory. Strings are a list in torch, a string tensor in TensorFlow, and stay an array in
    JAX, which has none.
    """
    if form not in FORMS:
        raise NeuropodError(f"outputs must be {', '.join(FORMS[:-1])} or {FORMS[-1]}, got {form!r}")
    name = framework if form == "native" else form
    if name not in _FRAMEWORKS:
        return None
    found: Callable[[NDArray[Any]], Any] = importlib.import_module(f"perceptum.neuropod.frameworks.{name}").to_native
    return found
