"""How a command runs its models: the arguments that `infer` and `evaluate` have in common, in one place."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from perceptum.errors import UsageError

from .arguments import bytes_of

if TYPE_CHECKING:
    from perceptum.neuropod.process.limits import Limits

__all__ = ["InSandbox", "Running", "Trusted", "runs_models"]

_PANEL = "How models are run"
_WHOLE = re.compile(r"-?\d{1,9}")
_CPUS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


class OnDeath(StrEnum):
    never = "never"
    on_failure = "on_failure"


def _option(*names: str, **others: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_PANEL, **others)


InSandbox = Annotated[
    bool,
    _option(
        "--sandbox",
        help="Run it in a process that is kept from the network, from files and from other processes; a package "
        "that is code needs no --trust there.",
    ),
]
Trusted = Annotated[
    bool, _option("--trust", help="Run a package that is code: Python, custom ops, graphs that touch files.")
]


@dataclass(frozen=True, kw_only=True)
class Running:
    """What was said of it; each field is an argument of the command."""

    isolate: Annotated[
        bool | None,
        _option(
            "--isolate/--in-process",
            help="Run a model in a process of its own, on shared memory, or in this one. If neither is said, the "
            "first is what `evaluate` does, and the second what `infer` does.",
        ),
    ] = None
    sandbox: InSandbox = False
    trust: Trusted = False
    workers: Annotated[
        int,
        _option(
            "--workers",
            min=1,
            help="How many frames are run at once, by so many processes of each model; with 1, times are undisturbed.",
        ),
    ] = 1
    limit: Annotated[
        list[str] | None,
        _option(
            "--limit",
            metavar="NAME=VALUE",
            help="What each process may use: threads=1, memory=4GB, cpus=0-3,8 or nice=5; may be repeated.",
        ),
    ] = None
    environment: Annotated[
        str | None,
        _option("--environment", metavar="NAME", help="The Python that it runs in, of `perceptum env list`."),
    ] = None
    restart: Annotated[
        OnDeath | None,
        _option(
            "--restart",
            help="Whether a process that died or hung is started again. If not said, by `evaluate`, not by `infer`.",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        _option("--timeout", min=0.001, metavar="SECONDS", help="How long a model may take over one frame."),
    ] = None
    load_timeout: Annotated[
        float | None,
        _option("--load-timeout", min=0.001, metavar="SECONDS", help="How long it may take to be loaded."),
    ] = None
    heartbeat_timeout: Annotated[
        float | None,
        _option(
            "--heartbeat-timeout",
            min=0.001,
            metavar="SECONDS",
            help="How long its process may give no sign of life, for models of which nobody knows how long they take.",
        ),
    ] = None

    def keywords(self, *, isolated: bool | str, restart: str, alone: bool) -> dict[str, Any]:
        """Returns keywords of load_neuropod, without `workers`.

        isolated, restart: what holds where nothing was said. alone: whether --workers needs processes of its own too.
        Raises UsageError for what a model in this process cannot have.
        """
        if self.sandbox and self.isolate is False:
            raise UsageError("--sandbox is a process of its own: leave out --in-process")
        isolate = "sandbox" if self.sandbox else isolated if self.isolate is None else self.isolate
        given = {
            "--workers": alone and self.workers > 1,
            "--limit": self.limit is not None,
            "--environment": self.environment is not None,
            "--restart": self.restart is not None,
            "--timeout": self.timeout is not None,
            "--load-timeout": self.load_timeout is not None,
            "--heartbeat-timeout": self.heartbeat_timeout is not None,
        }
        first = next((name for name, is_given in given.items() if is_given), None)
        if not isolate and first is not None:
            hint = "leave out --in-process" if self.isolate is False else "add --isolate, or --sandbox"
            raise UsageError(f"{first} is for models in processes of their own: {hint}")
        _check_environment(self.environment)
        found: dict[str, Any] = {"isolate": isolate, "trust": self.trust}
        if isolate:
            found |= {
                "limits": _limits(self.limit or ()),
                "environment": self.environment,
                "restart": restart if self.restart is None else self.restart.value,
                "timeout_s": self.timeout,
                "load_timeout_s": self.load_timeout,
                "heartbeat_timeout_s": self.heartbeat_timeout,
            }
        return found


def runs_models(command: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command that has a parameter `running`: on the command line it has the fields of Running instead."""
    hints = get_type_hints(command, include_extras=True)
    own = {field.name: field.default for field in fields(Running)}
    each = get_type_hints(Running, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "running":
            parameters += [
                inspect.Parameter(field, parameter.kind, default=default, annotation=each[field])
                for field, default in own.items()
            ]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @wraps(command)
    def run(**given: Any) -> None:
        said = {name: given.pop(name) for name in own}
        command(**given, running=Running(**said))

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _check_environment(name: str | None) -> None:
    from perceptum.neuropod import NeuropodError
    from perceptum.neuropod.process.environments import HERE, find

    try:
        if name is not None and name != HERE:
            find(name)
    except NeuropodError as error:
        raise UsageError(f"--environment: {error}") from error


def _limits(words: list[str] | tuple[()]) -> Limits | None:
    """Returns what threads=1, memory=4GB, cpus=0-3,8 and nice=5 say; None where nothing is limited."""
    from perceptum.neuropod import NeuropodError
    from perceptum.neuropod.process.limits import Limits

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not value or name not in ("threads", "memory", "cpus", "nice"):
            raise UsageError(f"--limit must be threads=1, memory=4GB, cpus=0-3,8 or nice=5, got '{word}'")
        key = "memory_bytes" if name == "memory" else name
        if key in found:
            raise UsageError(f"--limit {name} is given twice")
        found[key] = _limit(name, value)
    try:
        return Limits(**found) if found else None
    except NeuropodError as error:
        raise UsageError(f"--limit: {str(error).removeprefix('limits: ')}") from error


def _limit(name: str, value: str) -> int | list[int]:
    if name == "memory":
        return bytes_of("--limit memory", value)
    if name != "cpus":
        if not _WHOLE.fullmatch(value):
            raise UsageError(f"--limit {name} must be a whole number, got '{value}'")
        return int(value)
    ends = [_CPUS.fullmatch(part.strip()) for part in value.split(",")]
    if not all(ends):
        raise UsageError(f"--limit cpus must be like 0-3,8, got '{value}'")
    return [cpu for end in ends if end for cpu in range(int(end[1]), int(end[2] or end[1]) + 1)]
