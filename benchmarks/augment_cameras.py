"""Six pictures of 1600x900 as BEVFusion trains with them, whole builds, against the same builder without a draw:
resized by 0.38 to 0.55, cropped below and anywhere across, flipped half the time, turned by up to 5.4 degrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from statistics import median
from typing import Any

import numpy as np
from bevfusion_root import encoded_pictures
from harness import Result, compare, ms
from numpy.typing import NDArray

from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.datasets import memory_log
from perceptum.inputs import CameraImage, Frame

__all__ = ["run"]

IMAGE = {"resize": 0.48, "crop": [256, 704], "crop_at": [1.0, 0.5]}
BEVFUSION = Augment(
    image_resize=(0.38 / 0.48, 0.55 / 0.48), image_crop=(1.0, (0.0, 1.0)), image_flip=0.5, image_rotate=5.4
)
MOST = 1.1
Built = Callable[[], NDArray[np.float32]]


def run(rounds: int = 40) -> list[Result]:
    frame = _frame(encoded_pictures())
    ways = [(resampler, threads) for resampler in ("pil_bicubic", "cv2_linear") for threads in (1, 2)]
    return [_compared(rounds, frame, *way) for way in ways]


def _compared(rounds: int, frame: Frame, resampler: str, threads: int) -> Result:
    params: dict[str, Any] = {"image": IMAGE, "camera_images": {"norm": "imagenet_unit", "resampler": resampler}}
    plain = InputBuilder(["camera_images"], params=params, threads=threads)
    changed = InputBuilder(["camera_images"], params=params, threads=threads, augment=BEVFUSION)
    numbers = count()
    work: dict[str, Callable[[], object]] = {
        "plain": lambda: plain.build(frame),
        "augmented": lambda: changed.build(frame, draw=Draw(0, 0, next(numbers))),
    }
    times = compare(rounds, work, warm=8)
    factor = median(a / b for a, b in zip(times["augmented"], times["plain"], strict=True))
    what = f"six JPEGs to 6x3x256x704 float32 as BEVFusion trains, {resampler}, {threads} thread{'s' * (threads > 1)}"
    ours, peer = ms(times["augmented"]), f"without a draw {ms(times['plain'])}"
    return Result(what, ours, peer, f"{factor:.2f} times the time", f"at most {MOST:g}", factor <= MOST)


def _frame(encoded: Sequence[bytes]) -> Frame:
    time_ns, camera = 10**18, np.array([[1266.0, 0, 816], [0, 1266, 491], [0, 0, 1]])
    pictures = [
        CameraImage(f"camera {k}", time_ns, camera, np.eye(4), lambda own=own: own, size=(900, 1600))
        for k, own in enumerate(encoded)
    ]
    return memory_log(cameras=pictures, times_ns=[time_ns])[0]
