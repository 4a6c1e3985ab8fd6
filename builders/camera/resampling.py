"""A tensor's picture from decoded pixels: undistorted, resized, cropped, flipped, turned, scaled, padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageNorm, ImageTransform, Resampler

from ..augment.photometric import ColorChange
from .coloring import colored
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
    TwoFloatsResize,
    TwoResize,
    pillow_place,
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
    picture, which has the same size, come from: x and y, px, (H, W) float32 each; NaN: from nowhere; of the recorded
    picture, or what `reduced` made of it. compose: all that moves pixels is one sampling. reduce: the decoder makes
    pictures so many times smaller, rounded up.
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
        if undistortion is not None and undistortion[0].shape != source:
            undistortion = reduced(undistortion, reduce)
        if compose:
            bend = Bend(composed(transform, undistortion), source)
            chain = _Chain(bend.rows, (bend,), 1)
        else:
            chain = _chained(transform, source, resampler, finish, undistortion)
        self.rows, self._steps, self._chain = chain.rows, chain.steps, chain
        height, width = size = transform.crop[2:]
        # OpenCV's turning is a step; Pillow's is done as the picture is written
        nearest = not compose and resampler != "cv2_linear" and transform.rotate_deg % 360 != 0
        place = pillow_place(transform.rotate_deg, width, height) if nearest else None
        how: dict[str, Any] = {"planes": finish.layout == "CHW", "bgr": finish.bgr, "norm": finish.norm, "place": place}
        self._writing = Writing(size, transform.size, **how)
        self.nbytes = sum(step.nbytes for step in self._steps)

    def write(self, pixels: NDArray[np.uint8], out: NDArray[Any], color: ColorChange | None = None) -> None:
        """Writes every element of `out`, (3, H, W) or (H, W, 3).

        pixels: (rows, W, 3) uint8 RGB, C-contiguous, the decoded picture's rows that `rows` says. color: how its
        colours are changed: of as many pixels as the result has, but where values are scaled first.
        """
        picture = Picture.of(pixels)
        for number, step in enumerate([*self._steps, None]):
            if color is not None and number == self._chain.colored_at:
                picture = colored(picture, self._chain.part, color)
            picture = picture if step is None else step.run(picture)
        self._writing.write(picture, out)


@dataclass(frozen=True)
class _Chain:
    """What is done to a picture, one after the other."""

    rows: tuple[int, int]
    """Which of the decoded picture's are looked at."""
    steps: tuple[Step, ...]
    colored_at: int | None
    """Before which step colours are changed; as many as there are: at the end; None: there is nothing to change."""
    part: Canvas | None = None
    """Which part of the picture is not black then; None: all."""


def _chained(
    transform: ImageTransform,
    source: tuple[int, int],
    resampler: Resampler,
    finish: Finish,
    undistortion: Maps | None,
) -> _Chain:
    top, left, height, width = transform.crop
    ys = np.arange(max(top, 0), min(top + height, transform.resized[0]))
    xs = np.arange(max(left, 0), min(left + width, transform.resized[1]))
    turns = transform.rotate_deg % 360 != 0
    # what is scaled first is the same at the end if nothing is worked out between pixels, and nothing is black
    same = transform.resized == source and (len(ys), len(xs)) == (height, width) and not turns
    floats = finish.norm_at == "start" and not same
    if not len(ys) or not len(xs):
        return _Chain((0, 0), (Blank((height, width), np.float32 if floats else np.uint8),), None)
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
    # before it is scaled, and before its corners are black
    colored_at, colored_part = (0, None) if floats else (len(steps), canvas)
    if turns and resampler == "cv2_linear":
        steps.append(Turn(transform.rotate_deg, (height, width), np.float32 if floats else np.uint8))
    return _Chain(rows, tuple(steps), colored_at, colored_part)
