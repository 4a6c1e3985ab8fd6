"""How commands speak: tables and progress for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import typer

__all__ = ["Json", "print_json", "print_table", "say", "track"]

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def say(text: str) -> None:
    """Tells what is going on, on standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """Prints one line per row, a column per key of any row; a row may lack some."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not str, in which rich would take [brackets] for its own
    table = Table(title=None if title is None else Text(title), title_justify="left", header_style="bold")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    for key in keys:
        number = all(isinstance(row[key], int | float) for row in rows if key in row)
        table.add_column(Text(key), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(key))) for key in keys))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    if isinstance(value, list | tuple):
        return "\n".join(str(v) for v in value)
    return "" if value is None else str(value)


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yields items under a progress bar on standard error, with rate and time left; silent where it is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, rate="")
        for item in items:
            yield item
            speed = progress.tasks[task].speed
            progress.update(task, advance=1, rate="" if speed is None else f"{speed:.1f}/s")
