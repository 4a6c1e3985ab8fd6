"""Placeholder models: a seed and some sizes in place of a model. Data, not code, and no framework."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NeuropodError
from ..frameworks.handoff import why_copied
from ..package.config import Config
from ..package.package import MODEL_CONFIG, Package
from .random_tensors import Placeholder, choose_sizes

__all__ = ["FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version", "write"]

FRAMEWORK = "numpy"
RUNS_CODE = False


def version() -> str:
    return np.__version__


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array, text=True)


def load(package: Package, visible_gpu: int | None) -> PlaceholderRunner:
    plain = package.read_object(MODEL_CONFIG)
    seed, sizes = plain.get("seed"), plain.get("sizes")
    wanted = choose_sizes(package.config.outputs, 0)
    if not _is_size(seed) or not isinstance(sizes, dict) or not all(_is_size(sizes.get(key)) for key in wanted):
        raise NeuropodError(f"{MODEL_CONFIG}: must hold a seed and the sizes {', '.join(wanted) or 'none'}")
    return PlaceholderRunner(Placeholder(package.config.inputs, package.config.outputs, sizes, int(str(seed))))


class PlaceholderRunner:
    """Random outputs, the same for the same sizes."""

    def __init__(self, placeholder: Placeholder) -> None:
        self._placeholder = placeholder

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        return self._placeholder.outputs(inputs, wanted)

    def close(self) -> None:
        """There is nothing to release."""


def write(folder: Path, config: Config, seed: int) -> None:
    if not _is_size(seed):
        raise NeuropodError(f"seed must be a whole number of 0 or more, got {seed!r}")
    plain = {"seed": seed, "sizes": choose_sizes(config.outputs, seed)}
    (folder / MODEL_CONFIG).write_text(json.dumps(plain, sort_keys=True), encoding="utf-8")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
