"""The lane graph against LaneGCN's formulas, written slowly, and against the graphs of av2 and lanelet2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.builders.kernels.map import lane_graph as kernels
from perceptum.datasets import memory_log
from perceptum.features import SpecError, canonical
from perceptum.inputs import HDMap, MissingRecord, Poses

from .street_maps import T0, frames, hdmap
from .test_map_polylines import AV2, CHANGE, Placer, along, finite, flags_of

GROUP = canonical().group("map_lane_graph")
NAMES = [feature.name for feature in GROUP.features]


def edge_set(edges):
    return {(int(u), int(v)) for u, v in edges.T}


def oracle(frame, params, draw=None, augment=None):
    """As LaneGCN's get_lane_graph and preprocess: matrices of nodes by nodes and of lanes by lanes."""
    place, lanes = Placer(frame, params, draw, augment), frame.map.lanes
    mirrored = np.linalg.det(place.ref_from_ego) < 0
    low, high = np.reshape(params.range, (2, 2))
    numbered = all(id.isdecimal() for id in lanes.ids)
    taken = []
    for k in range(len(lanes)):
        line = finite(lanes.centerlines[k])
        if not (line[1:, :2] != line[:-1, :2]).any():
            continue
        length = np.hypot(*np.diff(line[:, :2], axis=0).T).sum()
        n = params.points_per_lane
        xy = place(line if n is None else along(line, np.linspace(0, length, n)))[:, :2]
        within = ((low <= xy) & (xy < high)).all(axis=1).any()
        reaches = (xy.max(axis=0) >= low).all() and (xy.min(axis=0) <= high).all()
        if reaches if params.select == "bounds" else within:
            taken.append((np.hypot(*xy.T).min(), int(lanes.ids[k]) if numbered else k, k, xy))
    if params.order == "nearest":
        taken.sort(key=lambda lane: lane[:3])
    total = np.cumsum([len(lane[3]) - 1 for lane in taken])
    if params.max_nodes is not None:
        taken = taken[: int((total <= params.max_nodes).sum())]
    return graph_of(taken, lanes, frame.map, params, mirrored)


def graph_of(taken, lanes, the_map, params, mirrored):
    row = {lane[2]: i for i, lane in enumerate(taken)}
    counts = [len(lane[3]) - 1 for lane in taken]
    first = np.cumsum([0, *counts])
    n, m = int(first[-1]), len(taken)
    lane_of = np.repeat(np.arange(m), counts)
    ctrs = np.concatenate([np.zeros((0, 2)), *((xy[1:] + xy[:-1]) / 2 for *_, xy in taken)])
    feats = np.concatenate([np.zeros((0, 2)), *(np.diff(xy, axis=0) for *_, xy in taken)])
    flags = np.array([flags_of(the_map, lane[2], mirrored) for lane in taken], float).reshape(-1, 4)[lane_of]
    suc, lane_suc = np.zeros((n, n), bool), np.zeros((m, m), bool)
    for i in range(m):
        for node in range(first[i], first[i + 1] - 1):
            suc[node, node + 1] = True
    for a, b in lanes.successors:
        if a in row and b in row:
            lane_suc[row[a], row[b]] = True
            suc[first[row[a] + 1] - 1, first[row[b]]] = True
    made = {
        "lane_ctrs": ctrs,
        "lane_feats": feats,
        "lane_turn": flags[:, 1:3],
        "lane_control": flags[:, 3],
        "lane_intersect": flags[:, 0],
        "lane_id": np.array([lane[1] for lane in taken], int)[lane_of],
        "lane_num_nodes": np.array([n]),
    }
    for k, hop in enumerate(params.hops):
        power = np.linalg.matrix_power(suc.astype(object), hop) > 0
        made[f"lane_edges_suc_{k}"] = set(map(tuple, np.argwhere(power).tolist()))
        made[f"lane_edges_pre_{k}"] = set(map(tuple, np.argwhere(power.T).tolist()))
    for side, column in (("left", 1 if mirrored else 0), ("right", 0 if mirrored else 1)):
        beside = np.zeros((m, m), bool)
        for i, lane in enumerate(taken):
            other = int(lanes.neighbors[lane[2], column])
            if other in row:
                beside[i, row[other]] = True
        near = beside | (beside @ lane_suc) | (beside @ lane_suc.T)
        made[f"lane_edges_{side}"] = nearest_pairs(ctrs, feats, near, lane_of, params)
    return made


def nearest_pairs(ctrs, feats, near, lane_of, params):
    pairs = set()
    heading = np.arctan2(feats[:, 1], feats[:, 0])
    for u in range(len(ctrs)):
        distance = np.hypot(*(ctrs - ctrs[u]).T)
        distance[~near[lane_of[u], lane_of]] = 1e6
        v = int(distance.argmin())
        apart = abs(heading[u] - heading[v])
        if distance[v] < params.cross_dist and min(apart, 2 * np.pi - apart) < params.cross_angle:
            pairs.add((u, v))
    return pairs


CASES = [
    {},
    {"points_per_lane": None, "select": "bounds", "range": [-30, -20, 40, 30]},
    {"order": "nearest", "max_nodes": 70, "hops": [3, 1, 2, 7, 9, 5], "cross_dist": 3.0, "cross_angle": 0.3},
    {"points_per_lane": 2, "range": [-70, -5, 45, 5], "turn": "heading"},
]


@pytest.mark.parametrize("params", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("draw", [None, Draw(3, 0, 0)], ids=["as it is", "mirrored"])
def test_the_lane_graph_is_lanegcns(params, draw):
    whole = GROUP.params.replace(params, "")
    builder = InputBuilder(NAMES, params={"map_lane_graph": params}, augment=CHANGE)
    turn = None if params.get("turn") else {"31": "right", "12": "straight", "22": "left", "33": "uturn"}
    for frame in frames(hdmap(turn, {"12", "31"})):
        made, wanted = builder.build(frame, draw=draw), oracle(frame, whole, draw, CHANGE)
        for name in NAMES:
            if "edges" in name:
                assert edge_set(made[name]) == wanted[name], name
                assert made[name].shape[1] == len(wanted[name]), "each pair once"
                assert (np.diff(made[name][0]) >= 0).all(), "ordered by the first"
            else:
                assert made[name].shape == wanted[name].shape, name
                assert np.allclose(made[name], wanted[name], atol=1e-4), name


def test_the_lanes_of_a_mirrored_sample_change_sides():
    frame, names = frames()[0], ["lane_edges_left", "lane_edges_right", "lane_turn"]
    plain = InputBuilder(names).build(frame)
    mirrored = InputBuilder(names, augment=Augment(flip_y=1.0)).build(frame, draw=Draw(0, 0, 0))
    assert plain["lane_turn"].any(axis=0).all()
    assert np.array_equal(mirrored["lane_turn"], plain["lane_turn"][:, ::-1])
    assert np.array_equal(mirrored["lane_edges_left"], plain["lane_edges_right"])
    assert np.array_equal(mirrored["lane_edges_right"], plain["lane_edges_left"])


def test_asking_for_fewer_edges_changes_none(monkeypatch):
    frame = frames()[0]
    every = InputBuilder(NAMES).build(frame)
    for name in NAMES:
        if "edges" in name:
            assert np.array_equal(InputBuilder([name, "lane_ctrs"]).build(frame)[name], every[name])


def test_batches_raise_the_numbers_of_nodes():
    log = frames()
    made = InputBuilder(NAMES).build_batch([log[1], log[2], log[0]])
    alone = [InputBuilder(NAMES).build(log[k]) for k in (1, 2, 0)]
    starts = np.cumsum([0, *(len(one["lane_ctrs"]) for one in alone)])
    # of the frame that is far from everything there is nothing
    assert starts[1] == starts[2]
    assert made["map_lane_graph_batch_ptr"].tolist() == starts.tolist()
    for name in ("lane_edges_pre_3", "lane_edges_suc_0", "lane_edges_left"):
        parts = [one[name] + start for one, start in zip(alone, starts[:-1], strict=True)]
        assert np.array_equal(made[name], np.concatenate(parts, axis=1))
        assert made[f"{name}_batch_ptr"].tolist() == np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()
    empty = InputBuilder(NAMES).build_batch([log[2], log[2]])
    assert empty["lane_ctrs"].shape == (0, 2)
    assert empty["lane_edges_suc_5"].shape == (2, 0)


def test_a_padded_graph_has_no_edges_to_what_is_not_there():
    frame = frames()[0]
    params = {"max_nodes": 40}
    rows = [
        {"name": "lane_ctrs", "dtype": "float32", "shape": [50, 2], "params": params},
        {"name": "lane_id", "dtype": "int64", "shape": [50], "params": params},
        {"name": "lane_edges_suc_0", "dtype": "int64", "shape": [2, 99], "params": params},
    ]
    made = InputBuilder(rows).build(frame)
    n = int((made["lane_id"] >= 0).sum())
    assert n == 36
    assert not made["lane_ctrs"][n:].any()
    edges = made["lane_edges_suc_0"]
    assert (edges[:, (edges >= 0).all(axis=0)] < n).all()
    assert (edges[:, -1] == -1).all()
    with pytest.raises(SpecError, match="'lane_ctrs' is cut at 30 rows, but 'lane_edges_suc_0' points to up to 40"):
        InputBuilder([{**rows[0], "shape": [30, 2]}, rows[2]])


def test_lanes_are_taken_up_to_max_nodes_and_not_beyond():
    """Lanes of nine nodes each."""
    for most, n in ((35, 27), (36, 36), (37, 36), (8, 0)):
        made = InputBuilder(["lane_ctrs"], params={"map_lane_graph": {"max_nodes": most}}).build(frames()[0])
        assert len(made["lane_ctrs"]) == n


def test_a_log_without_lanes_is_empty_or_an_error(caplog):
    for log, said in ((memory_log(times_ns=[5]), "no map"), (frames(HDMap()), "a map without lanes")):
        caplog.clear()
        builder = InputBuilder(NAMES)
        made = [builder.build(log[0]) for _ in range(2)][1]
        assert all(array.size == 0 for name, array in made.items() if name != "lane_num_nodes")
        assert made["lane_num_nodes"][0] == 0
        assert [f"the log has {said}" in record.getMessage() for record in caplog.records] == [True]
        with pytest.raises(MissingRecord, match=f"{said}, and the spec requires it"):
            InputBuilder(NAMES, params={"map_lane_graph": {"required": True}}).build(log[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"range": [0, 0, 0, 1]}, "range must be xmin ymin xmax ymax"),
        ({"hops": [0, 1, 2, 3, 4, 5]}, "hops must be whole numbers from 1 to 4096"),
        ({"points_per_lane": 1}, "points_per_lane must be at least 2"),
        ({"cross_dist": -1}, "cross_dist must be at least 0"),
        ({"turn_angle": float("inf")}, "turn_angle must be finite"),
    ],
)
def test_params_that_cannot_be_are_refused(params, message):
    with pytest.raises(SpecError, match=message):
        InputBuilder(["lane_ctrs"], params={"map_lane_graph": params})


pairs = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40)


def rows_of(edges, n=12):
    ordered = sorted(set(edges))
    starts = np.searchsorted([u for u, _ in ordered], np.arange(n + 1)).astype(np.int32)
    return starts, np.array([v for _, v in ordered], np.int32).reshape(-1)


@settings(max_examples=50)
@given(pairs, pairs, st.integers(0, 60))
def test_composed_and_reversed_edges_are_products_and_transposes(a, b, room):
    seen, starts, others = np.zeros(12, np.int32), np.zeros(13, np.int32), np.zeros(room, np.int32)
    many = kernels.compose(*rows_of(a), *rows_of(b), seen, starts, others)
    if many > room:
        others = np.zeros(many, np.int32)
        assert kernels.compose(*rows_of(a), *rows_of(b), seen, starts, others) == many
    wanted = sorted({(u, w) for u, v in a for x, w in b if v == x})
    out = np.zeros((2, many), np.int64)
    kernels.write_edges(starts, others, 12, out)
    assert list(zip(*out.tolist(), strict=True)) == wanted
    back_starts, back = np.zeros(13, np.int32), np.zeros(many, np.int32)
    kernels.reverse(starts, others, 12, back_starts, back)
    kernels.write_edges(back_starts, back, 12, out)
    assert list(zip(*out.tolist(), strict=True)) == sorted((v, u) for u, v in wanted)


def lane_pairs(made, name):
    """The pairs of different lanes of which nodes are joined."""
    ids = made["lane_id"]
    joined = {(int(ids[u]), int(ids[v])) for u, v in made[name].T}
    return {pair for pair in joined if pair[0] != pair[1]}


def standing(place):
    return Poses(np.array([T0]), np.array([[1.0, 0, 0, 0]]), place[None, :])


EVERYTHING = {"range": [-5000, -5000, 5000, 5000], "cross_dist": 1e6, "cross_angle": 4.0}


@pytest.mark.data
def test_the_lanes_of_a_real_log_follow_each_other_as_av2_says(real_data):
    av2 = pytest.importorskip("av2.map.map_api", reason="av2 is not installed")
    api = av2.ArgoverseStaticMap.from_map_dir(real_data / AV2 / "map")
    frame = pc.open_log(real_data / AV2)[0]
    made = InputBuilder(NAMES, params={"map_lane_graph": EVERYTHING}).build(frame)
    segments = api.vector_lane_segments
    follows = {(id, after) for id in segments for after in api.get_lane_segment_successor_ids(id) if after in segments}
    assert {*made["lane_id"].tolist()} == {*api.get_scenario_lane_segment_ids()}
    assert lane_pairs(made, "lane_edges_suc_0") == follows
    assert lane_pairs(made, "lane_edges_pre_0") == {(b, a) for a, b in follows}
    for side, of in (
        ("left", api.get_lane_segment_left_neighbor_id),
        ("right", api.get_lane_segment_right_neighbor_id),
    ):
        with_one = {id for id in segments if of(id) in segments}
        assert {int(made["lane_id"][u]) for u in made[f"lane_edges_{side}"][0]} == with_one
    pose = frame.world_from_ego
    for id in list(segments)[::20]:
        line = (api.get_lane_segment_centerline(id) - pose[:3, 3]) @ pose[:3, :3]
        own = made["lane_id"] == id
        # their points are equally far apart on both boundaries, ours on the line between, in the plane
        assert np.abs(made["lane_ctrs"][own] - (line[1:, :2] + line[:-1, :2]) / 2).max() < 0.3
        assert bool(made["lane_intersect"][own].all()) == api.lane_is_in_intersection(id)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_lanes_of_a_real_map_follow_each_other_as_lanelet2_routes(real_data):
    lanelet2 = pytest.importorskip("lanelet2")
    from lanelet2 import routing, traffic_rules
    from lanelet2.projection import UtmProjector

    from perceptum.datasets.maps.lanelet2 import read_lanelet2

    path = real_data / "maps" / "lanelet2" / "mapping_example.osm"
    origin = (49.0, 8.4)
    the_map = read_lanelet2(path, origin=origin)
    middle = np.array([*the_map.lanes.centerlines.points[:, :2].mean(axis=0), 0.0])
    log = memory_log(times_ns=[T0], poses=standing(middle), hdmap=the_map)
    made = InputBuilder(NAMES, params={"map_lane_graph": EVERYTHING}).build(log[0])
    theirs = lanelet2.io.load(str(path), UtmProjector(lanelet2.io.Origin(*origin)))
    rules = traffic_rules.create(traffic_rules.Locations.Germany, traffic_rules.Participants.Vehicle)
    graph, ids = routing.RoutingGraph(theirs, rules), {*made["lane_id"].tolist()}
    # a lane for both ways is read as one for the way that it is drawn
    passable = [lane for lane in theirs.laneletLayer if rules.canPass(lane) and rules.isOneWay(lane) and lane.id in ids]
    known = {lane.id for lane in passable}
    follows = {(lane.id, after.id) for lane in passable for after in graph.following(lane) if after.id in known}
    assert len(known) > 100
    assert {pair for pair in lane_pairs(made, "lane_edges_suc_0") if known >= {*pair}} == follows
    for side, ways in (("left", (graph.left, graph.adjacentLeft)), ("right", (graph.right, graph.adjacentRight))):
        wanted = {lane.id for lane in passable for way in ways if (other := way(lane)) and other.id in known}
        assert wanted <= {int(made["lane_id"][u]) for u in made[f"lane_edges_{side}"][0]}
        assert wanted
