"""Rows and specs: Neuropod's form in and out, and nothing but SpecError for whatever else comes in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perceptum.features import DTYPES, Row, Spec, SpecError

ROW = {"name": "lidar_points", "dtype": "float32", "shape": ["num_points", 5]}
ALL = "float32, float64, string, int8, int16, int32, int64, uint8, uint16, uint32, uint64"

nonsense = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=4),
        st.sampled_from(["f4,,", "(-1,)f4", "M8[x]", "{", "float32", np.float32, object, int, {}, set(), 1j]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(row=st.one_of(nonsense, st.fixed_dictionaries({"name": nonsense, "dtype": nonsense, "shape": nonsense})))
@example(row={**ROW, "shape": [True]})
@example(row={**ROW, "shape": [float("nan")]})
@example(row={**ROW, "shape": [[[1]]]})
@example(row={**ROW, "dtype": "f4,,"})
@example(row={"name": [], "dtype": "float32", "shape": []})
def test_nonsense_is_a_spec_error_or_a_whole_row(row):
    try:
        checked = Row.of(row)
    except SpecError:
        return
    assert checked.name
    assert checked.dtype in DTYPES
    assert all(d is None or (isinstance(d, (int, str)) and d is not True and d) for d in checked.shape)


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(), st.binary(), nonsense.map(lambda value: json.dumps(value, default=str))))
def test_any_text_is_a_spec_error_or_a_spec(text):
    try:
        spec = Spec.from_json(text)
    except SpecError:
        return
    assert Spec.from_json(spec.to_json()) == spec


sizes = st.one_of(st.none(), st.integers(1, 2**40), st.text(min_size=1, max_size=5))
rows = st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=8), "dtype": st.sampled_from(DTYPES), "shape": st.lists(sizes, max_size=4)},
    optional={"params": st.dictionaries(st.text(max_size=4), st.integers(0, 9) | st.text(max_size=3), max_size=2)},
)


@settings(max_examples=100, deadline=None)
@given(wanted=st.lists(rows, max_size=4, unique_by=lambda row: row["name"]))
def test_a_spec_comes_back_from_json_as_it_was(wanted):
    spec = Spec.of(wanted)
    assert Spec.from_json(spec.to_json()) == spec
    assert [row.to_dict() for row in spec] == wanted
    assert len(spec) == len(wanted)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float", "float64"),
        ("double", "float64"),
        ("str", "string"),
        ("bytes", "string"),
        ("int", "int64"),
        (np.float32, "float32"),
        (np.dtype(">i2"), "int16"),
        ("<f4", "float32"),
        (int, "int64"),
    ],
)
def test_a_dtype_may_be_said_as_numpy_says_it(dtype, name):
    assert Row.of({**ROW, "dtype": dtype}).dtype == name


def test_params_may_be_the_name_of_a_preset():
    assert Row.of({**ROW, "params": "bevfusion"}).params == {"preset": "bevfusion"}
    assert Row.of({**ROW, "params": None}).params is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (5, "a spec row must be a dict with name, dtype and shape, got 5"),
        ("lidar", "a spec row must be a dict with name, dtype and shape, got 'lidar'"),
        ({"name": "a"}, "spec row 'a' is missing dtype, shape; it holds name, dtype, shape, params and frame"),
        ({}, "spec row {} is missing name, dtype, shape; it holds name, dtype, shape, params and frame"),
        (
            {**ROW, "parms": {}},
            "spec row 'lidar_points' has the unknown key 'parms'; it holds name, dtype, shape, params and frame",
        ),
        ({**ROW, "name": ""}, "a spec row's name must be a non-empty string, got ''"),
        ({**ROW, "name": 3}, "a spec row's name must be a non-empty string, got 3"),
        ({**ROW, "dtype": "bool"}, f"'lidar_points': dtype must be one of {ALL}, got 'bool'"),
        ({**ROW, "dtype": "float16"}, f"'lidar_points': dtype must be one of {ALL}, got 'float16'"),
        ({**ROW, "dtype": None}, f"'lidar_points': dtype must be one of {ALL}, got 'None'"),
        ({**ROW, "shape": "num_points"}, "'lidar_points': shape must be a list, got 'num_points'"),
        ({**ROW, "shape": b"ab"}, "'lidar_points': shape must be a list, got b'ab'"),
        ({**ROW, "shape": 5}, "'lidar_points': shape must be a list, got 5"),
        (
            {**ROW, "shape": [0, 5]},
            "'lidar_points': a shape holds positive integers, symbols and None, got 0 in [0, 5]",
        ),
        (
            {**ROW, "shape": ["n", -1]},
            "'lidar_points': a shape holds positive integers, symbols and None, got -1 in ['n', -1]",
        ),
        (
            {**ROW, "shape": [True]},
            "'lidar_points': a shape holds positive integers, symbols and None, got True in [True]",
        ),
        ({**ROW, "shape": [""]}, "'lidar_points': a shape holds positive integers, symbols and None, got '' in ['']"),
        (
            {**ROW, "shape": [2.0]},
            "'lidar_points': a shape holds positive integers, symbols and None, got 2.0 in [2.0]",
        ),
        ({**ROW, "params": 5}, "'lidar_points': params must be a dict or a preset's name, got 5"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_what_was_wanted(row, message):
    with pytest.raises(SpecError) as error:
        Row.of(row)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "a spec must be a list of rows, got dict"),
        ("[", "a spec must be JSON: Input data was truncated"),
        ("[5]", "a spec row must be a dict with name, dtype and shape, got 5"),
        (
            json.dumps([ROW, ROW]),
            "'lidar_points' is listed twice in the spec; a second instance takes a suffix: lidar_points__b",
        ),
    ],
)
def test_a_spec_that_cannot_be_is_refused(text, message):
    with pytest.raises(SpecError) as error:
        Spec.from_json(text)
    assert str(error.value) == message
