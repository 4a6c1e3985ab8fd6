"""Feather files that are damaged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets.reading.feather import read_columns
from perceptum.inputs import LogError


def refusal(read):
    try:
        read()
    except LogError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def small_feather(tmp_path_factory):
    import pyarrow as pa
    from pyarrow import feather

    path = tmp_path_factory.mktemp("feather") / "whole.feather"
    stored = pa.table({"x": np.arange(50, dtype=np.float16), "name": [f"n{i}" for i in range(50)]})
    feather.write_feather(stored, path, chunksize=20)
    return path


@settings(max_examples=300, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(8, 1_400), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 40),
)
def test_a_damaged_feather_file_is_read_or_refused_in_one_line(small_feather, flips, cut):
    damaged = bytearray(small_feather.read_bytes())
    for at, value in flips:
        damaged[at % (len(damaged) - 6)] = value
    path = small_feather.with_name("damaged.feather")
    path.write_bytes(damaged[: len(damaged) - max(cut - 30, 0)])
    text = refusal(lambda: read_columns(path, {"x": "float", "name": "text"}, "it is missing"))
    assert text is None or (text.startswith(f"{path}: ") and len(text.splitlines()) == 1)
