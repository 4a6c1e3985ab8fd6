"""nuScenes' map expansion: layers, holes, lanes from arcs, and broken maps."""

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.nuscenes.lanes import ArcPath, centreline
from perceptum.datasets.nuscenes.stops import controlled
from perceptum.inputs import BrokenRecord, Shapes

from .made_nuscenes import change, map_expansion, token

MAP = "maps/expansion/singapore-onenorth.json"


def said(ask):
    with pytest.raises(BrokenRecord) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_map_has_the_layers_of_its_place(nuscenes):
    layers = open_log(nuscenes).map.layers
    lines = {name: len(layer) for name, layer in layers.items() if layer.kind == "line"}
    # a line without nodes, as the published maps have, is left out
    assert lines == {"lane_divider": 1, "road_divider": 1, "traffic_light": 1}
    assert {name: len(layer) for name, layer in layers.items() if layer.kind == "polygon"} == {
        **dict.fromkeys(("drivable_area", "drivable_area_holes", "crossing", "walkway", "stop_line"), 1),
        **dict.fromkeys(("carpark_area", "road_block", "road_segment", "intersection", "lane_connector"), 1),
        "lane": 3,
    }
    crossing = layers["crossing"]
    assert crossing.ids.tolist() == [token("crossing")]
    assert crossing[0][:, :2].tolist() == [[610, 1600], [613, 1600], [613, 1608], [610, 1608]]
    assert np.isnan(crossing[0][:, 2]).all()


def test_holes_are_a_layer_of_their_own(nuscenes):
    layers = open_log(nuscenes).map.layers
    outline = token("polygon", "drivable")
    assert layers["drivable_area"].ids.tolist() == [outline]
    assert layers["drivable_area_holes"].ids.tolist() == [f"{outline}/0"]
    assert layers["drivable_area_holes"][0][:, :2].tolist() == [[650, 1650], [655, 1650], [655, 1655], [650, 1655]]


def test_lanes_follow_each_other_along_their_centrelines(nuscenes):
    lanes = open_log(nuscenes).map.lanes
    first, second, connector = (token(name) for name in ("lane a", "lane b", "connector"))
    # lane c has no path
    assert lanes.ids.tolist() == [first, second, connector]
    assert lanes.successors.tolist() == [[0, 2], [2, 1]]
    assert lanes.is_intersection.tolist() == [False, False, True]
    assert lanes.lane_type.tolist() == ["CAR", "CAR", "CONNECTOR"]
    assert lanes.neighbors.tolist() == [[-1, -1]] * 3
    for before, after in lanes.successors:
        np.testing.assert_allclose(lanes.centerlines[before][-1, :2], lanes.centerlines[after][0, :2], atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("YIELD", True), ("TRAFFIC_LIGHT", True), ("STOP_SIGN", True), ("PED_CROSSING", False), ("TURN_STOP", False)],
)
def test_a_lane_over_the_stop_line_of_a_light_or_sign_is_controlled(nuscenes, kind, wanted):
    changed(nuscenes, lambda expansion: expansion["stop_line"][0].update(stop_line_type=kind))
    assert open_log(nuscenes).map.lanes.has_traffic_control.tolist() == [wanted, False, False]
    assert open_log(nuscenes).map.lanes.turn is None


def test_a_map_without_stop_lines_does_not_say_which_lanes_are_controlled(nuscenes):
    changed(nuscenes, lambda expansion: expansion.pop("stop_line"))
    assert open_log(nuscenes).map.lanes.has_traffic_control is None


@given(st.integers(0, 2**32 - 1))
def test_lanes_meet_stop_lines_as_shapely_says(seed):
    rng = np.random.default_rng(seed)
    lines = {f"lane {i}": rng.uniform(-20, 20, (rng.integers(2, 6), 2)) for i in range(12)}
    rings = {f"stop {i}": rng.uniform(-20, 20, 2) + rng.uniform(-3, 3, (3, 2)) for i in range(6)}
    controlling = {"stop 0", "stop 2", "stop 5"}
    areas = [shapely.Polygon(ring) for name, ring in rings.items() if name in controlling]
    wanted = [any(shapely.LineString(line).intersects(area) for area in areas) for line in lines.values()]
    found = controlled(Shapes.of("line", lines), Shapes.of("polygon", rings), controlling)
    assert found.tolist() == wanted


def test_a_turn_lies_on_its_circle_in_steps_of_a_metre(nuscenes):
    turn = open_log(nuscenes).map.lanes.centerlines[2][:, :2]
    np.testing.assert_allclose(np.linalg.norm(turn - [620, 1620], axis=1), 18, atol=1e-9)
    np.testing.assert_allclose(turn[[0, -1]], [[620, 1602], [638, 1620]], atol=1e-9)
    steps = np.linalg.norm(np.diff(turn, axis=0), axis=1)
    assert (steps < 1).all()
    assert abs(steps.sum() - 9 * np.pi) < 0.01


def test_a_boundary_is_the_dividers_nodes_or_one_unknown_point(nuscenes):
    lanes = open_log(nuscenes).map.lanes
    assert lanes.left_boundaries[0][:, :2].tolist() == [[600, 1604], [620, 1604]]
    assert lanes.right_boundaries[0][:, :2].tolist() == [[600, 1600], [610, 1600], [620, 1600]]
    for row in (1, 2):
        assert np.isnan(lanes.left_boundaries[row]).tolist() == [[True, True, True]]
    assert 1 not in lanes.left_boundaries.near(-1e9, -1e9, 1e9, 1e9)


def test_left_and_right_turns_are_mirrored_and_straights_are_straight():
    def ends(shape, lengths):
        arc = ArcPath(start_pose=(0, 0, 0), shape=shape, radius=10, segment_length=lengths)
        return centreline("map", "lane", [arc])[-1]

    quarter = 5 * np.pi
    np.testing.assert_allclose(ends("LSL", (quarter, 0, 0)), [10, 10], atol=1e-12)
    np.testing.assert_allclose(ends("RSR", (quarter, 0, 0)), [10, -10], atol=1e-12)
    np.testing.assert_allclose(ends("LSR", (quarter, 7, quarter)), [20, 27], atol=1e-12)
    np.testing.assert_allclose(ends("RSL", (0, 25, 0)), [25, 0], atol=1e-12)
    np.testing.assert_allclose(ends("LRL", (quarter, 2 * quarter, quarter)), [40, 0], atol=1e-9)
    np.testing.assert_allclose(ends("RLR", (quarter, 2 * quarter, quarter)), [40, 0], atol=1e-9)
    assert ends("RLR", (0, 0, 0)).tolist() == [0, 0]


def test_a_place_without_an_expansion_has_no_map(nuscenes):
    (nuscenes / MAP).unlink()
    assert open_log(nuscenes).map is None


def changed(nuscenes, alter, at=MAP):
    expansion = map_expansion()
    alter(expansion)
    (nuscenes / MAP).unlink(missing_ok=True)
    (nuscenes / at).write_text(json.dumps(expansion))


def first_node(expansion):
    return [expansion["node"][0]["token"]]


def test_a_map_without_paths_has_no_lane_graph_and_says_which_version_has_one(nuscenes):
    def older(expansion):
        for table in ("arcline_path_3", "connectivity", "lane_connector"):
            del expansion[table]
        expansion["version"] = "1.1"

    # where versions before 1.3 were unpacked
    changed(nuscenes, older, "maps/singapore-onenorth.json")
    with pytest.warns(UserWarning, match="not read: ") as caught:
        hd_map = open_log(nuscenes).map
    wanted = "lanes as a graph, since they have no arcline_path_3: the map has version 1.1, wanted 1.3 (3)"
    assert hd_map.unread == ("table 'unused' (2)", wanted)
    assert [str(w.message) for w in caught] == [
        f"{nuscenes}/maps/singapore-onenorth.json: not read: table 'unused' (2), {wanted}"
    ]
    assert hd_map.lanes is None
    assert len(hd_map.layers["lane"]) == 3


@pytest.mark.parametrize(
    ("alter", "wanted"),
    [
        (lambda m: None, []),
        (lambda m: m.pop("connectivity"), ["successors of lanes, since the map has no connectivity (4)"]),
        (lambda m: m.pop("version"), []),
        (lambda m: m.update(version=1.3), []),
        (lambda m: m.update(speed_bump=[{}, {}], region="asia"), ["table 'speed_bump' (2)", "table 'region' (1)"]),
        (lambda m: m["walkway"][0].update(polygon_token=None), ["areas without a polygon (1)"]),
        (lambda m: m["polygon"][0].update(exterior_node_tokens=first_node(m)), ["areas of 1 or 2 corners (1)"]),
        (lambda m: m["line"][0].update(node_tokens=first_node(m)), ["lines of 1 point (1)"]),
    ],
)  # fmt: skip
def test_what_is_there_and_not_read_is_said(nuscenes, alter, wanted):
    changed(nuscenes, alter)
    with pytest.warns(UserWarning, match="not read: "):
        hd_map = open_log(nuscenes).map
    always = ["table 'unused' (2)", "lanes without a path in arcline_path_3, left out of the lane graph (1)"]
    assert sorted(hd_map.unread) == sorted([*always, *wanted])


def test_masks_instead_of_an_expansion_are_said(nuscenes):
    (nuscenes / MAP).unlink()
    (nuscenes / "maps" / "a.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="not read: ") as caught:
        assert open_log(nuscenes).map is None
    masks = "masks of the drivable area; the map of singapore-onenorth is the map expansion's (1)"
    assert [str(w.message) for w in caught] == [f"{nuscenes}/maps: not read: {masks}"]


def test_a_place_never_names_a_file_elsewhere(nuscenes):
    (nuscenes / "outside.json").write_text("{}")
    change(nuscenes, "log", lambda rows: rows[0].update(location="../../outside"))
    assert open_log(nuscenes).map is None


@pytest.mark.parametrize(
    ("alter", "wanted"),
    [
        (lambda m: m.pop("node"), "not the expected JSON (Object missing required field `node`)"),
        (lambda m: m["node"].pop(), "names node "),
        (lambda m: m["polygon"].pop(), "names polygon "),
        (lambda m: m["line"].clear(), "names line "),
        (lambda m: m["node"][0].update(x=1e12), "is not finite or beyond 1e9 m"),
        (lambda m: m["node"][0].update(x="1"), "not the expected JSON (Expected `float`, got `str`"),
        (lambda m: arc(m).update(shape="LLL"), "has an arc of shape 'LLL', radius 900.0, lengths "),
        (lambda m: arc(m).update(radius=0.0), "has an arc of shape 'LSR', radius 0.0, lengths "),
        (lambda m: arc(m).update(segment_length=[1, -1, 1]), "wanted one of LSL, LSR, RSL, RSR, LRL, RLR, a radius"),
        # which would be a billion points
        (lambda m: arc(m).update(segment_length=[0, 1e9, 0]), "is 1000000000.0 m long, wanted at most 100000"),
    ],
)
def test_a_broken_map_is_named(nuscenes, alter, wanted):
    expansion = map_expansion()
    alter(expansion)
    (nuscenes / MAP).write_text(json.dumps(expansion))
    text = said(lambda: open_log(nuscenes).map)
    assert text.startswith(f"{nuscenes / MAP}: ")
    assert wanted in text


def arc(expansion):
    return expansion["arcline_path_3"][token("lane a")][0]


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    st.sampled_from(["LSL", "LSR", "RSL", "RSR", "LRL", "RLR"]),
    st.floats(0.1, 1e4),
    st.tuples(*[st.floats(0, 50)] * 3),
)
def test_a_centreline_never_jumps_and_is_as_long_as_its_arcs(start, shape, radius, lengths):
    path = ArcPath(start_pose=start, shape=shape, radius=radius, segment_length=lengths)
    line = centreline("map", "lane", [path])
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert np.isfinite(line).all()
    assert (steps <= 1 + 1e-6).all()
    assert steps.sum() <= sum(lengths) + 1e-3
    if radius > 10:
        assert steps.sum() >= 0.99 * sum(lengths) - 1e-3
