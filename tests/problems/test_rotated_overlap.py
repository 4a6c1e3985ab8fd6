"""The overlap of turned boxes, against shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.errors import UsageError
from perceptum.problems.metrics.rotated_overlap import rotated_overlaps


def corners(box):
    x, y, _, length, width, _, yaw = box
    c, s = np.cos(yaw), np.sin(yaw)
    own = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2]
    return own @ np.array([[c, s], [-s, c]]) + [x, y]


def by_shapely(boxes, others):
    bev, volume = np.zeros((len(boxes), len(others))), np.zeros((len(boxes), len(others)))
    for n, a in enumerate(boxes):
        for m, b in enumerate(others):
            # about one of the two, as far from the origin shapely's own coordinates round
            a_here, b_here = a.copy(), b.copy()
            a_here[:2], b_here[:2] = 0, b[:2] - a[:2]
            both = shapely.Polygon(corners(a_here)).intersection(shapely.Polygon(corners(b_here))).area
            bev[n, m] = both / (a[3] * a[4] + b[3] * b[4] - both)
            up = min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2)
            body = both * max(up, 0)
            volume[n, m] = body / (a[3] * a[4] * a[5] + b[3] * b[4] * b[5] - body)
    return bev, volume


def boxes_around(random, n, spread_m):
    middle = random.uniform(-spread_m, spread_m, (n, 3)) * [1, 1, 0.2]
    return np.column_stack([middle, random.uniform(0.2, 6, (n, 3)), random.uniform(-7, 7, n)])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), far_m=st.sampled_from([0.0, 0.0, 1e4]))
def test_overlaps_are_those_of_shapely(seed, far_m):
    random = np.random.default_rng(seed)
    boxes, others = boxes_around(random, 6, 4), boxes_around(random, 7, 4)
    boxes[:, :2] += far_m
    others[:, :2] += far_m
    got = rotated_overlaps(boxes, others)
    bev, volume = by_shapely(boxes, others)
    np.testing.assert_allclose(got.bev, bev, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got.volume, volume, rtol=0, atol=1e-9)


# sides that lie on each other, corners on sides, boxes within boxes: where cutting is most easily wrong
@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            *[st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])] * 3,
            *[st.sampled_from([0.5, 1.0, 2.0])] * 3,
            st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2, np.pi / 4, 1e-12, 0.3]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_boxes_that_share_sides_and_corners_overlap_as_shapely_says(rows):
    boxes = np.array(rows)
    got = rotated_overlaps(boxes, boxes)
    bev, volume = by_shapely(boxes, boxes)
    np.testing.assert_allclose(got.bev, bev, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got.volume, volume, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.diag(got.bev), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.bev, got.bev.T, rtol=0, atol=1e-12)


def test_boxes_that_only_touch_do_not_overlap():
    boxes = np.array([[0.0, 0, 0, 2, 2, 2, 0], [2.0, 0, 0, 2, 2, 2, 0], [0.0, 0, 2, 2, 2, 2, 0]])
    got = rotated_overlaps(boxes, boxes)
    assert got.bev[0].tolist() == [1, 0, 1]
    assert got.volume[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(7))
def test_a_box_that_is_not_finite_overlaps_nothing(bad, column):
    whole = np.array([[0.0, 0, 0, 2, 2, 2, 0]])
    broken = whole.copy()
    broken[0, column] = bad
    for got in (rotated_overlaps(whole, broken), rotated_overlaps(broken, whole)):
        assert got.bev.tolist() == got.volume.tolist() == [[0]]


@pytest.mark.parametrize("size", [0.0, -1.0])
@pytest.mark.parametrize("column", [3, 4, 5])
def test_a_box_without_a_size_overlaps_nothing(size, column):
    whole = np.array([[0.0, 0, 0, 2, 2, 2, 0]])
    flat = whole.copy()
    flat[0, column] = size
    assert rotated_overlaps(flat, whole).bev.tolist() == rotated_overlaps(whole, flat).volume.tolist() == [[0]]


def test_no_boxes_have_no_overlaps():
    assert rotated_overlaps(np.zeros((0, 7)), np.zeros((3, 7))).bev.shape == (0, 3)
    assert rotated_overlaps(np.zeros((3, 7)), np.zeros((0, 7))).volume.shape == (3, 0)


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"^rotated_overlaps: others must be \(n, 7\), got \(3, 9\)$"):
        rotated_overlaps(np.zeros((2, 7)), np.zeros((3, 9)))
