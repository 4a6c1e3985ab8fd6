"""map_raster and gt_map: the map's layers, cell by cell, against shapely, OpenCV and plain definitions."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
import shapely

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import SpecError
from perceptum.inputs import LogError, Shapes

from .maps import frame_of, polygons, star

FAR = np.array([671_000.0, 4_690_000.0, 50.0])
SIZE = {"range": [-20, -12, 20, 12], "cell": 0.5}
"""80 x 48 cells."""


def pose(yaw=0.7, at=FAR, pitch=0.0):
    c, s, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, at
    return matrix


def world(points, world_from_ego):
    """Points (k, 2) of the ego frame, on its plane, in the world."""
    flat = np.column_stack([points, np.zeros(len(points))])
    return flat @ world_from_ego[:3, :3].T + world_from_ego[:3, 3]


def build(frame, name="map_raster", dtype="uint8", more=(), augment=None, draw=None, **params):
    row = {"name": name, "dtype": dtype, "shape": shape_of(params), "params": params}
    builder = InputBuilder([row, *more], training=name.startswith("gt"), augment=augment)
    return builder.build(frame, draw=draw)


def shape_of(params):
    xmin, ymin, xmax, ymax = params.get("range", [-50, -50, 50, 50])
    cell = params.get("cell", 0.5)
    sizes = {"X": round((xmax - xmin) / cell), "Y": round((ymax - ymin) / cell), "C": len(params["layers"])}
    return [sizes[axis] for axis in params.get("bev_layout", "CYX")]


def centres(range_, cell):
    xmin, ymin, xmax, ymax = range_
    x = xmin + (np.arange(round((xmax - xmin) / cell)) + 0.5) * cell
    y = ymin + (np.arange(round((ymax - ymin) / cell)) + 0.5) * cell
    return np.meshgrid(x, y)


def crossed(ring, x, y):
    """Even-odd, by counting the edges that a ray towards -x meets."""
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
    return inside


@pytest.mark.parametrize("seed", range(4))
def test_the_cells_of_areas_are_those_whose_centre_is_inside(seed):
    rng = np.random.default_rng(seed)
    own = pose(rng.uniform(-3, 3))
    areas = {
        f"a{k}": star(rng, int(rng.integers(3, 40)), rng.uniform(-25, 25, 2), rng.uniform(1, 30)) for k in range(9)
    }
    holes = {f"a{k}/{j}": star(rng, 6, areas[f"a{k}"].mean(axis=0), 3.0) for k in range(0, 9, 2) for j in range(2)}
    layers = {
        "lane": polygons({id: world(ring, own) for id, ring in areas.items()}),
        "lane_holes": polygons({id: world(ring, own) for id, ring in holes.items()}),
    }
    built = build(frame_of(layers, world_from_ego=own), layers=["lane"], **SIZE)["map_raster"][0]
    points = shapely.points(*centres(SIZE["range"], SIZE["cell"]))
    inside = np.zeros(built.shape, bool)
    for id, ring in areas.items():
        within = shapely.contains(shapely.Polygon(ring), points)
        for hole in (holes[f"{id}/{j}"] for j in range(2) if f"{id}/{j}" in holes):
            within &= ~shapely.intersects(shapely.Polygon(hole), points)
        inside |= within
    assert np.array_equal(built == 1, inside)
    assert 0.05 < inside.mean() < 0.95


def test_a_ring_that_crosses_itself_is_inside_where_it_is_crossed_an_odd_number_of_times():
    rng = np.random.default_rng(7)
    x, y = centres(SIZE["range"], SIZE["cell"])
    for _ in range(20):
        ring = rng.uniform(-30, 30, (11, 2))
        built = build(frame_of({"lane": polygons({"a": ring})}), layers=["lane"], **SIZE)["map_raster"][0]
        assert np.array_equal(built == 1, crossed(ring, x, y))


def test_a_centre_on_a_lower_edge_is_inside_and_on_an_upper_one_not():
    ring = [[0.25, 0.25], [2.25, 0.25], [2.25, 1.25], [0.25, 1.25]]
    for own in (ring, ring[::-1], ring[2:] + ring[:2]):
        built = build(frame_of({"lane": polygons({"a": own})}), layers=["lane"], **SIZE)["map_raster"][0]
        rows, columns = np.nonzero(built)
        assert built.sum() == 4 * 2
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 25, 40, 43)


def test_areas_that_share_an_edge_share_no_cell_and_leave_none_out():
    rng = np.random.default_rng(3)
    middle, around = rng.uniform(-2, 2, 2), star(rng, 17, (0, 0), 60.0)
    around = around / np.linalg.norm(around, axis=1, keepdims=True) * 60
    parts = {f"p{k}": np.array([middle, around[k - 1], around[k]]) for k in range(len(around))}
    frames = [frame_of({"lane": polygons({id: ring})}) for id, ring in parts.items()]
    total = sum(build(frame, layers=["lane"], **SIZE)["map_raster"][0].astype(int) for frame in frames)
    assert (total == 1).all()


@pytest.mark.parametrize("width", [0.3, 1.0, 7.0])
def test_the_cells_of_lines_are_those_whose_centre_is_near(width):
    rng = np.random.default_rng(int(10 * width))
    own = pose(1.1)
    lines = {f"l{k}": rng.uniform(-25, 25, (int(rng.integers(1, 7)), 2)) for k in range(6)}
    layers = {"lane_divider": Shapes.of("line", {id: world(line, own) for id, line in lines.items()})}
    frame = frame_of(layers, world_from_ego=own)
    built = build(frame, layers=["lane_divider"], line_width=width, **SIZE)["map_raster"][0]
    points = shapely.points(*centres(SIZE["range"], SIZE["cell"]))
    shapes = [shapely.LineString(line) if len(line) > 1 else shapely.Point(line[0]) for line in lines.values()]
    far = np.min([shapely.distance(shape, points) for shape in shapes], axis=0)
    clear = np.abs(far - width / 2) > 1e-6
    assert np.array_equal((built == 1)[clear], (far <= width / 2)[clear])


@pytest.mark.parametrize("reach", [4.0, 25.0, 200.0, 5000.0])
def test_the_rule_cv2_draws_what_opencv_draws(reach):
    rng = np.random.default_rng(int(reach))
    rows, columns = 48, 80
    for _ in range(60):
        rings = [rng.normal(size=(int(rng.integers(3, 12)), 2)) * reach for _ in range(3)]
        hole = 0.6 * rings[1].mean(axis=0) + 0.4 * rings[1][::-1]
        lines = [rng.normal(size=(int(rng.integers(2, 6)), 2)) * reach for _ in range(3)]
        layers = {
            "lane": polygons({f"{k}": ring for k, ring in enumerate(rings)}),
            "lane_holes": polygons({"1/0": hole}),
            "lane_divider": Shapes.of("line", {f"{k}": line for k, line in enumerate(lines)}),
        }
        built = build(frame_of(layers), layers=["lane", "lane_divider"], rule="cv2", **SIZE)["map_raster"]
        in_cells = [[(own + np.array([20, 12])) / 0.5 for own in many] for many in (rings, [hole], lines)]
        wanted = np.zeros((2, rows, columns), np.uint8)
        for k, ring in enumerate(in_cells[0]):
            cv2.fillPoly(wanted[0], [ring.round().astype(np.int32)], 1)
            if k == 1:
                cv2.fillPoly(wanted[0], [in_cells[1][0].round().astype(np.int32)], 0)
        for line in in_cells[2]:
            cv2.polylines(wanted[1], [line.astype(np.int32)], False, 1, 2)
        assert np.array_equal(built, wanted)


@pytest.mark.parametrize(
    ("yaw", "rows", "columns", "line"),
    [(0.0, (50, 100), (150, 250), (69, 71, 149, 251)), (np.pi / 2, (50, 150), (150, 200), None)],
)
def test_nuscenes_devkit_s_masks_of_one_rectangle_and_one_line(yaw, rows, columns, line):
    """Measured with get_map_mask: patch (505, 505, 20, 40), canvas 200 x 400."""
    layers = {
        "drivable_area": polygons({"a": [[500, 500], [510, 500], [510, 505], [500, 505]]}),
        "lane_divider": Shapes.of("line", {"b": [[500, 502], [510, 502]]}),
    }
    frame = frame_of(layers, world_from_ego=pose(yaw, np.array([505.0, 505, 0])))
    params = {"range": [-20, -10, 20, 10], "cell": 0.1, "layers": list(layers)}
    area, lines = build(frame, rule="cv2", **params)["map_raster"]
    assert area.sum() == 5151
    at = np.nonzero(area)
    assert (at[0].min(), at[0].max()) == rows
    assert (at[1].min(), at[1].max()) == columns
    if line is not None:
        at = np.nonzero(lines)
        assert lines.sum() == 305
        assert (at[0].min(), at[0].max(), at[1].min(), at[1].max()) == line
    assert build(frame, **params)["map_raster"][0].sum() == 5000


def test_layouts_and_flips_are_views_of_one_raster():
    rng = np.random.default_rng(2)
    layers = {"lane": polygons({"a": star(rng, 9, (3, 2), 15)}), "crossing": polygons({"b": star(rng, 9, (-9, 0), 8)})}
    frame, names = frame_of(layers), ["lane", "crossing"]
    params = {"range": [-20, -12, 17, 12], "cell": 0.4, "layers": names}
    plain = build(frame, **params)["map_raster"]
    for dtype in ("uint8", "float32"):
        for layout in ("CYX", "CXY", "YXC", "XYC"):
            for flip_x, flip_y in ((False, False), (True, False), (True, True)):
                laid = {"bev_layout": layout, "flip_x": flip_x, "flip_y": flip_y}
                built = build(frame, dtype=dtype, **params, **laid)["map_raster"]
                turned = plain[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
                assert built.dtype == dtype
                assert np.array_equal(built, turned.transpose(["CYX".index(axis) for axis in layout]))


def test_channels_unite_layers_and_later_ones_count():
    layers = {
        "lane": polygons({"a": [[-9, -9], [9, -9], [9, 9], [-9, 9]]}),
        "stop_line": polygons({"b": [[0, -9], [3, -9], [3, 9], [0, 9]]}),
        "crossing": polygons({"c": [[-18, -3], [18, -3], [18, 3], [-18, 3]]}),
    }
    frame = frame_of(layers)
    alone = build(frame, layers=list(layers), **SIZE)["map_raster"] == 1
    built = build(frame, layers=["lane+crossing", "crossing"], **SIZE)["map_raster"]
    assert np.array_equal(built == 1, [alone[0] | alone[2], alone[2]])
    built = build(frame, dtype="float32", layers=["lane+crossing+stop_line*0.5"], **SIZE)["map_raster"][0]
    assert np.array_equal(built, np.where(alone[1], 0.5, np.where(alone[0] | alone[2], 1.0, 0.0)))
    built = build(frame, dtype="float32", layers=["lane+stop_line*0.25"], values="-1/+1", **SIZE)["map_raster"][0]
    assert np.array_equal(built, np.where(alone[1], -0.5, np.where(alone[0], 1.0, -1.0)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": []}, "layers must be one or more"),
        ({"layers": ["lane", "lane"]}, "each once"),
        ({"layers": ["lane+lane"]}, "has a layer twice"),
        ({"layers": ["lane*2"]}, "wanted a number above 0 and at most 1"),
        ({"layers": ["lane++stop_line"]}, "is not a layer, nor several"),
        ({"line_width": 0}, "line_width must be above 0"),
        ({"cell": -1.0}, "cell must be positive"),
        ({"range": [0, 0, 0, 1]}, "min before max"),
    ],
)
def test_what_cannot_be_drawn_is_refused_when_planning(params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder(["map_raster"], params={"map_raster": params})


@pytest.mark.parametrize("params", [{"values": "-1/+1"}, {"layers": ["lane*0.5"]}])
def test_values_that_uint8_does_not_have_want_float32(params):
    with pytest.raises(SpecError, match="take float32"):
        InputBuilder(["map_raster"], params={"map_raster": params})


def test_a_log_without_a_map_is_empty_and_reported_once(caplog):
    names = ["map_raster", "map_raster_valid", "map_valid"]
    builder, frame = InputBuilder(names), frame_of()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            built = builder.build(frame)
    assert not any(built[name].any() for name in names)
    assert [record.getMessage() for record in caplog.records] == [
        "memory: the log has no map: what is made of it is empty, and its mask 0 (reported once; the param "
        '"required" makes it an error)'
    ]
    required = InputBuilder(["map_raster"], params={"map_raster": {"required": True}})
    with pytest.raises(LogError, match="the log has no map, and the spec requires it"):
        required.build(frame)


def test_layers_that_a_map_does_not_have_are_empty_and_named(caplog):
    frame = frame_of({"lane": polygons({"a": [[-9, -9], [9, -9], [9, 9]]})})
    params = {"layers": ["lane", "walkway+lane", "stop_line", "walkway+crossing"]}
    builder = InputBuilder(["map_raster", "map_raster_valid", "map_valid"], params={"map_raster": params})
    with caplog.at_level(logging.WARNING):
        built = builder.build(frame)
    assert built["map_raster_valid"].tolist() == [1, 1, 0, 0]
    assert built["map_valid"].tolist() == [1]
    assert built["map_raster"].any(axis=(1, 2)).tolist() == [True, True, False, False]
    assert "a map without the layers crossing, stop_line, walkway; it has lane: what is made of it" in caplog.text
    with pytest.raises(
        LogError, match="a map without the layers crossing, stop_line, walkway; it has lane, and the spec"
    ):
        InputBuilder(["map_raster"], params={"map_raster": {**params, "required": True}}).build(frame)
    one_is_enough = {"layers": ["road_divider+lane"], "required": True}
    names = ["map_raster", "map_raster_valid"]
    assert InputBuilder(names, params={"map_raster": one_is_enough}).build(frame)["map_raster_valid"].tolist() == [1]
    paints = [{"layer": "road_divider+lane", "color": [9, 9, 9]}]
    assert InputBuilder(["map_rgb"], params={"map_rgb": {"paints": paints, "required": True}}).build(frame)


def test_a_name_that_no_map_has_is_an_error_with_the_nearest_one():
    frame = frame_of({"lane": polygons({"a": [[-9, -9], [9, -9], [9, 9]]})})
    builder = InputBuilder(["map_raster"], params={"map_raster": {"layers": ["lane_area"]}})
    with pytest.raises(LogError, match=r"no map has a layer 'lane_area'; did you mean '\w+'\? this one has lane"):
        builder.build(frame)
    builder = InputBuilder(["map_raster"], params={"map_raster": {"layers": ["crosswalk"]}})
    with pytest.raises(LogError, match=r"no map has a layer 'crosswalk'; did you mean 'crossing'\? this one has lane"):
        builder.build(frame)


@pytest.mark.parametrize(
    ("name", "ours"), [("lanes", "lane"), ("ped_crossing", "crossing"), ("lane_devider", "lane_divider")]
)
def test_a_misspelt_layer_is_refused_when_planning(name, ours):
    for feature, params in (
        ("map_raster", {"layers": ["lane_connector+" + name]}),
        ("map_rgb", {"paints": [{"layer": name, "color": [9, 9, 9]}]}),
        ("map_polylines", {"layers": [name]}),
    ):
        with pytest.raises(SpecError, match=f"no map has a layer '{name}'; did you mean '{ours}'"):
            InputBuilder([feature], params={feature: params})


def test_names_of_a_map_of_ones_own_are_taken_when_planning():
    for name in ("traffic_sign", "curb", "bike_lane", "lane_2", "tram"):
        assert InputBuilder(["map_raster"], params={"map_raster": {"layers": [name]}})


def test_a_layer_of_a_map_of_one_s_own_may_have_any_name():
    frame = frame_of({"tram_track": polygons({"a": [[-9, -9], [9, -9], [9, 9], [-9, 9]]})})
    built = build(frame, layers=["tram_track"], **SIZE)["map_raster"]
    assert built.sum() == 36 * 36


def test_the_frame_s_tilt_moves_what_lies_above_and_below():
    own = pose(0.4, pitch=0.06)
    ring = np.array([[2.0, -5], [18, -5], [18, 6], [2, 6]])
    high = np.column_stack([world(ring, own)[:, :2], FAR[2] + np.array([-3.0, 0, 2, 5])])
    built = build(frame_of({"lane": polygons({"a": high})}, world_from_ego=own), layers=["lane"], **SIZE)["map_raster"][
        0
    ]
    seen = (high - own[:3, 3]) @ own[:3, :3]
    assert np.array_equal(built == 1, crossed(seen[:, :2], *centres(SIZE["range"], SIZE["cell"])))
    # a map that does not know its heights is level where the vehicle stands
    flat = build(frame_of({"lane": polygons({"a": high[:, :2]})}, world_from_ego=own), layers=["lane"], **SIZE)
    level = (np.column_stack([high[:, :2], np.full(4, FAR[2])]) - own[:3, 3]) @ own[:3, :3]
    assert np.array_equal(flat["map_raster"][0] == 1, crossed(level[:, :2], *centres(SIZE["range"], SIZE["cell"])))


def test_a_draw_moves_the_map_as_it_moves_points():
    rng = np.random.default_rng(11)
    ring = star(rng, 21, (1, 1), 18)
    change = Augment(rotate=0.7, flip_y=1.0, scale=(1.3, 1.3), translate=(0.5, 0.5, 0))
    row = {"name": "map_raster", "dtype": "uint8", "shape": [1, 48, 80], "params": {**SIZE, "layers": ["lane"]}}
    builder = InputBuilder([row], augment=change)
    from perceptum.builders.augment.drawn import Drawn
    from perceptum.builders.crew import Crew
    from perceptum.builders.sample import Sample
    from perceptum.builders.stage import Stages

    frame, draw = frame_of({"lane": polygons({"a": ring})}), Draw(3, 1, 4)
    drawn = Drawn(Stages(Crew(1), {}, change))
    drawn.run(Sample(frame, draw))
    moved = ring @ drawn.change[:2, :2].T + drawn.change[:2, 3]
    built = builder.build(frame, draw=draw)["map_raster"][0]
    assert np.array_equal(built == 1, crossed(moved, *centres(SIZE["range"], SIZE["cell"])))


@pytest.mark.parametrize("rule", ["center", "cv2"])
def test_a_line_beside_the_square_shows_its_edge_in_a_world_made_small(rule):
    """How far around the square is looked was not scaled with the world."""
    frame = frame_of({"road_boundary": Shapes.of("line", {"a": [(-60, -30.5), (60, -30.5)]})})
    scale, params = 0.1, {"layers": ["road_boundary"], "rule": rule, "cell": 0.5, "line_width": 2.0}
    # its middle is a quarter of a cell below the lowest row
    row = {"name": "map_raster", "dtype": "uint8", "shape": [1, 20, 20]}
    row["params"] = {**params, "range": [-5.0, scale * -30.5 + 0.125, 5.0, scale * -30.5 + 10.125]}
    built = InputBuilder([row], augment=Augment(scale=(scale, scale))).build(frame, draw=Draw(0, 0, 0))["map_raster"]
    assert built[0, 0].sum() >= 20
    assert not built[0, 4:].any()


def test_gt_map_is_the_raster_and_for_training_only():
    rng = np.random.default_rng(5)
    frame = frame_of({"drivable_area": polygons({"a": star(rng, 30, (0, 0), 40)})})
    with pytest.raises(SpecError, match="training"):
        InputBuilder(["gt_map"])
    presets = {"map_raster": "bevfusion_seg", "gt_map": {"frame": "ego", "rule": "cv2", "bev_layout": "CXY"}}
    names = ["map_raster", "gt_map", "gt_map_valid"]
    presets["map_raster"] = {**presets["gt_map"], "layers": ["drivable_area"]}
    presets["gt_map"]["layers"] = ["drivable_area"]
    built = InputBuilder(names, params=presets, training=True).build(frame)
    assert np.array_equal(built["gt_map"], built["map_raster"])
    assert built["gt_map_valid"].tolist() == [1]


def test_what_lies_around_beyond_and_nowhere_is_drawn_as_it_is():
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    layers = {
        "lane": polygons({"around": 1e6 * square}),
        "crossing": polygons({"beyond": square + 1e7, "few": square[:2], "nan": square * [np.nan, 1]}),
        "walkway": polygons({"left": square * [1000, 3] - [1000, 0], "right": square * [1000, 3] + [1007, 0]}),
    }
    for rule in ("center", "cv2"):
        lane, crossing, walkway = build(frame_of(layers), layers=list(layers), rule=rule, **SIZE)["map_raster"]
        assert lane.all()
        assert not crossing.any()
        assert walkway[24, :40].all()
        assert walkway[24, 55:].all()
        assert not walkway[24, 42:53].any()
        assert not walkway[:17].any()


@pytest.mark.parametrize("rule", ["center", "cv2"])
def test_a_corner_that_is_not_known_costs_only_itself(rule):
    ring, line = np.array([[0.0, 0], [8, 0], [8, 8], [0, 8]]), np.array([[-8.0, -5], [0, -5], [9, -6]])
    layers, broken = (
        {
            "lane": polygons({"a": ring if bad is None else np.insert(ring, 2, bad, axis=0)}),
            "lane_holes": polygons(
                {"a/0": 0.5 * ring + 1 if bad is None else np.insert(0.5 * ring + 1, 1, bad, axis=0)}
            ),
            "lane_divider": Shapes.of("line", {"b": line if bad is None else np.insert(line, 1, bad, axis=0)}),
        }
        for bad in (None, [[np.nan, 4], [1e39, 3], [4, -np.inf]])
    )
    wanted, built = (
        build(frame_of(own), layers=["lane", "lane_divider"], rule=rule, **SIZE)["map_raster"]
        for own in (layers, broken)
    )
    assert wanted.any(axis=(1, 2)).all()
    assert np.array_equal(built, wanted)
