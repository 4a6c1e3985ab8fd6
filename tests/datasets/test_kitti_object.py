"""KITTI object: calibration, boxes, times, and every way in which a file may be broken."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.datasets.kitti.calibration import read_calibration, rectified_from_velodyne
from perceptum.datasets.kitti.labels import read_labels
from perceptum.inputs import BrokenRecord, LogError, MissingRecord


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


def inside(points, box):
    """Which points lie in a box of 7 numbers, borders included."""
    offset = points - box[:3]
    cos, sin = np.cos(box[6]), np.sin(box[6])
    along = offset[:, 0] * cos + offset[:, 1] * sin
    across = offset[:, 1] * cos - offset[:, 0] * sin
    return (np.abs(along) <= box[3] / 2) & (np.abs(across) <= box[4] / 2) & (np.abs(offset[:, 2]) <= box[5] / 2)


def test_frames_are_the_numbered_files_in_order(kitti):
    log = open_log(kitti)
    assert log.source.times_ns.tolist() == [300_000_000, 400_000_000, 1_000_000_000]
    assert [frame.lidar.time_ns for frame in log] == log.source.times_ns.tolist()
    assert not log.source.sequential


def test_points_are_the_files_bytes(kitti):
    sweep = open_log(kitti)[0].lidar
    stored = np.fromfile(kitti / "training" / "velodyne" / "000003.bin", "<f4").reshape(-1, 4)
    for got, wanted in zip((sweep.x, sweep.y, sweep.z, sweep.intensity), stored.T, strict=True):
        assert got.dtype == np.float32
        assert got.strides == (16,), "a view of the file's bytes"
        assert got.tobytes() == wanted.tobytes()
    assert sweep.ring is None
    assert sweep.offset_ns is None
    assert sweep.compensated_to_ns == sweep.time_ns


def test_a_frame_has_no_sweep_of_another_frame(kitti):
    assert [len(frame.sweeps(5)) for frame in open_log(kitti)] == [1, 1, 1]


def test_the_reduced_points_are_read_where_they_are_the_only_ones(kitti):
    (kitti / "training" / "velodyne").rename(kitti / "training" / "velodyne_reduced")
    log = open_log(kitti)
    assert len(log) == 3
    assert len(log[2].lidar) == 50


def test_a_root_with_testing_only_is_opened_without_labels(kitti):
    (kitti / "training" / "label_2").rename(kitti / "unused")
    (kitti / "training").rename(kitti / "testing")
    log = open_log(kitti)
    assert log.source.name == "testing"
    assert log[0].labels is None


def test_a_download_without_points_has_pictures(kitti):
    (kitti / "training" / "velodyne").rename(kitti / "unused")
    for name in ("image_2", "image_3"):
        for path in (kitti / "training" / name).glob("*.jpg"):
            path.rename(path.with_suffix(".png"))
    log = open_log(kitti)
    assert len(log) == 3
    assert log[0].lidar is None
    assert log[0].cameras["image_2"].decode().shape == (12, 20, 3)


def test_a_missing_picture_is_left_out_of_the_frame_alone(kitti):
    (kitti / "training" / "image_2" / "000003.jpg").unlink()
    log = open_log(kitti)
    assert list(log[0].cameras) == ["image_3"]
    assert list(log[1].cameras) == ["image_2", "image_3"]


@pytest.mark.parametrize(("camera", "projection"), [("image_2", "P2"), ("image_3", "P3")])
def test_intrinsics_and_extrinsics_project_as_the_files_matrices_do(kitti, camera, projection):
    calibration = read_calibration(kitti / "training" / "calib" / "000003.txt")
    wanted = calibration[projection] @ rectified_from_velodyne(calibration)
    picture = open_log(kitti)[0].cameras[camera]
    got = picture.intrinsics @ np.linalg.inv(picture.ego_from_camera)[:3]
    np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_boxes_stand_on_their_bottom_centre(kitti):
    labels = open_log(kitti)[0].labels
    assert labels.category.tolist() == ["Car", "Pedestrian"]
    assert labels.track_id.tolist() == ["000003/0", "000003/2"]
    assert labels.velocity is None
    assert labels.num_points is None
    # made-up axes: velodyne x = camera z + 0.33, y = -(camera x) - 0.02, z = -(camera y) - 0.06
    np.testing.assert_allclose(labels.boxes[0, :6], [12.33, 2.98, -1.56 + 0.75, 3.69, 1.78, 1.50], atol=1e-9)
    np.testing.assert_allclose(labels.boxes[:, 6], [-(np.pi / 2 - 1.57), -np.pi / 2], atol=1e-9)


def test_a_frame_without_boxes_has_an_empty_set(kitti):
    (kitti / "training" / "label_2" / "000003.txt").write_text("DontCare -1 -1 -10 0 0 1 1 -1 -1 -1 -1 -1 -1 -10\n\n")
    labels = open_log(kitti)[0].labels
    assert (labels.boxes.shape, labels.boxes_2d.shape) == ((0, 7), (0, 4))
    assert labels.category.shape == labels.occlusion.shape == labels.truncation.shape == (0,)
    assert labels.unlabelled_2d.tolist() == [[0, 0, 1, 1]]


def test_labels_say_what_a_picture_shows_and_where_nobody_looked(kitti):
    rows = [
        "Car 0.43 1 -0.71 1137.36 137.54 1223 177.88 1.5 1.7 3.7 1 1.5 12 0",
        "DontCare -1 -1 -10 624 162 652.5 174 -1 -1 -1 -1000 -1000 -1000 -10",
        "Van 0 2 1 1 2 3 4 1.5 1.7 3.7 1 1.5 12 0 0.9",
    ]
    (kitti / "training" / "label_2" / "000003.txt").write_text("\n".join(rows))
    labels = open_log(kitti)[0].labels
    assert labels.truncation.tolist() == [0.43, 0]
    assert (labels.occlusion.tolist(), labels.occlusion.dtype) == ([1, 2], np.int64)
    assert labels.boxes_2d.tolist() == [[1137.36, 137.54, 1223, 177.88], [1, 2, 3, 4]]
    assert labels.unlabelled_2d.tolist() == [[624, 162, 652.5, 174]]
    # in the lidar's axes they say the same
    assert labels.in_frame("lidar").unlabelled_2d is labels.unlabelled_2d


def test_an_empty_cloud_is_a_sweep_of_no_points(kitti):
    (kitti / "training" / "velodyne" / "000003.bin").write_bytes(b"")
    assert len(open_log(kitti)[0].lidar) == 0


def broken(kitti, file, content, ask, kind=BrokenRecord):
    """Writes a file again (None: removes it), asks, and returns the message behind the file's name."""
    path = kitti / "training" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as caught:
        ask(open_log(kitti)[0])
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_cut_lidar_file_is_named(kitti):
    assert broken(kitti, "velodyne/000003.bin", bytes(799), lambda frame: frame.lidar) == (
        "799 bytes is not a multiple of 16 (4 float32 per point); the file is cut short"
    )


def ask_camera(frame):
    return frame.cameras["image_2"]


def ask_labels(frame):
    return frame.labels


GOOD = "P2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
TR = "Tr_velo_to_cam: 0 -1 0 -0.02 0 0 -1 -0.06 1 0 0 -0.33\n"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (GOOD + TR.replace("-0.33", ""), "Tr_velo_to_cam has 11 numbers, wanted 12 (3x4)"),
        (GOOD + TR.replace("-0.33", "x"), "Tr_velo_to_cam: 'x' is not a number"),
        (GOOD + TR.replace("-0.33", "nan"), "Tr_velo_to_cam holds a number that is not finite"),
        (GOOD + TR.replace("-0.33", "1e400"), "Tr_velo_to_cam holds a number that is not finite"),
        (
            GOOD.replace("R0_rect: 1", "R0_rect: 1e300") + TR,
            "R0_rect is not a rotation; its rows must be orthonormal and right-handed",
        ),
        (
            GOOD.replace("0 0 1\n", "0 0 -1\n") + TR,
            "R0_rect is not a rotation; its rows must be orthonormal and right-handed",
        ),
        (GOOD.replace("700 0 600", "0 0 600") + TR, "P2 is not the projection of a rectified camera, K [I | t]"),
        (b"\xff\xfe\x00P2: 1", "byte 0 is not UTF-8 text, wanted plain text"),
    ],
)
def test_broken_calibration_is_named(kitti, content, wanted):
    assert broken(kitti, "calib/000003.txt", content, ask_camera) == wanted


def test_missing_calibration_is_named(kitti):
    assert broken(kitti, "calib/000003.txt", GOOD, ask_labels, MissingRecord) == (
        "no Tr_velo_to_cam; wanted P2, R0_rect and Tr_velo_to_cam, found P2, R0_rect"
    )
    assert broken(kitti, "calib/000003.txt", "", ask_labels, MissingRecord) == (
        "no P2, R0_rect, Tr_velo_to_cam; wanted P2, R0_rect and Tr_velo_to_cam, found nothing"
    )
    assert broken(kitti, "calib/000003.txt", None, ask_labels, MissingRecord) == (
        "no such file; pictures and labels need the frame's calibration"
    )


def test_a_missing_projection_is_named_only_where_it_is_needed(kitti):
    path = kitti / "training" / "calib" / "000003.txt"
    path.write_text(GOOD + TR)
    frame = open_log(kitti)[0]
    assert frame.cameras["image_2"].intrinsics[0, 0] == 700
    with pytest.raises(MissingRecord, match="no P3, which this camera needs"):
        frame.cameras["image_3"]


ROW = "Car 0 0 0 0 0 1 1 1.5 1.7 3.7 1 1.5 12 0"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (f"{ROW}\nCar 1 2\n", "line 2 has 3 columns, wanted 15 (16 with a score)"),
        (f"{ROW} 0.5 7 8 9\n", "line 1 has 19 columns, wanted 15 (16 with a score)"),
        (ROW.replace("12", "twelve"), "line 1: 'twelve' is not a number"),
        (ROW.replace("12", "nan"), "line 1 holds a number that is not finite or beyond 1e6"),
        (ROW.replace("12", "1e30"), "line 1 holds a number that is not finite or beyond 1e6"),
        (ROW.replace("1.7", "-1.7"), "line 1 is a Car of negative size [1.5, -1.7, 3.7] (h w l, metres)"),
        (b"Car \xff", "byte 4 is not UTF-8 text, wanted plain text"),
        (None, "no such file; the frame has no labels"),
    ],
)
def test_broken_labels_are_named(kitti, content, wanted):
    kind = MissingRecord if content is None else BrokenRecord
    assert broken(kitti, "label_2/000003.txt", content, ask_labels, kind) == wanted


def test_a_picture_that_went_away_is_named(kitti):
    frame = open_log(kitti)[0]
    path = kitti / "training" / "image_2" / "000003.jpg"
    path.unlink()
    with pytest.raises(MissingRecord) as caught:
        frame.cameras["image_2"].decode()
    assert str(caught.value) == f"{path}: no such file; the frame has no such picture"


def test_a_link_to_nowhere_is_missing(kitti):
    path = kitti / "training" / "velodyne" / "000003.bin"
    path.unlink()
    path.symlink_to(kitti / "nowhere")
    with pytest.raises(MissingRecord, match="no such file; the frame has no points"):
        _ = open_log(kitti)[0].lidar


def test_a_device_or_a_folder_in_place_of_a_file_is_not_read(kitti):
    path = kitti / "training" / "velodyne" / "000003.bin"
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(BrokenRecord, match="is a device, wanted a file; the frame has no points"):
        _ = open_log(kitti)[0].lidar
    path.unlink()
    path.mkdir()
    with pytest.raises(BrokenRecord, match="is a folder, wanted a file; the frame has no points"):
        _ = open_log(kitti)[0].lidar


def test_two_files_of_one_number_are_refused(kitti):
    (kitti / "training" / "velodyne" / "3.bin").write_bytes(b"")
    with pytest.raises(LogError) as caught:
        open_log(kitti)
    assert str(caught.value) == (
        f"{kitti}/training/velodyne: 000003.bin and 3.bin have the same number; remove one of them"
    )


@pytest.mark.parametrize("digits", [12, 30, 200])
def test_a_number_too_large_for_a_time_is_refused(kitti, digits):
    path = kitti / "training" / "velodyne" / f"{'9' * digits}.bin"
    path.write_bytes(b"")
    with pytest.raises(LogError) as caught:
        open_log(kitti)
    assert str(caught.value) == f"{path}: the number in the name is too large for a time in int64 nanoseconds"


def test_other_files_are_left_alone(kitti):
    for name in ("readme.txt", "000003.bin.part", "x000007.bin", "٣.bin"):
        (kitti / "training" / "velodyne" / name).write_bytes(b"?")
    assert len(open_log(kitti)) == 3


def refusal(read, path):
    try:
        read(path)
    except LogError as error:
        return str(error)
    return None


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=300)
    | st.lists(st.sampled_from(["P2:", "R0_rect:", "1", "0", "\n", "nan", "Car"])).map(" ".join)
)
def test_garbage_text_is_read_or_refused_in_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("garbage") / "000001.txt"
    path.write_text(text, encoding="utf-8", errors="replace")
    for read in (read_calibration, lambda p: read_labels(p, 0, np.eye(4))):
        said = refusal(read, path)
        assert said is None or (said.startswith(str(path)) and len(said.splitlines()) == 1 and len(said) < 400)


def test_asking_for_lidar_opens_no_picture_label_or_calibration(kitti):
    code = f"""
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        import perceptum as pc
        log = pc.open_log({str(kitti)!r})
        before = [path for path in opened if path.startswith({str(kitti)!r})]
        [frame.lidar for frame in log]
        print(before, sorted(p.removeprefix({str(kitti)!r}) for p in opened if p.startswith({str(kitti)!r})))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    wanted = [f"/training/velodyne/{n:06}.bin" for n in (3, 4, 10)]
    assert done.stdout.strip() == f"[] {wanted}"


@pytest.mark.data
def test_every_real_point_projects_into_the_picture(real_kitti):
    frame = open_log(real_kitti)[0]
    picture = frame.cameras["image_2"]
    height, width = picture.decode().shape[:2]
    homogeneous = np.column_stack([columns(frame.lidar), np.ones(len(frame.lidar))])
    u, v, depth = picture.intrinsics @ (np.linalg.inv(picture.ego_from_camera) @ homogeneous.T)[:3]
    seen = (depth > 0.5) & (u >= 0) & (u < width * depth) & (v >= 0) & (v < height * depth)
    assert (int(seen.sum()), len(seen)) == (19097, 19097)


@pytest.mark.data
@pytest.mark.parametrize("real", ["real_kitti", "real_kitti_odometry", "real_argoverse2"])
def test_the_road_of_real_drives_is_found_without_a_word_in_the_spec(real, request, caplog):
    """The road in front leans by up to 0.3 m; without the dataset's own z it was 1.7 m off."""
    params = {"ground": "lidar", "columns": ["height_above_ground"], "range": [4, -2, -4, 12, 2, 4]}
    builder = InputBuilder(["lidar_points"], params={"lidar_points": params})
    heights = builder.build(open_log(request.getfixturevalue(real))[0])["lidar_points"]
    assert 0 <= np.percentile(heights, 20) < 0.15
    assert caplog.records == []


@pytest.mark.data
def test_a_real_camera_projects_as_the_files_matrices_do_to_1e_9(real_kitti):
    calibration = read_calibration(real_kitti / "training" / "calib" / "000134.txt")
    picture = open_log(real_kitti)[0].cameras["image_2"]
    got = picture.intrinsics @ np.linalg.inv(picture.ego_from_camera)[:3]
    np.testing.assert_allclose(got, calibration["P2"] @ rectified_from_velodyne(calibration), atol=1e-9, rtol=0)


# as published with the frame: counted in boxes that stand upright in the rectified camera frame
POINTS_IN_BOXES = [523, 160, 80, 91, 36, 31, 43, 48, 46, 154, 54, 91, 64, 11, 3]


@pytest.mark.data
def test_real_points_in_each_label_box_are_the_known_ones(real_kitti):
    sweep = open_log(real_kitti)[0].lidar
    rectified = rectified_from_velodyne(read_calibration(real_kitti / "training" / "calib" / "000134.txt"))
    points = columns(sweep) @ rectified[:3, :3].T + rectified[:3, 3]
    counts = []
    for line in (real_kitti / "training" / "label_2" / "000134.txt").read_text().splitlines():
        if line.strip() and not line.startswith("DontCare"):
            h, w, l, x, y, z, ry = map(float, line.split()[8:15])  # noqa: E741
            # camera axes (x, z, -y) are right-handed with y up turned into z
            turned = np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)
            counts.append(int(inside(turned, [x, z, h / 2 - y, l, w, h, -ry]).sum()))
    assert counts == POINTS_IN_BOXES


@pytest.mark.data
def test_real_boxes_hold_the_known_points_up_to_the_cameras_tilt(real_kitti):
    # our boxes stand upright on the velodyne, which leans 0.6 degrees against the camera: ground points change sides
    frame = open_log(real_kitti)[0]
    counts = np.array([inside(columns(frame.lidar), box).sum() for box in frame.labels.boxes])
    wanted = np.array(POINTS_IN_BOXES)
    assert (counts == wanted).sum() >= 10
    assert (np.abs(counts - wanted) <= np.maximum(3, 0.1 * wanted)).all()
