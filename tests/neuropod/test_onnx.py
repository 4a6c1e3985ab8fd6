"""ONNX: what is packed, where weights may lie, and what reaches onnxruntime."""

import contextlib
import logging
import re
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.neuropod import NeuropodError, create_onnx_neuropod, load_neuropod
from perceptum.neuropod.backends.onnx.files import external_files

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def row(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": shape}


def value(r):
    from onnx import helper

    dtype = np.dtype(object if r["dtype"] == "string" else r["dtype"])
    return helper.make_tensor_value_info(r["name"], helper.np_dtype_to_tensor_dtype(dtype), list(r["shape"]))


def graph_model(nodes, inputs, outputs, constants=None):
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(op, names.split(), outs.split()) for op, names, outs in nodes],
        "graph",
        [value(r) for r in inputs],
        [value(r) for r in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


ADD = [("Add", "x w", "out")]
X, OUT = [row("x", "float32", "n")], [row("out", "float32", "n")]


def weights():
    return {"w": np.full(1, 7, np.float32)}


def options(tmp_path, inputs=X, outputs=OUT, **more):
    return {
        "neuropod_path": tmp_path / "model.neuropod",
        "model_name": "model",
        "input_spec": inputs,
        "output_spec": outputs,
        **more,
    }


def test_a_model_its_bytes_and_its_file_are_the_same_package(tmp_path):
    model = graph_model(ADD, X, OUT, weights())
    data = model.SerializeToString(deterministic=True)
    (tmp_path / "a.onnx").write_bytes(data)
    for number, source in enumerate(({"model": model}, {"model": data}, {"model_path": tmp_path / "a.onnx"})):
        path = tmp_path / f"{number}.neuropod"
        create_onnx_neuropod(**options(tmp_path, neuropod_path=path), **source)
        assert path.read_bytes() == (tmp_path / "0.neuropod").read_bytes()
    with zipfile.ZipFile(path) as package:
        assert sorted(package.namelist()) == ["0/data/model.onnx", "config.json", "manifest.json"]
        assert package.read("0/data/model.onnx") == data


def test_the_package_is_tested_in_a_process_of_its_own(tmp_path):
    tested = {"test_input_data": {"x": np.ones(2, np.float32)}, "test_expected_out": {"out": np.array([8, 9])}}
    with pytest.raises(NeuropodError, match="out does not match expected value!"):
        create_onnx_neuropod(**options(tmp_path, **tested), model=graph_model(ADD, X, OUT, weights()))


def test_exactly_one_source_is_packed(tmp_path):
    for sources in ({}, {"model": b"", "model_path": "a.onnx"}):
        with pytest.raises(NeuropodError, match="Exactly one of 'model' or 'model_path' must be provided"):
            create_onnx_neuropod(**options(tmp_path), **sources)
    with pytest.raises(NeuropodError, match=r"model must be an onnx.ModelProto or its bytes, got int"):
        create_onnx_neuropod(**options(tmp_path), model=3)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([*X, row("y", "float32")], OUT, "the ONNX model has no input 'y', which the spec names; it has x"),
        ([], OUT, "the ONNX model needs the input 'x', which the spec does not name; add its row"),
        (X, [row("sum", "float32", "n")], "the ONNX model has no output 'sum', which the spec names; it has out"),
        ([row("x", "int32", "n")], OUT, "'x' is float32 in the ONNX model and int32 in the spec; make them equal"),
        (X, [row("out", "string", "n")], "'out' is float32 in the ONNX model and string in the spec"),
    ],
)
def test_the_spec_must_be_the_models(tmp_path, inputs, outputs, message):
    with pytest.raises(NeuropodError, match=re.escape(message)):
        create_onnx_neuropod(**options(tmp_path, inputs, outputs), model=graph_model(ADD, X, OUT, weights()))
    assert not (tmp_path / "model.neuropod").exists()


def test_an_input_with_a_default_may_be_left_out_of_the_spec_and_of_a_call(tmp_path):
    from onnx import helper

    model = graph_model(ADD, X, OUT, weights())
    model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [1]))
    x = np.zeros(2, np.float32)
    create_onnx_neuropod(**options(tmp_path), model=model)
    with load_neuropod(tmp_path / "model.neuropod") as packed:
        assert packed.infer({"x": x})["out"].tolist() == [7, 7]
    path = tmp_path / "second.neuropod"
    create_onnx_neuropod(**options(tmp_path, [*X, row("w", "float32", 1)], neuropod_path=path), model=model)
    with load_neuropod(path) as packed:
        assert packed.infer({"x": x})["out"].tolist() == [7, 7]
        assert packed.infer({"x": x, "w": np.ones(1, np.float32)})["out"].tolist() == [1, 1]


def save_external(model, folder, location):
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, folder / "a.onnx", save_as_external_data=True, location=location, size_threshold=0)


@pytest.mark.parametrize("as_zip", [True, False])
def test_weights_that_lie_beside_the_model_come_along(tmp_path, as_zip):
    save_external(graph_model(ADD, X, OUT, weights()), tmp_path, "parts/w.bin")
    create_onnx_neuropod(**options(tmp_path, package_as_zip=as_zip), model_path=tmp_path / "a.onnx")
    with load_neuropod(tmp_path / "model.neuropod") as model:
        assert model.infer({"x": np.zeros(2, np.float32)})["out"].tolist() == [7, 7]
    assert external_files((tmp_path / "a.onnx").read_bytes()) == ["parts/w.bin"]


def test_weights_that_are_not_there_are_named(tmp_path):
    save_external(graph_model(ADD, X, OUT, weights()), tmp_path, "w.bin")
    data = (tmp_path / "a.onnx").read_bytes()
    with pytest.raises(NeuropodError, match=r"the model keeps weights in the file 'w.bin'; give model_path"):
        create_onnx_neuropod(**options(tmp_path), model=data)
    create_onnx_neuropod(**options(tmp_path, package_as_zip=False), model_path=tmp_path / "a.onnx")
    folder = tmp_path / "model.neuropod"
    (folder / "manifest.json").unlink()
    (folder / "0/data/w.bin").unlink()
    with pytest.raises(NeuropodError, match=r"keeps weights in the file 'w.bin', which is not in the package's 0/data"):
        load_neuropod(folder)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(NeuropodError, match="which is not a file; put it back beside the model"):
        create_onnx_neuropod(**options(tmp_path, neuropod_path=tmp_path / "b"), model_path=tmp_path / "a.onnx")


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "a/../../secret", "..\\secret", "c:secret", ""])
def test_weights_outside_of_the_package_are_refused(tmp_path, location):
    create_onnx_neuropod(**options(tmp_path, package_as_zip=False), model=graph_model(ADD, X, OUT, weights()))
    folder = tmp_path / "model.neuropod"
    (folder / "manifest.json").unlink()
    model = onnx.load(folder / "0/data/model.onnx")
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "0/data/model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NeuropodError, match=r"which leads out of its folder; do not use it"):
        load_neuropod(folder)


def test_weights_of_inner_graphs_and_functions_are_found():
    from onnx import helper

    def tensor(location):
        made = onnx.TensorProto(name=location, data_location=onnx.TensorProto.EXTERNAL)
        made.external_data.add(key="offset", value="0")
        made.external_data.add(key="location", value=location)
        return made

    inner = helper.make_graph([], "inner", [], [], [tensor("inner")])
    node = helper.make_node("If", ["c"], ["o"], then_branch=inner, more=tensor("attribute"), all=[tensor("one")])
    sparse = onnx.SparseTensorProto(values=tensor("values"), indices=tensor("indices"))
    graph = helper.make_graph([node], "g", [], [], [tensor("outer")], sparse_initializer=[sparse])
    function = helper.make_function("d", "f", [], ["o"], [node], [])
    branch = next(a.g for a in function.node[0].attribute if a.name == "then_branch")
    branch.initializer[0].external_data[1].value = "in_function"
    model = helper.make_model(graph, functions=[function])
    found = external_files(model.SerializeToString())
    assert found == ["attribute", "in_function", "indices", "inner", "one", "outer", "values"]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_an_end(data):
    with contextlib.suppress(NeuropodError):
        external_files(data)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_every_number_goes_through(tmp_path, dtype):
    rows = [row("x", dtype, "n", "m")], [row("out", dtype, "m", "n")]
    create_onnx_neuropod(**options(tmp_path, *rows), model=graph_model([("Transpose", "x", "out")], *rows))
    x = np.array([[0, 1, 2], [3, 4, 127]], dtype)
    with load_neuropod(tmp_path / "model.neuropod") as model:
        out = model.infer({"x": x})["out"]
    assert out.dtype == dtype
    assert out.flags.writeable
    np.testing.assert_array_equal(out, x.T)


@pytest.mark.parametrize("kind", [np.str_, np.bytes_, np.dtypes.StringDType()])
def test_text_of_every_kind_and_rank_goes_through(tmp_path, kind):
    rows = [row("x", "string", "n", "m")], [row("out", "string", "m", "n")]
    create_onnx_neuropod(**options(tmp_path, *rows), model=graph_model([("Transpose", "x", "out")], *rows))
    words = ["apple", "a", "Käse".encode() if kind is np.bytes_ else "Käse", "", "b", "c"]
    x = np.array(words, kind).reshape(2, 3)
    with load_neuropod(tmp_path / "model.neuropod") as model:
        assert model.infer({"x": x})["out"].tolist() == [["apple", ""], ["a", "b"], ["Käse", "c"]]


def test_text_with_a_zero_in_it_is_not_cut(tmp_path):
    """onnxruntime takes it for the end, in numpy's fixed-width text only."""
    rows = [row("x", "string", "n")], [row("out", "string", "n")]
    create_onnx_neuropod(**options(tmp_path, *rows), model=graph_model([("Identity", "x", "out")], *rows))
    with load_neuropod(tmp_path / "model.neuropod") as model:
        for words in (["a\0b", "c"], ["a", "b"], []):
            assert model.infer({"x": np.array(words, str)})["out"].tolist() == words


def test_an_error_is_raised_and_not_also_written_to_the_terminal(tmp_path, capfd):
    nodes = [("MatMul", "x x5", "out")]
    outputs = [row("out", "float32")]
    create_onnx_neuropod(
        **options(tmp_path, X, outputs), model=graph_model(nodes, X, outputs, {"x5": np.ones(5, np.float32)})
    )
    with load_neuropod(tmp_path / "model.neuropod") as packed:
        with pytest.raises(NeuropodError, match=r"^model 'model' failed: .*dimension mismatch"):
            packed.infer({"x": np.zeros(2, np.float32)})
        assert packed.infer({"x": np.ones(5, np.float32)})["out"] == 5
    assert capfd.readouterr().err == ""


def median_ms(model, x):
    times_ms = []
    for _ in range(20):
        start_ns = time.perf_counter_ns()
        model.infer({"x": x})
        times_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
    return np.median(times_ms)


def test_a_large_input_is_not_copied(tmp_path, aligned, least):
    """onnxruntime tells no addresses; Shape reads none of the 64 MiB, whose copy would take milliseconds."""
    outputs = [row("out", "int64", 1)]
    create_onnx_neuropod(**options(tmp_path, X, outputs), model=graph_model([("Shape", "x", "out")], X, outputs))
    large = aligned(np.zeros((1 << 24) + 1, np.float32))
    with load_neuropod(tmp_path / "model.neuropod") as model:
        for x in (large[:-1], large[1:]):
            x.flags.writeable = False
            model.infer({"x": x})
            assert least(lambda x=x: median_ms(model, x), 1) < 1


def test_loading_writes_nothing_to_the_terminal(tmp_path, capfd, caplog):
    caplog.set_level(logging.WARNING)
    create_onnx_neuropod(**options(tmp_path), model=graph_model(ADD, X, OUT, {**weights(), "unused": np.zeros(3)}))
    load_neuropod(tmp_path / "model.neuropod").close()
    assert capfd.readouterr().err == ""
