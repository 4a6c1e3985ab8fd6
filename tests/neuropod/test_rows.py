"""A spec row is one type: every door takes and refuses the same rows, with its own error and no other."""

from __future__ import annotations

import contextlib
import json
import pickle

import numpy as np
import pytest

from perceptum.features import Row, RowError, Spec
from perceptum.neuropod import NeuropodError, packagers
from perceptum.neuropod.pack.packing import PackOptions
from perceptum.neuropod.package.config import Config
from perceptum.neuropod.package.rows import read_rows
from perceptum.neuropod.utils import config_utils

INPUT = {"name": "x", "dtype": "float32", "shape": [1]}


class Odd:
    """A class that answers numpy's question for its dtype with an error of its own."""

    @property
    def dtype(self):
        raise KeyError("odd")


class OddMeta(type):
    @property
    def dtype(cls):
        raise KeyError("odd")


class OddClass(metaclass=OddMeta):
    pass


def row(name="y", dtype="float32", shape=(2,), **more):
    return {"name": name, "dtype": dtype, "shape": shape, **more}


# the row, and the dtype, shape and params that it is kept with
TAKEN = {
    "plain": (row(), "float32", (2,), None),
    "a scalar": (row(shape=[]), "float32", (), None),
    "a list": (row(shape=["n", None, 3]), "float32", ("n", None, 3), None),
    "a Row": (Row("y", "float32", (2,)), "float32", (2,), None),
    "any name": (row(name="a b/c.d:0"), "float32", (2,), None),
    "numpy's string as a name": (row(name=np.str_("y")), "float32", (2,), None),
    "numpy's integers": (row(shape=[np.int64(3), np.uint8(4)]), "float32", (3, 4), None),
    "numpy's string as a symbol": (row(shape=[np.str_("n")]), "float32", ("n",), None),
    "the largest size": (row(shape=[2**63 - 1]), "float32", (2**63 - 1,), None),
    "double": (row(dtype="double"), "float64", (2,), None),
    "float": (row(dtype=float), "float64", (2,), None),
    "a code": (row(dtype="<f4"), "float32", (2,), None),
    "another byte order": (row(dtype=np.dtype(">i2")), "int16", (2,), None),
    "numpy's class": (row(dtype=np.uint8), "uint8", (2,), None),
    "str": (row(dtype=str), "string", (2,), None),
    "'str'": (row(dtype="str"), "string", (2,), None),
    "bytes": (row(dtype=bytes), "string", (2,), None),
    "U7": (row(dtype="U7"), "string", (2,), None),
    "numpy's strings": (row(dtype=np.dtype("S3")), "string", (2,), None),
    "no params": (row(params=None), "float32", (2,), None),
    "params": (row(params={"a": [1, {"b": None}]}), "float32", (2,), {"a": [1, {"b": None}]}),
    "a preset": (row(params="bevfusion"), "float32", (2,), {"preset": "bevfusion"}),
}
REFUSED = {
    "None": None,
    "a number": 5,
    "a string": "y",
    "a list of pairs": [("name", "y"), ("dtype", "float32"), ("shape", [2])],
    "nothing": {},
    "no name": {"dtype": "float32", "shape": [2]},
    "no dtype": {"name": "y", "shape": [2]},
    "no shape": {"name": "y", "dtype": "float32"},
    "another key": row(unit="m"),
    "a number as a key": {**row(), 1: 2},
    "name: None": row(name=None),
    "name: a number": row(name=1),
    "name: bytes": row(name=b"y"),
    "name: a list": row(name=["y"]),
    "name: empty": row(name=""),
    "name: half a character": row(name="\ud800"),
    "dtype: None": row(dtype=None),
    "dtype: empty": row(dtype=""),
    "dtype: bool": row(dtype=bool),
    "dtype: 'bool'": row(dtype="bool"),
    "dtype: float16": row(dtype=np.float16),
    "dtype: complex64": row(dtype="complex64"),
    "dtype: object": row(dtype=object),
    "dtype: a class": row(dtype=dict),
    "dtype: a class with an odd dtype": row(dtype=OddClass),
    "dtype: an object with an odd dtype": row(dtype=Odd()),
    "dtype: nonsense": row(dtype="nonsense"),
    "dtype: a SyntaxError": row(dtype="f4,,"),
    "dtype: a ValueError": row(dtype="(-1,)f4"),
    "dtype: two": row(dtype="f4,f4"),
    "dtype: brackets without end": row(dtype="(" * 5000),
    "dtype: a time": row(dtype="M8[x]"),
    "dtype: a number": row(dtype=5),
    "dtype: a list": row(dtype=[("a", "f4")]),
    "dtype: a dict": row(dtype={"names": ["a"], "formats": ["f4"]}),
    "dtype: a tuple": row(dtype=("f4", (2,))),
    "dtype: an array": row(dtype=np.zeros(2)),
    "shape: None": row(shape=None),
    "shape: a number": row(shape=5),
    "shape: a string": row(shape="n"),
    "shape: bytes": row(shape=b"ab"),
    "shape: an array": row(shape=np.array([2])),
    "shape: a range": row(shape=range(1, 3)),
    "shape: a generator": row(shape=(n for n in (2,))),
    "shape: a set": row(shape={2}),
    "shape: a dict": row(shape={2: 3}),
    "dim: 0": row(shape=[0]),
    "dim: -1": row(shape=[-1]),
    "dim: True": row(shape=[True]),
    "dim: numpy's True": row(shape=[np.True_]),
    "dim: numpy's 0": row(shape=[np.int64(0)]),
    "dim: a float": row(shape=[2.0]),
    "dim: NaN": row(shape=[float("nan")]),
    "dim: too large": row(shape=[2**63]),
    "dim: far too large": row(shape=[10**30]),
    "dim: empty": row(shape=[""]),
    "dim: half a character": row(shape=["\udfff"]),
    "dim: a list": row(shape=[[2]]),
    "dim: bytes": row(shape=[b"n"]),
    "params: a number": row(params=5),
    "params: a list": row(params=[1]),
    "params: bytes": row(params=b"bevfusion"),
    "params: False": row(params=False),
}


def packed(said):
    """What the packagers make of an output row."""
    options = PackOptions(neuropod_path="m", model_name="m", input_spec=[INPUT], output_spec=[said])
    return options.config("placeholder").outputs[0]


def stored(said):
    """What a config.json with this row is read as; None where JSON cannot hold the row."""
    said = said.to_dict() if isinstance(said, Row) else said
    try:
        text = json.dumps({"name": "m", "platform": "placeholder", "output_spec": [said]})
    except TypeError:
        return None
    return Config.from_json(text.encode()).outputs[0]


@pytest.mark.parametrize("case", TAKEN)
def test_a_row_that_one_door_takes_all_take_and_keep_the_same(tmp_path, case):
    said, dtype, shape, params = TAKEN[case]
    kept = Row(str(getattr(said, "name", None) or said["name"]), dtype, shape, params)
    for door in (Row.of, packed, lambda one: read_rows([one], "spec")[0], lambda one: stored(one) or kept):
        found = door(said)
        assert found == kept
        assert [type(part) for part in (found.name, found.dtype, *found.shape)] == [
            type(part) for part in (kept.name, dtype, *shape)
        ]
    if not isinstance(said, Row):
        assert Row(said["name"], said["dtype"], said["shape"], said.get("params")) == kept
    (canonical,) = config_utils.canonicalize_tensor_spec([said])
    assert (canonical["name"], canonical["dtype"], list(canonical["shape"])) == (kept.name, dtype, list(shape))
    config_utils.validate_tensor_spec([canonical])
    packagers.create_placeholder_neuropod(
        neuropod_path=tmp_path / "m", model_name="m", input_spec=[INPUT], output_spec=[said], package_as_zip=False
    )
    assert json.loads((tmp_path / "m" / "config.json").read_text())["output_spec"][0]["dtype"] == dtype
    assert Spec.from_json(Spec.of([said]).to_json()).rows[0] == kept


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_one_door_refuses_all_refuse(tmp_path, case):
    said = REFUSED[case]
    with pytest.raises(RowError):
        Row.of(said)
    if isinstance(said, dict) and {"name", "dtype", "shape"} <= set(said) <= set(Row.__struct_fields__):
        with pytest.raises(RowError):
            Row(**said)
    for door in (
        packed,
        lambda one: read_rows([one], "spec"),
        lambda one: config_utils.canonicalize_tensor_spec([one]),
        lambda one: config_utils.validate_tensor_spec([one]),
        lambda one: packagers.create_placeholder_neuropod(
            neuropod_path=tmp_path / "m", model_name="m", input_spec=[INPUT], output_spec=[one]
        ),
    ):
        with pytest.raises(NeuropodError) as refused:
            door(said)
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    with contextlib.suppress(NeuropodError):
        assert stored(said) is None


@pytest.mark.parametrize("spec", [None, 5, "abc", {"name": "x"}, b"x"])
@pytest.mark.parametrize("side", ["input_spec", "output_spec"])
def test_a_spec_that_is_not_rows_is_refused(spec, side):
    options = {"input_spec": [INPUT], "output_spec": [], side: spec}
    with pytest.raises(NeuropodError) as error:
        PackOptions(neuropod_path="m", model_name="m", **options).config("python")
    assert str(error.value) == f"'{side}' must be a list of rows, got {type(spec).__name__}"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (row(name=""), "Field 'name' must be a non-empty string! Got value  of type <class 'str'>."),
        (
            row(shape=[2**63]),
            "All items in 'shape' must either be None, a string, or a positive integer! Got 9223372036854775808 in "
            "tensor 'y'",
        ),
        (row(params=5), "'y': params must be a dict or a preset's name, got 5"),
        ({"name": "y"}, "spec row 'y' is missing 'dtype'; a row holds name, dtype, shape, params, frame"),
    ],
)
def test_ubers_words_are_put_on_at_the_door_behind_the_place_of_the_row(said, message):
    with pytest.raises(NeuropodError) as error:
        packed(said)
    assert str(error.value) == f"'output_spec', row 0: {message}"


def test_params_that_json_cannot_hold_are_refused_when_packing(tmp_path):
    said = row(params={"a": object})
    with pytest.raises(NeuropodError, match="params of the spec's rows cannot be stored as JSON: "):
        packagers.create_placeholder_neuropod(
            neuropod_path=tmp_path / "m", model_name="m", input_spec=[INPUT], output_spec=[said]
        )
    assert list(tmp_path.iterdir()) == []


def test_a_rows_error_crosses_processes():
    with pytest.raises(RowError) as error:
        Row.of(row(shape=[0]))
    again = pickle.loads(pickle.dumps(error.value))
    assert (str(again), again.fault, again.name, again.got) == (str(error.value), "dim", "y", 0)


def test_what_a_row_gives_away_does_not_change_it():
    params = {"a": 1}
    one = Row.of(row(params=params))
    params["b"] = 2
    one.to_dict()["params"]["c"] = 3
    assert one.params == {"a": 1}
