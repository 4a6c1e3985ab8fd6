"""Whether a problem keeps to what evaluation relies on."""

from __future__ import annotations

import io
import json
import pickle
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.errors import UsageError
from perceptum.foreign import let_interrupts_pass
from perceptum.inputs import Frame
from perceptum.problems import JudgedProblem, Observation, Scores

__all__ = ["check_problem"]

Arrays = Mapping[str, NDArray[Any]]
Done = TypeVar("Done")


class _Model:
    """A model of the problem: what it gives is what the problem says, in the ego frame where it has a choice."""

    name = "checked"

    def __init__(self, problem: JudgedProblem) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.outputs = [{"frame": "ego", **row} for row in problem.outputs]


def check_problem(problem: JudgedProblem, frames: Iterable[Frame], answer: Callable[[Frame], Arrays]) -> None:
    """Observes what a model answers to some frames, and scores it in several ways.

    An observation is arrays of numbers, of the same names and kinds in every frame; it is the same when it is made
    again and by a copy of the problem, changes no output, and does not change with them. Scores do not depend on the
    order of the frames, nor on whether observations were in a file meanwhile; they are numbers that JSON can hold, of
    the same names whatever is observed, NaN where nothing is. Outputs that are missing, or have another shape, are a
    UsageError that names them.

    Args:
        frames: of a log with labels; three or more say most.
        answer: what a good model, or one that is wrong here and there, would answer to a frame, in the ego frame.

    Raises AssertionError that says what is wrong.
    """
    name, listed = type(problem).__name__, list(frames)
    again: JudgedProblem = _done(lambda: pickle.loads(pickle.dumps(problem)), f"{name}: sending it to another process")
    model, observed = _Model(problem), list[Observation]()
    builder = _done(lambda: _builder(problem), f"{name}: planning its targets")
    for frame in listed:
        targets = {} if builder is None else builder.build(frame)
        given = dict(answer(frame))
        one = _observe(problem, model, given, targets, frame)
        _check_observation(f"{name}: {frame}", one, observed)
        _check_same(f"{name}: {frame}: observed by a copy", one, _observe(again, model, given, targets, frame))
        observed.append(one)
        _check_refusals(problem, model, given, targets, frame)
    scores = _score(problem, observed)
    _check_scores(f"{name}: score", scores)
    _check_order(problem, observed, scores)
    _check_nothing(problem, scores)
    _check_frames(problem, observed)


def _done(do: Callable[[], Done], what: str) -> Done:
    """Returns what `do` gives; whatever it raises fails the check, in words."""
    try:
        return do()
    # a problem of others may raise anything, SystemExit too
    except BaseException as error:
        let_interrupts_pass(error)
        if isinstance(error, AssertionError):
            raise
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


def _builder(problem: JudgedProblem) -> InputBuilder[Any] | None:
    targets = list(problem.targets)
    return InputBuilder(targets, training=True) if targets else None


def _observe(problem: JudgedProblem, model: _Model, given: Arrays, targets: Arrays, frame: Frame) -> Observation:
    """Returns an observation of outputs that cannot be written, and that are overwritten afterwards."""
    held = {name: np.array(array) for name, array in given.items()}
    for array in held.values():
        array.flags.writeable = False
    one = _done(lambda: problem.observe(model, held, targets, frame), f"{type(problem).__name__}: observing {frame}")
    before = {name: np.array(array) for name, array in one.items()}
    for array in held.values():
        array.flags.writeable = True
        array[...] = np.zeros((), array.dtype)
    _check_same(f"{type(problem).__name__}: {frame}: after its outputs were overwritten", before, one)
    return before


def _check_observation(where: str, one: Observation, earlier: Sequence[Observation]) -> None:
    for name, array in one.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise AssertionError(f"{where}: observation '{name}' must be an array of numbers, got {kind}")
    if earlier:
        first = earlier[0]
        if set(one) != set(first):
            raise AssertionError(f"{where}: observation has {sorted(one)}, the first frame's has {sorted(first)}")
        for name, array in one.items():
            if (array.dtype, array.ndim) != (first[name].dtype, first[name].ndim):
                raise AssertionError(
                    f"{where}: observation '{name}' is {array.dtype} of {array.ndim} axes, in the first frame "
                    f"{first[name].dtype} of {first[name].ndim}"
                )


def _check_same(where: str, wanted: Observation, found: Observation) -> None:
    for name in sorted({*wanted, *found}):
        if (
            name not in wanted
            or name not in found
            or not np.array_equal(wanted[name], found[name], equal_nan=wanted[name].dtype.kind == "f")
        ):
            raise AssertionError(f"{where}: observation '{name}' is another")


def _check_refusals(problem: JudgedProblem, model: _Model, given: Arrays, targets: Arrays, frame: Frame) -> None:
    for name in [row["name"] for row in problem.outputs]:
        one = np.asarray(given[name])
        for what, array in (("missing", None), ("of one axis more", one[..., None])):
            broken = {key: value for key, value in given.items() if key != name}
            if array is not None:
                broken[name] = array
            where = f"{type(problem).__name__}: {frame}: output '{name}' that is {what}"
            try:
                problem.observe(model, broken, targets, frame)
            except UsageError as error:
                if name not in str(error):
                    raise AssertionError(f"{where} is refused without its name: {error}") from error
                continue
            except BaseException as error:
                let_interrupts_pass(error)
                raise AssertionError(f"{where} must be a UsageError, got {type(error).__name__}: {error}") from error
            raise AssertionError(f"{where} must be a UsageError, and was observed")


def _score(problem: JudgedProblem, observed: Sequence[Observation]) -> Scores:
    scores = _done(lambda: problem.score(observed), f"{type(problem).__name__}: scoring {len(observed)} frames")
    if not isinstance(scores, Scores):
        raise AssertionError(f"{type(problem).__name__}: score must return Scores, got {type(scores).__name__}")
    return scores


def _check_scores(where: str, scores: Scores) -> None:
    if not scores.summary:
        raise AssertionError(f"{where}: the summary is empty; its first number is the one that decides")
    json.dumps(_done(scores.to_dict, f"{where}: to_dict"), allow_nan=False)
    for name, number in scores.counts.items():
        if not isinstance(number, int):
            raise AssertionError(f"{where}: count '{name}' must be an int, got {type(number).__name__}")
    names = {tuple(numbers) for numbers in scores.classes.values()}
    if len(names) > 1:
        raise AssertionError(f"{where}: classes must have the same names of numbers, got {sorted(names)}")


def _check_order(problem: JudgedProblem, observed: Sequence[Observation], scores: Scores) -> None:
    name, shuffled = type(problem).__name__, list(observed)
    random.Random(0).shuffle(shuffled)
    for what, other in (
        ("backwards", observed[::-1]),
        ("in another order", shuffled),
        ("from a file", [_filed(one) for one in observed]),
    ):
        found = _score(problem, other)
        for key, number in scores.summary.items():
            if not np.isclose(found.summary.get(key, np.inf), number, rtol=1e-9, atol=1e-12, equal_nan=True):
                raise AssertionError(f"{name}: scored {what}, '{key}' is {found.summary.get(key)}, before {number}")
        if dict(found.counts) != dict(scores.counts):
            raise AssertionError(
                f"{name}: scored {what}, counts are {dict(found.counts)}, before {dict(scores.counts)}"
            )


def _filed(observation: Observation) -> Observation:
    file = io.BytesIO()
    np.savez(file, **observation)  # type: ignore[arg-type, unused-ignore]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _check_nothing(problem: JudgedProblem, scores: Scores) -> None:
    where, found = f"{type(problem).__name__}: score of no frame", _score(problem, [])
    if list(found.summary) != list(scores.summary):
        raise AssertionError(f"{where} has the numbers {list(found.summary)}, wanted {list(scores.summary)}")
    known = [name for name, number in found.summary.items() if not np.isnan(number)]
    if known or any(found.counts.values()):
        raise AssertionError(f"{where} must be NaN and counts 0, got {dict(found.summary)}, {dict(found.counts)}")


def _check_frames(problem: JudgedProblem, observed: Sequence[Observation]) -> None:
    names = set()
    for one in observed:
        numbers = _done(partial(problem.frame_scores, one), f"{type(problem).__name__}: frame_scores")
        names.add(tuple(numbers))
        if not all(isinstance(number, float) for number in numbers.values()):
            raise AssertionError(f"{type(problem).__name__}: frame_scores must be floats, got {numbers}")
    if len(names) > 1:
        raise AssertionError(f"{type(problem).__name__}: frame_scores must have the same names, got {sorted(names)}")
