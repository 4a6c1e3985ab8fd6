"""No copies: pointers are compared, from numpy into the frameworks and back."""

import logging
import time

import numpy as np
import pytest

from perceptum.neuropod import (
    NeuropodError,
    as_tensorflow,
    as_torch,
    create_tensorflow_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.backends import tensorflow, torchscript
from perceptum.neuropod.frameworks.handoff import (
    address,
    aligned_empty,
    private_copy,
    writable_alias,
)

NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SHAPES = ((), (0,), (3, 0, 2), (7,), (5, 3, 2))


def filled(shape, dtype):
    out = aligned_empty(shape, np.dtype(dtype))
    out[...] = np.arange(out.size).reshape(shape)
    return out


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def tensorflow_address(tensor):
    return address(np.asarray(memoryview(tensor)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_an_aligned_array_is_aligned(shape, dtype):
    out = aligned_empty(shape, np.dtype(dtype))
    assert out.shape == shape
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    assert out.flags.writeable
    assert address(out) % 64 == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_torch_takes_the_very_memory(shape, dtype):
    array = filled(shape, dtype)
    for given in (array, read_only(array)):
        tensor = as_torch(given)
        assert tuple(tensor.shape) == shape
        np.testing.assert_array_equal(tensor.numpy(), array)
        if array.size:
            assert tensor.data_ptr() == address(array)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_tensorflow_takes_the_very_memory(shape, dtype):
    array = filled(shape, dtype)
    for given in (array, read_only(array)):
        tensor = as_tensorflow(given)
        assert tuple(tensor.shape) == shape
        np.testing.assert_array_equal(np.asarray(tensor), array)
        if array.size:
            assert tensorflow_address(tensor) == address(array)


def test_memory_that_is_not_aligned_reaches_tensorflow_as_an_aligned_copy():
    import tensorflow as tf

    array = filled((65,), "float32")[1:]
    tensor = as_tensorflow(array)
    assert tensorflow_address(tensor) % 64 == 0
    assert tensorflow_address(tensor) != address(array)
    np.testing.assert_allclose(np.asarray(tf.tanh(tensor) + tensor), np.tanh(array) + array, rtol=1e-5)


def test_a_read_only_array_reaches_torch_without_a_warning(recwarn):
    tensor = as_torch(read_only(filled((4,), "float32")))
    assert tensor.tolist() == [0, 1, 2, 3]
    assert [str(w.message) for w in recwarn] == []


def test_truly_read_only_memory_is_copied_and_never_written(recwarn):
    array = np.frombuffer(bytes(16), np.float32)
    assert writable_alias(array) is None
    tensor = as_torch(array)
    tensor.add_(1)
    assert array.tolist() == [0, 0, 0, 0]
    assert np.asarray(as_tensorflow(array)).tolist() == [0, 0, 0, 0]
    assert [str(w.message) for w in recwarn] == []


def test_an_alias_does_not_make_its_array_writable():
    array = read_only(filled((4,), "float32"))
    alias = writable_alias(array)
    assert alias is not None
    assert address(alias) == address(array)
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("array", "torch_reason", "tensorflow_reason"),
    [
        (filled((4,), "float32"), None, None),
        (read_only(filled((4,), "float32")), None, None),
        (filled((5,), "float32")[1:], None, "it does not start on a multiple of 64"),
        (filled((4, 4), "float32").T, "its elements are not contiguous", None),
        (filled((4,), ">f4"), "its byte order is not this machine's", None),
        (np.array(["a"]), "strings have another form in every framework", None),
        (np.frombuffer(bytes(8), np.float32), "its memory is read-only", "?"),
    ],
)
def test_why_a_copy_is_needed_is_told(array, torch_reason, tensorflow_reason):
    assert torchscript.copy_reason(array) == torch_reason
    if tensorflow_reason != "?":
        wanted = tensorflow_reason if torch_reason is None else torch_reason
        assert tensorflow.copy_reason(array) == wanted


def test_text_and_objects_have_no_memory_to_hand_over():
    for array in (np.array(["a"]), np.array([b"a"]), np.array([object()])):
        for hand_over in (as_torch, as_tensorflow):
            with pytest.raises(NeuropodError, match="has no memory that"):
                hand_over(array)


def test_a_private_copy_keeps_shape_and_value_in_native_order():
    for array in (filled((), ">f8"), filled((2, 3), ">i4").T, filled((0, 3), "uint8")):
        copy = private_copy(array)
        assert copy.shape == array.shape
        assert copy.dtype.isnative
        assert copy.flags.c_contiguous
        assert address(copy) % 64 == 0
        np.testing.assert_array_equal(copy, array)


TORCH_SOURCE = """
import torch
from torch import Tensor, nn

class tells(nn.Module):
    def forward(self, x: Tensor):
        out = x + 1
        told = torch.ops.perceptum_tests.tell(x) + torch.ops.perceptum_tests.tell(out)
        return {"out": out, "told": told}

class scribbles_and_fails(nn.Module):
    def forward(self, x: Tensor):
        x[0] = 99.0
        assert x.numel() == 0, "too many"
        return {"out": x}

class scribbles(nn.Module):
    def forward(self, x: Tensor, y: Tensor):
        x[0] = 99.0
        return {"out": x + y}
"""


@pytest.fixture(scope="module")
def torch_addresses():
    """An operator that a TorchScript model calls to tell where its tensors lie: the list that it fills."""
    import torch

    told = []
    library = torch.library.Library("perceptum_tests", "DEF")
    library.define("tell(Tensor x) -> Tensor")
    library.impl("tell", lambda x: told.append(x.data_ptr()) or x.clone(), "CPU")
    yield told
    del library


@pytest.fixture
def torch_model(tmp_path, torch_module):
    def make(name, inputs, outputs=("out",)):
        path = tmp_path / f"{name}.neuropod"
        create_torchscript_neuropod(
            neuropod_path=path,
            model_name=name,
            module=torch_module(TORCH_SOURCE, name, tmp_path),
            input_spec=[{"name": n, "dtype": "float32", "shape": (None,)} for n in inputs],
            output_spec=[{"name": n, "dtype": "float32", "shape": (None,)} for n in outputs],
        )
        return load_neuropod(path)

    return make


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_sees_the_callers_memory_and_returns_its_own(torch_addresses, torch_model):
    model = torch_model("tells", ["x"], ["out", "told"])
    for array in (filled((256,), "float32"), read_only(filled((256,), "float32"))):
        torch_addresses.clear()
        out = model.infer({"x": array})["out"]
        assert sorted(torch_addresses) == sorted([address(array), address(out)])


@pytest.fixture
def tensorflow_model(tmp_path, monkeypatch):
    """A frozen graph that calls Python, which no package may, to tell where its tensors lie; the list that it fills."""
    import tensorflow as tf

    monkeypatch.setattr("perceptum.neuropod.backends.tensorflow.check_frozen", lambda graph, names: None)
    told = []

    def tell(array):
        told.append(address(array))
        return np.float32(0)

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        out = tf.add(x, 1.0, name="out")
        tf.add(tf.numpy_function(tell, [x], tf.float32), tf.numpy_function(tell, [out], tf.float32), name="told")
    path = tmp_path / "tells.neuropod"
    create_tensorflow_neuropod(
        neuropod_path=path,
        model_name="tells",
        graph_def=graph.as_graph_def(),
        node_name_mapping={"x": "x", "out": "out", "told": "told"},
        input_spec=[{"name": "x", "dtype": "float32", "shape": (None,)}],
        output_spec=[
            {"name": "out", "dtype": "float32", "shape": (None,)},
            {"name": "told", "dtype": "float32", "shape": ()},
        ],
    )
    return load_neuropod(path), told, graph


def test_tensorflow_sees_the_callers_memory_and_returns_its_own(tensorflow_model):
    model, told, _ = tensorflow_model
    for array in (filled((256,), "float32"), read_only(filled((256,), "float32"))):
        told.clear()
        out = model.infer({"x": array})["out"]
        assert sorted(told) == sorted([address(array), address(out)])


def test_tensorflow_copies_what_is_not_aligned(tensorflow_model):
    model, told, _ = tensorflow_model
    array = filled((257,), "float32")[1:]
    out = model.infer({"x": array})["out"]
    np.testing.assert_array_equal(out, array + 1)
    assert address(array) not in told


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_model_that_writes_into_its_input_is_found_out_and_gets_copies(torch_model, caplog):
    from perceptum.neuropod.frameworks.torch import runner as torch_runner

    model = torch_model("scribbles", ["x", "y"])
    first, second = read_only(filled((4,), "float32")), read_only(filled((4,), "float32"))
    y = filled((4,), "float32")
    with caplog.at_level(logging.WARNING):
        assert model.infer({"x": first, "y": y})["out"].tolist() == [99, 2, 4, 6]
        assert model.infer({"x": second, "y": y})["out"].tolist() == [99, 2, 4, 6]
    assert second.tolist() == [0, 1, 2, 3]
    assert any(array is first for array in torch_runner._SCRIBBLED)
    assert not any(array is y or array is second for array in torch_runner._SCRIBBLED)
    assert [r.getMessage() for r in caplog.records] == [
        "model 'scribbles' wrote into its input 'x'; from now on it gets its own copy of every input: "
        "let it clone before it writes"
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_model_that_writes_and_then_fails_is_found_out_too(torch_model, caplog):
    x = filled((4,), "float32")
    with caplog.at_level(logging.WARNING), pytest.raises(NeuropodError, match="AssertionError: too many"):
        torch_model("scribbles_and_fails", ["x"]).infer({"x": x})
    assert "wrote into its input 'x'" in caplog.text


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_write_is_found_out_in_inference_mode_too(torch_model, caplog):
    import torch

    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        x, y = filled((4,), "float32"), filled((4,), "float32")
        assert torch_model("scribbles", ["x", "y"]).infer({"x": x, "y": y})["out"].tolist() == [99, 2, 4, 6]
        assert torch.is_inference_mode_enabled()
    assert "wrote into its input 'x'" in caplog.text


@pytest.mark.parametrize("hand_over", [as_torch, as_tensorflow])
def test_handing_over_takes_under_20_microseconds_whatever_the_size(hand_over, least):
    def median_us(array):
        times_us = []
        for _ in range(300):
            start_ns = time.perf_counter_ns()
            hand_over(array)
            times_us.append((time.perf_counter_ns() - start_ns) / 1e3)
        return np.median(times_us)

    for size_bytes in (1 << 10, 1 << 20, 1 << 26):
        array = filled((size_bytes // 4,), "float32")
        hand_over(array)
        assert least(lambda array=array: median_us(array), 20) < 20
