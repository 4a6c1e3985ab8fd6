"""map_polylines against a slow version of its definition, and lines against shapely and av2."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.builders.kernels.map import lines
from perceptum.datasets import memory_log
from perceptum.features import SpecError, canonical
from perceptum.inputs import HDMap, LaneGraph, MissingRecord, Shapes

from .street_maps import CENTRES, frames, hdmap, without

NAMES = [feature.name for feature in canonical().group("map_polylines").features]
CHANGE = Augment(rotate=(0.4, 0.4), flip_y=1.0, scale=(1.1, 1.1), translate=0.3)
MIRRORED = {"left_boundary": "right_boundary", "right_boundary": "left_boundary"}


def along(line, wanted):
    """Points at distances along a line, in the plane, by shapely; heights at the same share of each step."""
    steps = np.hypot(*np.diff(line[:, :2], axis=0).T)
    if steps.sum() == 0:
        return np.repeat(line[:1], len(wanted), axis=0)
    geometry = shapely.LineString(line[:, :2] - line[0, :2])
    xy = [geometry.interpolate(d).coords[0] for d in wanted] + line[0, :2]
    at = np.concatenate([[0], np.cumsum(steps)])
    return np.column_stack([xy, heights(np.asarray(wanted), at, line[:, 2])])


def heights(wanted, at, z):
    """At a point itself its height, which may be known where that of a neighbour is not."""
    found = np.interp(wanted, at, z)
    nearest = np.abs(wanted[:, None] - at).argmin(axis=1)
    return np.where(np.abs(wanted - at[nearest]) < 1e-6, z[nearest], found)


def resampled(line, params, is_area):
    points = params.points_per_polyline + (params.elements == "vectors")
    if params.resample == "recorded" or (is_area and params.outlines == "recorded"):
        return line[:points]
    if len(line) == 1:
        return line if params.resample == "spacing" else np.repeat(line, points, axis=0)
    if params.resample == "number":
        at = np.clip((np.arange(points) + 0.5) * len(line) / points - 0.5, 0, len(line) - 1)
        whole = np.arange(len(line))
        xy = [np.interp(at, whole, line[:, axis]) for axis in range(2)]
        return np.column_stack([*xy, heights(at, whole, line[:, 2])])
    length = np.hypot(*np.diff(line[:, :2], axis=0).T).sum()
    if params.resample == "arc_length":
        return along(line, np.linspace(0, length, points))
    wanted = np.arange(int(length // params.spacing) + 1) * params.spacing
    return along(line, [*wanted, length] if length - wanted[-1] > 1e-6 else wanted)


def pieces(line, params):
    """(points, whether the point before the first is given ahead) of each row of a line."""
    n, vectors = params.points_per_polyline, params.elements == "vectors"
    if params.resample != "spacing" or len(line) <= n + vectors:
        return [(line, False)]
    if vectors:
        return [(line[k : k + n + 1], False) for k in range(0, len(line) - 1, n)]
    return [(line[max(k - 1, 0) : k + n], k > 0) for k in range(0, len(line), n)]


def shapes_of(the_map, name, mirrored):
    lanes = the_map.lanes
    sides = {"left_boundary": lanes.left_boundaries, "right_boundary": lanes.right_boundaries}
    if name == "lane_centerline":
        return [(lanes.centerlines, k) for k in range(len(lanes))]
    if name in sides:
        return [(sides[MIRRORED[name] if mirrored else name], k) for k in range(len(lanes))]
    if name == "lane_boundary":
        both = [shapes_of(the_map, side, mirrored) for side in MIRRORED]
        return [one for pair in zip(*both, strict=True) for one in pair]
    return [(the_map.layers[name], k) for k in range(len(the_map.layers[name]))] if name in the_map.layers else []


def finite(points):
    return points[np.isfinite(points[:, :2]).all(axis=1)]


def flags_of(the_map, k, mirrored):
    lanes = the_map.lanes
    turn = lanes.turn[k] if lanes.turn is not None else ""
    left, right = turn == "left", turn == "right"
    if turn == "" and lanes.is_intersection[k]:
        way = np.diff(finite(lanes.centerlines[k])[:, :2], axis=0)
        change = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
        change = change[-1] - change[0]
        left, right = np.pi / 6 < change < 0.75 * np.pi, -0.75 * np.pi < change < -np.pi / 6
    control = lanes.has_traffic_control is not None and lanes.has_traffic_control[k]
    return [lanes.is_intersection[k], *((right, left) if mirrored else (left, right)), control]


class Placer:
    """World points in the frame of reference."""

    def __init__(self, frame, params, draw, augment):
        names = [{"name": "ref_from_ego", "dtype": "float64", "shape": (4, 4), "params": {"frame": params.frame}}]
        self.ref_from_ego = InputBuilder(names, augment=augment).build(frame, draw=draw)["ref_from_ego"]
        self.frame, self.params = frame, params

    def __call__(self, points):
        pose, ground = self.frame.world_from_ego, self.frame.map.ground_height(points[:, :2])
        level = pose[2, 3] + (self.params.ground_z or 0.0)
        z = np.where(np.isnan(points[:, 2]), np.where(np.isnan(ground), level, ground), points[:, 2])
        ego = (np.column_stack([points[:, :2], z]) - pose[:3, 3]) @ pose[:3, :3]
        return ego @ self.ref_from_ego[:3, :3].T + self.ref_from_ego[:3, 3]


def oracle(frame, params, draw=None, augment=None):
    place = Placer(frame, params, draw, augment)
    mirrored = np.linalg.det(place.ref_from_ego) < 0
    the_map, found = frame.map, []
    for layer, name in enumerate(params.layers):
        of_lanes = "lane_c" in name or "bound" in name
        shapes = shapes_of(the_map, name, mirrored)
        all_ids = the_map.lanes.ids if of_lanes else shapes[0][0].ids if shapes else []
        numbered = all(id.isdecimal() for id in all_ids)
        for of, k in shapes:
            line = finite(of[k])
            if params.closed and of.kind == "polygon" and len(line):
                line = np.concatenate([line, line[:1]])
            if len(line) < (2 if params.elements == "vectors" else 1):
                continue
            id = int(all_ids[k]) if numbered else k
            flags = flags_of(the_map, k, mirrored) if of_lanes else [False] * 4
            centre = finite(the_map.lanes.centerlines[k]) if of_lanes else line
            by_lane = params.boundaries_by == "lane" and "bound" in name and of_lanes
            for piece, ahead in pieces(resampled(line, params, of.kind == "polygon"), params):
                if params.elements == "vectors" and len(piece) < 2:
                    continue
                points = place(piece)
                own = points[1:] if ahead else points
                if by_lane and len(centre) >= (2 if params.elements == "vectors" else 1):
                    ranked = place(resampled(centre, params, False))
                else:
                    ranked = own
                found.append((layer, id, flags, points, own, ranked))
    rows = []
    for order, (layer, id, flags, points, own, ranked) in enumerate(found):
        near = inside(ranked, params)
        offset = ranked[:, :2] - params.centre
        mean = np.hypot(*(ranked[:, :2].mean(axis=0) - params.centre))
        distance = mean if params.distance_to == "mean_point" else np.hypot(*offset.T).min()
        if near.any():
            key = (distance, id, layer, order) if params.order == "nearest" else order
            rows.append((key, layer, id, flags, points, own))
    rows.sort(key=lambda row: row[0])
    if params.counts is None:
        rows = rows[: params.max_polylines]
    else:
        blocks = [[row for row in rows if row[1] == layer][:n] for layer, n in enumerate(params.counts)]
        rows = [
            row for block, n in zip(blocks, params.counts, strict=True) for row in block + [None] * (n - len(block))
        ]
    return written(rows, params)


def inside(points, params):
    near = np.hypot(*(points[:, :2] - params.centre).T) <= (params.radius or np.inf)
    if params.range is not None:
        low, high = np.reshape(params.range, (2, 2))
        near &= ((low <= points[:, :2]) & (points[:, :2] < high)).all(axis=1)
    return near


def written(rows, params):
    n, steps, vectors = len(rows), params.points_per_polyline, params.elements == "vectors"
    columns = [(name, k) for name in params.columns for k in range(len(params.layers) if name == "layer_onehot" else 1)]
    values, mask = np.zeros((n, steps, len(columns))), np.zeros((n, steps), np.uint8)
    kinds, ids, centers = np.full(n, -1), np.full(n, -1), np.zeros((n, 3))
    for r, row in enumerate(rows):
        if row is None:
            continue
        _, kinds[r], ids[r], flags, points, own = row
        here = own[1:] if vectors else own
        real = inside(here, params) if params.points_beyond == "masked" else np.ones(len(here), bool)
        mask[r, : len(here)] = real
        ahead = len(points) - len(own)
        before = own[:-1] if vectors else (points[:-1] if ahead else np.concatenate([own[:1], own[:-1]]))
        previous = own[:-1] if vectors else np.concatenate([own[:1], own[:-1]])
        step = here - before
        unit = step / np.where((length := np.linalg.norm(step, axis=1)) > 0, length, 1)[:, None]
        known = {"polyline": r, "layer": kinds[r], **dict(zip(FLAGS, flags, strict=True))}
        for c, (name, k) in enumerate(columns):
            axis = "xyz".index(name.strip("d").removeprefix("ir_")[0]) if name not in known | {"layer_onehot": 0} else 0
            table = {"d": step, "u": unit, "p": previous, "": here}
            kind = "u" if "dir" in name else "d" if name[0] == "d" else "p" if "prev" in name else ""
            value = float(k == kinds[r]) if name == "layer_onehot" else known.get(name, table[kind][:, axis])
            values[r, : len(here), c] = np.where(real, value, 0)
        if real.any():
            centers[r] = here[real].mean(axis=0)
    return {
        "map_polylines": values,
        "map_polyline_mask": mask,
        "map_polyline_type": kinds,
        "map_polyline_id": ids,
        "map_polyline_center": centers,
        "map_num_polylines": np.array([n]),
    }


FLAGS = ("intersection", "turn_left", "turn_right", "traffic_control")
AV2 = "argoverse2/sensor/val/7fab2350-7eaf-3b7e-a39d-6937a4c1bede"
ALL_LAYERS = ["lane_centerline", "left_boundary", "crossing", "right_boundary", "stop_line", "odd"]
EVERY_COLUMN = ["z_prev", "x", "dir_y", "dx", "y", "dz", "dir_x", "x_prev", "z", "dir_z", "dy", "y_prev"]
EVERY_COLUMN += ["layer", *FLAGS, "layer_onehot", "polyline"]
CASES = [
    {},
    {"columns": EVERY_COLUMN, "layers": ALL_LAYERS, "points_per_polyline": 7},
    {"columns": EVERY_COLUMN, "layers": ALL_LAYERS, "elements": "vectors", "points_per_polyline": 4, "order": "map"},
    {"columns": EVERY_COLUMN, "layers": ALL_LAYERS, "resample": "spacing", "points_per_polyline": 6, "spacing": 1.3},
    {"layers": ALL_LAYERS, "resample": "spacing", "points_per_polyline": 3, "elements": "vectors", "spacing": 4.0},
    {"layers": ALL_LAYERS, "resample": "number", "closed": False, "radius": None, "max_polylines": 9},
    {"layers": ALL_LAYERS, "resample": "recorded", "points_per_polyline": 4, "centre": [-20, 3], "radius": 20.0},
    {"layers": ["crossing", "lane_boundary"], "counts": [2, 7], "outlines": "recorded", "points_beyond": "masked"},
    {"boundaries_by": "lane", "layers": ALL_LAYERS, "points_beyond": "masked", "range": [-25, -9, 30, 9], "radius": 24},
    {"boundaries_by": "lane", "layers": ["lane_boundary"], "distance_to": "mean_point", "max_polylines": None},
    {"layers": ["odd"], "points_per_polyline": 1, "columns": ["x", "y"]},
    {"layers": ["odd"], "points_per_polyline": 1, "elements": "vectors", "resample": "recorded"},
]


@pytest.mark.parametrize("params", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("draw", [None, Draw(3, 0, 0)], ids=["as it is", "mirrored"])
def test_polylines_are_what_their_definition_says(params, draw):
    turn, control = {"31": "right", "12": "straight", "22": "left"}, {"12", "31"}
    whole = canonical().group("map_polylines").params.replace(params, "")
    builder = InputBuilder(NAMES, params={"map_polylines": params}, augment=CHANGE)
    for frame in frames(hdmap(turn, control, ids=["5", "4", "99"])):
        made, wanted = builder.build(frame, draw=draw), oracle(frame, whole, draw, CHANGE)
        for name in NAMES:
            assert made[name].shape == wanted[name].shape, name
            assert np.allclose(made[name], wanted[name], atol=1e-4), name


def test_the_height_is_counted_from_the_ground_where_that_is_asked():
    beside = {"layers": ["left_boundary", "right_boundary"], "range": [-30, -20, 30, 20], "points_beyond": "masked"}
    params = {"frame": "ego_ground", "ground": "map_or_plane", "columns": ["z", "z_prev"], **beside}
    frame, builder = frames()[0], InputBuilder(["map_polylines"], params={"map_polylines": params}, augment=CHANGE)
    # what has no height of its own lies on the ground
    assert np.abs(builder.build(frame)["map_polylines"]).max() < 1e-4
    moved = builder.build(frame, draw=(draw := Draw(3, 0, 0)))["map_polylines"]
    shift = draw.random("translate").normal(size=3)[2] * CHANGE.translate[2]
    assert np.allclose(moved[moved != 0], shift, atol=1e-4)


def test_the_origin_of_the_world_changes_nothing():
    near = InputBuilder(["map_polylines"]).build(pc.open_log("synthetic", frames=2, seed=1)[1])["map_polylines"]
    assert np.abs(near[0, :, :2]).max() < 100
    far = frames()[0]
    place = Placer(far, canonical().group("map_polylines").params, None, None)
    first = far.map.lanes.centerlines[1][:1]
    made = InputBuilder(["map_polylines", "map_polyline_id"], params={"map_polylines": {"layers": ["lane_centerline"]}})
    tensors = made.build(far)
    row = list(tensors["map_polyline_id"]).index(12)
    assert np.abs(tensors["map_polylines"][row, 0, :3] - place(first)[0]).max() < 1e-6


def test_sizes_are_the_specs_or_the_frames():
    frame = frames()[0]
    row = {"name": "map_polylines", "dtype": "float32", "params": {"layers": ["lane_centerline"]}}
    free = InputBuilder([{**row, "shape": ["n", 20, 6]}]).build(frame)["map_polylines"]
    fixed = InputBuilder([{**row, "shape": [30, 20, 6]}]).build(frame)["map_polylines"]
    less = InputBuilder([{**row, "shape": [3, 20, 6]}]).build(frame)
    assert np.array_equal(fixed[: len(free)], free)
    assert not fixed[len(free) :].any()
    assert np.array_equal(less["map_polylines"], free[:3])
    assert less.dropped["rows of 'map_polylines' beyond its size"] == len(free) - 3


def test_batches_are_joined_and_padded_ones_stacked():
    log = frames()
    joined = InputBuilder(NAMES).build_batch(list(log))
    counts = joined["map_num_polylines"][:, 0]
    assert joined["map_polylines_batch_ptr"].tolist() == [0, *np.cumsum(counts)]
    assert counts[2] == 0
    padded = InputBuilder(NAMES, params={"map_polylines": "nuplan"}).build_batch(list(log))
    assert padded["map_polylines"].shape == (3, 130, 20, 2)
    assert not padded["map_polyline_mask"][2].any()
    assert (padded["map_polyline_type"][2] == -1).all()


@pytest.mark.parametrize("preset", list(canonical().group("map_polylines").presets))
def test_presets_build(preset, caplog):
    for log in (frames(), pc.open_log("synthetic", frames=2, seed=0)):
        made = InputBuilder(NAMES, params={"map_polylines": preset}).build(log[0])
        assert made["map_polyline_mask"].any()
        assert np.isfinite(made["map_polylines"]).all()


def test_a_log_without_a_map_is_empty_or_an_error(caplog):
    log = memory_log(times_ns=[5])
    builder = InputBuilder(NAMES)
    for _ in range(2):
        made = builder.build(log[0])
    assert made["map_polylines"].shape == (0, 20, 6)
    assert made["map_num_polylines"][0] == 0
    assert len(caplog.records) == 1
    assert "the log has no map" in caplog.text
    padded = InputBuilder(NAMES, params={"map_polylines": "l5kit"}).build(log[0])
    assert padded["map_polylines"].shape == (110, 20, 2)
    assert not any(padded[name].any() for name in ("map_polylines", "map_polyline_mask", "map_polyline_center"))
    with pytest.raises(MissingRecord, match=r"no map, and the spec requires it \(the param \"required\"\)"):
        InputBuilder(NAMES, params={"map_polylines": {"required": True}}).build(log[0])


def test_layers_that_a_map_lacks_are_named(caplog):
    builder = InputBuilder(["map_polylines"], params={"map_polylines": {"layers": ["stop_line", "crossing"]}})
    assert len(builder.build(frames(without(hdmap(), "stop_line"))[0])["map_polylines"]) == 2
    assert "a map without the layer stop_line; it has crossing, lane_boundary, " in caplog.text
    caplog.clear()
    plain = HDMap({"crossing": hdmap().layers["crossing"]})
    assert len(InputBuilder(["map_polylines"]).build(frames(plain)[0])["map_polylines"]) == 2
    assert "a map without lanes" in caplog.text
    required = {"map_polylines": {"layers": ["stop_line"], "required": True}}
    with pytest.raises(MissingRecord, match="a map without the layer stop_line; it has crossing, and the spec"):
        InputBuilder(["map_polylines"], params=required).build(frames(plain)[0])
    wrong = {"map_polylines": {"layers": ["crosswalk"]}}
    with pytest.raises(MissingRecord, match="no map has a layer 'crosswalk'; did you mean 'crossing'"):
        InputBuilder(["map_polylines"], params=wrong).build(frames()[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": []}, "layers must be one or more names, each once"),
        ({"layers": [" "]}, "layers must be names"),
        ({"layers": ["lane_boundary", "left_boundary"]}, "lane_boundary is left_boundary and right_boundary in one"),
        ({"counts": [3]}, r"counts must be a number of at least 1 for each of the 4 layers, got \[3\]"),
        ({"radius": 0}, "radius must be above 0, got 0"),
        ({"spacing": -1}, "spacing must be above 0, got -1"),
        ({"range": [1, 0, 0, 1]}, "range must be xmin ymin xmax ymax, each max above its min"),
        ({"points_beyond": "masked", "radius": None}, 'points_beyond "masked" wants a radius or a range'),
        ({"points_per_polyline": 0}, "points_per_polyline must be at least 1"),
    ],
)
def test_params_that_cannot_be_are_refused(params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder(["map_polylines"], params={"map_polylines": params})


def kernel_points(points, how, most, spacing=1.0):
    starts, counts = np.array([0, len(points)]), np.zeros(1, np.int64)
    lines.count_points(points, starts, np.array([how]), spacing, most, counts)
    out = np.zeros((int(counts[0]), 3))
    lines.resample(points, starts, np.array([how]), spacing, np.array([0, len(out)]), out)
    return out


coordinates = st.floats(-1e3, 1e3)
some_lines = st.lists(st.tuples(coordinates, coordinates, coordinates), min_size=2, max_size=9)


@given(some_lines, st.integers(2, 12))
def test_equal_distances_along_a_line_are_shapelys(points, n):
    points = np.array(points)
    made = kernel_points(points, lines.ARC_LENGTH, n)
    length = np.hypot(*np.diff(points[:, :2], axis=0).T).sum()
    assert np.array_equal(made[[0, -1]], points[[0, -1]])
    if length > 1e-6:
        wanted = [shapely.LineString(points[:, :2]).interpolate(d).coords[0] for d in np.linspace(0, length, n)]
        assert np.allclose(made[:, :2], wanted, atol=1e-6)


@pytest.mark.data
def test_equal_distances_along_the_lines_of_a_map_are_av2s(real_data):
    interp_arc = pytest.importorskip("av2.geometry.interpolate", reason="av2 is not installed").interp_arc
    lanes = pc.open_log(real_data / AV2)[0].map.lanes
    for boundary in (lanes.left_boundaries, lanes.right_boundaries):
        for k in range(len(boundary)):
            made = kernel_points(np.array(boundary[k]), lines.ARC_LENGTH, 20)
            assert np.allclose(made[:, :2], interp_arc(20, boundary[k][:, :2]), atol=1e-6)


def test_the_map_by_hand_has_what_it_says():
    assert frames()[0].map.lanes.ids.tolist() == list(CENTRES)


def test_places_beyond_float32_are_not_known():
    near = [[0.0, 0, 1e39], [10, 0, -np.inf]]
    far = [[1e39, 3, 0], [-1e300, 1e300, 0]]
    shapes = Shapes.of("line", {"1": near, "2": [near[0], *far, near[1]], "3": far})
    flags, types = np.zeros(3, np.bool_), np.array(["VEHICLE"] * 3)
    graph = LaneGraph(shapes, shapes, shapes, np.zeros((0, 2), np.int64), np.full((3, 2), -1), flags, types)
    layers = {"lane_divider": shapes, "crossing": Shapes.of("polygon", {"1": [*near, *far], "2": far})}
    names = ["map_polylines", "map_polyline_id", "map_polyline_center", "lane_ctrs", "lane_feats", "lane_id"]
    wanted = {"layers": ["lane_divider", "crossing", "lane_centerline"], "columns": ["x", "y", "z", "dx", "dir_z"]}
    builder = InputBuilder(names, params={"map_polylines": wanted})
    built = builder.build(memory_log(hdmap=HDMap(layers, graph), times_ns=[0])[0])
    assert all(np.isfinite(array).all() for array in built.values())
    assert built["map_polyline_id"].tolist() == [1, 1, 1, 2, 2]
    assert built["lane_id"].tolist() == [1] * 9 + [2] * 9
    assert np.array_equal(built["map_polylines"][0], built["map_polylines"][3])
