"""KITTI odometry: poses of the velodyne, times by line, cameras, and every way in which a file may be broken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.kitti.odometry import KittiOdometry
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, PoseUnknown
from perceptum.inputs.poses import inverse


def test_the_world_is_the_first_velodyne(kitti_odometry, made):
    log = open_log(kitti_odometry)
    assert log.source.dataset == "kitti_odometry"
    assert log.source.times_ns.tolist() == [0, 102345600, 205123400, 310000000]
    np.testing.assert_allclose(
        [frame.world_from_ego for frame in log], made("kitti_odometry").first_from_velodynes(), atol=1e-6
    )


def test_a_sequence_with_pictures_is_not_taken_for_kitti_object(kitti_odometry):
    assert (kitti_odometry / "image_2").is_dir()
    assert open_log(kitti_odometry).source.dataset == "kitti_odometry"


def test_points_are_the_files_bytes_and_compensated(kitti_odometry):
    sweep = open_log(kitti_odometry)[1].lidar
    stored = np.fromfile(kitti_odometry / "velodyne" / "000001.bin", "<f4").reshape(-1, 4)
    for got, wanted in zip((sweep.x, sweep.y, sweep.z, sweep.intensity), stored.T, strict=True):
        assert got.tobytes() == wanted.tobytes()
    assert sweep.compensated_to_ns == sweep.time_ns == 102345600


@pytest.mark.parametrize(("camera", "key"), [("image_2", 2), ("image_3", 3)])
def test_cameras_project_as_the_files_matrices_do(kitti_odometry, made, camera, key):
    picture = open_log(kitti_odometry)[0].cameras[camera]
    lines = [line.split()[1:] for line in made("kitti_odometry").CALIBRATION.splitlines()]
    projection, tr = (np.array(lines[i], dtype=float).reshape(3, 4) for i in (key, 4))
    wanted = projection @ np.vstack([tr, [0, 0, 0, 1]])
    np.testing.assert_allclose(picture.intrinsics @ np.linalg.inv(picture.ego_from_camera)[:3], wanted, atol=1e-9)


def test_file_i_has_line_i_of_the_times_also_where_files_are_missing(kitti_odometry):
    (kitti_odometry / "velodyne" / "000001.bin").unlink()
    log = open_log(kitti_odometry)
    assert log.source.times_ns.tolist() == [0, 205123400, 310000000]
    assert len(log.source.poses.times_ns) == 4


def test_a_sequence_without_poses_gives_frames_and_says_so_when_asked(kitti_odometry):
    path = kitti_odometry.parents[1] / "poses" / "04.txt"
    path.unlink()
    frame = open_log(kitti_odometry)[1]
    assert len(frame.lidar) == 50
    assert len(frame.sweeps(2)) == 2
    with pytest.raises(PoseUnknown) as caught:
        _ = frame.world_from_ego
    assert str(caught.value) == (
        f"{path}: no such file, so sequence 04 has no poses; KITTI publishes them for 00 to 10"
    )


def test_poses_within_the_sequence_are_read_where_no_others_are(kitti_odometry):
    published = kitti_odometry.parents[1] / "poses" / "04.txt"
    wanted = open_log(kitti_odometry)[2].world_from_ego
    published.rename(kitti_odometry / "poses.txt")
    np.testing.assert_array_equal(open_log(kitti_odometry)[2].world_from_ego, wanted)


def refused(sequence, file, content, ask, kind=BrokenRecord):
    path = (sequence / file).resolve()
    path.write_text(content)
    with pytest.raises(kind) as caught:
        ask(open_log(sequence, format="kitti_odometry"))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def ask_pose(log):
    return log[0].world_from_ego


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("0.0\n0.1\n", "2 lines, but 000002.bin needs line 3 (and 1 more)"),
        ("0.0\nx\n", "line 2 is 'x', wanted seconds since the start (and 2 more)"),
        ("0.0\nnan\n0.2\n0.3\n", "line 2 is 'nan', wanted seconds since the start"),
        ("0.0\n1e300\n0.2\n0.3\n", "line 2 is '1e300', wanted seconds since the start"),
        ("0.0\n\n0.2\n0.3\n", "line 2 is '', wanted seconds since the start"),
    ],
)
def test_broken_times_are_named(kitti_odometry, content, wanted):
    assert refused(kitti_odometry, "times.txt", content, len) == wanted


def test_times_that_do_not_increase_are_refused(kitti_odometry):
    said = refused(kitti_odometry, "times.txt", "0\n0.1\n0.1\n0.2\n", len, LogError)
    assert said == f"{kitti_odometry}: the times of frames must increase: 100000000 ns is followed by 100000000 ns"


IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0\n"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (IDENTITY * 3 + "1 0 0\n", "line 4 has 3 numbers, wanted 12 (3x4)"),
        (IDENTITY * 3 + IDENTITY.replace("1", "inf"), "line 4 holds a number that is not finite"),
        (
            IDENTITY * 3 + IDENTITY.replace("1", "1e200"),
            "pose 3 is not a pose; wanted a rotation (orthonormal, right-handed) within 1e9 m",
        ),
    ],
)
def test_broken_poses_are_named(kitti_odometry, content, wanted):
    said = refused(kitti_odometry, "../../poses/04.txt", content, lambda log: log[3].world_from_ego, PoseUnknown)
    path = kitti_odometry.parents[1] / "poses" / "04.txt"
    assert said == f"no pose at 310000000 ns: {path}: {wanted}"


def test_a_line_too_few_is_refused_for_it_is_not_known_which(kitti_odometry):
    said = refused(kitti_odometry, "../../poses/04.txt", IDENTITY * 3, ask_pose)
    assert said == "3 poses, wanted 4, one per line of times.txt"


def test_broken_calibration_is_named(kitti_odometry):
    ask = lambda log: log[0].cameras["image_2"]  # noqa: E731
    assert refused(kitti_odometry, "calib.txt", "P0: 1\n", ask, MissingRecord) == "no P2; found P0"
    leaning = "Tr: 0 -1 0 0 0 0 -1 0 1 0 0.5 0\nP2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005\n"
    assert refused(kitti_odometry, "calib.txt", leaning, ask) == (
        "Tr is not a rotation; its rows must be orthonormal and right-handed"
    )


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from(["0", "0.1", "nan", "-", "1e999", "\n", "x", "9" * 400])).map(" ".join))
def test_garbage_is_read_or_refused_in_one_line(tmp_path_factory, said_of, text):
    sequence = tmp_path_factory.mktemp("garbage") / "sequences" / "00"
    (sequence / "velodyne").mkdir(parents=True)
    (sequence / "velodyne" / "000000.bin").write_bytes(b"")
    for name in ("times.txt", "calib.txt", "poses.txt"):
        (sequence / name).write_text(text)
    said_of(lambda: KittiOdometry(sequence).poses)


@pytest.mark.data
def test_real_poses_bring_the_second_sweep_onto_the_first(real_kitti_odometry):
    from scipy.spatial import cKDTree

    log = open_log(real_kitti_odometry)
    assert [len(frame.lidar) for frame in log] == [124668, 124605]
    first, second = log
    motion = inverse(first.world_from_ego) @ second.world_from_ego
    assert np.abs(motion[:3, 3] - [0.859, 0.047, 0.022]).max() < 0.0006
    there, here = (np.stack([f.lidar.x, f.lidar.y, f.lidar.z], axis=1).astype(float) for f in (first, second))
    # what stands above the road within 50 m: the published answers are of these points
    here = here[(here[:, 2] > -1.4) & (np.hypot(here[:, 0], here[:, 1]) < 50)]
    tree = cKDTree(there)
    medians_m = [float(np.median(tree.query(p)[0])) for p in (here, here @ motion[:3, :3].T + motion[:3, 3])]
    assert np.abs(np.subtract(medians_m, [0.183, 0.078])).max() < 0.001


@pytest.mark.data
def test_all_real_poses_are_inv_tr_p_tr(real_kitti_odometry):
    poses = open_log(real_kitti_odometry).source.poses
    lines = (real_kitti_odometry.parents[1] / "poses" / "00.txt").read_text().splitlines()
    stored = np.array([line.split() for line in lines], dtype=float).reshape(-1, 3, 4)
    tr = next(line for line in (real_kitti_odometry / "calib.txt").read_text().splitlines() if line.startswith("Tr"))
    camera_from_velodyne = np.vstack([np.array(tr.split()[1:], dtype=float).reshape(3, 4), [0, 0, 0, 1]])
    wanted = np.linalg.inv(camera_from_velodyne)[:3] @ np.insert(stored, 3, [0, 0, 0, 1], axis=1) @ camera_from_velodyne
    # rotations of 7 digits, made orthonormal
    np.testing.assert_allclose(poses.at_many(poses.times_ns)[:, :3], wanted, atol=1e-6, rtol=0)
