"""`infer` takes tensors of any framework, without a copy where it can, and leaves outputs in a framework on request."""

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, load_neuropod
from perceptum.neuropod.frameworks.handoff import address
from perceptum.neuropod.frameworks.incoming import as_numpy
from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def from_torch(array):
    return pytest.importorskip("torch").from_numpy(array.copy())


def from_tensorflow(array):
    pytest.importorskip("tensorflow")
    return import_tensorflow().constant(array)


def from_jax(array):
    return pytest.importorskip("jax.numpy").asarray(array)


def from_arrow_tensor(array):
    return pytest.importorskip("pyarrow").Tensor.from_numpy(array.copy())


def from_arrow_list(array):
    pa = pytest.importorskip("pyarrow")
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def from_arrow_tensor_column(array):
    return pytest.importorskip("pyarrow").FixedShapeTensorArray.from_numpy_ndarray(array)


class ByInterface:
    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


class ByDlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


MAKERS = {
    "torch": from_torch,
    "tensorflow": from_tensorflow,
    "jax": from_jax,
    "arrow tensor": from_arrow_tensor,
    "arrow lists": from_arrow_list,
    "arrow tensor column": from_arrow_tensor_column,
    "array interface": ByInterface,
    "dlpack": ByDlpack,
}


@pytest.mark.parametrize("maker", MAKERS)
def test_every_kind_of_tensor_is_an_input_of_every_framework(loaded, maker, backend):
    model = loaded(backend, "addition")
    np.testing.assert_array_equal(model.infer({"x": MAKERS[maker](X), "y": X})["out"], X + X)


def memory_of(value):
    if hasattr(value, "data_ptr"):
        return value.data_ptr()
    if hasattr(value, "unsafe_buffer_pointer"):
        return value.unsafe_buffer_pointer()
    if hasattr(value, "array"):
        return address(value.array)
    return address(np.asarray(memoryview(value)))


@pytest.mark.parametrize("maker", ["torch", "tensorflow", "jax", "arrow tensor", "array interface", "dlpack"])
def test_its_memory_is_not_copied(maker):
    value = MAKERS[maker](X)
    array = as_numpy("x", value)
    assert address(array) == memory_of(value)
    np.testing.assert_array_equal(array, X)


def test_arrow_lists_and_columns_are_not_copied():
    pa = pytest.importorskip("pyarrow")
    flat = pa.array(X.ravel())
    start = flat.buffers()[1].address
    assert address(as_numpy("x", flat)) == start
    assert address(as_numpy("x", pa.FixedSizeListArray.from_arrays(flat, 2))) == start
    assert as_numpy("x", pa.FixedSizeListArray.from_arrays(flat, 2)[1:]).tolist() == X[1:].tolist()
    assert address(as_numpy("x", pa.chunked_array([flat]))) == start


def test_chunks_are_joined_and_strings_are_read():
    pa = pytest.importorskip("pyarrow")
    chunks = pa.chunked_array([pa.array([1.0, 2.0]), pa.array([3.0])])
    assert as_numpy("x", chunks).tolist() == [1, 2, 3]
    for kind in (pa.string(), pa.large_string()):
        assert as_numpy("x", pa.array(["a", "é"], kind)).tolist() == ["a", "é"]


def test_strings_of_tensorflow_are_read(loaded):
    words = from_tensorflow(np.array(["a", "é"]))
    assert as_numpy("x", words).tolist() == ["a", "é"]
    out = loaded("torchscript", "strings").infer({"x": words, "y": np.array(["b", "c"])})["out"]
    assert out.tolist() == ["a b", "é c"]


def test_gradients_and_strides_are_no_obstacle(loaded):
    torch = pytest.importorskip("torch")
    base = torch.arange(12, dtype=torch.float32).reshape(2, 6)
    model = loaded("torchscript", "addition")
    grad = torch.ones(3, 2, requires_grad=True)
    np.testing.assert_array_equal(model.infer({"x": grad, "y": X})["out"], X + 1)
    strided = base.T[:3]
    np.testing.assert_array_equal(model.infer({"x": strided, "y": X})["out"], strided.numpy() + X)


def test_a_tensor_is_not_changed_by_a_model_that_writes(loaded):
    given = from_torch(X)
    loaded("python", "addition").infer({"x": given, "y": X})
    np.testing.assert_array_equal(given.numpy(), X)


def refused(value):
    with pytest.raises(NeuropodError) as error:
        as_numpy("x", value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_has_no_memory_for_us_is_named():
    torch = pytest.importorskip("torch")
    pa = pytest.importorskip("pyarrow")
    assert refused([1.0]) == "input 'x' must be a numpy array, got list; nothing is converted"
    assert refused(1.0) == "input 'x' must be a numpy array, got float; nothing is converted"
    assert refused(np.ma.array([1.0])).startswith("input 'x' must be a numpy array, got MaskedArray")
    assert "cannot be read from torch.Tensor" in refused(torch.zeros(2, dtype=torch.bfloat16))
    assert "it is on meta; call its .cpu() first" in refused(torch.zeros(2, device="meta"))
    assert "it has 1 nulls, which a tensor cannot hold" in refused(pa.array([1.0, None]))
    assert "an Array, a ChunkedArray or a Tensor" in refused(pa.table({"a": [1]}))
    assert "cannot be read from pyarrow.lib.ListArray" in refused(pa.array([[1], [1, 2]]))


def test_types_are_checked_and_never_cast(loaded):
    torch = pytest.importorskip("torch")
    with pytest.raises(NeuropodError, match="'x' in the input spec is expected to be of type FLOAT_TENSOR, but was of"):
        loaded("torchscript", "addition").infer({"x": torch.zeros(3, 2, dtype=torch.float64), "y": X})
    with pytest.raises(NeuropodError, match=r"Unsupported array type in python bindings: b \(input 'x'"):
        loaded("torchscript", "addition").infer({"x": torch.zeros(3, 2, dtype=torch.bool), "y": X})


def kind(value):
    return type(value).__module__.partition(".")[0]


@pytest.mark.parametrize(("form", "module"), [("torch", "torch"), ("tensorflow", "tensorflow"), ("jax", "jaxlib")])
def test_outputs_come_as_tensors_of_the_framework_that_is_asked_for(loaded, form, module, backend):
    pytest.importorskip(form)
    out = loaded(backend, "addition").infer({"x": X, "y": X}, outputs=form)["out"]
    assert kind(out) == module
    np.testing.assert_array_equal(np.asarray(out), X + X)


@pytest.mark.parametrize(
    ("which", "module"), [("torchscript", "torch"), ("tensorflow_saved", "tensorflow"), ("python", "numpy")]
)
def test_native_outputs_stay_in_the_framework(loaded, which, module):
    out = loaded(which, "addition").infer({"x": X, "y": X}, outputs="native")["out"]
    assert kind(out) == module


@pytest.mark.parametrize("which", ["torchscript", "tensorflow_frozen", "tensorflow_saved"])
def test_native_outputs_lie_in_the_memory_that_the_framework_filled(loaded, which, monkeypatch):
    model = loaded(which, "addition")
    seen = []
    real = model._runner.run

    def run(*words):
        found = real(*words)
        seen.append(address(found["out"]))
        return found

    monkeypatch.setattr(model._runner, "run", run)
    out = model.infer({"x": X, "y": X}, outputs="native")["out"]
    start = out.data_ptr() if which == "torchscript" else address(np.asarray(out))
    assert start == seen[0]


def test_native_strings(loaded):
    words = {"x": np.array(["a"]), "y": np.array(["é"])}
    assert loaded("torchscript", "strings").infer(words, outputs="native")["out"] == ["a é"]
    out = loaded("tensorflow_saved", "strings").infer(words, outputs="native")["out"]
    assert [item.decode() for item in out.numpy()] == ["a é"]


def test_wide_numbers_stay_wide_in_jax(loaded):
    pytest.importorskip("jax")
    out = loaded("python", "scalar").infer({"x": np.int64(2**40)}, outputs="jax")["out"]
    assert out.dtype == np.int64
    assert int(out) == 2**40 + 1


def test_a_form_that_does_not_exist_is_named(loaded):
    with pytest.raises(NeuropodError, match="outputs must be numpy, native, torch, tensorflow or jax, got 'mxnet'"):
        loaded("python", "scalar").infer({"x": np.int64(1)}, outputs="mxnet")


def test_requested_outputs_and_forms_go_together(loaded):
    pytest.importorskip("torch")
    given = {"x": np.zeros(3, np.float32)}
    out = loaded("torchscript", "identity").infer(given, ["tail"], outputs="native")
    assert list(out) == ["tail"]
    assert kind(out["tail"]) == "torch"


def test_what_a_frameworks_tensor_costs_is_told(packed):
    with load_neuropod(packed("tensorflow_saved", "addition")) as model:
        assert model.copies({"x": from_tensorflow(X)}) == {}
