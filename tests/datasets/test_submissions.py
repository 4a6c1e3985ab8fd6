"""Files that others judge: what is handed in is read back to the same boxes, by our readers and by the devkits' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from perceptum.dataset import class_map
from perceptum.datasets import open_log
from perceptum.errors import UsageError
from perceptum.inputs import Dataset, encode_jpeg
from perceptum.inputs.poses import inverse, rotation_from_quaternion, yaw_from_rotation
from perceptum.results import ResultsWriter
from perceptum.submissions import Detected, Forecast, write_forecasts, write_submission
from perceptum.submissions.nuscenes import default_attribute

from .made_nuscenes import VERSION, change

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-devkit"
OUTPUTS = [
    {"name": "boxes", "dtype": "float32", "shape": ["n", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["n"]},
    {"name": "labels", "dtype": "int64", "shape": ["n"]},
]


def labels_as_detected(log, classes=None):
    """What is labelled, as if it had been found."""
    for frame in log:
        labels = frame.labels
        named = labels.category if classes is None else np.array([class_map(classes)(c) for c in labels.category])
        scores = np.linspace(0.9, 0.1, len(labels))
        yield Detected(frame, labels.boxes, scores, named.astype(np.str_), labels.velocity)


def alike(found, wanted):
    """Boxes to 1e-6, and yaws up to whole turns."""
    np.testing.assert_allclose(found[:, :6], wanted[:, :6], atol=1e-6)
    assert np.abs(np.angle(np.exp(1j * (found[:, 6] - wanted[:, 6])))).max(initial=0) < 1e-6


# ------------------------------------------------------------------------------------------------------------ KITTI


@pytest.fixture
def kitti(kitti):
    """With pictures of KITTI's own size, in which its boxes are."""
    for path in (kitti / "training" / "image_2").iterdir():
        path.write_bytes(encode_jpeg(np.zeros((375, 1242, 3), np.uint8)))
    return kitti


def read_as_labels(root, results):
    """The results as labels of a copy of the split."""
    copy = results.parent / "as_labels"
    shutil.copytree(root, copy)
    shutil.rmtree(copy / "training" / "label_2")
    shutil.copytree(results, copy / "training" / "label_2")
    return open_log(copy)


def test_kitti_results_are_read_back_as_the_same_boxes(kitti, tmp_path):
    log = open_log(kitti)
    written = write_submission("kitti", labels_as_detected(log), log, tmp_path / "results")
    assert sorted(path.name for path in written.path.iterdir()) == [f"{frame.id}.txt" for frame in log]
    for frame, again in zip(log, read_as_labels(kitti, written.path), strict=True):
        shown = [i for i, name in enumerate(frame.labels.category) if name in again.labels.category]
        alike(again.labels.boxes, frame.labels.boxes[shown])
    hidden = sum(written.left_out.values())
    lines = [line for frame in log for line in (written.path / f"{frame.id}.txt").read_text().splitlines()]
    assert len(lines) + hidden == written.boxes
    words = lines[0].split()
    assert len(words) == 16
    assert words[1:3] == ["-1", "-1"]


@pytest.mark.parametrize("y_m", [-8.0, 0.0, 8.0])
def test_what_looks_away_from_the_camera_does_so_wherever_it_is(kitti, tmp_path, y_m):
    """alpha of KITTI: the heading as it is seen, -pi/2 for a car that drives away along the ray to it."""
    log = open_log(kitti)
    box = np.array([[30.0, y_m, -1, 4, 1.8, 1.5, np.arctan2(y_m, 30)]])
    found = [Detected(frame, box, np.ones(1), np.array(["Car"])) for frame in log]
    written = write_submission("kitti", found, log, tmp_path / "results")
    [line] = (written.path / f"{log[0].id}.txt").read_text().splitlines()
    alpha, ry = float(line.split()[3]), float(line.split()[14])
    assert alpha == pytest.approx(-np.pi / 2, abs=0.02)
    assert ry == pytest.approx(-np.pi / 2 - np.arctan2(y_m, 30), abs=0.02)


@pytest.mark.data
def test_kitti_results_of_real_labels_say_what_was_labelled(real_kitti, tmp_path):
    log = open_log(real_kitti)
    written = write_submission("kitti", labels_as_detected(log), log, tmp_path / "results")
    (text,) = written.path.iterdir()
    found = [line.split() for line in text.read_text().splitlines()]
    label = next((real_kitti / "training" / "label_2").iterdir()).read_text().splitlines()
    wanted = [line.split() for line in label if not line.startswith("DontCare")]
    assert [row[0] for row in found] == [row[0] for row in wanted]
    ours, theirs = (np.array([row[3:15] for row in rows], float) for rows in (found, wanted))
    # heights, widths, places and angles as labelled; the pictures' boxes were drawn by hand, and alpha has two digits
    np.testing.assert_allclose(ours[:, 5:11], theirs[:, 5:11], atol=1e-6)
    assert np.abs(np.angle(np.exp(1j * (ours[:, [0, 11]] - theirs[:, [0, 11]])))).max() < 0.02
    assert np.median(np.abs(ours[:, 1:5] - theirs[:, 1:5])) < 4


def test_what_the_picture_does_not_show_is_no_detection_of_kitti(kitti, tmp_path):
    log = open_log(kitti)
    behind = np.array([[-20.0, 0, 0, 4, 2, 1.5, 0]])
    found = [Detected(frame, behind, np.ones(1), np.array(["Car"])) for frame in log]
    written = write_submission("kitti", found, log, tmp_path / "results")
    assert written.left_out == {"not in the picture of image_2": 3}
    assert [path.read_text() for path in written.path.iterdir()] == ["", "", ""]


# --------------------------------------------------------------------------------------------------------- nuScenes


def test_two_splits_that_count_alike_are_not_written_over_each_other(kitti, tmp_path):
    logs = open_log(kitti), open_log(shutil.copytree(kitti, tmp_path / "another"))
    found = [one for log in logs for one in labels_as_detected(log)]
    with pytest.raises(UsageError, match=r"another log has a frame 00000\d too; write one split at a time"):
        write_submission("kitti", found, Dataset(logs), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def nuscenes_rows(path):
    return json.loads(path.read_text())


def test_nuscenes_results_are_read_back_as_the_same_boxes(nuscenes, tmp_path):
    log = open_log(nuscenes)
    written = write_submission(
        "nuscenes", labels_as_detected(log, "nuscenes"), log, tmp_path / "results.json", uses=["lidar"]
    )
    whole = nuscenes_rows(written.path)
    assert whole["meta"] == {f"use_{k}": k == "lidar" for k in ("camera", "lidar", "radar", "map", "external")}
    assert list(whole["results"]) == [frame.id for frame in log]
    for frame in log:
        rows, labels = whole["results"][frame.id], frame.labels
        ego_from_world = inverse(frame.world_from_ego)
        centre = np.array([row["translation"] for row in rows]) @ ego_from_world[:3, :3].T + ego_from_world[:3, 3]
        turn = ego_from_world[:3, :3] @ rotation_from_quaternion([row["rotation"] for row in rows])
        wlh = np.array([row["size"] for row in rows])
        alike(np.column_stack([centre, wlh[:, [1, 0, 2]], yaw_from_rotation(turn)]), labels.boxes)
        known = ~np.isnan(labels.velocity).any(axis=1)
        velocity = np.array([[*row["velocity"], 0.0] for row in rows]) @ ego_from_world[:3, :3].T
        # the ego frame nods by up to 0.01 rad, and what it does not see of a velocity is its height
        np.testing.assert_allclose(velocity[known, :2], labels.velocity[known], atol=1e-3)
        assert all(row["sample_token"] == frame.id for row in rows)


def test_our_reader_takes_nuscenes_results_for_annotations(nuscenes, tmp_path):
    log = open_log(nuscenes)
    path = tmp_path / "results.json"
    write_submission("nuscenes", labels_as_detected(log, "nuscenes"), log, path, uses=["lidar"])
    results, wanted = nuscenes_rows(path)["results"], [frame.labels for frame in log]
    of_sample = {frame.id: dict(zip(frame.labels.track_id, results[frame.id], strict=True)) for frame in log}

    def move(rows):
        for row in rows:
            own = of_sample[row["sample_token"]][row["instance_token"]]
            row |= {key: own[key] for key in ("translation", "size", "rotation")}

    change(nuscenes, "sample_annotation", move)
    copy = tmp_path / "again"
    shutil.copytree(nuscenes, copy)
    for frame, labels in zip(open_log(copy), wanted, strict=True):
        alike(frame.labels.boxes, labels.boxes)


@pytest.mark.devkit
def test_nuscenes_own_devkit_reads_the_same_boxes(nuscenes, tmp_path):
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("nuScenes' devkit is not installed; `make devkit` does that, in an environment of its own")
    log = open_log(nuscenes)
    path, out = tmp_path / "results.json", tmp_path / "read.json"
    found = list(labels_as_detected(log, "nuscenes"))
    write_submission("nuscenes", found, log, path, uses=["camera", "lidar"])
    (nuscenes / "maps" / "a.png").touch()
    command = [ENVIRONMENT / "bin" / "python", "-I", HERE / "devkit_submission.py", path, nuscenes, VERSION, out]
    env = os.environ | {"MPLCONFIGDIR": str(ENVIRONMENT / "matplotlib")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    assert read["meta"]["use_camera"]
    assert not read["meta"]["use_radar"]
    for one in found:
        rows = np.array(read["boxes"][one.frame.id]).reshape(-1, 10)
        alike(np.column_stack([rows[:, :3], rows[:, [4, 3, 5, 6]]]), one.boxes)
        np.testing.assert_allclose(rows[:, 9], one.scores)
        assert [name for name, _ in read["names"][one.frame.id]] == one.labels.tolist()


@pytest.mark.parametrize(
    ("label", "speed_m_s", "attribute"),
    [
        ("car", 0.0, "vehicle.parked"),
        ("car", 0.3, "vehicle.moving"),
        ("bus", 0.2, "vehicle.stopped"),
        ("trailer", 5.0, "vehicle.moving"),
        ("bicycle", 0.1, "cycle.without_rider"),
        ("motorcycle", 2.0, "cycle.with_rider"),
        ("pedestrian", 0.0, "pedestrian.standing"),
        ("pedestrian", 1.0, "pedestrian.moving"),
        ("barrier", 1.0, ""),
        ("traffic_cone", 0.0, ""),
    ],
)
def test_an_attribute_that_a_model_does_not_give_follows_from_class_and_speed(label, speed_m_s, attribute):
    assert default_attribute(label, speed_m_s) == attribute


def test_a_sample_has_at_most_500_boxes_of_the_highest_scores(nuscenes, tmp_path):
    log = open_log(nuscenes)
    n = 510
    boxes = np.tile([5.0, 0, 0, 4, 2, 1.5, 0], (n, 1))
    scores = np.linspace(0, 1, n)
    found = [Detected(frame, boxes, scores, np.full(n, "car")) for frame in log]
    written = write_submission("nuscenes", found, log, tmp_path / "results.json", uses=())
    assert written.left_out == {"beyond the 500 of a sample": 10 * len(log)}
    rows = nuscenes_rows(written.path)["results"][log[0].id]
    assert [row["detection_score"] for row in rows] == scores[10:].tolist()
    # velocity is not known, so that none moves
    assert {(row["velocity"][0], row["attribute_name"]) for row in rows} == {(0.0, "vehicle.parked")}


def test_a_velocity_that_is_not_a_number_is_0(nuscenes, tmp_path):
    log = open_log(nuscenes)
    boxes, velocity = np.tile([5.0, 0, 0, 4, 2, 1.5, 0], (3, 1)), np.array([[np.inf, 1], [np.nan, 3], [3, 0]])
    found = [Detected(frame, boxes, np.ones(3), np.array(["car"] * 3), velocity) for frame in log]
    rows = nuscenes_rows(write_submission("nuscenes", found, log, tmp_path / "results.json", uses=()).path)["results"][
        log[0].id
    ]
    assert [np.hypot(*row["velocity"]).round(2) for row in rows] == [0, 0, 3]
    assert [row["attribute_name"] for row in rows] == ["vehicle.parked", "vehicle.parked", "vehicle.moving"]


def test_a_model_may_give_attributes(nuscenes, tmp_path):
    log = open_log(nuscenes)
    box = np.array([[5.0, 0, 0, 4, 2, 1.5, 0]])
    given = np.array(["vehicle.stopped"])
    found = [Detected(frame, box, np.ones(1), np.array(["car"]), attributes=given) for frame in log]
    written = write_submission("nuscenes", found, log, tmp_path / "results.json", uses=())
    assert nuscenes_rows(written.path)["results"][log[0].id][0]["attribute_name"] == "vehicle.stopped"
    strange = [Detected(frame, box, np.ones(1), np.array(["car"]), attributes=np.array(["lost"])) for frame in log]
    with pytest.raises(UsageError, match=r"has the attribute 'lost'; there are pedestrian.moving, "):
        write_submission("nuscenes", strange, log, tmp_path / "other.json", uses=())
    assert not (tmp_path / "other.json").exists()


# ------------------------------------------------------------------------------------------------------ Argoverse 2


def argoverse2_table(log, path):
    write_submission("argoverse2", labels_as_detected(log), log, path)
    return feather.read_table(path)


def test_argoverse_2_results_are_read_back_as_the_same_boxes(argoverse2, tmp_path):
    log = open_log(argoverse2)
    wanted = [frame.labels for frame in log]
    table = argoverse2_table(log, tmp_path / "results.feather")
    assert set(table["log_id"].to_pylist()) == {log.source.name}
    # the same columns as annotations, but for the track and the points
    more = {"track_uuid": [str(i) for i in range(len(table))], "num_interior_pts": [1] * len(table)}
    for name, values in more.items():
        table = table.append_column(name, pa.array(values))
    feather.write_feather(table, argoverse2 / "annotations.feather")
    for frame, labels in zip(open_log(argoverse2), wanted, strict=True):
        alike(frame.labels.boxes, labels.boxes)
        assert frame.labels.category.tolist() == labels.category.tolist()


@pytest.mark.data
def test_argoverse_2_own_evaluation_judges_real_labels_as_it_judges_its_own_table(real_argoverse2, tmp_path):
    pd = pytest.importorskip("pandas")
    evaluation = pytest.importorskip("av2.evaluation.detection.eval", reason="needs av2: pip install av2")
    from av2.evaluation.detection.utils import DetectionCfg

    log = open_log(real_argoverse2)
    path = tmp_path / "results.feather"
    argoverse2_table(log, path)
    ours, labels = pd.read_feather(path), pd.read_feather(real_argoverse2 / "annotations.feather")
    labels["log_id"] = log.source.name
    labels = labels[labels["timestamp_ns"].isin(ours["timestamp_ns"])]
    theirs = labels.assign(score=1.0)
    ours["score"] = 1.0
    cfg = DetectionCfg(eval_only_roi_instances=False)
    judged = [evaluation.evaluate(table, labels, cfg, n_jobs=1)[-1] for table in (ours, theirs)]
    pd.testing.assert_frame_equal(*judged, atol=1e-9, rtol=0)
    assert judged[0]["AP"].max() == 1.0


# ------------------------------------------------------------------------------------------------ what cannot be had


CAR = {"boxes": np.array([[20.0, 1, 0, 4, 2, 1.5, 0.3]], np.float32), "scores": np.array([0.5], np.float32)}


def results_of(log, path, **outputs):
    """A file of results with one box a frame."""
    labels = outputs.pop("labels", np.array([0]))
    rows = OUTPUTS if labels is not None else OUTPUTS[:2]
    with ResultsWriter(path, rows, {"log": log.source.location, "model": "m"}, {"boxes": "ego"}) as sink:
        for frame in log:
            own = {**CAR, **({} if labels is None else {"labels": labels}), **outputs}
            sink.write(frame.index, frame.time_ns, own, frame.id)
    return path


def test_files_of_infer_are_taken_and_classes_renamed(kitti, tmp_path):
    log = open_log(kitti)
    results = results_of(log, tmp_path / "results.arrow", labels=np.array([1]))
    written = write_submission(
        "kitti",
        results,
        log,
        tmp_path / "out",
        classes="vehicle,person",
        mapped={"person": "Pedestrian", "vehicle": ""},
    )
    assert (written.frames, written.boxes) == (3, 3)
    assert {path.read_text().split()[0] for path in written.path.iterdir()} == {"Pedestrian"}


def test_boxes_and_velocities_in_the_lidars_axes_are_turned(nuscenes, tmp_path):
    log = open_log(nuscenes)
    path = tmp_path / "results.parquet"
    rows = [*OUTPUTS, {"name": "velocity", "dtype": "float32", "shape": ["n", 2]}]
    with ResultsWriter(path, rows, {"log": log.source.location}, {"boxes": "lidar", "velocity": "lidar"}) as sink:
        for frame in log:
            own = {**CAR, "labels": np.array([0]), "velocity": np.array([[3.0, 1.0]], np.float32)}
            sink.write(frame.index, frame.time_ns, own, frame.id, frame.ego_from_lidar)
    written = write_submission("nuscenes", path, log, tmp_path / "out.json", uses=["lidar"])
    frame = log[2]
    (row,) = nuscenes_rows(written.path)["results"][frame.id]
    world_from_lidar = frame.world_from_ego @ frame.ego_from_lidar
    centre = world_from_lidar[:3, :3] @ CAR["boxes"][0, :3] + world_from_lidar[:3, 3]
    np.testing.assert_allclose(row["translation"], centre, atol=1e-5)
    turned = frame.world_from_ego[:2, :2] @ frame.ego_from_lidar[:2, :2] @ [3.0, 1.0]
    np.testing.assert_allclose(row["velocity"], turned, atol=1e-5)
    assert row["attribute_name"] == "vehicle.moving"


def test_results_without_labels_need_the_name_of_the_class(kitti, tmp_path):
    log = open_log(kitti)
    results = results_of(log, tmp_path / "results.arrow", labels=None)
    with pytest.raises(UsageError, match=r"has no 'labels', and there are 3 classes; a model of one class names it"):
        write_submission("kitti", results, log, tmp_path / "out")
    written = write_submission("kitti", results, log, tmp_path / "out", classes=["Car"])
    assert {path.read_text().split()[0] for path in written.path.iterdir()} == {"Car"}


@pytest.mark.parametrize(
    ("outputs", "given", "message"),
    [
        ({"labels": np.array([3])}, {}, "label 3 is not one of the 3, Car, Pedestrian, Cyclist, from 0"),
        ({}, {"classes": "vehicle"}, "has the class 'vehicle', which the format does not have; say which of its own"),
        ({}, {"mapped": {"Car": "car"}}, "'Car' cannot be 'car', which the format does not have; it has Car, Van"),
        ({}, {"mapped": {"Bus": "Car"}}, "'Bus' is mapped and is not one of the classes Car, Pedestrian, Cyclist"),
        ({"boxes": CAR["boxes"] * np.float32(np.nan)}, {}, "1 box of 1 cannot be handed in, first box 0, [nan, nan"),
        ({"boxes": -CAR["boxes"]}, {}, "wanted finite numbers and sizes above 0"),
        ({"scores": np.array([np.inf], np.float32)}, {}, "with the score inf; wanted finite numbers"),
        ({"scores": np.ones(2, np.float32)}, {}, "scores must be (1,) for 1 box, got (2,)"),
        ({}, {"uses": ["lidar"]}, "KITTI's results do not say what a model looks at; leave uses out"),
    ],
)
def test_what_cannot_be_handed_in_is_refused_and_nothing_is_written(kitti, tmp_path, outputs, given, message):
    log = open_log(kitti)
    results = results_of(log, tmp_path / "results.arrow", **outputs)
    with pytest.raises(UsageError) as error:
        write_submission("kitti", results, log, tmp_path / "out", **given)
    assert message in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kitti", "results.arrow"]


def test_frames_without_results_are_listed_or_taken_as_empty(kitti, tmp_path):
    log = open_log(kitti)
    found = list(labels_as_detected(log))[1:2]
    with pytest.raises(UsageError, match=r"2 frames of the 3 of kitti_object have no results: 000003, 000010; run the"):
        write_submission("kitti", found, log, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    written = write_submission("kitti", found, log, tmp_path / "out", missing_are_empty=True)
    assert written.frames == 3
    assert {path.name: bool(path.read_text()) for path in written.path.iterdir()} == {
        "000003.txt": False,
        "000004.txt": True,
        "000010.txt": False,
    }


def test_a_split_that_is_some_of_a_logs_frames_is_whole(kitti, tmp_path):
    log = open_log(kitti)
    some = Dataset.of(log).subset([2, 0])
    found = [one for one in labels_as_detected(log) if one.frame.index != 1]
    written = write_submission("kitti", found, some, tmp_path / "out")
    assert sorted(path.name for path in written.path.iterdir()) == ["000003.txt", "000010.txt"]
    results = results_of(log, tmp_path / "results.arrow")
    with pytest.raises(UsageError, match=r"frame 1 \(000004\) of .* is not in kitti_object"):
        write_submission("kitti", results, some, tmp_path / "other")
    with pytest.raises(UsageError, match=r"frame 000003 of .* is listed twice"):
        write_submission("kitti", found, Dataset.of(log).subset([0, 0]), tmp_path / "other")


def test_results_of_other_frames_or_twice_are_refused(kitti, argoverse2, tmp_path):
    log, other = open_log(kitti), open_log(argoverse2)
    results = results_of(other, tmp_path / "results.arrow")
    with pytest.raises(UsageError, match=r"results.arrow: frame 0 \(\d+\) of .*log-0001 is not in kitti_object; name"):
        write_submission("kitti", results, log, tmp_path / "out")
    with pytest.raises(UsageError, match=r"is of argoverse2, and nuScenes' results are of its samples"):
        write_submission("nuscenes", labels_as_detected(other, {"car": ["*"]}), other, tmp_path / "out.json", uses=())
    own = results_of(log, tmp_path / "own.arrow")
    again = shutil.copy(own, tmp_path / "again.arrow")
    with pytest.raises(UsageError, match=r"again.arrow: frame 0 \(000003.*has results in .*own.arrow too"):
        write_submission("kitti", [own, again], log, tmp_path / "out")


def test_nuscenes_results_say_what_the_model_looks_at(nuscenes, tmp_path):
    log = open_log(nuscenes)
    for uses, message in ((None, "say what the model looks at: uses=, --uses"), (["sonar"], "no 'sonar'; there are")):
        with pytest.raises(UsageError, match=message):
            write_submission("nuscenes", [], log, tmp_path / "out.json", uses=uses)


# -------------------------------------------------------------------------------------- Argoverse 2's motion forecasts


def forecasts_of(log, ways=8):
    """Straight on at 5 m/s and a little to the left, of which each way is surer than the last."""
    along = np.stack([0.5 * np.arange(1, 61), np.zeros(60)], axis=1)
    trajectories = np.stack([along + np.array([0, 0.1 * way]) for way in range(ways)])
    return Forecast(log[2], "7", trajectories, np.arange(1.0, ways + 1))


def test_forecasts_are_in_the_city_frame_the_six_surest_with_probabilities_of_one(argoverse2_forecasting, tmp_path):
    log = open_log(argoverse2_forecasting)
    given = forecasts_of(log)
    assert write_forecasts(tmp_path / "forecasts.parquet", [given]) == 1
    rows = parquet.read_table(tmp_path / "forecasts.parquet").to_pylist()
    assert [(row["scenario_id"], row["track_id"]) for row in rows] == [(log.source.name, "7")] * 6
    np.testing.assert_allclose([row["probability"] for row in rows], np.arange(8, 2, -1) / 33)
    # the ego is at (100, 52) and looks north
    np.testing.assert_allclose(rows[0]["predicted_trajectory_y"], 52 + 0.5 * np.arange(1, 61), atol=1e-9)
    np.testing.assert_allclose(rows[0]["predicted_trajectory_x"], np.full(60, 100 - 0.7), atol=1e-9)


def test_argoverse_2_own_class_reads_the_forecasts(argoverse2_forecasting, tmp_path):
    submission = pytest.importorskip("av2.datasets.motion_forecasting.eval.submission", reason="needs av2")
    log = open_log(argoverse2_forecasting)
    write_forecasts(tmp_path / "forecasts.parquet", [forecasts_of(log)])
    read = submission.ChallengeSubmission.from_parquet(tmp_path / "forecasts.parquet")
    probabilities, tracks = read.predictions[log.source.name]
    np.testing.assert_allclose(probabilities, np.arange(8, 2, -1) / 33)
    assert tracks["7"].shape == (6, 60, 2)


@pytest.mark.parametrize(
    ("trajectories", "probabilities", "message"),
    [
        (np.zeros((2, 30, 2)), np.ones(2), r"trajectories \(2, 30, 2\) and probabilities \(2,\); wanted \(K, 60, 2\)"),
        (np.zeros((0, 60, 2)), np.ones(0), r"wanted \(K, 60, 2\) and \(K,\)"),
        (np.full((1, 60, 2), np.nan), np.ones(1), "numbers that are not finite"),
        (np.zeros((2, 60, 2)), np.zeros(2), "probabilities below 0 or all 0"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(argoverse2_forecasting, trajectories, probabilities, message):
    with pytest.raises(UsageError, match=message):
        Forecast(open_log(argoverse2_forecasting)[2], "7", trajectories, probabilities)


def test_a_scenario_has_one_track(argoverse2_forecasting, argoverse2, tmp_path):
    one = forecasts_of(open_log(argoverse2_forecasting))
    with pytest.raises(UsageError, match=r"scenario s-1 has forecasts already; a scenario has one track"):
        write_forecasts(tmp_path / "forecasts.parquet", [one, one])
    assert not (tmp_path / "forecasts.parquet").exists()
    with pytest.raises(UsageError, match=r"is of argoverse2, and these forecasts are of Argoverse 2's scenarios"):
        write_forecasts(tmp_path / "forecasts.parquet", [replace(one, frame=open_log(argoverse2)[0])])
