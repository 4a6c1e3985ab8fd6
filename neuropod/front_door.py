"""The front door: `pc.load_neuropod`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perceptum.spelling import names_keywords

from .errors import NeuropodError
from .isolation import default_isolation
from .model import Model, open_model
from .package.trust import Trust

if TYPE_CHECKING:
    from perceptum.features import Schema

    from .process.limits import Limits
    from .process.remote import Restart
    from .process.sandbox import Sandbox

__all__ = ["load_neuropod"]


@names_keywords
def load_neuropod(
    path: str | os.PathLike[str],
    *,
    trust: bool = False,
    isolate: bool | str | Sandbox | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    command: str | Sequence[str] | None = None,
    restart: str | Restart = "never",
    timeout_s: float | None = None,
    load_timeout_s: float | None = None,
    heartbeat_timeout_s: float | None = None,
    wait: str = "adaptive",
    environment: str | None = None,
    visible_gpu: int | None = 0,
    validate: str = "full",
    schema: Schema | None = None,
) -> Model:
    """Loads a packaged model, a folder or a zip file, made here or by Uber's Neuropod.

    trust: a package whose platform is python, that brings custom ops, or whose TensorFlow graph or TorchScript does
        more than compute, is code; it is refused unless this is True.
        PERCEPTUM_TRUST=never, ask or always decides for the whole process (`trust` has the table).
    isolate: True runs it in a process of its own; "sandbox" in one that is kept from everything but its package, so
        that it may be code without trust (SECURITY.md says what is kept from it). A Sandbox says what it may have.
        False runs it in this process. None does that too, unless PERCEPTUM_ISOLATE says 1 or sandbox.
    workers: how many processes run it, each one call at a time; more calls than that wait their turn.
    limits: how much of the machine each process may use.
    command: what starts each process, where this is not left to Python: a container's program, say, with the worker's
        own words as {worker} (docs/isolation.md has examples).
    restart: "on_failure" starts a worker again after it died, hung or answered what makes no sense; a model that keeps
        something between calls begins anew then. A Restart says how often.
    timeout_s: how long a call may take; then its worker is killed, and the call raises WorkerError.
    load_timeout_s: the same for loading.
    heartbeat_timeout_s: the same for a call in which its worker's Python gives no sign of life all that time: a model
        that computes for long may, one that hangs in C or was stopped may not.
    wait: how the two processes wait for each other: "poll" looks again and again, which takes a CPU each; "sleep" never
        does; "adaptive" looks for a tenth of a millisecond where the last answers came as quickly.
    environment: which of the Pythons in `perceptum env list` an isolated model runs in; None chooses one by what its
        package asks for, this one where it has that.
    visible_gpu: the GPU to use where there is one; None keeps the model on the CPU.
    validate: "full" checks both sides of each call, "cheap" the inputs' names, types and ranks, "off" nothing.
    schema: what the package's features must still mean; None is the canonical schema.

    Raises NeuropodError, on one line, naming the package.
    """
    given = Trust.GIVEN if trust else Trust.NOT_GIVEN
    if isolate is None:
        isolate = default_isolation()
    if isolate:
        from .process.isolated import open_isolated
        from .process.sandbox import Sandbox

        if isinstance(isolate, str) and isolate != "sandbox":
            raise NeuropodError(f"isolate must be True, False, 'sandbox' or a Sandbox, got {isolate!r}")
        return open_isolated(
            path,
            trust=given,
            visible_gpu=visible_gpu,
            validate=validate,
            schema=schema,
            restart=restart,
            timeout_s=timeout_s,
            load_timeout_s=load_timeout_s,
            heartbeat_timeout_s=heartbeat_timeout_s,
            wait=wait,
            sandbox=isolate if isinstance(isolate, Sandbox) else Sandbox() if isolate == "sandbox" else None,
            limits=limits,
            command=command,
            workers=workers,
            environment=environment,
        )
    for name, is_given in (
        ("limits", limits is not None),
        ("command", command is not None),
        ("workers", workers != 1),
        ("restart", restart != "never"),
        ("timeout_s", timeout_s is not None),
        ("load_timeout_s", load_timeout_s is not None),
        ("wait", wait != "adaptive"),
        ("environment", environment is not None),
        ("heartbeat_timeout_s", heartbeat_timeout_s is not None),
    ):
        if is_given:
            raise NeuropodError(f"{path}: {name} is for a model in a process of its own; load it with isolate=True")
    return open_model(path, trust=given, visible_gpu=visible_gpu, validate=validate, schema=schema)
