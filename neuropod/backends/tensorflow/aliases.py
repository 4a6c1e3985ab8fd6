"""Which outputs of a graph may be in memory that the graph keeps: a constant, a variable, or a fed array.

A session hands out its own memory without a copy. For a tensor that an operator has just computed that is right; a
constant or a variable would change under the hands of whoever holds the array, or the other way round, and a fed array
belongs to its builder. Such outputs are copied. Where this cannot tell, it says "kept": a copy is never wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

__all__ = ["kept_outputs"]

_EACH = slice(None)
_FIRST = slice(0, 1)

# operators that may pass on the memory of some of their inputs, and of which; all others write to new memory
_HAND_ON = {
    **dict.fromkeys(("Identity", "Snapshot", "Copy", "CopyHost", "DebugIdentity", "CheckNumerics"), _FIRST),
    **dict.fromkeys(("StopGradient", "PreventGradient", "PlaceholderWithDefault", "EnsureShape"), _FIRST),
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims", "Bitcast", "Cast", "Transpose", "BroadcastTo"), _FIRST),
    **dict.fromkeys(
        ("Slice", "StridedSlice", "SplitV", "Unpack", "Tile", "Pad", "PadV2", "Reverse", "ReverseV2"), _FIRST
    ),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod"), _FIRST),  # over no axis
    **dict.fromkeys(("Switch", "Enter", "Exit", "NextIteration", "TensorListGetItem", "TensorListStack"), _FIRST),
    **dict.fromkeys(("IdentityN", "Merge", "Pack", "AddN"), _EACH),
    "Split": slice(1, 2),
    "Concat": slice(1, None),
    "ConcatV2": slice(0, -1),
}
_KEEP = frozenset(("Const", "ImmutableConst", "Placeholder", "If", "StatelessIf", "Case", "StatelessCase"))
_CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))


def kept_outputs(graph: Any, feeds: Iterable[str], fetches: Iterable[str]) -> frozenset[str]:
    """Returns those of the fetched tensors' names ("node:0") whose memory may not be handed out."""
    fed = frozenset(feeds)
    body = _GraphBody(graph)
    return frozenset(name for name in fetches if name in fed or _is_kept(body, name, fed))


@dataclass(frozen=True)
class _Node:
    type: str
    inputs: tuple[str, ...]
    is_ref: bool = False
    """Whether it is a variable as TensorFlow 1 has them, which is changed in place."""
    function: str = ""
    """The name of the function that it calls."""


class _Body(Protocol):
    """A graph or a function: tensors by name."""

    def node(self, tensor: str) -> _Node | None:
        """Returns what makes a tensor, or None for a function's argument."""
        ...

    def called(self, node: _Node, tensor: str) -> tuple[_Body, str] | None:
        """Returns the body that a call runs and the tensor in it that comes out as `tensor`."""
        ...


def _is_kept(body: _Body, tensor: str, fed: Collection[str]) -> bool:
    if tensor in fed:
        return True
    node = body.node(tensor)
    if node is None or node.is_ref or node.type in _KEEP or "Variable" in node.type or "While" in node.type:
        return True
    call = body.called(node, tensor)
    if call is not None:
        return _is_kept(*call, frozenset())
    if node.type in _HAND_ON:
        return any(_is_kept(body, name, fed) for name in node.inputs[_HAND_ON[node.type]])
    return not any(_is_changing(body, name, fed) for name in _ancestors(body, tensor))


def _is_changing(body: _Body, tensor: str, fed: Collection[str]) -> bool:
    """Returns whether a tensor is new in each call; what is made of constants alone may be computed once."""
    node = body.node(tensor)
    return tensor in fed or node is None or node.type == "Placeholder"


def _ancestors(body: _Body, tensor: str) -> Iterator[str]:
    seen = {tensor}
    todo = [tensor]
    while todo:
        name = todo.pop()
        yield name
        node = body.node(name)
        fresh = [i for i in node.inputs if i not in seen] if node is not None else []
        seen.update(fresh)
        todo.extend(fresh)


class _GraphBody:
    """A tf.Graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def node(self, tensor: str) -> _Node | None:
        found = self._graph.get_tensor_by_name(tensor)
        op = found.op
        function = op.get_attr("f").name if op.type in _CALLS else ""
        return _Node(op.type, tuple(i.name for i in op.inputs), bool(found.dtype._is_ref_dtype), function)

    def called(self, node: _Node, tensor: str) -> tuple[_Body, str] | None:
        if not node.function:
            return None
        return _function_result(self._functions, node.function, int(tensor.rpartition(":")[2]))

    @cached_property
    def _functions(self) -> dict[str, Any]:
        return {f.signature.name: f for f in self._graph.as_graph_def().library.function}


class _FunctionBody:
    """A FunctionDef, whose tensors are named "node:output:0", and its arguments by their bare names."""

    def __init__(self, definition: Any, functions: dict[str, Any]) -> None:
        self._nodes = {node.name: node for node in definition.node_def}
        self._functions = functions

    def node(self, tensor: str) -> _Node | None:
        found = self._nodes.get(tensor.partition(":")[0])
        if found is None:
            return None
        inputs = tuple(name for name in found.input if not name.startswith("^"))
        return _Node(found.op, inputs, function=found.attr["f"].func.name if found.op in _CALLS else "")

    def called(self, node: _Node, tensor: str) -> tuple[_Body, str] | None:
        if not node.function:
            return None
        return _function_result(self._functions, node.function, int(tensor.rpartition(":")[2]))


def _function_result(functions: dict[str, Any], name: str, index: int) -> tuple[_Body, str]:
    definition = functions[name]
    output = definition.signature.output_arg[index].name
    return _FunctionBody(definition, functions), definition.ret[output]
