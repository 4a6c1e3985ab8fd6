"""Waymo Open Motion: tracks, lights and the map of a scenario, and every way in which a file may be broken."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum import open_dataset
from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.datasets.reading.crc32c_kernel import crc32c
from perceptum.datasets.waymo_motion.boundaries import along
from perceptum.datasets.waymo_motion.map import read_map
from perceptum.datasets.waymo_motion.scenario import LANE_STATES, read_scenario
from perceptum.inputs import BrokenRecord, LogError, NotALog, PoseUnknown
from perceptum.testing import check_dataset

from . import made_waymo_motion as made

FAR = np.array(made.FAR)
pytestmark = pytest.mark.filterwarnings("ignore:.*not read")


@pytest.fixture
def file(tmp_path):
    return made.make(tmp_path)


def at(*points):
    return np.array(points) + FAR


def written(tmp_path, **changed):
    return made.make(tmp_path, made.scenario(**changed))


def said(ask, kind=LogError):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_checksum_is_crc_32c():
    # RFC 3720, appendix B.4
    assert crc32c(np.zeros(32, np.uint8)) == 0x8A9136AA
    assert crc32c(np.full(32, 0xFF, np.uint8)) == 0x62A8AB43
    assert crc32c(np.arange(32, dtype=np.uint8)) == 0x46DD794E


def test_a_file_is_a_log_of_its_scenario(file):
    log = open_log(file)
    assert (log.source.dataset, log.source.name, log.source.location) == ("waymo_motion", "0a1b2c3d", str(file))
    assert [frame.id for frame in log] == ["0", "1", "2", "3", "4"]
    assert log.source.times_ns.tolist() == [0, 100_000_000, 200_000_000, 300_000_000, 400_000_000]
    assert (log.source.lidars, log.source.radars, log.source.cameras) == ({}, {}, {})
    scenario = log.source.scenario
    assert (scenario.current_index, scenario.to_predict.tolist()) == (1, [[1, 2]])
    assert scenario.objects_of_interest.tolist() == ["7"]


def test_it_keeps_to_what_every_dataset_must(file):
    check_dataset(file)


def test_the_ego_is_the_recording_car_on_the_ground(file):
    pose = open_log(file)[2].world_from_ego
    np.testing.assert_allclose(pose[:3, 3], at((2, 0, 0))[0], atol=1e-6)
    np.testing.assert_allclose(pose[:3, :3], np.eye(3), atol=1e-9)


def test_labels_are_the_other_tracks_that_are_known_then(file):
    log = open_log(file)
    assert [frame.labels.track_id.tolist() for frame in log] == [["7"], ["7", "12"], ["7"], ["7"], ["7", "12"]]
    labels = log[4].labels
    assert labels.category.tolist() == ["VEHICLE", "PEDESTRIAN"]
    wanted = [[18, 3.5, 0.75, 4, 2, 1.5, 0.1], [1, -3.7, 0.9, 0.8, 0.8, 1.8, 1.5]]
    np.testing.assert_allclose(labels.boxes, wanted, atol=1e-5)
    np.testing.assert_allclose(labels.velocity, [[5, 0.5], [0, 1]], atol=1e-6)
    assert labels.forecast_role.tolist() == [1, 2], "the second is to be predicted"
    assert log.source.read_labels(50_000_000) is None


def test_labels_turn_with_a_car_that_turns(tmp_path):
    objects = [made.track(1, 1, [made.state(0, 0, 3.0)] * 5), made.track(2, 3, [made.state(0, 5, -3.0, (1, 0))] * 5)]
    objects.append(made.track(3, 1, [made.UNKNOWN_STATE] * 5))
    log = open_log(written(tmp_path, objects=objects[1:2] + objects[2:] + objects[:1]))
    labels = log[0].labels
    assert labels.category.tolist() == ["CYCLIST"]
    turn = np.array([[np.cos(3), -np.sin(3)], [np.sin(3), np.cos(3)]])
    np.testing.assert_allclose(labels.boxes[0, :2], [0, 5] @ turn, atol=1e-6)
    np.testing.assert_allclose(labels.boxes[0, 6], 2 * np.pi - 6, atol=1e-6)
    np.testing.assert_allclose(labels.velocity[0], [1, 0] @ turn, atol=1e-6)


def test_a_step_without_the_recording_car_leaves_a_gap(tmp_path):
    own = [made.state(i, 0, 0) for i in range(5)]
    own[2] = made.UNKNOWN_STATE
    file = written(tmp_path, objects=[made.track(1, 1, own), made.track(2, 1, own), made.track(3, 1, own)])
    log = open_log(file)
    assert said(lambda: log[2].world_from_ego).endswith(f"{file}: the recording car is not known at step 2")
    assert log[3].world_from_ego[0, 3] == pytest.approx(FAR[0] + 3)


def test_traffic_lights_are_by_lane_and_step(file):
    source = open_log(file).source
    names = [{lane: LANE_STATES[s] for lane, s in source.traffic_lights(t).items()} for t in source.times_ns.tolist()]
    assert names == [{"2": "STOP"}, {"2": "STOP"}, {"2": "GO", "3": "UNKNOWN"}, {"2": "GO"}, {}]
    assert source.traffic_lights(7) == {}


def test_the_map_has_its_layers(file):
    hd_map = open_log(file).map
    assert {name: (layer.kind, layer.ids.tolist()) for name, layer in hd_map.layers.items()} == {
        "lane_divider": ("line", ["20"]),
        "road_boundary": ("line", ["30"]),
        "crossing": ("polygon", ["50"]),
        "speed_bump": ("polygon", ["60"]),
        "driveway": ("polygon", ["70"]),
        "stop_sign": ("line", ["40"]),
    }
    # the last corner, which is the first again, is left out
    np.testing.assert_allclose(hd_map.layers["crossing"][0], at((12, -2, 0), (15, -2, 0), (15, 6, 0), (12, 6, 0)))
    np.testing.assert_allclose(hd_map.layers["stop_sign"][0], at((20, -3, 2)))
    assert hd_map.unread == ()


def test_the_lane_graph_is_the_files(file):
    lanes = open_log(file).map.lanes
    assert lanes.ids.tolist() == ["1", "2", "3"]
    assert lanes.successors.tolist() == [[0, 1]]
    assert lanes.neighbors.tolist() == [[2, -1], [-1, -1], [-1, 0]]
    assert lanes.is_intersection.tolist() == [False, True, False]
    assert lanes.lane_type.tolist() == ["SURFACE_STREET"] * 3
    # a stop sign, lights, and a light that is not known
    assert lanes.has_traffic_control.tolist() == [True, True, True]
    np.testing.assert_allclose(lanes.speed_limit_mps, [11.176, np.nan, 11.176])
    assert lanes.turn is None


def test_boundaries_are_the_part_beside_the_lane_in_its_direction(file):
    lanes = open_log(file).map.lanes
    np.testing.assert_allclose(lanes.left_boundaries[0], at((0, 2, 0), (10, 2, 0), (20, 2, 0)))
    np.testing.assert_allclose(lanes.right_boundaries[0], at((0, -2, 0), (20, -2, 0)))
    np.testing.assert_allclose(lanes.right_boundaries[2], lanes.left_boundaries[0])
    assert np.isnan(lanes.left_boundaries[1]).all()


@given(st.integers(0, 2**32 - 1))
def test_the_part_of_a_line_between_two_points_is_shapelys(seed):
    import shapely
    from shapely.ops import substring

    rng = np.random.default_rng(seed)
    line = np.cumsum(rng.uniform(0, 3, (6, 3)), axis=0)[:: rng.choice([-1, 1])]
    first, last = rng.uniform(0, 9, (2, 3))
    drawn = shapely.LineString(line[:, :2])
    a, b = (drawn.project(shapely.Point(p[:2])) for p in (first, last))
    wanted = shapely.get_coordinates(substring(drawn, a, b))
    found = along(line, np.stack([first, last]))[:, :2]
    if len(wanted) == 1 or a == b:
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-9)
    else:
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("turned", range(6))
@pytest.mark.parametrize("way", [-1, 1])
def test_of_the_edge_of_an_island_a_lane_has_the_side_that_it_passes(turned, way):
    """A ring begins anywhere, and runs either way; a lane once had all of it, or the side that it does not pass."""
    corners = np.array([[0, 0], [30, 0], [40, 2], [30, 4], [0, 4], [-10, 2]], np.float64)
    ring = np.roll(corners, turned, axis=0)[::way]
    ring = np.column_stack([np.append(ring, ring[:1], axis=0), np.zeros(7)]) + FAR
    below = along(ring, at((5, -3, 0), (25, -3, 0)))
    np.testing.assert_allclose(below, at((5, 0, 0), (25, 0, 0)), atol=1e-9)
    # nearly all the way around
    lane = at((1, 6, 0), (-14, 2, 0), (0, -4, 0), (30, -4, 0), (44, 2, 0), (29, 6, 0))
    wanted = at((1, 4, 0), (0, 4, 0), (-10, 2, 0), (0, 0, 0), (30, 0, 0), (40, 2, 0), (30, 4, 0), (29, 4, 0))
    np.testing.assert_allclose(along(ring, lane), wanted, atol=1e-9)


def test_what_is_not_known_is_counted_by_name(tmp_path):
    features = [
        made.feature(1, made.lane([(0, 0), (5, 0)], made.bounded(13, 0, 9, 1), kind=9)),
        made.feature(2, made.lane([(0, 0)])),
        made.feature(3, made.line(4, 17, [(0, 0), (1, 0)])),
        made.feature(4, made.line(5, 1, [(0, 0)])),
        made.feature(5, made.message(11, b"")),
        made.feature(6, made.message(8, made.point(1, 0, 0), made.point(1, 1, 0))),
    ]
    hd_map = open_log(written(tmp_path, features=features)).map
    assert sorted(hd_map.unread) == [
        "crosswalks of fewer than 3 points (1)",
        "lanes of fewer than 2 points (1)",
        "lanes of type 9, read as UNDEFINED (1)",
        "map features of a kind that is not known (field 11) (1)",
        "road_edges of fewer than 2 points (1)",
        "road_lines of type 17, which is not known (1)",
        "stretches of a lane's boundary that the map does not have (1)",
    ]
    assert hd_map.lanes.lane_type.tolist() == ["UNDEFINED"]
    assert len(hd_map.layers["lane_divider"]) == 1


@pytest.mark.filterwarnings("default")
def test_what_the_scenario_holds_besides_is_said_when_it_is_opened(tmp_path):
    objects = [made.track(id, kind, [made.state(0, 0, 0)] * 5) for id, kind in ((1, 1), (2, 9), (3, 9))]
    file = written(
        tmp_path, objects=objects, more=[made.message(12, b""), made.message(12, b""), made.message(44, b"")]
    )
    with pytest.warns(UserWarning, match="not read: ") as caught:
        log = open_log(file)
    assert str(caught[0].message) == (
        f"{file}: not read: tracks of type 9, which are OTHER (2), lidar of past frames (2), "
        "fields 44 of the scenario (1)"
    )
    assert log[0].labels.category.tolist() == ["VEHICLE", "OTHER"]


def test_of_several_scenarios_one_is_named_by_id_or_number(tmp_path):
    file = made.make(tmp_path, *(made.scenario(id) for id in ("aa", "bb", "b0")))
    assert open_log(file, scenario="bb").source.name == "bb"
    assert open_log(file, scenario=2).source.name == "b0"
    assert open_log(f"{file}:scenario=0").source.name == "aa"
    assert said(lambda: open_log(file), NotALog) == (
        f"{file}: holds 3 scenarios (aa, bb, b0); say which with scenario='aa'"
    )
    assert said(lambda: open_log(file, scenario="bbc"), NotALog) == (
        f"{file}: no scenario 'bbc' among 3 (aa, bb, b0); say which with scenario='bb'"
    )


def test_a_store_of_it_is_the_same_log(file, tmp_path):
    convert(str(file), tmp_path / "store")
    log, stored = open_log(file), open_log(tmp_path / "store")
    assert stored.map.lanes.has_traffic_control.tolist() == log.map.lanes.has_traffic_control.tolist()
    np.testing.assert_array_equal(stored.map.lanes.speed_limit_mps, log.map.lanes.speed_limit_mps)
    for frame, other in zip(log, stored, strict=True):
        assert frame.labels.boxes.tobytes() == other.labels.boxes.tobytes()


def changed(alter):
    data = bytearray(made.tfrecord(made.scenario()))
    alter(data)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "holds no records, wanted a scenario"),
        (b"\x1f\x8b" + b"\0" * 30, "is compressed with gzip; unpack it first"),
        (b"abcdefghijklmnop", "the length of the record at byte 0 does not have its checksum; not a TFRecord file"),
        (changed(lambda d: d.pop()), "record 0 at byte 0 has {size} bytes, but the file is cut short"),
        (
            changed(lambda d: d.extend(b"abc")),
            "holds 1 scenarios (0a1b2c3d) and 1 that cannot be read, the first: {path}: 3 bytes after byte {whole}, "
            "wanted a record; the file is cut short; say which with scenario='0a1b2c3d'",
        ),
        (
            changed(lambda d: d.__setitem__(50, d[50] ^ 1)),
            "the record at byte 12 does not have its checksum; the file is damaged",
        ),
        (made.tfrecord(b"\xff\xff\xff"), "not a scenario (a number is cut short)"),
        (made.tfrecord(made.message(5, b"x")), "0 tracks at 0 times, wanted at least one; not a scenario"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, wanted):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    sizes = {"size": len(made.scenario()), "whole": len(made.tfrecord(made.scenario())), "path": path}
    assert said(lambda: open_log(path)) == f"{path}: {wanted.format(**sizes)}"


OBJECTS = made.tracks()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"objects": OBJECTS[:2]}, "the recording car is track 2 of 2"),
        ({"objects": [*OBJECTS, OBJECTS[0]]}, "two tracks have the id 7, wanted one"),
        ({"objects": [*OBJECTS[:2], made.track(8, 1, [])]}, "track 8 has 0 states, the scenario 5 times"),
        ({"more": [made.double(1, 0.0)]}, "its times do not increase, or are not seconds"),
        ({"more": [made.double(1, np.nan)]}, "its times do not increase, or are not seconds"),
        ({"more": [made.message(11, made.number(1, 3))]}, "a track that is to be predicted is not one of its 3"),
        ({"more": [made.number(2, 5)]}, "not a scenario (found a number, wanted bytes)"),
    ],
)
def test_a_scenario_that_cannot_be_is_named(tmp_path, changed, wanted):
    file = written(tmp_path, **changed)
    assert said(lambda: open_log(file), BrokenRecord) == f"{file}: {wanted}"


@pytest.mark.parametrize(
    ("feature", "wanted"),
    [
        (made.feature(1, made.lane([(0, 0), (np.inf, 0)])), "lane 1 has a point that is not finite or beyond 1e9 m"),
        (
            made.feature(1, made.line(4, 1, [(0, 2e9), (1, 0)])),
            "road_line 1 has a point that is not finite or beyond 1e9 m",
        ),
        (
            made.feature(1, made.message(3, made.number(8, 5))),
            "its map features are not those of a scenario (found a number, wanted bytes)",
        ),
    ],
)
def test_a_broken_map_spoils_only_the_map(tmp_path, feature, wanted):
    file = written(tmp_path, features=[feature])
    log = open_log(file)
    assert len(log[0].labels) == 1
    assert said(lambda: log.map, BrokenRecord) == f"{file}: {wanted}"
    assert open_log(file, on_error="skip").map is None


def test_two_features_of_one_id_are_refused(tmp_path):
    file = written(tmp_path, features=made.map_features()[:1] * 2)
    assert said(lambda: open_log(file).map) == f"{file}: two features of the map have the id 1, wanted one"


def read_all(data):
    found = read_scenario("a", data)
    read_map("a", found.map_features, found.lanes_with_lights().keys())


def test_a_scenario_cut_anywhere_is_an_error_or_whole():
    """Cut between two fields it is a shorter scenario, which mostly lacks something."""
    whole = made.scenario()
    for at in range(len(whole)):
        with contextlib.suppress(BrokenRecord):
            read_all(whole[:at])


@given(st.integers(0, 2**32 - 1))
def test_a_scenario_with_changed_bytes_is_an_error_or_read(seed):
    rng = np.random.default_rng(seed)
    data = bytearray(made.scenario())
    for at in rng.integers(len(data), size=rng.integers(1, 6)):
        data[at] = rng.integers(256)
    with contextlib.suppress(BrokenRecord):
        read_all(bytes(data))


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    whole = made.tfrecord(made.scenario())
    path = tmp_path / "a.tfrecord"
    for at in (*range(40), *range(40, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:at])
        said(lambda: open_log(path), BrokenRecord)


def test_numbers_may_be_packed_or_one_by_one(tmp_path):
    times = made.message(1, struct.pack("<5d", *(0.1 * i for i in range(5))))
    one_by_one = b"".join(made.double(1, 0.1 * i) for i in range(5))
    data = made.scenario()
    assert data.startswith(one_by_one)
    packed = read_scenario("a", times + data[len(one_by_one) :])
    assert packed.times_ns.tolist() == read_scenario("a", data).times_ns.tolist()


@pytest.mark.data
def test_the_real_scenario_is_read_whole(real_data):
    file = real_data / "waymo" / "motion_data_one_scenario.tfrecord"
    log = open_log(file)
    scenario = log.source.scenario
    assert (scenario.id, len(scenario.track_id), len(log), scenario.current_index) == ("637f20cafde22ff8", 83, 91, 10)
    assert scenario.ego == 82
    hd_map = log.map
    assert {name: len(layer) for name, layer in hd_map.layers.items()} == {
        "lane_divider": 58,
        "road_boundary": 28,
        "crossing": 4,
        "speed_bump": 3,
        "driveway": 0,
        "stop_sign": 8,
    }
    assert hd_map.unread == ("road_lines of fewer than 2 points (1)", "lanes of fewer than 2 points (1)")
    lanes = hd_map.lanes
    assert len(lanes) == 198
    # lanes follow each other where they end and begin
    for before, after in lanes.successors:
        assert np.linalg.norm(lanes.centerlines[before][-1] - lanes.centerlines[after][0]) < 1
    # what a track moves by in a tenth of a second is its velocity
    moved = np.diff(scenario.centre[:, :, :2], axis=1) / 0.1
    both = scenario.valid[:, 1:] & scenario.valid[:, :-1]
    away = np.linalg.norm(moved - scenario.velocity[:, 1:], axis=2)[both]
    assert np.median(away) < 0.3
    # boundaries lie beside their lanes: left ones to the left
    for lines, sign in ((lanes.left_boundaries, 1), (lanes.right_boundaries, -1)):
        sides = [_side(lanes.centerlines[i], lines[i]) for i in range(len(lanes)) if len(lines[i]) > 1]
        assert np.mean(np.sign(sides) == sign) > 0.98
        assert 1 < np.median(np.abs(sides)) < 3


def _side(centre, boundary):
    """How far to the left of a line the middle of another lies."""
    middle = boundary[len(boundary) // 2, :2]
    at = int(np.clip(np.argmin(((centre[:, :2] - middle) ** 2).sum(axis=1)), 1, len(centre) - 1))
    ahead, offset = centre[at, :2] - centre[at - 1, :2], middle - centre[at, :2]
    return (ahead[0] * offset[1] - ahead[1] * offset[0]) / np.hypot(*ahead)


@pytest.mark.parametrize("wrong", [made.state(np.nan, 0, 0), made.state(0, 0, 0, size=(4, -1, 1))])
def test_one_state_that_cannot_be_spoils_no_other(tmp_path, wrong):
    states = [made.state(20, 3, 0), wrong, *[made.state(20, 3, 0)] * 3]
    file = written(tmp_path, objects=[made.track(1, 1, states), *OBJECTS[1:]])
    with pytest.warns(UserWarning, match=r"states that are not finite metres, the first of track 1 at step 1 \(1\)"):
        log = open_log(file)
    assert [list(frame.labels.track_id).count("1") for frame in log] == [1, 0, 1, 1, 1]


def test_a_state_of_the_recording_car_that_cannot_be_leaves_a_gap_in_the_poses(tmp_path):
    own = [made.state(1.0 * i if i != 2 else np.nan, 0, 0, (10, 0)) for i in range(made.STEPS)]
    with pytest.warns(UserWarning, match="states that are not finite metres, the first of track 3 at step 2"):
        log = open_log(written(tmp_path, objects=[*OBJECTS[:2], made.track(3, 1, own)]))
    assert [pose_or_none(frame) for frame in log] == [0.0, 1.0, None, 3.0, 4.0]


def pose_or_none(frame):
    try:
        return round(float(frame.world_from_ego[0, 3] - made.FAR[0]), 6)
    except PoseUnknown:
        return None


def test_a_track_of_too_few_states_is_left_out_and_named(tmp_path):
    with pytest.warns(UserWarning, match="states of track 8, since the scenario has 5 steps"):
        log = open_log(written(tmp_path, objects=[*OBJECTS, made.track(8, 1, [made.state(0, 0, 0)])]))
    assert "8" not in log[0].labels.track_id


def test_traffic_lights_of_other_steps_are_left_out_and_named(tmp_path):
    with pytest.warns(UserWarning, match=r"steps of traffic lights, since the scenario has 5 steps \(6\)"):
        log = open_log(written(tmp_path, more=[made.message(7)]))
    # the stop sign's lane alone
    assert log.map.lanes.has_traffic_control.tolist() == [True, False, False]


@pytest.fixture
def cut(tmp_path):
    """Three scenarios, the last cut short."""
    file = made.make(tmp_path / "training", *map(made.scenario, ("aa", "bb", "cc")))
    file.write_bytes(file.read_bytes()[:-40])
    return file


@pytest.mark.parametrize("scenario", ["aa", "bb", 1])
def test_a_file_that_is_cut_short_has_the_scenarios_before_the_cut(cut, scenario):
    assert len(open_log(cut, scenario=scenario)) == made.STEPS


def test_a_dataset_of_a_file_that_is_cut_short_leaves_out_the_last(cut):
    with pytest.raises(BrokenRecord, match=r"record 2 at byte .* but the file is cut short"):
        open_dataset(cut)
    dataset = open_dataset(cut, on_error="skip")
    assert len(dataset.logs) == 2
    assert len(dataset.left_out) == 1
    assert "the file is cut short" in dataset.left_out[0]


def test_a_damaged_scenario_does_not_hide_those_behind_it(tmp_path):
    file = made.make(tmp_path, *map(made.scenario, ("aa", "bb")))
    data = bytearray(file.read_bytes())
    data[60] ^= 1
    file.write_bytes(data)
    assert open_log(file, scenario="bb").source.name == "bb"
    text = said(lambda: open_log(file, scenario="aa"))
    assert f"no scenario 'aa' among 1 (bb) and 1 that cannot be read, the first: {file}: record 0 is not" in text


@pytest.mark.parametrize("ask", [lambda file: file.parent, lambda file: f"{file}0", lambda file: file.parent / "a.txt"])
def test_files_of_scenarios_are_named_where_a_path_is_none(tmp_path, ask):
    file = made.make(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    text = said(lambda: open_log(ask(file)), NotALog)
    assert f"{file.name} (waymo_motion); open one of them" in text
