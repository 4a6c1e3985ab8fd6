"""Whether a graph's state is all there once it is loaded: what runs then must fill all that the model reads.

TensorFlow keeps variables and tables outside of the graph. A SavedModel fills those that were saved and says nothing of
the others; a frozen graph fills what its init operators fill.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import NeuropodError
from .operators import operators_run

__all__ = ["check_state", "random_operators"]

_RANDOM = re.compile(
    r"Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson|PoissonV2|Shuffle|Crop)|TruncatedNormal|Multinomial|"
    r"ParameterizedTruncatedNormal"
)

# operators that hold something from one call to the next, and start empty
_STATE = re.compile(
    r"VarHandleOp|Variable(V2)?|HashTable(V2)?|Iterator(V2)?|Mutable(Dense)?HashTable(OfTensors)?(V2)?|"
    r"(FIFO|PaddingFIFO|RandomShuffle|Priority)Queue(V2)?|Barrier"
)
# a model may well make some of these itself, as it goes
_MAY_BE_EMPTY = re.compile(r"Mutable|.*Queue|Barrier")
_FILLS = re.compile(
    r"Assign\w*|InitializeTable\w*|LookupTable(Import|Insert)\w*|MakeIterator|Queue(Enqueue)\w*|(Stateful)?PartitionedCall"
)
_HANDS_ON = frozenset(("Identity", "Enter", "Switch"))


def check_state(graph: Any, run: Iterable[str], at_load: Iterable[str], what_to_do: str) -> None:
    """Raises NeuropodError where the nodes of the names `run` read what the nodes `at_load` do not fill.

    graph: a GraphDef. what_to_do: how the packer of such a graph has it filled.
    """
    nodes = {node.name: node for node in graph.node}
    filled = _filled(nodes, at_load)
    used = list(_reached(nodes, run))
    fills_itself = any("Insert" in op or "Enqueue" in op for op in operators_run(graph, used))
    for name in sorted(used):
        op = nodes[name].op
        empty_is_fine = _MAY_BE_EMPTY.match(op) is not None and fills_itself
        if _STATE.fullmatch(op) and name not in filled and not empty_is_fine:
            raise NeuropodError(f"the model keeps state in '{name}' ({op}), which nothing fills at load; {what_to_do}")


def random_operators(graph: Any, run: Iterable[str]) -> list[str]:
    """Returns the operators run with these nodes that draw from TensorFlow's own generators, sorted."""
    return sorted(op for op in operators_run(graph, run) if _RANDOM.fullmatch(op))


def _filled(nodes: Mapping[str, Any], at_load: Iterable[str]) -> set[str]:
    """Returns what the nodes that run at load write into."""
    writers = (nodes[name] for name in _reached(nodes, at_load) if _FILLS.fullmatch(nodes[name].op))
    return {_source(nodes, _name(taken)) for writer in writers for taken in writer.input}


def _source(nodes: Mapping[str, Any], name: str) -> str:
    """Returns the node whose output a node passes on: a handle may go through others on its way."""
    while name in nodes and nodes[name].op in _HANDS_ON and nodes[name].input:
        name = _name(nodes[name].input[0])
    return name


def _reached(nodes: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    todo = [_name(name) for name in names]
    while todo:
        name = todo.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield name
        todo.extend(_name(taken) for taken in nodes[name].input)


def _name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
