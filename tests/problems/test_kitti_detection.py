"""KITTI's average precision, against one that follows the benchmark's rules word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.errors import UsageError
from perceptum.inputs import Labels, MissingRecord
from perceptum.problems import problem_named
from perceptum.problems.metrics.kitti_detection import KittiDetection
from perceptum.problems.metrics.picture_boxes import picture_boxes
from perceptum.problems.metrics.rotated_overlap import rotated_overlaps

from .scenes import CLASSES, SIZE, Scene, found_boxes, frame_of, labelled_boxes, scene, shown_in

VIEWS = ("3D", "BEV", "2D")
DIFFICULTY = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.3), "hard": (25, 2, 0.5)}
BESIDE = {"Car": "Van", "Pedestrian": "Person_sitting", "Cyclist": None}


def overlap_of(a, b, share_of_a=False):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if not (w > 0 and h > 0):
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1])
    return w * h / (area if share_of_a else area + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


class OneFrame:
    """What one frame is for one class and difficulty: objects and detections that count (0), or neither way (1)."""

    def __init__(self, scene, cls, difficulty, view):
        labels, found = scene.labelled.all, scene.found
        least_px, occlusion, truncation = DIFFICULTY[difficulty]
        flat = shown_in(found.boxes)
        self.objects, self.detections = [], []
        for i, category in enumerate(labels.category):
            if category not in (cls, BESIDE[cls]):
                continue
            _, v0, _, v1 = labels.boxes_2d[i]
            easy = labels.occlusion[i] <= occlusion and labels.truncation[i] <= truncation and v1 - v0 >= least_px
            self.objects.append((i, 0 if category == cls and easy else 1))
        for j in range(len(found.scores)):
            if np.isnan(flat[j, 0]):
                continue
            if flat[j, 3] - flat[j, 1] < least_px:
                self.detections.append((j, 1))
            elif CLASSES[found.labels[j]] == cls:
                self.detections.append((j, 0))
        self.scores = found.scores
        both = rotated_overlaps(found.boxes, labels.boxes)
        if view == "2D":
            self.overlap = lambda j, i: overlap_of(flat[j], labels.boxes_2d[i])
            areas = labels.unlabelled_2d
            self.nobody_looked = lambda j, least: any(overlap_of(flat[j], a, True) > least for a in areas)
        else:
            self.overlap = lambda j, i: (both.volume if view == "3D" else both.bev)[j, i]
            self.nobody_looked = lambda j, least: False

    def scores_found(self, least_overlap):
        """The score of the surest detection of each object, which nobody else has."""
        taken, scores = set(), []
        for i, kind in self.objects:
            fits = [(j, k) for j, k in self.detections if j not in taken and self.overlap(j, i) > least_overlap]
            if fits:
                j, k = max(fits, key=lambda one: (self.scores[one[0]], -one[0]))
                taken.add(j)
                if kind == 0 and k == 0:
                    scores.append(self.scores[j])
        return scores

    def counted(self, least_score, least_overlap):
        taken, found = set(), 0
        there = [(j, k) for j, k in self.detections if self.scores[j] >= least_score]
        for i, kind in self.objects:
            fits = [(j, k) for j, k in there if j not in taken and self.overlap(j, i) > least_overlap]
            # the ones that count by how much they overlap, else the first of the others
            counting = sorted((j for j, k in fits if k == 0), key=lambda j: (-self.overlap(j, i), j))
            best = (counting or [j for j, _ in fits] or [None])[0]
            if best is not None:
                taken.add(best)
                found += kind == 0 and bool(counting)
        wrong = [j for j, k in there if k == 0 and j not in taken and not self.nobody_looked(j, least_overlap)]
        return found, len(wrong)


def by_the_word(scenes, cls, difficulty, view, least_overlap, points=40):
    frames = [OneFrame(one, cls, difficulty, view) for one in scenes]
    objects = sum(kind == 0 for frame in frames for _, kind in frame.objects)
    if not objects:
        return float("nan")
    scores = sorted((s for frame in frames for s in frame.scores_found(least_overlap)), reverse=True)
    at, recall = [], 0.0
    for k, score in enumerate(scores):
        nearer_next = (k + 2) / objects - recall < recall - (k + 1) / objects
        if k + 1 < len(scores) and nearer_next:
            continue
        at.append(score)
        recall += 1 / 40
    precision = np.zeros(41)
    for k, score in enumerate(at):
        found, wrong = np.sum([frame.counted(score, least_overlap) for frame in frames], axis=0)
        precision[k] = found / (found + wrong) if found + wrong else 0
    best = [precision[k:].max() for k in range(41)]
    return np.mean(best[1:] if points == 40 else best[::4])


def scored(scenes, **options):
    metric = KittiDetection(CLASSES, **options)
    return metric.score([metric.observe(one.found, one.labelled, one.frame) for one in scenes])


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**31 - 1),
    frames=st.integers(1, 6),
    overlap=st.sampled_from(["strict", "loose"]),
    points=st.sampled_from([40, 11]),
    noise=st.sampled_from([0.02, 0.12, 0.3]),
)
def test_it_is_what_the_rules_say(seed, frames, overlap, points, noise):
    scenes = [scene(seed + k, noise=noise) for k in range(frames)]
    got = scored(scenes, overlap=overlap, recall_points=points)
    strict = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
    loose = {"Car": 0.5, "Pedestrian": 0.25, "Cyclist": 0.25}
    for cls in CLASSES:
        for view in VIEWS:
            least = (strict if overlap == "strict" or view == "2D" else loose)[cls]
            for difficulty in DIFFICULTY:
                wanted = by_the_word(scenes, cls, difficulty, view, least, points)
                assert got.classes[cls][f"{view} {difficulty}"] == pytest.approx(wanted, abs=1e-12, nan_ok=True)
    for title, mean in got.summary.items():
        known = [v[title] for v in got.classes.values() if not np.isnan(v[title])]
        assert mean == pytest.approx(np.mean(known) if known else np.nan, abs=1e-12, nan_ok=True)


def one_scene(objects, found, scores, labels=None, category="Car", **more):
    """Cars 20 m ahead, 10 m apart from each other by their number, not occluded; found likewise."""
    there = np.array([[20.0, 10 * k, -0.9, 4, 1.6, 1.5, 0] for k in objects]).reshape(-1, 7)
    n = len(there)
    own = {
        "occlusion": np.zeros(n, np.int64),
        "truncation": np.zeros(n),
        "boxes_2d": shown_in(there),
        "unlabelled_2d": np.zeros((0, 4)),
    }
    categories = np.array([category] * n if isinstance(category, str) else category, np.str_)
    labels_ = Labels(0, there, categories, np.array([str(k) for k in range(n)], np.str_), **(own | more))
    boxes = np.array([[20.0, 10 * k, -0.9, 4, 1.6, 1.5, 0] for k in found]).reshape(-1, 7)
    classes = np.zeros(len(boxes), np.int64) if labels is None else labels
    return Scene(frame_of(labels_), found_boxes(boxes, scores, classes), labelled_boxes(labels_))


def test_what_is_right_has_an_average_precision_of_1():
    got = scored([one_scene([0, 1], [0, 1], [0.9, 0.8]) for _ in range(80)])
    assert got.main == "3D moderate"
    assert got.summary == {f"{view} {d}": 1.0 for d in ("moderate", "easy", "hard") for view in VIEWS}
    assert got.counts["objects that must be found, moderate"] == 160


def test_a_found_van_is_no_mistake_and_one_that_is_missed_is_none():
    with_van = scored([one_scene([0, 1], [0, 1], [0.5, 0.9], category=["Car", "Van"]) for _ in range(80)])
    without = scored([one_scene([0, 1], [0], [0.5], category=["Car", "Van"]) for _ in range(80)])
    tram = scored([one_scene([0, 1], [0, 1], [0.5, 0.9], category=["Car", "Tram"]) for _ in range(80)])
    assert with_van.summary["3D easy"] == without.summary["3D easy"] == 1
    assert tram.summary["3D easy"] == 0.5
    assert with_van.counts["objects of a neighbouring class, which count neither way"] == 80


@pytest.mark.parametrize(
    ("more", "difficulties"),
    [
        ({"occlusion": 1}, {"moderate", "hard"}),
        ({"occlusion": 2}, {"hard"}),
        ({"occlusion": 3}, set()),
        ({"truncation": 0.15}, {"easy", "moderate", "hard"}),
        ({"truncation": 0.16}, {"moderate", "hard"}),
        ({"truncation": 0.31}, {"hard"}),
        ({"truncation": 0.51}, set()),
        ({"height": 40}, {"easy", "moderate", "hard"}),
        ({"height": 39.9}, {"moderate", "hard"}),
        ({"height": 24.9}, set()),
    ],
)
def test_how_difficult_an_object_is_decides_where_it_counts(more, difficulties):
    own = {}
    if "occlusion" in more:
        own["occlusion"] = np.array([more["occlusion"]])
    if "truncation" in more:
        own["truncation"] = np.array([more["truncation"]])
    if "height" in more:
        own["boxes_2d"] = np.array([[580.0, 200, 620, 200 + more["height"]]])
    got = scored([one_scene([0], [0], [0.9], **own)])
    counts = {d for d in DIFFICULTY if got.counts[f"objects that must be found, {d}"] == 1}
    assert counts == difficulties
    assert {d for d in DIFFICULTY if not np.isnan(got.classes["Car"][f"BEV {d}"])} == difficulties


def test_in_the_picture_a_box_where_nobody_looked_is_no_mistake_and_from_above_it_is():
    area = shown_in(np.array([[20.0, 10, -0.9, 4, 1.6, 1.5, 0]])) + np.array([-1, -1, 1, 1])
    got = scored([one_scene([0], [0, 1], [0.5, 0.9], unlabelled_2d=area) for _ in range(80)])
    assert (got.summary["2D easy"], got.summary["BEV easy"], got.summary["3D easy"]) == (1, 0.5, 0.5)


def test_what_is_low_in_the_picture_counts_neither_way_whatever_its_class_is():
    """As KITTI's own code has it: the car that it is on takes it, where it is the surest, and is not found by it."""
    one = one_scene([0], [0, 0], [0.9, 0.5], labels=[1, 0])
    one.found.boxes[0, 5] *= 0.6
    got = scored([one] * 80, min_overlap=0.5)
    # 36 pixels high, for easy cars too few
    assert (got.classes["Car"]["3D easy"], got.classes["Car"]["3D moderate"]) == (0, 1)


def test_what_the_picture_does_not_show_is_left_out_and_counted():
    behind = one_scene([0], [0], [0.5])
    boxes = np.vstack([behind.found.boxes, [[-20.0, 0, 0, 4, 2, 1.5, 0]], [[20.0, 60, 0, 4, 2, 1.5, 0]]])
    found = found_boxes(boxes, [0.5, 0.9, 0.9], [0, 0, 0])
    got = scored([behind._replace(found=found)] * 80)
    assert got.summary["3D easy"] == 1
    assert got.counts["detections that the picture does not show"] == 160
    assert got.counts["detections"] == 80


def test_a_box_that_is_not_finite_is_a_mistake():
    one = one_scene([0], [0, 1], [0.5, 0.9])
    boxes = one.found.boxes.copy()
    boxes[1, 2] = np.nan
    got = scored([one._replace(found=found_boxes(boxes, [0.5, 0.9], [0, 0]))] * 80)
    assert got.summary["3D easy"] == got.summary["2D hard"] == 0.5


def test_labels_without_difficulties_count_in_all_of_them_which_is_said():
    plain = {"occlusion": None, "truncation": None, "boxes_2d": None, "unlabelled_2d": None}
    one = one_scene([0, 9], [0, 9], [0.5, 0.9], **plain)
    got = scored([one] * 80)
    assert got.summary["3D easy"] == got.summary["BEV hard"] == 1
    assert np.isnan(got.summary["2D moderate"])
    assert got.counts["frames whose labels do not say how difficult objects are"] == 80


def test_a_log_without_that_camera_is_refused():
    one = one_scene([0], [0], [0.9])
    metric = KittiDetection(CLASSES, camera="image_3")
    with pytest.raises(MissingRecord) as caught:
        metric.observe(one.found, one.labelled, one.frame)
    assert str(caught.value) == (
        "memory: no camera 'image_3', in whose picture KITTI's difficulties are measured; the log has image_2"
    )


def test_without_frames_and_without_boxes_there_are_no_numbers():
    for scenes in ([], [one_scene([], [], [])]):
        got = scored(scenes)
        assert all(np.isnan(v) for v in got.summary.values())
        assert got.counts["detections"] == got.counts["objects"] == 0
        assert got.curves == {}
    # nothing is found: that is 0, and not unknown
    assert scored([one_scene([0], [], [])]).summary["3D hard"] == 0


def test_frames_may_come_in_any_order():
    scenes = [scene(seed) for seed in range(8)]
    metric = KittiDetection(CLASSES)
    seen = [metric.observe(one.found, one.labelled, one.frame) for one in scenes]
    assert metric.score(seen).to_dict() == metric.score(seen[::-1]).to_dict()
    # numbers alone: they go into files and to other processes
    for one in seen:
        assert {array.dtype.kind for array in one.values()} <= set("fiub")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"recall_points": 41}, "recall_points must be 40 or 11, got 41"),
        ({"overlap": "medium"}, "overlap must be strict or loose, got 'medium'"),
        (
            {"min_overlap": (0.5, 0.5)},
            "min_overlap must be one number, or one for each of the 3 classes, got (0.5, 0.5)",
        ),
        ({"min_overlap": 0.0}, "min_overlap must be more than 0, got 0.0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, wanted):
    with pytest.raises(UsageError) as caught:
        KittiDetection(CLASSES, **options)
    assert str(caught.value) == wanted


def test_boxes_in_the_picture_end_at_its_last_pixels():
    boxes = np.array([[3.0, 0, 0, 4, 8, 6, 0], [30.0, 0, 0, 4, 2, 1.5, 0], [-9.0, 0, 0, 4, 2, 1.5, 0]])
    flat = shown_in(boxes)
    assert flat[0].tolist() == [0, 0, SIZE[1] - 1, SIZE[0] - 1]
    # its near face is 27.7 m from the camera, which is 0.1 m to the left of it and 0.2 m below
    np.testing.assert_allclose(flat[1, [0, 2]], 604 + 707 * np.array([0.1 - 1, 0.1 + 1]) / 27.7)
    assert np.isnan(flat[2]).all()


@pytest.mark.data
def test_drawn_boxes_of_the_real_frame_are_about_where_its_boxes_are(real_kitti_object):
    frame = real_kitti_object[0]
    labels = frame.labels
    flat = picture_boxes(labels.boxes, frame.cameras["image_2"])
    assert np.abs(flat - labels.boxes_2d).max() < 15
    assert np.median(np.abs(flat - labels.boxes_2d)) < 0.3
    found = found_boxes(labels.boxes, np.linspace(1, 0.5, len(labels)), [CLASSES.index(c) for c in labels.category])
    got = scored([Scene(frame, found, labelled_boxes(labels))])
    # of few objects few recall points are reached, whatever is right
    assert got.counts["objects that must be found, easy"] == 6


class Detector:
    """What a problem asks of a model."""

    name = "detector"
    inputs = [{"name": "lidar_points", "dtype": "float32", "shape": ["n", 4], "params": {"frame": "lidar"}}]  # noqa: RUF012
    outputs = [  # noqa: RUF012
        {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7]},
        {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
        {"name": "labels", "dtype": "int64", "shape": ["num_boxes"]},
    ]


@pytest.mark.data
def test_the_real_frame_is_judged_by_the_problem(real_kitti_object):
    frame, problem = real_kitti_object[0], problem_named("detection3d:metric=kitti,recall_points=11,overlap=loose")
    targets = InputBuilder(problem.targets, training=True).build(frame)
    labels = frame.labels
    outputs = {
        "boxes": labels.boxes.astype(np.float32),
        "scores": np.linspace(1, 0.5, len(labels)).astype(np.float32),
        "labels": np.array([CLASSES.index(c) for c in labels.category]),
    }
    got = problem.score([problem.observe(Detector, outputs, targets, frame)] * 80)
    assert {got.summary[f"{view} {difficulty}"] for view in ("3D", "BEV") for difficulty in DIFFICULTY} == {1.0}
    # not every box was drawn around what its box in space shows
    assert 0.9 < got.summary["2D moderate"] < 1
    assert got.counts["objects that must be found, easy"] == 480
    assert got.counts["labels of no class"] == 0
