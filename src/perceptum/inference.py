"""A log in, a model's answers out: the builder and the model, joined."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from perceptum.builders import InputBuilder, TensorCache
from perceptum.building import build_frames
from perceptum.features import ReferenceFrame, SpecError, canonical, output_frame
from perceptum.first_call import in_ms
from perceptum.inputs import Frame
from perceptum.neuropod import Model
from perceptum.pipeline import Answer, Pipeline

__all__ = ["Times", "output_frames", "run_model"]


@dataclass
class Times:
    """Milliseconds per frame, in the order of the frames."""

    build_ms: list[float] = field(default_factory=list)
    """Reading and building, without what is in `once_ms`."""
    infer_ms: list[float] = field(default_factory=list)
    once_ms: list[Mapping[str, float]] = field(default_factory=list)
    """What only first builds took besides: loading kernels, compiling them."""

    def add(self, build_s: float, infer_s: float, once_s: Mapping[str, float]) -> None:
        """Adds a frame. build_s: the whole time, also what is in `once_s`."""
        self.build_ms.append((build_s - sum(once_s.values())) * 1e3)
        self.infer_ms.append(infer_s * 1e3)
        self.once_ms.append(in_ms(once_s))

    def summary(self) -> dict[str, Any]:
        """Returns medians and minima, and separately the first frame: its build with what it waited for, and its infer.

        The first two frames, in which all is made and frameworks prepare, count only where there are no others.
        """
        build, infer = self.build_ms[2:] or self.build_ms, self.infer_ms[2:] or self.infer_ms
        if not build:
            return {"frames": 0}
        once = dict(self.once_ms[0]) if self.once_ms else {}
        first_ms = self.build_ms[0] + sum(once.values())
        return {
            "frames": len(self.build_ms),
            "first": {
                "build_ms": round(first_ms, 3),
                "of_which_ms": once,
                "infer_ms": round(self.infer_ms[0], 3),
            },
            "build_ms": round(median(build), 3),
            "build_ms_min": round(min(build), 3),
            "infer_ms": round(median(infer), 3),
            "infer_ms_min": round(min(infer), 3),
        }


def output_frames(model: Model) -> dict[str, ReferenceFrame]:
    """Returns the frame of reference of each output, without those whose frame is not known."""
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
    cache: TensorCache | str | os.PathLike[str] | None = None,
    at_once: int = 1,
    touch: Callable[[Frame], object] | None = None,
) -> Iterator[Answer]:
    """Yields the model's answer to each frame, building only what it asks for; `times` is filled on the way.

    One after the other, so that times are those of a frame alone: a `Pipeline` builds and runs beside each other, which
    is no faster where the model fills all cores by itself, and makes both seem to take longer. With `at_once` above 1
    it is a pipeline all the same, for a model that has so many workers.

    A frame that cannot be built, of a log that skips what is broken, has no answer.

    cache: as of InputBuilder.
    touch: reads what the frame needs before the clock starts, where reading is not to count as building.
    """
    builder = InputBuilder(model, threads=threads, cache=cache)
    if at_once > 1:
        with closing(Pipeline(builder, model).run(frames, touch=touch)) as answers:
            for answer in answers:
                times.add(answer.build_s, answer.infer_s, answer.once_s)
                yield answer
        return
    for built in build_frames(builder, frames, touch):
        start = perf_counter()
        outputs = model.infer(built.tensors)
        infer_s, once_s = perf_counter() - start, built.tensors.once_s
        times.add(built.build_s, infer_s, once_s)
        yield Answer(built.frame, outputs, None, built.build_s, infer_s, once_s)
