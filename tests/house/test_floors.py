"""The floors of the house: imports only go down, and never in a circle."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
# modules of the face that import nothing of ours, and that messages on every floor need
GROUND = {"exchange", "foreign", "install", "plural", "quiet", "spelling"}
# folder -> what it may import from; the face, on top, may import all of them
MAY_IMPORT = {
    "features": set(),
    "inputs": set(),
    "datasets": {"inputs"},
    "builders": {"inputs", "features"},
    "neuropod": {"features"},
}
# what the two folders at the bottom may need from outside
FOUNDATION = {"features": {"numpy", "msgspec", "xxhash"}, "inputs": {"numba", "numpy", "pyarrow", "simplejpeg", "PIL"}}


class Import(NamedTuple):
    """One imported name: where it stands, the module or name it asks for, and whether importing the file runs it."""

    module: str
    path: Path
    line: int
    target: str
    mentioned_only: bool


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file, of every module of the package, each through its real folder."""
    found = {}
    for folder in (*MAY_IMPORT, "src/perceptum"):
        base = root / folder
        for path in sorted(base.rglob("*.py")):
            inside = path.relative_to(base).parts
            # the links of a checkout lead back to the five folders
            if folder == "src/perceptum" and inside[0] in MAY_IMPORT:
                continue
            first = ("perceptum",) if folder == "src/perceptum" else ("perceptum", folder)
            found[".".join((*first, *inside)).removesuffix(".py").removesuffix(".__init__")] = path
    return found


@cache
def imports_of(module: str, path: Path) -> list[Import]:
    """Every import in a file: those inside functions, by importlib, and the modules that a table names in text too."""
    return list(_imports_of(module, path))


def _imports_of(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node, typing_only in _walk(tree, False):
        for target in _targets(node, package):
            mentioned_only = typing_only or isinstance(node, ast.Constant)
            yield Import(module, path, getattr(node, "lineno", 0), target, mentioned_only)


def _walk(node: ast.AST, typing_only: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, typing_only
    guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in ast.iter_child_nodes(node):
        in_body = guarded and isinstance(node, ast.If) and child in node.body
        yield from _walk(child, typing_only or in_body)


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
        start = ".".join(part for part in (base, node.module) if part)
        return [f"{start}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
        name = node.args[0]
        return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # one dot is the name of a group of entry points
        return [node.value] if re.fullmatch(r"perceptum(\.\w+){2,}", node.value) else []
    return []


def trespasses(root: Path) -> list[str]:
    """One line for each import that leaves its folder by a door that is not there."""
    lines = []
    for module, path in modules(root).items():
        folder = module.split(".")[1] if module.count(".") else ""
        if folder not in MAY_IMPORT:
            continue
        for found in imports_of(module, path):
            parts = found.target.split(".")
            bare = parts[0] in MAY_IMPORT
            below = MAY_IMPORT[folder] | GROUND | {folder}
            upward = parts[0] == "perceptum" and (len(parts) == 1 or parts[1] not in below)
            if bare or upward:
                lines.append(f"{path.relative_to(root)}:{found.line}: {folder} may not import {found.target}")
    return lines


def circles(root: Path) -> list[str]:
    """Each module that reaches itself through imports; those for type checkers, and tables, do not count."""
    known = modules(root)
    needs: dict[str, set[str]] = {name: set() for name in known}
    for module, path in known.items():
        for found in imports_of(module, path):
            target = found.target if found.target in known else found.target.rpartition(".")[0]
            if target in known and target != module and not found.mentioned_only:
                needs[module].add(target)
    return [" -> ".join(way) for name in sorted(known) if (way := _way_back(name, needs))]


def _way_back(start: str, needs: dict[str, set[str]]) -> list[str]:
    seen: set[str] = set()
    ways = [[start]]
    while ways:
        way = ways.pop()
        for target in sorted(needs[way[-1]]):
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def test_imports_only_go_down():
    assert len(modules(ROOT)) > len(MAY_IMPORT)
    assert trespasses(ROOT) == []


def test_the_ground_imports_nothing_of_ours():
    for name in GROUND:
        module = f"perceptum.{name}"
        outside = {found.target.split(".")[0] for found in imports_of(module, modules(ROOT)[module])}
        assert outside <= set(sys.stdlib_module_names)


def test_no_module_imports_itself_through_others():
    assert circles(ROOT) == []


@pytest.mark.parametrize("folder", sorted(FOUNDATION))
def test_the_ground_floor_needs_little_from_outside(folder):
    outside = {
        found.target.split(".")[0]
        for module, path in modules(ROOT).items()
        if module.startswith(f"perceptum.{folder}")
        for found in imports_of(module, path)
    }
    assert outside - set(sys.stdlib_module_names) - {"perceptum"} <= FOUNDATION[folder]


def test_only_the_decorator_of_kernels_and_what_speaks_to_the_processor_import_numba():
    importing = {
        m for m, path in modules(ROOT).items() for f in imports_of(m, path) if f.target.split(".")[0] == "numba"
    }
    kernels = {
        f"perceptum.builders.kernels.{name}"
        for name in ("picture.vectors", "preparing", "processor", "record", "tally", "turns")
    }
    assert importing == {"perceptum.inputs.kernel", *kernels}


def test_only_modules_of_kernels_import_their_decorator():
    """Importing such a module imports numba: what reads a log or plans tensors does so when it needs one."""
    known = modules(ROOT)
    importing = {
        module
        for module, path in known.items()
        for found in imports_of(module, path)
        if found.target.startswith("perceptum.inputs.kernel.")
    }
    assert importing
    for module in importing:
        decorated = {
            ast.unparse(decorator)
            for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
        }
        assert any(name.startswith(("kernel", "inner")) for name in decorated), module


@pytest.mark.parametrize("folder", ["inputs", "datasets"])
def test_what_threads_share_is_made_once_by_our_own_property(folder):
    """functools.cached_property has one lock for all objects of a class in Python 3.11, and none from 3.12 on."""
    own = {module: path for module, path in modules(ROOT).items() if module.startswith(f"perceptum.{folder}")}
    targets = {found.target: module for module, path in own.items() for found in imports_of(module, path)}
    assert targets.get("functools.cached_property") in (None, "perceptum.inputs.once")


BAD_IMPORTS = {
    "datasets": ["from perceptum.builders import InputBuilder", "from ..features import Spec", "import features"],
    "builders": ["def late():\n    from perceptum import neuropod", "import perceptum.datasets.kitti"],
    "inputs": ["import perceptum as pc"],
    "features": [
        "import importlib\nimportlib.import_module('perceptum.inputs')",
        "TABLE = {'kitti': 'perceptum.datasets.kitti'}",
    ],
}


@pytest.mark.parametrize(("folder", "text"), [(name, text) for name, texts in BAD_IMPORTS.items() for text in texts])
def test_a_forbidden_import_is_found_wherever_it_hides(tmp_path, folder, text):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "wrong.py").write_text(text)
    assert len(trespasses(tmp_path)) == 1


def test_an_import_that_goes_down_is_no_trespass(tmp_path):
    (tmp_path / "builders" / "lidar").mkdir(parents=True)
    (tmp_path / "builders" / "lidar" / "right.py").write_text("from ..plan import Plan\nfrom ...inputs import Frame\n")
    assert trespasses(tmp_path) == []


def test_a_circle_through_a_function_is_found(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.py").write_text("from . import b")
    (tmp_path / "features" / "b.py").write_text("def late():\n    from .a import thing")
    assert circles(tmp_path) == [
        "perceptum.features.a -> perceptum.features.b -> perceptum.features.a",
        "perceptum.features.b -> perceptum.features.a -> perceptum.features.b",
    ]
