"""The packagers: Uber's keywords and errors, and what each kind of model needs."""

import dataclasses
import inspect
import json
import logging
import pydoc
import re
import sys
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod, packagers
from perceptum.neuropod.pack.packing import PackOptions
from perceptum.neuropod.package import custom_ops, requirements

NUMBERS = {
    "x": {"name": "x", "dtype": "float32", "shape": (None,)},
    "out": {"name": "out", "dtype": "float32", "shape": (None,)},
}


def common(path, **options):
    return {
        "neuropod_path": path,
        "model_name": "model",
        "input_spec": [NUMBERS["x"]],
        "output_spec": [NUMBERS["out"]],
        **options,
    }


def test_all_keywords_have_ubers_defaults():
    fields = {f.name: f for f in PackOptions.__dataclass_fields__.values()}
    assert {name: f.default for name, f in fields.items() if name in ("platform_version_semver", "package_as_zip")} == {
        "platform_version_semver": "*",
        "package_as_zip": True,
    }
    assert fields["default_input_tensor_device"].default == "GPU"
    assert fields["zip_compression"].default == zipfile.ZIP_DEFLATED
    assert fields["persist_test_data"].default is True
    assert fields["test_input_data"].default is None
    for name in packagers.__all__:
        parameters = inspect.signature(getattr(packagers, name)).parameters.values()
        assert {p.kind.name for p in parameters} <= {"KEYWORD_ONLY", "VAR_KEYWORD"}


def test_help_says_what_each_option_means():
    shown = pydoc.render_doc(PackOptions, renderer=pydoc.plaintext)
    for option in dataclasses.fields(PackOptions):
        assert re.search(rf"^ \|  {option.name}: \S+ \S+", shown, re.MULTILINE), option.name


def test_a_keyword_that_does_not_exist_is_not_swallowed(tmp_path):
    with pytest.raises(TypeError, match="no keyword 'test_imput_data'; did you mean 'test_input_data'"):
        packagers.create_torchscript_neuropod(**common(tmp_path / "m", module=object(), test_imput_data={}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": 1, "dtype": "float32", "shape": ()}, "Field 'name' must be a string! Got value 1"),
        ({"name": "x", "dtype": "bool", "shape": ()}, "bool is not an allowed data type! Tensor 'x'"),
        ({"name": "x", "dtype": "nonsense", "shape": ()}, "nonsense is not an allowed data type!"),
        ({"name": "x", "dtype": "float32", "shape": None}, "Field 'shape' must be a tuple! Got value None"),
        ({"name": "x", "dtype": "float32", "shape": "n"}, "Field 'shape' must be a tuple! Got value n"),
        (
            {"name": "x", "dtype": "float32", "shape": (True,)},
            "either be None, a string, or a positive integer! Got True",
        ),
        ({"name": "x", "dtype": "float32", "shape": (0,)}, "either be None, a string, or a positive integer! Got 0"),
        (
            {"name": "x", "dtype": "float32", "shape": (1.0,)},
            "either be None, a string, or a positive integer! Got 1.0",
        ),
        ({"name": "x", "dtype": "float32"}, "spec row 'x' is missing 'shape'; a row holds name, dtype, shape, params"),
        ({"name": "x", "dtype": "float32", "shape": (), "unit": "m"}, "spec row 'x' has the unknown key 'unit'"),
        ("x", "a spec row must be a dict with name, dtype and shape, got 'x'"),
    ],
)
def test_a_wrong_row_is_named_before_anything_is_written(tmp_path, row, message):
    path = tmp_path / "model"
    with pytest.raises(NeuropodError) as error:
        packagers.create_torchscript_neuropod(**{**common(path, module=object()), "input_spec": [row]})
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_stand_once(tmp_path):
    with pytest.raises(NeuropodError, match="'x' is listed twice in 'input_spec'; names must differ"):
        packagers.create_torchscript_neuropod(
            **{**common(tmp_path / "m", module=object()), "input_spec": [NUMBERS["x"], NUMBERS["x"]]}
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input_tensor_device": {"x": "TPU"}},
            "Device must either be 'GPU' or 'CPU'! Got value 'TPU' for tensor named 'x'",
        ),
        (
            {"input_tensor_device": {"z": "CPU"}},
            "Devices were specified for some tensors not in the `input_spec`: {'z'}",
        ),
        ({"model_name": 7}, "Field 'name' in config must be a string! Got value 7"),
        ({"custom_ops": ["/no/such/op.so"]}, "custom op '/no/such/op.so' is not a file"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, message):
    with pytest.raises(NeuropodError) as error:
        packagers.create_torchscript_neuropod(**{**common(tmp_path / "m", module=object()), **options})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("numpy_name", "stored"), [("double", "float64"), (np.float32, "float32"), (str, "string"), ("S5", "string")]
)
def test_any_numpy_type_is_stored_by_its_own_name(numpy_name, stored):
    row = {"name": "x", "dtype": numpy_name, "shape": ()}
    config = PackOptions(neuropod_path="m", model_name="m", input_spec=[row], output_spec=[]).config("python")
    assert config.inputs[0].dtype == stored


def test_sizes_may_be_numpys_integers():
    row = {"name": "x", "dtype": "float32", "shape": [np.int64(3)]}
    config = PackOptions(neuropod_path="m", model_name="m", input_spec=[row], output_spec=[]).config("python")
    assert json.loads(config.to_json())["input_spec"][0]["shape"] == [3]


def test_devices_are_written_for_every_input(tmp_path):
    rows = [{**NUMBERS["x"], "name": name} for name in "ab"]
    options = PackOptions(
        neuropod_path="m",
        model_name="m",
        input_spec=rows,
        output_spec=[],
        input_tensor_device={"a": "CPU"},
    )
    assert json.loads(options.config("torchscript").to_json())["input_tensor_device"] == {"a": "CPU", "b": "GPU"}


def test_torchscript_wants_exactly_one_source(tmp_path):
    for sources in ({}, {"module": object(), "module_path": "m.pt"}):
        with pytest.raises(ValueError, match="Exactly one of 'module' or 'module_path' must be provided"):
            packagers.create_torchscript_neuropod(**common(tmp_path / "m"), **sources)


def test_an_unscripted_module_is_refused(tmp_path):
    import torch

    with pytest.raises(
        NeuropodError, match=r"module must be a ScriptModule, got ReLU; torch.jit.script\(module\) makes"
    ):
        packagers.create_torchscript_neuropod(**common(tmp_path / "m", module=torch.nn.ReLU()))


@pytest.fixture
def graph_def():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.add(tf.compat.v1.placeholder(tf.float32, [None], name="in_x"), 1.0, name="result")
    return graph.as_graph_def()


def test_tensorflow_wants_exactly_one_source(tmp_path, graph_def):
    for sources in ({}, {"graph_def": graph_def, "saved_model_dir": "x"}):
        with pytest.raises(ValueError, match="Exactly one of `frozen_graph_path`, `graph_def`, `saved_model_dir` and"):
            packagers.create_tensorflow_neuropod(**common(tmp_path / "m"), **sources)


def test_a_frozen_graph_needs_all_its_names(tmp_path, graph_def):
    with pytest.raises(ValueError, match="node_name_mapping is required when using `frozen_graph_path` or `graph_def`"):
        packagers.create_tensorflow_neuropod(**common(tmp_path / "m"), graph_def=graph_def)
    with pytest.raises(ValueError, match=r"for every tensor in input_spec and output_spec. Missing: `\{'out'\}`"):
        packagers.create_tensorflow_neuropod(
            **common(tmp_path / "m"), graph_def=graph_def, node_name_mapping={"x": "in_x"}
        )
    assert list(tmp_path.iterdir()) == []


def test_a_frozen_graphs_file_is_taken_as_it_is(tmp_path, graph_def):
    (tmp_path / "graph.pb").write_bytes(graph_def.SerializeToString())
    packagers.create_tensorflow_neuropod(
        **common(tmp_path / "m", package_as_zip=False),
        frozen_graph_path=str(tmp_path / "graph.pb"),
        node_name_mapping={"x": "in_x:0", "out": "result"},
    )
    assert (tmp_path / "m/0/data/model.pb").read_bytes() == (tmp_path / "graph.pb").read_bytes()
    assert (tmp_path / "m/0/config.json").read_text() == (
        '{"node_name_mapping": {"x": "in_x:0", "out": "result"}, "init_op_names": []}'
    )
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"x": np.zeros(1, np.float32)})["out"].tolist() == [1]


@pytest.mark.parametrize(
    ("mapping", "init_ops", "message"),
    [
        ({"x": "in_x", "out": "nowhere"}, [], "'out' maps to the node 'nowhere:0', which is not in the graph"),
        ({"x": "in_x", "out": "result"}, ["start"], "the graph has no init op 'start'"),
    ],
)
def test_a_name_that_the_graph_has_not_is_an_error_at_load(tmp_path, graph_def, mapping, init_ops, message):
    packagers.create_tensorflow_neuropod(
        **common(tmp_path / "m"), graph_def=graph_def, node_name_mapping=mapping, init_op_names=init_ops
    )
    with pytest.raises(NeuropodError) as error:
        load_neuropod(tmp_path / "m")
    assert str(error.value) == f"{tmp_path / 'm'}: {message}"


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["x", "z"], ["out"], "The supplied SavedModel is missing the following inputs in the spec: `{'z'}`"),
        ([], ["out"], "The supplied SavedModel expects inputs that are not in the spec: `{'x'}`"),
        (["x"], ["no"], "The supplied SavedModel does not return the following outputs in the spec: `{'no'}`"),
    ],
)
def test_a_saved_model_must_fit_the_spec(tmp_path, inputs, outputs, message):
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def __call__(self, x):
            return {"out": x + 1, "more": x}

    options = {
        "input_spec": [{**NUMBERS["x"], "name": n} for n in inputs],
        "output_spec": [{**NUMBERS["x"], "name": n} for n in outputs],
    }
    with pytest.raises(ValueError, match="SavedModel") as error:
        packagers.create_tensorflow_neuropod(**{**common(tmp_path / "m"), **options}, trackable_obj=Model())
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_trackable_object_is_packed_with_its_variables_and_vocabulary(tmp_path):
    import tensorflow as tf

    (tmp_path / "words.txt").write_text("cat\ndog\n")

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(3.0)
            lines = tf.lookup.TextFileInitializer(
                str(tmp_path / "words.txt"),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(lines, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])
        def __call__(self, word):
            return {"out": tf.cast(self.table.lookup(word), tf.float32) * self.scale}

    rows = {"input_spec": [{"name": "word", "dtype": "string", "shape": (None,)}]}
    packagers.create_tensorflow_neuropod(**{**common(tmp_path / "m"), **rows}, trackable_obj=Model())
    (tmp_path / "words.txt").unlink()
    with load_neuropod(tmp_path / "m") as model:
        assert model.infer({"word": np.array(["dog", "cat", "cow"])})["out"].tolist() == [3, 0, -3]


@pytest.fixture
def code(tmp_path):
    """Returns code(files) -> the root of a tree with these sources."""

    def make(name, files):
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return tmp_path / name

    return make


def pack_code(path, root, **options):
    packagers.create_python_neuropod(
        **common(path),
        **{
            "data_paths": [],
            "code_path_spec": [{"python_root": str(root), "dirs_to_package": [""]}],
            "entrypoint_package": "main",
            "entrypoint": "make",
            **options,
        },
    )
    return path


def test_pytorch_is_python_under_another_name():
    assert packagers.create_pytorch_neuropod is packagers.create_python_neuropod


def test_two_packages_with_the_same_module_names_do_not_see_each_other(tmp_path, code):
    models = []
    for value in (1, 2):
        files = {
            "main.py": "from .inner.part import make\n",
            "inner/part.py": PART,
            "inner/value.py": f"VALUE = {value}\n",
        }
        root = code(f"code_{value}", files)
        models.append(load_neuropod(pack_code(tmp_path / f"m{value}", root), trust=True))
    x = np.zeros(1, np.float32)
    assert [m.infer({"x": x})["out"].tolist() for m in models] == [[1], [2]]
    assert [m.infer({"x": x})["out"].tolist() for m in models] == [[1], [2]]
    for model in models:
        model.close()


PART = """
import numpy as np

def make(data):
    def model(x):
        from .value import VALUE
        return {"out": x + np.float32(VALUE)}
    return model
"""


def test_code_is_forgotten_while_another_thread_imports(tmp_path, code, monkeypatch):
    """The table of modules then grows while it is looked through."""
    root = code("code", {"main.py": "def make(data):\n    return lambda x: {'out': x}\n"})
    # other tests' models may still be open
    before = set(sys.modules)
    model = load_neuropod(pack_code(tmp_path / "m", root), trust=True)
    assert {name for name in sys.modules if name.startswith("neuropod_")} - before
    with monkeypatch.context() as importing:

        class Name(str):
            __slots__ = ()

            def startswith(self, *_):
                importing.setitem(sys.modules, f"imported_meanwhile_{len(sys.modules)}", sys)
                return False

        importing.setitem(sys.modules, Name("looked at"), sys)
        model.close()
    assert [name for name in sys.modules if name.startswith("neuropod_") and name not in before] == []


def test_the_entry_point_is_given_the_data(tmp_path, code):
    (tmp_path / "weights.txt").write_text("2.5")
    source = (
        "import os, numpy as np\n"
        "def make(data):\n"
        "    weight = np.float32(open(os.path.join(data, 'w')).read())\n"
        "    return lambda x: {'out': x * weight}\n"
    )
    data = [{"path": str(tmp_path / "weights.txt"), "packaged_name": "w"}]
    path = pack_code(tmp_path / "m", code("code", {"main.py": source}), data_paths=data)
    (tmp_path / "weights.txt").unlink()
    with load_neuropod(path, trust=True) as model:
        assert model.infer({"x": np.ones(1, np.float32)})["out"].tolist() == [2.5]


def test_a_pytorch_model_written_as_code_runs(tmp_path, code):
    source = (
        "import torch\n"
        "class Add(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return {'out': (torch.from_numpy(x) + 1).numpy()}\n"
        "def make(data):\n"
        "    return Add()\n"
    )
    with load_neuropod(pack_code(tmp_path / "m", code("code", {"main.py": source})), trust=True) as model:
        assert model.infer({"x": np.ones(1, np.float32)})["out"].tolist() == [2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def make(data):\n    return 3\n", "the entry point 'main.make' must return a callable, got <class 'int'>"),
        ("make = 3\n", "the entry point 'main.make' is not a function in the package's code"),
        ("raise OSError('no weights')\n", "loading failed: OSError: no weights"),
        ("import no_such_module\n", "loading failed: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def make(\n", "loading failed: SyntaxError: "),
    ],
)
def test_code_that_does_not_load_says_why(tmp_path, code, source, message):
    path = pack_code(tmp_path / "m", code("code", {"main.py": source}))
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, trust=True)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("{'out': [1.0]}", "All outputs must be numpy arrays! Output `out` was of type `<class 'list'>`"),
        ("x", "the model must return a dict of numpy arrays, got ndarray"),
        ("None", "the model must return a dict of numpy arrays, got NoneType"),
        (
            "{'out': x.astype('>f4')}",
            "Tensor 'out' in the output spec is expected to be of type FLOAT_TENSOR, but was of type >f4",
        ),
    ],
)
def test_an_answer_that_is_no_dict_of_arrays_is_refused(tmp_path, code, answer, message):
    path = pack_code(tmp_path / "m", code("code", {"main.py": f"def make(data):\n    return lambda x: {answer}\n"}))
    with load_neuropod(path, trust=True) as model, pytest.raises(NeuropodError) as error:
        model.infer({"x": np.ones(2, np.float32)})
    assert str(error.value) == f"model 'model': {message}"


def test_strided_outputs_come_back_whole(tmp_path, code):
    source = "def make(data):\n    return lambda x: {'out': x[::-2]}\n"
    with load_neuropod(pack_code(tmp_path / "m", code("code", {"main.py": source})), trust=True) as model:
        out = model.infer({"x": np.arange(5, dtype=np.float32)})["out"]
    assert out.flags.c_contiguous
    assert out.tolist() == [4, 2, 0]


def test_byte_code_is_left_out_and_every_folder_becomes_a_package(tmp_path, code):
    files = {"main.py": "", "deep/er/x.py": "", "__pycache__/main.cpython-311.pyc": "", "old.pyc": ""}
    with zipfile.ZipFile(pack_code(tmp_path / "m", code("code", files))) as package:
        assert sorted(n for n in package.namelist() if n.startswith("0/code")) == [
            "0/code/__init__.py",
            "0/code/deep/__init__.py",
            "0/code/deep/er/__init__.py",
            "0/code/deep/er/x.py",
            "0/code/main.py",
        ]


def test_only_the_named_folders_are_packed(tmp_path, code):
    root = code("code", {"main.py": "", "wanted/main.py": "", "other/main.py": ""})
    spec = [{"python_root": root, "dirs_to_package": ["wanted"]}]
    with zipfile.ZipFile(pack_code(tmp_path / "m", root, code_path_spec=spec)) as package:
        code_files = [n for n in package.namelist() if n.startswith("0/code")]
    assert code_files == ["0/code/__init__.py", "0/code/wanted/__init__.py", "0/code/wanted/main.py"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"code_path_spec": [{"python_root": ".", "dirs_to_package": ["no_such_folder"]}]}, "there is no folder"),
        (
            {"data_paths": [{"path": "/no/such/file", "packaged_name": "x"}]},
            "data_paths: '/no/such/file' is not a file",
        ),
        ({"data_paths": [{"path": __file__, "packaged_name": "../x"}]}, "the name '../x' leads out of the package"),
        ({"data_paths": [{"path": __file__, "packaged_name": "/x"}]}, "the name '/x' leads out of the package"),
        (
            {"data_paths": [{"path": __file__, "packaged_name": "x"}] * 2},
            "two files want the same place in the package",
        ),
    ],
)
def test_what_cannot_be_packed_is_named(tmp_path, code, options, message):
    root = code("code", {"main.py": ""})
    with pytest.raises(NeuropodError, match=message):
        pack_code(tmp_path / "m", root, **options)
    assert not (tmp_path / "m").exists()


def test_a_package_that_is_a_folder_inside_its_own_code_is_refused(tmp_path, code):
    root = code("code", {"main.py": ""})
    with pytest.raises(ValueError, match="`neuropod_path` cannot be a subdirectory of `python_root`; a zip file may"):
        pack_code(root / "m", root, package_as_zip=False)
    assert [p.name for p in root.iterdir()] == ["main.py"]


def test_a_package_that_is_a_zip_file_may_lie_in_its_own_code_and_is_the_same_there(tmp_path, code):
    """Old scripts put it beside themselves; Uber's library wrote it elsewhere first, and so took it."""
    root = code("code", {"main.py": "", "deep/x.py": ""})
    outside, inside = (pack_code(path, root).read_bytes() for path in (tmp_path / "m", root / "deep" / "m"))
    assert inside == outside
    assert sorted(p.name for p in (root / "deep").iterdir()) == ["m", "x.py"]


def test_exact_pins_need_no_resolving():
    assert (
        requirements.compile_lock("NumPy==2.0.1  # maths\n\n# more\ntorch==1.4.0\n") == "numpy==2.0.1\ntorch==1.4.0\n"
    )


def test_a_required_package_of_another_version_is_used_with_a_warning(tmp_path, code, caplog):
    source = "def make(data):\n    return lambda x: {'out': x}\n"
    path = pack_code(tmp_path / "m", code("code", {"main.py": source}), requirements="numpy==1.18.0")
    with caplog.at_level(logging.WARNING):
        load_neuropod(path, trust=True).close()
    assert caplog.records[-1].getMessage() == f"{path}: made with numpy 1.18.0, runs with {np.__version__}"


def test_a_required_package_that_is_absent_is_named(tmp_path, code):
    path = pack_code(tmp_path / "m", code("code", {"main.py": ""}), requirements="no-such-thing==1.0")
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, trust=True)
    assert str(error.value) == (
        f"{path}: its code needs no-such-thing 1.0, which is not installed; pip install 'no-such-thing==1.0'"
    )


def test_option_lines_of_a_lock_are_skipped_and_other_lines_refused():
    requirements.check_installed("--index-url https://example.org\n# note\n", "p")
    with pytest.raises(NeuropodError, match=r"0/requirements.lock: 'numpy>=1' is not of the form name==version"):
        requirements.check_installed("numpy>=1\n", "p")


@pytest.fixture
def pack_with_op(tmp_path, code):
    """Returns pack(name, value) -> a package whose model adds the value that its custom op, a module, holds."""
    source = "import perceptum_test_op\ndef make(data):\n    return lambda x: {'out': x + perceptum_test_op.VALUE}\n"

    def pack(name, value):
        folder = tmp_path / f"op of {name}"
        folder.mkdir()
        (folder / "perceptum_test_op.py").write_text(f"VALUE = {value}\n")
        packagers.create_python_neuropod(
            **common(tmp_path / name, custom_ops=[folder / "perceptum_test_op.py"]),
            data_paths=[],
            code_path_spec=[{"python_root": code(f"code of {name}", {"main.py": source}), "dirs_to_package": [""]}],
            entrypoint_package="main",
            entrypoint="make",
        )
        return tmp_path / name

    yield pack
    sys.modules.pop("perceptum_test_op", None)


def test_a_python_custom_op_is_importable_as_often_as_it_is_loaded(pack_with_op):
    path, before = pack_with_op("first", 41), list(sys.path)
    for _ in range(2):  # what the first had extracted is gone when the second comes
        with load_neuropod(path, trust=True) as model, load_neuropod(path, trust=True) as again:
            for each in (model, again):
                assert each.infer({"x": np.ones(1, np.float32)})["out"].tolist() == [42]
    assert sys.path == before


def test_python_custom_ops_of_one_name_must_be_the_same(pack_with_op):
    with (
        load_neuropod(pack_with_op("first", 41), trust=True),
        pytest.raises(NeuropodError, match=r"custom op 'perceptum_test_op.py': another module of that name"),
    ):
        load_neuropod(pack_with_op("second", 42), trust=True)


def test_a_library_is_loaded_once_whatever_its_name(tmp_path):
    (tmp_path / "a.so").write_bytes(b"the same library")
    (tmp_path / "b.so").write_bytes(b"the same library")
    loaded = []
    custom_ops.load_libraries(tmp_path, ["a.so", "b.so", "a.so"], loaded.append)
    assert loaded == [str(tmp_path / "a.so")]
    with pytest.raises(NeuropodError, match=r"custom op 'c.so' is missing from the package's 0/ops; pack it again"):
        custom_ops.load_libraries(tmp_path, ["c.so"], loaded.append)


def test_a_library_that_another_has_loaded_is_not_loaded_again(tmp_path):
    import shutil

    import numpy._core._multiarray_umath as mapped

    shutil.copy(mapped.__file__, tmp_path / "copy.so")
    loaded = []
    custom_ops.load_libraries(tmp_path, ["copy.so"], loaded.append)
    assert loaded == []


@pytest.fixture(scope="module")
def keras_model():
    import keras

    keras.utils.set_random_seed(0)
    left, right = (keras.Input((3,), name=name, dtype="float32") for name in ("left", "right"))
    return keras.Model([left, right], [keras.layers.Add(name="sum")([left, right])])


def test_a_keras_model_brings_its_own_spec(tmp_path, keras_model):
    options = {k: v for k, v in common(tmp_path / "m").items() if k not in ("input_spec", "output_spec")}
    x = np.ones((2, 3), np.float32)
    packagers.create_keras_neuropod(**options, model=keras_model, input_spec=None)
    with load_neuropod(tmp_path / "m") as model:
        assert model.platform == "tensorflow"
        assert model.inputs == [{"name": n, "dtype": "float32", "shape": ["batch_size", 3]} for n in ("left", "right")]
        (name,) = [row["name"] for row in model.outputs]
        np.testing.assert_array_equal(model.infer({"left": x, "right": x})[name], 2 * x)


def test_a_keras_models_names_may_be_replaced(tmp_path, keras_model):
    output = keras_model.output_names[0]
    options = {k: v for k, v in common(tmp_path / "m").items() if k not in ("input_spec", "output_spec")}
    packagers.create_keras_neuropod(
        **options, model=keras_model, node_name_mapping={"a": "left", "b": "right", "c": output}
    )
    with load_neuropod(tmp_path / "m") as model:
        out = model.infer({"a": np.zeros((1, 3), np.float32), "b": np.full((1, 3), 7, np.float32)})
    assert out["c"].tolist() == [[7, 7, 7]]
    with pytest.raises(NeuropodError, match="node_name_mapping: the model has no 'middle'"):
        packagers.create_keras_neuropod(**options, model=keras_model, node_name_mapping={"a": "middle"})
    with pytest.raises(NeuropodError, match="node_name_mapping: nothing maps to the model's"):
        packagers.create_keras_neuropod(**options, model=keras_model, node_name_mapping={"a": "left"})
    with pytest.raises(NeuropodError, match="node_name_mapping: nothing maps to the model's"):
        packagers.create_keras_neuropod(**options, model=keras_model, node_name_mapping={"a": "left", "b": "right"})


def test_keras_inputs_and_outputs_may_have_names_that_python_and_tensorflow_do_not_allow(tmp_path, keras_model):
    names = {"in": "left", "left.eye/é": "right", "the sum:0": keras_model.output_names[0]}
    options = {k: v for k, v in common(tmp_path / "m").items() if k not in ("input_spec", "output_spec")}
    packagers.create_keras_neuropod(**options, model=keras_model, node_name_mapping=names)
    with load_neuropod(tmp_path / "m") as model:
        out = model.infer({"in": np.zeros((1, 3), np.float32), "left.eye/é": np.full((1, 3), 7, np.float32)})
    assert out["the sum:0"].tolist() == [[7, 7, 7]]


def test_a_keras_input_may_have_a_name_that_tensorflows_tracing_has_itself():
    from perceptum.neuropod.backends.tensorflow.keras import _parameters

    assert list(_parameters(["self", "selfie", "in"])) == ["perceptum_input_0", "selfie", "perceptum_input_2"]


def test_of_a_keras_models_outputs_those_that_the_spec_leaves_out_need_no_name(tmp_path):
    """The name of the one that is left out is given to the other: it is not taken for it."""
    import keras

    x = keras.Input((), name="x")
    model = keras.Model(x, [keras.layers.Rescaling(2.0, name="twice")(x), keras.layers.Rescaling(3.0, name="out")(x)])
    packagers.create_keras_neuropod(**common(tmp_path / "m"), model=model, node_name_mapping={"x": "x", "out": "twice"})
    with load_neuropod(tmp_path / "m") as loaded:
        assert loaded.infer({"x": np.ones(1, np.float32)})["out"].tolist() == [2]
