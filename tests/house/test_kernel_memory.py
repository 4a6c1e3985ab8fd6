"""Kernels keep the memory alive of which they have the address."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKERS = {"empty", "zeros", "ones", "full", "empty_like", "zeros_like", "array", "arange"}
KERNELS = sorted(
    path
    for folder in ("builders", "inputs", "datasets", "src/perceptum/problems")
    for path in (ROOT / folder).rglob("*.py")
    if "kernel" in path.read_text(encoding="utf-8")
)


def let_go_too_early(source):
    """Returns the arrays that a function makes and takes the address of, and names in none of its last two statements.

    numba lets go of an array behind the last line that names it, and the next who asks for memory, in any thread, gets
    what the address still points to.
    """
    found = []
    for function in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]:
        made = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and makes(node.value)
            for target in ast.walk(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if isinstance(target, ast.Name)
        }
        addressed = {
            node.value.value.id
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and node.attr == "data"
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "ctypes"
            and isinstance(node.value.value, ast.Name)
        }
        last = {node.id for part in function.body[-2:] for node in ast.walk(part) if isinstance(node, ast.Name)}
        found += [f"{function.name}: {name}" for name in sorted(made & addressed - last)]
    return found


def makes(value):
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Attribute) and call.func.attr in MAKERS for call in calls)


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_array_is_let_go_while_its_address_is_used(path):
    assert let_go_too_early(path.read_text(encoding="utf-8")) == []


def test_what_is_let_go_too_early_is_seen():
    kernel = """
def decorate(rows):
    lines = np.empty(rows, np.float32)
    at: Any = np.int64(lines.ctypes.data)
    for row in range(rows):
        write(at, row)
    settle()
"""
    assert let_go_too_early(kernel) == ["decorate: lines"]
    assert let_go_too_early(kernel + "    lines[0] = 0\n") == []
