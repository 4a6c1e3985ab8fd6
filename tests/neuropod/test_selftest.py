"""The test right after packing, and the test data that a package keeps."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod
from perceptum.neuropod.pack.selftest import compare
from perceptum.neuropod.package import test_data

SOURCE = """
import os, sys

def add(data):
    return lambda x, y: {"out": x + y, "pid": __import__("numpy").array(os.getpid())}

def fail(data):
    def model(x, y):
        raise KeyError("no such weight")
    return model

def die(data):
    os.kill(os.getpid(), 9)

def words(data):
    return lambda x, y: {"out": x.astype(str)}
"""


@pytest.fixture
def pack(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "models.py").write_text(SOURCE)

    def make(entrypoint, outputs=("out",), **options):
        dtypes = {"out": "float32", "pid": "int64"}
        path = tmp_path / entrypoint
        create_python_neuropod(
            neuropod_path=path,
            model_name="tested",
            data_paths=[],
            code_path_spec=[{"python_root": code, "dirs_to_package": [""]}],
            entrypoint_package="models",
            entrypoint=entrypoint,
            input_spec=[{"name": n, "dtype": "float32", "shape": (None,)} for n in "xy"],
            output_spec=[
                {"name": n, "dtype": dtypes[n], "shape": (None,) if n == "out" else ()} for n in ("out", "pid")
            ],
            **options,
        )
        return path

    return make


GIVEN = {"x": np.arange(3, dtype=np.float32), "y": np.arange(3, dtype=np.float32)}


def test_a_right_answer_passes_and_the_test_data_is_kept(pack):
    path = pack("add", test_input_data=GIVEN, test_expected_out={"out": np.arange(3) * 2})
    with zipfile.ZipFile(path) as files:
        kept = test_data.load(files.read("test_data.pkl"))
    assert sorted(kept) == ["test_input", "test_output"]
    np.testing.assert_array_equal(kept["test_input"]["x"], GIVEN["x"])
    assert kept["test_output"]["out"].tolist() == [0, 2, 4]


def test_a_test_that_cannot_be_made_is_not_taken_for_a_full_disk_at_the_package(pack, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/tmp/elsewhere")

    monkeypatch.setattr("perceptum.neuropod.pack.selftest.check_package", full)
    with pytest.raises(NeuropodError, match=r"add: cannot be tested: .*No space left on device: '/tmp/elsewhere'"):
        pack("add", test_input_data=GIVEN)
    assert not (tmp_path / "add").exists()


def test_tensors_of_a_framework_are_test_data_and_are_kept_as_arrays(pack):
    torch = pytest.importorskip("torch")
    given = {name: torch.arange(3.0, requires_grad=True) for name in "xy"}
    with zipfile.ZipFile(pack("add", test_input_data=given, test_expected_out={"out": given["x"] * 2})) as files:
        kept = test_data.load(files.read("test_data.pkl"))
    assert kept["test_input"]["x"].tolist() == [0, 1, 2]
    assert kept["test_output"]["out"].tolist() == [0, 2, 4]


def test_numpys_newer_text_is_test_data_and_is_kept_as_its_older():
    data = test_data.dump({"x": np.array([["é", "longer"]], np.dtypes.StringDType())}, None)
    kept = test_data.load(data)["test_input"]["x"]
    assert (kept.dtype.kind, kept.tolist()) == ("U", [["é", "longer"]])


def test_the_test_runs_in_a_process_of_its_own(pack):
    with pytest.raises(ValueError, match="pid does not match expected value!"):
        pack("add", test_input_data=GIVEN, test_expected_out={"pid": np.array(os.getpid())})


def test_test_data_is_not_kept_when_told_so(pack):
    with zipfile.ZipFile(pack("add", test_input_data=GIVEN, persist_test_data=False)) as files:
        assert "test_data.pkl" not in files.namelist()


def test_a_wrong_answer_is_ubers_value_error_and_the_package_is_taken_away(pack, tmp_path):
    with pytest.raises(
        ValueError, match=r"^out does not match expected value! Wanted int64 \(3,\) \[7, 7, 7\], "
    ) as error:
        pack("add", test_input_data=GIVEN, test_expected_out={"out": np.array([7, 7, 7])})
    assert "the model returned float32 (3,) [0., 2., 4.]" in str(error.value)
    assert not (tmp_path / "add").exists()


def test_a_model_that_raises_is_a_runtime_error_with_its_reason(pack):
    with pytest.raises(RuntimeError, match=r"in a fresh process failed: model 'tested' failed: KeyError: 'no such"):
        pack("fail", test_input_data=GIVEN)


def test_a_model_that_dies_takes_only_its_own_process_with_it_and_leaves_nothing(pack, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    with pytest.raises(NeuropodError, match="the test in a fresh process ended without an answer: killed by SIGKILL"):
        pack("die", test_input_data=GIVEN)
    assert list(temporary.iterdir()) == []


def test_expected_outputs_need_inputs(pack):
    with pytest.raises(NeuropodError, match="test_expected_out needs test_input_data beside it"):
        pack("add", test_expected_out={"out": np.zeros(3)})


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan])),
        (np.array([1.0 + 1e-9]), np.array([1.0])),
        (np.array(["a", "é"]), np.array(["a", "é"])),
        (np.array([], np.float32), np.array([])),
        # sums in another order: -1e-6 is what is left where numbers of some 20 nearly cancel out
        (np.array([20.0, -1e-6], np.float32), np.array([20.000002, 3e-6], np.float32)),
    ],
)
def test_what_is_close_passes(found, wanted):
    compare({"a": found, "b": np.zeros(1)}, {"a": wanted})
    assert found.shape == wanted.shape


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (np.array([1.0]), np.array([1.1])),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0, 3.0])),
        (np.array(["a"]), np.array(["b"])),
        (np.array(["a"]), np.array([1.0])),
        (np.array([1.0]), np.array(["1.0"])),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array([np.inf, 1.0]), np.array([np.inf, 1.1])),
        (np.array([20.0, 0.001], np.float32), np.array([20.0, 0.0], np.float32)),
        (np.array([10**6, 1]), np.array([10**6, 2])),
    ],
)
def test_what_is_not_close_fails(found, wanted):
    with pytest.raises(ValueError, match="a does not match expected value!"):
        compare({"a": found}, {"a": wanted})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([[1.0, 2.0], [3.5, 4.0]], r"; they differ most at \[1, 0\]: 3.0 and 3.5$"),
        ([[1.0, np.nan], [9.0, 4.0]], r"; they differ most at \[0, 1\]: 2.0 and nan$"),
    ],
)
def test_where_they_differ_most_is_said(found, said):
    with pytest.raises(ValueError, match=said):
        compare({"a": np.array(found)}, {"a": np.array([[1.0, 2.0], [3.0, 4.0]])})


def test_an_output_that_did_not_come_fails():
    with pytest.raises(ValueError, match="a does not match expected value! The model did not return it"):
        compare({}, {"a": np.zeros(1)})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
def test_arrays_text_and_plain_values_are_read_in_all_protocols(protocol):
    value = {
        "test_input": {"x": np.arange(6.0).reshape(2, 3), "s": np.array(["a", "é"]), "b": b"\xff", "n": np.float32(2)},
        "test_output": None,
        "plain": [1, 2.5, "text", True, (3, None)],
    }
    read = test_data.load(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(read["test_input"]["x"], value["test_input"]["x"])
    assert read["test_input"]["s"].tolist() == ["a", "é"]
    assert read["test_input"]["b"] == b"\xff"
    assert read["test_input"]["n"] == 2
    assert read["plain"] == value["plain"]


def test_a_python_2_pickle_is_read():
    old = (
        b"(dp0\nS'test_output'\np1\nNsS'test_input'\np2\n(dp3\nS'x'\np4\ncnumpy.core.multiarray\n_reconstruct\np5\n"
        b"(cnumpy\nndarray\np6\n(I0\ntp7\nS'b'\np8\ntp9\nRp10\n(I1\n(I2\ntp11\ncnumpy\ndtype\np12\n(S'f4'\np13\nI0\nI1\n"
        b"tp14\nRp15\n(I3\nS'<'\np16\nNNNI-1\nI-1\nI0\ntp17\nbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x80\\xbf'\np18\ntp19\nbss."
    )
    read = test_data.load(old)
    assert read["test_input"]["x"].tolist() == [1.0, -1.0]
    assert read["test_output"] is None


class Evil:
    def __reduce__(self):
        return os.system, ("echo ran",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"test_input": {"x": np.array([Evil()])}}),
        pickle.dumps(os.getcwd),
        pickle.dumps(np.array([1.0])).replace(b"ndarray", b"recarra"),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"P0\n.",
        b"",
        b"\x80\x05not a pickle",
        pickle.dumps({"a": np.zeros(100)})[:-50],
    ],
)
def test_a_pickle_that_is_no_test_data_is_refused_and_runs_nothing(data, capfd):
    with pytest.raises(NeuropodError, match=r"^test_data.pkl: "):
        test_data.load(data)
    assert capfd.readouterr().out == ""
