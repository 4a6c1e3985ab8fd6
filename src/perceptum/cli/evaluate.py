"""Commands that judge models: evaluate, compare."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptum.errors import UsageError
from perceptum.plural import counted

from .arguments import CacheOf, Frames, OfSplit, Threads, frames_of_all
from .named import check_there
from .opening import open_logs
from .output import Json, print_json, print_table, say, track
from .running import Running, runs_models

if TYPE_CHECKING:
    from perceptum.evaluation import Comparison, Evaluation

__all__ = ["add_to"]

_MOST_FAILURES = 5
_MOST_FRAMES = 10


def add_to(app: typer.Typer) -> None:
    app.command()(evaluate)
    app.command()(compare)


@runs_models
def evaluate(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM", help="What the models solve, with options after a colon, or a file of yours."
        ),
    ],
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG", help='Logs, or roots of datasets: "synthetic:frames=20".')
    ],
    model: Annotated[
        list[str],
        typer.Option("--model", metavar="[NAME=]PKG", help="A packaged model that takes part; may be repeated."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for scores, a row per frame, observations and a page; an evaluation goes on there."),
    ] = None,
    split: OfSplit = None,
    frames: Frames = ":",
    threads: Threads = 1,
    cache: CacheOf = None,
    *,
    running: Running,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Forget what is in the folder, or go on with it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Status 1 where a model failed on any frame, not only on all.")
    ] = False,
    json: Json = False,
) -> None:
    """Judge models of one problem on the same frames: scores, classes, times and failures side by side.

    Status 1 where a model was judged on no frame. Interrupted with --out, the same command goes on.
    """
    from perceptum.evaluation import evaluate as run
    from perceptum.problems import problem_named

    how = running.keywords(isolated=True, restart="on_failure", alone=False)
    # before anything is looked for on disk: it is the first word, and what is known of it costs nothing
    problem_named(problem)
    packages = _packages(model)
    dataset = open_logs(logs, split=split)
    picked = frames_of_all(dataset, frames)
    try:
        found = run(
            problem,
            dataset,
            packages,
            frames=picked,
            out=out,
            fresh=fresh,
            workers=running.workers,
            threads=threads,
            cache=cache,
            track=track,
            **how,
        )
    except KeyboardInterrupt:
        if out is not None:
            _tell_how_to_go_on(out, len(picked))
        raise
    if json:
        print_json(found.to_dict() | {"out": None if out is None else str(out)})
    else:
        _show(found, out)
    counts = found.counts.values()
    if any(c.judged == 0 or (strict and c.failed + c.not_built) for c in counts):
        raise typer.Exit(1)


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of an evaluation: what was.")],
    b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The folder of another: what is.")],
    fail_below: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GAIN",
            help="Status 1 where the number gains less than that: NDS=-0.01 allows a loss of 0.01; may be repeated.",
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="How many frames to list, those that lost most first.")] = (
        _MOST_FRAMES
    ),
    json: Json = False,
) -> None:
    """Compare two evaluations: numbers, classes, the frames that changed most, failures that came and went."""
    from perceptum.evaluation import compare as run

    limits = _limits(fail_below or ())
    found = run(a, b)
    below = found.below(limits)
    if json:
        print_json(found.to_dict() | {"below": [{"model": r["model"], "metric": r["metric"]} for r in below]})
    else:
        _show_comparison(found, most)
        for row in below:
            typer.echo(
                f"below: {row['metric']} of {row['model']} gained {row['gain']:+.4g}, "
                f"wanted at least {limits[row['metric']]:+.4g}"
            )
    if below:
        raise typer.Exit(1)


def _packages(words: Sequence[str]) -> Mapping[str, Path] | list[Path]:
    """Returns the packages: by name where each has one."""
    named: dict[str, Path] = {}
    bare: list[Path] = []
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or Path(word).exists():
            bare.append(Path(word))
        elif not name or not path:
            raise UsageError(f"--model must be like detector.neuropod or NAME=detector.neuropod, got '{word}'")
        elif name in named:
            raise UsageError(f"--model: two models are called '{name}'")
        else:
            named[name] = Path(path)
    for package in (*bare, *named.values()):
        check_there(package)
    if named and bare:
        raise UsageError(f"--model: give each a name, or none; {bare[0]} has none")
    return named or bare


def _tell_how_to_go_on(out: Path, frames: int) -> None:
    from perceptum.evaluation.store import kept_frames

    command = shlex.join(["perceptum", *(word for word in sys.argv[1:] if word != "--fresh")])
    say(f"{kept_frames(out)} of {counted(frames, 'frame')} are kept in {out}; go on with: {command}")


def _show(found: Evaluation, out: Path | None) -> None:
    setup = found.setup
    of = f"{setup.problem.title} on {counted(setup.frames.count, 'frame')} of {counted(len(setup.logs), 'log')}"
    if found.is_alike:
        print_table(found.table(), of)
    else:
        shared = counted(found.common_frames, "frame")
        print_table(found.table(), f"{of}: over the {shared} on which all models were judged, like with like")
        print_table(found.own_table(), "each over the frames on which it was judged, which are not the same:")
    classes = found.class_table()
    if classes:
        first = classes[0][""]
        rows = [{k: v for k, v in row.items() if k != ""} for row in classes if row[""] == first]
        print_table(rows, f"{first} by class:")
    for name, scores in found.scores.items():
        if scores.counts:
            typer.echo(f"{name}: " + ", ".join(f"{number} {what}" for what, number in scores.counts.items()))
    _show_failures(found)
    if out is not None:
        typer.echo(f"written to {out}: report.html, scores.json, frames.parquet, observations.arrow")


def _show_failures(found: Evaluation) -> None:
    rows = found.failures()
    for row in rows[:_MOST_FAILURES]:
        where = f"frame {row['frame']} ({row['frame_id']}) of {row['log']}"
        typer.echo(f"{row['status']}: {row['model']} on {where}: {row['error']}")
    if len(rows) > _MOST_FAILURES:
        typer.echo(f"... and {len(rows) - _MOST_FAILURES} more; --json has the counts, frames.parquet all of them")


def _show_comparison(found: Comparison, most: int) -> None:
    for line in found.setups:
        typer.echo(f"differs: {line}")
    print_table(found.metrics, None if found.same_frames else "each over its own frames, which are not the same:")
    if found.shared:
        print_table(found.shared, "over the frames on which both were judged:")
    if found.classes:
        print_table(found.classes, "classes that changed:")
    if found.frames and most:
        print_table(found.frames[:most], f"{counted(len(found.frames), 'frame')} changed, the greatest loss first:")
    if found.failures:
        print_table(found.failures, "frames that are judged in only one, or fail in another way:")
    if not (found.frames or found.failures):
        typer.echo("no frame changed")


def _limits(words: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--fail-below must be like NDS=-0.01, got '{word}'")
    return found
