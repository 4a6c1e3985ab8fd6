"""Small logs in memory, and a look, after each test, at what its loaders left."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.inputs import LidarSweep
from perceptum.neuropod.process import keeper

_spec = importlib.util.spec_from_file_location("process_left", Path(__file__).parents[1] / "process" / "conftest.py")
_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_process)

SMALL = ["lidar_points", "ego_pose"]
FRAMES = 11


@pytest.fixture(scope="session")
def _keeper():
    """The thread that starts workers is there from the first on."""
    over = threading.Event()
    keeper.start(["/bin/true"], {}, [], lambda ended: over.set())
    assert over.wait(10)


@pytest.fixture(autouse=True)
def nothing_left(request, _keeper):
    """After a test no process, descriptor, thread or shared memory is there that was not before."""
    # frameworks start threads when they are first used
    if "framework" in request.keywords:
        yield
        return
    before = _process.left()
    yield
    until_s = time.monotonic() + 5
    while (more := _process.left() - before) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not more


@pytest.fixture(scope="session")
def children():
    return _process.children


def _sweep(number):
    random = np.random.default_rng(number)
    n = 20 + 3 * number
    x, y, z = random.uniform(-20, 20, (3, n)).astype(np.float32)
    return LidarSweep(
        time_ns=10**8 * (number + 1),
        sensor="top",
        ego_from_sensor=np.eye(4),
        x=x,
        y=y,
        z=z,
        intensity=np.full(n, number, np.float32),
    )


@pytest.fixture
def small_log(memory_log):
    """small_log(frames=11) -> a log of small sweeps of different sizes, in memory."""

    def make(frames=FRAMES):
        return memory_log([_sweep(number) for number in range(frames)])

    return make


@pytest.fixture
def load(small_log):
    """load(**options) -> a loader of a small log with forked workers, closed when the test ends."""
    loaders = []

    def make(logs=None, spec=SMALL, *, start_method="fork", **options):
        loader = pc.Loader(small_log() if logs is None else logs, spec, start_method=start_method, **options)
        loaders.append(loader)
        return loader

    yield make
    for loader in loaders:
        loader.close()
    loaders.clear()


@pytest.fixture(scope="session")
def see():
    """see(batch) -> what it is, to be compared: its frames, and every byte."""

    def bytes_of(batch):
        arrays = {name: (array.shape, array.dtype.str, array.tobytes()) for name, array in batch.items()}
        return batch.epoch, batch.indices.tolist(), arrays

    return bytes_of
