"""What a worker's framework can write where it is to lie is written there, and nothing is copied twice."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

import numpy as np
import pytest

from perceptum.neuropod import create_onnx_neuropod, create_torchscript_neuropod, load_neuropod
from perceptum.neuropod.backends.onnx.binding import Binding
from perceptum.neuropod.frameworks.handoff import address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

LARGE = 1 << 18
TORCH = """
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.arange(300000, dtype=torch.float32)

    def forward(self, x: torch.Tensor):
        return {"double": x * 2, "same": x, "again": x, "weights": self.weights, "turned": x.reshape(2, -1).t(),
                "small": x[:3], "none": x[:0]}
"""


def row(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": shape}


def onnx_session(nodes, inputs, outputs, constants=None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = onnx_model(nodes, inputs, outputs, constants).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_model(nodes, inputs, outputs, constants=None):
    from onnx import helper, numpy_helper

    def values(rows):
        kind = helper.np_dtype_to_tensor_dtype
        return [helper.make_tensor_value_info(r["name"], kind(np.dtype(r["dtype"])), list(r["shape"])) for r in rows]

    graph = helper.make_graph(
        [helper.make_node(op, names.split(), [out]) for op, names, out in nodes],
        "graph",
        values(inputs),
        values(outputs),
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


class Room:
    """What hands out places, and remembers them."""

    def __init__(self):
        self.places = {}

    def __call__(self, name, shape, dtype):
        self.places[name] = np.full(shape, 7, dtype)
        return self.places[name]


def run_into(session, inputs, wanted, binding=None):
    """Returns (what was found, the places), as the backend goes about it."""
    from perceptum.neuropod.backends.onnx import OnnxRunner

    runner = OnnxRunner(session)
    if binding is not None:
        runner._binding = binding
    room = Room()
    return runner.run_into(inputs, wanted, room), room.places


def test_onnxruntime_writes_an_output_whose_size_is_an_inputs_where_it_is_to_lie():
    session = onnx_session([("Neg", "x", "y")], [row("x", "float32", "n", 2)], [row("y", "float32", "n", 2)])
    x = np.arange(2 * LARGE, dtype=np.float32).reshape(LARGE, 2)
    x.flags.writeable = False
    found, places = run_into(session, {"x": x}, ["y"])
    assert found["y"] is places["y"]
    np.testing.assert_array_equal(found["y"], -x)


def test_a_small_output_is_not_worth_binding():
    session = onnx_session([("Neg", "x", "y")], [row("x", "float32", "n")], [row("y", "float32", "n")])
    found, places = run_into(session, {"x": np.ones(3, np.float32)}, ["y"])
    assert places == {}
    np.testing.assert_array_equal(found["y"], [-1, -1, -1])


def test_an_output_that_is_an_input_is_not_bound_since_onnxruntime_writes_it_nowhere():
    x = [row("x", "float32", "n")]
    session = onnx_session([("Neg", "x", "y")], x, [row("y", "float32", "n"), *x])
    given = np.arange(LARGE, dtype=np.float32)
    found, _ = run_into(session, {"x": given}, ["y", "x"])
    np.testing.assert_array_equal(found["x"], given)
    np.testing.assert_array_equal(found["y"], -given)


def test_a_constant_output_is_written_where_it_is_to_lie():
    weights = np.arange(LARGE, dtype=np.float32)
    session = onnx_session(
        [("Neg", "x", "y")],
        [row("x", "float32", "n")],
        [row("y", "float32", "n"), row("w", "float32", LARGE)],
        {"w": weights},
    )
    found, places = run_into(session, {"x": np.ones(3, np.float32)}, ["y", "w"])
    assert found["w"] is places["w"]
    np.testing.assert_array_equal(found["w"], weights)


def test_a_size_that_nobody_says_is_that_of_the_last_call_with_the_same_inputs():
    shape = np.array([-1, 2], np.int64)
    session = onnx_session(
        [("Reshape", "x s", "y")], [row("x", "float32", "n")], [row("y", "float32", "k", 2)], {"s": shape}
    )
    binding, x = Binding(session), np.arange(2 * LARGE, dtype=np.float32)
    first, places = run_into(session, {"x": x}, ["y"], binding)
    assert places == {}
    second, places = run_into(session, {"x": x}, ["y"], binding)
    assert second["y"] is places["y"]
    np.testing.assert_array_equal(first["y"], second["y"])
    # another size of the input: it is learnt again
    third, places = run_into(session, {"x": x[:LARGE]}, ["y"], binding)
    assert places == {}
    assert third["y"].shape == (LARGE // 2, 2)


def test_a_size_that_depends_on_values_is_guessed_wrong_once_and_then_not_guessed():
    session = onnx_session([("NonZero", "x", "y")], [row("x", "float32", "n")], [row("y", "int64", 1, "k")])
    binding = Binding(session)
    rounds = [np.ones(LARGE, np.float32), np.repeat([1, 0], LARGE // 2).astype(np.float32), np.ones(LARGE, np.float32)]
    asked = []
    for x in rounds:
        found, places = run_into(session, {"x": x}, ["y"], binding)
        asked.append(list(places))
        np.testing.assert_array_equal(found["y"], [np.flatnonzero(x)])
    assert asked == [[], ["y"], []]


def test_a_model_that_says_a_wrong_size_answers_all_the_same():
    shape = np.array([2, -1], np.int64)
    session = onnx_session(
        [("Reshape", "x s", "y")], [row("x", "float32", "n", 2)], [row("y", "float32", "n", 2)], {"s": shape}
    )
    binding, x = Binding(session), np.arange(2 * LARGE, dtype=np.float32).reshape(LARGE, 2)
    for _ in range(3):
        found, _ = run_into(session, {"x": x}, ["y"], binding)
        np.testing.assert_array_equal(found["y"], x.reshape(2, -1))


def test_what_the_model_cannot_run_is_said_as_without_a_place(tmp_path):
    path = tmp_path / "add.neuropod"
    rows = [row("x", "float32", "n"), row("y", "float32", "m")], [row("out", "float32", "n")]
    model = onnx_model([("Add", "x y", "out")], *rows)
    create_onnx_neuropod(neuropod_path=path, model_name="add", model=model, input_spec=rows[0], output_spec=rows[1])
    wrong = {"x": np.ones(LARGE, np.float32), "y": np.ones(3, np.float32)}
    said = []
    for isolate in (False, True):
        with load_neuropod(path, isolate=isolate) as loaded:
            with pytest.raises(Exception, match="Add") as raised:
                loaded.infer(wrong)
            said.append(str(raised.value))
            right = loaded.infer({"x": wrong["x"], "y": wrong["x"]})
            assert right["out"].sum() == 2 * LARGE
    assert said[0] == said[1]


@pytest.fixture(scope="module")
def torch_path(tmp_path_factory):
    """A TorchScript model that returns all kinds of memory: new, its input's, twice the same, its own, strided."""
    import importlib.util

    import torch

    folder = tmp_path_factory.mktemp("torch_outputs")
    (folder / "outputs_model.py").write_text(TORCH)
    spec = importlib.util.spec_from_file_location("outputs_model", folder / "outputs_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = folder / "outputs.neuropod"
    outputs = [row(name, "float32", None) for name in ("double", "same", "again", "weights", "small", "none")]
    create_torchscript_neuropod(
        neuropod_path=path,
        model_name="outputs",
        module=torch.jit.script(module.Model()),
        input_spec=[row("x", "float32", None)],
        output_spec=[*outputs, row("turned", "float32", None, None)],
    )
    return path


def test_torch_copies_each_output_once_to_where_it_is_to_lie(torch_path):
    with load_neuropod(torch_path) as model:
        x, room = np.arange(LARGE, dtype=np.float32), Room()
        found = model._runner.run_into({"x": x}, list(model.outputs), room)
    assert set(room.places) == {"double", "same", "again", "weights", "turned"}
    assert all(found[name] is place for name, place in room.places.items())
    np.testing.assert_array_equal(found["turned"], x.reshape(2, -1).T)
    np.testing.assert_array_equal(found["weights"], np.arange(300000, dtype=np.float32))


def test_a_worker_answers_as_the_process_does_and_its_outputs_are_the_callers_own(torch_path):
    with load_neuropod(torch_path) as plain, load_neuropod(torch_path, isolate=True) as isolated:
        x = isolated.allocate((LARGE,), np.float32)
        x[:] = np.arange(LARGE)
        wanted, first = plain.infer({"x": x}), isolated.infer({"x": x})
        assert list(first) == list(wanted)
        first["weights"][:] = 0
        first["same"][:] = -1
        second = isolated.infer({"x": x})
        for name, array in wanted.items():
            np.testing.assert_array_equal(second[name], array)
        assert (first["weights"] == 0).all()
        assert x[1] == 1
        addresses = [address(array) for array in second.values() if array.size]
        assert len(set(addresses)) == len(addresses)


class Runner:
    """A model that answers what a test puts into it."""

    def __init__(self):
        self.answer = None

    def run_into(self, inputs, wanted, empty):
        return self.answer(empty)


@contextlib.contextmanager
def working():
    """A worker's memory and its answers, in this process."""
    from perceptum.neuropod.process.worker import loop, wire
    from perceptum.neuropod.process.worker.shared import make_file

    ours, theirs = socket.socketpair()
    control = make_file("control", wire.CONTROL_BYTES)
    pipe = os.pipe()
    made = loop._Worker(theirs, {"wait": "sleep", "how": "lean"}, control, *pipe)
    made._runner = Runner()
    made._run = loop._run_of(made._runner, made._empty)
    try:
        yield made
    finally:
        ours.close()
        theirs.close()
        made._arena.close()
        for descriptor in pipe:
            os.close(descriptor)


def put(worker, answer):
    """Returns where the outputs lie then: (address, bytes) of each block."""
    worker._runner.answer = answer
    _, said = worker._put(worker._run({}, ()))
    worker._give_back()
    from perceptum.neuropod.process.worker import wire

    numbers = wire.unpack(said)
    blocks = [numbers[3 + 3 * k : 6 + 3 * k] for k in range(numbers[2])]
    return [(worker._arena.chunks[chunk].address + offset, nbytes) for chunk, offset, nbytes in blocks]


def test_an_output_that_lies_in_the_workers_memory_stays_where_it_is():
    with working() as worker:
        made = {}

        def answer(empty):
            made["a"] = empty("a", (LARGE,), np.float32)
            made["a"][:] = 3
            return {"b": np.full(LARGE, 4, np.float32), "a": made["a"]}

        blocks = put(worker, answer)
        assert blocks[1] == (address(made["a"]), made["a"].nbytes)
        assert worker._arena.used_bytes == 2 * LARGE * 4
        assert not worker._given


def test_one_place_under_two_names_is_copied_for_the_second():
    with working() as worker:

        def answer(empty):
            place = empty("a", (LARGE,), np.float32)
            place[:] = 5
            return {"a": place, "b": place, "part": place[: LARGE // 2], "turned": place.reshape(2, -1).T}

        blocks = put(worker, answer)
        assert len({start for start, _ in blocks}) == 4


def test_a_place_that_is_not_used_comes_back():
    with working() as worker:
        put(worker, lambda empty: {"a": np.zeros(LARGE) if empty("a", (LARGE,), np.float64) is not None else None})
        assert worker._arena.used_bytes == LARGE * 8


def test_places_come_back_when_there_is_no_memory_for_the_others(monkeypatch):
    with working() as worker:

        def answer(empty):
            return {"a": empty("a", (LARGE,), np.float32), "b": np.zeros(LARGE, np.float32)}

        worker._runner.answer = answer
        kept = type("Kept", (), {"arrays": {}, "wanted": ()})
        worker._kept[b"asked"] = kept

        def fills(sizes):
            raise MemoryError("no shared memory")

        monkeypatch.setattr(worker._arena, "allocate_all", fills)
        with pytest.raises(MemoryError):
            worker._infer(b"asked")
        assert worker._arena.used_bytes == 0


def test_a_place_comes_back_when_the_model_fails():
    with working() as worker:

        def answer(empty):
            empty("a", (LARGE,), np.float64)
            raise ValueError("no")

        worker._runner.answer = answer
        kept = type("Kept", (), {"arrays": {}, "wanted": ()})
        worker._kept[b"asked"] = kept
        with pytest.raises(ValueError, match="no"):
            worker._infer(b"asked")
        assert worker._arena.used_bytes == 0


def test_a_model_says_which_outputs_are_copied(torch_path, tmp_path):
    rows = [row("x", "float32", "n")], [row("out", "float32", "n")]
    path = tmp_path / "neg.neuropod"
    model = onnx_model([("Neg", "x", "out")], *rows)
    create_onnx_neuropod(neuropod_path=path, model_name="neg", model=model, input_spec=rows[0], output_spec=rows[1])
    with load_neuropod(path, isolate=True) as onnx, load_neuropod(torch_path) as plain:
        assert onnx.copies_out() == {}
        assert plain.copies_out() == {}
    with load_neuropod(torch_path, isolate=True) as isolated:
        said = isolated.copies_out()
    assert set(said) == {output["name"] for output in isolated.outputs}
    assert set(said.values()) == {"its framework makes memory of its own for it, which the worker does not share"}
