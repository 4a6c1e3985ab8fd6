"""Opens a package in a process of its own: the same Model, run by a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..backends import find_backend
from ..errors import NeuropodError
from ..model import LEVELS, Model, why_code
from ..package.config import Config
from ..package.package import Package, open_package
from ..package.trust import Trust
from . import keeper
from .command import check
from .environments.choosing import THIS, Interpreter
from .environments.starting import choose_for, lean_order, variables_of
from .limits import Limits
from .memory import SharedMemory
from .pool import WorkerPool
from .remote import RemoteRunner, Restart, Start
from .requests import Requests
from .sandbox import Sandbox, confinement, require_sandbox, source_folders, variables_inside

if TYPE_CHECKING:
    from perceptum.features import Schema

__all__ = ["open_isolated"]

M = TypeVar("M", bound=Model)


def open_isolated(
    path: str | os.PathLike[str],
    *,
    trust: Trust,
    visible_gpu: int | None,
    validate: str,
    schema: Schema | None,
    restart: str | Restart = "never",
    timeout_s: float | None = None,
    load_timeout_s: float | None = None,
    heartbeat_timeout_s: float | None = None,
    wait: str = "adaptive",
    sandbox: Sandbox | None = None,
    limits: Limits | None = None,
    command: str | Sequence[str] | None = None,
    workers: int = 1,
    environment: str | None = None,
    free_memory: bool = False,
    socket: str | None = None,
    kind: type[M] = Model,  # type: ignore[assignment]
) -> M:
    """Opens a package and loads its model in a worker; raises NeuropodError that names the package.

    environment: the name of the Python that runs it; None chooses one.
    free_memory: memory that nobody uses goes back to the system after each call, in both processes.
    socket: where a worker that somebody else has started listens (`attached`).
    kind: of model that is returned.
    """
    if validate not in LEVELS:
        raise NeuropodError(f"validate must be {' or '.join(map(repr, LEVELS))}, got {validate!r}")
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise NeuropodError(f"{path}: workers must be a whole number from 1 on, got {workers!r}")
    if sys.platform != "linux":
        raise NeuropodError(f"{path}: isolate needs Linux (anonymous shared memory), this is {sys.platform}")
    if sandbox is not None:
        try:
            require_sandbox()
        except NeuropodError as error:
            raise NeuropodError(f"{path}: {error}") from None
        # what it may do there it may do unasked, unless PERCEPTUM_TRUST forbids code altogether
        trust = Trust.GIVEN
    if limits is not None and not isinstance(limits, Limits):
        raise NeuropodError(f"{path}: limits must be Limits(cpus=, threads=, memory_bytes=, nice=), got {limits!r}")
    if command is not None:
        check(command)
    keeper.occupy_standard_descriptors()
    package = open_package(path, trust)
    runner: RemoteRunner | WorkerPool
    try:
        _check(package, schema)
        try:
            memory = SharedMemory()
        except MemoryError as error:
            raise NeuropodError(f"{package.path}: {error}") from error
        requests = Requests(memory, _is_fixed(package.config, validate))
        chosen = THIS if socket is not None else choose_for(package, environment)
        if chosen.lean:
            order, package = lean_order(package, chosen, sandbox is not None)
        else:
            order = _hosted_order(package, trust)
        runners: list[RemoteRunner] = []
        try:
            start = _start(order, chosen, visible_gpu, sandbox, limits, command, socket)
            for _ in range(workers):
                one = RemoteRunner(
                    start,
                    memory,
                    requests,
                    restart=Restart.of(restart),
                    timeout_s=timeout_s,
                    load_timeout_s=load_timeout_s,
                    heartbeat_timeout_s=heartbeat_timeout_s,
                    free_memory=free_memory,
                    wait=wait,
                )
                runners.append(one)
            runner = runners[0] if workers == 1 else WorkerPool(runners)
            said = runner.loaded()
        except BaseException as error:
            # now: who keeps the error keeps these, and the workers that still load
            for one in runners:
                one.abandon()
            if isinstance(error, NeuropodError) and not str(error).startswith(f"{package.path}: "):
                error.args = (f"{package.path}: {error}",)
            raise
        package.why_code[:] = said.get("why_code", [])
        return kind(package, runner, validate)
    except BaseException:
        package.files.close()
        raise


def _check(package: Package, schema: Schema | None) -> None:
    """What is known without loading the model; the framework is not imported here."""
    try:
        if find_backend(package.config.platform).RUNS_CODE or package.config.custom_ops:
            package.require_trust(why_code(package.config))
        package.metadata.check(schema)
    except NeuropodError as error:
        raise type(error)(f"{package.path}: {error}") from error.__cause__


def _is_fixed(config: Config, validate: str) -> bool:
    """Returns whether an input's name alone says its type and shape, in every call."""
    rows = config.inputs
    return validate == "full" and all(r.dtype != "string" and all(isinstance(d, int) for d in r.shape) for r in rows)


def _hosted_order(package: Package, trust: Trust) -> dict[str, Any]:
    return {
        "how": "hosted",
        "path": os.path.abspath(package.path),
        "platform": package.config.platform,
        "trust": str(trust),
    }


def _start(
    order: dict[str, Any],
    chosen: Interpreter,
    visible_gpu: int | None,
    sandbox: Sandbox | None,
    limits: Limits | None,
    command: str | Sequence[str] | None,
    socket: str | None,
) -> Start:
    order["visible_gpu"] = visible_gpu
    if socket is not None:
        return Start([], {}, order, socket=socket)
    path: str = order["path"]
    libraries: list[str | os.PathLike[str]] = [keeper.BOOTSTRAP.parent]
    if not chosen.lean:
        order["sys_path"] = [*chosen.paths, *_sys_path()]
        libraries = [*source_folders(), *chosen.paths]
    order["threads"] = None if limits is None else limits.threads
    order["confine"] = confinement(limits, sandbox, package=path, libraries=libraries)
    variables = variables_of(chosen)
    if sandbox is not None:
        variables = variables_inside(variables)
    if limits is not None:
        variables |= limits.variables()
    python = [chosen.python, "-E"] if chosen.lean else [keeper.python(), *keeper.flags()]
    argv: Sequence[str] = [*python, str(keeper.BOOTSTRAP)]
    output_bytes = None if sandbox is None else sandbox.output_bytes
    return Start(argv, variables, order, output_bytes, command, path, socket)


def _sys_path() -> list[str]:
    """Returns where this process finds its modules, with the folder it stands in written out; without it, if it is
    gone."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return [path for path in sys.path if os.path.isabs(path)]
    # what is not there is no folder: some programs put other words in
    return [os.path.join(here, path).rstrip("/") if path == "" or os.path.exists(path) else path for path in sys.path]
