"""CONTRIBUTING.md's feature, moved into a copy of this repository by the page's words alone, is one of ours there."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```python no-run (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {found["name"]: found["text"] for found in FILE.finditer(PAGE)}
ENTRIES = (
    ("features/lidar/__init__.py", "from . import bev", "from . import height_spread, bev"),
    ("features/lidar/__init__.py", "GROUPS = (\n", "GROUPS = (\n    *height_spread.GROUPS,\n"),
    (
        "builders/table.py",
        "from .lidar.pillars",
        "from .lidar.height_spread import HeightSpread\nfrom .lidar.pillars",
    ),
    ("builders/table.py", "...] = (\n", '...] = (\n    ("lidar_height_spread", HeightSpread),\n'),
)
"""File, what is there, and what the table of the page makes of it."""
LOOK = """
import perceptum as pc
assert pc.__file__.startswith({where!r})
assert "lidar_height_spread" in pc.features().families["lidar"]
builder = pc.InputBuilder(["lidar_height_spread", "lidar_voxels"])
said = str(builder.explain())
assert "height spread" in said, said
"""


def test_the_pages_two_halves_are_annotated_and_name_no_filler():
    assert [Path(name).parent.name for name in FILES] == ["lidar", "lidar"]
    for text in FILES.values():
        for function in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)):
            assert function.returns is not None
            assert all(one.annotation is not None for one in function.args.args if one.arg != "self")
    assert "filler=" not in "".join(FILES.values())


def test_the_pages_entries_are_those_of_the_table():
    for _, _, entry in ENTRIES:
        for line in entry.splitlines():
            if "eight" in line:
                assert line.strip().removeprefix("from . import ").removesuffix(", bev") in PAGE


def test_the_pages_feature_is_one_of_ours_once_it_is_moved(tmp_path):
    for folder in ("features", "inputs", "datasets", "builders", "neuropod", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for name, there, entry in ENTRIES:
        text = (tmp_path / name).read_text()
        assert there in text
        (tmp_path / name).write_text(text.replace(there, entry, 1))
    command = [sys.executable, "-P", "-c", LOOK.format(where=str(tmp_path))]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
