"""The files of a worker run on old interpreters too, of which many have nothing but numpy."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import perceptum

WORKER = Path(perceptum.__file__).parent / "neuropod" / "process" / "worker"
FILES = sorted(WORKER.rglob("*.py"))
OLDEST = (3, 6)

NEWER_MODULES = {"__future__", "contextvars", "dataclasses", "graphlib", "tomllib", "zoneinfo"}
"""Of the standard library, or of what they offer there."""
NEWER_TYPING = {"Annotated", "Concatenate", "Final", "ForwardRef", "Literal", "OrderedDict", "ParamSpec", "Protocol"}
NEWER_TYPING |= {"Self", "TypeAlias", "TypedDict", "TypeGuard", "final", "get_args", "get_origin", "override"}
FRAMEWORKS = {"onnx": "onnxruntime", "python": "torch", "tensorflow": "tensorflow", "torchscript": "torch"}
"""A runner -> what it imports, when it loads a model."""

IMPORTS_ALL = """
import importlib, importlib.util, pkgutil, sys, types
sys.dont_write_bytecode = True
folder = sys.argv[1]
for name in sys.argv[2:]:
    sys.modules[name] = types.ModuleType(name)
spec = importlib.util.spec_from_file_location("worker", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["worker"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for found in pkgutil.walk_packages([folder], "worker."):
    importlib.import_module(found.name)
    print(found.name)
"""


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST)


def imported(nodes):
    """Returns the outermost names of what is imported from outside of the folder."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


def annotations(tree):
    for node in ast.walk(tree):
        given = getattr(node, "annotation", None), getattr(node, "returns", None)
        yield from (each for each in given if each is not None)


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(WORKER)))


@each_file
def test_a_workers_file_is_written_in_the_syntax_of_python_3_6(path):
    assert tree_of(path) is not None


@each_file
def test_a_workers_file_imports_the_standard_library_and_numpy_alone(path):
    tree = tree_of(path)
    allowed = sys.stdlib_module_names - NEWER_MODULES
    # limits hold, and the sandbox is closed, before numpy is imported: it starts threads
    if path.name in ("loop.py", "tensors.py") or path.parent.name == "runners":
        allowed |= {"numpy"}
    at_once = [node for node in ast.walk(tree) if getattr(node, "col_offset", None) == 0]
    assert imported(at_once) <= allowed

    later = {FRAMEWORKS[path.stem]} if path.parent.name == "runners" and path.stem in FRAMEWORKS else set()
    # where a worker can import perceptum, the loop loads the package with the ordinary backends
    later |= {"bootstrap.py": {"perceptum_worker"}, "loop.py": {"perceptum"}}.get(path.name, set())
    assert imported(ast.walk(tree)) <= allowed | later


@each_file
def test_a_workers_annotations_can_be_read_by_python_3_6(path):
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            assert NEWER_TYPING.isdisjoint(name.name for name in node.names)
    for annotation in annotations(tree):
        for node in ast.walk(annotation):
            # int | None, and list[int]
            assert not isinstance(node, ast.BinOp), ast.unparse(annotation)
            if isinstance(node, ast.Subscript):
                assert isinstance(node.value, ast.Name), ast.unparse(annotation)
                assert node.value.id[0].isupper() or node.value.id[0] == "_", ast.unparse(annotation)


def test_all_of_a_worker_is_imported_by_python_3_6():
    """numpy's place is held by an empty module: nothing of it is used before a model is loaded."""
    python = shutil.which("python3.6")
    if python is None or subprocess.run([python, "-V"], check=False, capture_output=True).returncode:
        pytest.skip("Python 3.6 is not here")
    command = [python, "-E", "-W", "error", "-c", IMPORTS_ALL, str(WORKER), "numpy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(FILES) - 1
