"""Scenes in front of one camera, as KITTI labels them, with detections that are the labels with noise."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np

from perceptum.datasets import memory_log
from perceptum.inputs import CameraImage, Frame, Labels
from perceptum.problems.metrics.detection_metric import FoundBoxes, LabelledBoxes

__all__ = [
    "CAMERA_FROM_EGO",
    "CLASSES",
    "INTRINSICS",
    "SIZE",
    "Scene",
    "empty_png",
    "found_boxes",
    "labelled_boxes",
    "scene",
]

CLASSES = ("Car", "Pedestrian", "Cyclist")
SIZE = (370, 1224)
INTRINSICS = np.array([[707.0, 0, 604], [0, 707, 180], [0, 0, 1]])
# x right, y down, z forward, at the ego's own place
CAMERA_FROM_EGO = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3], [0, 0, 0, 1]])
LENGTHS = {
    "Car": (3.9, 1.6, 1.5),
    "Van": (5.0, 1.9, 2.2),
    "Pedestrian": (0.8, 0.6, 1.7),
    "Person_sitting": (0.8, 0.6, 1.2),
    "Cyclist": (1.8, 0.6, 1.7),
    "Tram": (15.0, 2.5, 3.5),
}


class Scene(NamedTuple):
    frame: Frame
    found: FoundBoxes
    labelled: LabelledBoxes


def empty_png(height: int, width: int) -> bytes:
    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((width * 3 + 1) * height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")


PNG = empty_png(*SIZE)


def found_boxes(boxes, scores, labels) -> FoundBoxes:
    n = len(boxes)
    return FoundBoxes(
        np.asarray(boxes, np.float64).reshape(-1, 7),
        np.asarray(scores, np.float64),
        np.asarray(labels, np.int64),
        np.full((n, 2), np.nan),
        np.full(n, -1, np.int64),
    )


def labelled_boxes(labels: Labels, classes=CLASSES) -> LabelledBoxes:
    label = np.array([classes.index(c) if c in classes else -1 for c in labels.category], np.int64)
    rows = np.flatnonzero(label >= 0)
    return LabelledBoxes(labels.boxes[rows], label[rows], np.full((len(rows), 2), np.nan), rows, labels)


def frame_of(labels: Labels, camera: str = "image_2") -> Frame:
    def read() -> bytes:
        return PNG

    picture = CameraImage(camera, labels.time_ns, INTRINSICS, np.linalg.inv(CAMERA_FROM_EGO), read)
    return memory_log(cameras=[picture], labels=[labels], times_ns=[labels.time_ns], sequential=False)[0]


def scene(seed: int, *, objects: int = 12, drawn: bool = True, noise: float = 0.12, twice: float = 0.3) -> Scene:
    random = np.random.default_rng(seed)
    category = random.choice(list(LENGTHS), objects, p=[0.35, 0.1, 0.25, 0.05, 0.2, 0.05])
    distance = random.uniform(6, 60, objects)
    side = distance * random.uniform(-0.7, 0.7, objects)
    size = np.array([LENGTHS[one] for one in category]).reshape(-1, 3) * random.uniform(0.9, 1.1, (objects, 3))
    boxes = np.column_stack([distance, side, size[:, 2] / 2 - 1.7, size, random.uniform(-np.pi, np.pi, objects)])
    more = {}
    if drawn:
        around = np.clip(random.normal(600, 300, (objects, 1)), 0, 1100), random.uniform(100, 250, (objects, 1))
        flat = shown_in(boxes)
        drawn_by_hand = flat + random.normal(0, 2, (objects, 4))
        missing = np.isnan(flat[:, 0])
        drawn_by_hand[missing] = np.hstack([*around, around[0] + 30, around[1] + 20])[missing]
        areas = np.column_stack([random.uniform(0, 1100, 3), random.uniform(100, 200, 3)])
        more = {
            "occlusion": random.integers(0, 4, objects),
            "truncation": np.where(random.random(objects) < 0.7, 0, random.uniform(0, 1, objects)).round(2),
            "boxes_2d": drawn_by_hand,
            "unlabelled_2d": np.hstack([areas, areas + random.uniform(20, 200, (3, 2))]),
        }
    labels = Labels(100 * seed, boxes, category, np.arange(objects).astype(np.str_), **more)
    return Scene(frame_of(labels), detections(random, labels, noise, twice), labelled_boxes(labels))


def shown_in(boxes):
    from perceptum.problems.metrics.picture_boxes import picture_boxes

    picture = CameraImage("image_2", 0, INTRINSICS, np.linalg.inv(CAMERA_FROM_EGO), lambda: PNG)
    return picture_boxes(boxes, picture)


def detections(random, labels, noise, twice) -> FoundBoxes:
    """Most objects, some of them twice, some as another class, and boxes where nothing is; scores often equal."""
    n = len(labels)
    rows = np.concatenate([np.flatnonzero(random.random(n) < 0.85), np.flatnonzero(random.random(n) < twice)])
    boxes = labels.boxes[rows] + random.normal(0, noise, (len(rows), 7)) * [1, 1, 0.5, 1, 0.5, 0.3, 0.5]
    boxes[:, 3:6] = np.abs(boxes[:, 3:6]) + 0.1
    as_class = {"Van": 0, "Person_sitting": 1, "Tram": 0}
    label = np.array([CLASSES.index(c) if c in CLASSES else as_class[c] for c in labels.category[rows]], np.int64)
    other = random.random(len(rows)) < 0.1
    label[other] = random.integers(0, 3, int(other.sum()))
    nowhere = np.column_stack(
        [random.uniform(-20, 60, (4, 1)), random.uniform(-25, 25, (4, 1)), random.uniform(0.5, 3, (4, 5))]
    )
    order = random.permutation(len(rows) + 4)
    scores = random.integers(0, 30, len(order)) / 30
    return found_boxes(np.vstack([boxes, nowhere])[order], scores, np.append(label, random.integers(0, 3, 4))[order])
