"""What every backend must do, whatever its framework: one suite, run for each."""

import re
import shutil

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError

PLATFORMS = {"tensorflow_frozen": "tensorflow", "tensorflow_saved": "tensorflow"}


def pairs(n):
    return np.arange(2 * n, dtype=np.float32).reshape(n, 2)


def test_two_arrays_are_added(loaded, backend):
    out = loaded(backend, "addition").infer({"x": pairs(3), "y": pairs(3)})
    assert list(out) == ["out"]
    assert type(out["out"]) is np.ndarray
    assert out["out"].dtype == np.float32
    np.testing.assert_array_equal(out["out"], 2 * pairs(3))


def test_the_model_tells_its_name_platform_and_spec(loaded, backend):
    model = loaded(backend, "addition")
    assert model.name == "addition_model"
    assert model.platform == PLATFORMS.get(backend, backend)
    assert model.inputs == [
        {"name": "x", "dtype": "float32", "shape": ["n", 2]},
        {"name": "y", "dtype": "float32", "shape": ["n", 2]},
    ]
    assert model.outputs == [{"name": "out", "dtype": "float32", "shape": ["n", 2]}]


def test_a_spec_that_is_changed_by_its_reader_does_not_change_the_model(loaded, backend):
    model = loaded(backend, "addition")
    model.inputs[0]["shape"].append(7)
    assert model.inputs[0]["shape"] == ["n", 2]


def test_text_goes_in_and_out_as_unicode(loaded, backend):
    given = {"x": np.array(["apple", "Käse", "日本"]), "y": np.array(["sauce", "🧀", ""])}
    out = loaded(backend, "strings").infer(given)["out"]
    assert out.dtype.kind == "U"
    assert out.tolist() == ["apple sauce", "Käse 🧀", "日本 "]


def test_text_may_be_given_as_utf8_bytes(loaded, backend):
    given = {"x": np.array(["é".encode(), b"b"]), "y": np.array([b"c", b"d"])}
    assert loaded(backend, "strings").infer(given)["out"].tolist() == ["é c", "b d"]
    assert given["x"].dtype.kind == "S"


def test_bytes_that_are_no_text_are_refused(loaded, backend):
    with pytest.raises(NeuropodError, match=r"not UTF-8"):
        loaded(backend, "strings").infer({"x": np.array([b"\xff\xfe"]), "y": np.array([b"a"])})


def test_numbers_and_text_in_one_call(loaded, backend):
    out = loaded(backend, "mixed").infer({"x": np.array([1.5, -2.0]), "words": np.array(["a", "b", "c"])})
    assert out["twice"].tolist() == [3.0, -4.0]
    assert out["shout"].tolist() == ["a!", "b!", "c!"]


@pytest.mark.parametrize("value", [np.array(41), np.int64(41)])
def test_a_scalar_has_no_dimension(loaded, backend, value):
    out = loaded(backend, "scalar").infer({"x": value})["out"]
    assert type(out) is np.ndarray
    assert out.shape == ()
    assert out == 42


def test_empty_arrays_go_through(loaded, backend):
    assert loaded(backend, "addition").infer({"x": pairs(0), "y": pairs(0)})["out"].shape == (0, 2)


def test_empty_arrays_of_text_go_through(loaded, backend):
    empty = np.array([], dtype=np.str_)
    out = loaded(backend, "strings").infer({"x": empty, "y": empty})["out"]
    assert out.shape == (0,)
    assert out.dtype.kind == "U"


def test_nan_and_infinity_go_through(loaded, backend):
    x = np.array([[np.nan, np.inf], [-np.inf, 0]], np.float32)
    np.testing.assert_array_equal(loaded(backend, "addition").infer({"x": x, "y": np.zeros_like(x)})["out"], x)


def test_a_wrong_rank_is_refused_in_ubers_words(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": np.zeros(2, np.float32), "y": pairs(1)})
    assert str(error.value) == (
        "model 'addition_model': Tensor 'x' in the input spec is expected to have 2 dimensions, but had 1"
    )


def test_a_wrong_type_is_refused_and_never_cast(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": pairs(1).astype(np.int32), "y": pairs(1)})
    assert str(error.value) == (
        "model 'addition_model': Tensor 'x' in the input spec is expected to be of type FLOAT_TENSOR, "
        "but was of type INT32_TENSOR"
    )


def test_a_wrong_size_is_refused(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": np.zeros((1, 1), np.float32), "y": pairs(1)})
    assert str(error.value) == (
        "model 'addition_model': Dim 1 of tensor 'x' in the input spec is expected to be of size 2, but was of size 1"
    )


def test_two_sizes_for_one_symbol_are_refused(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": pairs(1), "y": pairs(3)})
    assert str(error.value) == (
        "model 'addition_model': All dims with symbol 'n' should be the same size. Dim 0 of tensor 'y' in the input "
        "spec was expected to be of size 1, but was of size 3"
    )


def test_a_name_that_is_not_in_the_spec_is_refused(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": pairs(1), "y": pairs(1), "z": pairs(1), "a": pairs(1)})
    told = "Tensor name(s) '{a, z}' are not found in the input spec; there are x, y"
    assert str(error.value) == f"model 'addition_model': {told}"


def test_a_missing_input_that_the_model_needs_is_the_models_error(loaded, backend):
    with pytest.raises(NeuropodError, match=r"^model 'addition_model'.*failed"):
        loaded(backend, "addition").infer({"x": pairs(1)})


@pytest.mark.parametrize(
    "value", [np.zeros((1, 2), bool), np.zeros((1, 2), np.float16), np.zeros((1, 2), ">f4"), np.full((1, 2), None)]
)
def test_what_no_spec_can_hold_is_refused(loaded, backend, value):
    with pytest.raises(NeuropodError, match=rf"Unsupported array type in python bindings: {value.dtype.kind} "):
        loaded(backend, "addition").infer({"x": value, "y": pairs(1)})


def test_a_list_is_no_array(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer({"x": [[1.0, 2.0]], "y": pairs(1)})
    assert str(error.value) == "model 'addition_model': input 'x' must be a numpy array, got list; nothing is converted"


def test_inputs_that_are_no_dict_are_refused(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "addition").infer(pairs(1))
    assert str(error.value) == "model 'addition_model': inputs must be a dict, name to array, got ndarray"


def test_both_old_kinds_of_error_catch_ours(loaded, backend):
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind):
            loaded(backend, "addition").infer({"nothing": pairs(1)})


def test_only_the_requested_outputs_are_returned(loaded, backend):
    given = {"x": np.array([1.0])}
    assert list(loaded(backend, "pair").infer(given, ["half"])) == ["half"]
    assert list(loaded(backend, "pair").infer(given, requested_outputs=["half", "twice"])) == ["half", "twice"]
    assert list(loaded(backend, "pair").infer(given, requested_outputs=[])) == ["twice", "half"]


def test_an_output_that_does_not_exist_cannot_be_requested(loaded, backend):
    with pytest.raises(NeuropodError, match=r"Tried to request a tensor that does not exist: nope"):
        loaded(backend, "pair").infer({"x": np.array([1.0])}, ["nope"])


def test_the_callers_dict_and_arrays_stay_as_they_were(loaded, backend):
    given = {"x": pairs(3), "y": pairs(3)}
    before = dict(given)
    loaded(backend, "addition").infer(given)
    assert all(given[name] is before[name] for name in before)
    assert given["x"].tolist() == pairs(3).tolist()


def test_read_only_arrays_are_taken_without_a_warning(loaded, backend, recwarn):
    x = pairs(2)
    x.flags.writeable = False
    np.testing.assert_array_equal(loaded(backend, "addition").infer({"x": x, "y": x})["out"], 2 * x)
    assert [str(w.message) for w in recwarn] == []


def test_strided_arrays_are_copied_and_give_the_same_answer(loaded, backend):
    x = np.arange(12, dtype=np.float32).reshape(2, 6).T[::-2]
    assert not x.flags.c_contiguous
    np.testing.assert_array_equal(loaded(backend, "addition").infer({"x": x, "y": x})["out"], 2 * x)


def test_misaligned_elements_are_copied_and_give_the_same_answer(loaded, backend):
    x = np.frombuffer(b"\0" + pairs(2).tobytes(), np.float32, 4, 1).reshape(2, 2)
    assert not x.flags.aligned
    np.testing.assert_array_equal(loaded(backend, "addition").infer({"x": x, "y": x})["out"], 2 * pairs(2))


def test_an_output_never_lies_in_an_input(loaded, backend, aligned):
    x = aligned(np.arange(64, dtype=np.float32))
    out = loaded(backend, "identity").infer({"x": x})
    kept = {name: array.copy() for name, array in out.items()}
    assert not any(np.shares_memory(array, x) for array in out.values())
    x[:] = -1
    for name in ("out", "tail"):
        np.testing.assert_array_equal(out[name], kept[name])


def test_an_input_that_is_returned_as_it_is_is_copied(loaded, backend, aligned):
    x = aligned(np.arange(64, dtype=np.float32))
    out = loaded(backend, "same").infer({"x": x})["out"]
    assert not np.shares_memory(out, x)
    np.testing.assert_array_equal(out, x)


def test_writing_into_an_output_does_not_change_the_model(loaded, backend):
    model = loaded(backend, "constant")
    first = model.infer({"x": np.zeros(3, np.float32)})["weights"]
    first[:] = 99
    assert model.infer({"x": np.zeros(3, np.float32)})["weights"].tolist() == [1, 2, 3]


def test_state_lives_in_the_loaded_model_and_held_outputs_do_not_change(load, packed, backend):
    x = np.full(3, 5, np.float32)
    with load(packed(backend, "state"), trust=True) as model:
        first = model.infer({"x": x})["total"]
        second = model.infer({"x": x})["total"]
        assert (first.tolist(), second.tolist()) == ([5, 5, 5], [10, 10, 10])
        with load(packed(backend, "state"), trust=True) as other:
            assert other.infer({"x": x})["total"].tolist() == [5, 5, 5]


def test_an_output_of_another_type_than_promised_is_refused(loaded, backend):
    with pytest.raises(NeuropodError) as error:
        loaded(backend, "wrong_output").infer({"x": np.zeros(2, np.float32)})
    assert str(error.value) == (
        "model 'wrong_output_model': Tensor 'out' in the output spec is expected to be of type INT32_TENSOR, "
        "but was of type FLOAT_TENSOR"
    )


def test_an_output_that_the_spec_does_not_name_is_refused_or_not_fetched(loaded, backend):
    given = {"x": np.zeros(2, np.float32)}
    if backend.startswith(("tensorflow", "onnx")):
        assert list(loaded(backend, "extra_output").infer(given)) == ["out"]
    else:
        with pytest.raises(NeuropodError, match=r"Tensor name\(s\) '\{more\}' are not found in the output spec"):
            loaded(backend, "extra_output").infer(given)


def test_cheap_validation_looks_at_ranks_and_leaves_sizes_to_the_model(load, packed, backend):
    with load(packed(backend, "addition"), trust=True, validate="cheap") as model:
        x = np.ones((1, 2), np.float32)
        given = {"x": x, "y": np.ones((3, 2), np.float32)}
        if backend in ("torch_export", "jax"):  # an exported program checks its own sizes
            with pytest.raises(NeuropodError, match=r"^model 'addition_model' failed: "):
                model.infer(given)
        else:
            np.testing.assert_array_equal(model.infer(given)["out"], np.full((3, 2), 2))
        with pytest.raises(NeuropodError, match=r"expected to have 2 dimensions, but had 1"):
            model.infer({"x": x[0], "y": x})


def test_without_validation_a_wrong_input_is_an_error_or_an_answer_and_never_the_end_of_the_process(
    load, packed, backend
):
    with load(packed(backend, "addition"), trust=True, validate="off") as model:
        wrong = {"x": np.zeros((1, 2), np.int8), "y": np.zeros((4, 7), np.float32)}
        with pytest.raises(NeuropodError, match=r"^model 'addition_model'"):
            model.infer(wrong)


def test_a_closed_model_says_so(load, packed, backend):
    model = load(packed(backend, "scalar"), trust=True)
    model.close()
    model.close()
    with pytest.raises(NeuropodError) as error:
        model.infer({"x": np.int64(1)})
    assert str(error.value) == "model 'scalar_model' is closed; load it again"


def test_a_folder_is_as_good_as_a_zip(load, packed, backend):
    path = packed(backend, "scalar", package_as_zip=False)
    assert path.is_dir()
    before = sorted(path.rglob("*"))
    with load(path, trust=True) as model:
        assert model.infer({"x": np.int64(1)})["out"] == 2
    assert sorted(path.rglob("*")) == before


def test_a_package_without_its_model_names_what_is_missing(load, packed, backend, package_folder):
    folder = package_folder(packed(backend, "scalar"))
    shutil.rmtree(folder / "0")
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(folder))}: .*0/"):
        load(folder, trust=True)


def test_a_package_with_a_broken_model_says_which_file(load, packed, backend, package_folder):
    folder = package_folder(packed(backend, "scalar"))
    model = {
        "python": "0/code/problems.py",
        "torchscript": "0/data/model.pt",
        "tensorflow_frozen": "0/data/model.pb",
        "tensorflow_saved": "0/data/savedmodel/saved_model.pb",
        "onnx": "0/data/model.onnx",
        "torch_export": "0/data/model.pt2",
        "jax": "0/data/model.jax",
    }[backend]
    path = folder / model
    path.write_bytes(b"\xff broken (" + path.read_bytes()[:20])
    with pytest.raises(NeuropodError, match=rf"^{re.escape(str(folder))}: ") as error:
        load(folder, trust=True)
    assert "\n" not in str(error.value)


def test_a_masked_array_is_refused_for_its_mask_would_be_lost(loaded, backend):
    with pytest.raises(NeuropodError, match="input 'x' must be a numpy array, got MaskedArray"):
        loaded(backend, "addition").infer({"x": np.ma.masked_array(pairs(1), True), "y": pairs(1)})


def test_a_memory_mapped_array_is_taken(loaded, backend, tmp_path):
    np.save(tmp_path / "x.npy", pairs(3))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(loaded(backend, "addition").infer({"x": x, "y": x})["out"], 2 * pairs(3))


def test_the_model_tells_which_inputs_are_copied_and_why(loaded, backend, aligned, isolate):
    model = loaded(backend, "addition")
    unaligned = model.allocate((34,), np.float32)[2:].reshape(16, 2)
    assert model.copies({"x": model.allocate((2, 2), np.float32)}) == {}
    own = {"x": "it does not lie in memory that the worker shares"} if isolate else {}
    assert model.copies({"x": aligned(pairs(2))}) == own
    assert model.copies({"x": pairs(2).T}) == {"x": "its elements are not contiguous"}
    needs_it = backend.startswith(("tensorflow", "jax"))
    reasons = {"x": "it does not start on a multiple of 64"} if needs_it else {}
    assert model.copies({"x": unaligned}) == reasons


def test_threads_may_share_a_model(loaded, backend):
    from concurrent.futures import ThreadPoolExecutor

    model = loaded(backend, "addition")
    given = [pairs(n) for n in range(1, 40)]
    with ThreadPoolExecutor(4) as pool:
        outs = list(pool.map(lambda x: model.infer({"x": x, "y": x})["out"], given))
    for x, out in zip(given, outs, strict=True):
        np.testing.assert_array_equal(out, 2 * x)


def test_threads_may_load_at_once(load, packed, backend):
    from concurrent.futures import ThreadPoolExecutor

    def run(n):
        with load(packed(backend, "addition"), trust=True) as model:
            return model.infer({"x": pairs(n), "y": pairs(n)})["out"].tolist()

    packed(backend, "addition")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(1, 9))) == [(2 * pairs(n)).tolist() for n in range(1, 9)]
