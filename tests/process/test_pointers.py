"""What was written here is what the worker's framework reads: not a copy with the same numbers, the same memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import (
    create_onnx_neuropod,
    create_tensorflow_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.frameworks.handoff import address

WHERE = {"name": "where", "dtype": "int64", "shape": [2]}
X = {"name": "x", "dtype": "float32", "shape": [None]}
MAPPED = '''
def place(start):
    """Returns the number of the file that is mapped at an address, and where in it that is."""
    for line in open("/proc/self/maps"):
        span, _, offset, _, inode, *_ = line.split()
        begin, end = (int(word, 16) for word in span.split("-"))
        if begin <= start < end:
            return int(inode), start - begin + int(offset, 16)
'''
exec(MAPPED)


def same_place(array, where):
    return tuple(where.tolist()) == place(address(array))  # noqa: F821


ADDRESSES = {
    "numpy": "x.__array_interface__['data'][0]",
    "torch": "torch.from_numpy(x).data_ptr()",
    "jax": "to_native(x).unsafe_buffer_pointer()",
}


@pytest.mark.parametrize("framework", ADDRESSES)
def test_the_models_tensor_is_the_callers_memory(pack, load, framework):
    imported = pytest.importorskip(framework).__name__
    path = pack(
        f"import {imported}\nimport numpy as np\nfrom perceptum.neuropod.frameworks.jax import to_native\n{MAPPED}\n"
        f"def make(data):\n    return lambda x: {{'where': np.array(place({ADDRESSES[framework]}))}}",
        [X],
        [WHERE],
    )
    model = load(path)
    for count in (1, 100, 1 << 20):
        x = model.allocate((count,), np.float32)
        assert same_place(x, model.infer({"x": x})["where"])
    aligned = x[16:]
    assert same_place(aligned, model.infer({"x": aligned})["where"])


def test_an_array_of_other_memory_is_copied_into_shared_memory_once(isolated):
    model = isolated(
        f"import numpy as np\n{MAPPED}\n"
        "def make(data):\n    return lambda x: {'where': np.array(place(x.__array_interface__['data'][0]))}",
        [X],
        [WHERE],
    )
    inodes = {model.infer({"x": np.ones(100, np.float32)})["where"][0] for _ in range(3)}
    assert inodes == {place(address(model.allocate((1,), np.float32)))[0]}  # noqa: F821


def test_what_a_builder_gets_to_fill_is_what_the_model_reads(isolated):
    model = isolated(
        f"import numpy as np\n{MAPPED}\n"
        "def make(data):\n    return lambda x: {'where': np.array(place(x.__array_interface__['data'][0]))}",
        [X],
        [WHERE],
    )
    block = model.allocator("x", 4000)
    x = np.frombuffer(block, np.float32)
    assert same_place(x, model.infer({"x": x})["where"])


def test_what_is_written_later_is_seen_by_a_model_that_kept_its_input(isolated):
    model = isolated(
        """
        import numpy as np
        kept = []
        def make(data):
            def model(x):
                kept.append(x)
                return {"y": kept[0].copy()}
            return model
        """
    )
    first, second = (model.allocate((4,), np.float32) for _ in range(2))
    first[:] = 1
    second[:] = 2
    assert model.infer({"x": first})["y"].tolist() == [1] * 4
    first[:] = 7
    assert model.infer({"x": second})["y"].tolist() == [7] * 4


def test_an_output_lies_where_the_worker_wrote_it(isolated):
    model = isolated("def make(data):\n    return lambda x: {'y': x * 2}")
    out = model.infer({"x": np.ones(1 << 16, np.float32)})["y"]
    assert any(
        "/memfd:perceptum outputs" in line and int(line.split("-")[0], 16) <= address(out)
        for line in Path("/proc/self/maps").read_text().splitlines()
    )
    assert out.flags.writeable


# Each waits, while it runs, for the first number of x to be another than 0: which is written here only after it began.
# No copy that was made before could let it go on. What it returns are the numbers then.


def torchscript(folder, torch_loop):
    torch = pytest.importorskip("torch")
    (folder / "waits.py").write_text(torch_loop)
    import importlib.util

    spec = importlib.util.spec_from_file_location("waits", folder / "waits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    create_torchscript_neuropod(neuropod_path=folder / "m", module=torch.jit.script(module.Waits()), **COMMON)


TORCH = """
import torch

class Waits(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        turns = 0
        while bool(x[0] == 0) and turns < 100000000:
            turns += 1
        return {"y": x + 0}
"""
COMMON = {
    "model_name": "m",
    "input_spec": [X],
    "output_spec": [{"name": "y", "dtype": "float32", "shape": [None]}],
}


def tensorflow(folder):
    pytest.importorskip("tensorflow")
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        turns = tf.while_loop(
            lambda n: tf.logical_and(tf.equal(x[0], 0), n < 100000000), lambda n: n + 1, [tf.constant(0)]
        )
        with tf.control_dependencies([turns[0] if isinstance(turns, list | tuple) else turns]):
            tf.add(x, 0.0, name="y")
    nodes = {"x": "x:0", "y": "y:0"}
    create_tensorflow_neuropod(
        neuropod_path=folder / "m", graph_def=graph.as_graph_def(), node_name_mapping=nodes, **COMMON
    )


def onnx(folder):
    helper = pytest.importorskip("onnx").helper
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, numpy_helper

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    constants = {
        "zero": np.array(0, np.int64),
        "nothing": np.array(0, np.float32),
        "most": np.array(100000000, np.int64),
        "yes": np.array(True),
    }
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["x", "zero"], ["first"]),
            helper.make_node("Equal", ["first", "nothing"], ["on"]),
            helper.make_node("Identity", ["n"], ["m"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("n", TensorProto.INT64, [])],
        [value("on", TensorProto.BOOL, []), value("m", TensorProto.INT64, [])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["most", "yes", "zero"], ["turns"], body=body),
            helper.make_node("Cast", ["turns"], ["none"], to=TensorProto.FLOAT),
            # after the loop, since it wants what came out of it
            helper.make_node("Add", ["x", "none"], ["y"]),
        ],
        "graph",
        [value("x", TensorProto.FLOAT, ["n"])],
        [value("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    create_onnx_neuropod(neuropod_path=folder / "m", model=model, **COMMON)


PACKERS = {"torchscript": lambda folder: torchscript(folder, TORCH), "tensorflow": tensorflow, "onnx": onnx}


@pytest.mark.slow
@pytest.mark.parametrize("framework", PACKERS)
def test_a_framework_reads_what_is_written_while_it_computes(tmp_path, framework):
    PACKERS[framework](tmp_path)
    with load_neuropod(tmp_path / "m", isolate=True, timeout_s=60) as model:
        x = model.allocate((1000,), np.float32)
        x[:] = 5
        assert model.infer({"x": x})["y"].tolist() == [5] * 1000
        x[:] = 0
        done = []
        call = threading.Thread(target=lambda: done.append(model.infer({"x": x})["y"]))
        call.start()
        time.sleep(0.5)
        assert done == []
        x[1:] = np.arange(1, 1000)
        x[0] = 3
        call.join(30)
        assert not call.is_alive()
        assert done[0].tolist() == x.tolist()
        assert model.copies({"x": x}) == {}
