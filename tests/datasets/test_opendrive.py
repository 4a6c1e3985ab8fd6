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


def unread(hd_map):
    return dict(line.rsplit(" (", 1) for line in hd_map.unread)


def flat(lane, section='<laneSection s="0">', **more):
    """A road whose right side is `lane`."""
    return road(lanes=f"<lanes>{section}<right>{lane}</right></laneSection></lanes>", **more)


WIDE = '<width sOffset="0" a="3" b="0" c="0" d="0"/>'


@pytest.mark.parametrize("attribute", ["", 'pRange=""', 'pRange="normalized"'])
def test_a_cubic_that_does_not_say_its_range_is_normalized(read, attribute):
    cubic = f'<paramPoly3 aU="0" bU="20" cU="0" dU="0" aV="0" bV="0" cV="4" dV="0" {attribute}/>'
    line = read(road(geometry=cubic)).lanes.left_boundaries[1]
    np.testing.assert_allclose(line[[0, 10, -1], :2], [[0, 0], [10, 1], [20, 4]])


def test_a_cubic_over_arc_length_says_so(read):
    cubic = '<paramPoly3 aU="0" bU="1" cU="0" dU="0" aV="0" bV="0" cV="0" dV="0" pRange="arcLength"/>'
    assert read(road(geometry=cubic)).lanes.left_boundaries[1][-1, 0] == 20


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (road(rule='rule="left"'), "<road> has rule='left', wanted RHT or LHT"),
        (road(geometry='<paramPoly3 aU="0" bU="1" cU="0" dU="0" aV="0" bV="0" cV="0" dV="0" pRange="p"/>'),
         "<paramPoly3> has pRange='p', wanted normalized or arcLength"),
        (road(link='<successor elementType="street" elementId="2"/>'),
         "<successor> has elementType='street', wanted road or junction"),
        (road(link='<successor elementType="road" elementId="2" contactPoint="middle"/>'),
         "<successor> has contactPoint='middle', wanted start or end"),
        (flat(f'<lane id="-1" type="driving" level="up">{WIDE}</lane>'),
         "<lane> has level='up', wanted true or false or 1 or 0"),
        (flat(f'<lane id="-1" type="driving" direction="back">{WIDE}</lane>'),
         "<lane> has direction='back', wanted standard or reversed or both"),
    ],
)  # fmt: skip
def test_a_word_that_the_standard_does_not_know_is_refused(read, tmp_path, text, wanted):
    assert said(lambda: read(text)) == f"{tmp_path}/a.xodr: {wanted}"


@pytest.mark.parametrize("attribute", ["", 'rule=""', 'rule="RHT"'])
def test_one_drives_on_the_right_unless_the_road_says_otherwise(read, attribute):
    assert read(road(rule=attribute)).lanes.centerlines[1][0, 0] == 0


@pytest.mark.parametrize("attribute", ["", 'junction=""', 'junction="-1"'])
def test_a_road_is_in_no_junction_unless_it_says_which(read, attribute):
    lanes = read(road().replace('junction="-1"', attribute)).lanes
    assert not lanes.is_intersection.any()


def test_polynomials_have_0_for_what_is_not_written(read):
    extra = '<elevationProfile><elevation a="5"/></elevationProfile><lateralProfile><superelevation/></lateralProfile>'
    lane = '<lane id="-1" type="driving"><width a="3"/></lane>'
    line = read(flat(lane, extra=extra)).lanes.right_boundaries[0]
    assert line[[0, -1]].tolist() == [[0, -3, 5], [20, -3, 5]]


def test_of_two_polynomials_at_one_place_the_later_in_the_file_holds(read):
    lane = '<lane id="-1" type="driving"><width sOffset="0" a="9"/><width sOffset="0" a="3"/></lane>'
    assert read(flat(lane)).lanes.right_boundaries[0][0, 1] == -3


@pytest.mark.parametrize("a", ["-3", "3"])
def test_borders_say_where_a_lane_ends_where_it_has_no_widths(read, a):
    lanes = f"""<lane id="-1" type="driving"><border sOffset="0" a="{a}"/><border sOffset="10" a="{a}" b="0.1"/></lane>
    <lane id="-2" type="driving"><border a="7"/></lane>"""
    found = read(flat(lanes), step_m=10).lanes
    assert found.ids.tolist() == ["1/0/-1", "1/0/-2"]
    slope = 1 if a == "3" else -1
    assert found.right_boundaries[0][:, 1].tolist() == [-3, -3, -(3 + slope)]
    # independent of the lanes inside
    assert found.right_boundaries[1][:, 1].tolist() == [-7, -7, -7]
    assert found.left_boundaries[1][:, 1].tolist() == [-3, -3, -(3 + slope)]


def test_widths_count_where_a_lane_has_borders_too(read):
    lane = f'<lane id="-1" type="driving">{WIDE}<border sOffset="0" a="-9"/></lane>'
    assert read(flat(lane)).lanes.right_boundaries[0][0, 1] == -3


def signal(s=5, orientation="+", inner="", **more):
    given = {"id": "1", "dynamic": "yes"} | more
    attributes = " ".join(f"{name}={value!r}" for name, value in given.items())
    return f'<signal s="{s}" orientation="{orientation}" {attributes}>{inner}</signal>'


@pytest.mark.filterwarnings("ignore:.*not read")
@pytest.mark.parametrize(
    ("signals", "wanted"),
    [
        ("", None),
        (signal(), ["1/0/-1"]),
        (signal(orientation="-"), ["1/0/1"]),
        (signal(orientation="none"), ["1/0/-1", "1/0/1"]),
        (signal(orientation="none", inner='<validity fromLane="1" toLane="2"/>'), ["1/0/1"]),
        (signal(dynamic="no"), []),
        (signal(dynamic="no", type="206", country="DE"), ["1/0/-1"]),
        (signal(dynamic="no", type="205", country="OpenDRIVE"), ["1/0/-1"]),
        (signal(dynamic="no", type="206", country="SE"), []),
        (signal(dynamic="no", type="274"), []),
        ('<signalReference id="8" s="1" orientation="-"/>', ["1/0/1"]),
        ('<signalReference id="9" s="1" orientation="-"/>', []),
    ],
)
def test_signals_control_the_lanes_that_they_face(read, signals, wanted):
    other = road("2", x=90, extra=f"<signals>{signal(id='8')}</signals>" if "Reference" in signals else "")
    lanes = read(road("1", extra=f"<signals>{signals}</signals>"), other).lanes
    if wanted is None:
        assert lanes.has_traffic_control is None
    else:
        found = [id for id in lanes.ids[lanes.has_traffic_control].tolist() if id.startswith("1/")]
        assert sorted(found) == wanted


@pytest.mark.filterwarnings("ignore:.*not read")
def test_a_speed_limit_is_the_slowest_of_the_lane_or_of_its_road(read):
    types = (
        '<type s="0" type="town"><speed max="36" unit="km/h"/></type><type s="5" type="town"><speed max="7"/></type>'
        '<type s="90" type="town"><speed max="1"/></type>'
    )
    lanes = read(road("1", extra=types)).lanes
    assert lanes.speed_limit_mps.tolist() == [7, 7]
    own = '<lane id="-1" type="driving">{}{}</lane><lane id="-2" type="driving">{}</lane>'
    speeds = '<speed sOffset="0" max="30" unit="mph"/><speed sOffset="9" max="no limit"/>'
    found = read(flat(own.format(WIDE, speeds, WIDE), extra=types.replace('"7"', '"undefined"'))).lanes
    assert dict(zip(found.ids.tolist(), found.speed_limit_mps.tolist(), strict=True)) == pytest.approx(
        {"1/0/-1": 30 * 0.44704, "1/0/-2": 10}
    )
    assert read(road()).lanes.speed_limit_mps is None


def test_a_lane_without_width_and_border_is_said(read):
    hd_map = read(flat('<lane id="-1" type="driving"/>'))
    assert len(hd_map.lanes) == 0
    assert hd_map.unread == ("lanes without width and border (1)",)


def test_a_reversed_lane_is_driven_against_its_side(read):
    lanes = f'<lane id="-1" type="driving">{WIDE}</lane><lane id="-2" type="driving" direction="reversed">{WIDE}</lane>'
    found = read(flat(lanes)).lanes
    assert found.centerlines[0][[0, -1], 0].tolist() == [0, 20]
    assert found.centerlines[1][[0, -1], 0].tolist() == [20, 0]
    # they come towards each other
    assert found.neighbors.tolist() == [[-1, -1], [-1, -1]]


def test_a_border_is_painted_from_where_a_mark_begins_to_where_the_next_does(read):
    marks = """<roadMark sOffset="4" type="solid"/><roadMark sOffset="8" type="broken"/><roadMark sOffset="12"/>
    <roadMark sOffset="15" type="solid"/>"""
    layer = read(flat(f'<lane id="-1" type="driving">{WIDE}{marks}</lane>')).layers["lane_divider"]
    assert layer.ids.tolist() == ["1/0/-1", "1/0/-1/1"]
    assert [layer[i][[0, -1], 0].tolist() for i in range(2)] == [[4, 12], [15, 20]]


@pytest.mark.parametrize(("marks", "painted"), [("", 0), ("<roadMark/>", 0), ('<roadMark type="none"/>', 0),
                                                ('<roadMark type="solid"/>', 1)])  # fmt: skip
def test_a_mark_begins_with_its_section_and_is_none_unless_it_says(read, marks, painted):
    layer = read(flat(f'<lane id="-1" type="driving">{WIDE}{marks}</lane>')).layers["lane_divider"]
    assert [layer[i][[0, -1], 0].tolist() for i in range(len(layer))] == [[0, 20]] * painted


@pytest.mark.parametrize("attribute", ["", 'type=""', 'type="none"'])
def test_a_lane_is_none_unless_it_says_what(read, attribute):
    hd_map = read(flat(f'<lane id="-1" {attribute}>{WIDE}</lane>'))
    assert len(hd_map.lanes) == 0
    assert hd_map.unread == ("lanes of type 'none' (1)",)


@pytest.mark.parametrize("end", ["start", "end"])
def test_a_link_that_names_no_end_means_the_nearer_one(read, end):
    first = road("1", link='<successor elementId="2"/>', right='<successor id="-1"/>' if end == "start" else
                 '<successor id="1"/>')  # fmt: skip
    second = road("2", x=20) if end == "start" else road("2", x=40, hdg=np.pi)
    assert pairs(read(first, second).lanes) == {("1/0/-1", "2/0/-1" if end == "start" else "2/0/1")}


@pytest.mark.parametrize(("kind", "names"), [("", "connectingRoad"), ('type="default"', "connectingRoad"),
                                             ('type="direct"', "linkedRoad")])  # fmt: skip
def test_lanes_of_a_connection_without_links_go_on_to_those_of_their_number(read, kind, names):
    arriving = road("1", link='<successor elementType="junction" elementId="9"/>')
    junction = f'<junction id="9" {kind}><connection id="0" incomingRoad="1" {names}="5"/></junction>'
    hd_map = read(arriving, road("5", x=20, junction="9"), junction)
    assert pairs(hd_map.lanes) == {("1/0/-1", "5/0/-1")}
    assert hd_map.unread == ()


@pytest.mark.parametrize("attributes", ["", 'hdg="0" zOffset="0"'])
def test_a_crosswalk_lies_along_the_road_unless_it_is_turned(read, attributes):
    extra = f'<objects><object type="crosswalk" s="5" t="0" length="2" width="4" {attributes}/></objects>'
    crossing = read(road(extra=extra)).layers["crossing"]
    assert crossing.ids.tolist() == ["1/0"]
    np.testing.assert_allclose(np.ptp(crossing[0], axis=0), [2, 4, 0], atol=1e-9)


def test_a_crosswalk_has_its_first_outer_outline(read):
    def outline(size, attribute):
        corners = "".join(f'<cornerLocal u="{u}" v="{v}"/>' for u, v in ((0, 0), (size, 0), (size, size)))
        return f"<outline {attribute}>{corners}</outline>"

    outlines = outline(1, 'outer="false"') + outline(2, "") + outline(3, 'outer="true"')
    extra = f'<objects><object type="crosswalk" s="5"><outlines>{outlines}</outlines></object></objects>'
    hd_map = read(road(extra=extra))
    np.testing.assert_allclose(np.ptp(hd_map.layers["crossing"][0], axis=0), [2, 2, 0], atol=1e-9)
    assert unread(hd_map) == {"further outlines of a crosswalk": "2)"}


def test_what_is_there_and_not_read_is_counted_and_said_once(read, tmp_path):
    extra = """<type s="0" type="town"/><objects><object type="pole"/><object type="pole"/><object/>
    <object type="crosswalk" s="5" length="2" width="2"><repeat s="1"/></object><bridge/></objects>
    <signals><signal/></signals><surface><CRG/></surface><userData/>
    <lateralProfile><superelevation a="0.1"/><shape/><crossfall/></lateralProfile>"""
    lanes = f"""<lane id="-1" type="driving" level="true" direction="both">{WIDE}<height/><userData/></lane>
    <lane id="-2" type="shoulder">{WIDE}</lane><lane id="-3" type="shoulder">{WIDE}</lane>"""
    junctions = '<junction id="1" type="virtual"><controller/></junction><junction id="2"/><include file="more.xml"/>'
    header = '<header><geoReference/><offset x="1"/></header>'
    with pytest.warns(UserWarning, match="not read: ") as caught:
        hd_map = read(header, flat(lanes, '<laneSection s="0" singleSide="true">', extra=extra), junctions)
    assert {name: int(count[:-1]) for name, count in unread(hd_map).items()} == {
        "OpenDRIVE/include": 1,
        "header/geoReference": 1,
        "header/offset": 1,
        "road/type": 1,
        "road/userData": 1,
        "objects of type 'pole'": 2,
        "objects of type ''": 1,
        "objects/bridge": 1,
        "object/repeat": 1,
        "signals/signal": 1,
        "surface/CRG": 1,
        "lateralProfile/shape": 1,
        "lateralProfile/crossfall": 1,
        "junctions of type 'virtual'": 1,
        "junction/controller": 1,
        "lane/height": 1,
        "lane/userData": 1,
        "singleSide of a lane section, read as for both sides": 1,
        "lanes of type 'shoulder'": 2,
        "level of a lane on a banked road, read as banked": 1,
        "direction 'both' of a lane, read as standard": 1,
    }
    assert [str(w.message) for w in caught] == [f"{tmp_path}/a.xodr: not read: {', '.join(hd_map.unread)}"]
    assert hd_map.unread[0] in repr(hd_map)


def test_a_map_that_is_read_whole_says_nothing(read, recwarn):
    assert read(road()).unread == ()
    assert len(recwarn) == 0


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
        said(lambda: read_opendrive(path)) == f"{path}: not the expected XML (it defines entities, which are not read)"
    )
    path.write_text("<OpenDRIVE>" + "<a>" * 100)
    assert "elements are nested more than 64 deep" in said(lambda: read_opendrive(path))
    path.write_text("<OpenDRIVE><road>")
    assert said(lambda: read_opendrive(path)) == f"{path}: not the expected XML (no element found: line 1, column 17)"
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
