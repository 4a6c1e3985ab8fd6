"""Tensors of one frame after the other, where a log that skips what is broken may leave some out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import NamedTuple

from perceptum.builders import Draw, InputBuilder, Tensors
from perceptum.inputs import Frame

__all__ = ["Built", "build_frames", "draw_of"]


class Built(NamedTuple):
    """A frame, its tensors, and how many seconds reading and building took."""

    frame: Frame
    tensors: Tensors
    build_s: float


def build_frames(
    builder: InputBuilder[Tensors],
    frames: Iterable[Frame],
    touch: Callable[[Frame], object] | None = None,
    draw: Draw | None = None,
) -> Iterator[Built]:
    """Builds each frame. One that cannot be built raises, or is left out and listed in `log.skipped`, as the log says.

    touch: reads what the frame needs before the clock starts, where reading is not to count as building.
    draw: of the first of the frames; the next ones have the next indices, also where one is left out.
    """
    for number, frame in enumerate(frames):
        if touch is not None:
            touch(frame)
        start = perf_counter()
        tensors = frame.log.or_skip(str(frame), partial(builder.build, frame, draw=draw_of(draw, number)))
        if tensors is not None:
            yield Built(frame, tensors, perf_counter() - start)


def draw_of(first: Draw | None, number: int) -> Draw | None:
    """Returns the draw of the frame `number`, from 0, where the first frame has the draw `first`."""
    return None if first is None else replace(first, index=first.index + number)
