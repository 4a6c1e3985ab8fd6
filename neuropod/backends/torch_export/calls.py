"""How an exported program wants to be called: read once from its own record of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perceptum.plural import a_or_an

from ...errors import NeuropodError
from ...package.config import Config
from .. import signature
from ..signature import check_names

__all__ = ["check_sizes", "own_tensors", "plan_call"]

Call = Callable[[Mapping[str, Any]], Any]


def plan_call(program: Any, module: Any, config: Config) -> Call:
    """Returns the way to call the program's module with tensors by name.

    One dict argument takes all; otherwise each argument, by position or by keyword, takes the input of its name.
    """
    names, num_positional = _arguments(program)
    check_names("program", config, dict.fromkeys(names), {row.name: None for row in config.outputs})
    if num_positional is None:
        return _with_dict(_forward(module), names)
    return _by_name(_forward(module), names[:num_positional], names[num_positional:])


def check_sizes(program: Any, config: Config) -> None:
    """Raises NeuropodError where the program was made for one size and the spec leaves the size open, or says another.

    torch.export fixes every size that dynamic_shapes does not name, and the program then refuses all others.
    """
    shapes = {
        node.name: node.meta["val"].shape for node in program.graph.nodes if hasattr(node.meta.get("val"), "shape")
    }
    names, _ = _arguments(program)
    nodes = zip(names, program.graph_signature.user_inputs, strict=True)
    signature.check_sizes(
        "program", config.inputs, {name: shapes.get(str(node)) for name, node in nodes}, "export it with dynamic_shapes"
    )


def _arguments(program: Any) -> tuple[tuple[str, ...], int | None]:
    """Returns the names of the inputs, and how many are given by position; None for one dict of all."""
    own = program.module_call_graph[0].signature
    args, kwargs = (_children(side) for side in _children(own.in_spec))
    if len(args) == 1 and not kwargs and args[0].type is dict:
        return tuple(args[0].context), None
    for number, spec in enumerate((*args, *kwargs)):
        if not spec.is_leaf():
            kind = a_or_an(getattr(spec.type, "__name__", str(spec.type)))
            raise NeuropodError(f"the program's argument {number} is {kind}; it takes tensors, or one dict")
    return _names(program, own, len(args) + len(kwargs)), len(args)


def _forward(module: Any) -> Callable[..., Any]:
    """Returns the module's own code where that checks the sizes: its hook only compares how the arguments nest, which
    is settled here, and takes half of a small call's time."""
    forward: Callable[..., Any] = module.forward if hasattr(module, "_guards_fn") else module
    return forward


def _with_dict(forward: Callable[..., Any], names: tuple[str, ...]) -> Call:
    def call(values: Mapping[str, Any]) -> Any:
        _refuse_absent(values, names)
        return forward({name: values[name] for name in names})

    return call


def own_tensors(module: Any) -> list[Any]:
    """Returns the module's parameters, buffers and constants."""
    import torch

    tables = (table for m in module.modules() for table in (vars(m), m._parameters, m._buffers))
    return [value for table in tables for value in table.values() if isinstance(value, torch.Tensor)]


def _by_name(forward: Callable[..., Any], positional: tuple[str, ...], keywords: tuple[str, ...]) -> Call:
    names = (*positional, *keywords)

    def call(values: Mapping[str, Any]) -> Any:
        if not keywords and tuple(values) == names:  # the usual case
            return forward(*values.values())
        _refuse_absent(values, names)
        return forward(*[values[name] for name in positional], **{name: values[name] for name in keywords})

    return call


def _refuse_absent(values: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in values:
            raise NeuropodError(f"failed: the program needs the input '{name}'; it takes {', '.join(names)}")


def _names(program: Any, own: Any, count: int) -> tuple[str, ...]:
    """Returns the arguments' names: forward's own, or, in programs of older versions, those of the graph."""
    names = own.forward_arg_names or program.graph_signature.user_inputs
    if len(names) != count:
        raise NeuropodError(f"the program takes {count} arguments and names {len(names)}; export it again")
    return tuple(names)


def _children(spec: Any) -> list[Any]:
    """Returns the specs inside a tree's spec; torch renames the field now and then."""
    children = spec.children() if callable(getattr(spec, "children", None)) else spec.children_specs
    return list(children)
