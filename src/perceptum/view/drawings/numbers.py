"""Tensors of a few numbers, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drawing import InWords
from .kind import Kind

__all__ = ["EGO_REFERENCE", "EGO_STATE", "MAP_VALID", "POSE"]


def _state(kind: Kind) -> Sequence[str]:
    rows = zip(kind.params.columns, kind["ego_state"], kind["ego_state_valid"], strict=True)
    return [f"{name:<18} {value:>10.4g}" if known else f"{name:<18} not known" for name, value, known in rows]


def _valid(kind: Kind) -> Sequence[str]:
    return ["the log has a map" if kind["map_valid"][0] else "the log has no map"]


def _numbers(kind: Kind) -> Sequence[str]:
    lines = []
    for name, tensor in kind.tensors.items():
        lines += [name, *(f"  {_row(row)}" for row in np.atleast_2d(tensor))]
    return lines


def _row(row: NDArray[Any]) -> str:
    return " ".join(f"{value:>11.3f}" if row.dtype.kind == "f" else str(value) for value in row)


EGO_STATE = InWords(lines=_state, needs=("ego_state", "ego_state_valid"))
EGO_REFERENCE = InWords(lines=_numbers)
POSE = InWords(lines=_numbers)
MAP_VALID = InWords(lines=_valid, needs=("map_valid",))
