"""One decoded picture of 1600x900 as a tensor, against what can be put together of public parts, one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from harness import Result, compare, lines
from numpy.typing import NDArray
from PIL import Image

from perceptum.builders.camera.resampling import Finish, Resampling
from perceptum.features.camera import NORMS, ImageTransform, table_of

__all__ = ["run"]

SOURCE = (900, 1600)
CROPPED = ImageTransform(SOURCE, (432, 768), (0.48, 0.48), (176, 32, 256, 704))
HALF = ImageTransform(SOURCE, (450, 800), (0.5, 0.5), (0, 0, 450, 800), padded=(480, 800))
UNIT, CAFFE = NORMS["imagenet_unit"], NORMS["caffe_bgr"]
PLANES = Finish("CHW", False, UNIT, "end")
Pixels = NDArray[np.uint8]


def run(rounds: int = 60) -> list[Result]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [*_cropped(rounds), *_half(rounds), *_undistorted(rounds)]
    finally:
        cv2.setNumThreads(threads)


def _cropped(rounds: int) -> list[Result]:
    pixels, shape = _made_up(), (3, 256, 704)
    work = {
        "OpenCV's pixels": _ours(pixels, CROPPED, "cv2_linear", PLANES, shape),
        "cv2.resize of the part, cv2.LUT": _by_opencv(pixels),
        "Pillow's bicubic pixels": _ours(pixels, CROPPED, "pil_bicubic", PLANES, shape),
        "Pillow's resize, numpy": _by_pillow(pixels),
    }
    for own, peer in zip(list(work)[::2], list(work)[1::2], strict=True):
        assert np.array_equal(work[own](), work[peer]()), f"{own} are not those of {peer}"
    times = compare(rounds, work)
    what = "one picture to 3x256x704 float32"
    return [
        *lines(what, times, "cv2.resize of the part, cv2.LUT", {"OpenCV's pixels": 1.5}),
        *lines(what, times, "Pillow's resize, numpy", {"Pillow's bicubic pixels": 6.0}),
    ]


def _half(rounds: int) -> list[Result]:
    pixels = _made_up()
    work = {
        "one thread": _ours(pixels, HALF, "cv2_linear", Finish("CHW", True, CAFFE, "start"), (3, 480, 800)),
        "OpenCV": _scaled_first(pixels),
    }
    assert np.array_equal(work["one thread"](), work["OpenCV"]())
    return lines("one picture scaled, then halved", compare(rounds // 2, work), "OpenCV", {"one thread": 1.5})


def _undistorted(rounds: int) -> list[Result]:
    pixels = _made_up()
    camera = np.array([[1266.0, 0, 816], [0, 1266, 491], [0, 0, 1]])
    lens = np.array([-0.3, 0.1, 0, 0, 0])
    maps = cv2.initUndistortRectifyMap(camera, lens, None, camera, SOURCE[::-1], cv2.CV_32FC1)
    whole = ImageTransform(SOURCE, SOURCE, (1.0, 1.0), (0, 0, *SOURCE))
    bytes_ = Finish("HWC", False, None, "end")
    turned = replace(CROPPED, rotate_deg=5.4)
    work = {
        "one thread": _ours(pixels, whole, "cv2_linear", bytes_, (*SOURCE, 3), undistortion=maps),
        "cv2.remap": lambda: cv2.remap(pixels, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT),
    }
    assert np.array_equal(work["one thread"](), work["cv2.remap"]())
    found = lines("one picture undistorted", compare(rounds // 2, work), "cv2.remap", {"one thread": 0.9})
    work = {
        "in one sampling": _ours(pixels, turned, "cv2_linear", PLANES, (3, 256, 704), undistortion=maps, compose=True),
        "step by step": _ours(pixels, turned, "cv2_linear", PLANES, (3, 256, 704), undistortion=maps),
    }
    what = "undistorted, resized, turned"
    return [*found, *lines(what, compare(rounds // 2, work), "step by step", {"in one sampling": 3.0})]


def _ours(
    pixels: Pixels, transform: ImageTransform, resampler: Any, finish: Finish, shape: tuple[int, ...], **kwargs: Any
) -> Callable[[], NDArray[Any]]:
    resampling = Resampling(transform, resampler, finish, **kwargs)
    out = np.empty(shape, np.uint8 if finish.norm is None else np.float32)
    seen = pixels[slice(*resampling.rows)]

    def write() -> NDArray[Any]:
        resampling.write(seen, out)
        return out

    return write


def _by_opencv(pixels: Pixels) -> Callable[[], NDArray[Any]]:
    """.48 is 12/25: rows 350 to 900 and columns 50 to 1550, resized alone, give the same pixels."""
    table, out = table_of(UNIT), np.empty((3, 256, 704), np.float32)

    def write() -> NDArray[Any]:
        part = cv2.resize(pixels[350:900, 50:1550], (720, 264), interpolation=cv2.INTER_LINEAR)[8:, 8:712]
        for channel in range(3):
            cv2.LUT(part[..., channel], table[channel], dst=out[channel])
        return out

    return write


def _by_pillow(pixels: Pixels) -> Callable[[], NDArray[Any]]:
    image, table = Image.fromarray(pixels), table_of(UNIT)

    def write() -> NDArray[Any]:
        cut = np.asarray(image.resize((768, 432), Image.Resampling.BICUBIC).crop((32, 176, 736, 432)))
        return np.stack([table[channel][cut[..., channel]] for channel in range(3)])

    return write


def _scaled_first(pixels: Pixels) -> Callable[[], NDArray[Any]]:
    mean, std = np.array([CAFFE.mean]), np.array([CAFFE.std])

    def write() -> NDArray[Any]:
        values = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.float32)
        cv2.subtract(values, np.float32(mean).astype(np.float64), values)
        cv2.multiply(values, 1 / std, values)
        out = np.zeros((3, 480, 800), np.float32)
        out[:, :450] = cv2.resize(values, (800, 450), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
        return out

    return write


def _made_up() -> Pixels:
    """Soft noise, as pictures have: (900, 1600, 3) uint8."""
    noise = np.random.default_rng(0).integers(0, 256, (*SOURCE, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)
