"""Importing costs nothing: what each import may load, and how long the first one takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"torch", "tensorflow", "keras", "open3d", "ray"}
HEAVY = FRAMEWORKS | {"numba", "pyarrow.dataset", "matplotlib", "scipy", "pandas", "PIL"}
SECONDS = 0.2


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter that finds perceptum where this one does."""
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def loaded_by(statement: str, cwd: Path) -> set[str]:
    """The modules that a fresh interpreter holds after one statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = python(code, cwd, PYTHONPATH=str(ROOT / "src"))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_perceptum_loads_nothing_heavy(tmp_path):
    loaded = loaded_by("import perceptum", tmp_path)
    assert "perceptum" in loaded
    assert loaded & HEAVY == set()


def test_asking_what_perceptum_offers_loads_nothing_heavy(tmp_path):
    assert loaded_by("import perceptum; dir(perceptum); perceptum.__all__", tmp_path) & HEAVY == set()


@pytest.mark.parametrize("folder", ["features", "inputs", "datasets", "neuropod"])
def test_a_folder_loads_neither_a_framework_nor_the_compiler(tmp_path, folder):
    assert loaded_by(f"import perceptum.{folder}", tmp_path) & HEAVY == set()


def test_the_builders_load_no_framework(tmp_path):
    assert loaded_by("import perceptum.builders", tmp_path) & FRAMEWORKS == set()


def test_the_command_line_loads_no_framework(tmp_path):
    assert loaded_by("import perceptum.cli.commands", tmp_path) & HEAVY == set()


def test_importing_perceptum_takes_under_a_fifth_of_a_second(tmp_path, least):
    code = "import time; start = time.perf_counter(); import perceptum; print(time.perf_counter() - start)"
    assert least(lambda: float(python(code, tmp_path, PYTHONPATH=str(ROOT / "src")).stdout), SECONDS) < SECONDS


@pytest.mark.parametrize("folder", ["features", "inputs", "datasets", "builders", "neuropod"])
def test_a_folder_refuses_its_bare_name(folder):
    done = python(f"import {folder}", ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: import this folder as perceptum.{folder}, not by its bare name"
    )
