"""Shapes in columns, their bounds against shapely, and ground height off the grid."""

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st
from shapely import LineString, box

from perceptum.inputs import BrokenRecord, GroundGrid, HDMap, LaneGraph, Shapes, turn_of, turns_of
from perceptum.inputs.shape_index import BoundsIndex


def made(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return {f"s{i}": rng.normal(size=(rng.integers(2, 9), 2)) + rng.uniform(-50, 50, 2) for i in range(n)}


def test_shapes_come_back_as_they_were_given():
    given = made()
    shapes = Shapes.of("line", given)
    assert len(shapes) == 200
    assert shapes.ids.tolist() == list(given)
    for i, points in enumerate(given.values()):
        np.testing.assert_array_equal(shapes[i][:, :2], points)
        assert np.isnan(shapes[i][:, 2]).all()
    assert np.shares_memory(shapes[3], shapes.points)


def test_bounds_are_shapelys():
    given = made()
    bounds = [LineString(points).bounds for points in given.values()]
    np.testing.assert_allclose(Shapes.of("line", given).bounds, bounds)


def test_near_finds_the_shapes_whose_bounds_touch_the_window():
    given = made()
    window = (-10.0, -20.0, 15.0, 5.0)
    wanted = [i for i, p in enumerate(given.values()) if box(*LineString(p).bounds).intersects(box(*window))]
    assert Shapes.of("line", given).near(*window).tolist() == wanted
    assert len(wanted) > 5


@given_by(st.integers(0, 2**32 - 1), st.sampled_from(["square", "line", "point", "far", "wide"]))
def test_the_index_finds_what_looking_through_all_finds(seed, form):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2040, 2600))
    scale = {"square": (1, 1), "line": (1, 0), "point": (0, 0), "far": (1e6, 1), "wide": (1, 1)}[form]
    low = rng.uniform(0, 100, (n, 2)) * scale + (5e6 if form == "far" else 0)
    size = rng.exponential(40 if form == "wide" else 2, (n, 2)) * np.minimum(scale, 1)
    bounds = np.concatenate([low, low + size], axis=1)
    bounds[rng.random(n) < 0.02] = np.nan
    index = BoundsIndex(bounds)
    corners = np.sort(rng.uniform(-20, 120, (2, 2)) * scale + (5e6 if form == "far" else 0), axis=0)
    for window in (corners.ravel(), [-np.inf, -np.inf, np.inf, np.inf], bounds[3], [0, 0, np.nan, 1], [9, 9, 1, 1]):
        xmin, ymin, xmax, ymax = window
        b = bounds
        all_of_them = (b[:, 0] <= xmax) & (b[:, 2] >= xmin) & (b[:, 1] <= ymax) & (b[:, 3] >= ymin)
        assert index.touching(*window).tolist() == np.flatnonzero(all_of_them).tolist()


def lane_graph(**changed):
    lines = Shapes.of("line", {"a": np.zeros((2, 2)), "b": np.ones((2, 2))})
    tables = {"successors": np.array([[0, 1]]), "neighbors": np.full((2, 2), -1)}
    flags = {"is_intersection": np.zeros(2, bool), "lane_type": np.array(["VEHICLE"] * 2)}
    return LaneGraph(lines, lines, lines, **(tables | flags | changed))


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"successors": np.array([[0, 2]])}, "successors of lanes go from 0 to 2, wanted lanes 0 to 1"),
        ({"neighbors": np.full((2, 2), -2)}, "neighbors of lanes go from -2 to -2, wanted lanes 0 to 1"),
        ({"successors": np.zeros(2, int)}, "successors of lanes are (2,), wanted (k, 2)"),
        (
            {"lane_type": np.array(["VEHICLE"])},
            "2 lanes have (2, 2, 2, 1) boundaries, flags and types, and neighbors (2, 2)",
        ),
        (
            {"turn": np.array(["left", "back"])},
            "turn of a lane is 'back', wanted one of left, right, straight, uturn or ''",
        ),
        ({"turn": np.zeros(2)}, "turn of 2 lanes is float64 (2,), wanted (2,) of kind U"),
        (
            {"has_traffic_control": np.zeros(3, bool)},
            "has_traffic_control of 2 lanes is bool (3,), wanted (2,) of kind b",
        ),
        ({"speed_limit_mps": np.zeros(2, int)}, "speed_limit_mps of 2 lanes is int64 (2,), wanted (2,) of kind f"),
    ],
)
def test_a_lane_graph_that_leads_nowhere_is_refused(changed, wanted):
    assert len(lane_graph()) == 2
    with pytest.raises(BrokenRecord) as caught:
        lane_graph(**changed)
    assert str(caught.value) == wanted


def along(*headings_deg):
    step = np.deg2rad(headings_deg)
    return 5e6 + np.cumsum([[0, 0], *np.column_stack([np.cos(step), np.sin(step)])], axis=0)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (along(0), "straight"),
        (along(170, 180, 190), "straight"),
        (along(0, 40, 0), "straight"),
        (along(0, 15, 29), "straight"),
        (along(0, 15, 31), "left"),
        (along(0, -15, -31), "right"),
        (along(90, 130, 180, 223), "left"),
        (along(10, -50, -120), "right"),
        (along(0, 60, 120, 136), "uturn"),
        (along(0, -90, -180), "uturn"),
        (along(0, 100, 200, 270), "uturn"),
        (np.array([[0, 0], [np.nan, 1], [1, 0], [1, 0], [1, 5]]), "left"),
        (np.array([[0, 0, 1], [0, 0, 2]]), ""),
        (np.full((1, 3), np.nan), ""),
    ],
)
def test_a_lane_turns_by_how_far_its_heading_changes(line, wanted):
    assert turn_of(line) == wanted
    assert turns_of(Shapes.of("line", {"a": line})).tolist() == [wanted]


def test_no_shapes_are_an_empty_set():
    shapes = Shapes.of("polygon", {})
    assert len(shapes) == 0
    assert shapes.points.shape == (0, 3)
    assert shapes.bounds.shape == (0, 4)
    assert shapes.near(-1, -1, 1, 1).tolist() == []


def test_broken_shapes_are_refused():
    for id, points, wanted in (
        ("a", np.zeros((0, 3)), "shape a has no points, wanted at least one"),
        ("b", np.zeros(3), "shape b has points of shape (3,), wanted (k, 2) or (k, 3)"),
        ("c", np.zeros((2, 4)), "shape c has points of shape (2, 4), wanted (k, 2) or (k, 3)"),
    ):
        with pytest.raises(BrokenRecord) as caught:
            Shapes.of("line", {"first": np.zeros((2, 2)), id: points})
        assert str(caught.value) == wanted
    with pytest.raises(BrokenRecord) as caught:
        Shapes("line", np.zeros((4, 3)), np.array([0, 2]), np.array(["a"]))
    assert str(caught.value) == "1 shapes need 2 starts from 0 to 4, got (2,)"


GROUND = GroundGrid(np.array([[1, 2, 3], [4, np.nan, 6]], np.float16), np.eye(2), np.array([-100.0, -200.0]), 2.0)


@pytest.mark.parametrize(
    ("xy", "wanted"),
    [
        ((100.0, 200.0), 1),
        ((101.49, 200.99), 6),
        ((100.6, 200.6), np.nan),
        ((99.99, 200.0), np.nan),
        ((101.5, 200.0), np.nan),
        ((100.0, 201.0), np.nan),
        ((np.nan, 200.0), np.nan),
        ((np.inf, 200.0), np.nan),
        ((1e300, -1e300), np.nan),
    ],
)
def test_ground_height_is_that_of_the_cell_and_nan_off_the_grid(xy, wanted):
    # floor, not truncation: just below the edge is outside, not cell 0
    np.testing.assert_equal(float(GROUND.at(xy)), wanted)


def test_ground_height_keeps_the_shape_asked_for():
    assert HDMap(ground=GROUND).ground_height(np.zeros((4, 5, 2))).shape == (4, 5)
    unknown = HDMap().ground_height(np.zeros((3, 2)))
    assert unknown.shape == (3,)
    assert np.isnan(unknown).all()


def test_a_turned_grid_is_turned_back():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = GroundGrid(GROUND.height, turn, np.zeros(2), 1.0)
    # world (1.5, -2.5) turns to grid (2.5, 1.5)
    assert float(turned.at([1.5, -2.5])) == 6


def test_a_map_is_told_in_a_line():
    area = Shapes.of("polygon", {"a": [[0, 0], [1, 0], [1, 1]]})
    assert repr(area) == "<Shapes: 1 polygon of 3 points>"
    assert repr(HDMap({"crossing": area})) == "<HDMap: 1 crossing; no lane graph; no ground height>"
