"""What a sandboxed worker may have, and whether there can be one here. SECURITY.md says what it keeps out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import NeuropodError
from .limits import Limits
from .worker.enclosure import why_not
from .worker.enclosure.surroundings import is_kept

__all__ = ["Sandbox", "confinement", "require_sandbox", "source_folders", "variables_inside"]


@dataclass(frozen=True)
class Sandbox:
    """What a model that is not trusted may have."""

    memory_bytes: int = 4 << 30
    """How much memory it may have, its framework's included: it gets no more, and where it gets round that it is
    killed. What it shares with this process is not counted."""
    output_bytes: int = 1 << 30
    """How large the outputs of one call may be, together; memory is taken as it is written to."""
    temporary_bytes: int = 512 << 20
    """How much its /tmp holds, which is memory as well. A package that is a zip is extracted there."""
    processes: int = 0
    """How many processes it may start; none without. They share its memory_bytes."""
    cpu_s: int | None = None
    """How many seconds of CPU time it may use, from its start to its end; then it is killed."""
    gpus: bool = False
    """Whether it may use the GPUs. Their drivers are large, and do all that the kernel does with its rights."""
    read: tuple[str | os.PathLike[str], ...] = ()
    """Files and folders that it may read, besides its package, its Python and the system's programs."""

    def __post_init__(self) -> None:
        for name, least in (
            ("memory_bytes", 128 << 20),
            ("output_bytes", 1 << 16),
            ("temporary_bytes", 1 << 16),
            ("processes", 0),
        ):
            _require_whole(name, getattr(self, name), least)
        if self.cpu_s is not None:
            _require_whole("cpu_s", self.cpu_s, 1)
        if isinstance(self.read, str | os.PathLike):
            # "/" would be a sequence of one path too
            raise NeuropodError(f"sandbox: read must be paths in a list or tuple, got {self.read!r}")
        for path in self.read:
            if not os.path.exists(path):
                raise NeuropodError(f"sandbox: there is no '{os.fspath(path)}' to read")


def _require_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise NeuropodError(f"sandbox: {name} must be a whole number from {least} on, got {value!r}")


def require_sandbox() -> None:
    """Raises NeuropodError that says why there can be no sandbox here, and what would help."""
    reason = why_not()
    if reason is not None:
        raise NeuropodError(f"isolate='sandbox' is not possible here: {reason}")


def confinement(
    limits: Limits | None,
    sandbox: Sandbox | None,
    *,
    package: str | os.PathLike[str] | None = None,
    libraries: Iterable[str | os.PathLike[str]] = (),
    variables: Iterable[str] = (),
) -> dict[str, Any]:
    """Returns what a worker is told to do to itself: plain data; empty where there is nothing to do.

    package, libraries: what a sandbox may read besides the interpreter, which is the package, and perceptum where the
        worker imports it.
    variables: the names of environment variables that it keeps, besides those that frameworks read.
    """
    order: dict[str, Any] = {}
    if limits is not None and limits.order():
        order["limits"] = limits.order()
    if sandbox is not None:
        if limits is not None and limits.memory_bytes is not None:
            sandbox = replace(sandbox, memory_bytes=limits.memory_bytes)
        order["sandbox"] = {
            "memory_bytes": sandbox.memory_bytes,
            "output_bytes": sandbox.output_bytes,
            "temporary_bytes": sandbox.temporary_bytes,
            "processes": sandbox.processes,
            "cpu_s": sandbox.cpu_s,
            "gpus": sandbox.gpus,
            "read": _absolute(sandbox.read if package is None else (package, *sandbox.read)),
            "libraries": _absolute(libraries),
            "variables": sorted(variables),
        }
    return order


def _absolute(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    return sorted({os.path.abspath(path) for path in paths})


def source_folders() -> list[Path]:
    """Returns where perceptum and the packages that it imports lie; in a checkout perceptum is several folders."""
    face = Path(__file__).parents[2]
    linked = [path.resolve() for path in face.iterdir() if path.is_symlink()]
    packages = [Path(path) for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return [face, *linked, *packages]


def variables_inside(environment: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """Returns the environment that a sandboxed worker is started in: without this one's secrets."""
    kept = {*also, "PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in environment.items() if is_kept(name) or name in kept}
