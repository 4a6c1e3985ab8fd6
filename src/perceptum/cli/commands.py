"""All commands, and how their errors are shown."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from perceptum.foreign import let_interrupts_pass

from . import (
    cache,
    environments,
    evaluate,
    features,
    logs,
    look,
    models,
    objects,
    packages,
    parity,
    specs,
    submit,
    workers,
)
from .output import visible

__all__ = ["app", "run"]

app = typer.Typer(
    name="perceptum",
    help="Canonical input building for perception models.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from perceptum import __version__

        typer.echo(f"perceptum {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    pass


for commands in (
    models,
    evaluate,
    packages,
    parity,
    submit,
    environments,
    workers,
    features,
    specs,
    logs,
    objects,
    cache,
    look,
):
    commands.add_to(app)


def run() -> None:
    """Runs a command; an error that the user can fix, want of memory, and a warning, is one line, without a
    traceback. Ctrl-C leaves as KeyboardInterrupt, whatever other code made of it."""
    warnings.showwarning = _shown_once(warnings.showwarning)
    # closed by whoever started this, as by >&- in a shell
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    try:
        app(prog_name="perceptum")
    except BaseException as error:
        let_interrupts_pass(error)
        status = _shown(error)
        if status is None:
            raise
        sys.exit(status)


def _shown(error: BaseException) -> int | None:
    """Says what was wrong, where a user can understand it, and returns the exit status; None for all else."""
    if isinstance(error, BrokenPipeError):
        # the reader of our output went away, as `head` does; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, MemoryError):
        typer.echo(f"perceptum: {_no_memory(error)}", err=True)
        return 1
    if not isinstance(error, (ValueError, RuntimeError, OSError, ImportError)):
        return None
    status = _status(error)
    if status is not None:
        typer.echo(f"perceptum: {_text(error)}", err=True)
    return status


def _shown_once(usual: Callable[..., None]) -> Callable[..., None]:
    """Returns what shows a warning to a user, such as that a map's layer is not read, as one line, each once.

    Those for programmers, deprecations and the like, are shown as usual.
    """
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **others: Any) -> None:
        if not issubclass(category, UserWarning):
            usual(message, category, *where, **others)
            return
        line = visible(" ".join(str(message).split("\n")))
        if line not in seen:
            seen.add(line)
            typer.echo(f"warning: {line}", err=True)

    return show


def _status(error: Exception) -> int | None:
    """Returns the exit status for an error that we understand, or None for one that is our own mistake."""
    from perceptum import errors

    if isinstance(error, errors.SchemaMismatch):
        return 1
    if isinstance(error, (errors.UsageError, errors.NotALog, errors.NotAPackage, errors.SpecError)):
        return 2
    if isinstance(error, (errors.LogError, errors.NeuropodError, errors.BuildError, OSError)):
        return 1
    # a framework or library that an extra brings is absent
    return 1 if isinstance(error, ImportError) and _missing(error) is not None else None


def _text(error: Exception) -> str:
    """Returns one line: the error's own, and for the system's errors and absent packages what they lack."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    text = (isinstance(error, ImportError) and _missing(error)) or str(error)
    return visible(" ".join(text.split("\n")))


def _no_memory(error: MemoryError) -> str:
    """Returns one line: what there was no memory for, where the error says it; numpy's does, Python's own does not."""
    text = visible(" ".join(str(error).split("\n")))
    if text.startswith("no memory"):
        return text
    return f"no memory: {text}" if text else "no memory for what was asked; free some, or ask for less at once"


def _missing(error: ImportError) -> str | None:
    from perceptum.doctor import missing_package

    return str(error) if "pip install" in str(error) else missing_package(error.name)
