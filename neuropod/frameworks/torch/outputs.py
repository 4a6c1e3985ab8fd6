"""What a torch model may return: tensors and lists of strings, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from perceptum.plural import a_or_an

from ...errors import NeuropodError

__all__ = ["collect"]


def collect(answer: Any, outputs: Sequence[str]) -> dict[str, Any]:
    """Returns name -> tensor or list of strings, whatever form forward answered in.

    `outputs` are the names of the output spec: a bare tensor or list is the only one of them.
    """
    if isinstance(answer, dict):
        return _checked(answer.items())
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return _checked(zip(answer._fields, answer, strict=True))
    if isinstance(answer, tuple):
        return _merged(answer)
    if len(outputs) != 1:
        raise NeuropodError(
            "the model returned one value without a name, so its output spec must have exactly 1 entry, "
            f"it has {len(outputs)}"
        )
    return _checked([(outputs[0], answer)])


def _merged(parts: tuple[Any, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            raise NeuropodError(f"the model returned a tuple with {type(part).__name__} in it; it may hold dicts only")
        for name, value in _checked(part.items()).items():
            if name in merged:
                raise NeuropodError(f"the model returned the output '{name}' twice")
            merged[name] = value
    return merged


def _checked(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    from torch import Tensor

    checked = dict(items)
    for name, value in checked.items():
        if isinstance(value, Tensor):
            continue
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise NeuropodError(
                f"output '{name}' is {a_or_an(type(value).__name__)}; a model returns tensors and lists of strings"
            )
    return checked
