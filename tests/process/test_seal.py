"""An input that is written begins its way to where the model computes, while others are still being built."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys

import numpy as np
import pytest

from perceptum.neuropod.frameworks.handoff import aligned_empty

LARGE = 1 << 18


class Stream:
    def __init__(self, device=None):
        self.waited = []

    def wait_event(self, event):
        self.waited.append(event)


class Event:
    def __init__(self):
        self.recorded, self.synchronized = None, False

    def record(self, stream):
        self.recorded = stream

    def synchronize(self):
        self.synchronized = True


class Cuda:
    """Does what torch.cuda does, on no GPU."""

    Event = Event

    def __init__(self, registers=0):
        self.current, self.inside, self.registered, self.made = Stream(), [], [], []
        self.registers = registers

    def Stream(self, device):
        self.made.append(Stream(device))
        return self.made[-1]

    @contextlib.contextmanager
    def stream(self, stream):
        self.inside.append(stream)
        yield

    def current_stream(self, device):
        return self.current

    def cudart(self):
        return self

    def cudaHostRegister(self, start, nbytes, flags):
        self.registered.append((start, nbytes))
        return self.registers


@pytest.fixture
def cuda():
    return Cuda()


@pytest.fixture
def transfers(cuda):
    import torch

    from perceptum.neuropod.frameworks.torch.transfers import Transfers

    return Transfers(torch.device("cpu"), cuda)


def written(size=LARGE):
    array = aligned_empty((size,), np.dtype(np.float32))
    array[:] = np.arange(size)
    return array


def page(size=LARGE):
    """Memory that begins on a page, as a large block does."""
    import mmap

    return np.frombuffer(mmap.mmap(-1, size * 4), np.float32)


def test_what_is_sealed_moves_on_a_stream_of_its_own_and_the_model_waits_for_it(transfers, cuda):
    array = written()
    transfers.begin("x", array)
    moved = transfers.take("x", array)
    np.testing.assert_array_equal(moved.numpy(), array)
    assert cuda.inside == cuda.made
    (event,) = cuda.current.waited
    assert event.recorded is cuda.made[0]
    assert transfers.take("x", array) is None


def test_another_array_of_the_name_is_not_taken_for_the_one_that_is_on_its_way(transfers):
    array = written()
    transfers.begin("x", array)
    assert transfers.take("x", written()) is None
    assert transfers.take("x", array[:-1]) is None
    assert transfers.take("x", array.view(np.int32)) is None
    assert transfers.take("y", array) is None
    assert transfers.take("x", array) is not None


def test_its_memory_is_held_until_it_is_taken_or_dropped(transfers):
    array = written()
    before = sys.getrefcount(array)
    transfers.begin("x", array)
    assert sys.getrefcount(array) > before
    transfers.drop(transfers.begun)
    assert sys.getrefcount(array) == before


def test_what_is_dropped_or_sealed_again_has_left_its_memory(transfers):
    transfers.begin("x", written())
    first = transfers._moving["x"].arrived
    transfers.begin("x", written())
    assert first.synchronized
    second = transfers._moving["x"].arrived
    assert not second.synchronized
    transfers.drop(transfers.begun)
    assert second.synchronized


def test_memory_that_lasts_is_pinned_once_and_not_copied_on_this_side(transfers, cuda):
    transfers.memory_lasts = True
    array = page()
    for _ in range(3):
        transfers.begin("x", array)
        assert transfers._moving["x"].source.data_ptr() == array.ctypes.data
    assert cuda.registered == [(array.ctypes.data, array.nbytes)]


@pytest.mark.parametrize("array", [page(16), page()[16:]], ids=["small", "not at a page"])
def test_memory_that_shares_its_page_is_not_pinned(transfers, cuda, array):
    transfers.memory_lasts = True
    transfers.begin("x", array)
    assert cuda.registered == []
    np.testing.assert_array_equal(transfers.take("x", array).numpy(), array)


def test_memory_that_may_go_is_not_pinned(transfers, cuda):
    transfers.begin("x", page())
    assert cuda.registered == []


def test_memory_that_cannot_be_pinned_is_asked_for_once():
    import torch

    from perceptum.neuropod.frameworks.torch.transfers import Transfers

    cuda = Cuda(registers=712)
    transfers, array = Transfers(torch.device("cpu"), cuda), page()
    transfers.memory_lasts = True
    for _ in range(2):
        transfers.begin("x", array)
    assert len(cuda.registered) == 1
    np.testing.assert_array_equal(transfers.take("x", array).numpy(), array)


class Module:
    """What a model of torch is to its runner."""

    def __call__(self, values):
        self.values = values
        return {"y": values["x"] + values["z"]}


@pytest.fixture
def runner(transfers):
    """A runner whose inputs x and z move, as they would to a GPU."""
    import torch

    from perceptum.features import Row
    from perceptum.neuropod.frameworks.torch.runner import TorchRunner
    from perceptum.neuropod.package.config import Config

    rows = tuple(Row(name, "float32", (None,)) for name in ("x", "z"))
    config = Config("sum", "torchscript", rows, (Row("y", "float32", (None,)),))
    made = TorchRunner(Module(), config, torch.device("cpu"))
    assert not hasattr(made, "seal")
    made._moved, made._transfers = {"x", "z"}, transfers
    return made


def test_a_model_computes_on_what_was_sealed_and_moves_the_rest(runner, transfers):
    x, z = written(), written()
    runner._seal("x", x)
    moved = transfers._moving["x"].moved
    found = runner.run({"x": x, "z": z}, ["y"])
    assert runner._call.values["x"] is moved
    np.testing.assert_array_equal(found["y"], x + z)
    assert transfers._moving == {}


def test_what_is_sealed_while_a_call_runs_is_for_the_next(transfers, cuda):
    a, b = written(), written()
    transfers.begin("x", a)
    begun = transfers.begun
    assert transfers.take("x", a) is not None
    transfers.begin("x", b)  # the next frame's, while the model runs on this one
    transfers.drop(begun)
    assert transfers.take("x", b) is not None


def test_what_was_sealed_and_never_asked_for_is_not_used_later(runner, transfers):
    abandoned = written()
    runner._seal("x", abandoned)
    found = runner.run({"x": written() * 2, "z": written()}, ["y"])
    np.testing.assert_array_equal(found["y"], written() * 3)
    assert transfers._moving == {}


def test_on_the_cpu_there_is_nothing_to_begin_with(runner):
    runner._moved = set()
    runner._seal("x", written())
    assert runner._transfers._moving == {}


@contextlib.contextmanager
def working():
    """A worker whose runner remembers what was sealed, in this process."""
    from perceptum.neuropod.process.worker import loop, tensors, wire
    from perceptum.neuropod.process.worker.shared import make_file

    class Runner:
        def __init__(self):
            self.sealed = []

        def seal(self, name, array):
            if name == "bad":
                raise RuntimeError("no memory on the GPU")
            self.sealed.append((name, float(array[0])))

    ours, theirs = socket.socketpair()
    pipe = os.pipe()
    control = make_file("control", wire.CONTROL_BYTES)
    made = loop._Worker(theirs, {"wait": "sleep", "how": "lean"}, control, *pipe)
    made._runner = Runner()
    for number, name in enumerate(("x", "bad")):
        made._plans[number] = tensors.Plan({"rows": [(name, "<f4", 1)], "wanted": []}, takes_bytes=False)
    made._take(wire.CHUNK, b"", [make_file("inputs", 4096)])
    made._chunks[0].memory[:4] = struct.pack("<f", 2.5)
    try:
        yield made
    finally:
        ours.close()
        theirs.close()
        for descriptor in pipe:
            os.close(descriptor)


def sealed(before, plan=0):
    """What the parent sends: the call that it is for, then as a request is."""
    from perceptum.neuropod.process.worker import wire

    return wire.pack([before]) + wire.pack([plan, 0 | wire.READ_ONLY, 0, 4])


def test_a_worker_hands_on_what_is_sealed_for_a_call_that_is_to_come():
    with working() as worker:
        worker._begun = 3
        worker._seal(sealed(before=4))
        assert worker._runner.sealed == [("x", 2.5)]


def test_what_is_heard_of_after_its_call_has_begun_is_left_alone():
    with working() as worker:
        worker._begun = 4
        worker._seal(sealed(before=4))
        assert worker._runner.sealed == []


def test_a_runner_that_cannot_begin_does_not_end_its_worker(capfd):
    with working() as worker:
        worker._seal(sealed(before=1, plan=1))
        assert "no memory on the GPU" in capfd.readouterr().err


def test_a_worker_hears_of_inputs_in_its_memory_alone_and_they_are_held_until_its_call(isolated):
    model = isolated("def make(data):\n    return lambda x: {'y': x * 2}\n")
    channel, told = model._runner._channel, []
    # its runner has nothing to begin with, and passes over it
    seal, channel.seals = channel.seal, True

    def listen(inputs):
        told.extend(inputs)
        seal(inputs)

    channel.seal = listen
    array = model.allocate((LARGE,), np.float32)
    array[:] = 1
    model.seal("x", np.zeros(4, np.float32))
    assert told == []
    model.seal("x", array)
    assert told == ["x"]
    held = model.allocator.used_bytes
    del array
    assert model.allocator.used_bytes == held
    assert model.infer({"x": np.ones(2, np.float32)})["y"].tolist() == [2, 2]
    assert model.allocator.used_bytes < held
    del channel.seal


def test_a_gpu_takes_what_is_sealed_and_what_is_not():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    from perceptum.neuropod.frameworks.torch.transfers import Transfers

    transfers, array = Transfers(torch.device("cuda:0")), page()
    for lasts in (False, True):
        transfers.memory_lasts = lasts
        transfers.begin("x", array)
        moved = transfers.take("x", array)
        assert moved.is_cuda
        np.testing.assert_array_equal(moved.cpu().numpy(), array)
