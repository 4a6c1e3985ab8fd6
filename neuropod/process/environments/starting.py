"""What a worker of the chosen Python is started with, and told to load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import NeuropodError
from ...package.package import Package
from ...package.requirements import LOCK
from .choosing import Interpreter, choose
from .environment import clean_variables

__all__ = ["WHY_CODE", "choose_for", "lean_order", "variables_of"]

WHY_CODE = "it runs in another Python, where it is not looked through"
"""Why a package that is data elsewhere needs trust where lean runners run it."""


def choose_for(package: Package, wanted: str | None) -> Interpreter:
    """Returns what to run an opened package with; `choose` says how. Raises NeuropodError that names the package, and
    NotTrusted where it would run lean and may not."""
    lock = package.read(LOCK).decode("utf-8", "replace") if package.has(LOCK) else None
    try:
        chosen = choose(package.config, lock, wanted, package=str(package.path))
        if chosen.lean and not package.why_code:
            package.require_trust(WHY_CODE)
    except NeuropodError as error:
        raise type(error)(f"{package.path}: {error}") from error.__cause__
    return chosen


def variables_of(chosen: Interpreter) -> dict[str, str]:
    """Returns the environment variables that the worker is started with."""
    return {**(clean_variables() if chosen.lean else os.environ), **chosen.variables}


def lean_order(package: Package, chosen: Interpreter, sandboxed: bool = False) -> tuple[dict[str, Any], Package]:
    """Returns what the lean runners are told of a package, and the package to keep open while a worker runs: the same,
    or a copy that this environment's framework can read. Raises NeuropodError that names the package."""
    # with the backend of TorchScript, for a few models only
    from .lean_package import lean_package

    try:
        package = lean_package(package, chosen.packages.get("torch"))
        folder = package.files.folder("")
    except NeuropodError as error:
        raise NeuropodError(f"{package.path}: {error}") from error.__cause__
    if sandboxed and os.geteuid() == 0 and package.files.is_temporary:
        # what root sandboxes runs as another user
        _let_all_read(folder)
    config = package.config
    plain = {
        "input_spec": [{"name": row.name} for row in config.inputs],
        "output_spec": [{"name": row.name} for row in config.outputs],
        "custom_ops": list(config.custom_ops),
        "input_tensor_device": dict(config.input_tensor_device),
    }
    order = {"how": "lean", "path": str(folder.absolute()), "config": plain, "platform": config.platform}
    return {**order, "why_code": list(package.why_code)}, package


def _let_all_read(folder: Path) -> None:
    for here, _, files in os.walk(folder):
        os.chmod(here, 0o755)
        for name in files:
            os.chmod(os.path.join(here, name), 0o644)
