"""Building and running beside each other: while a model runs on one frame, the next one is built."""

from __future__ import annotations

import _thread
import os
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from perceptum.builders import InputBuilder, Tensors
from perceptum.builders.handover import is_model
from perceptum.inputs import Frame
from perceptum.plural import a_or_an
from perceptum.spelling import names_keywords

from .errors import UsageError

__all__ = ["Answer", "Pipeline", "Runs"]

_ONLY = ""
"""The name of a model that is the only one."""


class Runs(Protocol):
    """A model, as a pipeline needs it: what `load_neuropod` returns, or one of your own."""

    @property
    def inputs(self) -> Any: ...

    def infer(self, inputs: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Answer:
    """What a model said of one frame, or several models by their names: `frame, outputs = answer`."""

    frame: Frame
    outputs: Mapping[str, Any]
    tensors: Mapping[str, Any] | None
    """What was built for it; None unless `run` was asked to keep it."""
    build_s: float
    """Reading and building, with what is in `once_s`."""
    infer_s: float
    """Of several models the longest."""
    once_s: Mapping[str, float]
    """What only first builds take: loading kernels, compiling them."""

    def __iter__(self) -> Iterator[Any]:
        yield self.frame
        yield self.outputs


class Pipeline:
    """Runs models on frames, and builds the next frame meanwhile.

    Args:
        wanted: a model, or several by name, {"a": model_a, "b": model_b}; or an InputBuilder, then followed by the
            model or models that it builds for.
        model: the model or models, where `wanted` is a builder.
        threads: of the builder that is made here; one that is given has its own.
        ahead: how many frames may be built, or being built, beside those that are run. More than 1 evens out frames of
            different cost, for the memory of one more frame each.

    Tensors are built into the models' own memory, and handed over as each is ready (`InputBuilder.build(into=)`). A
    model with several workers runs that many frames at once; several models run beside each other. Results do not
    depend on any of this, nor does their order.
    """

    @names_keywords
    def __init__(
        self,
        wanted: InputBuilder[Any] | Runs | Mapping[str, Runs],
        model: Runs | Mapping[str, Runs] | None = None,
        *,
        threads: int | None = None,
        ahead: int = 1,
    ) -> None:
        if isinstance(wanted, InputBuilder):
            if model is None:
                raise UsageError("Pipeline(builder, model) wants the model too; Pipeline(model) makes its own builder")
            if threads is not None:
                raise UsageError(f"threads={threads} is for a builder that is made here; this one has its own")
            self.builder = wanted
        elif model is not None:
            raise UsageError(f"Pipeline(builder, model) wants an InputBuilder, got {a_or_an(type(wanted).__name__)}")
        else:
            model = wanted
            self.builder = InputBuilder(model, threads=1 if threads is None else threads)
        if isinstance(ahead, bool) or not isinstance(ahead, int) or ahead < 1:
            raise UsageError(f"ahead must be a whole number of frames, at least 1, got {ahead!r}")
        self._single = not isinstance(model, Mapping)
        self.models: Mapping[str, Runs] = dict(model) if isinstance(model, Mapping) else {_ONLY: model}
        self.ahead = ahead
        self._check()

    def _check(self) -> None:
        specs = self.builder.specs
        if self._single != self.builder.plan.single or (not self._single and set(self.models) != set(specs)):
            built = "one spec" if self.builder.plan.single else f"the models {', '.join(specs)}"
            given = "one model" if self._single else f"the models {', '.join(self.models)}"
            raise UsageError(f"the builder builds for {built}, and the pipeline was given {given}")
        for name, model in self.models.items():
            if not callable(getattr(model, "infer", None)):
                which = f"model '{name}'" if name else "the model"
                raise UsageError(f"{which} must have infer(inputs), got {a_or_an(type(model).__name__)}")

    def __repr__(self) -> str:
        of = "" if self._single else f" of {', '.join(self.models)}"
        return f"<Pipeline{of}: {self.ahead} ahead, {self.builder!r}>"

    def run(
        self,
        frames: Iterable[Frame],
        *,
        keep_tensors: bool = False,
        touch: Callable[[Frame], object] | None = None,
    ) -> Generator[Answer, None, None]:
        """Yields an Answer for each frame, in order. One that cannot be built has none if its log skips what is broken.

        Args:
            frames: iterated in a thread of the pipeline, a few frames ahead of what is yielded.
            keep_tensors: answers have the tensors too, which holds their memory.
            touch: reads what a frame needs before the clock starts, where reading is not to count as building.

        An error comes in its turn, after the answers of earlier frames; a note says of which frame it is. Close the
        iterator (`contextlib.closing`), or let go of it, to end before the frames do: that waits for the frame that is
        being fetched or built and those that are run, and leaves no thread behind. Whatever is raised in the loop over
        it, Ctrl-C included, does the same.
        """
        return _answers(self, frames, keep_tensors, touch)


def _answers(
    pipeline: Pipeline, frames: Iterable[Frame], keep: bool, touch: Callable[[Frame], object] | None
) -> Generator[Answer, None, None]:
    # it dies with this frame, wherever that is left, and then all threads of the run end
    taker = _Taker()
    run = _Run(pipeline, frames, touch, taker)
    try:
        run.start()
        for step in iter(run.next_step, None):
            # without a name: what is yielded must not live here until the next is there
            yield run.answer(step, keep)
    finally:
        del taker
        run.wait()


class _Taker:
    """Whoever takes the answers."""


class _Said(NamedTuple):
    """What a model gave for a frame."""

    outputs: Mapping[str, Any] | None
    error: BaseException | None
    infer_s: float


class _Step:
    """A frame that is built, on its way through the models."""

    def __init__(self, frame: Frame, built: Mapping[str, Any], build_s: float, models: Iterable[str]) -> None:
        self.frame = frame
        self.built: Any = built
        """None when it is answered: nobody knows how long this lives."""
        self.build_s = build_s
        tensors: Any = built if isinstance(built, Tensors) else next(iter(built.values()))
        self.once_s: Mapping[str, float] = tensors.once_s
        self.said: dict[str, SimpleQueue[_Said]] = {name: SimpleQueue() for name in models}


class _Failed(NamedTuple):
    """The end: the frames, or a build, failed."""

    error: BaseException


class _Run:
    """One pass over frames: a thread that builds, as many per model as it has workers, and the caller, who takes.

    Only SimpleQueue between them: an interrupt (Ctrl-C) between two lines of a Condition's or a Future's Python leaves
    a lock closed for good.
    """

    def __init__(
        self, pipeline: Pipeline, frames: Iterable[Frame], touch: Callable[[Frame], object] | None, taker: _Taker
    ) -> None:
        self._builder = pipeline.builder
        self._models = pipeline.models
        self._single = pipeline._single
        self._frames = frames
        self._touch = touch
        own = {name: model for name, model in self._models.items() if is_model(model)}
        self._into: Any = own.get(_ONLY) if self._single else own or None
        self._owner = os.getpid()
        workers = {name: max(len(getattr(model, "worker_pids", ())), 1) for name, model in self._models.items()}
        # a token for each frame that may be built, or run, or wait to be taken
        self._room: SimpleQueue[object] = SimpleQueue()
        # and one when nobody takes any more. The callback is written in C: an interrupt between two lines of ours would
        # leave the threads waiting for ever
        self._taker = weakref.ref(taker, self._room.put)
        for _ in range(pipeline.ahead + max(workers.values())):
            self._room.put(None)
        self._steps: SimpleQueue[_Step | _Failed | None] = SimpleQueue()
        self._todo: dict[str, SimpleQueue[_Step | None]] = {name: SimpleQueue() for name in self._models}
        infers: list[tuple[str, Callable[[], None]]] = [
            (f"perceptum infer {name}".strip(), partial(self._infer, name))
            for name in workers
            for _ in range(workers[name])
        ]
        self._threads = [
            threading.Thread(target=work, name=what, daemon=True)
            for what, work in [("perceptum build", self._build), *infers]
        ]

    def start(self) -> None:
        # Thread.start is Python inside, with a Condition: where no interrupt comes it is called, by a thread of its own
        _thread.start_new_thread(self._start_all, ())

    def _start_all(self) -> None:
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self._steps.put(_Failed(error))

    def next_step(self) -> _Step | None:
        """Waits for the next frame that is built, None at the end; raises the error that came instead."""
        if os.getpid() != self._owner:
            raise UsageError("a pipeline does not run on in a forked process; call run again here")
        step = self._steps.get()
        if isinstance(step, _Failed):
            raise step.error
        return step

    def answer(self, step: _Step, keep: bool) -> Answer:
        """Waits for the models; raises the error of the first that failed."""
        said = {name: answers.get() for name, answers in step.said.items()}
        for one in said.values():
            if one.error is not None:
                one.error.add_note(f"in infer of {step.frame}")
                raise one.error
        outputs: dict[str, Any] = {name: one.outputs for name, one in said.items()}
        kept, step.built = step.built if keep else None, None
        self._room.put(None)
        infer_s = max(one.infer_s for one in said.values())
        return Answer(step.frame, outputs[_ONLY] if self._single else outputs, kept, step.build_s, infer_s, step.once_s)

    def wait(self) -> None:
        """Waits for the threads, which have nothing more to do than what they have begun."""
        for thread in self._threads:
            # one that is not yet alive ends as soon as it is; and the one that collects garbage here is not waited for
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()

    def _build(self) -> None:
        frame: Frame | None = None
        try:
            for frame in self._frames:
                self._room.get()
                if self._taker() is None:
                    return
                step = self._built(frame)
                if step is None:
                    self._room.put(None)
                    continue
                self._steps.put(step)
                for todo in self._todo.values():
                    todo.put(step)
                # it must not live here until the next is there
                del step
                frame = None
            self._steps.put(None)
        except BaseException as error:
            if frame is not None:
                error.add_note(f"in the build of {frame}")
            self._steps.put(_Failed(error))
        finally:
            for todo in self._todo.values():
                for _ in self._threads:
                    todo.put(None)

    def _built(self, frame: Frame) -> _Step | None:
        if self._touch is not None:
            self._touch(frame)
        start = perf_counter()
        built = frame.log.or_skip(str(frame), partial(self._builder.build, frame, into=self._into))
        if built is None:
            return None
        return _Step(frame, built, perf_counter() - start, self._models)

    def _infer(self, name: str) -> None:
        todo, model = self._todo[name], self._models[name]
        while (step := todo.get()) is not None and self._taker() is not None:
            said, answers = self._said(model, step.built if self._single else step.built[name]), step.said[name]
            # who gets the answer may let the next frame be built in the same memory
            del step
            failed = said.error is not None
            answers.put(said)
            del said
            if failed:
                return

    def _said(self, model: Runs, tensors: Mapping[str, Any]) -> _Said:
        start = perf_counter()
        try:
            return _Said(model.infer(tensors), None, perf_counter() - start)
        # a model may raise anything; the caller gets it
        except BaseException as error:
            return _Said(None, error, perf_counter() - start)
