"""What `infer` and `load_neuropod` add to the framework's own call and load, in this process.

The model takes four inputs and looks at one number of each, so that its own time does not hide what is added; and it
is the same whatever the inputs' size. The framework is called as its users call it: numpy arrays in, numpy arrays out.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import Result, compare
from numpy.typing import NDArray

from perceptum.neuropod import (
    create_jax_neuropod,
    create_onnx_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.frameworks.handoff import aligned_empty
from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

__all__ = ["onnx_four", "run", "tensorflow_four", "torchscript_four"]

INFER_US, LOAD_MS = 15.0, 10.0
NAMES = ("a", "b", "c", "d")
SIZES = {"1 KiB": 2**8, "16 MiB": 2**22}
ROWS: dict[str, Any] = {
    "model_name": "four",
    "input_spec": [{"name": name, "dtype": "float32", "shape": ("n",)} for name in NAMES],
    "output_spec": [{"name": "out", "dtype": "float32", "shape": (1,)}],
    "package_as_zip": False,
}
TORCH_SOURCE = """
import torch

class Four(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor):
        return {"out": a[:1] + b[:1] + c[:1] + d[:1]}
"""

Inputs = Mapping[str, NDArray[Any]]
Call = Callable[[Inputs], object]
Pack = Callable[[Path], Callable[[], Call]]
"""Packs the model into a folder and returns the framework's own load of it, which returns the framework's own call."""


def run(rounds: int = 600) -> list[Result]:
    makers: dict[str, Pack] = {
        "torchscript": torchscript_four,
        "torch_export": _torch_export,
        "tensorflow": tensorflow_four,
        "onnx": onnx_four,
        "jax": _jax,
    }
    with tempfile.TemporaryDirectory() as folder:
        return [line for name, make in makers.items() for line in _lines(name, make, Path(folder, name), rounds)]


def _lines(platform: str, make: Pack, path: Path, rounds: int) -> list[Result]:
    path.parent.mkdir(exist_ok=True)
    load = make(path)
    direct, model = load(), load_neuropod(path)
    added = {}
    for size, count in SIZES.items():
        given = {name: aligned_empty((count,), np.dtype(np.float32)) for name in NAMES}
        for array in given.values():
            array[:] = 1
        work = {"ours": lambda g=given: model.infer(g), "direct": lambda g=given: direct(g)}
        times = compare(rounds, work, warm=50)
        added[size] = (_added(times) * 1e6, median(times["direct"]) * 1e6)
    times = compare(15, {"ours": lambda: load_neuropod(path).close(), "direct": load})
    load_ms = _added(times) * 1e3
    worst = max(value for value, _ in added.values())
    text = ", ".join(f"{size} {us:.1f}" for size, (us, _) in added.items())
    peer = ", ".join(f"{size} {us:.1f}" for size, (_, us) in added.items())
    return [
        Result(
            f"infer of 4 inputs, {platform}, µs added",
            text,
            f"the framework's own call {peer}",
            f"{worst:.1f} µs",
            "under 15 µs",
            worst < INFER_US,
        ),
        Result(
            f"load_neuropod, {platform}, ms added",
            f"{load_ms:.1f}",
            f"the framework's own load {median(times['direct']) * 1e3:.1f} ms",
            f"{load_ms:.1f} ms",
            "under 10 ms",
            load_ms < LOAD_MS,
        ),
    ]


def _added(times: dict[str, list[float]]) -> float:
    """Returns the median of the differences, round by round."""
    return median(a - b for a, b in zip(times["ours"], times["direct"], strict=True))


def _torch_module(path: Path) -> Any:
    """TorchScript reads a class's source from a file."""
    source = path.with_name("four.py")
    source.write_text(TORCH_SOURCE)
    spec = importlib.util.spec_from_file_location("four", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Four()


def _torch_call(module: Any) -> Call:
    import torch

    def call(given: Inputs) -> object:
        with torch.no_grad():
            answer = module(*[torch.from_numpy(given[name]) for name in NAMES])
        return {name: value.numpy() for name, value in answer.items()}

    return call


def torchscript_four(path: Path) -> Callable[[], Call]:
    import torch

    create_torchscript_neuropod(neuropod_path=path, module=torch.jit.script(_torch_module(path)), **ROWS)
    return lambda: _torch_call(torch.jit.load(str(path / "0/data/model.pt"), map_location="cpu"))


def _torch_export(path: Path) -> Callable[[], Call]:
    import torch

    n = torch.export.Dim("n", min=2)
    given = tuple(torch.zeros(5) for _ in NAMES)
    program = torch.export.export(_torch_module(path), given, dynamic_shapes={name: {0: n} for name in NAMES})
    create_torch_export_neuropod(neuropod_path=path, program=program, **ROWS)
    return lambda: _torch_call(torch.export.load(str(path / "0/data/model.pt2")).module())


def tensorflow_four(path: Path) -> Callable[[], Call]:
    tf = import_tensorflow()

    def config() -> Any:
        return tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1)

    with tf.Graph().as_default() as graph:
        feeds = [tf.compat.v1.placeholder(tf.float32, [None], name=name) for name in NAMES]
        tf.add_n([feed[:1] for feed in feeds], name="out")
    create_tensorflow_neuropod(
        neuropod_path=path, graph_def=graph.as_graph_def(), node_name_mapping={n: n for n in (*NAMES, "out")}, **ROWS
    )

    def load() -> Call:
        loaded = tf.Graph()
        with loaded.as_default():
            data = (path / "0/data/model.pb").read_bytes()
            tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(data), name="")
        session = tf.compat.v1.Session(graph=loaded, config=config())
        run = session.make_callable(["out:0"], feed_list=[f"{name}:0" for name in NAMES])
        return lambda given: {"out": run(*[given[name] for name in NAMES])[0]}

    return load


def onnx_four(path: Path) -> Callable[[], Call]:
    import onnxruntime as ort
    from onnx import helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(np.float32))
    limits = [numpy_helper.from_array(np.array([i], np.int64), name) for i, name in enumerate(("zero", "one"))]
    nodes = [helper.make_node("Slice", [name, "zero", "one"], [f"{name}_first"]) for name in NAMES]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Sum", [f"{name}_first" for name in NAMES], ["out"])],
        "four",
        [helper.make_tensor_value_info(name, kind, ["n"]) for name in NAMES],
        [helper.make_tensor_value_info("out", kind, [1])],
        limits,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    create_onnx_neuropod(neuropod_path=path, model=model, **ROWS)

    def load() -> Call:
        file = str(path / "0/data/model.onnx")
        session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        return lambda given: {"out": session.run(["out"], given)[0]}

    return load


def _jax(path: Path) -> Callable[[], Call]:
    import jax

    create_jax_neuropod(neuropod_path=path, function=lambda a, b, c, d: {"out": a[:1] + b[:1] + c[:1] + d[:1]}, **ROWS)

    def load() -> Call:
        data = bytearray((path / "0/data/model.jax").read_bytes())
        function = jax.jit(jax.export.deserialize(data).call)
        return lambda given: {name: np.asarray(value) for name, value in function(**given).items()}

    return load
