"""The drawings of docs/cameras.md are what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_drawings_of_cameras_are_written_by_their_script():
    done = subprocess.run([sys.executable, DOCS / "generate_cameras.py", "--check"], check=False)
    assert done.returncode == 0, "the code changed: run python docs/generate_cameras.py"
