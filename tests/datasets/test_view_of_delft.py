"""View-of-Delft: radar by its own calibration, three worlds, drives that the caller names, and broken files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.view_of_delft.poses import read_world_from_camera
from perceptum.inputs import BrokenRecord, LogError, PoseUnknown


def test_frames_are_unrelated_until_a_range_is_said_to_be_one_drive(view_of_delft):
    log = open_log(view_of_delft)
    assert log.source.dataset == "view_of_delft"
    assert log.source.times_ns.tolist() == [54_400_000_000, 54_500_000_000, 54_600_000_000, 60_000_000_000]
    assert not log.source.sequential
    assert len(log[2].radar_sweeps(3)) == 1
    drive = open_log(view_of_delft, first=545, last=546)
    assert drive.source.sequential
    assert len(drive) == 2
    assert len(drive[1].radar_sweeps(3)) == len(drive[1].sweeps(3)) == 2


def test_radar_columns_are_the_files_bytes(view_of_delft):
    cycle = open_log(view_of_delft)[0].radars["radar"]
    stored = np.fromfile(view_of_delft / "radar" / "training" / "velodyne" / "00544.bin", "<f4").reshape(-1, 7)
    names = ("x", "y", "z", "rcs", "v_radial", "v_radial_comp", "scan")
    for name, wanted in zip(names, stored.T, strict=True):
        assert getattr(cycle, name).tobytes() == wanted.tobytes()
    assert cycle.vx is cycle.id is None
    assert (cycle.velocity_part, cycle.origin.tolist()) == ("radial", [0, 0, 0])


@pytest.mark.parametrize("scans", [3, 5])
def test_scans_put_together_are_an_option_and_numbered(view_of_delft, scans):
    cycle = open_log(view_of_delft, radar_scans=scans)[0].radars["radar"]
    assert set(cycle.scan.tolist()) == set(range(0, -scans, -1))


def test_the_radar_sits_where_its_own_calibration_says(view_of_delft, made):
    names = made("view_of_delft")
    cycle = open_log(view_of_delft)[0].radars["radar"]
    wanted = np.linalg.inv(names.CAMERA_FROM_LIDAR) @ names.CAMERA_FROM_RADAR
    np.testing.assert_allclose(cycle.ego_from_sensor, wanted, atol=1e-7)


@pytest.mark.parametrize(("world", "key"), [("odom", "odomToCamera"), ("map", "mapToCamera"), ("utm", "UTMToCamera")])
def test_the_world_is_the_callers_choice(view_of_delft, made, world, key):
    names = made("view_of_delft")
    log = open_log(view_of_delft, world=world)
    for frame, number in zip(log, names.NUMBERS, strict=True):
        wanted = names.world_from_camera(number, key) @ names.CAMERA_FROM_LIDAR
        np.testing.assert_allclose(frame.world_from_ego, wanted, atol=1e-6)


def test_boxes_stand_upright_on_the_lidar(view_of_delft, made):
    labels = open_log(view_of_delft)[0].labels
    assert labels.category.tolist() == ["Car", "bicycle"]
    bottom = np.linalg.inv(made("view_of_delft").CAMERA_FROM_LIDAR) @ [-3.0, 1.5, 12.0, 1]
    np.testing.assert_allclose(labels.boxes[0, :3], np.add(bottom[:3], [0, 0, 0.75]), atol=1e-6)
    np.testing.assert_allclose(labels.boxes[:, 6], [-(np.pi / 2 - 1.57), -np.pi / 2], atol=1e-9)


def test_frames_of_the_test_split_have_neither_labels_nor_pictures(view_of_delft):
    frame = open_log(view_of_delft)[3]
    assert frame.labels is None
    assert list(frame.cameras) == []


def test_a_download_of_radar_alone_has_frames(view_of_delft):
    (view_of_delft / "lidar").rename(view_of_delft / "unused")
    log = open_log(view_of_delft)
    assert len(log) == 4
    assert log[0].lidar is None
    with pytest.raises(PoseUnknown, match=r"no NNNNN\.json of these frames, so the log has no poses"):
        _ = log[0].world_from_ego


def test_the_lidars_folder_alone_is_kitti_object(view_of_delft):
    assert open_log(view_of_delft / "lidar").source.dataset == "kitti_object"


def test_wrong_options_are_refused(view_of_delft):
    with pytest.raises(LogError) as caught:
        open_log(view_of_delft, radar_scans=2)
    assert str(caught.value) == "view_of_delft: option radar_scans is 2, wanted 1, 3 or 5"
    with pytest.raises(LogError) as caught:
        open_log(view_of_delft, world="UTM")
    assert str(caught.value) == "view_of_delft: option world is 'UTM', wanted one of odom, map, utm"


def test_a_cut_radar_file_is_named(view_of_delft):
    path = view_of_delft / "radar" / "training" / "velodyne" / "00544.bin"
    path.write_bytes(bytes(802))
    with pytest.raises(BrokenRecord) as caught:
        open_log(view_of_delft)[0].radars["radar"]
    assert str(caught.value) == (
        f"{path}: 802 bytes is not a multiple of 28 (7 float32 per point); the file is cut short"
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("{}", 'no odomToCamera; wanted lines such as {"odomToCamera": [16 numbers]}'),
        ('{"odomToCamera": [1, 2]}', "odomToCamera is not a 4x4 pose; wanted 16 numbers"),
        ('{"odomToCamera": 1}', "not the expected JSON"),
        ("nonsense", "not the expected JSON"),
    ],
)
def test_broken_poses_are_named(view_of_delft, content, wanted):
    path = view_of_delft / "lidar" / "training" / "pose" / "00545.json"
    path.write_text(content)
    with pytest.raises(PoseUnknown) as caught:
        _ = open_log(view_of_delft)[1].world_from_ego
    assert str(caught.value).startswith(f"no pose at 54500000000 ns: {path}: {wanted}")


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(max_size=100)
    | st.lists(st.floats(), min_size=16, max_size=16).map(lambda v: f'{{"mapToCamera": {v}}}')
)
def test_garbage_is_read_or_refused_in_one_line(tmp_path_factory, said_of, text):
    path = tmp_path_factory.mktemp("garbage") / "00001.json"
    path.write_text(text, encoding="utf-8", errors="replace")
    said_of(lambda: read_world_from_camera(path, "mapToCamera"))
