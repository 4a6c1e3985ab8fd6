"""Recordings and maps as recorded: the published answers, and what other readers say of the same files."""

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.datasets.maps.lanelet2 import read_lanelet2
from perceptum.datasets.maps.opendrive import read_opendrive
from perceptum.datasets.ros.motion import Motion
from perceptum.datasets.ros.options import RecordingOptions
from perceptum.datasets.ros.rosbag_ros1 import Ros1Bag
from perceptum.datasets.ros.rosbag_ros2 import rosbag2
from perceptum.inputs import NotALog, turns_of

pytestmark = pytest.mark.data

POINTS = "/os1_cloud_node/points"


@pytest.fixture
def os1(real_data):
    return real_data / "robot_logs" / "os1_first_scan.mcap"


@pytest.fixture
def maps(real_data):
    return real_data / "maps"


def test_the_ousters_first_scan_is_as_published(os1):
    log = open_log(os1, empty_returns="keep")
    assert list(log.source.lidars) == [POINTS]
    # its pictures are of the lidar and have no lens
    assert (dict(log.source.cameras), len(log), log[0].time_ns) == ({}, 1, 1588075038629915872)
    sweep = log[0].lidar
    empty = (sweep.x == 0) & (sweep.y == 0) & (sweep.z == 0)
    assert (len(sweep), int(empty.sum())) == (131072, 85356)
    ends = [(round(float(column.min()), 2), round(float(column.max()), 2)) for column in (sweep.x, sweep.y, sweep.z)]
    assert ends == [(-10.64, 13.72), (-2.41, 14.15), (-1.79, 2.70)]
    assert (sweep.intensity.min(), sweep.intensity.max(), sweep.intensity.dtype) == (0, 845, np.float32)
    assert (sweep.offset_ns.min(), sweep.offset_ns.max(), sweep.offset_ns.dtype) == (0, 99947770, np.int32)
    assert (sweep.ring.min(), sweep.ring.max(), sweep.ring.dtype) == (0, 63, np.uint8)
    assert sweep.x.strides == (48,)
    wanted = np.diag([-1.0, -1, 1, 1])
    wanted[2, 3] = 0.03618
    np.testing.assert_allclose(sweep.ego_from_sensor, wanted, atol=1e-12)


def test_the_ousters_points_agree_with_their_own_ranges_and_with_another_reader(os1):
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    with open(os1, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        message = next(m.decoded_message for m in reader.iter_decoded_messages(topics=[POINTS]))
    data = np.frombuffer(bytes(message.data), np.uint8).reshape(-1, message.point_step)

    def stored(name, dtype):
        offset = next(field.offset for field in message.fields if field.name == name)
        size = np.dtype(dtype).itemsize
        return np.ascontiguousarray(data[:, offset : offset + size]).view(dtype)[:, 0]

    sweep = open_log(os1, empty_returns="keep")[0].lidar
    for name, theirs in (("x", "x"), ("y", "y"), ("z", "z"), ("intensity", "intensity")):
        assert getattr(sweep, name).tobytes() == stored(theirs, "f4").tobytes()
    np.testing.assert_array_equal(sweep.ring, stored("ring", "u1"))
    np.testing.assert_array_equal(sweep.offset_ns, stored("t", "u4"))
    range_mm = np.sqrt(sweep.x.astype(np.float64) ** 2 + sweep.y.astype(np.float64) ** 2 + sweep.z**2) * 1000
    np.testing.assert_allclose(range_mm, stored("range", "u4"), atol=0.003)


def test_the_log_time_is_that_of_the_second_recording(os1):
    assert open_log(os1, clock="log")[0].time_ns == 1592833242657266645


def test_voxels_are_built_from_a_recording(os1):
    builder = InputBuilder(["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"])
    tensors = builder.build(open_log(os1)[0])
    # the empty returns are one voxel more
    kept = InputBuilder(["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]).build(
        open_log(os1, empty_returns="keep")[0]
    )
    assert len(kept["lidar_voxel_coords"]) == len(tensors["lidar_voxel_coords"]) + 1 > 1000


def test_the_same_transforms_come_out_of_both_bags(real_data):
    folder = real_data / "robot_logs"
    poses = []
    for bag in (Ros1Bag(folder / "tf_example.bag"), rosbag2(folder / "tf_example")):
        assert {name: topic.count for name, topic in bag.topics.items()} == {"/tf": 517, "/tf_static": 1}
        motion = Motion(bag, RecordingOptions(), lambda: "base_link")
        assert motion.tree.frames == ["base_footprint", "base_link", "odom"]
        poses.append(motion.poses((0, 1)))
    one, two = poses
    assert (one.times_ns == two.times_ns).all()
    assert one.translations.tobytes() == two.translations.tobytes()
    assert one.quaternions.tobytes() == two.quaternions.tobytes()
    assert 50 < (one.span_ns[1] - one.span_ns[0]) * 1e-9 < 51.68


def test_a_drivers_packets_are_told_politely(real_data):
    for folder in ("continental/ars548/1708578204", "velodyne/vlp16/1673400471837873222"):
        with pytest.raises(NotALog, match=r"holds a driver's raw packets, .* which are not read; replay them"):
            open_log(real_data / "nebula" / folder)


def test_a_log_takes_a_map_along(os1, maps):
    log = open_log(os1, hdmap=str(maps / "opendrive_esmini" / "fabriksgatan.xodr"))
    assert len(log.map.lanes) == 20
    log = open_log(os1, hdmap=maps / "lanelet2" / "mapping_example.osm", map_origin=(49.0, 8.4))
    assert len(log[0].map.lanes) == 361


def test_the_karlsruhe_map_is_whole(maps):
    path = maps / "lanelet2" / "mapping_example.osm"
    hd_map = read_lanelet2(path, origin=(49.0, 8.4))
    kinds, counts = np.unique(hd_map.lanes.lane_type, return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        "road": 337,
        "bicycle_lane": 14,
        "highway": 8,
        "rail": 2,
    }
    assert len(hd_map.layers["crossing"]) == 8
    # four nodes tell an elevation
    assert np.nanmax(hd_map.layers["lane"].points[:, 2], initial=0) in (0, 3)
    ends = [
        hd_map.lanes.centerlines[a][-1, :2] - hd_map.lanes.centerlines[b][0, :2] for a, b in hd_map.lanes.successors
    ]
    assert len(ends) == 321
    assert np.abs(ends).max() == 0


def test_lanelets_follow_each_other_as_the_library_says(maps):
    lanelet2 = pytest.importorskip("lanelet2")
    path = maps / "lanelet2" / "mapping_example.osm"
    lanes = read_lanelet2(path, origin=(49.0, 8.4)).lanes
    origin = lanelet2.io.Origin(49.0, 8.4)
    theirs = lanelet2.io.load(str(path), lanelet2.projection.UtmProjector(origin))
    graph = {str(lanelet.id): lanelet for lanelet in theirs.laneletLayer}
    ours = {(lanes.ids[a], lanes.ids[b]) for a, b in lanes.successors}
    assert all(lanelet2.geometry.follows(graph[a], graph[b]) for a, b in ours)
    for i, (left, right) in enumerate(lanes.neighbors.tolist()):
        assert left < 0 or lanelet2.geometry.leftOf(graph[lanes.ids[left]], graph[lanes.ids[i]])
        assert right < 0 or lanelet2.geometry.rightOf(graph[lanes.ids[right]], graph[lanes.ids[i]])
    rules = lanelet2.traffic_rules.create(
        lanelet2.traffic_rules.Locations.Germany, lanelet2.traffic_rules.Participants.Vehicle
    )
    routes = lanelet2.routing.RoutingGraph(theirs, rules)
    # a lanelet that is driven both ways is there once, as it is drawn
    after = [(id, next_lane) for id in lanes.ids.tolist() for next_lane in routes.following(graph[id])]
    routed = {(id, str(next_lane.id)) for id, next_lane in after if not next_lane.inverted()}
    assert routed <= ours
    assert len(routed) > 200


def test_autowares_maps_are_in_their_local_metres(maps):
    hd_map = read_lanelet2(maps / "autoware" / "test_map" / "lanelet2_map.osm")
    kinds, counts = np.unique(hd_map.lanes.lane_type, return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {"road": 40, "road_shoulder": 4}
    assert len(hd_map.layers["crossing"]) == 4
    assert np.isfinite(hd_map.layers["lane"].points).all()
    # the same by UTM about an origin: the grid of one zone, moved
    says = hd_map.lanes.turn != ""
    assert says.sum() == 18
    assert turns_of(hd_map.lanes.centerlines)[says].tolist() == hd_map.lanes.turn[says].tolist()
    by_utm = read_lanelet2(maps / "autoware" / "test_map" / "lanelet2_map.osm", origin=(35.9, 139.9))
    moved = hd_map.layers["lane"].points - by_utm.layers["lane"].points
    assert np.ptp(moved[:, :2], axis=0).max() < 0.05
    assert np.abs(moved[:, 2]).max() == 0
    assert len(read_lanelet2(maps / "autoware" / "test_map" / "overlap_map.osm").lanes) == 13


@pytest.mark.parametrize(
    ("name", "lanes", "length_m", "successors"),
    [
        ("e6mini", 6, 1464.4, 0),
        ("fabriksgatan", 20, None, 24),
        ("curves_elevation", 2, 1154.4, 0),
        ("circle_300m", 2, 300.0, 2),
        ("straight_500m_signs", 2, 500.0, 0),
    ],
)
def test_the_gothenburg_roads_are_whole(maps, name, lanes, length_m, successors):
    found = read_opendrive(maps / "opendrive_esmini" / f"{name}.xodr").lanes
    assert (len(found), len(found.successors)) == (lanes, successors)
    for a, b in found.successors:
        np.testing.assert_allclose(found.centerlines[a][-1], found.centerlines[b][0], atol=1e-5)
    if length_m is not None:
        # a lane to each side of the reference line: their mean is about as long as it
        sums = [np.linalg.norm(np.diff(found.centerlines[i], axis=0), axis=1).sum() for i in range(lanes)]
        assert abs(np.mean(sums) - length_m) < 0.002 * length_m


def test_what_is_no_map_of_the_kind_says_so(maps):
    from perceptum.inputs import BrokenRecord

    with pytest.raises(BrokenRecord, match="its root element is <OpenDRIVE>, wanted <osm>"):
        read_lanelet2(maps / "opendrive_esmini" / "circle_300m.xodr")
    with pytest.raises(BrokenRecord, match="its root element is <osm>, wanted <OpenDRIVE>"):
        read_opendrive(maps / "autoware" / "test_map" / "overlap_map.osm")
