"""Small models of Python code, run in workers of their own; and a look, after each test, at what is left of them."""

from __future__ import annotations

import contextlib
import gc
import os
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from perceptum.neuropod import create_python_neuropod, load_neuropod

X = {"name": "x", "dtype": "float32", "shape": [None]}
Y = {"name": "y", "dtype": "float32", "shape": [None]}


def children():
    """Returns the processes that this one has started and that are there, zombies too."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        # a thread may end meanwhile
        with contextlib.suppress(OSError):
            found.update((task / "children").read_text().split())
    return found


def descriptors():
    """Returns what this process has open, but for files and what pytest captures with."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if not target.startswith("/") or target.startswith("/memfd"):
            found.append(target.partition(":[")[0])
    return sorted(found)


def mapped_bytes():
    """Returns the bytes of anonymous shared files that this process has mapped."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/memfd:perceptum" in line:
            begin, end = line.split()[0].split("-")
            total += int(end, 16) - int(begin, 16)
    return total


def threads():
    return sorted(thread.name for thread in threading.enumerate())


def left():
    gc.collect()
    return Counter(
        {
            **{f"child {pid}": 1 for pid in children()},
            **Counter(descriptors()),
            **Counter(f"thread {name}" for name in threads()),
            "mapped bytes": mapped_bytes(),
        }
    )


@pytest.fixture(scope="session")
def _keeper():
    """The thread that starts workers is there from the first on."""
    from perceptum.neuropod.process import keeper

    over = threading.Event()
    keeper.start(["/bin/true"], {}, [], lambda ended: over.set())
    assert over.wait(10)


@pytest.fixture(autouse=True)
def nothing_left(request, _keeper):
    """After a test no process, descriptor, thread or shared memory is there that was not before."""
    if "both" in request.fixturenames:
        # models that the tests of a file share take more memory as they need it
        yield
        return
    before = left()
    yield
    until_s = time.monotonic() + 5
    # what another test left, and is gone by now, is nothing that this one left
    while (more := left() - before) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not more


@pytest.fixture
def pack(tmp_path):
    """pack(source, inputs, outputs) -> the package of a model whose `make` that source has."""
    count = iter(range(100))

    def make(source, inputs=(X,), outputs=(Y,), **options):
        folder = tmp_path / f"package{next(count)}"
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "main.py").write_text(textwrap.dedent(source))
        create_python_neuropod(
            neuropod_path=folder / "m",
            model_name="m",
            input_spec=list(inputs),
            output_spec=list(outputs),
            data_paths=[],
            code_path_spec=[{"python_root": folder / "code", "dirs_to_package": [""]}],
            entrypoint_package="main",
            entrypoint="make",
            **options,
        )
        return folder / "m"

    return make


@pytest.fixture
def load():
    """load(path, **options) -> the model in a worker, closed when the test ends."""
    models = []

    def make(path, **options):
        models.append(load_neuropod(path, trust=True, isolate=True, **options))
        return models[-1]

    yield make
    for model in models:
        model.close()
    models.clear()


@pytest.fixture
def isolated(pack, load):
    """isolated(source, inputs, outputs, **options) -> the model of that source, in a worker."""

    def make(source, inputs=(X,), outputs=(Y,), **options):
        return load(pack(source, inputs, outputs), **options)

    return make
