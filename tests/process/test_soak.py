"""The short form of soak.py, which takes some ten seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_calls_are_answered_while_workers_die():
    words = [sys.executable, Path(__file__).parent / "soak.py", "2000", "--deadly", "2e-3", "--kill-every-s", "0.5"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    assert sum(said["counts"].values()) >= 2000
    assert said["kills"] > 0
