"""What a problem asks of a model: its spec, no more."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ModelSpec"]


class ModelSpec(NamedTuple):
    outputs: list[dict[str, Any]]
    inputs: list[dict[str, Any]] = []  # noqa: RUF012
    name: str = "model"
