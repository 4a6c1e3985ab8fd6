"""`import perceptum` in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from harness import Result

__all__ = ["run"]

_CODE = "import time; a = time.perf_counter(); import perceptum; print(time.perf_counter() - a)"


def run(rounds: int = 15) -> list[Result]:
    took = [float(subprocess.check_output([sys.executable, "-c", _CODE])) for _ in range(rounds)]
    text = f"{median(took) * 1e3:.1f} ms (least {min(took) * 1e3:.1f})"
    return [Result("import perceptum", text, "-", text, "under 200 ms", median(took) < 0.2)]
