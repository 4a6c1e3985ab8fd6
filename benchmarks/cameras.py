"""Six pictures of 1600x900 from their JPEG bytes to one tensor, whole builds, against what can be put together of
public parts on one thread: what most loaders do, and what somebody who profiles would do."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import simplejpeg
from bevfusion_root import encoded_pictures
from harness import Result, compare, lines
from numpy.typing import NDArray
from PIL import Image

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.features.camera import NORMS, table_of
from perceptum.inputs import CameraImage

__all__ = ["run"]

IMAGE = {"resize": 0.48, "crop": [256, 704], "crop_at": [1.0, 0.5]}
UNIT = NORMS["imagenet_unit"]
MEAN, STD = np.float32(UNIT.mean), np.float32(UNIT.std)
LOADER, STRONG = "OpenCV", "simplejpeg, cv2.resize of the part, cv2.LUT"
HALF, PILLOW = "simplejpeg at a half, cv2.resize, cv2.LUT", "Pillow and torch"
Shown = Callable[[], NDArray[np.float32]]


def run(rounds: int = 16) -> list[Result]:
    encoded = encoded_pictures()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [*_opencv(rounds, encoded), *_pillow(rounds, encoded), *_reduced(rounds, encoded)]
    finally:
        cv2.setNumThreads(threads)


def _opencv(rounds: int, encoded: Sequence[bytes]) -> list[Result]:
    work = _ours(encoded, resampler="cv2_linear") | {LOADER: _by_loader(encoded), STRONG: _by_parts(encoded)}
    assert np.array_equal(work["one thread"](), work[STRONG]()), "not the same pixels: the comparison means nothing"
    times, what = compare(rounds, work), "six JPEGs to 6x3x256x704 float32, OpenCV's pixels"
    return [
        *lines(what, times, LOADER, {"one thread": 2.0, "two threads": 3.5}),
        *lines(what, times, STRONG, {"one thread": 1.1, "two threads": 1.9}),
    ]


def _pillow(rounds: int, encoded: Sequence[bytes]) -> list[Result]:
    work = _ours(encoded, resampler="pil_bicubic") | {PILLOW: _by_pillow(encoded)}
    assert np.array_equal(work["one thread"](), work[PILLOW]()), "not the same pixels: the comparison means nothing"
    what = "six JPEGs to 6x3x256x704 float32, Pillow's bicubic pixels"
    return lines(what, compare(rounds, work), PILLOW, {"one thread": 2.5, "two threads": 4.5})


def _reduced(rounds: int, encoded: Sequence[bytes]) -> list[Result]:
    work = _ours(encoded, resampler="cv2_linear", decode="reduced") | {HALF: _by_half(encoded)}
    assert np.array_equal(work["one thread"](), work[HALF]()), "not the same pixels: the comparison means nothing"
    what = "six JPEGs decoded at a half to 6x3x256x704 float32"
    return lines(what, compare(rounds, work), HALF, {"one thread": 1.1, "two threads": 1.9})


def _ours(encoded: Sequence[bytes], **images: Any) -> dict[str, Shown]:
    """Returns how a whole build makes the tensor, with one thread and with two."""
    time_ns, camera = 10**18, np.array([[1266.0, 0, 816], [0, 1266, 491], [0, 0, 1]])
    pictures = [
        CameraImage(f"camera {k}", time_ns, camera, np.eye(4), lambda own=own: own, size=(900, 1600))
        for k, own in enumerate(encoded)
    ]
    frame = memory_log(cameras=pictures, times_ns=[time_ns])[0]
    params = {"image": IMAGE, "camera_images": {"norm": "imagenet_unit", **images}}

    def built(threads: int) -> Shown:
        builder = InputBuilder(["camera_images"], params=params, threads=threads)
        return lambda: builder.build(frame)["camera_images"]

    return {"one thread": built(1), "two threads": built(2)}


def _by_loader(encoded: Sequence[bytes]) -> Shown:
    out = np.empty((len(encoded), 3, 256, 704), np.float32)

    def write() -> NDArray[np.float32]:
        for k, own in enumerate(encoded):
            picture = cv2.resize(cv2.imdecode(np.frombuffer(own, np.uint8), cv2.IMREAD_COLOR), (768, 432))
            cut = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[176:, 32:736]
            out[k] = ((cut.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)
        return out

    return write


def _by_parts(encoded: Sequence[bytes]) -> Shown:
    """.48 is 12/25: rows 350 to 900 and columns 50 to 1550, resized alone, give the same pixels."""
    return _by_table(encoded, lambda pixels: cv2.resize(pixels[350:, 50:1550], (720, 264))[8:, 8:712])


def _by_half(encoded: Sequence[bytes]) -> Shown:
    """.96 is 24/25: rows 175 to 450 and columns 25 to 775, resized alone, give the same pixels."""
    smaller = {"min_height": 450, "min_width": 800, "min_factor": 1}
    return _by_table(encoded, lambda pixels: cv2.resize(pixels[175:, 25:775], (720, 264))[8:, 8:712], **smaller)


def _by_table(encoded: Sequence[bytes], cut: Callable[[Any], Any], **smaller: Any) -> Shown:
    table, out = table_of(UNIT), np.empty((len(encoded), 3, 256, 704), np.float32)

    def write() -> NDArray[np.float32]:
        for k, own in enumerate(encoded):
            part = cut(simplejpeg.decode_jpeg(own, **smaller))
            for channel in range(3):
                cv2.LUT(part[..., channel], table[channel], dst=out[k, channel])
        return out

    return write


def _by_pillow(encoded: Sequence[bytes]) -> Shown:
    import torch

    mean, std = (torch.from_numpy(values)[:, None, None] for values in (MEAN, STD))

    def write() -> NDArray[np.float32]:
        shown = []
        for own in encoded:
            picture = Image.open(io.BytesIO(own)).convert("RGB").resize((768, 432), Image.Resampling.BICUBIC)
            cut = torch.from_numpy(np.array(picture.crop((32, 176, 736, 432)))).permute(2, 0, 1)
            shown.append(cut.float().div(255).sub(mean).div(std))
        stacked: NDArray[np.float32] = torch.stack(shown).numpy()
        return stacked

    return write
