"""OpenDRIVE: curves against closed forms, lanes, links, junctions, and every way to be broken."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptum.datasets.maps.opendrive import read_opendrive
from perceptum.datasets.maps.opendrive_curves import Cubics, Geometry, reference_line
from perceptum.inputs import BrokenRecord, LogError, MissingRecord

LANES = """<lanes>{offset}<laneSection s="0">
<left><lane id="1" type="driving"><link>{left}</link><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></left>
<center><lane id="0" type="none"><roadMark sOffset="0" type="broken"/></lane></center>
<right><lane id="-1" type="driving"><link>{right}</link><width sOffset="0" a="3.5" b="0" c="0" d="0"/>
<roadMark sOffset="0" type="solid"/></lane>
<lane id="-2" type="sidewalk"><width sOffset="0" a="2" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes>"""


def road(
    id="1",
    length=20,
    geometry="<line/>",
    x=0,
    y=0,
    hdg=0,
    junction="-1",
    link="",
    left="",
    right="",
    extra="",
    offset="",
    rule="",
    lanes=LANES,
):
    return f"""<road id="{id}" length="{length}" junction="{junction}" {rule}><link>{link}</link>
<planView><geometry s="0" x="{x}" y="{y}" hdg="{hdg}" length="{length}">{geometry}</geometry></planView>{extra}
{lanes.format(left=left, right=right, offset=offset)}</road>"""


@pytest.fixture
def read(tmp_path):
    def make(*parts, **options):
        (tmp_path / "a.xodr").write_text(f'<?xml version="1.0"?><OpenDRIVE>{"".join(parts)}</OpenDRIVE>')
        return read_opendrive(tmp_path / "a.xodr", **options)

    return make


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_lanes_lie_beside_the_reference_line_in_driving_direction(read):
    hd_map = read(road(), step_m=5)
    lanes = hd_map.lanes
    assert lanes.ids.tolist() == ["1/0/1", "1/0/-1"]
    # oncoming: drawn against s, its left boundary is the reference line
    assert lanes.centerlines[0][:, :2].tolist() == [[20, 1.5], [15, 1.5], [10, 1.5], [5, 1.5], [0, 1.5]]
    assert lanes.left_boundaries[0][0].tolist() == [20, 0, 0]
    assert lanes.right_boundaries[0][0].tolist() == [20, 3, 0]
    assert lanes.centerlines[1][0].tolist() == [0, -1.75, 0]
    assert lanes.left_boundaries[1][0].tolist() == [0, 0, 0]
    assert lanes.right_boundaries[1][-1].tolist() == [20, -3.5, 0]
    assert lanes.neighbors.tolist() == [[-1, -1], [-1, -1]]
    assert {name: len(layer) for name, layer in hd_map.layers.items()} == {
        "lane": 2,
        "walkway": 1,
        "crossing": 0,
        "lane_divider": 2,
    }
    assert hd_map.layers["walkway"][0][:, 1].min() == -5.5


def test_steps_are_equal_and_at_most_as_asked(read):
    centre = read(road(length=10.5), step_m=1.0).lanes.centerlines[1]
    np.testing.assert_allclose(np.diff(centre[:, 0]), 10.5 / 11)
    assert said(lambda: read(road(), step_m=0), LogError) == "step_m is 0, wanted a length above 0 m"


def test_where_one_drives_on_the_left_the_lanes_are_turned(read):
    lanes = read(road(rule='rule="LHT"')).lanes
    assert lanes.centerlines[0][0, 0] == 0
    assert lanes.centerlines[1][0, 0] == 20
    assert lanes.left_boundaries[0][0, 1] == 3


def test_heights_offsets_and_banking_are_taken_in(read):
    extra = """<elevationProfile><elevation s="0" a="5" b="0.1" c="0" d="0"/></elevationProfile>
    <lateralProfile><superelevation s="0" a="0.1" b="0" c="0" d="0"/></lateralProfile>"""
    lanes = read(road(extra=extra, offset='<laneOffset s="0" a="1" b="0" c="0" d="0"/>')).lanes
    np.testing.assert_allclose(lanes.left_boundaries[1][0], [0, np.cos(0.1), 5 + np.sin(0.1)])
    np.testing.assert_allclose(lanes.right_boundaries[1][-1], [20, -2.5 * np.cos(0.1), 7 - 2.5 * np.sin(0.1)])


def chord(geometry, s):
    return np.array(geometry.at(np.asarray(s, dtype=float)))


def test_an_arc_is_a_circle():
    arc = Geometry("arc", 0, 1, 2, 0.5, 100, (0.02,))
    s = np.linspace(0, 100, 41)
    x, y, heading = chord(arc, s)
    centre = np.array([1 - 50 * np.sin(0.5), 2 + 50 * np.cos(0.5)])
    np.testing.assert_allclose(np.hypot(x - centre[0], y - centre[1]), 50, rtol=1e-13)
    np.testing.assert_allclose(heading, 0.5 + 0.02 * s)
    np.testing.assert_allclose(x, centre[0] + 50 * np.sin(heading), atol=1e-11)


def test_a_circle_many_times_round_comes_back():
    turns = 50
    x, y, _ = chord(Geometry("arc", 0, 0, 0, 0, turns * 2 * np.pi * 10, (0.1,)), [turns * 2 * np.pi * 10])
    np.testing.assert_allclose([x[0], y[0]], 0, atol=1e-9)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.05), (0.05, 0.0), (-0.03, 0.04), (0.02, 0.02), (0.0, 0.0)])
def test_a_spiral_is_the_fresnel_integral(start, end):
    from scipy.integrate import quad
    from scipy.special import fresnel

    length = 80.0
    x, y, heading = chord(Geometry("spiral", 0, 0, 0, 0, length, (start, end)), [10.0, 80.0])
    rate = (end - start) / length
    for i, s in enumerate((10.0, 80.0)):
        np.testing.assert_allclose(x[i], quad(lambda t: np.cos(start * t + rate * t * t / 2), 0, s)[0], atol=1e-10)
        np.testing.assert_allclose(y[i], quad(lambda t: np.sin(start * t + rate * t * t / 2), 0, s)[0], atol=1e-10)
        np.testing.assert_allclose(heading[i], start * s + rate * s * s / 2)
    if start == 0 and rate:
        scale = np.sqrt(np.pi / rate)
        sine, cosine = fresnel(80.0 / scale)
        np.testing.assert_allclose([x[1], y[1]], [scale * cosine, scale * sine], rtol=1e-12)


def test_cubic_curves_are_evaluated_as_written():
    numbers = (0, 1, 0, 0, 0, 0, 0.01, 0.001)
    x, y, heading = chord(Geometry("paramPoly3", 0, 0, 0, 0, 10, numbers), [4.0])
    np.testing.assert_allclose([x[0], y[0]], [4, 0.16 + 0.064])
    np.testing.assert_allclose(np.tan(heading[0]), 0.08 + 0.048)
    numbers = (0, 10, 0, 0, 0, 0, 1, 0)
    x, y, _ = chord(Geometry("paramPoly3", 0, 0, 0, 0, 10, numbers, normalized=True), [5.0])
    np.testing.assert_allclose([x[0], y[0]], [5, 0.25])
    # a straight poly3 of slope 3/4: along it, not along u
    x, y, _ = chord(Geometry("poly3", 0, 0, 0, 0, 10, (0, 0.75, 0, 0)), [5.0])
    np.testing.assert_allclose([x[0], y[0]], [4, 3], rtol=1e-9)


def test_pieces_follow_each_other_and_end_at_their_ends():
    pieces = [Geometry("line", 0, 0, 0, 0, 10), Geometry("line", 10, 10, 0, np.pi / 2, 5)]
    x, y, heading = reference_line(pieces, np.array([-1.0, 4, 10, 12, 99]))
    np.testing.assert_allclose(x, [0, 4, 10, 10, 10])
    np.testing.assert_allclose(y, [0, 0, 0, 2, 5])
    assert heading[2] == np.pi / 2


def test_polynomials_are_0_before_the_first():
    cubics = Cubics(np.array([2.0, 5.0]), np.array([[1.0, 1, 0, 0], [7, 0, 0, 1]]))
    assert cubics.at(np.array([0.0, 2, 4, 5, 7])).tolist() == [0, 1, 3, 7, 15]
    assert Cubics(np.zeros(0), np.zeros((0, 4))).at(np.array([1.0])).tolist() == [0]


SUCCESSOR, PREDECESSOR = '<successor id="-1"/>', '<predecessor id="1"/>'


def pairs(lanes):
    return {(str(lanes.ids[a]), str(lanes.ids[b])) for a, b in lanes.successors}


def test_lanes_go_on_from_road_to_road_in_both_directions(read):
    first = road("1", link='<successor elementType="road" elementId="2" contactPoint="start"/>', right=SUCCESSOR)
    second = road(
        "2", x=20, link='<predecessor elementType="road" elementId="1" contactPoint="end"/>', left=PREDECESSOR
    )
    lanes = read(first, second).lanes
    assert pairs(lanes) == {("1/0/-1", "2/0/-1"), ("2/0/1", "1/0/1")}
    for a, b in lanes.successors:
        np.testing.assert_allclose(lanes.centerlines[a][-1], lanes.centerlines[b][0], atol=1e-9)


def test_roads_that_meet_end_to_end_are_linked_to_the_lane_that_leaves(read):
    first = road(
        "1", link='<successor elementType="road" elementId="2" contactPoint="end"/>', right='<successor id="1"/>'
    )
    second = road("2", x=40, hdg=np.pi)
    lanes = read(first, second).lanes
    assert pairs(lanes) == {("1/0/-1", "2/0/1")}
    np.testing.assert_allclose(lanes.centerlines[1][-1, 0], lanes.centerlines[2][0, 0])


def test_sections_follow_each_other_within_a_road(read):
    one = LANES.format(left=PREDECESSOR, right=SUCCESSOR, offset="")
    section = one[one.index("<laneSection") : one.index("</lanes>")]
    later = section.replace('s="0"', 's="8"', 1)
    both = f"<lanes>{section}{later}</lanes>"
    lanes = read(road(lanes=both)).lanes
    assert pairs(lanes) == {("1/0/-1", "1/1/-1"), ("1/1/1", "1/0/1")}


def test_junctions_connect_lane_by_lane(read):
    arriving = road("1", link='<successor elementType="junction" elementId="9"/>')
    through = road(
        "5",
        x=20,
        junction="9",
        link='<successor elementType="road" elementId="2" contactPoint="start"/>',
        right=SUCCESSOR,
    )
    leaving = road("2", x=40)
    junction = """<junction id="9"><connection id="0" incomingRoad="1" connectingRoad="5" contactPoint="start">
    <laneLink from="-1" to="-1"/><laneLink from="-7" to="-1"/></connection>
    <connection id="1" incomingRoad="1" connectingRoad="77" contactPoint="start"><laneLink from="-1" to="-1"/>
    </connection></junction>"""
    lanes = read(arriving, through, leaving, junction).lanes
    assert pairs(lanes) == {("1/0/-1", "5/0/-1"), ("5/0/-1", "2/0/-1")}
    assert dict(zip(lanes.ids.tolist(), lanes.is_intersection.tolist(), strict=True))["5/0/-1"]


def test_neighbours_go_the_same_way(read):
    more = LANES.replace('id="-2" type="sidewalk"', 'id="-2" type="bus"')
    lanes = read(road(lanes=more)).lanes
    at = {id: i for i, id in enumerate(lanes.ids.tolist())}
    assert lanes.neighbors[at["1/0/-1"]].tolist() == [-1, at["1/0/-2"]]
    assert lanes.neighbors[at["1/0/-2"]].tolist() == [at["1/0/-1"], -1]
    assert lanes.lane_type.tolist() == ["driving", "driving", "bus"]


def test_a_lane_without_width_is_no_lane(read):
    assert len(read(road(lanes=LANES.replace('a="3.5"', 'a="0"'))).lanes) == 1


@pytest.mark.parametrize(
    ("outline", "wanted"),
    [
        ('<outline><cornerRoad s="4" t="-3" dz="0"/><cornerRoad s="6" t="-3"/><cornerRoad s="6" t="3"/></outline>', 3),
        ('<outlines><outline><cornerLocal u="-1" v="-2" z="0"/><cornerLocal u="1" v="-2" z="0"/>'
         '<cornerLocal u="1" v="2" z="0"/><cornerLocal u="-1" v="-2" z="0"/></outline></outlines>', 3),
        ("", 4),
    ],
)  # fmt: skip
def test_crosswalks_are_polygons_in_place(read, outline, wanted):
    extra = f"""<objects><object id="x" type="crosswalk" s="5" t="0" hdg="0" zOffset="0" length="2" width="4">{outline}
    </object><object id="y" type="tree" s="1" t="1"/></objects>"""
    crossing = read(road(extra=extra)).layers["crossing"]
    assert crossing.ids.tolist() == ["1/x"]
    assert len(crossing[0]) == wanted
    assert (crossing[0][:, 0].min(), crossing[0][:, 0].max()) == pytest.approx((4, 6))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (road(geometry=""), "a <geometry> holds nothing, wanted one of line, arc, spiral, poly3, paramPoly3"),
        (road(geometry="<bezier/>"), "a <geometry> holds <bezier>, wanted one of line, "),
        (road(geometry='<arc curvature="no"/>'), "<arc> has curvature='no', wanted a number within 1e9"),
        (road(geometry='<arc curvature="nan"/>'), "<arc> has curvature='nan', wanted a number within 1e9"),
        (road(geometry="<arc/>"), "<arc> has curvature='None', wanted a number within 1e9"),
        (road(geometry='<arc curvature="1e6"/>'), "a <arc> of 20.0 m turns "),
        (road(length=1e8), "road '1' "),
        (road(length=-1), "a <line> of -1.0 m turns by 0.0 rad, wanted >= 0 m and at most 10000.0 rad"),
        (road() + road(), "two roads have the id '1', wanted one"),
        (road(lanes=LANES.replace('id="-1"', 'id="1"')), "a lane section has lane 1 to the right, or twice"),
        (road(lanes=LANES.replace('id="-1"', 'id="-3"')), "a lane section has lane -2 without the lane inside of it"),
        (road(lanes=LANES.replace('id="-1"', 'id="x"')), "<lane> has id='x', wanted a whole number"),
        (road(lanes=LANES.replace('laneSection s="0"', 'laneSection s="30"')), "road '1' of 20.0 m has "),
        (road(extra='<objects><object type="crosswalk" s="1" t="0"><outline><cornerRoad s="1" t="1"/></outline>'
                    "</object></objects>"), "a crosswalk of road '1' has 1 corners, wanted 3 or more"),
    ],
)  # fmt: skip
def test_a_map_that_does_not_say_is_refused(read, tmp_path, text, wanted):
    assert said(lambda: read(text)).startswith(f"{tmp_path}/a.xodr: {wanted}")


def test_more_points_than_there_is_memory_for_are_refused(read):
    roads = "".join(road(str(i), length=999_999) for i in range(20))
    assert "its lanes would be 79999960 points, wanted at most 4000000; raise step_m" in said(lambda: read(roads))
    assert len(read(roads, step_m=1000).lanes) == 40


def test_a_road_without_lane_sections_has_no_lanes(read):
    assert len(read(road(lanes="<lanes>{offset}</lanes>")).lanes) == 0
    assert len(read(road(lanes="")).lanes) == 0


def test_a_long_winding_road_costs_no_more_than_its_points():
    winding = Geometry("spiral", 0.0, 0.0, 0.0, 0.0, 1e6, (0.0, 1e-2))
    s = np.linspace(0, 1e6, 300_001)
    began = time.perf_counter()
    x, y, _ = reference_line([winding], s)
    # each point by a quadrature of its own from the start took an hour
    assert time.perf_counter() - began < 20
    some = np.array([1e3, 5e4])
    for alone, among in zip(reference_line([winding], some)[:2], (x, y), strict=True):
        np.testing.assert_allclose(alone, np.interp(some, s, among), atol=1e-6)


def test_entities_are_refused_before_they_grow(tmp_path):
    path = tmp_path / "a.xodr"
    path.write_text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><OpenDRIVE>&b;</OpenDRIVE>')
    assert (
        said(lambda: read_opendrive(path)) == f"{path}: not the XML we want (it defines entities, which are not read)"
    )
    path.write_text("<OpenDRIVE>" + "<a>" * 100)
    assert "elements stand more than 64 deep" in said(lambda: read_opendrive(path))
    path.write_text("<OpenDRIVE><road>")
    assert said(lambda: read_opendrive(path)) == f"{path}: not the XML we want (no element found: line 1, column 17)"
    path.write_text("<osm/>")
    assert said(lambda: read_opendrive(path)) == f"{path}: its root element is <osm>, wanted <OpenDRIVE>"
    assert said(lambda: read_opendrive(tmp_path / "b.xodr"), MissingRecord).endswith("no such file; the map is missing")


def test_an_empty_map_has_no_lanes(read):
    assert len(read().lanes) == 0


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_anywhere_is_an_error_or_harmless(said_of, tmp_path, data):
    path = tmp_path / "a.xodr"
    encoded = bytearray(f"<OpenDRIVE>{road(right=SUCCESSOR)}</OpenDRIVE>".encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from([b"9", b"-", b"1e9", b"<", b"", b"\0"])
        )
    path.write_bytes(encoded)

    def read():
        read_opendrive(path, step_m=100)

    said_of(read)
