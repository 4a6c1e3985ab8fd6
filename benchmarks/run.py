"""Runs the benchmarks and prints their table: python benchmarks/run.py [--write docs/benchmarks.md] [name ...]

Exit status 1 where a figure falls short.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from datetime import date
from pathlib import Path

# before numpy: with two threads its products of 4x4 by 4xN, which the devkit needs, take four times as long
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from harness import Result, machine

BENCHMARKS = ("voxels", "sweeps", "bev", "range_image", "core", "subset", "handoff", "infer", "importing", "store")
BENCHMARKS += ("nuscenes_tables", "waymo")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=BENCHMARKS, metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--write", type=Path, help="put the table into this file, between its markers")
    given = parser.parse_args()
    results = [result for name in given.names for result in importlib.import_module(name).run()]
    table = as_table(results)
    print(table)
    if given.write:
        write(given.write, table)
    return 0 if all(result.met for result in results) else 1


def as_table(results: list[Result]) -> str:
    lines = [f"Measured {date.today()} on {machine()}, medians, the competitors taking turns in one run.", ""]
    lines += ["| what | ours | peer | ratio | wanted | met |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.ours} | {r.peer} | {r.ratio} | {r.wanted} | {_met(r)} |" for r in results]
    return "\n".join(lines)


def _met(result: Result) -> str:
    if result.wanted == "-":
        return "-"
    return "yes" if result.met else "no"


def write(path: Path, table: str) -> None:
    """Replaces what stands between the markers."""
    begin, end = "<!-- table -->", "<!-- end of table -->"
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    path.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
