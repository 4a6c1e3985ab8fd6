"""Grids: their size by the published rounding, and grids that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.features import Grid, SpecError


@pytest.mark.parametrize(
    ("length", "voxel", "cells"),
    [(149.76, 0.32, 468), (150.4, 0.1, 1504), (153.6, 0.08, 1920), (69.12, 0.16, 432), (2.5, 1, 2), (3.5, 1, 4)],
)
def test_sizes_are_rounded_in_float32_half_to_even(length, voxel, cells):
    """Golden vector 11 of the reference: int() and floor() of these are one short."""
    assert Grid(range=(0, 0, 0, length, 1, 1), voxel=(voxel, 1, 1)).size == (cells, 1, 1)
    assert Grid(range=(0, -length / 2, 0, 1, length / 2, 1), voxel=(1, voxel, 1)).size == (1, cells, 1)


def test_a_large_grid_counts_its_cells_beyond_int32():
    assert Grid(range=(-200, -200, -20, 200, 200, 20), voxel=(0.1, 0.1, 0.2)).cells == 3_200_000_000


@pytest.mark.parametrize(
    ("low_high", "voxel", "message"),
    [
        (
            (0, 0, 0, 1, float("nan"), 1),
            (1, 1, 1),
            "a range must be finite, got (0, 0, 0, 1, nan, 1)",
        ),
        (
            (0, 0, 0, 1, 1, float("inf")),
            (1, 1, 1),
            "a range must be finite, got (0, 0, 0, 1, 1, inf)",
        ),
        (
            (0, 2, 0, 1, 1, 1),
            (1, 1, 1),
            "a range must be min before max (x y z x y z), got (0, 2, 0, 1, 1, 1)",
        ),
        ((0, 0, 0, 1, 1, 1), (1, 0, 1), "a grid's voxel edges must be positive and finite, got (1, 0, 1)"),
        (
            (0, 0, 0, 1, 1, 1),
            (1, 1, float("inf")),
            "a grid's voxel edges must be positive and finite, got (1, 1, inf)",
        ),
        (
            (0, 0, 0, 1, 1, 1),
            (1, 1, 3),
            "a grid of (0, 0, 0, 1, 1, 1) in cells of (1, 1, 3) has the impossible size (1, 1, 0)",
        ),
        (
            (0, 0, 0, 1e9, 1, 1),
            (1, 1, 1),
            "a grid of (0, 0, 0, 1000000000.0, 1, 1) in cells of (1, 1, 1) is beyond what float32 can count: "
            "at most 16777216 cells along an axis",
        ),
        (
            (0, 0, 0, 1e39, 1, 1),
            (1, 1, 1),
            "a grid of (0, 0, 0, 1e+39, 1, 1) in cells of (1, 1, 1) is beyond what float32 can count: "
            "at most 16777216 cells along an axis",
        ),
        (
            (0, 0, 0, 1e7, 1e7, 1e7),
            (1, 1, 1),
            "a grid of (0, 0, 0, 10000000.0, 10000000.0, 10000000.0) in cells of (1, 1, 1) has the impossible size "
            "(10000000, 10000000, 10000000)",
        ),
    ],
)
def test_a_grid_that_cannot_be_is_refused(low_high, voxel, message):
    with pytest.raises(SpecError) as error:
        Grid(range=low_high, voxel=voxel)
    assert str(error.value) == message


@settings(max_examples=200, deadline=None)
@given(low_high=st.tuples(*[st.floats()] * 6), voxel=st.tuples(*[st.floats()] * 3))
def test_any_numbers_are_a_spec_error_or_a_grid_of_countable_cells(low_high, voxel):
    try:
        grid = Grid(range=low_high, voxel=voxel)
    except SpecError:
        return
    assert all(1 <= n <= 2**24 for n in grid.size)
    assert 1 <= grid.cells <= 2**62
