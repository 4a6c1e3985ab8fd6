"""Commands about environments, the Pythons that workers run in: env add, list, create, remove."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import UsageError

from .named import check_there
from .output import Json, print_json, print_table, say, working

if TYPE_CHECKING:
    from perceptum.neuropod.process.environments import Ahead, Environment

__all__ = ["add_to"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the environment is called.")]


def add_to(app: typer.Typer) -> None:
    env = typer.Typer(no_args_is_help=True, help="The Pythons that isolated models may run in.")
    env.command()(add)
    env.command("list")(list_all)
    env.command()(create)
    env.command()(remove)
    app.add_typer(env, name="env")


def add(
    name: Name,
    python: Annotated[
        Path, typer.Argument(metavar="PYTHON|VENV", help="An interpreter, or the folder of a virtual environment.")
    ],
    json: Json = False,
) -> None:
    """Register a Python that is here: a worker needs numpy and the model's framework in it, and no more."""
    from perceptum.neuropod.process import environments

    with _bad_use():
        found = environments.add(name, python)
    _show(found, json)


def list_all(json: Json = False) -> None:
    """List the Pythons that isolated models may run in, and the frameworks in each."""
    from perceptum.neuropod.process import environments

    rows = [_here(), *map(_row, environments.registered())]
    if json:
        print_json(rows)
        return
    print_table([{**row, "frameworks": _frameworks(row), "made": "yes" if row["made"] else "no"} for row in rows])


def create(
    name: Annotated[str, typer.Argument(metavar="NAME|PKG", help="What it is called; a package alone names it too.")],
    package: Annotated[
        Path | None, typer.Argument(metavar="[PKG]", help="The package it is for: its lock, framework and versions.")
    ] = None,
    requirement: Annotated[
        list[str] | None,
        typer.Option("--requirement", "-r", metavar="NAME==VERSION", help="What it has, as pip takes it; repeatable."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="PYTHON|VENV", help="The Python it is made with; this one, if not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before anything is downloaded.")] = False,
    json: Json = False,
) -> None:
    """Make an environment, for a package or of requirements: once, whoever asks for the same again.

    It downloads what is not there: it says what, and from where, and asks.
    """
    from perceptum.neuropod.process import environments
    from perceptum.neuropod.process.environments.for_package import asked_for

    if package is None and requirement is None:
        package, name = Path(name), Path(name).stem
        if not package.exists():
            raise UsageError(f"say what '{name}' is for: a package, or --requirement NAME==VERSION")
    if package is not None and requirement is not None:
        raise UsageError("an environment is made for a package or of --requirement, not both")
    wanted: Sequence[str] = requirement or ()
    made_with: str | os.PathLike[str] | None = python
    if package is not None:
        check_there(package)
        wanted, made_with = asked_for(package, python)
    ahead = environments.look_ahead(name, wanted, made_with)
    if not (yes or ahead.is_made) and not _agreed(name, ahead):
        raise typer.Exit(1)
    with working(f"making the environment {name}"):
        found = environments.create(name, wanted, made_with)
    _show(found, json)


def _agreed(name: str, ahead: Ahead) -> bool:
    """Asks on a terminal; raises UsageError where there is none."""
    if not _on_terminal():
        raise UsageError(f"making '{name}' installs {ahead}; nobody can be asked here, so add --yes if it shall")
    say(f"'{name}' is made of {ahead}")
    return typer.confirm("Install that?", err=True)


def remove(name: Name) -> None:
    """Forget an environment; one that perceptum made is deleted."""
    from perceptum.neuropod.process import environments

    with _bad_use():
        environments.remove(name)
    typer.echo(f"removed: {name}")


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def _bad_use() -> Iterator[None]:
    """For what was named and is not there."""
    from perceptum.neuropod import NeuropodError

    try:
        yield
    except NeuropodError as error:
        raise UsageError(str(error)) from error


def _show(environment: Environment, json: bool) -> None:
    row = _row(environment)
    if json:
        print_json(row)
    else:
        frameworks = ", ".join(_frameworks(row)) or "neither numpy nor a framework"
        typer.echo(f"{row['name']}: Python {row['python']} with {frameworks}, {row['path']}")


def _row(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "python": environment.version if environment.is_there else "missing",
        "frameworks": environment.frameworks(),
        "made": environment.made is not None,
        "path": environment.python,
    }


def _here() -> dict[str, Any]:
    from perceptum.neuropod.process.environments import HERE
    from perceptum.neuropod.process.environments.environment import FRAMEWORKS
    from perceptum.neuropod.process.environments.installed import installed_packages

    packages = installed_packages(sys.path)
    found = {name: packages[name] for name in FRAMEWORKS if name in packages}
    return {
        "name": HERE,
        "python": platform.python_version(),
        "frameworks": found,
        "made": False,
        "path": sys.executable,
    }


def _frameworks(row: dict[str, Any]) -> list[str]:
    return [f"{name} {version}" for name, version in row["frameworks"].items()]
