"""TorchScript's calling conventions, and its archives from before torch 1.3."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_torchscript_neuropod, load_neuropod
from perceptum.neuropod.backends import torchscript
from perceptum.neuropod.backends.torchscript.archive import is_old, rewrite

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

SOURCE = """
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union
import torch
from torch import Tensor, nn

class dict_in(nn.Module):
    def forward(self, inputs: Dict[str, Tensor]):
        return {"out": inputs["x"] + inputs["y"]}

class strings_dict_in(nn.Module):
    def forward(self, inputs: Dict[str, List[str]]):
        return {"s": [s + "!" for s in inputs["s"]]}

class union_dict_in(nn.Module):
    def forward(self, inputs: Dict[str, Union[List[str], Tensor]]) -> Tuple[Dict[str, Tensor], Dict[str, List[str]]]:
        x = inputs["x"]
        s = inputs["s"]
        assert isinstance(x, Tensor)
        assert isinstance(s, List[str])
        return {"out": x + 1}, {"s": s}

class Answer(NamedTuple):
    out: Tensor
    s: List[str]

class named_tuple_out(nn.Module):
    def forward(self, x: Tensor) -> Answer:
        return Answer(x + 1, ["a", "b"])

class one_tensor_out(nn.Module):
    def forward(self, x: Tensor):
        return x + 1

class one_list_out(nn.Module):
    def forward(self, x: Tensor) -> List[str]:
        return ["a", "b"]

class optional_in(nn.Module):
    def forward(self, x: Tensor, y: Optional[Tensor], scale: float = 2.0):
        if y is not None:
            return {"out": (x + y) * scale}
        return {"out": x * scale}

class same_output_twice(nn.Module):
    def forward(self, x: Tensor) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
        return {"out": x + 1}, {"out": x + 2}

class one_tensor_two_names(nn.Module):
    def forward(self, x: Tensor):
        y = x + 1
        return {"out": y, "y": y, "view": y[1:]}

class tuple_of_tensors(nn.Module):
    def forward(self, x: Tensor):
        return x, x

class number_out(nn.Module):
    def forward(self, x: Tensor):
        return {"out": 3}

class strided_out(nn.Module):
    def forward(self, x: Tensor):
        return {"out": torch.stack([x, x + 1]).t()[:, 0]}

class half_out(nn.Module):
    def forward(self, x: Tensor):
        return {"out": x.to(torch.bfloat16)}

class no_arguments(nn.Module):
    def forward(self):
        return {"out": torch.ones(2)}

class raises(nn.Module):
    def forward(self, x: Tensor):
        if x.numel() > 0:
            raise RuntimeError("too many points")
        return {"out": x}

class cannot_add(nn.Module):
    def forward(self, x: Tensor):
        return {"out": x + torch.ones(7)}

class cannot_convolve(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(1, 8, 3)
    def forward(self, x: Tensor):
        return {"out": self.inner(x.reshape(1, 3, 1, 1))}

class drops_out(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Dropout()
    def forward(self, x: Tensor):
        return {"out": self.inner(x)}
"""


def row(name):
    dtype = "string" if name == "s" else "float32"
    return {"name": name, "dtype": dtype, "shape": (None,)}


def test_who_packs_a_model_in_training_mode_is_told(model, caplog):
    model("one_tensor_out", ["x"], ["out"])
    assert not caplog.text
    model("drops_out", ["x"], ["out"])
    assert "packed in training mode, in which Dropout differs; .eval() first" in caplog.text


@pytest.fixture
def model(tmp_path, torch_module):
    def make(name, inputs, outputs):
        create_torchscript_neuropod(
            neuropod_path=tmp_path / name,
            model_name=name,
            module=torch_module(SOURCE, name, tmp_path),
            input_spec=[row(n) for n in inputs],
            output_spec=[row(n) for n in outputs],
        )
        return load_neuropod(tmp_path / name)

    return make


X = np.arange(3, dtype=np.float32)
WORDS = np.array(["a", "b"])


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("dict_in", {"x": X, "y": X}, {"out": [0, 2, 4]}),
        ("dict_in", {"x": X, "y": X, "s": WORDS}, {"out": [0, 2, 4]}),
        ("strings_dict_in", {"x": X, "s": WORDS}, {"s": ["a!", "b!"]}),
        ("union_dict_in", {"x": X, "s": WORDS}, {"out": [1, 2, 3], "s": ["a", "b"]}),
        ("named_tuple_out", {"x": X}, {"out": [1, 2, 3], "s": ["a", "b"]}),
        ("one_tensor_out", {"x": X}, {"out": [1, 2, 3]}),
        ("one_list_out", {"x": X}, {"s": ["a", "b"]}),
        ("optional_in", {"x": X}, {"out": [0, 2, 4]}),
        ("optional_in", {"y": X, "x": X}, {"out": [0, 4, 8]}),
        ("strided_out", {"x": X}, {"out": [0, 1, 2]}),
        ("no_arguments", {}, {"out": [1, 1]}),
    ],
)
def test_each_way_to_call_and_to_answer_works(model, name, inputs, expected):
    loaded = model(name, inputs, expected)
    out = loaded.infer(inputs)
    assert {key: array.tolist() for key, array in out.items()} == expected
    assert all(array.flags.c_contiguous for array in out.values())


@pytest.mark.parametrize(
    ("name", "outputs", "message"),
    [
        ("same_output_twice", ["out"], "the model returned the output 'out' twice"),
        ("tuple_of_tensors", ["out"], "the model returned a tuple with Tensor in it; it may hold dicts only"),
        ("number_out", ["out"], "output 'out' is an int; a model returns tensors and lists of strings"),
        (
            "one_tensor_out",
            ["out", "y"],
            "the model returned one value without a name, so its output spec must have exactly 1",
        ),
        ("half_out", ["out"], "output 'out' cannot leave torch: "),
        ("raises", ["out"], "too many points"),
        ("cannot_convolve", ["out"], "failed: RuntimeError: Given groups=1, weight of size [8, 1, 3, 3]"),
        ("cannot_add", ["out"], "failed: RuntimeError: The size of tensor a (3) must match the size of tensor b (7)"),
    ],
)
def test_an_answer_that_has_no_form_is_refused(model, name, outputs, message):
    with pytest.raises(RuntimeError) as error:
        model(name, ["x"], outputs).infer({"x": X})
    assert str(error.value).startswith(f"model '{name}'")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_input_that_forward_does_not_take_is_named(model):
    with pytest.raises(RuntimeError, match="the model's forward takes no argument 'y'; it takes x"):
        model("one_tensor_out", ["x", "y"], ["out"]).infer({"x": X, "y": X})


def test_text_must_be_a_list(model):
    loaded = model("strings_dict_in", ["s"], ["s"])
    loaded._check_inputs = lambda _: None
    with pytest.raises(NeuropodError, match="input 's': torch takes strings as a list, so with 1 dimension, got 2"):
        loaded.infer({"s": np.array([["a"]])})


def test_outputs_that_share_memory_in_torch_do_not_share_it_here(model):
    out = model("one_tensor_two_names", ["x"], ["out", "y", "view"]).infer({"x": X})
    out["out"][:] = -1
    assert out["y"].tolist() == [1, 2, 3]
    assert out["view"].tolist() == [2, 3]


METHODS = """op_version_set = 0
def forward(self,
    x: Tensor) -> Dict[str, Tensor]:
  _0 = (self.inner).forward(x, )
  return {"out": torch.add(torch.mul(_0, self.scale), CONSTANTS.c2, alpha=1)}
"""
INNER = """op_version_set = 0
def forward(self,
    x: Tensor) -> Tensor:
  y = torch.add(x, self.bias, alpha=1)
  if self.flag:
    y = torch.add(y, self.shift, alpha=self.factors[0])
  return y
"""


def old_archive(**changes):
    """An archive as torch 1.2 wrote them: weights, two of them in a file, a submodule, attributes, a constant."""

    def tensor(key, offset, requires_grad=False):
        layout = {"dims": ["1"], "offset": str(offset), "strides": ["1"], "dataType": "FLOAT"}
        return {**layout, "requiresGrad": requires_grad, "data": {"key": key}, "device": "cpu"}

    inner = {
        "torchscriptArena": {"key": "code/inner.py"},
        "name": "inner",
        "parameters": [
            {"isBuffer": False, "tensorId": "0", "name": "bias"},
            {"isBuffer": True, "tensorId": "1", "name": "shift"},
        ],
        "attributes": [
            {"type": "bool", "name": "flag", "id": "0"},
            {"type": "List[int]", "name": "factors", "id": "1"},
        ],
    }
    model = {
        "protoVersion": "2",
        "mainModule": {
            "torchscriptArena": {"key": "code/model.py"},
            "name": "model",
            "optimize": True,
            "submodules": [inner],
            "parameters": [{"isBuffer": False, "tensorId": "2", "name": "scale"}],
        },
        "tensors": [tensor("tensors/0", 1, True), tensor("tensors/0", 0), tensor("tensors/1", 0, True)],
    }
    files = {
        "version": b"1\n",
        "model.json": json.dumps(model).encode(),
        "code/model.py": METHODS.encode(),
        "code/inner.py": INNER.encode(),
        "libs.py": b"op_version_set = 0\n",
        "attributes.pkl": pickle.dumps([True, [2]], 2),
        "tensors/0": np.array([10, 100], np.float32).tobytes(),
        "tensors/1": np.array([3], np.float32).tobytes(),
        **changes,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"model/{name}", data)
    return out.getvalue()


@pytest.mark.usefixtures("warm")
def test_an_old_archive_runs_with_its_weights_submodules_attributes_and_constants(tmp_path):
    (tmp_path / "old.pt").write_bytes(old_archive())
    create_torchscript_neuropod(
        neuropod_path=tmp_path / "m",
        model_name="old",
        module_path=tmp_path / "old.pt",
        input_spec=[row("x")],
        output_spec=[row("out")],
        test_input_data={"x": X},
        test_expected_out={"out": (X + 100 + 10 * 2) * 3 + 3},
    )
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"x": X})["out"].tolist() == [363, 366, 369]


def test_todays_archives_are_not_old(tmp_path, torch_module):
    import torch

    buffer = io.BytesIO()
    torch.jit.save(torch_module(SOURCE, "one_tensor_out", tmp_path), buffer)
    assert not is_old(buffer.getvalue())
    assert not is_old(b"no zip")
    assert is_old(old_archive())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"libs.py": b"op_version_set = 0\nclass A:\n  pass\n"},
            "has classes of its own in libs.py; save the model again",
        ),
        ({"attributes.pkl": pickle.dumps([np.zeros(1)], 2)}, "attributes cannot be read (holds numpy"),
        ({"attributes.pkl": b"\x80"}, "attributes cannot be read"),
        ({"model.json": b"{"}, "the old TorchScript archive is broken (JSONDecodeError"),
        ({"model.json": b"{}"}, "the old TorchScript archive is broken (KeyError('mainModule'))"),
    ],
)
def test_an_old_archive_that_has_no_new_form_says_why(changes, message):
    with pytest.raises(NeuropodError) as error:
        rewrite(old_archive(**changes))
    assert message in str(error.value)


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_a_large_archive_is_read_from_a_file_since_torch_copies_bytes(tmp_path, torch_module, monkeypatch, as_zip, old):
    saved, path, temporary = tmp_path / "m.pt", tmp_path / "m", tmp_path / "temporary"
    temporary.mkdir()
    if old:
        saved.write_bytes(old_archive())
    else:
        torch_module(SOURCE, "one_tensor_out", tmp_path).save(str(saved))
    rows = {"input_spec": [row("x")], "output_spec": [row("out")]}
    create_torchscript_neuropod(neuropod_path=path, model_name="m", module_path=saved, package_as_zip=as_zip, **rows)
    with load_neuropod(path) as model:
        wanted = model.infer({"x": X})["out"].tolist()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(torchscript, "LARGE_BYTES", 0)
    if not old:
        monkeypatch.setattr(torchscript.Package, "read", None)
    with load_neuropod(path) as model:
        assert model.infer({"x": X})["out"].tolist() == wanted
        assert not list(temporary.iterdir())
