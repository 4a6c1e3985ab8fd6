"""CenterPoint's targets of 50 boxes on a map of 128 x 128 with 10 classes, against the usual loop in numpy: frame
after frame."""

from __future__ import annotations

from math import sqrt

import numpy as np
from harness import Result, compare, lines
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import Frame, Labels, LidarSweep

__all__ = ["run"]

LOOP = "the usual loop in numpy"
QUICKER = 20.0
BOXES, CLASSES, MAP, MOST = 50, 10, 128, 500
FRAMES = 64
"""One after the other: the first build after the loop has had the caches for itself takes three times as long."""
VOXEL_M, STRIDE, LOW_M = 0.1, 8, -51.2
TENSORS = ("gt_heatmap", "gt_reg", "gt_index", "gt_reg_mask")
CATEGORIES = ("vehicle.car", "vehicle.truck", "vehicle.bus.rigid", "human.pedestrian.adult", "movable_object.barrier")
NUMBERS = (0, 1, 3, 8, 5)
"""The classes of these among nuScenes' ten."""
SIZES_M = ((4.6, 1.9, 1.7), (7.0, 2.5, 3.0), (11.0, 2.9, 3.5), (0.7, 0.7, 1.8), (0.5, 2.5, 1.0))


def run(rounds: int = 15) -> list[Result]:
    made = [_frame(seed) for seed in range(FRAMES)]
    params = {"gt_heatmap": {"classes": "nuscenes", "object_order": "class"}}
    builder = InputBuilder(list(TENSORS), params=params, training=True)
    for frame, boxes, label in made:
        built = builder.build(frame)
        for name, want in zip(TENSORS, loop(boxes, label), strict=True):
            assert np.allclose(built[name], want, atol=1e-6), "not the same targets: the comparison means nothing"

    def ours() -> None:
        for frame, _, _ in made:
            builder.build(frame)

    def theirs() -> None:
        for _, boxes, label in made:
            loop(boxes, label)

    times = compare(rounds, {"one thread": ours, LOOP: theirs})
    what = f"CenterPoint's targets of {FRAMES} frames of {BOXES} boxes, {MAP} x {MAP} x {CLASSES}"
    return lines(what, times, LOOP, {"one thread": QUICKER})


def _frame(seed: int) -> tuple[Frame, NDArray[np.float32], NDArray[np.int64]]:
    """A frame with labels; and its boxes (N, 9) with velocities, and their classes, as a loader has them at hand."""
    random = np.random.default_rng(seed)
    kind = random.integers(len(SIZES_M), size=BOXES)
    sizes = np.array(SIZES_M)[kind] * random.uniform(0.8, 1.2, (BOXES, 3))
    place = random.uniform((-50, -50, -2), (50, 50, 1), (BOXES, 3))
    boxes = np.column_stack([place, sizes, random.uniform(-np.pi, np.pi, BOXES)])
    velocity = random.normal(0, 5, (BOXES, 2))
    names = np.array(CATEGORIES)[kind]
    labels = Labels(10**18, boxes, names, np.arange(BOXES).astype(np.str_), velocity)
    nothing = np.zeros((3, 0), np.float32)
    frame = memory_log([LidarSweep("lidar", 10**18, np.eye(4), *nothing)], labels=[labels])[0]
    return frame, np.column_stack([boxes, velocity]).astype(np.float32), np.array(NUMBERS)[kind]


def loop(boxes: NDArray[np.float32], label: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
    """As CenterPoint and mmdetection3d make them, of one head: boxes sorted by class, then one by one, a Gaussian each,
    drawn with np.maximum. OpenPCDet's is the same without sorting."""
    of_class = [np.where(label == number) for number in range(CLASSES)]
    boxes = np.concatenate([boxes[rows] for rows in of_class])
    label = np.concatenate([label[rows] for rows in of_class])
    boxes[:, 6] -= np.floor(boxes[:, 6] / (2 * np.pi) + 0.5) * (2 * np.pi)
    heat = np.zeros((CLASSES, MAP, MAP), np.float32)
    reg, index = np.zeros((MOST, 10), np.float32), np.zeros(MOST, np.int64)
    mask, of = np.zeros(MOST, np.uint8), np.zeros(MOST, np.int64)
    for k in range(min(len(boxes), MOST)):
        length, width = boxes[k][3] / VOXEL_M / STRIDE, boxes[k][4] / VOXEL_M / STRIDE
        if not (length > 0 and width > 0):
            continue
        radius = max(2, int(_radius(width, length, 0.1)))
        x, y, z = boxes[k][0], boxes[k][1], boxes[k][2]
        x, y = (x - LOW_M) / VOXEL_M / STRIDE, (y - LOW_M) / VOXEL_M / STRIDE
        centre = np.array([x, y], np.float32)
        cell = centre.astype(np.int32)
        if not (0 <= cell[0] < MAP and 0 <= cell[1] < MAP):
            continue
        _draw(heat[label[k]], centre, radius)
        of[k], index[k], mask[k] = label[k], cell[1] * MAP + cell[0], 1
        yaw, (vx, vy) = boxes[k][6], boxes[k][7:9]
        reg[k] = np.concatenate(
            (centre - cell, z, np.log(boxes[k][3:6]), np.sin(yaw), np.cos(yaw), np.array(vx), np.array(vy)), axis=None
        )
    return heat, reg, index, mask


def _radius(height: float, width: float, overlap: float) -> float:
    b1, c1 = height + width, width * height * (1 - overlap) / (1 + overlap)
    b2, c2 = 2 * (height + width), (1 - overlap) * width * height
    a3, b3, c3 = 4 * overlap, -2 * overlap * (height + width), (overlap - 1) * width * height
    discs = b1 * b1 - 4 * c1, b2 * b2 - 16 * c2, b3 * b3 - 4 * a3 * c3
    return min((b + sqrt(disc)) / 2 for b, disc in zip((b1, b2, b3), discs, strict=True))


def _gaussian(shape: tuple[int, int], sigma: float) -> NDArray[np.float64]:
    m, n = ((size - 1) / 2 for size in shape)
    y, x = np.ogrid[-m : m + 1, -n : n + 1]
    found: NDArray[np.float64] = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    found[found < np.finfo(found.dtype).eps * found.max()] = 0
    return found


def _draw(heat: NDArray[np.float32], centre: NDArray[np.float32], radius: int, k: float = 1) -> None:
    across = 2 * radius + 1
    shape = _gaussian((across, across), sigma=across / 6)
    x, y = int(centre[0]), int(centre[1])
    height, width = heat.shape[:2]
    left, right = min(x, radius), min(width - x, radius + 1)
    top, bottom = min(y, radius), min(height - y, radius + 1)
    shown = heat[y - top : y + bottom, x - left : x + right]
    part = shape[radius - top : radius + bottom, radius - left : radius + right]
    if min(part.shape) > 0 and min(shown.shape) > 0:
        np.maximum(shown, part * k, out=shown)
