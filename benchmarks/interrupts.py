"""Ctrl-C: how long after it a training program has ended, whatever its loader was at, and how long its workers live.

The peer is a program that has imported and made the same, and sleeps: what it takes from Ctrl-C to its end is the
interpreter's, which looks through all objects several times before it ends. Each is a new process, and they take turns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import get_args

from harness import Result

from perceptum.loading.starting import StartMethod

__all__ = ["run"]

LONGEST_S = 1.0
"""Beyond what the peer takes."""
_PROGRAM = """
import sys, time
import perceptum as pc

method, at, workers = sys.argv[1], sys.argv[2], 0 if sys.argv[2] == "building itself" else 2
log = pc.open_log("synthetic", frames=12, seed=2)
log[0]
loader = pc.Loader(log, ["ego_pose" if at == "waiting" else "lidar_points"], workers=workers, start_method=method)
print(flush=True)
while at == "sleeping":
    time.sleep(1)
while True:
    for number, _ in enumerate(loader):
        if not number:
            print(*(loader._workers.pids if workers else ()), flush=True)
        if at == "waiting":
            # the workers have built what they may, and wait
            time.sleep(0.05)
"""
_AT = {"starting workers": 0.2, "waiting": 0.3, "building": 0.3, "building itself": 0.3}
"""What the loader is at -> how many seconds later Ctrl-C comes."""


@dataclass
class _Ended:
    program_s: float
    workers_s: float


def run(rounds: int = 5) -> list[Result]:
    cases = [(at, method) for at in _AT for method in get_args(StartMethod) if at != "building itself"]
    cases.append(("building itself", "fork"))
    found: dict[tuple[str, str], list[_Ended]] = {case: [] for case in cases}
    alone = []
    for _ in range(rounds):
        alone.append(_ended("sleeping", "fork").program_s)
        for at, method in cases:
            found[at, method].append(_ended(at, method))
    return [_result(at, method, ended, alone) for (at, method), ended in found.items()]


def _result(at: str, method: str, ended: list[_Ended], alone: list[float]) -> Result:
    program_s = median(one.program_s for one in ended)
    more_s = program_s - median(alone)
    return Result(
        f"from Ctrl-C to the program's end, {at}" + ("" if at == "building itself" else f", {method}"),
        f"{program_s:.2f} s (most {max(one.program_s for one in ended):.2f}), its workers "
        f"{median(one.workers_s for one in ended):.2f}",
        f"a program that sleeps {median(alone):.2f} s",
        f"{more_s:+.2f} s",
        f"under {LONGEST_S:g} s more",
        more_s < LONGEST_S,
    )


def _ended(at: str, method: str) -> _Ended:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, method, at],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert program.stdout is not None
    program.stdout.readline()
    if at not in ("sleeping", "starting workers"):
        program.stdout.readline()
    time.sleep(_AT.get(at, 0.3))
    started = _descendants(program.pid)
    begin_s = time.perf_counter()
    # as a terminal does: to the whole group
    os.killpg(program.pid, signal.SIGINT)
    program_s = workers_s = 0.0
    while program.poll() is None or _alive(started):
        if _alive(started):
            workers_s = time.perf_counter() - begin_s
        if program.returncode is None:
            program_s = time.perf_counter() - begin_s
        time.sleep(0.002)
    program.stdout.close()
    return _Ended(program_s, workers_s)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _alive(pids: list[int]) -> bool:
    return any(_state(pid) != "Z" for pid in pids)


def _state(pid: int) -> str:
    """Returns the letter of /proc, Z for what is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
