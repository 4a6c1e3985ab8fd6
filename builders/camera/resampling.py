"""A tensor's picture from decoded pixels: undistorted, resized, cropped, flipped, turned, scaled, padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageNorm, ImageTransform, Resampler

from .maps import Maps, composed, reduced
from .picture import Canvas, Picture
from .steps import (
    Bend,
    Blank,
    Cut,
    PillowResize,
    Resize,
    Step,
    Turn,
    TurnNearest,
    TwoFloatsResize,
    TwoResize,
)
from .writing import Writing, red_first

__all__ = ["Finish", "Resampling"]


@dataclass(frozen=True)
class Finish:
    """How values are written."""

    layout: Literal["CHW", "HWC"]
    bgr: bool
    norm: ImageNorm | None
    """None: values stay from 0 to 255, in float32 or uint8, as the tensor is."""
    norm_at: Literal["end", "start"]


class Resampling:
    """What is done to the pictures of one size, made once, for any number of threads.

    transform: from the recorded picture, whatever is decoded of it. undistortion: where the pixels of the undistorted
    picture, which has the same size, come from: x and y, px, (H, W) float32 each; NaN: from nowhere. compose: all that
    moves pixels is one sampling. reduce: the decoder makes pictures so many times smaller, rounded up.
    """

    rows: tuple[int, int]
    """Which rows of the decoded picture are looked at, half-open."""

    def __init__(
        self,
        transform: ImageTransform,
        resampler: Resampler,
        finish: Finish,
        *,
        undistortion: Maps | None = None,
        compose: bool = False,
        reduce: int = 1,
    ) -> None:
        source = -(-transform.source[0] // reduce), -(-transform.source[1] // reduce)
        if undistortion is not None and reduce != 1:
            undistortion = reduced(undistortion, reduce)
        if compose:
            bend = Bend(composed(transform, undistortion), source)
            self._steps: tuple[Step, ...] = (bend,)
            self.rows = bend.rows
        else:
            self.rows, self._steps = _chain(transform, source, resampler, finish, undistortion)
        planes = finish.layout == "CHW"
        self._writing = Writing(transform.crop[2:], transform.size, planes=planes, bgr=finish.bgr, norm=finish.norm)
        self.nbytes = sum(step.nbytes for step in self._steps)

    def write(self, pixels: NDArray[np.uint8], out: NDArray[Any]) -> None:
        """Writes every element of `out`, (3, H, W) or (H, W, 3).

        pixels: (rows, W, 3) uint8 RGB, C-contiguous, the decoded picture's rows that `rows` says.
        """
        picture = Picture.of(pixels)
        for step in self._steps:
            picture = step.run(picture)
        self._writing.write(picture, out)


def _chain(
    transform: ImageTransform,
    source: tuple[int, int],
    resampler: Resampler,
    finish: Finish,
    undistortion: Maps | None,
) -> tuple[tuple[int, int], tuple[Step, ...]]:
    """Returns which rows of the decoded picture are looked at, and what is done, one after the other."""
    top, left, height, width = transform.crop
    ys = np.arange(max(top, 0), min(top + height, transform.resized[0]))
    xs = np.arange(max(left, 0), min(left + width, transform.resized[1]))
    turns = transform.rotate_deg % 360 != 0
    # what is scaled first is the same at the end if nothing is worked out between pixels, and nothing is black
    same = transform.resized == source and (len(ys), len(xs)) == (height, width) and not turns
    floats = finish.norm_at == "start" and not same
    if not len(ys) or not len(xs):
        return (0, 0), (Blank((height, width), np.float32 if floats else np.uint8),)
    # where in the crop the first one lies that is seen
    left = max(-left, 0)
    canvas = Canvas(height, width, max(-top, 0), width - left - len(xs) if transform.flip else left, len(ys), len(xs))
    xs = xs[::-1] if transform.flip else xs
    resize: Resize
    if floats:
        table = red_first(finish.norm, bgr=finish.bgr)
        resize = TwoFloatsResize(source, transform.resized, ys, xs, canvas, table)
    elif transform.resized == source and not transform.flip:
        resize = Cut(ys, xs, canvas)
    # a picture of the same size keeps its values, and is flipped a great deal faster than numpy copies pixels backwards
    elif resampler == "cv2_linear" or transform.resized == source:
        resize = TwoResize(source, transform.resized, ys, xs, canvas)
    else:
        resize = PillowResize(source, transform.resized, ys, xs, canvas, cubic=resampler == "pil_bicubic")
    rows, steps = resize.rows, list[Step]([resize])
    if undistortion is not None:
        part = slice(*resize.rows), slice(*resize.columns)
        bend = Bend((undistortion[0][part], undistortion[1][part]), source, resize.columns[0])
        rows, steps = bend.rows, [bend, resize]
    if turns:
        how = transform.rotate_deg, (height, width)
        linear = resampler == "cv2_linear"
        steps.append(Turn(*how, np.float32 if floats else np.uint8) if linear else TurnNearest(*how))
    return rows, tuple(steps)
