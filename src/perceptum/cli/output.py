"""How commands speak: tables and progress for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from perceptum.plural import counted

__all__ = [
    "Json",
    "print_json",
    "print_table",
    "prose_width",
    "say",
    "tell_skipped",
    "terminal_width",
    "track",
    "visible",
    "working",
]

T = TypeVar("T")

_SHORT = 24
"""A column as narrow as this holds names or numbers, which read badly when folded."""

_WIDE = 100
"""Letters of a line of prose where no terminal says how many it shows."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def say(text: str) -> None:
    """Says what is going on, on standard error."""
    typer.echo(text, err=True)


def tell_skipped(lines: Sequence[str]) -> None:
    """Reports what was left out of a log that skips what is broken."""
    for line in lines:
        say(f"skipped: {line}")
    if lines:
        say(f"{counted(len(lines), 'broken record')} {'was' if len(lines) == 1 else 'were'} left out")


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def terminal_width() -> int | None:
    """Returns how many letters a line may have, or None where they are no terminal's."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def prose_width() -> int:
    """Returns how many letters a line of prose may have: a terminal's, or 100 in a pipe or a file."""
    return terminal_width() or _WIDE


def print_table(rows: Sequence[Mapping[str, Any]], title: str | None = None, *, prose: bool = False) -> None:
    """Prints one line per row, a column per key of any row; a row need not have all.

    On a terminal a table is as wide as it: long texts are folded first, then the margins go. In a pipe or a file every
    row has its own lines and no more, however wide; a table of `prose`, which people read there too, is folded.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = {key: [_cell(row.get(key)) for row in rows] for key in keys}
    wide = [max(cell_len(line) for text in (key, *cells[key]) for line in text.split("\n")) for key in keys]
    whole = max(sum(wide) + 3 * len(wide) + 1, 80)
    console = Console(width=None if sys.stdout.isatty() else min(whole, _WIDE) if prose else whole)
    margin, fixed = _fitted(wide, console.width)
    # Text, not str, in which rich would take [brackets] for its own
    table = Table(header_style="bold", padding=(0, margin))
    for key, stays in zip(keys, fixed, strict=True):
        number = all(isinstance(row[key], int | float) for row in rows if key in row)
        table.add_column(Text(visible(key)), justify="right" if number else "left", overflow="fold", no_wrap=stays)
    for line in zip(*cells.values(), strict=True):
        table.add_row(*map(Text, line))
    if title is not None:
        typer.echo(visible(title))
    console.print(table)


def _fitted(wide: Sequence[int], width: int) -> tuple[int, list[bool]]:
    """Returns the margin in a cell, and which columns are not folded, so that a table of `wide` columns fits `width`.

    Names and numbers are not folded while what is left is enough to read the longer texts in.
    """
    for margin in (1, 0):
        for longest in (max(wide, default=0), _SHORT):
            least = [length if length <= longest else _SHORT for length in wide]
            if sum(least) + (2 * margin + 1) * len(wide) + 1 <= width:
                return margin, [length <= longest for length in wide]
    return 0, [False] * len(wide)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    if isinstance(value, list | tuple):
        return "\n".join(visible(str(v)) for v in value)
    return "" if value is None else visible(str(value))


def visible(text: str) -> str:
    """Returns the text with its control characters as escapes: a name in a file could write over the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on standard error that something goes on, and for how long; silent if that is not a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yields items under a progress bar on standard error, with rate and time left; silent without a terminal."""
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
