"""Runs in a worker whose Python is the parent's: the package is loaded by the ordinary backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..backends import Runner
from ..model import load_runner
from ..package.package import open_package
from ..package.trust import Trust
from ..validation import compile_checks

__all__ = ["check", "load"]


def load(order: dict[str, Any]) -> tuple[Runner, dict[str, Any]]:
    """Returns the model of an order's package, and what the parent is told of it."""
    package = open_package(order["path"], Trust(order["trust"]))
    try:
        runner = load_runner(package, order["visible_gpu"])
    except BaseException:
        package.files.close()
        raise
    if hasattr(runner, "memory_lasts"):
        # what the parent shares is never unmapped here
        runner.memory_lasts = True
    return runner, {"why_code": package.why_code, "seals": hasattr(runner, "seal")}


def check(order: dict[str, Any], outputs: Mapping[str, NDArray[Any]]) -> None:
    """Raises NeuropodError where outputs are not what an order's package promises."""
    package = open_package(order["path"], Trust(order["trust"]))
    package.files.close()
    compile_checks(package.config.outputs, "output spec", "full")(outputs)
