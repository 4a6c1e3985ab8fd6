"""Models that are data and yet were made to do more than compute: each does its harm where its framework is asked."""

import io
import json
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod

pytestmark = pytest.mark.usefixtures("warm")

X = {"name": "x", "dtype": "float32", "shape": ["n"]}
Y = {"name": "y", "dtype": "float32", "shape": ["n"]}
ONES = np.ones(2, np.float32)


def package(path, platform, files):
    config = {"name": "m", "platform": platform, "input_spec": [X], "output_spec": [Y]}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {"config.json": json.dumps(config), **files}.items():
            archive.writestr(name, data)
    return path


def refusal(path, platform, files):
    with pytest.raises(NeuropodError) as error:
        load_neuropod(package(path, platform, files))
    return str(error.value)


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def frozen(tf, build, init_ops=()):
    """The files of a frozen graph; `build` gets its input, and what it returns is added to what y waits for."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        with tf.control_dependencies(build(x)):
            tf.identity(x, "y")
    names = {"node_name_mapping": {"x": "x:0", "y": "y:0"}, "init_op_names": list(init_ops)}
    return {"0/data/model.pb": graph.as_graph_def().SerializeToString(), "0/config.json": json.dumps(names)}


GRAPHS = {
    "ReadFile": lambda raw, x, path: [raw.ReadFile(filename=path)],
    "WriteFile": lambda raw, x, path: [raw.WriteFile(filename=path, contents="x")],
    "MatchingFiles": lambda raw, x, path: [raw.MatchingFiles(pattern=path)],
    "SaveV2": lambda raw, x, path: [raw.SaveV2(prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[x])],
    "RestoreV2": lambda raw, x, path: raw.RestoreV2(
        prefix=path, tensor_names=["a"], shape_and_slices=[""], dtypes=[x.dtype]
    ),
    "PrintV2": lambda raw, x, path: [raw.PrintV2(input="x", output_stream=f"file://{path}")],
    "DebugIdentityV2": lambda raw, x, path: [raw.DebugIdentityV2(input=x, debug_urls=[f"file://{path}"])],
    "TFRecordDatasetV2": lambda raw, x, path: [
        raw.TFRecordDatasetV2(filenames=[path], compression_type="", buffer_size=0, byte_offsets=[0]).op
    ],
    "PyFunc": lambda raw, x, path: raw.PyFunc(input=[x], token="pyfunc_0", Tout=[x.dtype]),
    "Abort": lambda raw, x, path: [raw.Abort()],
}


@pytest.mark.parametrize("operator", GRAPHS)
def test_an_operator_that_does_more_than_compute_needs_trust(tf, tmp_path, operator):
    files = frozen(tf, lambda x: GRAPHS[operator](tf.raw_ops, x, str(tmp_path / "harm")))
    found = refusal(tmp_path / "m", "tensorflow", files)
    assert f"0/data/model.pb: the graph has the operator {operator}" in found
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_an_init_operator_writes_no_file(tf, tmp_path):
    def build(x):
        tf.raw_ops.WriteFile(filename=str(tmp_path / "harm"), contents="x", name="init")
        return []

    assert "the operator WriteFile" in refusal(tmp_path / "m", "tensorflow", frozen(tf, build, ["init"]))
    assert not (tmp_path / "harm").exists()


def test_who_trusts_a_package_may_run_what_does_more(tf, tmp_path, monkeypatch):
    """As Uber's library did, unless the process forbids it."""
    from perceptum.neuropod.loader import load_neuropod as load_as_of_old

    files = frozen(tf, lambda x: GRAPHS["WriteFile"](tf.raw_ops, x, str(tmp_path / "written")))
    path = package(tmp_path / "m", "tensorflow", files)
    for load in (lambda: load_neuropod(path, trust=True), lambda: load_as_of_old(path)):
        with load() as model:
            assert model.infer({"x": ONES})["y"].tolist() == [1, 1]
        (tmp_path / "written").unlink()
    monkeypatch.setenv("PERCEPTUM_TRUST", "never")
    with pytest.raises(NeuropodError, match=r"operator WriteFile.*PERCEPTUM_TRUST=never forbids"):
        load_as_of_old(path)


def test_verify_looks_into_the_graph(tf, tmp_path):
    from perceptum.neuropod.pack.verification import verify_package

    files = frozen(tf, lambda x: GRAPHS["WriteFile"](tf.raw_ops, x, str(tmp_path / "written")))
    path = package(tmp_path / "m", "tensorflow", files)
    asked, trusted = ({step.check: step for step in verify_package(path, trust)} for trust in (False, True))
    assert asked["trust"].ok is False
    assert "the graph has the operator WriteFile" in asked["trust"].found
    assert asked["load and self-test"].ok is None
    assert trusted["trust"].ok
    assert trusted["trust"].found.startswith("code (0/data/model.pb: the graph has the operator WriteFile")


def test_who_packs_what_will_be_code_is_told(tf, tmp_path, caplog):
    from perceptum.neuropod import create_tensorflow_neuropod

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        with tf.control_dependencies(GRAPHS["WriteFile"](tf.raw_ops, x, str(tmp_path / "written"))):
            tf.identity(x, "y")
    create_tensorflow_neuropod(
        neuropod_path=tmp_path / "m",
        model_name="m",
        graph_def=graph.as_graph_def(),
        node_name_mapping={"x": "x:0", "y": "y:0"},
        input_spec=[X],
        output_spec=[Y],
        test_input_data={"x": ONES},
    )
    assert "m is code (0/data/model.pb: the graph has the operator WriteFile" in caplog.text


def test_operators_that_only_print_and_unused_ones_that_save_are_no_harm(tf, tmp_path):
    def build(x):
        tf.raw_ops.SaveV2(prefix="p", tensor_names=["a"], shape_and_slices=[""], tensors=[x])
        return [tf.raw_ops.PrintV2(input="", end="", output_stream="stderr")]

    with load_neuropod(package(tmp_path / "m", "tensorflow", frozen(tf, build))) as model:
        assert model.infer({"x": ONES})["y"].tolist() == [1, 1]


def saved(tf, folder, harm):
    """The files of a SavedModel with a variable, whose function does what `harm` says."""

    class Module(tf.Module):
        def __init__(self):
            self.two = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            harm(x)
            return {"y": x * self.two}

    tf.saved_model.save(Module(), str(folder))
    return {f"0/data/savedmodel/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_saved_model_may_save_and_restore_itself_and_no_more(tf, tmp_path):
    with load_neuropod(package(tmp_path / "a", "tensorflow", saved(tf, tmp_path / "s", lambda x: None))) as model:
        assert model.infer({"x": ONES})["y"].tolist() == [2, 2]
    for number, operator in enumerate(("SaveV2", "RestoreV2", "WriteFile")):
        harm = GRAPHS[operator]
        files = saved(tf, tmp_path / f"s{number}", lambda x, harm=harm: harm(tf.raw_ops, x, str(tmp_path / "harm")))
        assert f"saved_model.pb: the graph has the operator {operator}" in refusal(
            tmp_path / f"m{number}", "tensorflow", files
        )


def test_a_saved_model_reads_no_assets_but_its_own(tf, tmp_path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    files = saved(tf, tmp_path / "s", lambda x: None)
    model = SavedModel.FromString(files["0/data/savedmodel/saved_model.pb"])
    model.meta_graphs[0].asset_file_def.add(filename="../../../../../../etc/passwd")
    files["0/data/savedmodel/saved_model.pb"] = model.SerializeToString()
    assert "reads the file '../../../../../../etc/passwd', which is not among its assets" in refusal(
        tmp_path / "m", "tensorflow", files
    )


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def script(torch, line, in_state=False):
    """A TorchScript archive with a line of code put into forward, or into what is run when it is loaded."""

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return {"y": x}

        @torch.jit.export
        def __getstate__(self):
            return self.training

        @torch.jit.export
        def __setstate__(self, state: bool):
            self.training = state

    out, made = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(Module()), made)
    place = "    self.training = " if in_state else '    return {"y": x}'
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            is_code = entry.filename.endswith(".py")
            new.writestr(
                entry.filename, data.replace(place.encode(), f"    {line}\n{place}".encode()) if is_code else data
            )
    return {"0/data/model.pt": out.getvalue()}


@pytest.mark.parametrize(
    ("line", "in_state"),
    [
        ('torch.save(x, "HARM")', False),
        ('torch . save([1], "HARM")', True),
        ('f = torch.save\n    f(x, "HARM")', False),
        ('t = getattr(torch, "save")(x, "HARM")', False),
        ('"\\"; torch.save(x, "HARM"); "\\"', False),
        ('t = torch.fill_(torch.from_file("HARM", True, 8, dtype=0), 65)', False),
        ('t = torch.fill_(ops.aten.from_file("HARM", True, 8, dtype=0), 65)', True),
    ],
)
def test_code_in_torchscript_that_names_functions_for_files_needs_trust(torch, tmp_path, line, in_state):
    files = script(torch, line.replace("HARM", str(tmp_path / "harm")), in_state)
    found = refusal(tmp_path / "m", "torchscript", files)
    assert "which is for files) and can do anything that you can; if you trust who made it" in found
    assert not (tmp_path / "harm").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("cut", [False, True])
def test_code_does_not_hide_behind_a_name_that_torch_reads_otherwise(torch, tmp_path, cut):
    """torch finds a file by its name in any case, and cuts a name that is too long, but only when it lists it."""
    top = "a" * 500
    made = script(torch, f'torch.save(x, "{tmp_path}/harm")')["0/data/model.pt"]
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            name = f"{top}/{name.partition('/')[2]}" if cut else name.replace(".py", ".PY")
            new.writestr(name, data)
            if cut and len(name) > 511:
                new.writestr(name[:511], b"")
    found = refusal(tmp_path / "m", "torchscript", {"0/data/model.pt": out.getvalue()})
    assert ("are too long, or appear twice" if cut else "which is for files") in found


def test_code_that_saves_runs_where_it_is_trusted(torch, tmp_path):
    files = script(torch, f'torch.save(x, "{tmp_path}/written")')
    with load_neuropod(package(tmp_path / "m", "torchscript", files), trust=True) as model:
        assert model.infer({"x": ONES})["y"].tolist() == [1, 1]
    assert (tmp_path / "written").exists()


def test_words_that_only_contain_such_a_name_are_no_harm(torch, tmp_path):
    line = 'saved_from_file = torch.add(x, 1)\n    save_me = 1\n    why = "cannot save this"'
    files = script(torch, line)
    with load_neuropod(package(tmp_path / "m", "torchscript", files)) as model:
        assert model.infer({"x": ONES})["y"].tolist() == [1, 1]


def test_a_torchscript_archive_that_unpacks_without_end_is_refused(torch, tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/model.json", "{}")
        archive.writestr("m/tensors/0", bytes(300 << 20))
    assert "more than 200 times as much" in refusal(tmp_path / "m", "torchscript", {"0/data/model.pt": out.getvalue()})


def test_an_old_archives_attributes_cannot_ask_for_memory():
    from perceptum.neuropod.backends.torchscript.archive import _attributes

    with pytest.raises(NeuropodError, match="attributes cannot be read"):
        _attributes({"attributes.pkl": b"\x80\x04]r\xff\xff\xff\xff"})


def onnx_model(location):
    """An ONNX model that adds weights from a file, as bytes before and of its graph."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weights = onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    x, y = (helper.make_tensor_value_info(name, 1, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.ClearField("graph")
    return model.SerializeToString(), graph.SerializeToString()


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@pytest.mark.parametrize(
    ("before", "tag"),
    [(b"", b"\x3a"), (b"\xa3\x06\xa4\x06", b"\x3a"), (b"", b"\xba\x80\x80\x80\x10")],
    ids=["plainly", "behind a group", "by a number of 33 bits"],
)
def test_weights_outside_are_found_however_they_are_written(tmp_path, before, tag):
    """protobuf skips groups, and of a field's number drops what is more than 32 bits."""
    head, graph = onnx_model("/etc/passwd")
    model = before + head + tag + varint(len(graph)) + graph
    found = refusal(tmp_path / "m", "onnx", {"0/data/model.onnx": model})
    assert "the model keeps weights in '/etc/passwd', which leads out of its folder" in found


def test_a_model_in_onnxruntimes_own_format_is_not_read(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    helper = pytest.importorskip("onnx").helper
    x, y = (helper.make_tensor_value_info(name, 1, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    files = {"0/data/model.onnx": (tmp_path / "m.ort").read_bytes()}
    assert "onnxruntime cannot load it" in refusal(tmp_path / "m", "onnx", files)


@pytest.mark.parametrize("target", ['@"xla_ffi_python\\5Fcpu_callback"', "@mosaic_gpu_v2", "@system"])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_jax_function_calls_nothing_but_jaxs_own_solvers(tmp_path, target, as_text):
    import dataclasses

    jax = pytest.importorskip("jax")
    from jax.extend import mlir

    exported = jax.export.export(jax.jit(lambda x: {"y": -x}))(x=jax.ShapeDtypeStruct((2,), np.float32))
    text = (
        "func.func public @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
        f"  %y = stablehlo.custom_call {target}(%x) {{api_version = 4 : i32}} : (tensor<2xf32>) -> tensor<2xf32>\n"
        "  return %y : tensor<2xf32>\n}"
    )
    code = text.encode() if as_text else mlir.serialize_portable_artifact(text, "1.9.0")
    hostile = dataclasses.replace(exported, mlir_module_serialized=code)
    found = refusal(tmp_path / "m", "jax", {"0/data/model.jax": bytes(hostile.serialize())})
    assert ("is not MLIR bytecode" if as_text else "which is not known to only compute") in found


def test_a_jax_function_may_call_jaxs_own_solvers(tmp_path):
    jax = pytest.importorskip("jax")
    function = jax.jit(lambda x: {"y": jax.numpy.linalg.cholesky(x)})
    exported = jax.export.export(function, platforms=["cpu"])(x=jax.ShapeDtypeStruct((2, 2), np.float32))
    square = {"shape": [2, 2], "dtype": "float32"}
    config = {"name": "m", "platform": "jax", "input_spec": [{"name": "x", **square}]}
    config["output_spec"] = [{"name": "y", **square}]
    files = {"0/data/model.jax": bytes(exported.serialize()), "config.json": json.dumps(config)}
    with load_neuropod(package(tmp_path / "m", "jax", files)) as model:
        assert model.infer({"x": 4 * np.eye(2, dtype=np.float32)})["y"].tolist() == [[2, 0], [0, 2]]
