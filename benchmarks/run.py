"""Runs the benchmarks and prints their table: python benchmarks/run.py [--write docs/benchmarks.md] [name ...]

Exit status 1 where a figure falls short.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

# before numpy: with two threads its products of 4x4 by 4xN, which the devkit needs, take four times as long
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from harness import Result, machine

BENCHMARKS = ("voxels", "voxel_points", "sweeps", "bev", "range_image", "core", "subset", "handoff", "infer")
BENCHMARKS += ("importing", "store", "nuscenes_tables", "radar", "waymo")
BENCHMARKS += ("cameras", "pictures", "matrices", "depth", "bevfusion", "video")
BENCHMARKS += ("augment", "augment_cameras", "augment_bevfusion", "map_raster", "lane_graph", "agents", "targets")
BENCHMARKS += ("isolation", "loader", "interrupts", "metrics", "metrics_count", "cache")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=BENCHMARKS, metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--write", type=Path, help="put the table into this file, between its markers")
    parser.add_argument("--table", help="between the markers of this table")
    parser.add_argument("--apart", action="store_true", help="each benchmark in a process of its own, another table")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    run = _run_apart if given.apart else _run
    results = [result for name in given.names for result in run(name)]
    if given.json:
        print(json.dumps([dataclasses.asdict(result) for result in results]))
    else:
        table = as_table(results, "each benchmark in a process of its own" if given.apart else "one after the other")
        print(table)
        if given.write:
            write(given.write, table, given.table or ("table apart" if given.apart else "table"))
    return 0 if all(result.met for result in results) else 1


def _run(name: str) -> list[Result]:
    found: list[Result] = importlib.import_module(name).run()
    return found


def _run_apart(name: str) -> list[Result]:
    """A process of its own finds no memory that another benchmark left to the allocator."""
    done = subprocess.run([sys.executable, __file__, name, "--json"], stdout=subprocess.PIPE, check=False)
    return [Result(**row) for row in json.loads(done.stdout)]


def as_table(results: list[Result], how: str) -> str:
    lines = [f"Measured {date.today()} on {machine()}, medians, the competitors taking turns in one run, {how}.", ""]
    lines += ["| what | ours | peer | ratio | wanted | met |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.ours} | {r.peer} | {r.ratio} | {r.wanted} | {_met(r)} |" for r in results]
    return "\n".join(lines)


def _met(result: Result) -> str:
    if result.wanted == "-":
        return "-"
    return "yes" if result.met else "no"


def write(path: Path, table: str, name: str) -> None:
    """Replaces what is between the markers of a table."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    path.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
