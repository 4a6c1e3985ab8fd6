"""`evaluate`: models in, scores out, and what was done is kept on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from perceptum.builders import TensorCache
from perceptum.errors import UsageError
from perceptum.inputs import Dataset, Log
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.remote import Restart
from perceptum.problems import JudgedProblem, problem_named
from perceptum.spelling import names_keywords

from .entrants import entrants_of, loaded
from .page import report
from .pictures import draw_worst
from .record import FrameRecord
from .result import Evaluation
from .run import Judge, judged
from .setup import Setup
from .store import Store

__all__ = ["evaluate"]

Track = Callable[[Iterable[FrameRecord], str, int], Iterable[FrameRecord]]


@names_keywords
def evaluate(
    problem: str | JudgedProblem,
    logs: Dataset | Log | Iterable[Dataset | Log],
    models: Mapping[str, Any] | Sequence[Any] | Any,
    *,
    frames: Iterable[int] | None = None,
    out: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    workers: int = 1,
    threads: int = 1,
    cache: TensorCache | str | os.PathLike[str] | None = None,
    isolate: bool | str = True,
    trust: bool = False,
    limits: Limits | None = None,
    environment: str | None = None,
    restart: str | Restart = "on_failure",
    timeout_s: float | None = None,
    load_timeout_s: float | None = None,
    heartbeat_timeout_s: float | None = None,
    track: Track = lambda records, _, __: records,
) -> Evaluation:
    """Runs models on the frames of logs and judges them by a problem.

    Args:
        problem: its name, `detection3d:metric=kitti`, or the file of your own, or the object itself.
        models: paths of packages, or objects with name, inputs, outputs and infer; one, a list, or by name.
        frames: numbers among all frames of the logs; None is all of them.
        out: a folder for what is found. What was done is kept there as it is done: killed at any moment, the same call
            goes on. Where the folder holds something else, a UsageError names what differs.
        fresh: forget what is in the folder.
        workers: how many frames are in flight, and how many processes each isolated model has. With 1, models run one
            after the other on frames in their order, and times are those of a model alone; scores are the same.
        threads, cache: as of InputBuilder. What a cache has is not built again, and the times say how long that took.
        isolate: packages run in processes of their own (True), or in a sandbox ("sandbox"), so that one that dies costs
            its frame and no more; False: in this process.
        trust: packages that are code may run.
        limits, environment, restart, timeout_s, load_timeout_s, heartbeat_timeout_s: of isolated models, as of
            load_neuropod. Each process of a model takes all CPUs, unless limits say otherwise: where several frames are
            in flight, Limits(threads=1) keeps them out of each other's way; some frameworks then round the last bit of
            their answers otherwise.
        track: passes the records through, for a progress bar: (records, what, how many).

    A frame on which a model fails, whose inputs cannot be built, or that has no labels is counted with what was said,
    and the others go on. Raises UsageError for a model that does not suit the problem, before anything is run, and for
    a problem whose own code fails.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UsageError(f"workers must be a whole number of frames in flight, at least 1, got {workers!r}")
    name, problem = (problem, problem_named(problem)) if isinstance(problem, str) else (_title(problem), problem)
    isolated: dict[str, Any] = {
        "limits": limits,
        "environment": environment,
        "timeout_s": timeout_s,
        "load_timeout_s": load_timeout_s,
        "heartbeat_timeout_s": heartbeat_timeout_s,
    }
    given = [name for name, value in isolated.items() if value is not None]
    if not isolate and given:
        raise UsageError(f"{given[0]} is for models in processes of their own, and isolate is False")
    kept = TensorCache.of(cache)
    dataset = Dataset.of(logs)
    positions = _positions(dataset, frames)
    entrants = entrants_of(models)
    setup = Setup.of(name, problem, dataset, positions, {e.name: e.setup for e in entrants})
    with nullcontext() if out is None else closing(Store(Path(out), setup, fresh=fresh)) as store:
        if store is not None and store.finished is not None:
            return store.finished
        done = {} if store is None else store.done
        left = [position for position in positions if position not in done]
        how: dict[str, Any] = {"trust": trust, "isolate": isolate}
        if isolate:
            how |= {"workers": workers, "restart": restart, **isolated}
        with loaded(entrants, **how) as ready:
            judge = Judge(problem, ready, threads, kept)
            keep = store.add if store is not None else lambda _: None
            with closing(judged(judge, dataset, left, workers, keep)) as running:
                for record in track(running, setup.problem.title, len(left)):
                    done[record.position] = record
            evaluation = Evaluation.of(setup, problem, done.values())
            if store is not None:
                store.finish(evaluation, report(evaluation, draw_worst(evaluation, dataset, ready)))
    return evaluation


def _title(problem: JudgedProblem) -> str:
    if not isinstance(problem, JudgedProblem):
        raise UsageError(f"a problem is a name or a JudgedProblem, got {type(problem).__name__}")
    return problem.name or type(problem).__name__


def _positions(dataset: Dataset, frames: Iterable[int] | None) -> list[int]:
    """Returns the numbers of the frames, each once, in the order of the logs."""
    if frames is None:
        return list(range(len(dataset)))
    chosen = set()
    for number in frames:
        if not -len(dataset) <= number < len(dataset):
            raise UsageError(f"frames: there is no frame {number}, {dataset.name} has {len(dataset)}")
        chosen.add(int(number) % len(dataset))
    if not chosen:
        raise UsageError("frames picks no frame")
    return sorted(chosen)
