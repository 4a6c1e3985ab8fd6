"""Whether the strings of an exported program are only names, sizes and operators: torch evaluates them as Python.

Names become the source of a function, expressions of sizes go through eval, guards through exec, and an operator's
name is followed through torch's modules, of which some lead to Python's own.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

from ..errors import NeuropodError

__all__ = ["check_program"]

_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*|")
_LOOSE_NAME = re.compile(r"[\w.:@\-/ ]*")
_SYM_FUNCTION = re.compile(r"(torch\.(_sym_\w+|sym_\w+)|math\.\w+)")
_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)(\.\w+)?")
_PYTHON_OPERATOR = re.compile(
    r"_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|xor|not_|eq|ne|lt|le|gt|ge|getitem|index|"
    r"lshift|rshift|inv|invert|truth)"
)
_NAMESPACES = frozenset(("aten", "prims", "quantized", "quantized_decomposed", "torchvision"))
_FILE_OPS = frozenset(("save", "from_file"))  # of the aten namespace, and yet they write or map files
_HIGHER_ORDER = frozenset(
    ("associative_scan", "cond", "map_impl", "scan", "while_loop", "wrap_with_autocast", "wrap_with_set_grad_enabled")
)
_TREES = frozenset((None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"))

_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare, ast.Constant,
    ast.Name, ast.Load, ast.Call, ast.keyword, ast.Subscript, ast.Attribute, ast.Tuple, ast.List, ast.IfExp,
    ast.operator, ast.cmpop,
)  # fmt: skip
_ATTRIBUTE_WORDS = (
    "size stride storage_offset shape ndim dim sym_max sym_min sym_ite sym_not sym_sum sym_float sym_int floor ceil "
    "trunc sqrt"
)
_ATTRIBUTES = frozenset(_ATTRIBUTE_WORDS.split())
_SIZE_WORDS = (
    "Symbol Integer Float Rational Add Mul Pow Mod Max Min Abs Eq Ne Gt Lt Ge Le And Or Not Piecewise ExprCondPair "
    "FloorDiv CleanDiv CeilDiv ModularIndexing PythonMod CMod IntTrueDiv FloatTrueDiv PowByNatural FloatPow "
    "TruncToInt TruncToFloat CeilToInt FloorToInt RoundToInt RoundDecimal ToFloat Where Identity Infinity "
    "NegativeInfinity Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan IntInfinity "
    "NegativeIntInfinity BooleanTrue BooleanFalse LShift RShift IsNonOverlappingAndDenseIndicator"
)
_SIZE_FUNCTIONS = frozenset(_SIZE_WORDS.split())
_GUARD_FUNCTIONS = frozenset(("max", "min", "abs", "int", "float", "bool", "len"))


def check_program(program: dict[str, Any], own_ops: bool) -> None:
    """Raises NeuropodError for the first string that could do more than a program of tensors needs."""
    todo: list[tuple[str, Any]] = [("", program)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, str):
            _check_text(key, value, own_ops)
        elif isinstance(value, dict):
            todo.extend(value.items())
            if key == "range_constraints":
                _match(_NAME, key, *value)
        elif isinstance(value, list):
            todo.extend((key, item) for item in value)


def _check_text(key: str, text: str, own_ops: bool) -> None:
    if key in _CHECKS:
        _CHECKS[key](key, text)
    elif key in ("target", "as_operator"):
        _check_operator(text, own_ops)
    elif key in ("name", "forward_arg_names"):
        _match(_NAME, key, text)
    elif key == "fqn" or key.endswith(("_name", "_names")):
        _match(_LOOSE_NAME, key, text)


def _match(pattern: re.Pattern[str], key: str, *texts: str) -> None:
    for text in texts:
        if not pattern.fullmatch(text):
            raise _refusal(f"the {key} {text!r}")


def _check_operator(text: str, own_ops: bool) -> None:
    found = _OPERATOR.fullmatch(text)
    if found is not None:
        space, name, _ = found.groups()
        if space == "higher_order" and name in _HIGHER_ORDER:
            return
        if (space in _NAMESPACES or (own_ops and space != "higher_order")) and _is_op(text) and name not in _FILE_OPS:
            return
    elif _PYTHON_OPERATOR.fullmatch(text) or _SYM_FUNCTION.fullmatch(text):
        return
    raise _refusal(f"the operator {text!r}")


def _is_op(text: str) -> bool:
    """Returns whether a name under torch.ops is an operator, not one of Python's methods on the way there."""
    import torch

    value: Any = torch.ops
    for part in text.split(".")[2:]:
        value = getattr(value, part, None)
    return isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket)


def _check_size(key: str, text: str) -> None:
    _check_expression(key, text, _SIZE_FUNCTIONS)


def _check_guard(key: str, text: str) -> None:
    _check_expression(key, text, _SIZE_FUNCTIONS | _GUARD_FUNCTIONS)


def _check_expression(key: str, text: str, functions: frozenset[str]) -> None:
    """Allows arithmetic and comparisons of names and numbers, the given functions, and attributes that tell sizes."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refusal(f"the {key} {text[:80]!r}") from None
    for node in nodes:
        allowed = isinstance(node, _NODES)
        if isinstance(node, ast.Attribute):
            allowed = node.attr in _ATTRIBUTES
        elif isinstance(node, ast.Call):
            allowed = isinstance(node.func, ast.Attribute) or (
                isinstance(node.func, ast.Name) and node.func.id in functions
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            allowed = re.fullmatch(r"[\w.+\-]*", node.value) is not None
        if not allowed:
            raise _refusal(f"the {key} {text[:80]!r}")


def _check_tree(key: str, text: str) -> None:
    """A tree of arguments says how they nest; its kinds are built in, its dicts' keys are names."""
    try:
        todo: list[Any] = [json.loads(text)]
    except ValueError:
        raise _refusal(f"the {key} {text[:80]!r}") from None
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("type") not in _TREES:
                raise _refusal(f"the {key} with a {value.get('type')}")
            _check_keys(key, value.get("context"))
            todo.append(value.get("children_spec"))
        elif isinstance(value, list):
            todo.extend(value)


def _check_keys(key: str, context: Any) -> None:
    """A dict's keys are JSON in the JSON; they too become source."""
    try:
        keys = json.loads(context) if context is not None else None
    except (TypeError, ValueError):
        raise _refusal(f"the {key} with {str(context)[:80]!r}") from None
    for name in keys if isinstance(keys, list) else ():
        _match(_LOOSE_NAME, key, str(name))


def _refusal(what: str) -> NeuropodError:
    return NeuropodError(f"{what} in the program is not known to be data; export it again, or do not use it")


_CHECKS: dict[str, Callable[[str, str], None]] = {
    "expr_str": _check_size,
    "guards_code": _check_guard,
    "in_spec": _check_tree,
    "out_spec": _check_tree,
}
