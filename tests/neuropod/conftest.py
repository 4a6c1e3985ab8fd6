"""Small problems, each packed for every backend: what the contract suite runs on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import (
    create_jax_neuropod,
    create_onnx_neuropod,
    create_python_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.process import keeper

BACKENDS = ("python", "torchscript", "tensorflow_frozen", "tensorflow_saved", "onnx", "torch_export", "jax")

# what a framework has no word for
CANNOT = {
    "onnx": {"state": "ONNX has no variables"},
    "torch_export": dict.fromkeys(("strings", "mixed"), "torch.export has no strings"),
    "jax": {
        **dict.fromkeys(("strings", "mixed"), "JAX has no strings"),
        "state": "JAX functions keep nothing",
    },
}


def row(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": shape}


# problem -> input rows, output rows
PROBLEMS = {
    "addition": (
        [row("x", "float32", "n", 2), row("y", "float32", "n", 2)],
        [row("out", "float32", "n", 2)],
    ),
    "strings": ([row("x", "string", "n"), row("y", "string", "n")], [row("out", "string", "n")]),
    "mixed": (
        [row("x", "float64", "n"), row("words", "string", "m")],
        [row("twice", "float64", "n"), row("shout", "string", "m")],
    ),
    "pair": ([row("x", "float64", "n")], [row("twice", "float64", "n"), row("half", "float64", "n")]),
    "scalar": ([row("x", "int64")], [row("out", "int64")]),
    "identity": ([row("x", "float32", None)], [row("out", "float32", None), row("tail", "float32", None)]),
    "same": ([row("x", "float32", None)], [row("out", "float32", None)]),
    "state": ([row("x", "float32", 3)], [row("total", "float32", 3)]),
    "constant": ([row("x", "float32", 3)], [row("weights", "float32", 3)]),
    "wrong_output": ([row("x", "float32", "n")], [row("out", "int32", "n")]),
    "extra_output": ([row("x", "float32", "n")], [row("out", "float32", "n")]),
}

PYTHON_SOURCE = textwrap.dedent(
    """
    import numpy as np

    def addition(data):
        return lambda x, y: {"out": x + y}

    def strings(data):
        return lambda x, y: {"out": np.array([f"{a} {b}" for a, b in zip(x, y)], dtype=np.str_)}

    def mixed(data):
        return lambda x, words: {"twice": x * 2, "shout": np.array([w + "!" for w in words], dtype=np.str_)}

    def pair(data):
        return lambda x: {"twice": x * 2, "half": x / 2}

    def scalar(data):
        return lambda x: {"out": x + 1}

    def identity(data):
        return lambda x: {"out": x, "tail": x[1:]}

    def same(data):
        return lambda x: {"out": x}

    def state(data):
        total = np.zeros(3, np.float32)
        def model(x):
            total[:] += x
            return {"total": total.copy()}
        return model

    def constant(data):
        return lambda x: {"weights": np.array([1, 2, 3], np.float32)}

    def wrong_output(data):
        return lambda x: {"out": x}

    def extra_output(data):
        return lambda x: {"out": x + 1, "more": x + 2}
    """
)


def pack_python(problem, common, work):
    code = work / "code"
    code.mkdir()
    (code / "problems.py").write_text(PYTHON_SOURCE)
    create_python_neuropod(
        data_paths=[],
        code_path_spec=[{"python_root": str(code), "dirs_to_package": [""]}],
        entrypoint_package="problems",
        entrypoint=problem,
        **common,
    )


TORCH_SOURCE = textwrap.dedent(
    """
    from typing import Dict, List, Tuple
    import torch
    from torch import Tensor, nn

    class addition(nn.Module):
        def forward(self, x: Tensor, y: Tensor):
            return {"out": x + y}

    class strings(nn.Module):
        def forward(self, x: List[str], y: List[str]) -> Dict[str, List[str]]:
            out: List[str] = []
            for i in range(len(x)):
                out.append(x[i] + " " + y[i])
            return {"out": out}

    class mixed(nn.Module):
        def forward(self, x: Tensor, words: List[str]) -> Tuple[Dict[str, Tensor], Dict[str, List[str]]]:
            return {"twice": x * 2}, {"shout": [word + "!" for word in words]}

    class pair(nn.Module):
        def forward(self, x: Tensor):
            return {"twice": x * 2, "half": x / 2}

    class scalar(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    class identity(nn.Module):
        def forward(self, x: Tensor):
            return {"out": x, "tail": x[1:]}

    class same(nn.Module):
        def forward(self, x: Tensor):
            return {"out": x}

    class state(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(3))
        def forward(self, x: Tensor):
            self.total.add_(x)
            return {"total": self.total}

    class constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        def forward(self, x: Tensor):
            return {"weights": self.weights}

    class wrong_output(nn.Module):
        def forward(self, x: Tensor):
            return {"out": x}

    class extra_output(nn.Module):
        def forward(self, x: Tensor):
            return {"out": x + 1, "more": x + 2}
    """
)


def torch_instance(source, name, folder):
    """Returns an instance of a class in that source: TorchScript wants to read it from a file."""
    import importlib.util

    path = folder / f"torch_{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()


def script(source, name, folder):
    import torch

    return torch.jit.script(torch_instance(source, name, folder))


def pack_torchscript(problem, common, work):
    create_torchscript_neuropod(module=script(TORCH_SOURCE, problem, work), **common)


def tensorflow_model(problem):
    """Returns inputs as dict -> outputs as dict, in TensorFlow's words; a variable is made where it is first run."""
    import tensorflow as tf

    return {
        "addition": lambda t: {"out": t["x"] + t["y"]},
        "strings": lambda t: {"out": tf.strings.join([t["x"], t["y"]], " ")},
        "mixed": lambda t: {"twice": t["x"] * 2, "shout": tf.strings.join([t["words"], "!"])},
        "pair": lambda t: {"twice": t["x"] * 2, "half": t["x"] / 2},
        "scalar": lambda t: {"out": t["x"] + 1},
        "identity": lambda t: {"out": tf.identity(t["x"]), "tail": tf.identity(t["x"][1:])},
        "same": lambda t: {"out": tf.identity(t["x"])},
        "constant": lambda t: {"weights": tf.identity(tf.constant([1.0, 2.0, 3.0]))},
        "wrong_output": lambda t: {"out": tf.identity(t["x"])},
        "extra_output": lambda t: {"out": t["x"] + 1, "more": t["x"] + 2},
    }[problem]


def pack_tensorflow_frozen(problem, common, work):
    import tensorflow as tf

    v1 = tf.compat.v1
    init = []
    with tf.Graph().as_default() as graph:
        feeds = {r["name"]: v1.placeholder(r["dtype"], None, name=f"in_{r['name']}") for r in common["input_spec"]}
        if problem == "state":
            total = v1.get_variable("total", [3], initializer=v1.zeros_initializer(), use_resource=False)
            outputs = {"total": v1.assign_add(total, feeds["x"])}
            init = v1.global_variables_initializer().name
        else:
            outputs = tensorflow_model(problem)(feeds)
    nodes = {name: tensor.name for name, tensor in {**feeds, **outputs}.items()}
    create_tensorflow_neuropod(graph_def=graph.as_graph_def(), node_name_mapping=nodes, init_op_names=init, **common)


def pack_tensorflow_saved(problem, common, work):
    import tensorflow as tf

    model = tf.Module()
    if problem == "state":
        model.total = tf.Variable([0.0, 0.0, 0.0])
        run = lambda t: {"total": model.total.assign_add(t["x"])}  # noqa: E731
    else:
        run = tensorflow_model(problem)
    shapes = [[d if isinstance(d, int) else None for d in r["shape"]] for r in common["input_spec"]]
    specs = {
        r["name"]: tf.TensorSpec(shape, r["dtype"], r["name"])
        for r, shape in zip(common["input_spec"], shapes, strict=True)
    }
    model.serve = tf.function(lambda **tensors: run(tensors)).get_concrete_function(**specs)
    folder = work / "saved"
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    create_tensorflow_neuropod(saved_model_dir=folder, **common)


def pack_torch_export(problem, common, work):
    import torch

    # 5 is none of the sizes that export would fix, and the tail of an array must not be empty
    sizes = {d: torch.export.Dim(str(d or "any"), min=3 if problem == "identity" else 0) for d in ("n", "m", None)}
    args, dims = {}, {}
    for r in common["input_spec"]:
        shape = [d if isinstance(d, int) else 5 for d in r["shape"]]
        args[r["name"]] = torch.zeros(shape, dtype=getattr(torch, r["dtype"]))
        dims[r["name"]] = {axis: sizes[d] for axis, d in enumerate(r["shape"]) if not isinstance(d, int)}
    module = torch_instance(TORCH_SOURCE, problem, work)
    program = torch.export.export(module, tuple(args.values()), dynamic_shapes=dims)
    create_torch_export_neuropod(program=program, **common)


def pack_jax(problem, common, work):
    import jax.numpy as jnp

    function = {
        "addition": lambda x, y: {"out": x + y},
        "pair": lambda x: {"twice": x * 2, "half": x / 2},
        "scalar": lambda x: {"out": x + 1},
        "identity": lambda x: {"out": x, "tail": x[1:]},
        "same": lambda x: {"out": x},
        "constant": lambda x: {"weights": jnp.array([1.0, 2.0, 3.0], jnp.float32)},
        "wrong_output": lambda x: {"out": x},
        "extra_output": lambda x: {"out": x + 1, "more": x + 2},
    }[problem]
    if problem == "wrong_output":  # the packager refuses it: the file is given another spec afterwards
        rows = common["output_spec"]
        exchange_spec(common, lambda: create_jax_neuropod(function=function, **{**common, "output_spec": floats(rows)}))
    else:
        create_jax_neuropod(function=function, **common)


def floats(rows):
    return [{**r, "dtype": "float32"} for r in rows]


def exchange_spec(common, pack):
    """Packs, then writes the output spec of `common` into the package: what no packager would."""
    pack()
    path = common["neuropod_path"]
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    config = json.loads(files["config.json"])
    config["output_spec"] = [{**r, "shape": list(r["shape"])} for r in common["output_spec"]]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, data)


ONNX_NODES = {
    "addition": [("Add", "x y", "out")],
    "strings": [("StringConcat", "x space", "x_space"), ("StringConcat", "x_space y", "out")],
    "mixed": [("Add", "x x", "twice"), ("StringConcat", "words bang", "shout")],
    "pair": [("Add", "x x", "twice"), ("Div", "x two", "half")],
    "scalar": [("Add", "x one", "out")],
    "identity": [("Identity", "x", "out"), ("Slice", "x starts ends", "tail")],
    "same": [("Identity", "x", "out")],
    "constant": [("Identity", "w", "weights")],
    "wrong_output": [("Identity", "x", "out")],
    "extra_output": [("Add", "x f1", "out"), ("Add", "x f2", "more")],
}
ONNX_CONSTANTS = {
    "space": np.array([" "], object),
    "bang": np.array(["!"], object),
    "two": np.array(2.0),
    "one": np.array(1, np.int64),
    "starts": np.array([1], np.int64),
    "ends": np.array([2**31], np.int64),
    "w": np.array([1, 2, 3], np.float32),
    "f1": np.array(1, np.float32),
    "f2": np.array(2, np.float32),
}


def onnx_model(nodes, inputs, outputs, constants=ONNX_CONSTANTS):
    """Returns a ModelProto of nodes (operator, inputs, output), with the named constants that they use."""
    from onnx import helper, numpy_helper

    def value(r):
        dtype = np.dtype(object if r["dtype"] == "string" else r["dtype"])
        return helper.make_tensor_value_info(r["name"], helper.np_dtype_to_tensor_dtype(dtype), list(r["shape"]))

    used = {name for _, names, _ in nodes for name in names.split()}
    graph = helper.make_graph(
        [helper.make_node(op, names.split(), [out]) for op, names, out in nodes],
        "graph",
        [value(r) for r in inputs],
        [value(r) for r in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def pack_onnx(problem, common, work):
    outputs = list(common["output_spec"])
    if problem == "extra_output":
        outputs.append(row("more", "float32", "n"))
    if problem == "wrong_output":
        model = onnx_model(ONNX_NODES[problem], common["input_spec"], floats(outputs))
        right = {**common, "output_spec": floats(outputs)}
        exchange_spec(common, lambda: create_onnx_neuropod(model=model, **right))
    else:
        create_onnx_neuropod(model=onnx_model(ONNX_NODES[problem], common["input_spec"], outputs), **common)


PACKERS = {
    "jax": pack_jax,
    "onnx": pack_onnx,
    "torch_export": pack_torch_export,
    "python": pack_python,
    "torchscript": pack_torchscript,
    "tensorflow_frozen": pack_tensorflow_frozen,
    "tensorflow_saved": pack_tensorflow_saved,
}


@pytest.fixture(scope="session")
def packed(once):
    """Returns packed(backend, problem, **options) -> the path of the package, made once for all workers."""

    def make(backend, problem, **options):
        if problem in CANNOT.get(backend, {}):
            pytest.skip(CANNOT[backend][problem])
        inputs, outputs = PROBLEMS[problem]
        rows = {"input_spec": inputs, "output_spec": outputs}

        def pack(folder):
            path = folder / "model.neuropod"
            common = {"neuropod_path": path, "model_name": f"{problem}_model", **rows, **options}
            PACKERS[backend](problem, common, folder)

        words = (f"{name}={value}" for name, value in sorted(options.items()))
        return once("_".join(("packed", backend, problem, *words)), pack) / "model.neuropod"

    return make


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request):
    return request.param


WARM = Path(__file__).parent / "warm"
IMPORTED = {
    "jax": ("jax",),
    "onnx": ("onnxruntime",),
    "pytorch": ("torch", "torch._dynamo"),
    "tensorflow": ("tensorflow",),
    "torch_export": ("torch", "torch._dynamo"),
    "torchscript": ("torch", "torch._dynamo"),
}
"""What a platform's server imports; platforms with the same imports have the same server."""
MOST_WORKERS = 6


class WarmWorkers:
    """Starts workers by warm/: there is a process of each framework, from which they are forked in a tenth of a second.

    That a worker's process is a fresh one is tested in tests/process.
    """

    def __init__(self, folder):
        self._folder = folder
        self._servers = {}
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._start = keeper.start

    def load(self, path, **options):
        """As load_neuropod with isolate=True."""
        self._mine.bootstrap = self._server(IMPORTED.get(platform_of(path), ()))
        try:
            return load_neuropod(path, isolate=True, **options)
        finally:
            self._mine.bootstrap = None

    def start(self, argv, *others):
        """As keeper.start."""
        instead = getattr(self._mine, "bootstrap", None)
        if instead is not None:
            argv = [str(instead) if word.endswith("bootstrap.py") else word for word in argv]
        return self._start(argv, *others)

    def _server(self, modules):
        folder = self._folder / "-".join(("server", *modules))
        with self._lock:
            if folder not in self._servers:
                folder.mkdir()
                (folder / "bootstrap.py").symlink_to(WARM / "bootstrap.py")
                command = [sys.executable, str(WARM / "server.py"), str(folder / "socket"), *modules]
                server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                assert server.stdout.readline() == b"ready\n"
                self._servers[folder] = server
        return folder / "bootstrap.py"

    def close(self):
        for server in self._servers.values():
            server.stdin.close()
            server.stdout.close()
            server.wait()


def platform_of(path):
    """Returns the platform of a package, or None where it cannot be read."""
    try:
        with zipfile.ZipFile(path) if path.is_file() else contextlib.nullcontext() as archive:
            config = archive.read("config.json") if archive else (path / "config.json").read_bytes()
        return json.loads(config)["platform"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


@pytest.fixture(scope="session")
def warm_workers(tmp_path_factory):
    workers = WarmWorkers(tmp_path_factory.mktemp("workers"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "start", workers.start)
        yield workers
    workers.close()


@pytest.fixture(scope="session", params=[False, True], ids=["here", "isolated"])
def isolate(request):
    """Whether a test's models run in this process or in workers: what holds for one holds for the other."""
    return request.param


@pytest.fixture
def load(isolate, warm_workers):
    """load(path, **options): load_neuropod, here or isolated."""
    return warm_workers.load if isolate else load_neuropod


@pytest.fixture(scope="session")
def loaded(packed, isolate, warm_workers):
    """Returns loaded(backend, problem) -> the model, shared by the tests that leave no trace in it."""
    load = warm_workers.load if isolate else load_neuropod
    models = {}

    def find(backend, problem):
        key = backend, problem
        if key not in models:
            path = packed(backend, problem)
            # a worker of a framework takes some 100 MB
            while isolate and len(models) >= MOST_WORKERS:
                models.pop(next(iter(models))).close()
            models[key] = load(path, trust=True)
        return models[key]

    yield find
    for model in models.values():
        model.close()


@pytest.fixture
def package_folder(tmp_path):
    """Returns package_folder(zip) -> the package unpacked, without a manifest, to be damaged at will."""

    def unpack(path: Path) -> Path:
        folder = tmp_path / "unpacked"
        zipfile.ZipFile(path).extractall(folder)
        (folder / "manifest.json").unlink()
        return folder

    return unpack


@pytest.fixture
def aligned():
    """Returns aligned(values) -> the array in memory that starts on a multiple of 64, as a builder's does."""
    from perceptum.neuropod.frameworks.handoff import aligned_empty

    def make(values):
        values = np.asarray(values)
        out = aligned_empty(values.shape, values.dtype)
        out[...] = values
        return out

    return make


@pytest.fixture(scope="session")
def torch_module():
    """Returns torch_module(source, name, folder) -> the scripted module of a class in that source."""
    return script
