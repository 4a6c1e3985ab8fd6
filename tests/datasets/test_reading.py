"""What several readers share: a reader without sensors, tables of labels, velocities of tracks."""

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.reading.label_table import LabelTable
from perceptum.datasets.reading.reader import Reader, first_times
from perceptum.datasets.reading.track_velocity import neighbours, track_velocity
from perceptum.inputs import MissingRecord


@pytest.mark.parametrize(
    ("dataset", "lacks"),
    [
        ("kitti", "KITTI object has no radar"),
        ("kitti_odometry", "KITTI odometry has no radar"),
        ("kitti_raw", "KITTI raw has no radar"),
        ("argoverse2", "Argoverse 2 has no radar"),
        ("waymo_v2", "Waymo has no radar"),
    ],
)
def test_a_radar_of_a_dataset_without_any_is_missing(dataset, lacks, request):
    source = open_log(request.getfixturevalue(dataset)).source
    assert source.radars == {}
    with pytest.raises(MissingRecord) as caught:
        source.read_radar("RADAR_FRONT", 0)
    assert str(caught.value) == f"{source.location}: no sensor 'RADAR_FRONT'; {lacks}"


def test_a_reader_has_nothing_that_it_does_not_read(tmp_path):
    reader = Reader(tmp_path / "drive" / "..")
    assert (reader.name, reader.location) == (tmp_path.name, f"{tmp_path}/drive/..")
    assert (reader.lidars, reader.radars, reader.cameras) == ({}, {}, {})
    assert reader.read_labels(0) is None
    assert reader.read_map() is None
    for read in (reader.read_lidar, reader.read_radar, reader.read_camera):
        with pytest.raises(MissingRecord, match=r"no sensor 'top'; the log has none of its kind$"):
            read("top", 0)


def test_the_frames_are_by_the_first_sensor_there_is():
    a, b = np.array([1, 2]), np.array([3])
    assert first_times({}, {"front": a, "rear": b}, {"radar": b}) is a
    assert first_times({}, {}).dtype == np.int64


def table(times_ns, velocity):
    n = len(times_ns)
    names = np.array([f"box {i}" for i in range(n)])
    return LabelTable(np.array(times_ns), np.zeros((n, 7)), np.array(velocity), names, names, np.arange(n)).by_time()


def test_labels_are_the_boxes_of_one_time_in_the_order_of_the_file():
    labels = table([200, 100, 200], np.zeros((3, 2)))
    assert labels.at(200).track_id.tolist() == ["box 0", "box 2"]
    assert labels.at(100).num_points.tolist() == [1]
    assert len(labels.at(150)) == 0
    assert [labels.spans(t) for t in (99, 100, 150, 200, 201)] == [False, True, True, True, False]
    assert not table([], np.zeros((0, 2))).spans(0)


def test_velocities_along_the_worlds_axes_are_turned_into_the_egos():
    labels = table([0, 0], [[3.0, 0.0], [np.nan, np.nan]])
    world_from_ego = np.eye(4)
    world_from_ego[:2, :2] = [[0, -1], [1, 0]]
    np.testing.assert_array_equal(labels.at(0).velocity, [[3, 0], [np.nan, np.nan]])
    np.testing.assert_array_equal(labels.at(0, world_from_ego).velocity, [[0, -3], [np.nan, np.nan]])


def test_a_tracks_velocity_is_the_difference_of_its_neighbours_in_time():
    # a: 0, 1, 2 s and then 5 s, out of order; b: once
    tracks, times = np.array(["a", "b", "a", "a", "a"]), np.array([2, 1, 0, 1, 5]) * 1_000_000
    centre = np.array([4.0, 9, 0, 1, 10])[:, None] * [1, 0, 0]
    before, after = neighbours(tracks, times)
    assert before.tolist() == [3, 1, 2, 2, 0]
    assert after.tolist() == [4, 1, 3, 0, 4]
    # over 4 s and over 3 s alone nothing is known
    np.testing.assert_array_equal(
        track_velocity(before, after, times, 1e-6, centre)[:, 0], [np.nan, np.nan, 1, 2, np.nan]
    )
    no_rows = np.zeros(0, np.intp)
    assert track_velocity(no_rows, no_rows, np.zeros(0, np.int64), 1e-9, np.zeros((0, 3))).shape == (0, 3)
