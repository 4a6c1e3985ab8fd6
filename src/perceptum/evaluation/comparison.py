"""Two evaluations side by side: which numbers changed, on which frames, and what differs in how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from perceptum.errors import UsageError
from perceptum.problems import JudgedProblem, Observation, Scores, problem_named
from perceptum.spelling import names_keywords

from .record import SCORE
from .result import Evaluation, score_all
from .setup import differences

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """What changed from a run `a` to a run `b`. A gain is a change for the better, whichever way a number counts."""

    pairs: Mapping[str, tuple[str, str]]
    """What a pair of models is called here -> its name in a, and in b."""
    setups: Sequence[str]
    """What differs in the setups, a line each."""
    same_frames: bool
    """Whether all models of a pair were judged on the same frames: otherwise their summaries are over different
    ones."""
    metrics: Sequence[Mapping[str, Any]]
    """Per pair and number: model, metric, a, b, change, gain; each run over its own frames."""
    shared: Sequence[Mapping[str, Any]]
    """The same over the frames on which both were judged, and how many, `frames`: scored again from what was observed.
    Empty where those are all frames, or where the problem cannot be had."""
    classes: Sequence[Mapping[str, Any]]
    """Per pair, class and number that changed: model, class, metric, a, b, change, gain."""
    frames: Sequence[Mapping[str, Any]]
    """Per pair and frame that both were judged on and that changed, by the number that decides, the greatest loss
    first: model, log, frame, frame_id, metric, a, b, change, gain."""
    failures: Sequence[Mapping[str, Any]]
    """Per pair and frame whose status changed: model, log, frame, frame_id, a, b, error."""

    def below(self, limits: Mapping[str, float]) -> list[Mapping[str, Any]]:
        """Returns the rows whose gain is less than the limit of their number, or is not known where run a has a number:
        {"NDS": -0.01} allows a loss of 0.01. Of models that were judged on different frames both `metrics` and `shared`
        must hold. Raises UsageError for a number that there is not."""
        rows = [*self.metrics, *self.shared]
        known = {row["metric"] for row in rows}
        for name in limits:
            if name not in known:
                raise UsageError(f"no number '{name}' in these evaluations; there are {', '.join(sorted(known))}")
        return [
            row
            for row in rows
            if row["metric"] in limits
            and (row["gain"] < limits[row["metric"]] or (isnan(row["gain"]) and not isnan(row["a"])))
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data; numbers that are not finite are None."""
        return {
            "models": {name: {"a": a, "b": b} for name, (a, b) in self.pairs.items()},
            "setups": list(self.setups),
            "same_frames": self.same_frames,
            "metrics": _plain(self.metrics),
            "shared": _plain(self.shared),
            "classes": _plain(self.classes),
            "frames": _plain(self.frames),
            "failures": _plain(self.failures),
        }


@names_keywords
def compare(
    a: Evaluation | str | os.PathLike[str],
    b: Evaluation | str | os.PathLike[str],
    *,
    problem: JudgedProblem | None = None,
) -> Comparison:
    """Compares two evaluations, or the folders they are in; models by name, or the only one with the only one.

    problem: what scores again over the frames that both share, where they were judged on different ones; None is the
        problem by whose name the first was made, where there is one. Raises UsageError where they have no model in
        common.
    """
    first, second = (one if isinstance(one, Evaluation) else Evaluation.load(Path(one)) for one in (a, b))
    pairs = _pairs(first, second)
    lower = frozenset(first.setup.problem.lower_is_better) | frozenset(second.setup.problem.lower_is_better)
    metrics, shared, classes, frames, failures = [], [], [], [], []
    same_frames = True
    for name, (of_a, of_b) in pairs.items():
        old, new = first.scores[of_a], second.scores[of_b]
        metrics += [{"model": name, **row} for row in _changes("metric", old.summary, new.summary, lower)]
        classes += [{"model": name, **row} for row in _class_changes(old, new, lower)]
        rows_a, rows_b = _rows(first, of_a), _rows(second, of_b)
        if _judged(rows_a) != _judged(rows_b):
            same_frames = False
            problem = problem or _problem_of(first)
            shared += (
                []
                if problem is None
                else [
                    {"model": name, **row}
                    for row in _shared(
                        problem, (first.observations[of_a], rows_a), (second.observations[of_b], rows_b), lower
                    )
                ]
            )
        frames += [{"model": name, **row} for row in _frame_changes(rows_a, rows_b, first.main, lower)]
        failures += [{"model": name, **row} for row in _status_changes(rows_a, rows_b)]
    frames.sort(key=lambda row: row["gain"])
    return Comparison(
        pairs, differences(first.setup, second.setup), same_frames, metrics, shared, classes, frames, failures
    )


def _pairs(first: Evaluation, second: Evaluation) -> dict[str, tuple[str, str]]:
    if len(first.models) == len(second.models) == 1:
        a, b = first.models[0], second.models[0]
        return {a if a == b else f"{a} -> {b}": (a, b)}
    shared = [name for name in first.models if name in second.models]
    if not shared:
        raise UsageError(
            f"the two evaluations have no model in common: {', '.join(first.models)}, and {', '.join(second.models)}"
        )
    return {name: (name, name) for name in shared}


def _changes(
    what: str, old: Mapping[str, float], new: Mapping[str, float], lower: frozenset[str]
) -> list[dict[str, Any]]:
    return [
        {what: name, **_change(name, old.get(name, nan), new.get(name, nan), lower)}
        for name in dict.fromkeys([*old, *new])
    ]


def _change(name: str, a: float, b: float, lower: frozenset[str]) -> dict[str, float]:
    # two that are infinite have not changed
    change = 0.0 if a == b else b - a
    return {"a": a, "b": b, "change": change, "gain": -change if name in lower and change else change}


def _class_changes(old: Scores, new: Scores, lower: frozenset[str]) -> list[dict[str, Any]]:
    found = []
    for name in dict.fromkeys([*old.classes, *new.classes]):
        own = _changes("metric", old.classes.get(name, {}), new.classes.get(name, {}), lower)
        found += [{"class": name, **row} for row in own if _has_changed(row)]
    return found


def _has_changed(row: Mapping[str, Any]) -> bool:
    return bool(row["change"] != 0) and not (isnan(row["a"]) and isnan(row["b"]))


Key = tuple[str, str, int]


def _rows(evaluation: Evaluation, model: str) -> dict[Key, dict[str, Any]]:
    """Returns the rows of a model by log, id and time of the frame."""
    return {
        (row["log"], row["frame_id"], row["time_ns"]): row
        for row in evaluation.frames.to_pylist()
        if row["model"] == model
    }


def _judged(rows: Mapping[Key, Mapping[str, Any]]) -> set[Key]:
    return {key for key, row in rows.items() if row["status"] == "judged"}


def _problem_of(evaluation: Evaluation) -> JudgedProblem | None:
    try:
        return problem_named(evaluation.setup.problem.name)
    # one that was given as an object, or whose file is not here
    except UsageError:
        return None


Judged = tuple[Mapping[int, Observation], Mapping[Key, Mapping[str, Any]]]


def _shared(problem: JudgedProblem, old: Judged, new: Judged, lower: frozenset[str]) -> list[dict[str, Any]]:
    """Returns the changes over the frames that are judged in both."""
    both = _judged(old[1]) & _judged(new[1])
    keys = [key for key in old[1] if key in both]
    a, b = (
        score_all(problem, [observations[rows[key]["index"]] for key in keys]).summary
        for observations, rows in (old, new)
    )
    return [{**row, "frames": len(keys)} for row in _changes("metric", a, b, lower)]


def _frame_changes(
    old: Mapping[Key, Mapping[str, Any]], new: Mapping[Key, Mapping[str, Any]], main: str, lower: frozenset[str]
) -> list[dict[str, Any]]:
    column, found = f"{SCORE}{main}", []
    for key in old:
        if key in new and "judged" == old[key]["status"] == new[key]["status"]:
            a, b = (nan if row.get(column) is None else row[column] for row in (old[key], new[key]))
            change = _change(main, a, b, lower)
            # NaN on one side only: a frame that has nothing to be judged by has no gain
            if change["change"] and not isnan(change["change"]):
                found.append({**_frame(old[key]), "metric": main, **change})
    return found


def _status_changes(old: Mapping[Key, Mapping[str, Any]], new: Mapping[Key, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        before, now = (row["status"] if row else "not there" for row in (a, b))
        if before != now:
            some = b or a
            assert some is not None
            found.append(
                {**_frame(some), "a": before, "b": now, "error": (b or {}).get("error") or (a or {}).get("error")}
            )
    return found


def _frame(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"log": row["log"], "frame": row["frame"], "frame_id": row["frame_id"]}


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: None if isinstance(v, float) and v - v != 0 else v for k, v in row.items()} for row in rows]
