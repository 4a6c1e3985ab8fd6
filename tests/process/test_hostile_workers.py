"""A worker that is not trusted may answer anything: it is ended, and the caller goes on."""

import ast
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod.errors import NeuropodError, WorkerError
from perceptum.neuropod.process import channel as module
from perceptum.neuropod.process.channel import Channel
from perceptum.neuropod.process.memory import SharedMemory
from perceptum.neuropod.process.requests import Requests
from perceptum.neuropod.process.worker import wire

HOSTILE = Path(__file__).with_name("hostile_worker.py")
WORKER = Path(wire.__file__).parent
GRACE_S = 0.5

# what is no attack on what it says, or has its test below
OTHERS = {
    "answers_with_nothing_again",
    "changes_what_it_has_answered",
    "does_not_answer",
    "ends",
    "holds_all_that_it_gets",
    "loads_reasons_with_control_characters",
    "prints_control_characters",
    "prints_without_end",
}
TOOLS = {"package", "load", "request", "ring", "reply", "numbers", "plan", "answer"}
GARBAGE = [
    node.name
    for node in ast.parse(HOSTILE.read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in OTHERS | TOOLS
]


@pytest.fixture
def start(monkeypatch):
    """Starts a worker that makes an attack; all are ended, and no descriptor is left."""
    monkeypatch.setattr(module, "_GRACE_S", GRACE_S)
    channels = []

    def started(attack, output_bytes=1 << 20):
        memory = SharedMemory()
        words = [sys.executable, str(HOSTILE), str(WORKER), attack]
        channel = Channel(words, os.environ, {}, memory, Requests(memory, False), "sleep", output_bytes)
        channels.append(channel)
        return channel

    yield started
    for channel in channels:
        channel.process.kill()
        assert channel.process.over.wait(5)
        channel.forget()
        channel._memory.arena.close()
    del channel
    channels.clear()


def infer(channel, seconds=5.0):
    return channel.infer({"x": np.ones(3, np.float32)}, ("y",), seconds)


def load_and_infer(channel):
    channel.loaded(10)
    return infer(channel)


@pytest.mark.parametrize("attack", GARBAGE)
def test_what_makes_no_sense_ends_the_worker_and_nothing_else(start, attack):
    most_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    channel = start(attack)
    open_before = len(os.listdir("/proc/self/fd"))
    begin = time.monotonic()
    with pytest.raises(NeuropodError) as caught:
        load_and_infer(channel)
    assert isinstance(caught.value, WorkerError), caught.value
    assert caught.value.reason in ("garbage", "died")
    # it was not waited for, whatever it announced
    assert time.monotonic() - begin < 10
    assert channel.process.over.wait(5)
    assert len(os.listdir("/proc/self/fd")) <= open_before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_before < 200 << 10


def test_what_it_changes_later_is_not_seen(start):
    channel = start("changes_what_it_has_answered")
    channel.loaded(10)
    outputs = infer(channel)
    time.sleep(0.2)
    assert outputs["y"].tolist() == [1, 2, 3]
    assert not (outputs["y"].ctypes.data % 64)


def test_a_worker_that_ends_is_said_to_have_ended(start):
    channel = start("ends")
    channel.loaded(10)
    with pytest.raises(WorkerError, match="its worker ended: exit status 7") as caught:
        infer(channel)
    assert (caught.value.reason, caught.value.exit_status) == ("died", 7)


def test_a_worker_that_does_not_answer_is_ended_after_the_callers_time(start):
    channel = start("does_not_answer")
    channel.loaded(10)
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"did not answer within 0\.2 s and was killed") as caught:
        infer(channel, 0.2)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - begin < 2


def infer_often(channel):
    for _ in range(100):
        channel.infer({"x": np.ones(1000, np.float32)}, ("y",), 5)


def test_a_worker_that_holds_all_that_it_gets_is_ended(start):
    channel = start("holds_all_that_it_gets", output_bytes=1 << 16)
    channel.loaded(10)
    with pytest.raises(WorkerError, match=r"it holds \d+ bytes of its inputs"):
        infer_often(channel)


def test_what_it_prints_moves_no_cursor_and_names_no_window(start, capfd):
    channel = start("prints_control_characters")
    channel.loaded(10)
    infer(channel)
    deadline = time.monotonic() + 5
    said = ""
    while "next" not in said and time.monotonic() < deadline:
        said += capfd.readouterr().err
        time.sleep(0.01)
    assert said == "?]0;title?plain ?[31mred? ä\ttab?\nnext\n"


def test_why_it_is_code_is_text_that_moves_no_cursor(start):
    said = start("loads_reasons_with_control_characters").loaded(10)
    assert said["why_code"] == ["?]0;title?it is code"]


def test_what_it_prints_comes_to_an_end(start, capfd):
    channel = start("prints_without_end")
    channel.loaded(10)
    infer(channel, 20)
    channel.process.kill()
    assert channel.process.over.wait(5)
    said = capfd.readouterr().err
    assert 1 << 19 < len(said) < 2 << 20
    assert said.count("more than is passed on") >= 1
