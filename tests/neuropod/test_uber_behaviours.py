"""What the Python tests of Uber's library assert, each as a test of ours, through the old names.

By the file they stand in there. What stands elsewhere here: the bytes of a package and its hash (test_package),
strings, mixed dicts, symbols and ranks on every backend (test_contract), old TorchScript archives (test_torchscript),
equal module names (test_packagers), Keras (test_keras, test_packagers), randomify (test_placeholder), the fresh process
(test_selftest), serialization (test_serialization). What cannot be here: GPU tests; requirements of
torch==1.4.0 and scikit-learn==0.22.0, which no Python of today can install (ours are made without the pin); TensorFlow
1.x's own versions. Custom ops, which a C++ compiler builds, are in test_custom_ops.
"""

import copy
import json
import logging
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, compat

pytestmark = pytest.mark.usefixtures("warm")

NUMBERS = {"x": np.arange(5, dtype=np.float32), "y": np.arange(5, dtype=np.float32)}
ROWS = {
    "input_spec": [{"name": n, "dtype": "float32", "shape": ("batch_size",)} for n in "xy"],
    "output_spec": [{"name": "out", "dtype": "float32", "shape": ("batch_size",)}],
}
RIGHT = {"test_input_data": NUMBERS, "test_expected_out": {"out": np.arange(5) * 2.0}}
WRONG = {"test_input_data": NUMBERS, "test_expected_out": {"out": np.zeros(5)}}
BOTH = pytest.mark.parametrize(("data", "fails"), [(RIGHT, False), (WRONG, True)], ids=["right", "wrong"])


@pytest.fixture(autouse=True)
def neuropod():
    compat.install()
    import neuropod

    yield neuropod
    compat.uninstall()


def packed_or_refused(fails, create, **options):
    """Packs; a wrong expected output is a ValueError."""
    if not fails:
        create(**options)
        return
    with pytest.raises(ValueError, match="out does not match expected value!"):
        create(**options)


def compat_loaded(path):
    from neuropod.loader import load_neuropod

    return load_neuropod(str(path))


# backends/python, backends/pytorch


@pytest.fixture
def pack_code(tmp_path, neuropod):
    def make(source, name="model", kind="python", **options):
        code = tmp_path / f"{name}_code"
        code.mkdir()
        (code / "main.py").write_text(source)
        getattr(neuropod.packagers, f"create_{kind}_neuropod")(
            **{
                "neuropod_path": str(tmp_path / name),
                "model_name": "addition_model",
                "data_paths": [],
                "code_path_spec": [{"python_root": str(code), "dirs_to_package": [""]}],
                "entrypoint_package": "main",
                "entrypoint": "get_model",
                **ROWS,
                **options,
            }
        )
        return tmp_path / name

    return make


@BOTH
def test_python_packaging(pack_code, data, fails):
    source = (
        "import sys\ndef get_model(_):\n    assert isinstance(sys.argv, list)\n    return lambda x, y: {'out': x + y}\n"
    )
    packed_or_refused(fails, pack_code, source=source, **data)


def test_python_outputs_that_are_not_contiguous_survive(pack_code, neuropod):
    source = "import numpy as np\ndef get_model(_):\n    return lambda x, y: {'out': np.stack([x, y], 1)[:, 0]}\n"
    path = pack_code(source, test_input_data=NUMBERS, test_expected_out={"out": NUMBERS["x"]})
    out = neuropod.loader.load_neuropod(str(path)).infer(NUMBERS)["out"]
    assert out.flags.c_contiguous
    np.testing.assert_array_equal(out, NUMBERS["x"])


@BOTH
def test_pytorch_packaging(pack_code, data, fails):
    source = (
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        "    def forward(self, x, y):\n"
        "        return {'out': (torch.from_numpy(x) + torch.from_numpy(y)).numpy()}\n"
        "def get_model(_):\n"
        "    return Model()\n"
    )
    packed_or_refused(fails, pack_code, source=source, kind="pytorch", **data)


@pytest.mark.parametrize(("expected", "fails"), [(["apple sauce", "🐈 🧀"], False), (["a", "b"], True)])
def test_pytorch_strings(pack_code, expected, fails):
    source = (
        "import numpy as np\n"
        "def get_model(_):\n"
        "    return lambda x, y: {'out': np.array([f'{a} {b}' for a, b in zip(x, y)])}\n"
    )
    rows = {side: [{**row, "dtype": "string"} for row in ROWS[side]] for side in ROWS}
    data = {
        "test_input_data": {"x": np.array(["apple", "🐈"]), "y": np.array(["sauce", "🧀"])},
        "test_expected_out": {"out": np.array(expected)},
    }
    packed_or_refused(fails, pack_code, source=source, kind="pytorch", **rows, **data)


def test_python_deps(pack_code, neuropod):
    """Two copies of one package that needs a library, in one process; the pin is today's."""
    version = np.__version__
    source = "import numpy as np\ndef get_model(_):\n    return lambda x, y: {'out': np.add(x, y)}\n"
    models = []
    for name in ("a", "b"):
        path = pack_code(source, name, requirements=f"# a comment\nnumpy=={version}\n", package_as_zip=False)
        assert (path / "0/requirements.lock").read_text() == f"numpy=={version}\n"
        models.append(neuropod.loader.load_neuropod(str(path)))
    assert [model.infer(NUMBERS)["out"].tolist() for model in models] == [[0, 2, 4, 6, 8]] * 2


@pytest.mark.slow
def test_preinstall_python_deps(neuropod, monkeypatch, tmp_path, index):
    """Uber's, which names the Python by a variable. It downloads: without an index of packages it is skipped."""
    monkeypatch.setenv("HOME", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("NEUROPOD_PYTHON_VERSION", version)
    index("lightgbm==3.3.2")
    neuropod.backends.python.utils.preinstall_deps(os.getenv("NEUROPOD_PYTHON_VERSION"), "lightgbm==3.3.2")
    folder = f"~/.neuropod/pythonpackages/py{version.replace('.', '')}/lightgbm==3.3.2"
    assert os.path.isdir(os.path.expanduser(folder))
    with pytest.raises(RuntimeError, match=r"no-such-package==3\.3\.2 was not installed: No matching distribution"):
        neuropod.backends.python.utils.preinstall_deps(version, "no-such-package==3.3.2")


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "--extra-index-url https://example.org/simple",
        "-i https://example.org/simple",
        "--trusted-host example.org",
        "--find-links wheels",
        "--no-binary :all:",
        "-f wheels",
        "# a comment",
        "",
    ],
)
def test_option_lines_that_pip_compile_writes_are_skipped(pack_code, neuropod, line):
    source = "def get_model(_):\n    return lambda x, y: {'out': x + y}\n"
    path = pack_code(source, package_as_zip=False)
    (path / "manifest.json").unlink()
    lock = path / "0/requirements.lock"
    lock.write_text(f"{line}\nnumpy=={np.__version__}\n")
    assert neuropod.loader.load_neuropod(str(path)).infer(NUMBERS)["out"][1] == 2
    lock.write_text(
        f"{line}\nnumpy=={np.__version__} \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
    )
    neuropod.loader.load_neuropod(str(path)).close()
    lock.write_text(f"{line}\nnumpy>=1\n")
    with pytest.raises(ValueError, match=r"requirements.lock: 'numpy>=1' is not of the form name==version"):
        neuropod.loader.load_neuropod(str(path))


# backends/torchscript

TORCH = """
from typing import Dict, List, NamedTuple, Tuple
import torch
from torch import Tensor

class arguments(torch.nn.Module):
    def forward(self, x, y):
        return {"out": x + y}

class one_dict(torch.nn.Module):
    def forward(self, data: Dict[str, Tensor]):
        return {"out": data["x"] + data["y"]}

class one_tensor(torch.nn.Module):
    def forward(self, x, y):
        return x + y

Out = NamedTuple("Out", [("out", Tensor)])

class named(torch.nn.Module):
    def forward(self, x, y) -> Out:
        return Out(out=x + y)

class two_dicts(torch.nn.Module):
    def forward(self, x, y) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
        return {"out": x + y}, {"out": x}
"""


@pytest.fixture
def pack_script(tmp_path, neuropod, torch_module):
    def make(which, **options):
        module = torch_module(TORCH, which, tmp_path)
        path = tmp_path / which
        neuropod.packagers.create_torchscript_neuropod(
            neuropod_path=str(path), model_name="addition_model", module=module, **{**ROWS, **options}
        )
        return path

    return make


@pytest.mark.parametrize("which", ["arguments", "one_dict", "one_tensor", "named"])
def test_torchscript_packaging(pack_script, which):
    """The test of what is packed is the same process for each: a wrong expectation is compared with its answer here."""
    from perceptum.neuropod.pack import selftest

    path = pack_script(which, **RIGHT)
    with compat_loaded(path) as model, pytest.raises(ValueError, match="out does not match expected value!"):
        selftest.compare(model.infer(NUMBERS), WRONG["test_expected_out"])


def test_torchscript_packaging_fails_where_the_answer_is_wrong(pack_script):
    packed_or_refused(True, pack_script, which="arguments", **WRONG)


def test_torchscript_output_that_comes_twice_is_an_error(pack_script):
    with pytest.raises((RuntimeError, subprocess.CalledProcessError), match="returned the output 'out' twice"):
        pack_script("two_dicts", test_input_data=NUMBERS)


# backends/tensorflow


@pytest.fixture
def pack_saved(tmp_path, neuropod):
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    tf = import_tensorflow()

    class Add(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, n) for n in "xy"])
        def __call__(self, x, y):
            return {"out": x + y}

    def make(**options):
        path = tmp_path / "saved"
        neuropod.packagers.create_tensorflow_neuropod(
            neuropod_path=str(path), model_name="addition_model", trackable_obj=Add(), **{**ROWS, **options}
        )
        return path

    return make


@BOTH
def test_tensorflow_packaging(pack_saved, data, fails):
    packed_or_refused(fails, pack_saved, **data)


def test_tensorflow_packaging_as_a_folder_and_with_a_range_of_versions(pack_saved):
    path = pack_saved(package_as_zip=False, platform_version_semver="2.0.0 - 3.0.0", **RIGHT)
    assert path.is_dir()


@pytest.mark.parametrize("wanted", ["a.b.c", "0.0.1"])
def test_tensorflow_versions(pack_saved, wanted):
    with pytest.raises(RuntimeError, match=wanted.replace(".", r"\.")):
        pack_saved(platform_version_semver=wanted, test_input_data=NUMBERS)


@pytest.mark.parametrize("as_list", [True, False])
def test_tensorflow_state_and_its_init_op(tmp_path, neuropod, as_list):
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    v1 = import_tensorflow().compat.v1
    with v1.Graph().as_default() as graph:
        x = v1.placeholder("float32", (), name="x")
        total = v1.get_variable("total", (), initializer=v1.zeros_initializer(), use_resource=False)
        out = v1.assign_add(total, x)
        init = v1.global_variables_initializer().name
    path = tmp_path / "accumulator"
    data = {"test_input_data": {"x": np.float32(5)}, "test_expected_out": {"out": np.float32(5)}}
    neuropod.packagers.create_tensorflow_neuropod(
        neuropod_path=str(path),
        model_name="accumulator_model",
        graph_def=graph.as_graph_def(),
        node_name_mapping={"x": "x:0", "out": out.name},
        init_op_names=[init] if as_list else init,
        input_spec=[{"name": "x", "dtype": "float32", "shape": ()}],
        output_spec=[{"name": "out", "dtype": "float32", "shape": ()}],
        **(data if as_list else {}),  # in the fresh process once: the two packages are of the same bytes
    )
    assert json.loads(zipfile.ZipFile(path).read("0/config.json"))["init_op_names"] == [init]
    model = neuropod.loader.load_neuropod(str(path))
    assert [model.infer({"x": np.float32(x)})["out"].item() for x in (2, 4)] == [2.0, 6.0]


# utils/test_config_utils

VALID = {
    "name": "addition_model",
    "platform": "tensorflow",
    "input_spec": [{"name": "x", "dtype": "float32", "shape": (None, 2, "some_symbol")}],
    "output_spec": [{"name": "y", "dtype": "float32", "shape": (None, 2, "some_symbol")}],
    "input_tensor_device": {"x": "GPU"},
}


def test_canonical_specs(neuropod):
    canonicalize = neuropod.utils.config_utils.canonicalize_tensor_spec
    rows = [{"name": "x", "dtype": "string", "shape": (None, 2, "s")}, {"name": "y", "dtype": "double", "shape": (2,)}]
    want = [rows[0], {**rows[1], "dtype": "float64"}]
    assert canonicalize(rows) == want
    assert canonicalize(want) == want


def test_a_valid_config_is_valid(neuropod):
    neuropod.utils.config_utils.validate_neuropod_config(copy.deepcopy(VALID))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(name=True),
        lambda c: c.update(platform=5),
        lambda c: c["input_tensor_device"].update(x="TPU"),
        lambda c: c["input_tensor_device"].update(y="CPU"),
        lambda c: c.update(input_tensor_device={}),
        lambda c: c["input_spec"][0].update(dtype="complex128"),
        lambda c: c["input_spec"][0].update(dtype="double"),
        lambda c: c["input_spec"][0].update(name=5),
        lambda c: c["input_spec"][0].update(shape="123"),
        lambda c: c["input_spec"][0].update(shape=(None, 2, "some_symbol", True)),
        lambda c: c["output_spec"][0].update(shape=(0,)),
        lambda c: c.update(custom_ops="op.so"),
        lambda c: c.update(custom_ops=[3]),
    ],
)
def test_a_config_that_is_not_valid_is_a_value_error(neuropod, change):
    config = copy.deepcopy(VALID)
    change(config)
    with pytest.raises(ValueError, match=r"\w"):
        neuropod.utils.config_utils.validate_neuropod_config(config)


def test_a_config_is_written_as_the_packagers_write_it_and_read_back(neuropod, tmp_path, pack_code):
    utils = neuropod.utils.config_utils
    path = pack_code("def get_model(_):\n    return lambda x, y: {}\n", package_as_zip=False)
    written = (path / "config.json").read_bytes()
    utils.write_neuropod_config(str(tmp_path), "addition_model", "python", ROWS["input_spec"], ROWS["output_spec"])
    assert (tmp_path / "config.json").read_bytes() == written
    config = utils.read_neuropod_config(str(tmp_path))
    assert config == json.loads(written)
    utils.validate_neuropod_config(config)
    old = {key: value for key, value in config.items() if key != "input_tensor_device"}
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert utils.read_neuropod_config(str(tmp_path))["input_tensor_device"] == {"x": "GPU", "y": "GPU"}


# utils/test_eval_utils and the other helpers


def test_test_data_is_saved_and_loaded(neuropod, tmp_path, caplog):
    utils = neuropod.utils.eval_utils
    utils.save_test_data(str(tmp_path), {"x": 1, "y": np.arange(3)}, {"out": 2})
    found = utils.load_test_data(str(tmp_path))
    assert (found["test_input"]["x"], found["test_output"]) == (1, {"out": 2})
    (tmp_path / utils.TEST_DATA_FILENAME).unlink()
    with caplog.at_level(logging.WARNING):
        assert utils.load_test_data(str(tmp_path)) is None
    assert "no test data" in caplog.text


def test_outputs_are_compared_in_ubers_words(neuropod, caplog):
    utils = neuropod.utils.eval_utils
    utils.check_output_matches_expected({"a": np.ones(2), "b": 3}, {"a": np.ones(2)})
    with pytest.raises(ValueError, match="a does not match expected value!"):
        utils.check_output_matches_expected({"a": np.ones(2)}, {"a": np.zeros(2)})
    with caplog.at_level(logging.INFO):
        utils.print_output_summary({"a": np.ones(2)})
    assert "a: array with shape (2,) and dtype float64" in caplog.text
    with pytest.raises(ValueError, match="All outputs must be numpy arrays! Output `a` was of type"):
        utils.print_output_summary({"a": [1]})


def test_a_package_runs_in_another_python(neuropod, pack_code, capfd):
    path = pack_code("def get_model(_):\n    return lambda x, y: {'out': x + y}\n")
    evaluate = neuropod.utils.env_utils.eval_in_new_process
    out = evaluate(str(path), NUMBERS, neuropod_load_args={"visible_gpu": None})
    np.testing.assert_array_equal(out["out"], NUMBERS["x"] * 2)
    with pytest.raises(subprocess.CalledProcessError):
        evaluate(str(path), {"z": NUMBERS["x"]}, stderr=subprocess.DEVNULL)
    with pytest.raises(subprocess.CalledProcessError):
        evaluate(str(path), NUMBERS, extra_args=["--no-such-option"], stderr=subprocess.DEVNULL)
    with pytest.raises(ValueError, match="out does not match expected value!"):
        neuropod.utils.eval_utils.load_and_test_neuropod(str(path), NUMBERS, {"out": np.zeros(5)})


def test_the_loader_is_a_command(pack_code, tmp_path):
    import pickle

    from perceptum.neuropod.package import test_data

    path = pack_code("def get_model(_):\n    return lambda x, y: {'out': x + y}\n")
    (tmp_path / "in.pkl").write_bytes(pickle.dumps(NUMBERS))
    command = [sys.executable, "-m", "perceptum.neuropod.loader", "--neuropod-path", str(path)]
    command += ["--input-pkl-path", str(tmp_path / "in.pkl"), "--output-pkl-path", str(tmp_path / "out.pkl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    out = test_data.load((tmp_path / "out.pkl").read_bytes())
    np.testing.assert_array_equal(out["out"], NUMBERS["x"] * 2)


def test_the_loaders_command_runs_nothing_that_a_pickle_holds(pack_code, tmp_path):
    path = pack_code("def get_model(_):\n    return lambda x, y: {'out': x + y}\n")
    (tmp_path / "in.pkl").write_bytes(b"cos\nsystem\n(S'echo ran'\ntR.")
    command = [sys.executable, "-m", "perceptum.neuropod.loader", "--neuropod-path", str(path)]
    done = subprocess.run(
        [*command, "--input-pkl-path", str(tmp_path / "in.pkl")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "ran" not in done.stdout
    assert "holds os.system; only numpy arrays" in done.stderr


def test_small_helpers(neuropod, tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert neuropod.utils.hash_utils.sha256sum(filename=str(tmp_path / "file")).startswith("ba7816bf8f01cfea")
    types = neuropod.utils.dtype_utils
    assert [types.get_dtype_name(t) for t in ("double", "str", "string", np.int8)] == ["float64", "string"] * 1 + [
        "string",
        "int8",
    ]
    assert types.get_dtype("string") == np.dtype("str")
    (tmp_path / "requirements.txt").write_text("NumPy==1.2.3  # maths\n")
    neuropod.utils.pip_utils.compile_requirements(str(tmp_path / "requirements.txt"), str(tmp_path / "lock"))
    assert (tmp_path / "lock").read_text() == "numpy==1.2.3\n"


def test_a_packager_of_ones_own(neuropod, tmp_path):
    utils = neuropod.utils.packaging_utils

    @utils.packager(platform="python")
    def create_mine(neuropod_path, source, entrypoint="get_model", **kwargs):
        """{common_doc_pre}"""
        from pathlib import Path

        code = Path(neuropod_path, "0/code")
        code.mkdir(parents=True)
        (code / "__init__.py").touch()
        (code / "main.py").write_text(source)
        Path(neuropod_path, "0/config.json").write_text(
            json.dumps({"entrypoint": entrypoint, "entrypoint_package": "main"})
        )

    assert create_mine.neuropod_default_args == {"entrypoint": "get_model"}
    assert "PackOptions" in create_mine.__doc__
    source = "def get_model(_):\n    return lambda x, y: {'out': x + y}\n"
    create_mine(neuropod_path=str(tmp_path / "m"), model_name="m", source=source, **ROWS, **RIGHT)
    assert neuropod.loader.load_neuropod(str(tmp_path / "m")).infer(NUMBERS)["out"][1] == 2


# tests/, the behaviour of infer that no file of theirs names


def test_a_closed_with_leaves_errors_of_both_kinds(neuropod, pack_code):
    model = neuropod.loader.load_neuropod(str(pack_code("def get_model(_):\n    return lambda x, y: {'out': x + y}\n")))
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind, match=r"Tensor name\(s\) '\{z\}' are not found in the input spec"):
            model.infer({**NUMBERS, "z": NUMBERS["x"]})
        with pytest.raises(kind, match="Tensor 'x' in the input spec is expected to have 1 dimensions, but had 2"):
            model.infer({"x": np.ones((2, 2), np.float32)})


def test_infer_leaves_the_callers_dict_as_it_is(neuropod, pack_code):
    """Uber's put bytes in place of its text."""
    rows = {side: [{**row, "dtype": "string"} for row in ROWS[side]] for side in ROWS}
    path = pack_code("def get_model(_):\n    return lambda x, y: {'out': x}\n", **rows)
    given = {"x": np.array(["é"]), "y": np.array(["b"])}
    before = dict(given)
    neuropod.loader.load_neuropod(str(path)).infer(given)
    assert all(given[name] is array for name, array in before.items())


@pytest.mark.parametrize("backend", ["python", "torchscript", "onnx"])
def test_bytes_that_are_no_text_are_named_with_their_input(loaded, backend):
    model = loaded(backend, "strings")
    given = {"x": np.array(["a"]), "y": np.array([b"\xff"])}
    with pytest.raises(NeuropodError, match=r"input 'y': a string tensor holds bytes that are not UTF-8: b'\\xff'"):
        model.infer(given)


@pytest.mark.parametrize("backend", ["tensorflow_frozen", "tensorflow_saved"])
def test_bytes_that_are_no_text_are_named_with_the_output_that_they_are_in(loaded, backend):
    """TensorFlow's strings are bytes, which no input shows to be text."""
    where = r"output 'out': a string tensor holds bytes that are not UTF-8: b'a \\xff'"
    given = {"x": np.array(["a"]), "y": np.array([b"\xff"])}
    with pytest.raises(NeuropodError, match=where):
        loaded(backend, "strings").infer(given)
