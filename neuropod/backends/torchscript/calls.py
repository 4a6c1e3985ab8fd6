"""How a ScriptModule wants to be called: read once from its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import NeuropodError

__all__ = ["Call", "plan_call"]

Call = Callable[[Callable[..., Any], Mapping[str, Any]], Any]
"""Calls forward with the values by name: tensors, and lists of strings."""


def plan_call(schema: Any) -> Call:
    """Returns the way to call: one Dict argument takes all, otherwise each argument takes the input of its name."""
    arguments = schema.arguments[1:]
    if len(arguments) == 1 and arguments[0].type.kind() == "DictType":
        return _dict_call(arguments[0].type.getValueType())
    required = tuple(a.name for a in arguments if not a.has_default_value())
    return _by_name(tuple(a.name for a in arguments), required)


def _by_name(names: tuple[str, ...], required: tuple[str, ...]) -> Call:
    known = frozenset(names)

    def call(forward: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        if tuple(values) == names:  # the usual case, a microsecond faster
            return forward(*values.values())
        if not values.keys() <= known:
            extra = sorted(values.keys() - known)[0]
            raise NeuropodError(
                f"the model's forward takes no argument '{extra}'; it takes {', '.join(names) or 'none'}"
            )
        absent = {name: None for name in required if name not in values}
        return forward(**values, **absent)

    return call


def _dict_call(value_type: Any) -> Call:
    tensors, strings = _takes(value_type)

    def call(forward: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        if tensors and strings:
            return forward(dict(values))
        return forward({n: v for n, v in values.items() if isinstance(v, list) == strings})

    return call


def _takes(value_type: Any) -> tuple[bool, bool]:
    """Returns whether a Dict argument holds tensors, and whether lists of strings; others are not passed."""
    kind = value_type.kind()
    if kind == "UnionType":
        members = [_takes(member) for member in value_type.containedTypes()]
        return any(tensors for tensors, _ in members), any(strings for _, strings in members)
    if kind == "TensorType":
        return True, False
    if kind == "ListType" and value_type.getElementType().kind() == "StringType":
        return False, True
    raise NeuropodError(f"the model's forward takes a Dict of {value_type}; it must hold Tensor, List[str] or both")
