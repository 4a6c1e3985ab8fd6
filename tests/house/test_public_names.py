"""The public names: sorted, there, and the ones the design promises."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import perceptum as pc

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("features", "inputs", "datasets", "builders", "neuropod")
CONTRACT = {"open_log", "load_neuropod", "InputBuilder", "features", "Frame", "Log", "Schema", "Spec"}


def public_modules() -> list[str]:
    """Dotted names of every module without an underscore in its name, files that hold only prose apart."""
    found = []
    for base, first in [(ROOT / folder, f"perceptum.{folder}") for folder in FOLDERS] + [
        (ROOT / "src" / "perceptum", "perceptum")
    ]:
        for path in sorted(base.rglob("*.py")):
            inside = path.relative_to(base).with_suffix("").parts
            linked = first == "perceptum" and inside[0] in FOLDERS
            private = any(part.startswith("_") and part != "__init__" for part in inside)
            code = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not isinstance(node, ast.Expr)]
            if code and not (linked or private):
                found.append(".".join((first, *inside)).removesuffix(".__init__"))
    return found


def test_the_public_names_are_sorted_and_each_is_there():
    assert pc.__all__ == sorted(pc.__all__)
    assert [name for name in pc.__all__ if not hasattr(pc, name)] == []
    assert dir(pc) == pc.__all__


def test_the_contract_is_public():
    assert set(pc.__all__) >= CONTRACT


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'perceptum' has no attribute 'open_logs'$"):
        _ = pc.open_logs


def test_features_is_a_folder_and_a_call():
    assert pc.features is importlib.import_module("perceptum.features")
    assert isinstance(pc.features(), pc.features.Catalogue)


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_says_what_is_public(name):
    module = importlib.import_module(name)
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    assert [public for public in module.__all__ if not hasattr(module, public)] == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_the_type_marker_is_there():
    assert (Path(pc.__file__).parent / "py.typed").is_file()


SPAWN = """
import multiprocessing
import perceptum as pc

def same(grid):
    return grid == GRID, type(grid).__module__

GRID = pc.features.Grid(range=(-8.0, -8.0, -3.0, 8.0, 8.0, 3.0), voxel=(0.5, 0.5, 6.0))

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*pool.apply(same, (GRID,)))
"""


@pytest.mark.parametrize("cwd", ["the checkout", "elsewhere"])
def test_objects_reach_a_spawned_process_and_come_out_the_same(tmp_path, cwd):
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    where = ROOT if cwd == "the checkout" else tmp_path
    # the working directory on the path is what makes bare copies of the folders importable there
    env = {"PYTHONPATH": f"{ROOT / 'src'}:{where}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, script], cwd=where, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "perceptum.features.grid"], done.stderr


def test_a_schema_pickles_to_an_equal_one():
    schema = pc.features.canonical()
    assert pickle.loads(pickle.dumps(schema)) == schema
