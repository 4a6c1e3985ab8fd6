"""Commands that run models: demo, infer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.first_call import first_in_words
from perceptum.plural import counted

from .arguments import (
    CacheOf,
    Frames,
    LogPath,
    OnBroken,
    OnError,
    Threads,
    check_some,
    frame_indices,
)
from .named import check_there
from .opening import open_one
from .output import Json, print_json, print_table, say, tell_skipped, track
from .running import Running, runs_models

if TYPE_CHECKING:
    from perceptum.pipeline import Answer

__all__ = ["add_to"]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    app.command()(demo)
    app.command()(infer)


def demo(
    frames: Annotated[int, typer.Option(min=1, help="Length of the synthetic drive.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Each seed makes another street.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the packages and the picture.")] = Path("demo"),
    json: Json = False,
) -> None:
    """Pack two detectors in two frameworks, run both on one drive, compare them, and draw a frame."""
    from perceptum.demo.run import run_demo
    from perceptum.output_file import check_folder_name
    from perceptum.problems.metrics.centres import Centres

    check_folder_name(out, "packages and a picture go into a folder")

    result = run_demo(out, frames, seed, say, track)
    if json:
        print_json(result.to_dict())
        return
    columns = {"inputs": "inputs", "build_ms": "build ms", "infer_ms": "infer ms"}
    keys = ("model", "framework", "inputs", "build_ms", "infer_ms", "precision", "recall")
    print_table([{columns.get(k, k): row[k] for k in keys} for row in (m.to_dict() for m in result.models)])
    for m in result.models:
        typer.echo(f"{m.model}, {_first(m.times.summary())}".replace("reading and building", "building"))
    own = Centres(())
    typer.echo(
        f"precision and recall: objects within {own.range_m:g} m with at least {own.min_points} points, found by a box "
        f"of score {own.min_score:g} or more whose centre is within {own.match_m:g} m"
    )
    typer.echo(f"picture: {result.picture}")
    typer.echo("packages: " + "  ".join(map(str, result.packages)))


@runs_models
def infer(
    log: LogPath,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A packaged model: a folder or a zip file.")],
    frames: Frames = ":",
    out: Annotated[Path | None, typer.Option(help="Write the outputs to this file: .arrow, or .parquet.")] = None,
    threads: Threads = 1,
    cache: CacheOf = None,
    *,
    running: Running,
    on_error: OnBroken = OnError.stop,
    json: Json = False,
) -> None:
    """Run a packaged model on a log: build what it asks for, frame by frame, and show or write its answers."""
    from perceptum.inference import Times, run_model
    from perceptum.neuropod import load_neuropod
    from perceptum.neuropod.isolation import default_isolation
    from perceptum.output_file import check_file_place
    from perceptum.results import check_results_name

    how = running.keywords(isolated=default_isolation(), restart="never", alone=True)
    if how["isolate"]:
        how["workers"] = running.workers
    if out is not None:
        check_results_name(out)
        check_file_place(out)
    opened = open_one(log, on_error.value)
    picked = frame_indices(opened, frames)
    check_there(model)
    start = perf_counter()
    with load_neuropod(model, **how) as loaded:
        load_ms = round((perf_counter() - start) * 1e3, 3)
        times = Times()
        rows = _run(
            opened,
            picked,
            loaded,
            times,
            out,
            partial(run_model, threads=threads, cache=cache, at_once=running.workers),
        )
    about = {"model": loaded.name, "platform": loaded.platform, "log": opened.info()["name"], "load_ms": load_ms}
    summary = {**about, **times.summary()}
    if json:
        print_json({**summary, "out": None if out is None else str(out), "outputs": rows})
        return
    print_table(rows[:_SHOWN], f"{loaded.name} ({loaded.platform}) on {opened.source.location}")
    if len(rows) > _SHOWN:
        typer.echo(f"... and {len(rows) - _SHOWN} more; --json shows all")
    typer.echo(f"loading the model {load_ms:.1f} ms; {_first(summary)}")
    # the two in which frameworks still prepare count only where there are no others
    which = "medians" if len(rows) > 2 else "first calls"
    typer.echo(
        f"{counted(len(rows), 'frame')}: reading and building {summary['build_ms']} ms, "
        f"infer {summary['infer_ms']} ms ({which})"
        + (f", {running.workers} frames at once" if running.workers > 1 else "")
        + (f"; written to {out}" if out else "")
    )


def _first(summary: Mapping[str, Any]) -> str:
    """Returns how long the first frame took, and what of it no later one takes."""
    first = summary["first"]
    built = first_in_words(first["build_ms"], first["of_which_ms"])
    return f"first frame: reading and building {built}; infer {first['infer_ms']:.1f} ms"


def _run(
    log: Any, picked: range, model: Any, times: Any, out: Path | None, run: Callable[..., Iterator[Answer]]
) -> list[dict[str, Any]]:
    """Runs the model, writes the results where asked for, and returns a line per frame."""
    from contextlib import nullcontext

    from perceptum.inference import output_frames
    from perceptum.results import ResultsWriter

    about: dict[bytes | str, bytes | str] = {"model": model.name, "log": log.source.location}
    rows = []
    writer = nullcontext() if out is None else ResultsWriter(out, model.outputs, about, output_frames(model))
    with writer as sink:
        for answer in track(run((log[i] for i in picked), model, times), model.name, len(picked)):
            shapes = {name: f"{tuple(array.shape)} {array.dtype}" for name, array in answer.outputs.items()}
            frame = answer.frame
            rows.append({"frame": frame.index, "frame_id": frame.id, "time_ns": frame.time_ns, **shapes})
            if sink is not None:
                mounting = frame.ego_from_lidar if sink.wants_mounting and frame.lidar is not None else None
                sink.write(frame.index, frame.time_ns, answer.outputs, frame.id, mounting)
        tell_skipped(log.skipped)
        check_some(rows, log, len(picked))  # before a file without a row gets its name
    return rows
