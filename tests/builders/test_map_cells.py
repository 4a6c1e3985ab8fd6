"""map_lane_direction, map_ground_height and map_rgb, cell by cell, against plain definitions."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import SpecError
from perceptum.inputs import GroundGrid, LogError, Shapes

from .maps import frame_of, lanes_of, polygons, star
from .test_map_raster import SIZE, centres, crossed, pose, world

DIRECTION = ["map_lane_direction", "map_lane_direction_mask"]
GROUND = ["map_ground_height", "map_ground_mask"]


def build(frame, names, group, augment=None, draw=None, **params):
    return InputBuilder(names, params={group: {**SIZE, **params}}, augment=augment).build(frame, draw=draw)


def curve(start, heading, bend, n=15, step=2.0):
    """Returns (n, 2) places along an arc, and (n,) its headings."""
    headings = heading + bend * np.arange(n)
    moves = step * np.column_stack([np.cos(headings), np.sin(headings)])
    return np.asarray(start) + np.concatenate([[[0, 0]], np.cumsum(moves[:-1], axis=0)]), headings


def lane(start, heading, bend, half=1.75):
    """Returns left boundary, centreline, right boundary."""
    middle, headings = curve(start, heading, bend)
    aside = half * np.column_stack([-np.sin(headings), np.cos(headings)])
    return middle + aside, middle, middle - aside


def nearest_direction(line, x, y):
    """Returns (.., 2) of the nearest piece of a line, and how far that is."""
    best, found = np.full(x.shape, np.inf), np.zeros((*x.shape, 2))
    for a, b in pairwise(line):
        along = b - a
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along @ along), 0, 1)
        far = np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])
        found[far < best] = along / np.hypot(*along)
        best = np.minimum(best, far)
    return found, best


def slow_directions(lanes, x, y, width):
    found, mask = np.zeros((2, *x.shape)), np.zeros(x.shape, bool)
    for left, middle, right in lanes:
        direction, far = nearest_direction(middle, x, y)
        inside = far <= width / 2 if np.isnan(left).any() else crossed(np.concatenate([left, right[::-1]]), x, y)
        inside &= ~mask
        found[:, inside] = direction[inside].T
        mask |= inside
    return found, mask


def test_cells_have_the_direction_of_their_lane_of_several_the_first():
    own = pose(-1.3)
    unknown = np.full((1, 2), np.nan)
    lanes = [lane((-15, -8), 0.3, 0.05), lane((10, 12), -2.0, 0.08), lane((-20, 5), -0.2, -0.02)]
    lanes += [(unknown, curve((-5, -15), 1.2, 0.0)[0], unknown)]
    graph = lanes_of({f"{k}": tuple(world(line, own) for line in sides) for k, sides in enumerate(lanes)})
    built = build(frame_of({}, graph, world_from_ego=own), DIRECTION, "map_lane_direction", lane_width=4.0)
    found, mask = slow_directions(lanes, *centres(SIZE["range"], SIZE["cell"]), 4.0)
    assert np.array_equal(built["map_lane_direction_mask"][0] == 1, mask)
    assert 0.1 < mask.mean() < 0.5
    near = np.abs(built["map_lane_direction"] - found).max(axis=0) < 1e-5
    # in a bend two pieces can be equally near
    assert near.mean() > 0.998


def test_mirrored_lanes_run_the_mirrored_way():
    graph = lanes_of({"a": lane((-15, -8), 0.3, 0.05)})
    plain, mirrored = (
        build(frame_of({}, graph), DIRECTION, "map_lane_direction", augment=Augment(flip_y=likely), draw=Draw(0, 0, 0))
        for likely in (0.0, 1.0)
    )
    turned = plain["map_lane_direction"][:, ::-1] * [[[1]], [[-1]]]
    assert np.allclose(mirrored["map_lane_direction"], turned, atol=1e-6)


def test_without_a_lane_graph_no_cell_has_a_direction():
    frame = frame_of({"lane": polygons({"a": [[0, 0], [1, 0], [0, 1]]})})
    built = build(frame, DIRECTION, "map_lane_direction")
    assert not any(array.any() for array in built.values())
    with pytest.raises(LogError, match="a map without a lane graph, and the spec requires it"):
        build(frame, DIRECTION, "map_lane_direction", required=True)


@pytest.fixture(scope="module")
def hills():
    """A ground of cells of 0.8 m, turned, with holes; and its pose."""
    rng = np.random.default_rng(0)
    height = (50 + rng.normal(size=(90, 80))).astype(np.float32)
    height[rng.random(height.shape) < 0.1] = np.nan
    c, s = np.cos(0.3), np.sin(0.3)
    rotation = np.array([[c, -s], [s, c]])
    own = pose(0.9, np.array([5000.0, 7000, 51]))
    translation = np.array([32.0, 36.0]) - rotation @ own[:2, 3]
    return GroundGrid(height, rotation, translation, 1 / 0.8), own


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_ground_is_known_to_its_last_row_and_column_and_not_beyond(interpolation):
    grid = GroundGrid(np.full((4, 6), 2.0), np.eye(2), np.zeros(2), 0.5)
    params = {"interpolation": interpolation, "range": [-2.0, -2.0, 14.0, 10.0], "cell": 0.5}
    built = build(frame_of({}, None, grid), GROUND, "map_ground", **params)
    wanted = np.zeros((24, 32), np.uint8)
    wanted[4 : 4 + 16, 4 : 4 + 24] = 1
    assert np.array_equal(built["map_ground_mask"][0], wanted)


@pytest.mark.parametrize("relative_to", ["ego_ground", "reference"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_ground_under_the_middle_of_each_cell(hills, interpolation, relative_to):
    grid, own = hills
    more = {"interpolation": interpolation, "relative_to": relative_to}
    built = build(frame_of({}, None, grid, own), GROUND, "map_ground", **more)
    x, y = centres(SIZE["range"], SIZE["cell"])
    xy = world(np.column_stack([x.ravel(), y.ravel()]), own)[:, :2]
    wanted = grid.at(xy)
    known = np.isfinite(wanted)
    if interpolation == "bilinear":
        at = grid.scale * (xy @ grid.rotation.T + grid.translation) - 0.5
        ends = [np.arange(size) for size in grid.height.shape]
        smooth = RegularGridInterpolator(ends, grid.height.astype(np.float64), bounds_error=False)(at[:, ::-1])
        whole = np.isfinite(smooth)
    else:
        smooth, whole = wanted, known
    below = grid.at(own[:2, 3]) if np.isfinite(grid.at(own[:2, 3])) else own[2, 3]
    smooth = smooth - (below if relative_to == "ego_ground" else own[2, 3])
    assert np.array_equal(built["map_ground_mask"].ravel() == 1, known)
    found = built["map_ground_height"].ravel()
    assert np.allclose(found[whole], smooth[whole], atol=1e-5)
    assert not found[~known].any()
    assert np.isfinite(found).all()
    assert whole.mean() > 0.3


def test_heights_are_scaled_and_shifted_as_z_is(hills):
    grid, own = hills
    frame = frame_of({}, None, grid, own)
    change = Augment(scale=(1.5, 1.5))
    params = {"range": [-12, -12, 12, 12], "cell": 0.5}
    twice = {"range": [-18, -18, 18, 18], "cell": 0.75}
    for relative_to in ("ego_ground", "reference"):
        plain = build(frame, GROUND, "map_ground", **params, relative_to=relative_to)
        wide = build(frame, GROUND, "map_ground", change, Draw(0, 0, 0), **twice, relative_to=relative_to)
        assert np.array_equal(plain["map_ground_mask"], wide["map_ground_mask"])
        assert np.allclose(wide["map_ground_height"], 1.5 * plain["map_ground_height"], atol=1e-5)


def test_a_height_above_ground_that_is_0_everywhere_is_refused():
    with pytest.raises(SpecError, match="is 0 everywhere in the frame"):
        InputBuilder(GROUND, params={"map_ground": {"frame": "ego_ground", "relative_to": "reference"}})


def layers_of_a_square():
    rng = np.random.default_rng(4)
    return {
        "drivable_area": polygons({"a": star(rng, 15, (0, 0), 18)}),
        "walkway": polygons({"b": star(rng, 8, (6, 4), 9)}),
        "lane_divider": Shapes.of("line", {"c": [[-18, -9], [3, 2], [17, -6]]}),
    }


PAINTS = [
    {"layer": "drivable_area", "color": [200, 100, 50]},
    {"layer": "walkway", "color": [10, 220, 30], "draw": "outline", "line_width": 0.8},
    {"layer": "lane_divider", "color": [1, 2, 255], "line_width": 1.5},
]


def test_paints_lie_over_one_another():
    layers = layers_of_a_square()
    frame = frame_of(layers)
    built = build(frame, ["map_rgb"], "map_rgb", paints=PAINTS, background=[7, 8, 9])["map_rgb"]
    ring = layers["walkway"][0][:, :2]
    layers["walkway"] = Shapes.of("line", {"b": np.concatenate([ring, ring[:1]])})
    wanted = np.tile(np.array([7, 8, 9])[:, None, None], (1, 48, 80))
    for paint in PAINTS:
        params = {"layers": [paint["layer"]], "line_width": paint.get("line_width", 0.5)}
        cells = build(frame_of(layers), ["map_raster"], "map_raster", **params)["map_raster"][0] == 1
        wanted[:, cells] = np.array(paint["color"])[:, None]
    assert np.array_equal(built, wanted)


def test_samples_are_averaged():
    frame = frame_of(layers_of_a_square())
    fine = build(frame, ["map_rgb"], "map_rgb", cell=0.125, paints=PAINTS[:1])["map_rgb"].astype(np.float64)
    mean = fine.reshape(3, 48, 4, 80, 4).mean(axis=(2, 4))
    row = {"name": "map_rgb", "dtype": "float32", "shape": [3, 48, 80]}
    params = {**SIZE, "paints": PAINTS[:1], "samples": 4}
    smooth = InputBuilder([{**row, "params": params}]).build(frame)["map_rgb"]
    assert np.allclose(smooth, mean, atol=1e-3)
    light = InputBuilder([{**row, "params": {**params, "values": "0-1"}}]).build(frame)["map_rgb"]
    assert np.allclose(light, mean / 255, atol=1e-5)
    with pytest.raises(SpecError, match="take values 0-255"):
        InputBuilder([{**row, "dtype": "uint8", "params": {**params, "values": "0-1"}}])


@pytest.mark.parametrize("heading", np.linspace(-3, 3, 9))
def test_lanes_are_coloured_by_their_heading(heading):
    line = np.array([[0, 0], [12 * np.cos(heading), 12 * np.sin(heading)]])
    own = pose(0.8)
    frame = frame_of({"lane_divider": Shapes.of("line", {"a": world(line, own)})}, world_from_ego=own)
    paints = [{"layer": "lane_divider", "color": "heading", "line_width": 2.0}]
    built = build(frame, ["map_rgb"], "map_rgb", paints=paints)["map_rgb"]
    color = built[:, built.any(axis=0)]
    wanted = 255 * np.array(colorsys.hsv_to_rgb((np.pi - heading) / (2 * np.pi) % 1, 1, 1))
    assert color.shape[1] > 20
    assert np.abs(color - wanted[:, None]).max() <= 0.51


def test_a_point_has_no_heading_and_a_point_given_twice_hides_none():
    """The colour of a single point was that of the way to whatever lay behind it in memory."""
    paints = [{"layer": "stop_sign", "color": "heading", "line_width": 2.0}]

    def picture(line):
        layers = {"stop_sign": Shapes.of("line", {"a": line, "b": [(90, 90)]})}
        return build(frame_of(layers), ["map_rgb"], "map_rgb", paints=paints)["map_rgb"]

    assert not picture([(3, 2)]).any()
    assert not picture([(3, 2), (3, 2)]).any()
    assert np.array_equal(picture([(3, 2), (3, -4), (3, -4)]), picture([(3, 2), (3, -4)]))
    assert np.array_equal(picture([(3, 2), (3, 2), (3, -4)]), picture([(3, 2), (3, -4)]))
    assert picture([(3, 2), (3, -4)]).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"paints": []}, "paints must be one or more"),
        ({"paints": [{"layer": "lane", "color": [1, 2, 300]}]}, "a color has numbers from 0 to 255"),
        ({"paints": [{"layer": "lane*0.5", "color": [1, 2, 3]}]}, "cannot have values of its own"),
        ({"paints": [{"layer": "lane", "color": [1, 2, 3], "line_width": 0}]}, "line_width must be above 0"),
        ({"background": [0, 0, -1]}, "background has numbers from 0 to 255"),
        ({"samples": 9}, "samples must be at most 8"),
    ],
)
def test_paints_that_cannot_be_are_refused(params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder(["map_rgb"], params={"map_rgb": params})


def test_heights_that_are_too_large_are_not_known():
    height = np.full((40, 40), 2.0)
    height[10, 10], height[20, 20], height[30, 30] = 1e39, np.inf, -1e300
    frame = frame_of({}, None, GroundGrid(height, np.eye(2), np.array([20.0, 20.0]), 1.0))
    for interpolation in ("nearest", "bilinear"):
        built = build(frame, GROUND, "map_ground", interpolation=interpolation, relative_to="reference")
        assert np.isfinite(built["map_ground_height"]).all()
        assert built["map_ground_mask"].any()
        assert not built["map_ground_height"][built["map_ground_mask"] == 0].any()
        assert not built["map_ground_mask"].all()


def test_a_corner_that_is_not_known_costs_a_lane_only_itself():
    left, centre, right = ([[x, y, 0.0] for x in (-15.0, 0, 15)] for y in (2.0, 0.1, -2.0))
    bad = [[np.nan, 0, 0], [5, 1e200, 0], [np.inf, np.inf, 0]]
    whole = frame_of({}, lanes_of({"a": (left, centre, right)}))
    broken = frame_of({}, lanes_of({"a": (left[:1] + bad + left[1:], bad + centre, right + bad)}))
    without = frame_of({}, lanes_of({"a": (left, bad, right)}))
    wanted, built, none = (build(own, DIRECTION, "map_lane_direction") for own in (whole, broken, without))
    for name in DIRECTION:
        assert wanted[name].any()
        assert np.array_equal(built[name], wanted[name])
        assert not none[name].any()


def test_a_lane_whose_boundary_covers_a_part_of_it_is_as_wide_as_lanes_are():
    left, centre = ([[x, y, 0.0] for x in (-19.0, 0, 19)] for y in (2.0, 0.1))
    part = frame_of({}, lanes_of({"a": (left, centre, [[-19.0, -2, 0], [-18, -2, 0]])}))
    without = frame_of({}, lanes_of({"a": (left, centre, [[np.nan] * 3])}))
    built, wanted = (build(own, DIRECTION, "map_lane_direction") for own in (part, without))
    assert wanted["map_lane_direction_mask"].sum() > 100
    for name in DIRECTION:
        assert np.array_equal(built[name], wanted[name])
