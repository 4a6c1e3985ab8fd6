"""`python tests/process/soak.py [infers]`: many calls of a model whose workers die all the time, from several threads.

No call is lost that was not in a worker that died, every answer is right, and at the end there is no more of anything
than at the beginning. 200 000 calls take some minutes; test_soak.py runs a short form.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.neuropod import create_python_neuropod, load_neuropod
from perceptum.neuropod.errors import NeuropodError, WorkerError
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.remote import Restart

WORKERS = 4
THREADS = 6
TIMEOUT_S = 3.0
HEALTHY, CRASHES, RUNS_OUT, HANGS, IS_KILLED, RAISES, KEEPS = range(7)
SOURCE = """
import ctypes, os, time
import numpy as np

kept = []

def make(data):
    def model(what, x):
        what = int(what)
        if what == 1:
            ctypes.string_at(0)
        if what == 2:
            # as much as there is, and then what the system does to who takes too much
            try:
                while True:
                    kept.append(np.ones(1 << 24, np.uint8))
            except MemoryError:
                os.kill(os.getpid(), 9)
        if what == 3:
            time.sleep(1000)
        if what == 4:
            os._exit(3)
        if what == 5:
            raise KeyError("asked for")
        if what == 6:
            kept.append(x)
            del kept[:-8]
        return {"y": x * 2, "total": x.sum(dtype=np.float64)}
    return model
"""
ENDS = {CRASHES: "SIGSEGV", RUNS_OUT: "SIGKILL", HANGS: "did not answer", IS_KILLED: "exit status 3"}


@dataclass
class Found:
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    unread: list[tuple[Any, Any]] = field(default_factory=list)


def pack(folder: Path) -> Path:
    (folder / "main.py").write_text(SOURCE)
    create_python_neuropod(
        neuropod_path=folder / "m",
        model_name="m",
        input_spec=[{"name": "what", "dtype": "int64", "shape": []}, {"name": "x", "dtype": "float32", "shape": ["n"]}],
        output_spec=[
            {"name": "y", "dtype": "float32", "shape": ["n"]},
            {"name": "total", "dtype": "float64", "shape": []},
        ],
        data_paths=[],
        code_path_spec=[{"python_root": folder, "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
    )
    return folder / "m"


def what_next(rng: random.Random, deadly: float) -> int:
    draw = rng.random()
    if draw < deadly:
        return rng.choice([CRASHES, CRASHES, RUNS_OUT, IS_KILLED, HANGS])
    return rng.choice([RAISES, KEEPS]) if draw < deadly + 0.02 else HEALTHY


def drive(model: Any, seed: int, calls: int, deadly: float, found: Found, lock: threading.Lock) -> None:
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    held: list[tuple[Any, Any]] = []
    own = model.allocate((5000,), np.float32)
    for _ in range(calls):
        what = what_next(rng, deadly)
        count = rng.choice([0, 1, 3, 100, 5000])
        x = numbers.random(count, np.float32)
        if count == 5000 and rng.random() < 0.5:
            own[:] = x
            given = own
        else:
            given = x
        word = "answers"
        try:
            out = model.infer({"what": np.int64(what), "x": given})
            if what in ENDS or what == RAISES:
                found.wrong.append(f"an answer to {what}")
            if not np.array_equal(out["y"], x * 2) or abs(out["total"] - x.sum(dtype=np.float64)) > 1e-3:
                found.wrong.append(f"a wrong answer to {what} of {count}")
            held.append((out["y"], x * 2))
        except WorkerError as error:
            word = f"lost to {ENDS[what]}" if what in ENDS else "lost to a kill"
            # a kill may come first, and who takes all memory may take too long
            if what in ENDS and not any(why in str(error) for why in (ENDS[what], "SIGKILL", "did not answer")):
                found.wrong.append(f"{what} ended as {error}")
        except NeuropodError as error:
            word = "errors"
            if what != RAISES or not str(error).endswith("failed: KeyError: 'asked for'"):
                found.wrong.append(f"{what}: {error}")
        if len(held) > 40:
            for array, wanted in held[:20]:
                if not np.array_equal(array, wanted):
                    found.wrong.append("an answer that was held has changed")
            del held[:20]
        with lock:
            found.counts[word] += 1


def kill_now_and_then(model: Any, every_s: float, over: threading.Event, found: Found, seed: int) -> None:
    rng = random.Random(seed)
    while not over.wait(rng.expovariate(1 / every_s)):
        pids = model.worker_pids
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                found.kills += 1
            except ProcessLookupError:
                pass


def shared_bytes() -> int:
    """Returns the bytes of pages of shared anonymous files that this process has in its page table."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0] and ":" not in line.split(" ")[0]:
            inside = "/memfd:perceptum" in line
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) << 10
    return total


def state() -> dict[str, int]:
    gc.collect()
    kin = [p for task in Path("/proc/self/task").iterdir() for p in (task / "children").read_text().split()]
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "processes": len(kin),
        "shared_bytes": shared_bytes(),
        "private_bytes": rss - shared_bytes(),
    }


def soak(calls: int, deadly: float, kill_every_s: float, seed: int = 0) -> dict[str, Any]:
    """Returns what was found; `wrong` is to be empty."""
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder))
        often = Restart(most=10**9, backoff_s=0)
        options: dict[str, Any] = {"restart": often, "timeout_s": TIMEOUT_S, "limits": Limits(memory_bytes=512 << 20)}

        def load() -> Any:
            return load_neuropod(path, trust=True, isolate=True, workers=WORKERS, **options)

        with load() as model:
            # what a first use leaves for ever: imports, the keeper
            model.infer({"what": np.int64(0), "x": np.ones(5000, np.float32)})
        before = state()
        found, lock, over = Found(), threading.Lock(), threading.Event()
        flat: list[int] = []
        begin_s = time.monotonic()
        with load() as model:
            killer = threading.Thread(target=kill_now_and_then, args=(model, kill_every_s, over, found, seed))
            killer.start()
            rounds = 10
            for part in range(rounds):
                share = -(-calls // (rounds * THREADS))
                drivers = [
                    threading.Thread(target=drive, args=(model, 100 * part + n, share, deadly, found, lock))
                    for n in range(THREADS)
                ]
                for thread in drivers:
                    thread.start()
                for thread in drivers:
                    thread.join()
                flat.append(state()["private_bytes"] + state()["shared_bytes"])
            over.set()
            killer.join()
            used = model.allocator.used_bytes
        # a closed model keeps its memory mapped, in case that an array lies there
        del model
        until_s = time.monotonic() + 5
        while (after := state())["descriptors"] != before["descriptors"] and time.monotonic() < until_s:
            time.sleep(0.05)
        return {
            "seconds": round(time.monotonic() - begin_s, 1),
            "counts": dict(found.counts),
            "kills": found.kills,
            "wrong": found.wrong[:20],
            "before": before,
            "after": after,
            "bytes_over_time": flat,
            "input_bytes_at_the_end": used,
        }


def complaints(said: dict[str, Any]) -> list[str]:
    """Returns what is not as it should be."""
    found = list(said["wrong"])
    lost = said["counts"].get("lost to a kill", 0)
    if lost > said["kills"]:
        found.append(f"{lost} calls were lost, though only {said['kills']} workers were killed")
    found += [
        f"{said['before'][name]} {name} before, {said['after'][name]} after"
        for name in ("descriptors", "threads", "processes", "shared_bytes")
        if said["after"][name] > said["before"][name]
    ]
    growth = said["bytes_over_time"][-1] - max(said["bytes_over_time"][:5])
    if growth > 8 << 20:
        found.append(f"memory grew by {growth} bytes in the second half")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("infers", nargs="?", type=int, default=200_000)
    parser.add_argument("--deadly", type=float, default=1e-3, help="the share of calls that end their worker")
    parser.add_argument("--kill-every-s", type=float, default=0.7)
    words = parser.parse_args()
    if "MALLOC_ARENA_MAX" not in os.environ:
        # the C library's heap of each thread grows for a long time by what is free in it, which hides what leaks
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "MALLOC_ARENA_MAX": "1"})
    result = soak(words.infers, words.deadly, words.kill_every_s)
    print(json.dumps(result, indent=1))
    sys.exit("\n".join(complaints(result)) or 0)
