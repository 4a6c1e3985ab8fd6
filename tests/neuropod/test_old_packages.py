"""Packages as Uber's tool left them between 2018 and 2022, written here file by file.

One of each kind that lies in the test data of Uber's library, with what is odd in it: configs without the keys that
came later, `init_op_names` that is an object, graphs of old producers, archives from before torch 1.3, an input that
the method lacks, code without an __init__.py, pins of libraries that no Python of today installs. Where genuine ones
are at hand, test_genuine runs them.
"""

import io
import json
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import load_neuropod

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

X = np.arange(6, dtype=np.float32).reshape(2, 3)
WORDS = {"x": np.array(["apple", "Käse"]), "y": np.array(["sauce", "🧀"])}
JOINED = ["apple sauce", "Käse 🧀"]


def rows(dtype, shape, names):
    return [{"dtype": dtype, "shape": shape, "name": name} for name in names.split()]


def numbers(inputs="x y", shape=(None, None)):
    return {"input_spec": rows("float32", shape, inputs), "output_spec": rows("float32", shape, "out")}


def strings():
    return {"input_spec": rows("string", [None], "x y"), "output_spec": rows("string", [None], "out")}


@pytest.fixture
def old_package(tmp_path):
    """Returns old_package(platform, specs, files, **keys) -> its folder, with a config of the oldest kind."""

    def write(platform, specs, files, name="addition_model", **keys):
        config = {"name": name, "platform": platform, **specs, **keys}
        for where, data in {"config.json": json.dumps(config, indent=4), **files}.items():
            path = tmp_path / "package" / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return tmp_path / "package"

    return write


# TensorFlow: frozen graphs of producers 26 and 27


def frozen(draw, producer):
    """Returns the bytes of the graph that `draw(tf.compat.v1)` makes, as an old TensorFlow would have signed it."""
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    v1 = import_tensorflow().compat.v1
    with v1.Graph().as_default() as graph:
        draw(v1)
    definition = graph.as_graph_def()
    definition.versions.producer = producer
    return definition.SerializeToString()


def mapping(**nodes):
    return json.dumps({"node_name_mapping": nodes, "init_op_names": {}})


@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_a_graph_of_an_old_producer_and_init_ops_that_are_an_object(old_package, dtype):
    def draw(v1):
        x, y = (v1.placeholder(dtype, name=f"some_namespace/in_{name}") for name in "xy")
        join = v1.add if dtype == "float32" else lambda x, y, name: v1.strings.join([x, y], " ", name=name)
        join(x, y, name="some_namespace/out")

    nodes = mapping(x="some_namespace/in_x:0", y="some_namespace/in_y:0", out="some_namespace/out:0")
    specs = numbers() if dtype == "float32" else strings()
    path = old_package("tensorflow", specs, {"0/data/model.pb": frozen(draw, 26), "0/config.json": nodes})
    with load_neuropod(path) as model:
        out = model.infer({"x": X, "y": X} if dtype == "float32" else WORDS)["out"]
    assert out.tolist() == ((X + X).tolist() if dtype == "float32" else JOINED)


def test_a_detector_that_answers_at_random_with_one_large_image(old_package):
    def draw(v1):
        v1.placeholder("uint8", (1200, 1920, 3), name="INPUT_API/image")
        v1.identity(v1.random_uniform((28, 4)), name="OUTPUT_API/boxes")
        v1.identity(v1.random_uniform((28, 67)), name="OUTPUT_API/scores")

    specs = {
        "input_spec": rows("uint8", [1200, 1920, 3], "image"),
        "output_spec": rows("float32", ["n", 4], "boxes") + rows("float32", ["n", "classes"], "scores"),
    }
    nodes = mapping(image="INPUT_API/image:0", boxes="OUTPUT_API/boxes:0", scores="OUTPUT_API/scores:0")
    files = {"0/data/model.pb": frozen(draw, 27), "0/config.json": nodes}
    path = old_package("tensorflow", specs, files, custom_ops=[], input_tensor_device={"image": "GPU"})
    image = np.zeros((1200, 1920, 3), np.uint8)
    with load_neuropod(path) as model:
        first, second = model.infer({"image": image}), model.infer({"image": image})
    assert {name: out.shape for name, out in first.items()} == {"boxes": (28, 4), "scores": (28, 67)}
    assert (first["boxes"] != second["boxes"]).any()


def test_a_hundred_small_inputs_none_of_which_the_answer_needs(old_package):
    names = [f"small_input{i}" for i in range(100)]

    def draw(v1):
        for name in names:
            v1.placeholder("float32", name=f"INPUT_API/{name}")
        v1.identity(v1.random_uniform((10, 5)), name="OUTPUT_API/output")

    specs = {"input_spec": rows("float32", [None], " ".join(names)), "output_spec": rows("float32", [10, 5], "output")}
    nodes = mapping(**{name: f"INPUT_API/{name}:0" for name in names}, output="OUTPUT_API/output:0")
    path = old_package("tensorflow", specs, {"0/data/model.pb": frozen(draw, 27), "0/config.json": nodes})
    with load_neuropod(path) as model:
        assert model.infer(dict.fromkeys(names, X[0]))["output"].shape == (10, 5)
        assert model.infer({})["output"].shape == (10, 5)


# TorchScript: archives of torch 1.0, which had a model.json


def archive_of_2019(method):
    model = {
        "protoVersion": "1",
        "mainModule": {"torchscriptArena": {"key": "code/model.py"}, "name": "model", "optimize": True},
        "producerName": "pytorch",
        "producerVersion": "1.0",
        "libs": {"torchscriptArena": {"key": "libs.py"}},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model/version", "1\n")
        archive.writestr("model/code/model.py", f"op_version_set = 0\n{method}")
        archive.writestr("model/libs.py", "op_version_set = 0\n")
        archive.writestr("model/model.json", json.dumps(model))
    return out.getvalue()


ADD_TO_A_DICT = """def forward(self,
    x: Tensor,
    y: Tensor) -> Dict[str, Tensor]:
  return {"out": torch.add(x, y, alpha=1)}
"""
ADD = """def forward(self,
    x: Tensor,
    y: Tensor) -> Tensor:
  return torch.add(x, y, alpha=1)
"""
JOIN = """def forward(self,
    x: List[str],
    y: List[str]) -> Dict[str, List[str]]:
  joined = [""]
  for i in range(torch.len(x)):
    first = torch.select(x, i)
    second = torch.select(y, i)
    _0 = torch.append(joined, torch.add(torch.add(first, " "), second))
  _1 = torch.slice(joined, 1, 9223372036854775807, 1)
  return {"out": _1}
"""


def test_an_archive_of_2019_adds(old_package):
    path = old_package("torchscript", numbers(), {"0/data/model.pt": archive_of_2019(ADD_TO_A_DICT)})
    with load_neuropod(path) as model:
        assert model.infer({"x": X, "y": X})["out"].tolist() == (X + X).tolist()


def test_an_archive_of_2019_joins_strings(old_package):
    path = old_package("torchscript", strings(), {"0/data/model.pt": archive_of_2019(JOIN)})
    with load_neuropod(path) as model:
        assert model.infer(WORDS)["out"].tolist() == JOINED


@pytest.fixture
def one_tensor_out(old_package):
    """An archive that returns a bare tensor; its spec declares an input of strings that the method does not take."""
    specs = numbers(shape=("batch_size", None))
    specs["input_spec"] += rows("string", ["batch_size"], "optional")
    return old_package("torchscript", specs, {"0/data/model.pt": archive_of_2019(ADD)})


def test_an_input_that_the_method_lacks_matters_only_when_it_is_given(one_tensor_out):
    with load_neuropod(one_tensor_out) as model:
        assert model.infer({"x": X, "y": X})["out"].tolist() == (X + X).tolist()
        with pytest.raises(RuntimeError, match="optional"):
            model.infer({"x": X, "y": X, "optional": np.array(["a", "b"])})


UNION = """
from typing import Dict, List, Union
import torch

class Union_(torch.nn.Module):
    def forward(self, inputs: Dict[str, Union[List[str], torch.Tensor]]):
        a, b = inputs["a"], inputs["b"]
        assert isinstance(a, List[str])
        assert isinstance(b, torch.Tensor)
        lengths = torch.tensor([float(len(word)) for word in a]).unsqueeze(1)
        return {"c": torch.cat([lengths, b], 1)}
"""


def test_a_dict_of_strings_and_tensors(old_package, torch_module, tmp_path):
    torch_module(UNION, "Union_", tmp_path).save(tmp_path / "model.pt")
    specs = {
        "input_spec": rows("string", [None], "a") + rows("float32", [None, 1], "b"),
        "output_spec": rows("float32", [None, 2], "c"),
    }
    files = {"0/data/model.pt": (tmp_path / "model.pt").read_bytes()}
    devices = {"a": "GPU", "b": "GPU"}
    path = old_package("torchscript", specs, files, custom_ops=[], input_tensor_device=devices)
    with load_neuropod(path) as model:
        out = model.infer({"a": np.array(["one", "three"]), "b": np.array([[1], [2]], np.float32)})["c"]
    assert out.tolist() == [[3, 1], [5, 2]]


# Python: torch modules that take and return numpy arrays, pinned to torch 1.4.0

MODULE = """
import numpy as np
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x, y):
        return {{"out": {out}}}


def get_model(_):
    return Model()
"""
PIN = {"0/requirements.lock": "torch==1.4.0\n"}


def module_package(old_package, out, specs, **files):
    config = json.dumps({"entrypoint": "get_model", "entrypoint_package": "main"})
    return old_package(
        "python", specs, {"0/code/main.py": MODULE.format(out=out), "0/config.json": config, **PIN, **files}
    )


def test_a_module_that_adds_runs_with_the_torch_that_is_here(old_package):
    path = module_package(old_package, "x + y", numbers())
    with load_neuropod(path, trust=True) as model:
        assert model.infer({"x": X, "y": X})["out"].tolist() == (X + X).tolist()


def test_a_module_that_joins_strings(old_package):
    out = "np.array([a + ' ' + b for a, b in zip(x.astype(np.str_), y.astype(np.str_))])"
    path = module_package(old_package, out, strings())
    with load_neuropod(path, trust=True) as model:
        assert model.infer(WORDS)["out"].tolist() == JOINED
