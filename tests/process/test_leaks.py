"""However many models are loaded and calls made: no more descriptors, memory, threads and processes than before.

What each other test of this folder leaves is looked at too, by the fixture `nothing_left`.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod

DOUBLES = "def make(data):\n    return lambda x: {'y': x * 2}"


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_models_that_are_loaded_and_closed_leave_nothing(pack):
    path = pack(DOUBLES)

    def once():
        with load_neuropod(path, trust=True, isolate=True) as model:
            model.infer({"x": np.ones(100_000, np.float32)})

    for _ in range(3):
        once()
    before, descriptors = resident_bytes(), len(os.listdir("/proc/self/fd"))
    for _ in range(8):
        once()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident_bytes() - before < 4 << 20


def test_models_that_cannot_be_loaded_leave_nothing(pack):
    for source in ("raise ValueError", "import os; os._exit(1)", "def made(data): pass"):
        path = pack(source)
        for _ in range(2):
            with pytest.raises(NeuropodError):
                load_neuropod(path, trust=True, isolate=True)


def test_arrays_outlive_their_model(pack):
    with load_neuropod(pack(DOUBLES), trust=True, isolate=True) as model:
        x = model.allocate((1000,), np.float32)
        x[:] = 4
        out = model.infer({"x": x})["y"]
    del model
    gc.collect()
    assert (out == 8).all()
    assert (x == 4).all()
    out += 1
    x += 1


def test_calls_of_every_size_leave_blocks_that_are_used_again(isolated):
    model = isolated(DOUBLES)
    rng = np.random.default_rng(0)

    def calls(count):
        for _ in range(count):
            x = model.allocate((int(rng.integers(1, 300_000)),), np.float32)
            x[:] = 1
            model.infer({"x": x})
            model.infer({"x": np.ones(int(rng.integers(1, 50_000)), np.float32)})

    calls(300)
    before = resident_bytes()
    calls(600)
    assert resident_bytes() - before < 16 << 20
    gc.collect()
    assert model.allocator.used_bytes < 4 << 20


def test_errors_hold_nothing(isolated):
    model = isolated("def make(data):\n    def model(x):\n        raise ValueError('no')\n    return model")
    for _ in range(30):
        x = model.allocate((250_000,), np.float32)
        x[:] = 1
        with pytest.raises(NeuropodError, match="failed: ValueError: no"):
            model.infer({"x": x})
        del x
    gc.collect()
    assert model.allocator.used_bytes < 4 << 20


def test_the_worker_forgets_what_it_was_given(isolated):
    """Its memory is flat too: asked of itself."""
    model = isolated(
        "import os\nimport numpy as np\n"
        "def make(data):\n    def model(x):\n"
        "        pages = int(open('/proc/self/statm').read().split()[1])\n"
        "        files = len(os.listdir('/proc/self/fd'))\n"
        "        return {'y': np.array([pages * os.sysconf('SC_PAGE_SIZE') / 1e6, files], np.float32), 'z': x * 2}\n"
        "    return model",
        outputs=[
            {"name": "y", "dtype": "float32", "shape": [2]},
            {"name": "z", "dtype": "float32", "shape": [None]},
        ],
    )

    def calls(count):
        for n in range(count):
            out = model.infer({"x": np.ones(1 + n * 97 % 20_000, np.float32)})
        return out["y"].tolist()

    calls(500)
    megabytes, files = calls(300)
    more_megabytes, more_files = calls(1200)
    assert more_files == files
    assert more_megabytes - megabytes < 8
