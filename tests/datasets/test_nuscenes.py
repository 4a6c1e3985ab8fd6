"""nuScenes: scenes, frames, records, labels, and every way in which a root may be broken."""

import pickle

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.inputs import BrokenRecord, LogError, MissingRecord, NotALog
from perceptum.inputs.poses import inverse, quaternion_from_yaw

from .made_nuscenes import SAMPLES, START_US, TRACK_VELOCITY, VERSION, change, make, token, world_from_ego


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_only_scene_needs_no_name(nuscenes):
    log = open_log(nuscenes)
    assert (log.source.dataset, log.source.name) == ("nuscenes", "scene-0001")
    assert len(log) == SAMPLES


def test_one_scene_of_several_is_named(tmp_path):
    root = make(tmp_path, ("scene-0003", "scene-0001", "scene-0007", "scene-0009"))
    assert said(lambda: open_log(root), NotALog) == (
        f"{root}: holds 4 scenes (scene-0003, scene-0001, scene-0007, ...); say which with scene='scene-0003'"
    )
    assert said(lambda: open_log(root, scene="scene-007"), NotALog) == (
        f"{root}: no scene 'scene-007' among 4 (scene-0003, scene-0001, scene-0007, ...); did you mean 'scene-0007'?"
    )
    for number, name in enumerate(("scene-0003", "scene-0001", "scene-0007", "scene-0009")):
        log = open_log(root, scene=name)
        start_us = START_US + number * 60_000_000
        assert log[0].time_ns == start_us * 1000
        assert log[0].labels.track_id.tolist() == [token(name, track) for track in ("moving", "standing")]
        np.testing.assert_allclose(log[2].world_from_ego, world_from_ego(start_us + 1_000_000, start_us), atol=1e-12)


def test_one_version_of_several_is_named(nuscenes):
    (nuscenes / VERSION).rename(nuscenes / "v1.0-trainval")
    make(nuscenes / "other")
    (nuscenes / "other" / VERSION).rename(nuscenes / VERSION)
    assert said(lambda: open_log(nuscenes), NotALog) == (
        f"{nuscenes}: holds 2 versions (v1.0-mini, v1.0-trainval); say which with version='v1.0-mini'"
    )
    assert "did you mean 'v1.0-trainval'?" in said(lambda: open_log(nuscenes, version="v1.0-train"), NotALog)
    assert len(open_log(nuscenes, version="v1.0-trainval")) == SAMPLES


def test_a_root_without_versions_or_scenes_is_no_log(nuscenes, tmp_path):
    change(nuscenes, "scene", lambda rows: rows.clear())
    for table in ("sample", "sample_data", "sample_annotation"):
        change(nuscenes, table, lambda rows: rows.clear())
    wanted = "of nuScenes; wanted a root with v1.0-*/scene.json, sample.json and sample_data.json"
    assert said(lambda: open_log(nuscenes), NotALog) == f"{nuscenes}: holds no scene {wanted}"
    assert said(lambda: open_log(tmp_path, format="nuscenes"), NotALog) == f"{tmp_path}: holds no version {wanted}"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"frames": "all"}, "nuscenes: frames is 'all', wanted 'keyframes' or 'sweeps'"),
        ({"radar_filter": "all"}, "nuscenes: radar_filter is 'all', wanted one of none, devkit, crn"),
        (
            {"scenes": "scene-0001"},
            "nuscenes: no option 'scenes'; it takes version, scene, frames, radar_filter, cache",
        ),
    ],
)
def test_an_option_of_no_known_value_is_refused(nuscenes, options, wanted):
    assert said(lambda: open_log(nuscenes, **options), LogError).startswith(wanted)


def test_frames_are_keyframes_or_every_sweep(nuscenes):
    keyframes, sweeps = open_log(nuscenes), open_log(nuscenes, frames="sweeps")
    # only keyframes have a token of their own
    tokens = {frame.time_ns: frame.id for frame in keyframes}
    assert [frame.id for frame in sweeps] == [tokens.get(frame.time_ns, str(frame.time_ns)) for frame in sweeps]
    assert [frame.time_ns for frame in keyframes] == [(START_US + i * 500_000) * 1000 for i in range(SAMPLES)]
    assert len(sweeps) == 1 + 5 * (SAMPLES - 1)
    assert np.isin(keyframes.source.times_ns, sweeps.source.times_ns).all()
    assert sweeps.source.times_ns.tolist() == sweeps.source.lidars["LIDAR_TOP"].tolist()
    # the boxes are of keyframes alone
    assert [frame.labels is not None for frame in sweeps] == [True, *[False, False, False, False, True] * 3]


def test_sweeps_between_keyframes_belong_to_the_past_of_a_frame(nuscenes):
    frame = open_log(nuscenes)[1]
    assert [frame.time_ns - sweep.time_ns for sweep in frame.sweeps(10)] == [100_000_000 * i for i in range(6)]
    assert len(frame.radar_sweeps(3)) == 6


def test_points_are_the_files_columns(nuscenes):
    sweep = open_log(nuscenes)[1].lidar
    stored = np.fromfile(next((nuscenes / "samples" / "LIDAR_TOP").glob(f"*{START_US + 500_000}*")), "<f4")
    columns = (sweep.x, sweep.y, sweep.z, sweep.intensity, sweep.ring)
    for column, wanted in zip(columns, stored.reshape(-1, 5).T, strict=True):
        assert column.dtype == np.float32
        assert column.strides == (20,), "a view of the file's bytes"
        assert column.tobytes() == wanted.tobytes()
    assert sweep.intensity_scale == 255
    assert sweep.offset_ns is None
    assert sweep.compensated_to_ns is None
    # ring 0 is the lowest beam, row 0 the highest
    assert sweep.row_of_ring[[0, 31]].tolist() == [31, 0]
    # the lidar looks along its y axis
    np.testing.assert_allclose(sweep.ego_from_sensor[:3, :3] @ [0, 1, 0], [1, 0, 0], atol=1e-12)


def test_every_record_has_its_own_ego_pose(nuscenes):
    log = open_log(nuscenes)
    frame = log[2]
    stamps = [c.time_ns for c in frame.cameras.values()] + [s.time_ns for s in frame.sweeps(7)]
    assert len(set(stamps)) == 9
    for time_ns in stamps:
        np.testing.assert_allclose(log.world_from_ego(time_ns), world_from_ego(time_ns // 1000), rtol=0, atol=1e-12)
    every = [
        times for streams in (log.source.lidars, log.source.radars, log.source.cameras) for times in streams.values()
    ]
    assert log.source.poses.times_ns.tolist() == sorted(set(np.concatenate(every).tolist()))


def test_cameras_are_pinholes_at_their_own_time(nuscenes):
    frame = open_log(nuscenes)[2]
    front = frame.cameras["CAM_FRONT"]
    assert front.time_ns - frame.time_ns == -35_491_000
    assert front.intrinsics.tolist() == [[1200, 0, 800], [0, 1200, 450], [0, 0, 1]]
    assert front.distortion is None
    assert front.decode().shape == (9, 16, 3)
    # the optical axis of the front camera is the car's forward
    np.testing.assert_allclose(front.ego_from_camera[:3, :3] @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    assert front.ego_from_camera[:3, 3].tolist() == [1.7, 0, 1.5]


@pytest.mark.parametrize("height", [None, 0, -9, "9", 9.0, 70_000, 10**30, [9], True])
def test_a_picture_whose_row_has_no_size_of_its_own_has_none(nuscenes, height):
    def spoil(rows):
        for row in rows:
            if "CAM_FRONT" in row["filename"]:
                row["height"] = height
            elif "CAM_BACK" in row["filename"]:
                del row["width"]

    change(nuscenes, "sample_data", spoil)
    frame = open_log(nuscenes)[2]
    sizes = {name: picture.size for name, picture in frame.cameras.items()}
    assert sizes == dict.fromkeys(sizes)


def test_boxes_come_into_the_ego_frame_with_length_before_width(nuscenes):
    for i, frame in enumerate(open_log(nuscenes)):
        labels = frame.labels
        row = labels.track_id.tolist().index(token("scene-0001", "moving"))
        ego_from_world = inverse(world_from_ego(frame.time_ns // 1000))
        in_world = np.array([650, 1650, 11]) + TRACK_VELOCITY * 0.5 * i
        np.testing.assert_allclose(labels.boxes[row, :3], (ego_from_world @ [*in_world, 1])[:3], atol=1e-9)
        assert labels.boxes[row, 3:6].tolist() == [4.5, 2.0, 1.5]
        heading = ego_from_world[:3, :3] @ [np.cos(0.7 + 0.1 * i), np.sin(0.7 + 0.1 * i), 0]
        assert abs(labels.boxes[row, 6] - np.arctan2(heading[1], heading[0])) < 1e-12
        np.testing.assert_allclose(labels.velocity[row], (ego_from_world[:3, :3] @ TRACK_VELOCITY)[:2], atol=1e-9)
        assert labels.category[row] == "vehicle.car"
        assert labels.num_points[row] == 10 + i


def test_a_box_seen_once_has_no_velocity_and_one_with_a_gap_has(nuscenes):
    log = open_log(nuscenes)
    labels = log[1].labels
    velocity = dict(zip(labels.track_id.tolist(), labels.velocity.tolist(), strict=True))
    assert np.isnan(velocity[token("scene-0001", "once")]).all()
    np.testing.assert_allclose(velocity[token("scene-0001", "standing")], [0, 0], atol=1e-12)
    assert [len(frame.labels) for frame in log] == [2, 3, 1, 2]


@pytest.mark.parametrize(("step_us", "known"), [(1_500_000, True), (1_500_001, False)])
def test_velocity_is_unknown_beyond_a_second_and_a_half(nuscenes, step_us, known):
    """At a track's end, where the difference is one-sided."""

    def delay(rows):
        rows[3]["timestamp"] = rows[1]["timestamp"] + step_us

    change(nuscenes, "sample", delay)
    labels = open_log(nuscenes)[3].labels
    row = labels.track_id.tolist().index(token("scene-0001", "standing"))
    assert np.isfinite(labels.velocity[row]).all() == known


def test_the_rest_of_an_annotation_is_kept_beside_the_labels(nuscenes):
    log = open_log(nuscenes)
    details = log.source.label_details(log[3].time_ns)
    order = [log[3].labels.track_id.tolist().index(token("scene-0001", name)) for name in ("moving", "standing")]
    assert details.num_radar_points[order].tolist() == [3, 3]
    assert details.visibility[order].tolist() == ["v80-100", ""]
    assert details.attributes[order].tolist() == ["vehicle.moving", ""]
    # what a metric asks for is in the labels too
    assert log[3].labels.num_radar_points[order].tolist() == [3, 3]
    assert log[3].labels.attributes[order].tolist() == ["vehicle.moving", ""]
    assert log.source.label_details(log[3].time_ns + 1) is None
    assert log.source.sample_token(log[3].time_ns) == token("scene-0001", "sample", 3)
    assert said(lambda: log.source.sample_token(5), MissingRecord) == f"{nuscenes}: no keyframe of scene-0001 at 5 ns"


def test_a_version_without_annotations_has_no_labels(nuscenes):
    for table in ("sample_annotation", "instance"):
        change(nuscenes, table, lambda rows: rows.clear())
    log = open_log(nuscenes)
    assert log[0].labels is None
    assert log.source.label_details(log[0].time_ns) is None


def test_a_keyframe_without_a_box_has_an_empty_set(nuscenes):
    change(nuscenes, "sample_annotation", lambda rows: rows.__setitem__(slice(None), rows[:1]))
    log = open_log(nuscenes)
    assert [len(frame.labels) for frame in log] == [1, 0, 0, 0]
    assert log[1].labels.velocity.shape == (0, 2)


def test_a_download_of_keyframes_alone_has_keyframes(nuscenes):
    (nuscenes / "sweeps").rename(nuscenes / "unused")
    log = open_log(nuscenes)
    assert len(log.source.lidars["LIDAR_TOP"]) == len(log) == SAMPLES
    assert len(log[-1].sweeps(10)) == 4
    assert len(log.source.poses.times_ns) > 5 * SAMPLES


def test_sensors_that_were_not_downloaded_are_left_out(nuscenes):
    for folder in ("samples", "sweeps"):
        (nuscenes / folder / "CAM_BACK").rename(nuscenes / f"{folder} unused")
        (nuscenes / folder / "LIDAR_TOP").rename(nuscenes / f"{folder} unused too")
    log = open_log(nuscenes)
    assert (list(log.source.lidars), list(log.source.cameras)) == ([], ["CAM_FRONT"])
    # then the frames are the first camera's, and so are the labels' times
    assert log[0].time_ns == (START_US - 35_491) * 1000
    assert len(log[0].labels) == 2


def test_tables_alone_are_no_log(nuscenes):
    for folder in ("samples", "sweeps"):
        (nuscenes / folder).rename(nuscenes / f"{folder} unused")
    assert said(lambda: open_log(nuscenes), MissingRecord) == (
        f"{nuscenes}: has the tables of scene-0001 but none of the folders of its records, such as samples/LIDAR_TOP; "
        "unpack the sensors' files there"
    )


def test_a_source_can_be_sent_to_another_process(nuscenes):
    source = open_log(nuscenes).source
    sent = pickle.loads(pickle.dumps(source))
    assert sent.read_lidar("LIDAR_TOP", 3).x.tobytes() == source.read_lidar("LIDAR_TOP", 3).x.tobytes()


def test_a_sweep_cut_short_is_named(nuscenes):
    path = next((nuscenes / "samples" / "LIDAR_TOP").glob(f"*{START_US}*"))
    path.write_bytes(path.read_bytes()[:-7])
    assert said(lambda: open_log(nuscenes)[0].lidar) == (
        f"{path}: 1593 bytes is not a multiple of 20 (5 float32 per point); the file is cut short"
    )
    path.unlink()
    assert said(lambda: open_log(nuscenes)[0].lidar, MissingRecord) == f"{path}: no such file; the sweep is missing"


@pytest.mark.parametrize(
    "name", ["../outside.bin", "/etc/passwd", "samples/LIDAR_TOP/../../../outside.bin", "", "a\0b"]
)
def test_a_file_name_never_leaves_the_logs_folder(nuscenes, name):
    (nuscenes.parent / "outside.bin").write_bytes(b"\0" * 40)

    def point_outside(rows):
        next(row for row in rows if "LIDAR" in row["filename"] and row["timestamp"] == START_US)["filename"] = name

    change(nuscenes, "sample_data", point_outside)
    log = open_log(nuscenes)
    assert said(lambda: log[0].lidar) == (
        f"{nuscenes / VERSION / 'sample_data.json'}: file name {name!r} leaves the log's folder, wanted a path below it"
    )
    assert len(log[1].lidar) == 80


@pytest.mark.parametrize(
    ("table", "field", "value", "wanted"),
    [
        ("sample_annotation", "translation", [float("nan"), 0, 0], "translation [nan, 0.0, 0.0], size [2.0, 4.5, 1.5]"),
        ("sample_annotation", "size", [1, -2, 3], "size [1.0, -2.0, 3.0]"),
        ("sample_annotation", "rotation", [0, 0, 0, 0], "rotation [0.0, 0.0, 0.0, 0.0]; wanted finite metres"),
        ("sample_annotation", "rotation", [0, 0, 0], "rotation [nan, nan, nan, nan]; wanted finite metres"),
        ("sample_annotation", "translation", None, "translation [nan, nan, nan], size [2.0, 4.5, 1.5]"),
        ("sample_annotation", "translation", [1, None, 0], "translation [1.0, nan, 0.0], size [2.0, 4.5, 1.5]"),
        ("sample_annotation", "num_lidar_pts", "many", "not the expected rows (Expected `int`, got `str`"),
        ("sample_annotation", "sample_token", "x", "a row names 'x', which sample.json does not have"),
        ("sample_annotation", "instance_token", "x", "a row names 'x', which instance.json does not have"),
        ("sample_annotation", "visibility_token", "x", "a row names 'x', which visibility.json does not have"),
        ("sample_annotation", "attribute_tokens", ["x"], "a row names 'x', which attribute.json does not have"),
        ("sample_annotation", "instance_token", None, "not the expected rows (Expected `str`, got `null`"),
        ("sample_data", "timestamp", 2**63, "not the expected rows (Expected `int` <= 9000000000000000"),
        ("sample_data", "timestamp", -1, "not the expected rows (Expected `int` >= 0"),
        ("sample_data", "calibrated_sensor_token", "x", "a row names 'x', which calibrated_sensor.json does not have"),
        ("sample", "scene_token", "x", "a row names 'x', which scene.json does not have"),
        ("scene", "log_token", "x", "a row names 'x', which log.json does not have"),
        ("instance", "category_token", "x", "a row names 'x', which category.json does not have"),
    ],
)
def test_a_broken_row_is_named(nuscenes, table, field, value, wanted):
    def break_it(rows):
        rows[0][field] = value

    change(nuscenes, table, break_it)
    text = said(lambda: (lambda frame: (frame.labels, frame.world_from_ego))(open_log(nuscenes)[0]))
    assert text.startswith(f"{nuscenes / VERSION / table}.json: ")
    assert wanted in text


def test_a_broken_calibration_is_named_when_its_sensor_is_read(nuscenes):
    def turn(rows):
        rows[2]["rotation"] = [1, 1, 0, 0]
        rows[0]["camera_intrinsic"][2][2] = 0

    change(nuscenes, "calibrated_sensor", turn)
    frame = open_log(nuscenes)[0]
    path = nuscenes / VERSION / "calibrated_sensor.json"
    assert said(lambda: frame.lidar).startswith(f"{path}: row 2 has rotation [1.0, 1.0, 0.0, 0.0] and translation [0.9")
    assert said(lambda: frame.cameras["CAM_FRONT"]).startswith(f"{path}: row 0 has camera_intrinsic [[1200.0, ")
    assert len(frame.radars["RADAR_FRONT"]) == 30
    assert frame.cameras["CAM_BACK"].decode().shape == (9, 16, 3)


def test_two_boxes_of_one_instance_in_a_sample_are_refused(nuscenes):
    change(nuscenes, "sample_annotation", lambda rows: rows.append(rows[0] | {"token": "twin"}))
    log = open_log(nuscenes)
    assert said(lambda: log[0].labels) == (
        f"{nuscenes / VERSION / 'sample_annotation.json'}: instance {token('scene-0001', 'moving')} has two boxes "
        "in one sample, wanted one"
    )
    assert len(log[1].labels) == 3


def test_two_rows_of_one_token_are_refused(nuscenes):
    change(nuscenes, "sample", lambda rows: rows.append(rows[0]))
    assert said(lambda: open_log(nuscenes)) == (
        f"{nuscenes / VERSION / 'sample.json'}: two rows have the token {token('scene-0001', 'sample', 0)}, wanted one"
    )


def test_a_missing_table_is_named(nuscenes):
    path = nuscenes / VERSION / "ego_pose.json"
    path.unlink()
    assert said(lambda: open_log(nuscenes), MissingRecord) == f"{path}: no such file; nuScenes needs this table"


def test_two_records_of_one_time_are_named(nuscenes):
    def twin(rows):
        lidar = [row for row in rows if "LIDAR" in row["filename"]]
        lidar[1]["timestamp"] = lidar[0]["timestamp"]

    change(nuscenes, "sample_data", twin)
    assert f"{nuscenes}: the times of frames must increase" in said(
        lambda: open_log(nuscenes, frames="sweeps"), LogError
    )


def test_poses_of_one_time_are_one_and_the_lidars_wins(nuscenes):
    def same_time(rows):
        rows.append(rows[0] | {"token": "again", "rotation": quaternion_from_yaw(0.0).tolist()})

    def use_it(rows):
        camera = next(row for row in rows if row["filename"].startswith("sweeps/CAM_BACK"))
        camera["ego_pose_token"] = "again"

    def lidar_first(rows):
        lidar = next(row for row in rows if row["filename"].startswith("samples/LIDAR_TOP"))
        rows.sort(key=lambda row: row["token"] != lidar["token"])

    change(nuscenes, "sample_data", lidar_first)
    rows = []
    change(nuscenes, "sample_data", rows.extend)
    change(nuscenes, "ego_pose", lambda poses: poses.sort(key=lambda pose: pose["token"] != rows[0]["ego_pose_token"]))
    change(nuscenes, "ego_pose", same_time)
    change(nuscenes, "sample_data", use_it)
    log = open_log(nuscenes)
    stamp_us = rows[0]["timestamp"]
    np.testing.assert_allclose(log.world_from_ego(stamp_us * 1000), world_from_ego(stamp_us), atol=1e-12)


def test_labels_are_told_in_the_axes_of_a_lidar_that_looks_to_the_right(nuscenes):
    frame = open_log(nuscenes)[1]
    labels = frame.labels
    turned = labels.in_frame("lidar")
    assert (labels.frame, turned.frame) == ("ego", "lidar")
    ego_from_lidar = frame.ego_from_lidar
    np.testing.assert_array_equal(ego_from_lidar, frame.lidar.ego_from_sensor)
    # nuScenes' lidar has its x to the right of the car and its y ahead
    place = np.stack([-labels.boxes[:, 1], labels.boxes[:, 0] - 0.9, labels.boxes[:, 2] - 1.8], axis=1)
    np.testing.assert_allclose(turned.boxes[:, :3], place, atol=1e-9)
    np.testing.assert_array_equal(turned.boxes[:, 3:6], labels.boxes[:, 3:6])
    quarter = np.exp(1j * turned.boxes[:, 6]) / np.exp(1j * labels.boxes[:, 6])
    np.testing.assert_allclose(quarter, 1j, atol=1e-9)
    np.testing.assert_allclose(turned.velocity, labels.velocity[:, ::-1] * [-1, 1], atol=1e-9)
    assert np.isnan(turned.velocity).any() == np.isnan(labels.velocity).any()
    back = turned.in_frame("ego")
    np.testing.assert_allclose(back.boxes[:, :6], labels.boxes[:, :6], atol=1e-9)
    assert turned.in_frame("lidar") is turned
    assert (turned.category is labels.category, turned.track_id is labels.track_id) == (True, True)
