"""Commands about tensors: explain, build, bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import UsageError
from perceptum.first_call import first_in_words, in_ms
from perceptum.plural import counted

from .arguments import (
    AugmentOf,
    CacheOf,
    DrawOf,
    Frames,
    LogPath,
    OnBroken,
    OnError,
    ParamsOf,
    Threads,
    Training,
    check_some,
    file_name,
    frame_indices,
    one_frame,
    one_in_words,
    open_rows,
    read_augment,
    read_params,
)
from .opening import open_first, open_one
from .output import Json, print_json, print_table, tell_skipped, track

if TYPE_CHECKING:
    from perceptum.builders import InputBuilder
    from perceptum.inputs import Frame, Log

__all__ = ["add_to"]

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A package, a JSON file of spec rows, or feature names joined by commas.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(explain)
    app.command()(build)
    app.command()(bench)


def explain(
    spec: SpecArgument,
    log: Annotated[str | None, typer.Option(help="Build a frame of this log, to show sizes and times too.")] = None,
    frame: Annotated[
        str | None,
        typer.Option(metavar="N|ID", help="Which frame of it, by its number or its id; the first if not given."),
    ] = None,
    params: ParamsOf = None,
    training: Training = False,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Show what will be computed for a spec, what is shared, who owns the memory, and that nothing is copied."""
    from perceptum.builders import InputBuilder

    if frame is not None and log is None:
        raise UsageError("--frame is for --log: without a log nothing is built")
    builder = InputBuilder(open_rows(spec), params=read_params(params), threads=threads, training=training)
    built = None if log is None else _build_twice(builder, one_frame(open_first(log), "0" if frame is None else frame))
    explanation = builder.explain()
    if json:
        print_json({**explanation.to_dict(), "built": built})
        return
    typer.echo(str(explanation))
    if built is not None:
        first = first_in_words(built["first_ms"], built["of_which_ms"])
        typer.echo(f"first build, with reading its records: {first}; second build: {built['second_ms']:.1f} ms")
        typer.echo(f"built: {one_in_words(built)} of {built['log']}")


def _build_twice(builder: InputBuilder[Any], frame: Frame) -> dict[str, Any]:
    """Builds a frame twice and returns which it was, and how long both took: the first reads, loads and allocates."""
    start = perf_counter()
    once_s = builder.build(frame).once_s
    between = perf_counter()
    builder.build(frame)
    took_ms = {"first_ms": between - start, "second_ms": perf_counter() - between}
    own = {"log": frame.log.source.name, "frame": frame.index, "frame_id": frame.id, "time_ns": frame.time_ns}
    return {**own, **in_ms(took_ms), "of_which_ms": in_ms(once_s)}


def build(
    log: LogPath,
    spec: SpecArgument,
    frames: Frames = ":",
    out: Annotated[Path, typer.Option(help="Folder for one .npz file per frame; or the .npz file of one.")] = Path(
        "out"
    ),
    params: ParamsOf = None,
    training: Training = False,
    augment: AugmentOf = None,
    draw: DrawOf = None,
    threads: Threads = 1,
    cache: CacheOf = None,
    on_error: OnBroken = OnError.stop,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    json: Json = False,
) -> None:
    """Build the tensors of a spec and write them, one .npz file per frame, named after its id."""
    from perceptum.builders import InputBuilder
    from perceptum.builders.augment import to_plain
    from perceptum.building import build_frames, draw_of
    from perceptum.output_file import check_folder_name
    from perceptum.tensors import write_tensors

    one_file = out.suffix.lower() == ".npz" and not out.is_dir()
    if not one_file:
        check_folder_name(out, "each frame gets an .npz file in a folder")
    changes, first = read_augment(augment, draw)
    builder = InputBuilder(
        open_rows(spec),
        params=read_params(params),
        threads=threads,
        training=training,
        augment=changes,
        cache=cache,
    )
    about = {"fingerprint": builder.fingerprint, "training": training}
    opened = open_one(log, on_error.value)
    picked = frame_indices(opened, frames)
    if one_file and len(picked) > 1:
        raise UsageError(f"cannot write {out}: it holds one frame, got {len(picked)}; name a folder, or one frame")
    if not overwrite:
        _refuse_existing(out, None if one_file else [file_name(opened[index], ".npz") for index in picked])
    rows = []
    chosen = track((opened[index] for index in picked), "building", len(picked))
    for frame, tensors, _ in build_frames(builder, chosen, draw=first):
        if not one_file:
            out.mkdir(parents=True, exist_ok=True)
        path = out if one_file else out / file_name(frame, ".npz")
        own = draw_of(first, picked.index(frame.index))
        drawn = {} if own is None else {"augment": to_plain(changes), "draw": [own.seed, own.epoch, own.index]}
        write_tensors(path, tensors, {**about, **drawn, "log": opened.source.name, "frame_id": frame.id})
        shapes = {name: f"{tuple(array.shape)} {array.dtype}" for name, array in tensors.items()}
        rows.append({"file": str(path), "frame": frame.index, "frame_id": frame.id, **shapes})
    tell_skipped(opened.skipped)
    check_some(rows, opened, len(picked))
    if json:
        print_json([{**row, **about} for row in rows])
    else:
        print_table(rows)
        values = ", with the presets' training values" if training else ""
        typer.echo(f"fingerprint of these tensors: {builder.fingerprint}{values}; each file has it")


def _refuse_existing(out: Path, names: Sequence[str] | None) -> None:
    """Raises UsageError where files of an earlier build would be replaced: those of these names in `out`, or itself."""
    if names is None:
        if out.exists():
            raise UsageError(f"{out} is there already; --overwrite replaces it, --out names another")
        return
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    first = next((name for name in names if name in there), None)
    if first is not None:
        count = sum(name in there for name in names)
        raise UsageError(
            f"{out} has {counted(count, 'file')} of these frames already, such as {first}; --overwrite replaces them, "
            "--out names another folder, --frames picks others"
        )


def bench(
    log: LogPath = "synthetic:frames=10",
    spec: Annotated[str, typer.Option(metavar="SPEC", help="As for explain; all features if not given.")] = "",
    params: ParamsOf = None,
    training: Training = False,
    augment: AugmentOf = None,
    draw: DrawOf = None,
    frames: Frames = ":10",
    rounds: Annotated[int, typer.Option(min=1, help="How many times each frame is built.")] = 5,
    threads: Threads = 1,
    on_error: OnBroken = OnError.stop,
    json: Json = False,
) -> None:
    """Measure the builder: milliseconds per frame, with the frames' records already read."""
    from perceptum.bench import measure_builder, rows_of_all
    from perceptum.builders import InputBuilder
    from perceptum.features import canonical

    changes, first = read_augment(augment, draw)
    opened = open_first(log, on_error.value)
    wanted = open_rows(spec) if spec else rows_of_all(training)
    if (given := read_params(params)) is not None:
        wanted = canonical().spec(wanted, given, training=training).rows
    picked = [opened[i] for i in frame_indices(opened, frames)]
    if on_error is OnError.skip:
        picked = _buildable(opened, picked, InputBuilder(wanted, training=training))
    rows = measure_builder(picked, wanted, rounds, threads, track, training=training, augment=changes, draw=first)
    if json:
        print_json(rows)
    else:
        which = str(picked[0]) if len(picked) == 1 else f"{picked[0]} to {picked[-1]}"
        how = ", ".join([counted(len(picked), "frame"), counted(rounds, "round"), counted(threads, "thread")])
        print_table(rows, f"{opened.source.location}: {how}; {which}")


def _buildable(opened: Log, frames: Sequence[Frame], builder: InputBuilder[Any]) -> list[Frame]:
    """Returns the frames that can be built, and reports what was left out."""
    from perceptum.building import build_frames

    good = [built.frame for built in build_frames(builder, frames)]
    tell_skipped(opened.skipped)
    check_some(good, opened, len(frames))
    return good
