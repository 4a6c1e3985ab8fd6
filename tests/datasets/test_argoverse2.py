"""Argoverse 2: the stored columns, the beams, velocities from tracks, and every way to be broken."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.argoverse2.beams import BEAM_ELEVATION_DEG, row_of_ring
from perceptum.datasets.reading.feather import read_columns
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, PoseUnknown

FIRST_NS = 315966265259836000
STEP_NS = 100_000_000


def columns(sweep):
    return np.stack([sweep.x, sweep.y, sweep.z], axis=1).astype(np.float64)


def rewrite(path, change, **options):
    """Writes a Feather file again with its columns changed by `change`."""
    from pyarrow import feather, table

    stored = feather.read_table(path).to_pydict()
    types = feather.read_table(path).schema
    changed = change(stored)
    kept = [types.field(name) for name in changed if name in types.names]
    feather.write_feather(
        table(changed, schema=None if options.pop("retype", False) else _schema(kept)), path, **options
    )


def _schema(fields):
    import pyarrow as pa

    return pa.schema(fields)


def drop(name):
    return lambda stored: {key: values for key, values in stored.items() if key != name}


def put(name, row, value):
    def change(stored):
        stored[name][row] = value
        return stored

    return change


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_columns_come_as_they_are_stored(argoverse2):
    sweep = open_log(argoverse2)[1].lidar
    dtypes = {name: getattr(sweep, name).dtype.name for name in ("x", "y", "z", "intensity", "ring", "offset_ns")}
    assert dtypes == {
        "x": "float16",
        "y": "float16",
        "z": "float16",
        "intensity": "uint8",
        "ring": "uint8",
        "offset_ns": "int32",
    }
    assert sweep.intensity_scale == 255
    assert sweep.compensated_to_ns == sweep.time_ns == FIRST_NS + STEP_NS
    np.testing.assert_array_equal(sweep.ego_from_sensor, np.eye(4))
    np.testing.assert_allclose(sweep.origin, [1.35, 0, 1.64])
    assert all(getattr(sweep, name).flags.c_contiguous for name in dtypes)


def test_columns_that_are_not_stored_are_none(argoverse2):
    path = argoverse2 / "sensors" / "lidar" / f"{FIRST_NS}.feather"
    rewrite(path, lambda stored: {name: stored[name] for name in "xyz"})
    sweep = open_log(argoverse2)[0].lidar
    assert (sweep.intensity, sweep.ring, sweep.offset_ns) == (None, None, None)
    assert len(sweep) == 200


def test_an_empty_cloud_is_a_sweep_of_no_points(argoverse2):
    path = argoverse2 / "sensors" / "lidar" / f"{FIRST_NS}.feather"
    rewrite(path, lambda stored: {name: [] for name in stored})
    sweep = open_log(argoverse2)[0].lidar
    assert len(sweep) == 0
    assert sweep.x.dtype == np.float16


def test_rows_rank_both_lidars_beams_from_the_highest():
    upright = row_of_ring(1.0, 1.0)
    hanging = row_of_ring(1.0, -1.0)
    assert sorted(hanging.tolist()) == list(range(64))
    # upside down the lowest beam, -25 degrees, looks up and is the highest of all
    assert hanging[32 + int(np.argmin(BEAM_ELEVATION_DEG))] == 0
    assert hanging[int(np.argmin(BEAM_ELEVATION_DEG))] == 63
    # level beams: the upper lidar's comes first
    level = int(np.argmin(np.abs(BEAM_ELEVATION_DEG)))
    assert hanging[32 + level] == hanging[level] + 1
    assert (upright[32:] == upright[:32] + 1).all()


def test_poses_are_exact_at_each_sweep_and_end(argoverse2):
    log = open_log(argoverse2)
    stored = read_columns(
        argoverse2 / "city_SE3_egovehicle.feather", {"timestamp_ns": "int", "tx_m": "float"}, "there are no poses"
    )
    for time_ns, x in zip(stored["timestamp_ns"].tolist(), stored["tx_m"].tolist(), strict=True):
        assert log.world_from_ego(time_ns)[0, 3] == x


def test_velocity_is_that_of_the_track_in_the_city_seen_in_ego_axes(argoverse2):
    for frame in open_log(argoverse2):
        labels = frame.labels
        ego_from_city = frame.world_from_ego[:3, :3].T
        wanted = {"moving": (ego_from_city @ [3.0, -1.0, 0.0])[:2], "standing": [0, 0], "once": [np.nan, np.nan]}
        for track, velocity in zip(labels.track_id, labels.velocity, strict=True):
            np.testing.assert_allclose(velocity, wanted[track], atol=1e-6)


def test_a_track_with_a_gap_has_no_velocity_across_it(argoverse2):
    far = {0: FIRST_NS, 2: FIRST_NS + 1_600_000_000}
    rewrite(
        argoverse2 / "annotations.feather",
        lambda stored: {
            name: [far.get(row, -1) if name == "timestamp_ns" else values[row] for row in far]
            for name, values in stored.items()
        },
    )
    labels = open_log(argoverse2)[0].labels
    assert labels.track_id.tolist() == ["moving"]
    assert np.isnan(labels.velocity).all()


def test_labels_where_no_pose_is_recorded_have_no_velocity(argoverse2):
    rewrite(
        argoverse2 / "city_SE3_egovehicle.feather",
        lambda stored: {
            name: [v for v, t in zip(values, stored["timestamp_ns"], strict=True) if t <= FIRST_NS + STEP_NS]
            for name, values in stored.items()
        },
    )
    log = open_log(argoverse2)
    assert np.isfinite(log[0].labels.velocity[:2]).all()
    assert np.isnan(log[3].labels.velocity).all()


def test_a_sweep_without_boxes_between_labelled_ones_is_empty_and_beyond_them_unlabelled(argoverse2):
    kept = {FIRST_NS, FIRST_NS + 2 * STEP_NS}
    rewrite(
        argoverse2 / "annotations.feather",
        lambda stored: {
            name: [v for v, t in zip(values, stored["timestamp_ns"], strict=True) if t in kept]
            for name, values in stored.items()
        },
    )
    found = [frame.labels for frame in open_log(argoverse2)]
    assert [None if labels is None else len(labels) for labels in found] == [2, 0, 2, None]
    assert found[1].boxes.shape == (0, 7)


def test_a_log_without_annotations_has_no_labels(argoverse2):
    (argoverse2 / "annotations.feather").unlink()
    assert open_log(argoverse2)[0].labels is None


def test_boxes_are_length_width_height_and_yaw(argoverse2):
    labels = open_log(argoverse2)[0].labels
    np.testing.assert_allclose(labels.boxes[:, 3:], [[4, 2, 1.5, 0.5]] * 2)
    np.testing.assert_array_equal(labels.num_points, [0, 1])
    assert labels.category.tolist() == ["REGULAR_VEHICLE"] * 2


def test_cameras_are_pinholes_at_their_own_time(argoverse2):
    frame = open_log(argoverse2)[2]
    assert list(frame.cameras) == ["ring_front_center", "ring_side_left"]
    picture = frame.cameras["ring_front_center"]
    assert picture.time_ns == frame.time_ns + 7_000_001
    np.testing.assert_array_equal(picture.intrinsics, [[1700, 0, 1020], [0, 1690, 770], [0, 0, 1]])
    # the optical axis is the ego's x
    np.testing.assert_allclose(picture.ego_from_camera[:3, 2], [1, 0, 0], atol=1e-12)
    assert picture.distortion is None
    assert picture.decode().shape == (15, 20, 3)


def test_a_log_of_pictures_alone_has_their_frames(argoverse2):
    (argoverse2 / "sensors" / "lidar").rename(argoverse2 / "unused")
    log = open_log(argoverse2)
    assert len(log) == 4
    assert log[0].lidar is None
    assert log[0].cameras["ring_side_left"].time_ns == log[0].time_ns


def test_asking_for_lidar_opens_no_picture_label_map_or_pose(argoverse2):
    code = f"""
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        import perceptum as pc
        root = {str(argoverse2)!r}
        log = pc.open_log(root)
        before = [path for path in opened if path.startswith(root)]
        [frame.lidar for frame in log]
        print(before, sorted(p.removeprefix(root) for p in opened if p.startswith(root)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    wanted = ["/calibration/egovehicle_SE3_sensor.feather"]
    wanted += [f"/sensors/lidar/{FIRST_NS + i * STEP_NS}.feather" for i in range(4)]
    assert done.stdout.strip() == f"[] {wanted}"


def lidar_path(log):
    return log / "sensors" / "lidar" / f"{FIRST_NS}.feather"


def test_a_cut_sweep_is_named(argoverse2):
    path = lidar_path(argoverse2)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert said(lambda: open_log(argoverse2)[0].lidar) == (
        f"{path}: {len(whole) // 2} bytes do not end with b'ARROW1'; the file is cut short"
    )
    path.write_bytes(b"")
    assert said(lambda: open_log(argoverse2)[0].lidar) == (
        f"{path}: starts with b'', wanted b'ARROW1' (Feather version 2)"
    )


def test_another_format_is_named_by_its_first_bytes(argoverse2):
    lidar_path(argoverse2).write_bytes(b"PAR1" * 100)
    assert said(lambda: open_log(argoverse2)[0].lidar) == (
        f"{lidar_path(argoverse2)}: starts with b'PAR1PA', wanted b'ARROW1' (Feather version 2)"
    )


def test_a_sweep_with_the_wrong_columns_is_named(argoverse2):
    path = lidar_path(argoverse2)
    rewrite(path, drop("y"))
    assert said(lambda: open_log(argoverse2)[0].lidar, MissingRecord) == (
        f"{path}: 0 columns y, wanted 1; it has x, z, intensity, laser_number, offset_ns"
    )


def test_a_column_of_another_kind_or_with_nulls_is_named(argoverse2):
    path = lidar_path(argoverse2)
    rewrite(path, put("x", 5, None))
    assert said(lambda: open_log(argoverse2)[0].lidar) == (f"{path}: column x has 1 nulls, wanted a value in each row")
    rewrite(path, lambda stored: {**stored, "x": ["a"] * 200}, retype=True)
    assert said(lambda: open_log(argoverse2)[0].lidar) == f"{path}: column x is string, wanted float"


def test_a_laser_beyond_the_table_is_named(argoverse2):
    rewrite(lidar_path(argoverse2), put("laser_number", 3, 64))
    assert "laser_number goes from 0 to 64, wanted 0 to 63" in said(lambda: open_log(argoverse2)[0].lidar)


def test_points_that_are_no_numbers_are_left_to_the_builder(argoverse2):
    rewrite(lidar_path(argoverse2), put("x", 3, float("nan")))
    assert np.isnan(open_log(argoverse2)[0].lidar.x).sum() == 1


def test_missing_files_are_named(argoverse2):
    log = open_log(argoverse2)
    for path, ask, what in (
        (lidar_path(argoverse2), lambda: log[0].lidar, "the sweep is missing"),
        (argoverse2 / "city_SE3_egovehicle.feather", lambda: log[0].world_from_ego, "the log has no poses"),
        (
            argoverse2 / "calibration" / "egovehicle_SE3_sensor.feather",
            lambda: log[1].lidar,
            "where the sensors are mounted is not known",
        ),
        (
            argoverse2 / "calibration" / "intrinsics.feather",
            lambda: log[0].cameras["ring_side_left"],
            "pictures need the cameras' intrinsics",
        ),
    ):
        path.unlink()
        assert said(ask, MissingRecord) == f"{path}: no such file; {what}"


def test_a_sensor_without_calibration_is_named(argoverse2):
    path = argoverse2 / "calibration" / "egovehicle_SE3_sensor.feather"
    rewrite(path, lambda stored: {name: values[:2] for name, values in stored.items()})
    assert said(lambda: open_log(argoverse2)[0].lidar, MissingRecord) == (
        f"{path}: no sensor 'up_lidar', found ring_front_center, ring_side_left"
    )


@pytest.mark.parametrize(
    ("name", "row", "value", "wanted"),
    [
        (
            "tx_m",
            20,
            float("nan"),
            "row 20 has the quaternion [1.0, 0.0, 0.0, 0.0] and translation [nan, 2000.0, 60.0]",
        ),
        ("tx_m", 20, 1e300, "row 20 has the quaternion [1.0, 0.0, 0.0, 0.0] and translation [1e+300, 2000.0, 60.0]"),
        ("qw", 20, 9.0, "row 20 has the quaternion [9.0, 0.0, 0.0, "),
        ("timestamp_ns", 20, FIRST_NS - 200_000_000, "the time of pose 20, 315966265059836000 ns, is repeated or out "),
        ("timestamp_ns", 20, -(2**63), "the time of pose 20, -9223372036854775808 ns, is repeated or out of order"),
    ],
)
def test_broken_poses_are_named(argoverse2, name, row, value, wanted):
    path = argoverse2 / "city_SE3_egovehicle.feather"
    rewrite(path, put(name, row, value))
    text = said(lambda: open_log(argoverse2)[0].world_from_ego, PoseUnknown)
    assert text.startswith(f"no pose at {FIRST_NS} ns: {path}: {wanted}")


def test_no_pose_at_all_is_named(argoverse2):
    path = argoverse2 / "city_SE3_egovehicle.feather"
    rewrite(path, lambda stored: {name: [] for name in stored})
    assert said(lambda: open_log(argoverse2)[0].world_from_ego) == f"{path}: a log needs at least one pose, got none"


@pytest.mark.parametrize(
    ("name", "row", "value", "wanted"),
    [
        ("width_m", 1, -1.0, "row 1 is a box of negative size [4.0, -1.0, 1.5] (length width height)"),
        ("tx_m", 2, float("inf"), "tx_m in row 2 is inf, wanted a finite number within 1e9"),
        ("qw", 0, 0.0, "row 0 has the quaternion [0.0, 0.0, 0.0, "),
        ("track_uuid", 1, "moving", f"track moving has two boxes at {FIRST_NS} ns, wanted one"),
        ("category", 1, "x" * 300, "column category holds a text of 300 characters, wanted at most 256"),
    ],
)
def test_broken_annotations_are_named(argoverse2, name, row, value, wanted):
    path = argoverse2 / "annotations.feather"
    rewrite(path, put(name, row, value))
    assert said(lambda: [frame.labels for frame in open_log(argoverse2)]).startswith(f"{path}: {wanted}")


def test_two_sweeps_of_one_time_are_refused(argoverse2):
    twin = argoverse2 / "sensors" / "lidar" / f"0{FIRST_NS}.feather"
    twin.write_bytes(b"")
    assert said(lambda: open_log(argoverse2), LogError) == (
        f"{twin.parent}: {twin.name} and {FIRST_NS}.feather have the same number; remove one of them"
    )
