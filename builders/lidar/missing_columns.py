"""What becomes of a sweep without a column: an error where the spec says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from perceptum.inputs import LidarSweep, MissingRecord

from ..stage import Stages

__all__ = ["check_columns"]

_log = logging.getLogger(__name__)

_MAY_LACK = ("intensity", "ring", "elongation", "return_index", "offset_ns", "image_column")
"""The columns that a sweep may lack."""
_WITHOUT = MappingProxyType(
    {"ring": "ring is -1", "row_of_ring": "lidar_ring is -1", "point_labels": "its points are of no class"}
)


def check_columns(
    sweep: LidarSweep,
    wanted: Iterable[str],
    missing_columns: Literal["fill", "error"],
    stages: Stages,
    without: Mapping[str, str] = _WITHOUT,
) -> None:
    """Raises MissingRecord where the sweep lacks some of the columns, by the names of its fields; or reports once what
    becomes of them.

    without: column -> what becomes of it, where that is not 0.
    """
    lacks = [name for name in wanted if getattr(sweep, name) is None]
    if not lacks:
        return
    what = f"{sweep.source or sweep.sensor}: the sweep has no {' and no '.join(lacks)}, which a tensor takes"
    if missing_columns == "error":
        has = ", ".join(name for name in _MAY_LACK if getattr(sweep, name) is not None)
        raise MissingRecord(f'{what}; beside x, y, z there is {has or "nothing"} (missing_columns "fill" does without)')
    if stages.first_time((check_columns, sweep.sensor, *lacks)):
        filled = ", ".join(without.get(name, f"{name} is 0") for name in lacks)
        _log.warning(
            '%s: %s (reported once; the param missing_columns "error" makes it an error)',
            what,
            filled,
        )
