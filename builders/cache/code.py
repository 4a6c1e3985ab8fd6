"""Which code a class or a function runs: its own module and all that this imports, of ours and of plug-ins."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import logging
import os
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any

import xxhash

from perceptum.foreign import let_interrupts_pass

__all__ = ["Code", "UnknownCode", "code_of", "names_of", "still_runs"]

_OURS = "perceptum"
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "PyYAML", "google": "protobuf"}
"""What is installed under another name than it is imported by."""
_ALWAYS = ("numpy", "numba", "llvmlite")
_FOR_ALL = ("perceptum.builders.lane", "perceptum.builders.written")
"""What stands between every filler and its tensors; of what else these import no byte depends."""
_BEGAN_S = time.time()

_log = logging.getLogger(__name__)

Kind = type | Callable[..., Any]


class UnknownCode(Exception):
    """Code whose source is not known: typed into an interpreter, or changed since it was loaded."""


class Code:
    """The modules, and the versions of what is not ours, that some classes run.

    besides: modules that count by their own source, and not by what they import.
    """

    def __init__(self, modules: frozenset[str], packages: frozenset[str], besides: frozenset[str]) -> None:
        self.modules = modules
        self.packages = packages | frozenset(_ALWAYS)
        told = [f"{name} {_digest(name)}" for name in sorted(modules | besides)]
        told += [f"{name} {_version(name)}" for name in sorted(self.packages)]
        told.append(f"python {sys.version_info.major}.{sys.version_info.minor}")
        self.digest = xxhash.xxh3_128_hexdigest("\n".join(told).encode())

    def __repr__(self) -> str:
        return f"<Code {self.digest[:12]}: {len(self.modules)} modules, with {', '.join(sorted(self.packages))}>"


def code_of(kinds: Iterable[Kind]) -> Code:
    """Returns the code of classes, those that they derive from included, or of functions. Raises UnknownCode.

    What a module imports is seen in its source, inside functions too; what only type checkers import does not count,
    and of a package's `__init__` only where it has the name from that is imported.
    """
    kinds = tuple(kinds)
    bases = [base for kind in kinds for base in (kind.__mro__ if isinstance(kind, type) else (kind,))]
    fills = any(isinstance(kind, type) for kind in kinds)
    return _code_of(frozenset(base.__module__ for base in bases), frozenset(_FOR_ALL if fills else ()))


def names_of(kinds: Iterable[Kind]) -> tuple[str, ...]:
    """Returns module:name of each, by which `still_runs` finds it again."""
    return tuple(sorted({f"{kind.__module__}:{kind.__qualname__}" for kind in kinds}))


@cache
def still_runs(names: tuple[str, ...], digest: str) -> bool:
    """Whether the installed code of classes is still what it was."""
    try:
        kinds = [
            attrgetter(name)(importlib.import_module(module)) for module, _, name in (n.partition(":") for n in names)
        ]
        return code_of(kinds).digest == digest
    # what is imported is others' code, and may be gone
    except Exception as error:
        let_interrupts_pass(error)
        return False


@cache
def _code_of(roots: frozenset[str], besides: frozenset[str]) -> Code:
    own = frozenset({_OURS, *(name.partition(".")[0] for name in roots)}) - sys.stdlib_module_names
    modules: set[str] = set()
    packages: set[str] = set()
    waits = [name for name in roots if name.partition(".")[0] in own]
    while waits:
        name = waits.pop()
        if name in modules:
            continue
        modules.add(name)
        for other in _imports(name):
            top = other.partition(".")[0]
            if top in own or (top not in sys.stdlib_module_names and _is_loose(top)):
                waits.append(other)
            elif top not in sys.stdlib_module_names:
                packages.add(top)
    return Code(frozenset(modules), frozenset(packages), besides)


@cache
def _is_loose(top: str) -> bool:
    """Whether a package is none that was installed, so that only its source says what it does."""
    if top in _ALWAYS or top in _DISTRIBUTIONS:
        return False
    try:
        metadata.version(top)
    except metadata.PackageNotFoundError:
        spec = _spec(top)
        return spec is not None and spec.origin is not None and "site-packages" not in spec.origin
    return False


@cache
def _version(top: str) -> str:
    try:
        return metadata.version(_DISTRIBUTIONS.get(top, top))
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(top), "__version__", ""))


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        # not find_spec of what is loaded by another way, whose spec may be None
        return importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None


@cache
def _source(name: str) -> str | None:
    """Returns a module's source as it is loaded here; None where it has none, such as what is compiled.

    Once in a process: what is edited later is not what runs.
    """
    spec = _spec(name)
    if spec is None:
        if name == "__main__" or name in sys.modules:
            raise UnknownCode(f"the source of '{name}' is not known")
        return None
    source: str | None = None
    if spec.loader is not None and hasattr(spec.loader, "get_source"):
        source = spec.loader.get_source(name)
    if source is not None and spec.origin is not None and name in sys.modules:
        _check_unchanged(name, spec.origin, source)
    return source


def _check_unchanged(name: str, path: str, source: str) -> None:
    """Raises UnknownCode where a file was written after this process began, and is not what was loaded from it."""
    try:
        if os.stat(path).st_mtime < _BEGAN_S:
            return
    except OSError:
        return
    changed = UnknownCode(f"{path} was changed after it was loaded; begin a new process")
    tree = ast.parse(source)
    varying = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    if not _has_literals(tree.body, vars(sys.modules[name]), varying):
        raise changed
    compiled = dict(_functions(compile(source, path, "exec", dont_inherit=True)))
    for value in list(vars(sys.modules[name]).values()):
        own = getattr(value, "py_func", value)
        members = vars(own).values() if isinstance(own, type) else (own,)
        for member in members:
            function = getattr(member, "__func__", member)
            if isinstance(function, FunctionType) and function.__module__ == name:
                again = compiled.get((function.__qualname__, function.__code__.co_firstlineno))
                # what a decorator made, or `exec`, is not in the source
                if again is None and function.__code__.co_filename != path:
                    continue
                if again != function.__code__:
                    raise changed


_PLAIN = (bool, int, float, str, bytes, tuple)


def _has_literals(body: Iterable[ast.stmt], scope: Mapping[str, object], varying: Collection[str]) -> bool:
    """Whether the numbers and texts that a source gives to names, and takes where an argument is left out, are those of
    a module, or a class, that was loaded. varying: names that functions give other values."""
    given: dict[str, ast.expr] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            given[node.target.id] = node.value
        elif isinstance(node, ast.ClassDef):
            own = scope.get(node.name)
            if isinstance(own, type) and not _has_literals(node.body, vars(own), ()):
                return False
        elif isinstance(node, ast.FunctionDef):
            function = getattr(scope.get(node.name), "py_func", scope.get(node.name))
            kept = getattr(getattr(function, "__func__", function), "__defaults__", None) or ()
            if len(kept) == len(node.args.defaults) and not all(map(_is_literal, node.args.defaults, kept)):
                return False
    return all(_is_literal(value, scope[name]) for name, value in given.items() if name in {*scope} - {*varying})


def _is_literal(node: ast.expr, value: object) -> bool:
    """Whether a value is what is written; also where it is written as more than a number or a text, or has become
    something else, such as a field."""
    if type(value) not in _PLAIN:
        return True
    try:
        written = ast.literal_eval(node)
    except (ValueError, TypeError):
        return True
    return repr(written) == repr(value)


def _functions(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_qualname, constant.co_firstlineno), constant
            yield from _functions(constant)


@cache
def _digest(name: str) -> str:
    source = _source(name)
    return "" if source is None else xxhash.xxh3_128_hexdigest(source.encode(errors="surrogatepass"))


@cache
def _is_package(name: str) -> bool:
    spec = _spec(name)
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _submodules(name: str) -> frozenset[str]:
    spec = _spec(name)
    places = [] if spec is None else spec.submodule_search_locations or []
    return frozenset(module.name for module in pkgutil.iter_modules(places))


def _imports(name: str) -> Iterator[str]:
    """Yields the modules that a module imports."""
    for bound in _bindings(name):
        yield from bound[1]


_Import = tuple[int, str, tuple[tuple[str, str], ...], bool]
"""Level, module, (name, as what) of each, empty for `import module`; whether only type checkers see it."""


@cache
def _bindings(name: str, type_checking: bool = False) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Returns (name that is bound, modules that it needs) for every import of a module."""
    source = _source(name) or ""
    # ours are formatted, so that lines do: to parse 150 modules takes a second
    imports = _imports_of_lines(source) if name.partition(".")[0] == _OURS else _imports_of_tree(source)
    found: list[tuple[str, tuple[str, ...]]] = []
    for level, module, names, unseen in imports:
        if unseen and not type_checking:
            continue
        base = _absolute(name, level, module)
        if not names:
            found.append((base, (base,)))
        found += [(bound, tuple(_needed(base, taken))) for taken, bound in names]
    return tuple(found)


_LINE = re.compile(
    r"^(?P<indent>[ ]*)(?:from (?P<level>\.*)(?P<module>[\w.]*) import (?P<names>\([^)]*\)|[^\n(]+)"
    r"|import (?P<plain>[\w., ]+)|(?P<guard>if (?:typing\.)?TYPE_CHECKING:)|(?P<other>\S))",
    re.MULTILINE,
)


_LONG_STRING = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL)
"""What a docstring shows as an example imports nothing."""


def _imports_of_lines(source: str) -> Iterator[_Import]:
    guard: int | None = None
    for found in _LINE.finditer(_LONG_STRING.sub('""', source)):
        indent = len(found["indent"])
        if guard is not None and indent <= guard:
            guard = None
        if found["guard"]:
            guard = indent
        elif found["plain"]:
            for part in found["plain"].split(","):
                yield 0, part.split(" as ")[0].strip(), (), guard is not None
        elif found["names"]:
            names = re.sub(r"#[^\n]*", "", found["names"]).strip("() \n")
            taken = [part.split() for part in names.split(",") if part.strip()]
            pairs = tuple((words[0], words[-1]) for words in taken)
            yield len(found["level"]), found["module"], pairs, guard is not None


def _imports_of_tree(source: str) -> Iterator[_Import]:
    for node, unseen in _walk(ast.parse(source), False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, (), unseen
        else:
            pairs = tuple((alias.name, alias.asname or alias.name) for alias in node.names)
            yield node.level, node.module or "", pairs, unseen


def _walk(node: ast.AST, unseen: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, unseen
        elif isinstance(child, ast.If) and _for_type_checkers(child.test):
            yield from _walk(ast.Module(child.body, []), True)
            yield from _walk(ast.Module(child.orelse, []), unseen)
        elif isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _walk(child, unseen)


def _for_type_checkers(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def _absolute(name: str, level: int, module: str) -> str:
    if not level:
        return module
    package = name if _is_package(name) else name.rpartition(".")[0]
    for _ in range(level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{module}" if module else package


def _needed(base: str, name: str) -> Iterator[str]:
    """Yields the modules that `from base import name` needs."""
    top = base.partition(".")[0]
    if top in sys.stdlib_module_names:
        return
    if top != _OURS and not _is_package(base):
        yield base
        return
    if not _is_package(base):
        yield base
    elif name in _submodules(base):
        yield f"{base}.{name}"
    elif top != _OURS and not _is_ours_or_loose(base):
        yield base
    else:
        # a package's door: what it only hands on comes from one module
        # seen by type checkers too: what a door loads late it names there
        handed = [modules for bound, modules in _bindings(base, type_checking=True) if bound == name]
        yield from handed[-1] if handed else (base,)


def _is_ours_or_loose(base: str) -> bool:
    return _is_loose(base.partition(".")[0])
