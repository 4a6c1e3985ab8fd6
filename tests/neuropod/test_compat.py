"""Code that says `import neuropod` runs unchanged when it is asked for, and nothing named so exists otherwise."""

import importlib
import importlib.util
import os
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

import perceptum
from perceptum.neuropod import NeuropodError, compat, loader, packagers


@pytest.fixture
def neuropod():
    """The module `neuropod`, for one test."""
    compat.install()
    yield sys.modules["neuropod"]
    compat.uninstall()


def test_nothing_named_neuropod_is_installed(tmp_path):
    """Asked in a process of its own, since this one may have the checkout's root, with that folder, on its path."""
    program = "import perceptum.neuropod, importlib.util; print(importlib.util.find_spec('neuropod'))"
    home = str(Path(perceptum.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": home},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "None\n"


NAMES = {
    "neuropod.loader": ["load_neuropod"],
    "neuropod.packagers": [f"create_{k}_neuropod" for k in ("keras", "python", "pytorch", "tensorflow", "torchscript")],
    "neuropod.registry": ["register_backend"],
    "neuropod.neuropod_native": ["Neuropod", "TensorSpec", "Dimension", "TensorType", "BackendLoadSpec", "serialize"],
    "neuropod.utils.config_utils": ["validate_tensor_spec", "write_neuropod_config", "ALLOWED_DTYPES"],
    "neuropod.utils.dtype_utils": ["get_dtype", "get_dtype_name"],
    "neuropod.utils.env_utils": ["eval_in_new_process"],
    "neuropod.utils.eval_utils": ["load_and_test_neuropod", "save_test_data", "load_test_data", "TEST_DATA_FILENAME"],
    "neuropod.utils.hash_utils": ["sha256sum"],
    "neuropod.utils.pip_utils": ["compile_requirements"],
    "neuropod.utils.packaging_utils": ["packager", "set_packager_docstring", "expand_default_kwargs"],
    "neuropod.utils.randomify": ["randomify_neuropod"],
    "neuropod.backends.config_utils": ["validate_neuropod_config", "read_neuropod_config"],
    "neuropod.backends.keras.packager": ["create_keras_neuropod", "infer_keras_input_spec", "infer_keras_output_spec"],
    "neuropod.backends.python.packager": ["create_python_neuropod"],
    "neuropod.backends.pytorch.packager": ["create_pytorch_neuropod"],
    "neuropod.backends.tensorflow.packager": ["create_tensorflow_neuropod"],
    "neuropod.backends.torchscript.packager": ["create_torchscript_neuropod"],
    "neuropod.backends.python.utils": ["preinstall_deps"],
}


@pytest.mark.parametrize("module", NAMES)
def test_every_module_that_its_users_import_answers(neuropod, module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []
    reached = neuropod
    for part in module.split(".")[1:]:
        reached = getattr(reached, part)
    assert reached is found


def test_it_is_our_loader_itself(neuropod):
    assert neuropod.loader is loader
    assert neuropod.__version__ == "0.3.0rc7"


def test_it_comes_and_goes(neuropod):
    assert compat.is_installed()
    compat.install()
    compat.uninstall()
    compat.uninstall()
    assert not compat.is_installed()
    assert [name for name in sys.modules if name.split(".")[0] == "neuropod"] == []
    assert loader is sys.modules["perceptum.neuropod.loader"]
    compat.install()
    assert importlib.import_module("neuropod.loader") is loader


def test_a_module_that_ubers_library_did_not_have_is_not_found(neuropod):
    with pytest.raises(ModuleNotFoundError, match=r"neuropod\.nothing"):
        importlib.import_module("neuropod.nothing")


def test_another_neuropod_is_not_pushed_aside(monkeypatch):
    other = types.ModuleType("neuropod")
    other.__file__ = "/somewhere/neuropod/__init__.py"
    monkeypatch.setitem(sys.modules, "neuropod", other)
    with pytest.raises(NeuropodError) as error:
        compat.install()
    assert str(error.value) == (
        "another module 'neuropod' is already imported, from /somewhere/neuropod/__init__.py; install before it is"
    )
    compat.uninstall()
    assert sys.modules["neuropod"] is other


def test_an_unknown_keyword_is_ignored_with_a_warning_here_and_an_error_at_our_own_door(neuropod, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("def make(data):\n    return lambda: {}\n")
    options = {
        "model_name": "m",
        "input_spec": [],
        "output_spec": [],
        "data_paths": [],
        "code_path_spec": [{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
        "entrypoint_package": "main",
        "entrypoint": "make",
    }
    with pytest.warns(UserWarning, match="create_python_neuropod has no keyword 'some_flag': ignored, as Uber's"):
        neuropod.packagers.create_python_neuropod(neuropod_path=tmp_path / "m", some_flag=True, **options)
    assert (tmp_path / "m").is_file()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neuropod.packagers.create_python_neuropod(neuropod_path=tmp_path / "n", **options)
    with pytest.raises(TypeError, match="some_flag"):
        packagers.create_python_neuropod(neuropod_path=tmp_path / "o", some_flag=True, **options)


def test_a_keras_packager_takes_the_session_and_the_model_without_their_names(neuropod, monkeypatch):
    got = {}
    monkeypatch.setattr(packagers, "create_tensorflow_neuropod", lambda **options: got.update(options))
    import keras

    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, name="out")])
    neuropod.packagers.create_keras_neuropod(None, model, {"in": "x", "out": "out"}, neuropod_path="m", model_name="m")
    assert [row["name"] for row in (*got["input_spec"], *got["output_spec"])] == ["in", "out"]
    with pytest.raises(TypeError, match="positional"):
        neuropod.packagers.create_python_neuropod("m")


def test_a_compiled_backend_is_noted_and_said_to_be_of_no_use(neuropod):
    with pytest.warns(UserWarning, match="has no effect: perceptum runs torchscript packages with a backend in Python"):
        neuropod.registry.register_backend("torchscript", "1.7.0", "/opt/backend.so")
    spec = neuropod.registry._REGISTERED_BACKENDS.pop()
    assert (spec.type, spec.version, spec.path) == ("torchscript", "1.7.0", "/opt/backend.so")
    with pytest.raises(NeuropodError, match=r"the compiled backend '/opt/backend\.so' cannot be used"):
        neuropod.neuropod_native.Neuropod("m", [spec])


def test_the_native_model_tells_its_spec_in_the_bindings_words(neuropod, packed):
    native = neuropod.neuropod_native
    model = native.Neuropod(packed("python", "mixed"), [], use_ope=True, visible_gpu=None)
    assert (model.get_name(), model.get_platform()) == ("mixed_model", "python")
    x, words = model.get_inputs()
    assert (x.name, x.type, x.type.name) == ("x", native.TensorType.float64, "float64")
    assert (words.dims[0].value, words.dims[0].symbol) == (-2, "m")
    assert native.Dimension.of(None).value == -1
    assert [int(kind) for kind in native.TensorType] == list(range(11))
    assert model.infer({"x": np.ones(1), "words": np.array(["a"])})["shout"].tolist() == ["a!"]


SCRIPT = """
from perceptum.neuropod import compat
compat.install()

# what follows knows nothing of perceptum
import os
import tempfile
import numpy as np
from neuropod.backends.python.packager import create_python_neuropod
from neuropod.loader import load_neuropod
from neuropod.utils.eval_utils import load_and_test_neuropod

SOURCE = '''
def get_model(_):
    return lambda x, y: {"out": x + y}
'''

with tempfile.TemporaryDirectory() as folder:
    code = os.path.join(folder, "code")
    os.mkdir(code)
    with open(os.path.join(code, "addition.py"), "w") as file:
        file.write(SOURCE)
    path = os.path.join(folder, "model.neuropod")
    rows = lambda names: [{"name": n, "dtype": "float32", "shape": ("batch_size",)} for n in names]
    create_python_neuropod(
        neuropod_path=path,
        model_name="addition_model",
        data_paths=[],
        code_path_spec=[{"python_root": code, "dirs_to_package": [""]}],
        entrypoint_package="addition",
        entrypoint="get_model",
        input_spec=rows("xy"),
        output_spec=rows(["out"]),
        test_input_data={"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)},
        test_expected_out={"out": np.full(2, 2, np.float32)},
    )
    load_and_test_neuropod(path, {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)})
    with load_neuropod(path) as model:
        print(model.name, model.platform, model.inputs[0]["shape"], model.infer({"x": np.ones(1, np.float32),
              "y": np.ones(1, np.float32)})["out"].tolist())
    try:
        load_neuropod(path, load_custom_ops=False)
    except RuntimeError as error:
        print(error)
"""


def test_a_whole_old_script_runs_unchanged(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "addition_model python ['batch_size'] [2.0]",
        "Got unexpected keyword argument load_custom_ops; load_neuropod takes visible_gpu and use_ope",
    ]
