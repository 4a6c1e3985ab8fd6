"""Inputs and outputs of every shape and kind: a worker's model gives what the same model gives in this process."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod, load_neuropod
from perceptum.neuropod.frameworks.handoff import address
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.worker.runners.python import PythonRunner

KINDS = ["float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
SAME = "def make(data):\n    return lambda **given: {f'{name}_out': array for name, array in given.items()}"


def row(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": list(shape)}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A model of many optional inputs, each returned as it is: here, and in a worker."""
    folder = tmp_path_factory.mktemp("same")
    (folder / "main.py").write_text(SAME)
    inputs = [row(f"{kind}_{rank}", kind, *[None] * rank) for kind in KINDS for rank in (0, 1, 3)]
    inputs += [row(f"string_{rank}", "string", *[None] * rank) for rank in (0, 1, 3)]
    create_python_neuropod(
        neuropod_path=folder / "m",
        model_name="m",
        input_spec=inputs,
        output_spec=[{**given, "name": f"{given['name']}_out"} for given in inputs],
        data_paths=[],
        code_path_spec=[{"python_root": folder, "dirs_to_package": [""]}],
        entrypoint_package="main",
        entrypoint="make",
    )
    with (
        load_neuropod(folder / "m", trust=True) as here,
        load_neuropod(folder / "m", trust=True, isolate=True) as there,
    ):
        there.infer({"uint8_1": np.ones(3, np.uint8)})
        yield here, there


def big(kind):
    return np.arange(24).reshape(2, 3, 4).astype(kind)


def misaligned(kind):
    dtype = np.dtype(kind)
    return np.frombuffer(b"\0" + big(kind).tobytes(), dtype, 24, 1).reshape(2, 3, 4)


def frozen(array):
    array.flags.writeable = False
    return array


FORMS = {
    "plain": big,
    "transposed": lambda kind: big(kind).T,
    "backwards": lambda kind: big(kind)[::-1, :, ::-2],
    "one row again and again": lambda kind: np.broadcast_to(big(kind)[:1], (5, 3, 4)),
    "overlapping windows": lambda kind: np.lib.stride_tricks.sliding_window_view(big(kind)[0], (2, 2))[0],
    "read-only": lambda kind: frozen(big(kind)),
    "misaligned": misaligned,
    "empty": lambda kind: np.zeros((2, 0, 4), kind),
    "all empty": lambda kind: np.zeros((0, 0, 0), kind),
    "Fortran's order": lambda kind: np.asfortranarray(big(kind)),
    "a view of a larger one": lambda kind: np.pad(big(kind), 3)[3:-3, 3:-3, 3:-3],
}


def outcome(model, given):
    try:
        out = model.infer(given)
    except NeuropodError as error:
        return str(error)
    # how wide numpy makes its text says nothing
    kinds = {name: "U" if array.dtype.kind == "U" else array.dtype.str for name, array in out.items()}
    return {name: (kinds[name], array.shape, array.tolist()) for name, array in out.items()}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_form_and_type_go_through(both, form):
    here, there = both
    for kind in KINDS:
        array = FORMS[form](kind)
        given = {f"{kind}_3": array}
        found = outcome(there, given)
        assert found == outcome(here, given)
        assert found[f"{kind}_3_out"][2] == array.tolist()


def test_what_is_refused_here_is_refused_there_in_the_same_words(both):
    here, there = both
    for given in (
        {"float32_1": np.ones(3, ">f4")},
        {"float32_1": np.ones(3, np.float16)},
        {"float32_1": np.ones(3, complex)},
        {"float32_1": np.ones(3, bool)},
        {"float32_1": np.array([None])},
        {"float32_1": np.zeros(2, [("a", "f4")])},
        {"float32_1": [1.0]},
        {"float32_1": np.ma.array([1.0])},
        {"float32_1": np.ones((3, 3), np.float32)},
        {"float32_1": np.ones(3)},
        {"nothing": np.ones(3)},
        {"string_1": np.array([b"\xff\xfe"])},
        {"string_1": np.array([1])},
        np.ones(3),
    ):
        found = outcome(there, given)
        assert isinstance(found, str)
        assert found == outcome(here, given)


TEXTS = {
    "plain": np.array(["a", "bc", ""]),
    "emoji": np.array(["\U0001f600", "日本", "é\u0301", "👩\u200d👩\u200d👧"]),
    "zeros within": np.array(["a\0b", "\0\0c"]),
    "empty words": np.array(["", "", ""]),
    "empty": np.array([], np.str_),
    "bytes": np.array(["Käse".encode(), b"b"]),
    "one": np.array(["only"]),
    "wide": np.array(["x" * 100000, "y"]),
    "backwards": np.array(["a", "bc", "def"])[::-1],
    "read-only": frozen(np.array(["a"])),
    "objects": np.array(["a", "bc"], object),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_goes_through(both, text):
    here, there = both
    given = {"string_1": TEXTS[text]}
    assert outcome(there, given) == outcome(here, given)


def test_text_of_other_ranks(both):
    here, there = both
    for given in (
        {"string_0": np.array("só")},
        {"string_3": np.array([[["a", "b"], ["ccc", ""]]])},
        {"string_3": np.zeros((2, 0, 3), "U5")},
        {"string_1": np.array(["a", "b"]), "float32_1": np.ones(3, np.float32), "string_0": np.array("c")},
    ):
        assert outcome(there, given) == outcome(here, given)


def test_a_hundred_thousand_words(both):
    words = np.array([f"{n:x}é" * (n % 3) for n in range(100_000)])
    begin_s = time.monotonic()
    out = both[1].infer({"string_1": words})["string_1_out"]
    assert (out == words).all()
    assert time.monotonic() - begin_s < 20


def test_numbers_without_a_dimension(both):
    here, there = both
    for kind in KINDS:
        given = {f"{kind}_0": np.array(7, kind)}
        assert outcome(there, given) == outcome(here, given)


def test_many_inputs_and_outputs_at_once(both):
    here, there = both
    given = {f"{kind}_{rank}": np.full((3,) * rank, 5, kind) for kind in KINDS for rank in (0, 1, 3)}
    assert outcome(there, given) == outcome(here, given)
    assert outcome(there, dict(reversed(given.items()))) == outcome(here, given)


def test_one_array_for_two_inputs_and_arrays_that_overlap(both):
    here, there = both
    base = there.allocate((30,), np.float32)
    base[:] = np.arange(30)
    wide = base[:27].reshape(3, 3, 3)
    given = {"float32_1": base, "float32_3": wide}
    assert outcome(there, given) == outcome(here, given)


def test_64_mib_in_ordinary_and_in_shared_memory(both):
    there = both[1]
    x = np.arange(16 << 20, dtype=np.float32)
    own = there.allocate(x.shape, x.dtype)
    own[:] = x
    for given in (x, own):
        out = there.infer({"float32_1": given})["float32_1_out"]
        assert np.array_equal(out, x)
        assert not np.shares_memory(out, given)


def test_the_callers_arrays_stay_as_they_were(both):
    x = np.arange(5, dtype=np.float32)
    text = np.array([b"a", b"b"])
    given = {"float32_1": x, "string_1": text}
    both[1].infer(given)
    assert given["float32_1"] is x
    assert given["string_1"] is text
    assert x.tolist() == [0, 1, 2, 3, 4]


def test_an_output_is_the_callers_own_and_no_later_call_changes_it(both):
    there = both[1]
    outs = [there.infer({"float32_1": np.full(5000, n, np.float32)})["float32_1_out"] for n in range(50)]
    for n, out in enumerate(outs):
        assert (out == n).all()
        out += 1
    assert [out[0] for out in outs] == list(range(1, 51))


def test_an_input_that_a_model_writes_to_is_written_in_shared_memory_alone(isolated):
    """In this process a writing model changes its caller's array; a worker that is given a copy cannot."""
    model = isolated(
        "def make(data):\n    def model(x):\n        x[...] = 7\n        return {'y': x}\n    return model"
    )
    x = np.ones(100, np.float32)
    assert (model.infer({"x": x})["y"] == 7).all()
    assert (x == 1).all()


SHAPES = """
import numpy as np
def make(data):
    def model(x):
        rank = x.ndim
        x.shape = (1, -1)
        x.flags.writeable = False
        return {"y": x[0] * rank}
    return model
"""


@pytest.mark.parametrize("where", ["here", "worker", "lean worker"])
def test_what_a_model_makes_of_an_inputs_shape_is_seen_by_no_later_call(pack, where):
    """A worker keeps its arrays over the callers' memory, for the next call with the same."""
    if where == "lean worker":
        made = {}
        exec(SHAPES, made)
        model = PythonRunner(made["make"](""), SimpleNamespace(named=nullcontext), False)
        x = np.ones(3, np.float32)
        answers = [model.run({"x": x}, ("y",))["y"].tolist() for _ in range(3)]
    else:
        with load_neuropod(pack(SHAPES), trust=True, isolate=where == "worker") as model:
            x = model.allocate((3,), np.float32)
            x[:] = 1
            answers = [model.infer({"x": x})["y"].tolist() for _ in range(3)]
    assert answers == [[1, 1, 1]] * 3
    assert x.shape == (3,)
    assert x.flags.writeable


# ------------------------------------------------------------------------------------------------ what a model keeps

KEEPS = """
import numpy as np
kept = []
def make(data):
    def model(x):
        what = x[0]
        if what == 1:
            kept.append(x)
        if what == 2:
            kept.append(x[5:7])
        if what == 3:
            kept.clear()
        return {"y": np.array([k[-1] for k in kept], np.float32)}
    return model
"""


@pytest.mark.parametrize("how", [1, 2])
def test_memory_that_a_model_keeps_is_not_built_into_again_until_it_lets_go(isolated, how):
    model = isolated(KEEPS)

    def fresh(what):
        x = model.allocate((1000,), np.float32)
        x[:] = 9
        x[0] = what
        return x

    x = fresh(how)
    place = address(x)
    x[6] = x[-1] = 42
    assert model.infer({"x": x})["y"].tolist() == [42]
    del x
    others = [fresh(0) for _ in range(20)]
    assert place not in map(address, others)
    for other in others:
        other[:] = -1
        assert model.infer({"x": other})["y"].tolist() == [42]
    del other, others
    assert model.infer({"x": fresh(3)})["y"].tolist() == []
    model.infer({"x": fresh(0)})
    again = [fresh(0) for _ in range(40)]
    assert place in map(address, again)


def test_what_lies_elsewhere_and_is_kept_by_the_model_is_not_written_over(isolated):
    model = isolated(KEEPS)
    first = np.full(1000, 42, np.float32)
    first[0] = 1
    model.infer({"x": first})
    for n in range(20):
        assert model.infer({"x": np.full(1000, -n, np.float32)})["y"].tolist() == [42]


def test_what_a_dead_worker_had_kept_comes_back(isolated):
    model = isolated(
        "import os\nkept = []\n"
        "def make(data):\n    def model(x):\n        kept.append(x)\n"
        "        if x[0] == 9: os._exit(1)\n        return {'y': x}\n    return model",
        restart="on_failure",
    )
    for _ in range(10):
        x = model.allocate((100_000,), np.float32)
        x[:] = 0
        model.infer({"x": x})
    del x
    held = model.allocator.used_bytes
    assert held > 10 * 400_000
    with pytest.raises(NeuropodError, match="its worker ended"):
        model.infer({"x": np.full(3, 9, np.float32)})
    assert model.allocator.used_bytes < 1_000_000


def test_a_model_that_fills_its_memory_gets_no_more(isolated):
    model = isolated(
        "import numpy as np\nkept = []\n"
        "def make(data):\n    def model(x):\n"
        "        while x[0]: kept.append(np.ones(1 << 20, np.uint8))\n"
        "        return {'y': x}\n    return model",
        limits=Limits(memory_bytes=256 << 20),
        restart="on_failure",
    )
    with pytest.raises(NeuropodError, match=r"MemoryError|its worker ended"):
        model.infer({"x": np.ones(3, np.float32)})
    assert model.infer({"x": np.zeros(3, np.float32)})["y"].tolist() == [0, 0, 0]


def test_an_output_of_two_gib_by_broadcasting(isolated):
    model = isolated(
        "import numpy as np\ndef make(data):\n    return lambda x: {'y': np.broadcast_to(np.uint8(3), (2 ** 31,))}",
        [row("x", "float32", None)],
        [row("y", "uint8", None)],
        limits=Limits(memory_bytes=512 << 20),
    )
    out = model.infer({"x": np.ones(1, np.float32)})["y"]
    assert out.shape == (2**31,)
    assert out[:: 1 << 24].tolist() == [3] * 128


def test_a_thousand_outputs(isolated):
    model = isolated(
        "import numpy as np\n"
        "def make(data):\n    return lambda x: {f'y{n}': np.full(n, n, np.int32) for n in range(1000)}",
        [row("x", "float32", None)],
        [row(f"y{n}", "int32", None) for n in range(1000)],
    )
    for _ in range(3):
        out = model.infer({"x": np.ones(1, np.float32)})
        assert [out[f"y{n}"].tolist() for n in (0, 1, 3)] == [[], [1], [3, 3, 3]]
        assert len(out) == 1000
