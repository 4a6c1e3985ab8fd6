"""Placeholder models: right in type and shape, the same for the same seed, and data."""

import json
import subprocess
import sys

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_placeholder_neuropod, load_neuropod

NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
INPUTS = [
    {"name": "points", "dtype": "float32", "shape": ("n", 4)},
    {"name": "words", "dtype": "string", "shape": (None,)},
]
OUTPUTS = [
    {"name": "scores", "dtype": "float32", "shape": ("n", "classes")},
    {"name": "boxes", "dtype": "float64", "shape": ("boxes", 7)},
    {"name": "labels", "dtype": "int64", "shape": ("boxes",)},
    {"name": "any", "dtype": "uint8", "shape": (None, None)},
    {"name": "names", "dtype": "string", "shape": ("boxes",)},
    {"name": "count", "dtype": "int32", "shape": ()},
]


def pack(path, **more):
    create_placeholder_neuropod(
        **{"neuropod_path": path, "model_name": "later", "input_spec": INPUTS, "output_spec": OUTPUTS, **more}
    )
    return load_neuropod(path)


def points(n):
    return {"points": np.zeros((n, 4), np.float32), "words": np.array(["a"])}


def test_outputs_have_the_specs_types_and_sizes(tmp_path):
    model = pack(tmp_path / "a")
    assert model.platform == "placeholder"
    out = model.infer(points(5))
    assert list(out) == [row["name"] for row in OUTPUTS]
    boxes = len(out["boxes"])
    assert {name: array.shape for name, array in out.items()} == {
        "scores": (5, out["scores"].shape[1]),
        "boxes": (boxes, 7),
        "labels": (boxes,),
        "any": out["any"].shape,
        "names": (boxes,),
        "count": (),
    }
    assert out["names"].dtype.kind == "U"
    assert all(1 <= size <= 99 for array in out.values() for size in array.shape)


def test_a_size_that_an_input_settles_is_the_inputs(tmp_path):
    model = pack(tmp_path / "a")
    for n in (0, 1, 300):
        assert model.infer(points(n))["scores"].shape[0] == n


def test_no_input_is_needed(tmp_path):
    assert pack(tmp_path / "a").infer({})["boxes"].shape[1] == 7


def test_the_same_seed_gives_the_same_values_and_another_gives_others(tmp_path):
    first, again, other = (pack(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    first.infer(points(9))
    wanted = first.infer(points(5))
    for name, array in again.infer(points(5)).items():
        np.testing.assert_array_equal(array, wanted[name])
    assert not np.array_equal(other.infer(points(5))["any"], wanted["any"])


def test_asking_for_less_changes_nothing(tmp_path):
    model = pack(tmp_path / "a")
    every = model.infer(points(5))
    assert list(model.infer(points(5), ["boxes"])) == ["boxes"]
    np.testing.assert_array_equal(model.infer(points(5), ["boxes"])["boxes"], every["boxes"])


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_lie_in_their_types_range(tmp_path, dtype):
    rows = [{"name": "out", "dtype": dtype, "shape": (1000,)}]
    out = pack(tmp_path / "a", output_spec=rows).infer({})["out"]
    assert out.dtype == dtype
    assert out.min() >= 0
    assert out.max() <= (1 if dtype.startswith("float") else np.iinfo(dtype).max // 2)
    assert len(np.unique(out)) > 50


def test_wrong_inputs_are_refused_as_a_models_would_be(tmp_path):
    with pytest.raises(NeuropodError, match="is expected to have 2 dimensions, but had 1"):
        pack(tmp_path / "a").infer({"points": np.zeros(4, np.float32)})


@pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
def test_a_seed_is_a_whole_number(tmp_path, seed):
    with pytest.raises(NeuropodError, match="seed must be a whole number of 0 or more, got"):
        pack(tmp_path / "a", seed=seed)


@pytest.mark.parametrize("plain", [{}, {"seed": 1, "sizes": {}}, {"seed": 1, "sizes": {"n": -1}}, {"seed": "x"}])
def test_a_broken_package_says_what_it_must_hold(tmp_path, plain):
    pack(tmp_path / "a", package_as_zip=False).close()
    (tmp_path / "a/manifest.json").unlink()
    (tmp_path / "a/0/config.json").write_text(json.dumps(plain))
    with pytest.raises(NeuropodError, match=r"0/config.json: must hold a seed and the sizes n, classes, boxes"):
        load_neuropod(tmp_path / "a")


def test_it_needs_no_framework(tmp_path):
    pack(tmp_path / "a").close()
    code = (
        "import sys, perceptum\n"
        f"perceptum.load_neuropod({str(tmp_path / 'a')!r}).infer({{}})\n"
        "print([m for m in ('torch', 'tensorflow', 'jax', 'onnxruntime') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ubers_randomify_makes_a_tensorflow_package(tmp_path):
    from perceptum.neuropod.utils.randomify import randomify_neuropod

    path = tmp_path / "a"
    assert randomify_neuropod(path, INPUTS, OUTPUTS) == path
    with load_neuropod(path) as model:
        assert model.platform == "tensorflow"
        first, second = model.infer(points(3)), model.infer({})
    boxes = len(first["boxes"])
    assert [first[name].shape for name in ("boxes", "labels", "names", "count")] == [(boxes, 7), (boxes,), (boxes,), ()]
    assert {name: a.shape for name, a in first.items()} == {name: a.shape for name, a in second.items()}
    assert not np.array_equal(first["boxes"], second["boxes"])
    assert [first[row["name"]].dtype.kind for row in OUTPUTS] == ["f", "f", "i", "u", "U", "i"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_ubers_randomify_knows_every_type_and_takes_a_seed(tmp_path, dtype):
    from perceptum.neuropod.utils.randomify import randomify_neuropod

    rows = [{"name": "out", "dtype": dtype, "shape": (None, 500)}]
    outs = []
    for name in "ab":
        randomify_neuropod(tmp_path / name, [], rows, seed=7)
        with load_neuropod(tmp_path / name) as model:
            outs.append(model.infer({})["out"])
    np.testing.assert_array_equal(*outs)
    assert outs[0].min() >= 0
    assert outs[0].dtype == dtype
    assert len(np.unique(outs[0])) > 50
