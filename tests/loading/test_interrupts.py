"""Ctrl-C, wherever it comes, and what hangs: the loop is free soon, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

import perceptum as pc
from perceptum.errors import UsageError
from perceptum.inputs.first_calls import COMPILING, _watching, first_call, watch
from perceptum.loading import WorkerDied, starting, workers
from perceptum.loading.messages import CHUNK, At
from perceptum.loading.patience import Patience
from perceptum.neuropod.process.outputs import Outputs
from perceptum.neuropod.process.worker import wire
from perceptum.neuropod.process.worker.shared import make_file

# nothing of it needs the compiler's kernels, so that a new process begins soon
LIGHT = ["gt_boxes", "ego_pose"]


@pytest.fixture(scope="module")
def street():
    return pc.open_log("synthetic", frames=6, seed=1)


# Ctrl-C


def interrupted(number, function):
    """Calls it, interrupted where Python looks for the number-th time whether a signal came: when a function of Python
    begins, and when one of C is over. Returns whether it came to that."""
    left = number

    def look(frame, event, what):
        nonlocal left
        if event in ("call", "c_return"):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    try:
        sys.setprofile(look)
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_ctrl_c_leaves_no_descriptor_wherever_it_comes_while_memory_arrives(pair):
    ours, theirs = pair
    reader = object.__new__(workers.Workers)
    number = 0
    while True:
        memory = make_file("perceptum test", 4096)
        wire.send(theirs, CHUNK, b"", [memory])
        os.close(memory)
        worker = SimpleNamespace(socket=ours, outputs=Outputs())
        before = os.listdir("/proc/self/fd")
        is_interrupted = interrupted(number, lambda: reader._read(worker))  # noqa: B023
        # what is mapped is kept with a descriptor of its own
        is_mapped = len(os.listdir("/proc/self/fd")) > len(before)
        del worker
        assert os.listdir("/proc/self/fd") == before
        if not is_interrupted:
            break
        # half a message, of which the rest comes
        ours.setblocking(False)
        with suppress(BlockingIOError):
            ours.recv(100)
        ours.setblocking(True)
        number += 1
    assert is_mapped
    assert number > 10


@pytest.mark.parametrize("number", [0, 3, 10, 20, 30, 45, 60])
def test_a_second_ctrl_c_while_workers_are_ended_leaves_the_rest_to_the_next_call(load, number):
    loader = load(workers=2)
    next(iter(loader))
    interrupted(number, loader.close)
    loader.close()
    assert loader._workers is None


def test_ctrl_c_does_not_wait_for_what_forks_workers_where_that_has_not_begun(load, street, monkeypatch):
    """It imports for seconds, and may look for a drive that is not there."""
    loader = load(street, LIGHT, workers=2, start_method="forkserver")
    made = []
    monkeypatch.setattr(starting.ForkServer, "_read", lambda *args: made.append(args[0]) or signal.raise_signal(2))
    with pytest.raises(KeyboardInterrupt):
        next(iter(loader))
    # had it been waited for, it would be here still
    assert made[0]._server.wait().signal == "SIGKILL"


def test_what_forks_workers_sees_its_end_though_a_fork_of_the_program_lives_on(load, street, monkeypatch):
    monkeypatch.setattr(starting, "_REAP_S", 60)
    loader = load(street, LIGHT, workers=1, start_method="forkserver")
    next(iter(loader))
    server = loader._workers._starts._server
    woken, wake = os.pipe()
    child = os.fork()
    if not child:
        os.close(wake)
        os.read(woken, 1)
        os._exit(0)
    os.close(woken)
    loader.close()
    os.close(wake)
    assert server.wait().status == 0
    assert os.waitpid(child, 0)[1] == 0


# what hangs


@pytest.fixture
def warm(load):
    """What first builds import and load is there, here and so in forks: no sample takes more than milliseconds."""
    list(load(batch_size=3))


def hanging(log, number, how):
    """Returns the log, which calls that where its record of that number is read."""
    read = log.source.read_lidar

    def read_lidar(sensor, index):
        if index == number:
            how()
        return read(sensor, index)

    log.source.read_lidar = read_lidar
    return log


def sleeps_on_a_dead_drive():
    time.sleep(600)


def is_stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


SAMPLE = r"frame '500000000' \(4 of memory log 'made by a test'\)"


def test_a_worker_that_hangs_is_reported_with_the_sample_and_the_line(load, small_log, warm, monkeypatch):
    monkeypatch.setattr(workers, "_SAY_S", 30)
    log = hanging(small_log(), 4, sleeps_on_a_dead_drive)
    loader = load(log, batch_size=3, seed=7, workers=1, timeout_s=0.6)
    found = []
    with pytest.raises(WorkerDied) as hung:
        found.extend(batch.indices.tolist() for batch in loader)
    assert found == [[0, 1, 2]]
    assert re.match(
        rf"a worker of the loader hung while it built {SAMPLE}, draw \(7, 0, 4\): longer than timeout_s=0.6, and was "
        r"killed by SIGABRT \(Fatal Python error: Aborted, in File .*test_interrupts.py\", line \d+ in sleeps_on_a_d",
        str(hung.value),
    )
    # a new loop begins with new workers
    assert len(next(iter(loader)).indices) == 3


def test_a_sample_at_which_a_worker_hangs_may_be_left_out(load, small_log, warm):
    """Also where the worker is not able to do anything, not even to die by itself."""
    loader = load(hanging(small_log(), 4, is_stopped), batch_size=3, workers=2, timeout_s=0.6, on_worker_death="skip")
    assert [batch.indices.tolist() for batch in loader] == [[0, 1, 2], [3, 5], [6, 7, 8], [9, 10]]
    (left_out,) = loader.stats().left_out
    assert re.match(rf"{SAMPLE}: a worker hung at it: longer than timeout_s=0.6, and was killed by SIG", left_out)


def test_a_worker_that_is_stopped_holds_nobody_up_with_what_it_is_told(load):
    loader = load(workers=1)
    next(iter(loader))
    (worker,) = loader._workers._workers.values()
    os.kill(worker.process.pid, signal.SIGSTOP)
    for _ in range(3000):
        worker.unread.append(1 << 40)
        worker.give_back()
    assert len(worker.unread) > 100


def test_only_time_at_one_sample_that_somebody_waited_counts():
    patience = Patience(1.0)
    at = At(7, 2)
    assert not patience.is_over(at, 5.0)
    assert not patience.is_over(at, 0.9)
    # the next sample
    assert not patience.is_over(At(7, 3), 0.9)
    assert not patience.is_over(At(7, 3), 0.9)
    # which waits for a kernel, however long that takes
    assert not patience.is_over(At(7, 3, 1), 50.0)
    assert not patience.is_over(At(7, 3, 1), 50.0)
    assert not patience.is_over(At(7, 3), 50.0)
    assert patience.is_over(At(7, 3), 1.0)
    # one without work hangs at nothing
    assert not patience.is_over(At(0, 0), 50.0)
    assert not patience.is_over(At(0, 0), 50.0)


def test_a_worker_says_when_it_waits_for_a_kernel():
    said = []
    watch(said.append)
    try:
        with first_call([COMPILING]), first_call([COMPILING]):
            assert said == [True]
    finally:
        _watching.remove(said.append)
    assert said == [True, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout_s": 0, "workers": 1}, "timeout_s must be a number of seconds above 0, or None, got 0"),
        ({"timeout_s": True, "workers": 1}, "timeout_s must be a number of seconds above 0, or None, got True"),
        (
            {"timeout_s": 5},
            "timeout_s ends a worker that hangs, and with workers=0 there is none; use workers=1 or more",
        ),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(load, options, words):
    with pytest.raises(UsageError) as refused:
        load(**options)
    assert str(refused.value) == words
