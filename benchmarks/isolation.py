"""Models in workers: what a call costs more than in process, beside other ways to another process; how soon a worker is
ready; and two Python models at once.

The model looks at one number of each input, so that its own time hides nothing; inputs lie in memory that the worker
shares, where a builder puts them.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from harness import Result, compare
from infer import onnx_four, tensorflow_four, torchscript_four
from isolation_peers import PEERS, count
from numpy.typing import NDArray

from perceptum.neuropod import Model, create_python_neuropod, load_neuropod

__all__ = ["run"]

IMAGE = (1200, 1920, 3)
MOST_BYTES = 64 << 20
ADDED_US, POLLING_US, SLEEPING_US = 50.0, 15.0, 40.0
LESS_THAN_QUEUE, THROUGHPUT = 20.0, 1.9
READY_MS = 100.0
SOURCE = """
import numpy as np

def look(data):
    def model(**inputs):
        return {"out": np.array([sum(float(array.flat[0]) for array in inputs.values())])}
    return model

def count(data):
    def model(x):
        total = 0
        for number in range(200000):
            total = (total + number) % 1000003
        return {"out": np.array([float(total)])}
    return model
"""

Arrays = Mapping[str, NDArray[Any]]


def run(rounds: int = 600) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *(added(folder, count, rounds) for count in (1, 4, 100)),
            *image(folder, rounds),
            *others(folder),
            *(ready(folder, module) for module in MAKERS if importlib.util.find_spec(module)),
            throughput(folder),
        ]


def added(folder: Path, count: int, rounds: int = 600) -> Result:
    """What a call costs more in a worker, for small inputs and for 64 MiB in all."""
    path = _pack(folder, f"look{count}", "look", [("uint8", ("n",))] * count)
    found = {}
    with load_neuropod(path, trust=True, isolate=True) as isolated, load_neuropod(path, trust=True) as plain:
        for size, nbytes in (("1 KiB", 1 << 10), ("64 MiB", MOST_BYTES)):
            given = _filled(isolated, {row["name"]: ((nbytes // count,), np.uint8) for row in isolated.inputs})
            times = _times({"isolated": isolated, "plain": plain}, given, rounds)
            found[size] = _added_us(times, "isolated", "plain"), _least_us(times), median(times["plain"]) * 1e6
    worst = max(us for us, _, _ in found.values())
    return Result(
        f"isolated infer, {count} input{'s' if count > 1 else ''}, µs added",
        ", ".join(f"{size} {us:.1f} (least {least:.1f})" for size, (us, least, _) in found.items()),
        "in process " + ", ".join(f"{size} {us:.1f}" for size, (_, _, us) in found.items()),
        f"{worst:.1f} µs",
        "at most 50 µs",
        worst <= ADDED_US,
    )


def image(folder: Path, rounds: int = 600) -> list[Result]:
    """A picture of 6.9 MB, by each way of waiting, beside iceoryx2."""
    path = _pack(folder, "look_image", "look", [("uint8", IMAGE)])
    found = []
    for wait, most in (("poll", POLLING_US), ("sleep", SLEEPING_US)):
        with ExitStack() as stack:
            isolated = stack.enter_context(load_neuropod(path, trust=True, isolate=True, wait=wait))
            plain = stack.enter_context(load_neuropod(path, trust=True))
            given = _filled(isolated, {"i0": (IMAGE, np.uint8)})
            work: dict[str, Callable[[], object]] = {
                "isolated": lambda m=isolated, g=given: m.infer(g),
                "plain": lambda m=plain, g=given: m.infer(g),
            }
            times = compare(rounds, work, warm=50)
            us = _added_us(times, "isolated", "plain")
            found.append(
                Result(
                    f"isolated infer, an image of 6.9 MB, {wait}, µs added",
                    f"{us:.1f} (least {_least_us(times):.1f})",
                    f"in process {median(times['plain']) * 1e6:.1f}",
                    f"{us:.1f} µs",
                    f"at most {most:g} µs",
                    us <= most,
                )
            )
    if "iceoryx2" in PEERS:
        found.append(_beside_iceoryx2(path, rounds))
    return found


def _beside_iceoryx2(path: Path, rounds: int) -> Result:
    """In turns of many calls: two pairs of processes that poll at once would take each other's cores."""
    with (
        load_neuropod(path, trust=True, isolate=True, wait="poll") as isolated,
        load_neuropod(path, trust=True) as plain,
    ):
        given = _filled(isolated, {"i0": (IMAGE, np.uint8)})
        parts: list[dict[str, list[float]]] = []
        for _ in range(4):
            part = _times({"isolated": isolated, "plain": plain}, given, rounds // 4)
            with PEERS["iceoryx2"](given) as send:
                parts.append({**part, **compare(rounds // 4, {"iceoryx2": send}, warm=50)})
    times = {name: [second for part in parts for second in part[name]] for name in parts[0]}
    ours, theirs = _added_us(times, "isolated", "plain"), median(times["iceoryx2"]) * 1e6
    return Result(
        "the same, poll, beside iceoryx2's loan, send and acknowledge, µs",
        f"{ours:.1f} (least {_least_us(times):.1f})",
        f"iceoryx2 {theirs:.1f} (least {min(times['iceoryx2']) * 1e6:.1f})",
        f"{theirs / ours:.2f} times as fast",
        "1",
        ours <= theirs,
    )


def others(folder: Path) -> list[Result]:
    """The same arrays by other ways to another process."""
    found = []
    shapes: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
        "an image of 6.9 MB": [("uint8", IMAGE)],
        "4 inputs of 16 MiB": [("uint8", (MOST_BYTES // 4,))] * 4,
    }
    for number, (what, rows) in enumerate(shapes.items()):
        path = _pack(folder, f"others{number}", "look", rows)
        with load_neuropod(path, trust=True, isolate=True) as isolated, load_neuropod(path, trust=True) as plain:
            given = _filled(isolated, {f"i{k}": (shape, np.uint8) for k, (_, shape) in enumerate(rows)})
            for peer in ("multiprocessing.Queue", "ray", "gRPC"):
                if peer in PEERS:
                    with PEERS[peer](given) as send:
                        found.append(_beside(what, peer, send, isolated, plain, given))
    return found


def _beside(what: str, peer: str, send: Callable[[], object], isolated: Model, plain: Model, given: Arrays) -> Result:
    work = {"isolated": lambda: isolated.infer(given), "plain": lambda: plain.infer(given), "peer": send}
    times = compare(15, work, warm=3)
    ours, theirs = _added_us(times, "isolated", "plain"), _added_us(times, "peer", "plain")
    least = LESS_THAN_QUEUE if peer == "multiprocessing.Queue" else 1.0
    return Result(
        f"isolated infer, {what}, beside {peer}, µs added",
        f"{ours:.0f}",
        f"{peer} {theirs:.0f}",
        f"{theirs / ours:.0f} times as fast",
        f"{least:g}",
        theirs >= least * ours,
    )


MAKERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "numpy": ("python", lambda path: _pack(path.parent, path.name, "look", [("uint8", ("n",))])),
    "onnxruntime": ("onnx", onnx_four),
    "torch": ("torchscript", torchscript_four),
    "tensorflow": ("tensorflow", tensorflow_four),
}
"""What is imported -> the platform, and what packs a small model for it."""


def ready(folder: Path, module: str, rounds: int = 7) -> Result:
    """From load_neuropod to a model that answers, beside the import of its framework in a fresh Python."""
    platform, make = MAKERS[module]
    path = folder / f"ready_{module}"
    make(path)
    times: dict[str, list[float]] = {"ours": [], "import": []}
    for number in range(rounds + 1):
        start = perf_counter()
        model = load_neuropod(path, trust=True, isolate=True)
        middle = perf_counter()
        model.close()
        again = perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL, check=True)
        if number:
            times["ours"].append(middle - start)
            times["import"].append(perf_counter() - again)
    added_ms = median(a - b for a, b in zip(times["ours"], times["import"], strict=True)) * 1e3
    return Result(
        f"a fresh worker ready, {platform}, ms",
        f"{median(times['ours']) * 1e3:.0f} (least {min(times['ours']) * 1e3:.0f})",
        f"import {module} {median(times['import']) * 1e3:.0f} (least {min(times['import']) * 1e3:.0f})",
        f"{added_ms:.0f} ms more",
        "at most 100 ms more",
        added_ms <= READY_MS,
    )


def throughput(folder: Path, rounds: int = 7) -> Result:
    """Two models of pure Python, each asked by a thread of its own: in one process they take turns."""
    path = _pack(folder, "count", "count", [("float64", (1,))])
    with ExitStack() as stack:
        pairs = {
            how: [stack.enter_context(load_neuropod(path, trust=True, isolate=how == "workers")) for _ in range(2)]
            for how in ("workers", "one process")
        }
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(2))
        work: dict[str, Callable[[], object]] = {how: lambda m=m: _both(m, 20) for how, m in pairs.items()}  # type: ignore[misc]
        bare = {"two bare": lambda: pool.map(count, [20, 20], 1), "one bare": lambda: pool.apply(count, (40,))}
        times = compare(rounds, {**work, **bare}, warm=1)
    machine = median(a / b for a, b in zip(times["one bare"], times["two bare"], strict=True))
    factor = median(a / b for a, b in zip(times["one process"], times["workers"], strict=True))
    return Result(
        "two Python models, each asked by a thread, calls per second",
        f"{40 / median(times['workers']):.0f}",
        f"one process {40 / median(times['one process']):.0f}; two plain processes do {machine:.2f} times one's work",
        f"{factor:.2f} times as many",
        f"{THROUGHPUT:g}",
        factor >= THROUGHPUT,
    )


def _both(models: Sequence[Model], calls: int) -> None:
    given = {"i0": np.zeros(1)}

    def ask(model: Model) -> None:
        for _ in range(calls):
            model.infer(given)

    threads = [threading.Thread(target=ask, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _pack(folder: Path, name: str, function: str, rows: Sequence[tuple[str, tuple[Any, ...]]]) -> Path:
    code = folder / "code" / "models"
    code.mkdir(parents=True, exist_ok=True)
    (code / "model.py").write_text(SOURCE.replace("model(x)", "model(i0)"))
    path = folder / name
    create_python_neuropod(
        neuropod_path=path,
        model_name=name,
        data_paths=[],
        code_path_spec=[{"python_root": str(folder / "code"), "dirs_to_package": ["models"]}],
        entrypoint_package="models.model",
        entrypoint=function,
        input_spec=[{"name": f"i{k}", "dtype": dtype, "shape": shape} for k, (dtype, shape) in enumerate(rows)],
        output_spec=[{"name": "out", "dtype": "float64", "shape": (1,)}],
        package_as_zip=False,
    )
    return path


def _filled(model: Model, wanted: Mapping[str, tuple[tuple[int, ...], type]]) -> dict[str, NDArray[Any]]:
    """Arrays in the memory of the model, written all through."""
    arrays = {name: model.allocate(shape, dtype) for name, (shape, dtype) in wanted.items()}
    for array in arrays.values():
        array[...] = 1
    return arrays


def _times(models: Mapping[str, Model], given: Arrays, rounds: int) -> dict[str, list[float]]:
    return compare(rounds, {name: lambda m=model: m.infer(given) for name, model in models.items()}, warm=50)  # type: ignore[misc]


def _added_us(times: Mapping[str, list[float]], slow: str, quick: str) -> float:
    """Returns the median of the differences, round by round."""
    return median(a - b for a, b in zip(times[slow], times[quick], strict=True)) * 1e6


def _least_us(times: Mapping[str, list[float]]) -> float:
    return (min(times["isolated"]) - min(times["plain"])) * 1e6
