"""Runs the models of an evaluation, frame by frame: what fails on a frame is counted there, and the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import BuildError, InputBuilder, TensorCache, Tensors
from perceptum.errors import UsageError
from perceptum.foreign import foreign, let_interrupts_pass, said
from perceptum.inputs import Dataset, Frame, LogError
from perceptum.neuropod import NeuropodError
from perceptum.plural import a_or_an
from perceptum.problems import JudgedProblem, Observation

from .record import FrameRecord, ModelRecord

__all__ = ["Judge", "ProblemFailed", "judged"]

_CANNOT_BE_BUILT = (LogError, BuildError, OSError)
_STOP_S = 0.1
"""How long an interrupted run waits for its threads, for all together; each ends with the frame that it is on."""
_PLAIN = "biufU"


class ProblemFailed(UsageError):
    """The problem's own code is at fault, not a model."""


class Judge:
    """Answers one frame with all models, and judges them by the problem. Any number of threads may ask at once."""

    def __init__(
        self,
        problem: JudgedProblem,
        models: Mapping[str, Any],
        threads: int = 1,
        cache: TensorCache | None = None,
    ) -> None:
        """Raises UsageError where a model does not suit the problem, SpecError where its inputs cannot be built."""
        for model in models.values():
            problem.check(model)
        self._problem = problem
        self._models = models
        # one plan for all: stages that several models need run once a frame
        self._how: dict[str, Any] = {"threads": threads, "cache": cache}
        self._builder = InputBuilder(models, **self._how)
        self._targets = InputBuilder(list(problem.targets), training=True, **self._how) if problem.targets else None
        self._steps = _steps_of(self._builder)
        self._alone: dict[str, InputBuilder[dict[str, Tensors]]] = {}
        self._lock = threading.Lock()
        self._kinds: dict[str, np.dtype[Any]] | None = None

    def at(self, dataset: Dataset, position: int) -> FrameRecord:
        """Returns what all models say of a frame of a dataset; where its log cannot be opened, that none has inputs."""
        try:
            frame = dataset[position]
            return self.frame(frame, frame.id, position)
        except LogError as error:
            log, number = dataset.place(position)
            return FrameRecord(
                position=position,
                log=dataset.about(log).name,
                frame=number,
                frame_id=str(number),
                time_ns=0,
                models=dict.fromkeys(self._models, ModelRecord(status="not built", error=_line(error))),
            )

    def frame(self, frame: Frame, frame_id: str, position: int) -> FrameRecord:
        """Returns what all models say of a frame. Raises ProblemFailed where the problem itself fails on it."""
        targets, why_not = self._labels(frame)
        if targets is None:
            models = dict.fromkeys(self._models, ModelRecord(status="not judged", error=why_not))
        else:
            built = self._build(frame)
            models = {name: self._model(name, built[name], targets, frame) for name in self._models}
        return FrameRecord(
            position=position,
            log=frame.log.source.name,
            frame=frame.index,
            frame_id=frame_id,
            time_ns=frame.time_ns,
            models=models,
        )

    def _labels(self, frame: Frame) -> tuple[Mapping[str, NDArray[Any]] | None, str]:
        """Returns what the frame is judged by, None where that is not there, and why it is not."""
        try:
            targets = Tensors({}) if self._targets is None else self._targets.build(frame)
        except _CANNOT_BE_BUILT as error:
            return None, _line(error)
        with self._of_problem(f"labelled of {frame}"):
            labelled = self._problem.labelled(targets, frame)
        return (targets, "") if labelled else (None, "the frame has no labels")

    def _build(self, frame: Frame) -> dict[str, tuple[Tensors, float] | str]:
        """Returns for each model its tensors and the milliseconds that they took, or why they cannot be built."""
        start = perf_counter()
        try:
            built = self._builder.build(frame)
        except _CANNOT_BE_BUILT as error:
            if len(self._models) == 1:
                return dict.fromkeys(self._models, _line(error))
            # what is broken may be what only one of them needs
            return {name: self._build_alone(name, frame) for name in self._models}
        whole_s = perf_counter() - start
        return {name: (tensors, _build_ms(tensors, self._steps[name], whole_s)) for name, tensors in built.items()}

    def _build_alone(self, name: str, frame: Frame) -> tuple[Tensors, float] | str:
        with self._lock:
            builder = self._alone.get(name) or InputBuilder({name: self._models[name]}, **self._how)
            self._alone[name] = builder
        start = perf_counter()
        try:
            tensors = builder.build(frame)[name]
        except _CANNOT_BE_BUILT as error:
            return _line(error)
        return tensors, _build_ms(tensors, None, perf_counter() - start)

    def _model(
        self, name: str, built: tuple[Tensors, float] | str, targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> ModelRecord:
        if isinstance(built, str):
            return ModelRecord(status="not built", error=built)
        tensors, build_ms = built
        model = self._models[name]
        start = perf_counter()
        try:
            with foreign(f"model '{name}'", NeuropodError):
                outputs = model.infer(tensors)
            infer_ms = (perf_counter() - start) * 1e3
            observation = self._observed(model, outputs, targets, frame)
        except ProblemFailed:
            raise
        except (NeuropodError, UsageError) as error:
            return ModelRecord(status="failed", error=_line(error), build_ms=build_ms)
        except LogError as error:
            # the labels, or where the lidar is mounted: the model is not to blame
            return ModelRecord(status="not judged", error=_line(error), build_ms=build_ms, infer_ms=infer_ms)
        with self._of_problem(f"frame_scores of {frame}"):
            scores = {key: float(number) for key, number in self._problem.frame_scores(observation).items()}
        return ModelRecord(
            status="judged", build_ms=build_ms, infer_ms=infer_ms, scores=scores, observation=observation
        )

    def _observed(
        self, model: Any, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """Returns the problem's observation. Raises UsageError where the outputs break the spec; an error of the
        problem's own ends the evaluation, for it would be counted as the models'."""
        if not isinstance(outputs, Mapping):
            raise UsageError(f"the model answered {a_or_an(_kind_of(outputs))}, wanted its outputs by name")
        for row in self._problem.outputs:
            if row["name"] not in outputs:
                raise UsageError(
                    f"the output '{row['name']}' is missing; the model gave {', '.join(map(str, outputs)) or 'none'}"
                )
            if _is_no_array(outputs[row["name"]]):
                raise UsageError(f"the output '{row['name']}' is {_kind_of(outputs[row['name']])}, wanted an array")
        try:
            found = self._problem.observe(model, outputs, targets, frame)
        except (UsageError, LogError):
            raise
        except BaseException as error:
            let_interrupts_pass(error)
            raise ProblemFailed(
                f"problem '{self._problem.name}' fails in observe of {frame} for '{model.name}': {said(error)}"
            ) from error
        self._check(found, frame)
        # copies: a few numbers of a tensor would keep all of its memory, and a model may write to what it gave
        return {name: np.array(array, order="C") for name, array in found.items()}

    def _check(self, found: Observation, frame: Frame) -> None:
        """Raises ProblemFailed unless an observation is arrays of numbers and texts, the same names in every frame."""
        what = f"problem '{self._problem.name}': what it observes of {frame}"
        if not isinstance(found, dict) or not found:
            raise ProblemFailed(f"{what} must be arrays by name, got {_kind_of(found)}")
        for name, array in found.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in _PLAIN:
                raise ProblemFailed(f"{what} must be arrays of numbers or texts, '{name}' is {_kind_of(array)}")
        kinds = {name: array.dtype for name, array in found.items()}
        with self._lock:
            first = self._kinds = self._kinds or kinds
        if set(first) != set(kinds):
            raise ProblemFailed(f"{what} is {', '.join(kinds)}, and of another frame {', '.join(first)}")

    def _of_problem(self, doing: str) -> Any:
        return foreign(f"problem '{self._problem.name}' fails in {doing}", ProblemFailed)


def judged(
    judge: Judge,
    dataset: Dataset,
    positions: Sequence[int],
    workers: int,
    keep: Callable[[FrameRecord], object] = lambda _: None,
) -> Generator[FrameRecord, None, None]:
    """Yields the record of each frame as it is ready; with one worker in the order of the positions.

    workers: how many frames are in flight. keep: called with each record, in the thread that made it and before it is
    yielded: what is done is kept also where Ctrl-C comes before it is taken. Closing the iterator waits for no frame.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    for position in positions:
        todo.put(position)
    ready: SimpleQueue[FrameRecord | BaseException] = SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                position = todo.get_nowait()
            except Empty:
                return
            try:
                record = judge.at(dataset, position)
                keep(record)
                ready.put(record)
            # whoever takes the records gets it
            except BaseException as error:
                ready.put(error)
                return

    threads = [threading.Thread(target=work, name="perceptum evaluate", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for _ in positions:
            record = ready.get()
            if isinstance(record, BaseException):
                raise record
            yield record
    finally:
        stop.set()
        until_s = monotonic() + _STOP_S
        for thread in threads:
            thread.join(max(until_s - monotonic(), 0.0))


def _steps_of(builder: InputBuilder[dict[str, Tensors]]) -> dict[str, frozenset[str]]:
    """Returns for each model the steps of the plan, as `times_s` names them, that it needs."""
    plan = builder.explain()
    of_tensors = {model: {f"{model}/{row.name}" for row in spec} for model, spec in builder.specs.items()}
    return {
        model: frozenset(own | {stage.title for stage in plan.stages if own & set(stage.serves)})
        for model, own in of_tensors.items()
    }


def _build_ms(tensors: Tensors, steps: frozenset[str] | None, whole_s: float) -> float:
    """Returns what a model's part of a build took: of several models, the steps that it needs, shared ones too."""
    if steps is None or steps.issuperset(tensors.times_s):
        return (whole_s - sum(tensors.once_s.values())) * 1e3
    return sum(seconds for step, seconds in tensors.times_s.items() if step in steps) * 1e3


def _line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__


def _is_no_array(value: object) -> bool:
    return value is None or getattr(getattr(value, "dtype", None), "kind", "") == "O"


def _kind_of(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
