"""What first calls cost is measured where it is waited for, and counted once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter, sleep

import pytest

import perceptum
from perceptum.inputs.first_calls import COMPILING, LOADING, FirstCall, first_call, first_calls_since, latest, seconds

KERNEL = """
from time import perf_counter
from perceptum.inputs.first_calls import first_calls_since, seconds
start = perf_counter()
from perceptum.inputs.kernel import kernel
imported = first_calls_since(start)

@kernel
def inside(value):
    return value + 1

@kernel
def twice(value):
    return inside(value) * 2
"""
CALLS = """
import json
from adding import *
found = [[call.kind for call in imported]]
for value in (1, 1, 1.5):
    start = perf_counter()
    twice(value)
    took_s = perf_counter() - start
    calls = first_calls_since(start)
    assert sum(seconds(calls).values()) <= took_s
    found.append([call.kind for call in calls])
print(json.dumps(found))
"""


def kinds(folder: Path, program: str = CALLS, **variables: str) -> list[list[str]]:
    """The first calls of a new process: of importing the compiler, and of three calls of a kernel."""
    (folder / "adding.py").write_text(KERNEL)
    path = os.pathsep.join([str(folder), str(Path(perceptum.__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder / "kernels"), **variables}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_kernel_is_compiled_once_and_then_loaded(tmp_path):
    # the second call has the code, the third has other types; a kernel within a kernel is part of it
    assert kinds(tmp_path) == [[LOADING], [COMPILING], [], [COMPILING]]
    assert kinds(tmp_path) == [[LOADING], [LOADING], [], [LOADING]]


def test_without_the_compiler_there_is_nothing_to_wait_for(tmp_path):
    assert kinds(tmp_path, NUMBA_DISABLE_JIT="1") == [[LOADING], [], [], []]


def test_only_the_thread_that_waited_has_it():
    start = perf_counter()

    def wait():
        with first_call([LOADING]):
            sleep(0.001)

    other = threading.Thread(target=wait)
    other.start()
    other.join()
    assert latest.end_s > start
    assert first_calls_since(start) == []


def test_a_first_call_within_another_is_part_of_it():
    start = perf_counter()
    with first_call([COMPILING]), first_call([LOADING]):
        pass
    assert [call.kind for call in first_calls_since(start)] == [COMPILING]
    assert first_calls_since(perf_counter()) == []


def test_one_that_fails_is_counted_too():
    start = perf_counter()
    with pytest.raises(ZeroDivisionError), first_call([COMPILING]):
        _ = 1 / 0
    assert len(first_calls_since(start)) == 1


def test_what_threads_waited_for_at_the_same_time_counts_once():
    calls = [FirstCall(LOADING, 1, 4), FirstCall(COMPILING, 0, 2), FirstCall(LOADING, 3, 3.5), FirstCall(LOADING, 6, 7)]
    assert seconds(calls) == {COMPILING: 2, LOADING: 3}
    assert seconds([]) == {}


LOOKS = """
import builtins
from perceptum.inputs import first_calls
late, real = [], builtins.__import__

def noting(name, *others):
    before = len(sys.modules)
    found = real(name, *others)
    if len(sys.modules) > before and not first_calls._own.busy:
        late.append(name)
    return found

import sys
import numpy as np
from adding import *
values = np.arange(3)
builtins.__import__ = noting
twice(values)
assert not late, late
print("[]")
"""


def test_what_the_compiler_imports_when_it_first_looks_at_an_array_is_part_of_it(tmp_path):
    # numpy.ma, by numba's typeof: beside torch it took 90 ms, which a first frame's table showed as work
    assert kinds(tmp_path, LOOKS) == []
