"""The layout: where small tensors of fixed size lie in one block, computed from rows alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.features import DTYPES, Layout, Place, Row, SpecError

rows = st.lists(
    st.builds(
        Row,
        st.text(min_size=1, max_size=3),
        st.sampled_from(DTYPES),
        st.lists(st.integers(1, 200) | st.sampled_from(["n", None]), max_size=3).map(tuple),
    ),
    max_size=8,
    unique_by=lambda row: row.name,
)


def test_places_follow_one_another_at_multiples_of_64():
    layout = Layout.of(
        [
            Row("pose", "float64", (4, 4)),
            Row("points", "float32", ("n", 5)),
            Row("stamp", "int64", (1,)),
            Row("words", "string", (2,)),
            Row("scalar", "uint8", ()),
            Row("large", "float32", (64, 1024)),
            Row("just small", "float32", (4, 1024)),
            Row("any", "float32", (None,)),
        ]
    )
    assert layout == Layout(
        (
            Place("pose", 0, (4, 4), "float64", 128),
            Place("stamp", 128, (1,), "int64", 8),
            Place("scalar", 192, (), "uint8", 1),
            Place("just small", 256, (4, 1024), "float32", 16384),
        ),
        16640,
    )
    assert "pose" in layout
    assert "points" not in layout
    assert "large" not in layout


def test_no_rows_have_an_empty_block():
    assert Layout.of([]) == Layout((), 0)


def test_a_name_that_is_there_twice_has_no_place():
    with pytest.raises(SpecError, match="'a' is listed twice in the spec"):
        Layout.of([Row("a", "uint8", (1,)), Row("a", "uint8", (1,))])


@settings(max_examples=200, deadline=None)
@given(rows=rows)
def test_any_layout_is_aligned_and_no_two_tensors_meet(rows):
    layout = Layout.of(rows)
    end = 0
    for place in layout.places:
        assert place.offset % 64 == 0
        assert place.offset >= end
        end = place.offset + place.nbytes
        assert place.nbytes == np.empty(place.shape, place.dtype).nbytes <= 64 * 1024
    assert layout.nbytes % 64 == 0
    assert end <= layout.nbytes < end + 64
    assert [place.name for place in layout.places] == [row.name for row in rows if row.name in layout]
    assert Layout.of(Row.of(row.to_dict()) for row in rows) == layout
    assert pickle.loads(pickle.dumps(layout)) == layout
