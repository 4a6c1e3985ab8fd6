"""`perceptum parity`: whether a package is served what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptum.plural import counted

from .arguments import OfSplit, Threads, frames_of_all
from .named import check_there
from .opening import open_logs
from .output import Json, print_json, print_table, track
from .running import InSandbox, Trusted

if TYPE_CHECKING:
    from perceptum.parity import Parity

__all__ = ["add_to"]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    app.command()(parity)


def parity(
    package: Annotated[Path, typer.Argument(metavar="PKG", help="A package, best one made by perceptum.pack.")],
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="What it was trained on, or any other log or dataset.")
    ],
    split: OfSplit = None,
    frames: Annotated[
        str | None,
        typer.Option(
            "--frames",
            metavar="A:B[:STEP]",
            help="Which frames of all; if not given, those that the package records, and ten more.",
        ),
    ] = None,
    trust: Trusted = False,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Run the model in a process of its own, on memory that both share.")
    ] = False,
    sandbox: InSandbox = False,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Compare, byte by byte, what a package is given with what training saw; exit status 1 where it differs."""
    from perceptum.neuropod import load_neuropod
    from perceptum.neuropod.isolation import default_isolation
    from perceptum.parity import compare_with_training, frames_to_compare, recorded_training

    check_there(package)
    dataset = open_logs(logs, split=split)
    training = recorded_training(package)
    picked = frames_to_compare(dataset, training) if frames is None else frames_of_all(dataset, frames)
    with load_neuropod(package, trust=trust, isolate="sandbox" if sandbox else isolate or default_isolation()) as model:
        chosen = track((dataset[i] for i in picked), model.name, len(picked))
        found = compare_with_training(model, training, chosen, threads)
    if json:
        print_json({"package": str(package), "logs": dataset.name, **found.to_dict()})
    else:
        _show(found)
    if not found.equal:
        raise typer.Exit(1)


def _show(found: Parity) -> None:
    from perceptum.parity import in_words

    if found.rows:
        rows = [{"input": name, "differs from training in": list(changes)} for name, changes in found.rows.items()]
        print_table(rows, "the spec")
    if found.differences:
        shown = found.differences[:_SHOWN]
        print_table([_line(d.__dict__) for d in shown], "tensors")
        if found.differing > len(shown):
            typer.echo(f"... and {found.differing - len(shown)} more")
    typer.echo(in_words(found))
    typer.echo(_compared_with(found))


def _line(difference: dict[str, object]) -> dict[str, object]:
    line = {
        "frame": f"{difference['frame']} ({difference['frame_id']})",
        "tensor": difference["tensor"],
        "compared with": difference["compared_with"],
        "what": difference["what"],
    }
    most = difference["max_abs"]
    return line if most is None else {**line, "largest difference": most}


def _compared_with(found: Parity) -> str:
    if found.trained_with is None:
        return (
            "the package records nothing of training, so its own rows were built as a training builder builds them; "
            "perceptum.pack(..., seen=loader) records it"
        )
    if not found.in_package:
        return (
            "the package records the rows of training and no frame, so today's builder was compared with itself; "
            "perceptum.pack(..., seen=loader) records a few"
        )
    there = f"{counted(found.recorded, 'frame')} with what training saw, recorded by perceptum {found.trained_with}"
    if not found.recorded:
        return (
            f"the {counted(found.in_package, 'frame')} that the package records are not among these, so today's "
            "builders of both sides were compared"
        )
    others = found.frames - found.recorded
    rest = f"; {counted(others, 'other')} with what a builder makes of the same rows" if others else ""
    return f"compared: {there}{rest}"
