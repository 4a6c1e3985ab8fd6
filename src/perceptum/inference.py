"""A log in, a model's answers out: the builder and the model, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.features import ReferenceFrame, SpecError, canonical, output_frame
from perceptum.inputs import Frame
from perceptum.neuropod import Model

__all__ = ["Answer", "Times", "output_frames", "run_model"]


@dataclass
class Times:
    """Milliseconds per frame, in the order of the frames."""

    build_ms: list[float] = field(default_factory=list)
    infer_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float | int]:
        """Returns medians and minima; the first two frames, in which all is made and compiled, count only where
        there are no others."""
        build, infer = self.build_ms[2:] or self.build_ms, self.infer_ms[2:] or self.infer_ms
        if not build:
            return {"frames": 0}
        return {
            "frames": len(self.build_ms),
            "build_ms": round(median(build), 3),
            "build_ms_min": round(min(build), 3),
            "infer_ms": round(median(infer), 3),
            "infer_ms_min": round(min(infer), 3),
        }


@dataclass(frozen=True)
class Answer:
    """What a model said of one frame."""

    frame: Frame
    outputs: Mapping[str, NDArray[Any]]


def output_frames(model: Model) -> dict[str, ReferenceFrame]:
    """Returns the frame of reference of each output, without those of which it is not known."""
    found: dict[str, ReferenceFrame] = {}
    for row in model.outputs:
        with suppress(SpecError):
            found[row["name"]] = output_frame(canonical(), model.inputs, row)
    return found


def run_model(
    frames: Iterable[Frame],
    model: Model,
    times: Times,
    *,
    threads: int = 1,
    touch: Callable[[Frame], object] | None = None,
) -> Iterator[Answer]:
    """Yields the model's answer to each frame, building only what it asks for; `times` is filled on the way.

    A frame that cannot be built, of a log that skips what is broken, has no answer.

    touch: reads what the frame needs before the clock starts, where reading is not to count as building.
    """
    builder = InputBuilder(model, threads=threads)
    for frame in frames:
        if touch is not None:
            touch(frame)
        start = perf_counter()
        tensors = frame.log.or_skip(str(frame), partial(builder.build, frame))
        if tensors is None:
            continue
        built = perf_counter()
        outputs = model.infer(tensors)
        times.build_ms.append((built - start) * 1e3)
        times.infer_ms.append((perf_counter() - built) * 1e3)
        yield Answer(frame, outputs)
