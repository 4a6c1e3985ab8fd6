"""Limits of a worker: what is asked of it, and that it holds."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from perceptum.neuropod.errors import NeuropodError
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.sandbox import confinement
from perceptum.neuropod.process.worker import confine, limits

START = """
import importlib.util, json, sys
folder, order = sys.argv[1], json.loads(sys.argv[2])
spec = importlib.util.spec_from_file_location(
    "perceptum_worker", folder + "/__init__.py", submodule_search_locations=[folder]
)
module = importlib.util.module_from_spec(spec)
sys.modules["perceptum_worker"] = module
spec.loader.exec_module(module)
from perceptum_worker.confine import CannotConfine, confine
try:
    confine(order)
except CannotConfine as error:
    sys.exit(str(error))
exec(sys.argv[3])
"""


def limited(code, order):
    words = [sys.executable, "-c", START, str(Path(confine.__file__).parent), json.dumps(order), code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout, done.stderr


def test_limits_that_are_not_set_are_not_ordered():
    assert Limits().order() == {}
    assert Limits().variables() == {}
    assert confinement(None, None) == {}
    assert confinement(Limits(), None) == {}
    assert confinement(Limits(threads=2), None) == {"limits": {"threads": 2}}


CPU = min(os.sched_getaffinity(0))


def test_a_worker_runs_on_its_cpus_with_its_threads_and_its_niceness():
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.nice(0), os.environ['OMP_NUM_THREADS'])"
    order = confinement(Limits(cpus=[CPU, CPU], threads=3, nice=7), None)
    assert limited(code, order) == (0, f"[{CPU}] 7 3\n", "")


def test_memory_beyond_the_limit_is_a_memory_error_and_what_is_below_it_is_there():
    code = "kept = bytearray(100 << 20)\ntry:\n    bytearray(300 << 20)\nexcept MemoryError:\n    print('no more')\n"
    assert limited(code, confinement(Limits(memory_bytes=300 << 20), None)) == (0, "no more\n", "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threads": 0}, "threads must be a whole number from 1 on, got 0"),
        ({"threads": 1.5}, "threads must be a whole number from 1 on, got 1.5"),
        ({"threads": True}, "threads must be a whole number from 1 on, got True"),
        ({"memory_bytes": 1000}, "memory_bytes must be a whole number from 134217728 on, which Python and numpy need"),
        ({"memory_bytes": "1G"}, "memory_bytes must be a whole number from 134217728 on"),
        ({"nice": 20}, "nice must be a whole number from -20 to 19, got 20"),
        ({"cpus": []}, r"cpus must be the numbers of one or more CPUs, got \[\]"),
        ({"cpus": 3}, "cpus must be the numbers of one or more CPUs, got 3"),
        ({"cpus": [0.5]}, "cpus must be the numbers of one or more CPUs"),
        ({"cpus": [100000]}, "there is no CPU 100000 for this program; it has 0"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_when_it_is_made(wrong, said):
    with pytest.raises(NeuropodError, match=f"limits: {said}"):
        Limits(**wrong)


def test_cpus_that_are_gone_by_the_time_that_the_worker_starts_are_named():
    assert limited("", {"limits": {"cpus": [4095]}}) == (1, "", "it cannot run on the CPUs 4095: Invalid argument\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have it")
def test_more_than_its_share_is_refused():
    assert limited("", {"limits": {"nice": -5}})[0] == 1


def test_limits_are_plain_data_whatever_sequence_was_given():
    assert json.loads(json.dumps(Limits(cpus={CPU}).order())) == {"cpus": [CPU]}


@pytest.mark.parametrize(("hard", "set_to"), [(100, 100), (5000, 1000), (resource.RLIM_INFINITY, 1000)])
def test_a_limit_that_is_lower_already_stays(monkeypatch, hard, set_to):
    """Root could raise it, as an ordinary user cannot."""
    told = []
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: (50, hard))
    monkeypatch.setattr(limits.resource, "setrlimit", lambda which, both: told.append((which, both)))
    limits.set_limit(resource.RLIMIT_DATA, 1000)
    assert told == [(resource.RLIMIT_DATA, (set_to, set_to))]
