"""Models that differentiate while they run: TorchScript is looked into, code says so, the others need nothing."""

import json
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import (
    NeuropodError,
    create_jax_neuropod,
    create_pytorch_neuropod,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)

torch = pytest.importorskip("torch")

SPEC = {
    "model_name": "m",
    "input_spec": [{"name": "x", "dtype": "float32", "shape": ["n"]}],
    "output_spec": [{"name": "slope", "dtype": "float32", "shape": ["n"]}],
}
X = {"x": np.array([1, 2, 3], np.float32)}

SOURCE = """
import torch

class Slope(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = x.clone().requires_grad_(True)
        g = torch.autograd.grad([(x * x).sum()], [x])[0]
        assert g is not None
        return {"slope": g}

class Backward(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = x.clone().requires_grad_(True)
        (x * x).sum().backward()
        g = x.grad
        assert g is not None
        return {"slope": g}

class Carries(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(2.0))
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"slope": x * self.w}

class Hidden(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = x.clone().requires_grad_(True) * 2
        if not y.requires_grad:
            raise RuntimeError("element 0 of tensors does not require grad")
        return {"slope": y}
"""


@pytest.fixture
def pack(tmp_path, torch_module):
    def pack_one(name, **options):
        path = tmp_path / f"{name}.neuropod"
        module = torch_module(SOURCE, name, tmp_path)
        create_torchscript_neuropod(neuropod_path=path, module=module, **SPEC, **options)
        return path

    return pack_one


@pytest.mark.parametrize("name", ["Slope", "Backward"])
def test_torchscript_that_differentiates_is_found_out(load, pack, name):
    path = pack(name, test_input_data=X)
    with load(path) as model:
        for around in (torch.enable_grad, torch.no_grad, torch.inference_mode):
            with around():
                assert model.infer(X)["slope"].tolist() == [2, 4, 6]
        assert not model.infer(X, outputs="torch")["slope"].requires_grad
    assert "perceptum.json" not in zipfile.ZipFile(path).namelist()


def test_the_option_is_kept_beside_the_spec_and_obeyed(load, pack):
    with pytest.raises(
        NeuropodError, match=r"differentiates, and runs without gradients: pack it with gradients=True$"
    ):
        pack("Slope", test_input_data=X, gradients=False)
    path = pack("Slope", gradients=False)
    assert json.loads(zipfile.ZipFile(path).read("perceptum.json"))["gradients"] is False
    with load(path) as model, pytest.raises(NeuropodError, match="pack it with gradients=True"):
        model.infer(X)


def test_what_is_not_found_out_can_be_said(load, pack):
    with pytest.raises(NeuropodError, match="pack it with gradients=True"):
        pack("Hidden", test_input_data=X)
    with load(pack("Hidden", gradients=True, test_input_data=X)) as model:
        assert model.infer(X)["slope"].tolist() == [2, 4, 6]


def test_outputs_carry_no_gradients(load, pack):
    with load(pack("Carries", gradients=True)) as model:
        assert model.infer(X)["slope"].tolist() == [2, 4, 6]
        assert not model.infer(X, outputs="native")["slope"].requires_grad


def test_the_callers_own_mode_is_left_alone(load, pack):
    with load(pack("Slope")) as model:
        for around, wanted in ((torch.enable_grad, True), (torch.no_grad, False)):
            with around():
                model.infer(X)
                assert torch.is_grad_enabled() is wanted


@pytest.mark.parametrize("value", ["yes", 1, []])
def test_a_record_that_says_neither_yes_nor_no_is_refused(pack, package_folder, value):
    folder = package_folder(pack("Slope", gradients=True))
    record = json.loads((folder / "perceptum.json").read_text())
    (folder / "perceptum.json").write_text(json.dumps({**record, "gradients": value}))
    with pytest.raises(NeuropodError, match=r"perceptum.json: gradients must be true or false, got"):
        load_neuropod(folder)


CODE = """
import torch

def make(data):
    def model(x):
        x = torch.from_numpy(x.copy()).requires_grad_(True)
        (slope,) = torch.autograd.grad((x * x).sum(), x)
        return {"slope": slope.numpy()}
    return model
"""


@pytest.mark.parametrize("gradients", [None, True])
def test_code_differentiates_as_it_likes_and_under_no_grad_where_it_says_so(tmp_path, gradients):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(CODE)
    create_pytorch_neuropod(
        neuropod_path=tmp_path / "m",
        data_paths=[],
        code_path_spec=[{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
        gradients=gradients,
        test_input_data=X,
        **SPEC,
    )
    with load_neuropod(tmp_path / "m", trust=True) as model:
        assert model.infer(X)["slope"].tolist() == [2, 4, 6]
        for around in (torch.no_grad, torch.inference_mode):
            with around():
                if gradients:
                    assert model.infer(X)["slope"].tolist() == [2, 4, 6]
                else:
                    with pytest.raises(NeuropodError, match="pack it with gradients=True"):
                        model.infer(X)


def test_a_torch_export_program_has_its_gradients_written_out(tmp_path):
    scope = {}
    exec(SOURCE, scope)
    program = torch.export.export(
        scope["Slope"](), (torch.ones(4),), dynamic_shapes={"x": {0: torch.export.Dim("n", min=2)}}
    )
    create_torch_export_neuropod(neuropod_path=tmp_path / "m", program=program, test_input_data=X, **SPEC)
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer(X)["slope"].tolist() == [2, 4, 6]


def test_tensorflow_and_jax_differentiate_inside_their_graphs(tmp_path):
    jax = pytest.importorskip("jax")
    tf = pytest.importorskip("tensorflow")

    class Slope(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(x * x)
            return {"slope": tape.gradient(y, x)}

    create_tensorflow_neuropod(neuropod_path=tmp_path / "tf", trackable_obj=Slope(), test_input_data=X, **SPEC)
    create_jax_neuropod(
        neuropod_path=tmp_path / "jax",
        function=lambda x: {"slope": jax.grad(lambda v: (v * v).sum())(x)},
        test_input_data=X,
        **SPEC,
    )
    for name in ("tf", "jax"):
        with load_neuropod(tmp_path / name) as model:
            assert model.infer(X)["slope"].tolist() == [2, 4, 6]
