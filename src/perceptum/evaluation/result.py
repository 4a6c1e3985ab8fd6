"""What an evaluation found: scores of each model, a row per frame and model, and the observations they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perceptum.errors import UsageError
from perceptum.foreign import foreign
from perceptum.problems import Curve, JudgedProblem, Observation, Scores

from .files import Observations, SavedObservations, read_files, write_files
from .record import SCORE, STATUSES, FrameRecord
from .run import ProblemFailed
from .setup import Setup

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Evaluation", "ModelCounts", "score_all", "scores_of_dict", "scores_to_dict"]


class ModelCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many frames of a model ended how, and how long they took."""

    judged: int
    failed: int
    not_built: int
    not_judged: int
    build_ms: float | None
    """Median; None where nothing was built."""
    infer_ms: float | None

    @property
    def frames(self) -> int:
        return self.judged + self.failed + self.not_built + self.not_judged


@dataclass(frozen=True)
class Evaluation:
    """The scores of models on the same frames."""

    setup: Setup
    scores: Mapping[str, Scores]
    """Model -> its scores over the frames on which it was judged."""
    common: Mapping[str, Scores]
    """Model -> its scores over the frames on which all models were judged: these compare like with like. The same as
    `scores` where no model failed on a frame on which another did not."""
    common_frames: int
    counts: Mapping[str, ModelCounts]
    frames: pa.Table
    """A row per frame and model, frames in the order of the logs: log, index, frame, frame_id, time_ns, model, status,
    error, build_ms, infer_ms, and score_NAME for each number of the problem's frame_scores, null where the frame was
    not judged, NaN where it has nothing to be judged by."""
    observations: Observations

    @classmethod
    def of(cls, setup: Setup, problem: JudgedProblem, records: Iterable[FrameRecord]) -> Evaluation:
        """Scores what was recorded; the order of the records decides nothing. Raises UsageError where the problem's
        own code fails."""
        ordered = sorted(records, key=lambda record: record.position)
        found: dict[str, dict[int, Observation]] = {name: {} for name in setup.models}
        for record in ordered:
            for name, said in record.models.items():
                if said.observation is not None:
                    found[name][record.position] = said.observation
        counts = {name: _counts(ordered, name) for name in setup.models}
        return cls._scored(setup, problem, counts, _table(ordered, setup), found)

    @classmethod
    def _scored(
        cls,
        setup: Setup,
        problem: JudgedProblem,
        counts: Mapping[str, ModelCounts],
        frames: pa.Table,
        observations: Observations,
    ) -> Evaluation:
        scores = {name: score_all(problem, own.values()) for name, own in observations.items()}
        shared = set.intersection(*(set(own) for own in observations.values()))
        alike = all(len(own) == len(shared) for own in observations.values())
        common = (
            scores
            if alike
            else {
                name: score_all(problem, (one for position, one in own.items() if position in shared))
                for name, own in observations.items()
            }
        )
        return cls(setup, scores, common, len(shared), counts, frames, observations)

    @property
    def is_alike(self) -> bool:
        """Whether all models were judged on the same frames."""
        return all(count.judged == self.common_frames for count in self.counts.values())

    @property
    def models(self) -> Sequence[str]:
        return list(self.setup.models)

    @property
    def main(self) -> str:
        """The name of the number that decides."""
        return next(iter(self.scores.values())).main

    def scored_again(self, problem: JudgedProblem, positions: Iterable[int] | None = None) -> Evaluation:
        """Returns the same observations scored by a problem that observes the same, over some of the frames or all.

        `setup` and the frames' table stay what they were.
        """
        kept = None if positions is None else set(positions)
        observations = {
            name: {position: one for position, one in own.items() if kept is None or position in kept}
            for name, own in self.observations.items()
        }
        counts = {
            name: msgspec.structs.replace(count, judged=len(observations[name])) for name, count in self.counts.items()
        }
        return self._scored(self.setup, problem, counts, self.frames, observations)

    def table(self) -> list[dict[str, Any]]:
        """Returns a row per model: its summary, over the frames that all models share, frames, failures and times."""
        return self._rows(self.common, dict.fromkeys(self.models, self.common_frames))

    def own_table(self) -> list[dict[str, Any]]:
        """Returns the same with each model over its own frames: not the same frames, where one failed."""
        return self._rows(self.scores, {name: count.judged for name, count in self.counts.items()})

    def _rows(self, scores: Mapping[str, Scores], over: Mapping[str, int]) -> list[dict[str, Any]]:
        return [
            {
                "model": name,
                **scores[name].summary,
                "frames": over[name],
                "failures": count.failed + count.not_built,
                "build ms": count.build_ms,
                "infer ms": count.infer_ms,
            }
            for name, count in self.counts.items()
        ]

    def class_table(self) -> list[dict[str, Any]]:
        """Returns a row per class and number, a column per model, over the frames that all models share."""
        keys = dict.fromkeys(
            (of, number) for scores in self.common.values() for of, own in scores.classes.items() for number in own
        )
        return [
            {"class": of, "": number}
            | {name: scores.classes.get(of, {}).get(number, nan) for name, scores in self.common.items()}
            for of, number in keys
        ]

    def failures(self) -> list[dict[str, Any]]:
        """Returns the rows of the frames' table that were not judged."""
        columns = ["log", "index", "frame", "frame_id", "model", "status", "error"]
        return [row for row in self.frames.select(columns).to_pylist() if row["status"] != "judged"]

    def worst(self, model: str, most: int) -> list[dict[str, Any]]:
        """Returns the rows of a model's frames that were judged, by the number that decides, the worst first."""
        column = f"{SCORE}{self.main}"
        if column not in self.frames.column_names:
            return []
        sign = -1 if self.main in self.setup.problem.lower_is_better else 1
        rows = [
            row
            for row in self.frames.to_pylist()
            if row["model"] == model and row[column] is not None and not isnan(row[column])
        ]
        return sorted(rows, key=lambda row: sign * row[column])[:most]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, what scores.json holds; numbers that are not finite are None."""
        return {
            "setup": msgspec.to_builtins(self.setup),
            "common_frames": self.common_frames,
            "models": {
                name: {
                    "frames": msgspec.to_builtins(self.counts[name]),
                    "scores": scores_to_dict(self.scores[name]),
                    "common": scores_to_dict(self.common[name]),
                }
                for name in self.models
            },
        }

    def save(self, folder: str | Path, page: str | None = None) -> None:
        """Writes scores.json, frames.parquet, observations.arrow and report.html into a folder, which is made.

        page: the text of report.html; None is the page without pictures.
        """
        if page is None:
            from .page import report

            page = report(self)
        write_files(Path(folder), self.to_dict(), self.frames, self.observations, page)

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Reads what `save` wrote; raises UsageError where the folder does not hold it."""
        folder = Path(folder)
        plain, frames = read_files(folder)
        try:
            models = plain["models"]
            return cls(
                msgspec.convert(plain["setup"], Setup),
                {name: scores_of_dict(own["scores"]) for name, own in models.items()},
                {name: scores_of_dict(own["common"]) for name, own in models.items()},
                plain["common_frames"],
                {name: msgspec.convert(own["frames"], ModelCounts) for name, own in models.items()},
                frames,
                SavedObservations(folder, models),
            )
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            raise UsageError(f"{folder}: its scores are not what an evaluation writes ({error})") from error


def scores_to_dict(scores: Scores) -> dict[str, Any]:
    """Returns all of the scores as plain data, curves too."""
    curves = {
        title: {
            label: {"x_label": c.x_label, "y_label": c.y_label, "x": _finite(c.x), "y": _finite(c.y)}
            for label, c in lines.items()
        }
        for title, lines in scores.curves.items()
    }
    return scores.to_dict() | {"curves": curves}


def scores_of_dict(plain: Mapping[str, Any]) -> Scores:
    """Reads what `scores_to_dict` made."""
    curves = {
        title: {label: Curve(_array(c["x"]), _array(c["y"]), c["x_label"], c["y_label"]) for label, c in lines.items()}
        for title, lines in plain["curves"].items()
    }
    return Scores(
        _numbers(plain["summary"]),
        {name: _numbers(own) for name, own in plain["classes"].items()},
        curves,
        dict(plain["counts"]),
    )


def score_all(problem: JudgedProblem, observations: Iterable[Observation]) -> Scores:
    """Returns the scores; raises ProblemFailed for whatever the problem's own code raises."""
    with foreign(f"problem '{problem.name}' fails in score", ProblemFailed):
        return problem.score(list(observations))


def _counts(records: Sequence[FrameRecord], model: str) -> ModelCounts:
    own = [record.models[model] for record in records]
    of = {status: sum(one.status == status for one in own) for status in STATUSES}
    return ModelCounts(
        judged=of["judged"],
        failed=of["failed"],
        not_built=of["not built"],
        not_judged=of["not judged"],
        build_ms=_median([one.build_ms for one in own]),
        infer_ms=_median([one.infer_ms for one in own]),
    )


def _median(times_ms: Sequence[float | None]) -> float | None:
    known = [ms for ms in times_ms if ms is not None]
    # the first two, in which all is made and frameworks prepare, count only where there are no others
    return round(median(known[2:] or known), 3) if known else None


def _table(records: Sequence[FrameRecord], setup: Setup) -> pa.Table:
    import pyarrow as pa

    names = dict.fromkeys(name for r in records for said in r.models.values() for name in said.scores)
    rows = [
        {
            "log": r.log,
            "index": r.position,
            "frame": r.frame,
            "frame_id": r.frame_id,
            "time_ns": r.time_ns,
            "model": model,
            "status": r.models[model].status,
            "error": r.models[model].error,
            "build_ms": r.models[model].build_ms,
            "infer_ms": r.models[model].infer_ms,
            **{f"{SCORE}{name}": r.models[model].scores.get(name) for name in names},
        }
        for r in records
        for model in setup.models
    ]
    texts = ("log", "frame_id", "model", "status", "error")
    whole = ("index", "frame", "time_ns")
    own = ("log", "index", "frame", "frame_id", "time_ns", "model", "status", "error", "build_ms", "infer_ms")
    kinds = {name: pa.string() if name in texts else pa.int64() if name in whole else pa.float64() for name in own}
    kinds |= {f"{SCORE}{name}": pa.float64() for name in names}
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _finite(values: Any) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _array(values: Sequence[float | None]) -> Any:
    return np.array([nan if v is None else v for v in values], np.float64)


def _numbers(plain: Mapping[str, float | None]) -> dict[str, float]:
    return {name: nan if number is None else number for name, number in plain.items()}
