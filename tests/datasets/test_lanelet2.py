"""Lanelet2: lanes and layers of a small map, and every way to be broken."""

import subprocess
import sys

import numpy as np
import pytest

from perceptum.datasets.maps.lanelet2 import read_lanelet2
from perceptum.inputs import BrokenRecord, LogError, MissingRecord

pytest.importorskip("lanelet2")

# three rows of nodes along x, 10 m apart in local metres: y 4, 0 and -4
ROWS = {"a": 4.0, "b": 0.0, "c": -4.0}


def node(id, x, y, z=None, local=True):
    tags = f'<tag k="local_x" v="{x}"/><tag k="local_y" v="{y}"/>' if local else ""
    tags += "" if z is None else f'<tag k="ele" v="{z}"/>'
    return f'<node id="{id}" lat="{49 + y * 9e-6}" lon="{8.4 + x * 1.4e-5}">{tags}</node>'


def way(id, nodes, **tags):
    refs = "".join(f'<nd ref="{n}"/>' for n in nodes)
    return f'<way id="{id}">{refs}{"".join(f"<tag k={k!r} v={v!r}/>" for k, v in tags.items())}</way>'


def lanelet(id, left, right, subtype="road", extra="", **tags):
    tags = {"type": "lanelet", "subtype": subtype, "location": "urban", "one_way": "yes", **tags}
    members = f'<member type="way" ref="{left}" role="left"/><member type="way" ref="{right}" role="right"/>{extra}'
    return f'<relation id="{id}">{members}{"".join(f"<tag k={k!r} v={v!r}/>" for k, v in tags.items())}</relation>'


def small(z=None, local=True, extra=""):
    """Two lanes side by side, of two lanelets each; 1 2 above 3 4, and a crosswalk."""
    nodes = [node(100 * (r + 1) + i, 10.0 * i, y, z, local) for r, y in enumerate(ROWS.values()) for i in range(3)] + [
        node(900, 0, 9, z, local),
        node(901, 10, 9, z, local),
    ]
    ways = [
        way(11, (100, 101), type="road_border"),
        way(12, (101, 102), type="road_border"),
        way(21, (200, 201), type="line_thin", subtype="dashed"),
        way(22, (201, 202), type="line_thin", subtype="dashed"),
        # drawn the other way
        way(31, (301, 300), type="line_thin", subtype="solid"),
        way(32, (301, 302), type="virtual"),
        way(41, (101, 201), type="stop_line"),
        way(91, (900, 901)),
    ]
    lanelets = [
        lanelet(1, 11, 21),
        lanelet(2, 12, 22, turn_direction="left"),
        lanelet(3, 21, 31),
        lanelet(4, 22, 32),
        lanelet(5, 91, 11, subtype="crosswalk"),
    ]
    return f'<?xml version="1.0"?><osm version="0.6">{"".join([*nodes, *ways, *lanelets])}{extra}</osm>'


@pytest.fixture
def read(tmp_path):
    def make(text, **options):
        (tmp_path / "a.osm").write_text(text)
        return read_lanelet2(tmp_path / "a.osm", **options)

    return make


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_lanes_follow_and_lie_beside_each_other(read):
    lanes = read(small(z=7)).lanes
    assert lanes.ids.tolist() == ["1", "2", "3", "4"]
    assert lanes.successors.tolist() == [[0, 1], [2, 3]]
    assert lanes.neighbors.tolist() == [[-1, 2], [-1, 3], [0, -1], [1, -1]]
    assert lanes.left_boundaries[2].tolist() == [[0, 0, 7], [10, 0, 7]]
    assert lanes.right_boundaries[2].tolist() == [[0, -4, 7], [10, -4, 7]]
    assert lanes.lane_type.tolist() == ["road"] * 4
    assert lanes.is_intersection.tolist() == [False, True, False, False]


def rule(id, members, **tags):
    roles = "".join(f'<member type="{kind}" ref="{ref}" role="{role}"/>' for kind, ref, role in members)
    tags = {"type": "regulatory_element", **tags}
    return f'<relation id="{id}">{roles}{"".join(f"<tag k={k!r} v={v!r}/>" for k, v in tags.items())}</relation>'


def ruled(ref):
    return f'<member type="relation" ref="{ref}" role="regulatory_element"/>'


@pytest.mark.filterwarnings("ignore:.*not read")
def test_lights_signs_and_rules_say_which_lanes_are_controlled(read):
    light = way(51, (900, 901), type="traffic_light")
    sign = way(52, (900, 901), type="traffic_sign", subtype="de205")
    other = way(53, (900, 901), type="traffic_sign", subtype="de301")
    lanes = "".join(lanelet(id, 12, 22, extra=ruled(of)) for id, of in ((6, 71), (7, 72), (8, 73), (9, 74), (10, 74)))
    rules = (
        rule(71, [("way", 51, "refers")], subtype="traffic_light")
        + rule(72, [("way", 52, "refers")], subtype="traffic_sign")
        + rule(73, [("way", 53, "refers")], subtype="traffic_sign")
        + rule(74, [("relation", 9, "yield"), ("relation", 10, "right_of_way")], subtype="right_of_way")
    )
    graph = read(small(extra=light + sign + other + lanes + rules)).lanes
    assert graph.ids[graph.has_traffic_control].tolist() == ["6", "7", "9"]


@pytest.mark.filterwarnings("ignore:.*not read")
def test_turns_and_speed_limits_are_as_the_map_says_them(read):
    bare = read(small().replace("turn_direction", "other")).lanes
    assert bare.turn is None
    assert bare.speed_limit_mps is None
    speeds = {6: "36", 7: "36 km/h", 8: "10 m/s", 9: "10 mph", 10: "fast"}
    lanes = "".join(lanelet(id, 12, 22, speed_limit=said) for id, said in speeds.items())
    sign = way(51, (900, 901), type="traffic_sign", subtype="de274-72")
    by_rule = lanelet(12, 12, 22, extra=ruled(71), turn_direction="sideways")
    limit = rule(71, [("way", 51, "refers")], subtype="speed_limit")
    graph = read(small(extra=lanes + sign + by_rule + limit)).lanes
    assert graph.turn.tolist() == ["", "left"] + [""] * 8
    np.testing.assert_allclose(graph.speed_limit_mps, [np.nan] * 4 + [10, 10, 10, 4.4704, np.nan, 20])


def test_centrelines_have_equal_steps_between_their_ends(read):
    centre = read(small(z=7)).lanes.centerlines[0]
    np.testing.assert_allclose(centre, np.column_stack([np.arange(11.0), [2.0] * 11, [7.0] * 11]), atol=1e-9)


def test_layers_are_by_kind(read):
    hd_map = read(small())
    assert {name: layer.ids.tolist() for name, layer in hd_map.layers.items()} == {
        "lane": ["1", "2", "3", "4"],
        "crossing": ["5"],
        "walkway": [],
        "area": [],
        "lane_divider": ["21", "22", "31"],
        "road_boundary": ["11", "12"],
        "stop_line": ["41"],
    }
    assert hd_map.layers["crossing"][0][:, :2].tolist() == [[0, 9], [10, 9], [10, 4], [0, 4]]


def test_what_is_there_and_not_read_is_counted_and_said_once(read, tmp_path):
    rule = '<relation id="77"><tag k="type" v="regulatory_element"/><tag k="subtype" v="{}"/></relation>'
    route = '<relation id="78"><tag k="type" v="route"/></relation>'
    light = way(51, (900, 901), type="traffic_light")
    two_way = lanelet(6, 12, 22, one_way="no")
    polygon = way(52, (900, 901, 100), type="parking_lot", area="yes")
    text = small(extra=f"{light}{polygon}{two_way}{route}{rule.format('detection_area')}")
    with pytest.warns(UserWarning, match="not read: ") as caught:
        hd_map = read(text)
    assert sorted(hd_map.unread) == [
        "lines of type 'traffic_light' (1)",
        "one_way 'no' of a lane, read as one-way (1)",
        "polygons of type 'parking_lot' (1)",
        "regulatory elements of subtype 'detection_area' (1)",
        "relations of type 'route' (1)",
    ]
    assert [str(w.message) for w in caught] == [f"{tmp_path}/a.osm: not read: {', '.join(hd_map.unread)}"]


def test_a_map_that_is_read_whole_says_nothing(read, recwarn):
    assert read(small()).unread == ()
    assert len(recwarn) == 0


def test_holes_of_areas_are_a_layer_of_their_own(read):
    nodes = "".join(
        node(950 + i, x, y) for i, (x, y) in enumerate([(0, 20), (9, 20), (9, 29), (3, 23), (6, 23), (6, 26)])
    )
    ways = way(61, (950, 951, 952, 950), type="curbstone") + way(62, (953, 954, 955, 953), type="curbstone")
    members = '<member type="way" ref="61" role="outer"/><member type="way" ref="62" role="inner"/>'
    tags = '<tag k="type" v="multipolygon"/><tag k="subtype" v="parking"/>'
    hd_map = read(small(extra=f'{nodes}{ways}<relation id="70">{members}{tags}</relation>'))
    assert hd_map.layers["area"].ids.tolist() == ["70"]
    assert hd_map.layers["area_holes"].ids.tolist() == ["70/0"]
    # it is for parking
    assert hd_map.layers["carpark_area"].ids.tolist() == ["70"]
    assert hd_map.layers["carpark_area_holes"].ids.tolist() == ["70/0"]
    assert sorted(map(tuple, hd_map.layers["area_holes"][0][:, :2].tolist()))[0] == (3, 23)


def test_heights_that_no_node_tells_are_nan(read):
    hd_map = read(small())
    assert np.isnan(hd_map.layers["lane"].points[:, 2]).all()
    assert np.isnan(hd_map.lanes.centerlines.points[:, 2]).all()
    assert np.isfinite(hd_map.lanes.centerlines.points[:, :2]).all()


def test_an_origin_gives_metres_east_and_north_of_it(read):
    lanes = read(small(local=False), origin=(49.0, 8.4)).lanes
    # 9e-6 degrees of latitude are 1.0007 m, 1.4e-5 of longitude 1.024 m there; UTM shrinks by up to 0.04 %, and its
    # north is half a degree off there
    np.testing.assert_allclose(lanes.left_boundaries[2][:, :2], [[0, 0], [10.24, -0.08]], atol=0.05)
    np.testing.assert_allclose(lanes.right_boundaries[2][:, :2], [[0, -4], [10.24, -4.08]], atol=0.05)


def test_without_an_origin_every_node_needs_local_metres(read, tmp_path):
    assert said(lambda: read(small(local=False))).endswith(
        "has no local_x and local_y; say where the world's zero is with origin=(latitude, longitude)"
    )
    text = small().replace('k="local_x" v="10.0"', 'k="local_x" v="ten"', 1)
    assert "has local_x or local_y that is not a number" in said(lambda: read(text))
    text = small().replace('k="local_x" v="10.0"', 'k="local_x" v="1e300"', 1)
    assert "wanted within 1e9 m" in said(lambda: read(text))
    assert said(lambda: read(small(), origin=(91, 0)), LogError) == (
        f"{tmp_path}/a.osm: origin is (91, 0), wanted latitude and longitude in degrees"
    )


def test_traffic_rules_of_an_unknown_kind_take_nothing_away(read):
    rule = '<relation id="77"><tag k="type" v="regulatory_element"/><tag k="subtype" v="detection_area"/></relation>'
    refers = lanelet(6, 31, 32, extra='<member type="relation" ref="77" role="regulatory_element"/>')
    text = small(extra=rule + refers.replace('ref="31"', 'ref="12"').replace('ref="32"', 'ref="22"'))
    assert "6" in read(text).lanes.ids.tolist()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('<nd ref="101"/>', '<nd ref="9999"/>', "primitives are broken, the first: "),
        ('<member type="way" ref="21" role="right"/>', '<member type="way" ref="8888" role="right"/>', "are broken"),
        ("</osm>", "", "not the expected XML ("),
        ("<osm", "<oms", "not the expected XML ("),
    ],
)
def test_a_map_that_is_not_whole_is_refused(read, tmp_path, old, new, wanted):
    text = said(lambda: read(small().replace(old, new)))
    assert text.startswith(f"{tmp_path}/a.osm: ")
    assert wanted in text


def test_a_map_that_is_missing_is_told(tmp_path):
    assert said(lambda: read_lanelet2(tmp_path / "b.osm"), MissingRecord) == (
        f"{tmp_path}/b.osm: no such file; the map is missing"
    )


def test_damage_anywhere_never_ends_the_interpreter(tmp_path):
    """In a process of its own: the library is C++."""
    (tmp_path / "whole.osm").write_text(small(z=1))
    code = f"""
import random
from pathlib import Path
from perceptum.datasets.maps.lanelet2 import read_lanelet2
from perceptum.inputs import LogError
folder, chance = Path({str(tmp_path)!r}), random.Random(0)
whole, path = (folder / "whole.osm").read_bytes(), folder / "a.osm"
words = [b"9", b"-", b"1e9", b"nan", b"101", b"left", b"", b"lanelet", b"<nd ref='101'/>"]
errors = 0
for _ in range(1500):
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        data[at:at + chance.randint(0, 5)] = chance.choice(words)
    path.write_bytes(data)
    try:
        read_lanelet2(path, origin=chance.choice([None, (49.0, 8.4)]))
    except LogError as error:
        errors += 1
        assert "\\n" not in str(error)
print("survived", errors)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("survived ")


def test_a_map_without_any_rule_does_not_say_which_lanes_are_controlled(read):
    assert read(small()).lanes.has_traffic_control is None
