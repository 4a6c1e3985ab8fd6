"""Benchmarks run: they call the library as users do, and are not looked at by mypy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_what_is_measured_in_seconds_still_runs():
    """The others take the same calls: these are the hand-off to frameworks and the import."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run.py", "--json", "handoff", "importing"], stdout=subprocess.PIPE, check=False
    )
    rows = json.loads(done.stdout)
    # how fast, a machine that does something else cannot say
    assert [row["what"] for row in rows] == [
        "hand-off to torch, µs per tensor",
        "hand-off to tensorflow, µs per tensor",
        "import perceptum",
    ]
