"""Whether the strings of an exported program are only names, sizes and operators: torch evaluates them as Python.

Names become the source of a function, expressions of sizes go through eval, guards through exec, and an operator's name
is followed through torch's modules, of which some lead to Python's own. torch checks no types: a string may stand where
a number should. So each must stand under a key that is known here, and look as torch writes it there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ...errors import NeuropodError
from .expressions import is_guard, is_size

__all__ = ["check_program", "is_path"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|")
_SYMBOL = re.compile(r"[A-Za-z_]+\d{0,6}")  # torch counts up to the number of an unbacked one
_LOOSE_NAME = re.compile(r"[\w.:@\-/ ]*")
_SYM_FUNCTION = re.compile(r"torch\.(_sym_|sym_)[a-z_]+|math\.[a-z]\w*")
_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)(\.\w+)?")
_PYTHON_OPERATOR = re.compile(
    r"_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|xor|not_|eq|ne|lt|le|gt|ge|getitem|index|"
    r"lshift|rshift|inv|invert|truth)"
)
_NAMESPACES = frozenset(("aten", "prims", "quantized", "quantized_decomposed"))
_FILE_OPS = frozenset(("save", "from_file"))  # in the aten namespace, but they write or map files
_VISION_OP = re.compile(r"nms|_?(ps_)?roi_(align|pool)\w*|_?deform_conv2d\w*")  # torchvision also has some for files
_HIGHER_ORDER = frozenset(
    ("associative_scan", "cond", "map_impl", "scan", "while_loop", "wrap_with_autocast", "wrap_with_set_grad_enabled")
)
_TREES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


def check_program(program: dict[str, Any], own_ops: bool) -> None:
    """Raises NeuropodError for the first string that could do more than a program of tensors needs."""
    todo: list[tuple[str, Any]] = [("", program)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, str):
            _check_text(key, value, own_ops)
        elif isinstance(value, dict):
            _check_keys(key, value)
            todo.extend((k, v) for k, v in value.items() if k != "metadata")  # which torch only shows
        elif isinstance(value, list):
            todo.extend((key, item) for item in value)


def is_path(text: object) -> bool:
    """Returns whether `text` names a weight or a module: torch follows it through attributes."""
    return isinstance(text, str) and _LOOSE_NAME.fullmatch(text) is not None and not re.search(r"(^|\.)__", text)


def _check_keys(key: str, table: dict[str, Any]) -> None:
    """A table's keys are fields, or names that become source."""
    pattern = _SYMBOL if key == "range_constraints" else _NAME
    for name in table:
        _require(pattern.fullmatch(name) is not None, f"the key in {key or 'the top'}", name)


def _check_text(key: str, text: str, own_ops: bool) -> None:
    if key in ("target", "as_operator"):
        _require(_is_operator(text, own_ops), "the operator", text)
    elif key in ("in_spec", "out_spec"):
        _check_tree(key, text)
    else:
        check = _CHECKS.get(key)
        _require(check is not None and check(text), f"the {key}", text)


def _require(holds: bool, what: str, text: object) -> None:
    if not holds:
        raise _refusal(what, text)


def _refusal(what: str, text: object) -> NeuropodError:
    shown = repr(text)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return NeuropodError(f"{what} {shown} in the program is not known to be data; export it again, or do not use it")


def _is_operator(text: str, own_ops: bool) -> bool:
    found = _OPERATOR.fullmatch(text)
    if found is None:
        return bool(_PYTHON_OPERATOR.fullmatch(text) or _SYM_FUNCTION.fullmatch(text))
    space, name, _ = found.groups()
    if space == "higher_order":
        return name in _HIGHER_ORDER
    if space == "torchvision" and not own_ops:
        return _VISION_OP.fullmatch(name) is not None and _is_registered(text)
    return (space in _NAMESPACES or own_ops) and name not in _FILE_OPS and _is_registered(text)


def _is_registered(text: str) -> bool:
    """Returns whether a name under torch.ops is an operator, not one of Python's methods on the way there."""
    import torch

    value: Any = torch.ops
    for part in text.split(".")[2:]:
        value = getattr(value, part, None)
    return isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket)


def _check_tree(key: str, text: str) -> None:
    """A tree of arguments says how they nest; its kinds are built in, its dicts' keys are names."""
    tree = _json(key, text)
    _require(isinstance(tree, list) and len(tree) == 2 and isinstance(tree[1], dict), f"the {key}", text)
    todo: list[Any] = [tree[1]]
    while todo:
        value = todo.pop()
        _require(isinstance(value, dict) and value.get("type") in _TREES, f"the {key} with a", value)
        for name in _context(key, value):
            _require(isinstance(name, str | int) and is_path(str(name)), f"the {key} with", name)
        children = value.get("children_spec")
        _require(isinstance(children, list), f"the {key} with", value)
        todo.extend(children)
    if key == "in_spec":
        _check_keywords(key, tree[1])


def _check_keywords(key: str, tree: dict[str, Any]) -> None:
    """The second of the arguments are the keywords, which become parameters in a function's head."""
    for child in tree["children_spec"][1:]:
        for name in _context(key, child):
            _require(_NAME.fullmatch(str(name)) is not None, f"the {key} with", name)


def _context(key: str, node: dict[str, Any]) -> list[Any]:
    """Returns a dict's keys. They are JSON within the JSON, where torch takes an object for a class to import."""
    text = node.get("context")
    keys = None if text is None else _json(key, text)
    _require(keys is None or isinstance(keys, list), f"the {key} with", keys)
    return keys or []


def _json(key: str, text: object) -> Any:
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        raise _refusal(f"the {key} with", text) from None


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _is_any(text: str) -> bool:
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "expr_str": is_size,
    "guards_code": is_guard,
    # what becomes a variable or an argument in source
    "name": _is_name,
    "as_name": _is_name,
    "user_input_name": _is_name,
    "forward_arg_names": _is_name,
    # what is looked up
    "fqn": is_path,
    "buffer_name": is_path,
    "parameter_name": is_path,
    "tensor_constant_name": is_path,
    "type": _matches(r"[a-z]*"),
    "dialect": _matches(r"\w*"),
    "verifiers": _matches(r"\w*"),
    # what is shown, or goes to an operator as it is
    "torch_version": _is_any,
    "as_string": _is_any,
    "as_strings": _is_any,
    "as_float": _matches(r"-?Infinity|NaN"),
    "real": _matches(r"-?Infinity|NaN"),
    "imag": _matches(r"-?Infinity|NaN"),
}
