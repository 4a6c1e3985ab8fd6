"""The detection metrics against nuscenes-devkit's and av2's own, which run in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features.classes import class_of, classes_of
from perceptum.inputs.poses import moved_boxes, quaternion_from_rotation, quaternion_from_yaw, rotation_from_quaternion
from perceptum.problems import Detection3d
from perceptum.problems.metrics.argoverse2_detection import Argoverse2Detection, within_roi
from perceptum.problems.metrics.nuscenes_detection import NuscenesDetection

from ..datasets.made_nuscenes import VERSION, change, make, token
from .boxes import ARGOVERSE2, NUSCENES, attributes, detections, made, observation, pooled

pytestmark = pytest.mark.devkit

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[1] / ".venv-devkit"
SEEDS = range(12)


@pytest.fixture(scope="module")
def devkits(tmp_path_factory):
    """devkits(judge, observations, classes, racks): what nuScenes' devkit, or av2, makes of them."""
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("nuScenes' devkit and av2 are not installed; `make devkit` does that, in an environment of its own")
    folder = tmp_path_factory.mktemp("devkits")
    command = [ENVIRONMENT / "bin" / "python", "-I", HERE / "devkits_judge.py"]
    # matplotlib, which both import, keeps a list of the system's fonts
    env = os.environ | {"MPLCONFIGDIR": str(ENVIRONMENT / "matplotlib")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:

        def ask(judge, observations, classes, **more):
            arrays = pooled(observations, classes) if observations else {}
            np.savez(folder / "boxes.npz", **arrays | more)
            process.stdin.write(json.dumps({"judge": judge, "boxes": str(folder / "boxes.npz")}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def check_same(scores, theirs):
    for name, number in theirs["summary"].items():
        assert scores.summary[name] == pytest.approx(number, abs=1e-9), name
    for of_class, numbers in theirs["classes"].items():
        own = scores.classes[of_class]
        for name, number in numbers.items():
            assert own[name] == pytest.approx(number, abs=1e-9, nan_ok=True), (of_class, name)


@pytest.mark.parametrize("steps", [None, 9, 1])
def test_made_up_boxes_are_judged_as_nuscenes_does(devkits, steps):
    """With classes that are absent, empty frames, equal scores, doubled detections and errors that are not known."""
    judge = NuscenesDetection(NUSCENES)
    for seed in SEEDS:
        observations = made(seed, steps=steps)
        check_same(judge.score(observations), devkits("nuscenes", observations, NUSCENES))


# within a sweep, av2 ranks equal scores as numpy's quicksort happens to leave them
@pytest.mark.parametrize("steps", [None, 9])
def test_made_up_boxes_are_judged_as_argoverse2_does(devkits, steps):
    judge = Argoverse2Detection(ARGOVERSE2)
    for seed in SEEDS:
        observations = made(seed, ARGOVERSE2, range_m=170, steps=steps)
        check_same(judge.score(observations), devkits("argoverse2", observations, ARGOVERSE2))


def test_what_stands_in_a_bicycle_rack_is_left_out_as_nuscenes_does(devkits):
    from perceptum.problems.metrics.nuscenes_detection import _inside

    judge, seen = NuscenesDetection(NUSCENES), 0
    for seed in SEEDS:
        rng, observations = np.random.default_rng(seed), made(seed)
        racks = np.column_stack(
            [rng.uniform(-20, 20, (24, 2)), np.zeros(24), rng.uniform(3, 9, (24, 3)), rng.uniform(-3, 3, 24)]
        )
        frames = np.arange(24) % len(observations)
        for k, one in enumerate(observations):
            for side in ("pred", "gt"):
                may = np.isin(one[f"{side}_label"], [NUSCENES.index("bicycle"), NUSCENES.index("motorcycle")])
                one[f"{side}_in_rack"] = _inside(one[f"{side}_boxes"], racks[frames == k]) & may
        scores = judge.score(observations)
        seen += scores.counts["labels in bicycle racks"] + scores.counts["detections in bicycle racks"]
        check_same(scores, devkits("nuscenes", observations, NUSCENES, racks=racks, rack_frame=frames))
    assert seen > 5


@pytest.mark.data
def test_noised_annotations_of_nuscenes_are_judged_as_it_does(devkits, real_data):
    """The 69 boxes of a real sample, with their velocities, one of them NaN, and points."""
    found = json.loads((real_data / "nuscenes/scene-0061/mmdet3d_info.json").read_text())
    [info], names = found["data_list"], {number: name for name, number in found["metainfo"]["categories"].items()}
    instances = [one for one in info["instances"] if names.get(one["bbox_label_3d"]) in NUSCENES]
    world_from_ego = np.array(info["ego2global"])
    # level as the world, about the vehicle
    world_from_ego[:3, 3] = 0
    level = world_from_ego @ np.array(info["lidar_points"]["lidar2ego"])
    label = np.array([NUSCENES.index(names[one["bbox_label_3d"]]) for one in instances])
    velocity = np.array([one["velocity"] for one in instances], float) @ level[:2, :2].T
    judge, judged = NuscenesDetection(NUSCENES), 0
    for seed in SEEDS:
        rng, observations = np.random.default_rng(seed), []
        for k in range(4):
            gt = {
                "boxes": moved_boxes(np.array([one["bbox_3d"] for one in instances]), level),
                "label": label,
                "velocity": velocity,
                "attribute": attributes(rng, label, NUSCENES, 0.1),
                "points": np.array([one["num_lidar_pts"] + one["num_radar_pts"] for one in instances]),
            }
            pred = detections(rng, gt, NUSCENES, 60.0)
            pred["score"] = rng.random(len(pred["label"])).astype(np.float32).astype(np.float64)
            observations.append(observation(k, gt, pred))
        scores = judge.score(observations)
        judged += scores.counts["objects"]
        check_same(scores, devkits("nuscenes", observations, NUSCENES))
    assert judged > 1000


@pytest.mark.data
def test_noised_annotations_of_argoverse2_are_judged_as_it_does(devkits, real_data):
    """All boxes of two real sweeps, from the frame on: what a model answers, and what the log's labels say."""
    [path] = (real_data / "argoverse2/sensor/val").iterdir()
    log, classes = open_log(path), classes_of("argoverse2")
    frames = [frame for frame in log if frame.labels is not None and len(frame.labels)]
    judge, judged = Argoverse2Detection(ARGOVERSE2), 0
    for seed in SEEDS:
        rng, observations = np.random.default_rng(seed), []
        for k, frame in enumerate(frames):
            labels = frame.labels
            label = np.array([class_of(str(one), classes) for one in labels.category])
            gt = {
                "boxes": labels.boxes[label >= 0],
                "label": label[label >= 0],
                "velocity": labels.velocity[label >= 0],
                "attribute": np.full((label >= 0).sum(), -1),
                "points": labels.num_points[label >= 0],
            }
            pred = detections(rng, gt, ARGOVERSE2, 150.0)
            pred["score"] = rng.random(len(pred["label"])).astype(np.float32).astype(np.float64)
            observations.append(observation(k, gt, pred))
        scores = judge.score(observations)
        judged += scores.counts["objects"]
        check_same(scores, devkits("argoverse2", observations, ARGOVERSE2))
    assert judged > 500


@pytest.mark.data
def test_boxes_near_the_drivable_area_of_a_real_map_are_those_of_av2(devkits, real_data):
    """av2 looks at cells of 0.1 m, whose edges are up to two of them from those of the polygons."""
    [path] = (real_data / "argoverse2/sensor/val").iterdir()
    frame, rng = next(frame for frame in open_log(path) if frame.labels is not None), np.random.default_rng(0)
    boxes = frame.labels.boxes[rng.integers(0, len(frame.labels), 3000)]
    boxes[:, :2] += rng.normal(0, 25, (3000, 2))
    theirs = np.array(devkits("roi", [], (), boxes=boxes, log=str(path), time_ns=frame.time_ns))
    ours, surely, perhaps = (within_roi(boxes, frame, within_m) for within_m in (5.0, 4.8, 5.2))
    assert 200 < theirs.sum() < 2800
    assert (surely <= theirs).all()
    assert (theirs <= perhaps).all()
    assert (ours == theirs).mean() > 0.99


# both of the devkit's mini_val
SCENES = ("scene-0103", "scene-0916")
KINDS = {
    "vehicle.car": "vehicle.moving",
    "vehicle.truck": "vehicle.parked",
    "human.pedestrian.adult": "pedestrian.standing",
    "vehicle.bicycle": "cycle.without_rider",
    "movable_object.barrier": "",
    "movable_object.trafficcone": "",
    "static_object.bicycle_rack": "",
    "animal": "",
}


def crowded(root):
    """A root of many boxes around the car, some of which are tracks; each kind has an attribute of its own, or none."""
    make(root, SCENES)
    tables = {name: json.loads((root / VERSION / f"{name}.json").read_text()) for name in ("sample", "ego_pose")}
    poses = {row["timestamp"]: np.array(row["translation"]) for row in tables["ego_pose"]}
    rng, boxes, instances = np.random.default_rng(0), [], []
    for scene in SCENES:
        samples = [row for row in tables["sample"] if row["scene_token"] == token("scene", scene)]
        for k in range(60):
            kind, seen = str(rng.choice(list(KINDS))), samples if k % 3 else samples[:1]
            place, speed = rng.uniform(-35, 35, 2), rng.normal(0, 3, 2)
            tokens = [token(scene, k, i) for i in range(len(seen))]
            for i, sample in enumerate(seen):
                centre = [*(poses[sample["timestamp"]][:2] + place + speed * i / 2), float(rng.normal(0, 1))]
                boxes.append(
                    {
                        "token": tokens[i],
                        "sample_token": sample["token"],
                        "instance_token": token(scene, k),
                        "visibility_token": "",
                        "translation": centre,
                        "size": (rng.uniform(0.5, 5, 3) * (3 if kind == "static_object.bicycle_rack" else 1)).tolist(),
                        "attribute_tokens": [token("attribute", KINDS[kind])] if KINDS[kind] else [],
                        "rotation": quaternion_from_yaw(rng.uniform(-3, 3)).tolist(),
                        "num_lidar_pts": int(rng.integers(0, 3)),
                        "num_radar_pts": int(rng.integers(0, 2)),
                        "prev": tokens[i - 1] if i else "",
                        "next": tokens[i + 1] if i + 1 < len(tokens) else "",
                    }
                )
            ends = {"first_annotation_token": tokens[0], "last_annotation_token": tokens[-1]}
            category = {"category_token": token("category", kind), "nbr_annotations": len(tokens)}
            instances.append({"token": token(scene, k), **category, **ends})
    names = {"category": sorted(KINDS), "attribute": sorted({*KINDS.values()} - {""})}
    for table, rows in names.items():
        new = [{"token": token(table, name), "name": name, "description": ""} for name in rows]
        change(root, table, lambda rows, new=new: rows.__setitem__(slice(None), new))
    change(root, "instance", lambda rows: rows.__setitem__(slice(None), instances))
    change(root, "sample_annotation", lambda rows: rows.__setitem__(slice(None), boxes))
    (root / "maps" / "a.png").touch()


class Detector:
    name, inputs = "detector", ()
    outputs = ({"name": "boxes", "dtype": "float32", "shape": ["n", 7], "frame": "ego"},)


def answer(rng, problem, frame):
    """What a model answers: most labels, noised, and some boxes of nothing."""
    labels = frame.labels
    of = np.array([class_of(str(one), problem.classes) for one in labels.category])
    rows = np.flatnonzero(of >= 0)[rng.random((of >= 0).sum()) < 0.8]
    rows = np.concatenate([rows, rows[:20]])
    boxes = labels.boxes[rows] + rng.normal(0, 0.4, (len(rows), 7)) * [1, 1, 1, 0.2, 0.2, 0.2, 0.3]
    boxes[:, 3:6] = np.abs(boxes[:, 3:6]) + 0.1
    velocity = np.nan_to_num(labels.velocity[rows]) + rng.normal(0, 0.5, (len(rows), 2))
    return {
        "boxes": boxes.astype(np.float32),
        "scores": rng.random(len(rows)).astype(np.float32),
        "labels": of[rows],
        "velocity": velocity.astype(np.float32),
        "attributes": rng.integers(-1, 8, len(rows)),
    }


def as_results(frame, outputs, problem):
    """Rows of a file of results, in the map's axes."""
    turn, place = frame.world_from_ego[:3, :3], frame.world_from_ego[:3, 3]
    boxes = outputs["boxes"].astype(np.float64)
    names = [*problem.metric.attributes, ""]
    turned = [
        quaternion_from_rotation(turn @ rotation_from_quaternion(quaternion_from_yaw(yaw))) for yaw in boxes[:, 6]
    ]
    return [
        {
            "sample_token": frame.id,
            "translation": (turn @ box[:3] + place).tolist(),
            "size": box[[4, 3, 5]].tolist(),
            "rotation": wxyz.tolist(),
            "velocity": (turn[:2, :2] @ outputs["velocity"][i].astype(np.float64)).tolist(),
            "detection_name": problem.classes[outputs["labels"][i]].name,
            "detection_score": float(outputs["scores"][i]),
            "attribute_name": names[outputs["attributes"][i]],
        }
        for i, (box, wxyz) in enumerate(zip(boxes, turned, strict=True))
    ]


def test_a_log_is_judged_as_nuscenes_judges_a_file_of_results(devkits, tmp_path):
    """From the log's frames and a model's outputs, against the devkit's own tables and a file: radar points, racks,
    attributes, tracks, and a car that nods by half a degree, by which headings and velocities differ a little."""
    root = tmp_path / "root"
    crowded(root)
    problem, rng = Detection3d(metric="nuscenes"), np.random.default_rng(1)
    targets, observations, results = InputBuilder(problem.targets, training=True), [], {}
    for scene in SCENES:
        for frame in open_log(root, scene=scene):
            outputs = answer(rng, problem, frame)
            observations.append(problem.observe(Detector(), outputs, targets.build(frame), frame))
            results[frame.id] = as_results(frame, outputs, problem)
    meta = {f"use_{name}": True for name in ("camera", "lidar", "radar", "map", "external")}
    (tmp_path / "results.json").write_text(json.dumps({"results": results, "meta": meta}))
    theirs = devkits("root", [], (), root=str(root), version=VERSION, results=str(tmp_path / "results.json"))
    scores = problem.score(observations)
    for name, number in theirs.items():
        off = {"mAOE": 1e-4, "mAVE": 1e-3, "NDS": 1e-4}.get(name, 1e-9)
        assert scores.summary[name] == pytest.approx(number, abs=off), name
    assert scores.summary["mAP"] > 0.2
    assert min(scores.counts[f"{kind} in bicycle racks"] for kind in ("labels", "detections")) > 0
    assert scores.counts["labels of too few points"] > 20
